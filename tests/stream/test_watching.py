"""One recording watched in this process, and what happens where two parts of it meet."""

import functools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bowam_model.face import legs
from bowam_model.synthesis import load_identity, make_clip, plan_clip
from bowam_stream import clock, spot
from bowam_stream.capture import open_source
from bowam_stream.config import Config, replaced
from bowam_stream.errors import SourceError
from bowam_stream.events import to_json
from bowam_stream.messages import Candidate, Hello, Moment, Triple, event_id
from bowam_stream.pipeline import watching
from bowam_stream.pipeline.parts import Leg, Part, Told, Watched, join
from bowam_stream.pipeline.watching import Surveyed, recognise, survey, watch
from bowam_stream.spotting import baseline
from tests.stream.test_capture_sources import write_video

HELLO = Hello(camera="c", session="s", source="v.mp4", rate_hz=30.0, lossless=True)
NOTHING = Leg(prints=(), tracks=(), told=(), next_track=0)
LEG_S = 30


class Fixed:
    """A network with one opinion, which counts how many it is asked about at a time."""

    name, weights, backend = "fixed", "sha256:0", "none"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict_together(self, triples: Any) -> list[dict[str, float]]:
        self.batches.append(len(triples))
        return [{"negative": 1.0, "none": 0.0} for _ in triples]

    def fall_back(self, reason: str) -> None:
        raise AssertionError(reason)


def surveyed(number_of_legs: int) -> Surveyed:
    starts = tuple(range(0, 900 * number_of_legs, 900))
    return Surveyed(
        name="v", digest="d", session="s", rate_hz=30.0, frames=None, duration_ns=None, quality=(), legs=starts
    )


def test_both_packages_mean_the_same_leg() -> None:
    """The model package can't import the streaming one, and the spotter not the model."""
    assert legs.LEG_NS == clock.LEG_NS == LEG_S * 10**9
    assert [legs.leg(t) for t in (0, clock.LEG_NS - 1, clock.LEG_NS)] == [clock.leg(t) for t in (0, 1, clock.LEG_NS)]


def test_a_recording_is_cut_at_legs_and_a_short_end_is_left_on() -> None:
    assert surveyed(20).cuts(180) == [(0, 5400), (5400, 10800), (10800, None)]
    assert surveyed(14).cuts(180) == [(0, 5400), (5400, None)], "a minute is not worth a lead-in"
    assert surveyed(20).cuts(0) == [(0, None)]
    assert surveyed(1).cuts(180) == [(0, None)]
    assert surveyed(9).cuts(1)[0] == (0, 2700), "a part is never shorter than its lead-in"


def test_what_can_t_be_cut_is_one_part(tmp_path: Path) -> None:
    """A test pattern has no timestamps to trust, and a recording with a hole of minutes lacks legs."""
    assert survey("test://pattern?frames=9000", Config()).legs == (0,)
    hole = write_video(tmp_path / "a.mp4", list(range(20)), stamps_ms=lambda k: 40 * k + 70_000 * (k > 10))
    assert survey(str(hole), Config()).legs == (0,)
    even = write_video(tmp_path / "b.mp4", list(range(20)), stamps_ms=lambda k: 4_000 * k)
    assert survey(str(even), Config()).legs == (0, 8, 15)


def test_a_part_that_begins_at_no_leg_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "b.mp4", list(range(20)), stamps_ms=lambda k: 4_000 * k)
    with pytest.raises(SourceError, match="no leg begins at frame 7"):
        watch(Part(path=str(path), camera="c", begin=7), Config())


def test_a_camera_can_t_be_watched_as_a_recording() -> None:
    with pytest.raises(SourceError, match="bowam live"):
        survey("rtsp://camera/stream", Config())


def test_watching_tells_what_spot_tells(tmp_path: Path) -> None:
    """The same candidates in the same order; a micro-expression carries its pictures through a file."""
    pytest.importorskip("mediapipe")
    plan = plan_clip(5, seconds=3, events=1, nuisances=[], strata=["easy"], rate_hz=60.0)
    make_clip(plan, load_identity(), tmp_path, crf=0)
    watched = watch(Part(path=str(tmp_path / "clip.mp4"), camera="c"), Config())
    kept = Watched.from_bytes(watched.to_bytes())
    assert kept.to_bytes() == watched.to_bytes()
    events = recognise(kept, Fixed())
    assert [event.phase for event in events] == ["provisional", "final"]
    assert [event.seq for event in events] == [1, 2]
    assert (events[1].label, events[1].camera) == ("negative", "c")
    assert (watched.frames, watched.frames_with_face, watched.tracks) == (180, 180, (0,))
    images = (frame.image for frame in open_source(str(tmp_path / "clip.mp4")))
    alone = list(spot(images, 60.0, camera="c", session=watched.hello.session, predictor=Fixed()))
    assert [event.onset.frame for event in alone] == [event.onset.frame for event in events]


def test_the_network_always_sees_the_same_number(tmp_path: Path) -> None:
    grey = np.zeros((240, 240), np.uint8)
    triple = Triple(onset=grey, apex=grey, offset=grey)
    told = tuple(told_at(number, phase="final", kind="micro", triple=triple) for number in range(5))
    whole = watched(told=(*told, told_at(9)))
    alone, three = Fixed(), Fixed()
    assert [to_json(e) for e in recognise(whole, alone)] == [to_json(e) for e in recognise(whole, three, batch=3)]
    assert (alone.batches, three.batches) == ([1] * 5, [3, 3])


def told_at(frame: int | None, *, face: int = 0, onset: int | None = None, **changes: Any) -> Told:
    named = Moment(frame=frame or 0, t_ns=0) if onset is None else Moment(frame=onset, t_ns=0)
    candidate = Candidate(
        event_id=event_id("c", "s", face, named),
        camera="c",
        session="s",
        face=face,
        phase="provisional",
        kind=None,
        score=6.0,
        onset=named,
        apex=named,
        offset=named,
    )
    return Told(frame=frame, candidate=msgspec.structs.replace(candidate, **changes))


def leg(*tracks: tuple[int, ...], told: tuple[Told, ...] = (), next_track: int = 1, salt: bytes = b"") -> Leg:
    prints = tuple(salt + bytes([number]) for number in range(len(tracks)))
    return Leg(prints=prints, tracks=tracks, told=told, next_track=next_track)


def watched(begin: int = 0, end: int | None = None, **changes: Any) -> Watched:
    plain = Watched(
        part=Part(path="v.mp4", camera="c", begin=begin, end=end),
        hello=HELLO,
        told=(),
        frames=10,
        frames_with_face=9,
        tracks=(0,),
        duration_ns=end or 99,
        quality=(),
        before=NOTHING,
        last=NOTHING,
    )
    return msgspec.structs.replace(plain, **changes)


def test_joined_parts_count_and_tell_as_one() -> None:
    first = watched(end=10, told=(told_at(3),), last=leg((0,), (0,), told=(told_at(3),)))
    second = watched(10, told=(told_at(12), told_at(None)), before=leg((0,), (0,), told=(told_at(3),)))
    whole = join(first, msgspec.structs.replace(second, quality=("damaged",)))
    assert whole is not None
    assert (whole.part.begin, whole.part.end, whole.frames, whole.frames_with_face) == (0, None, 20, 18)
    assert [one.frame for one in whole.told] == [3, 12, None]
    assert whole.quality == ("damaged",)
    assert whole.duration_ns == 99


def test_the_end_of_a_recording_bears_what_was_wrong_in_any_part() -> None:
    first = watched(end=10, last=leg((0,)), quality=("damaged",))
    second = watched(10, told=(told_at(11), told_at(None)), before=leg((0,)), quality=("bad_timestamp",))
    whole = join(first, second)
    assert whole is not None
    assert [one.candidate.quality for one in whole.told] == [(), ("bad_timestamp", "damaged")]


@pytest.mark.parametrize(
    "before",
    [
        leg((0,), (0,), salt=b"x"),
        leg((0,)),
        leg((0,), (0,), told=(told_at(3, phase="final"),)),
        leg((0,), (0,), told=(told_at(3, onset=2),)),
        NOTHING,
    ],
)
def test_parts_that_saw_something_else_are_not_joined(before: Leg) -> None:
    """Other faces, other frames, another candidate, another onset, or nothing at all."""
    first = watched(end=10, last=leg((0,), (0,), told=(told_at(3),)))
    assert join(first, watched(10, before=before)) is None


def test_faces_keep_the_first_watcher_s_numbers_and_events_their_names() -> None:
    """Seven people had been there before; the second watcher counts from 0, and meets one more."""
    early = told_at(3, face=7)
    first = watched(end=10, tracks=(5, 7), last=leg((7,), (7,), told=(early,), next_track=8))
    told = (told_at(12, face=0, onset=3, phase="final"), told_at(15, face=1), told_at(18, face=2))
    second = watched(
        10,
        told=told,
        tracks=(0, 1, 2),
        before=leg((0,), (0,), told=(told_at(3, face=0),), next_track=1),
        last=leg((2,), told=told[2:], next_track=3),
    )
    whole = join(first, second)
    assert whole is not None
    assert [one.candidate.face for one in whole.told] == [7, 8, 9]
    assert [one.candidate.event_id for one in whole.told] == [
        event_id("c", "s", face, Moment(frame=frame, t_ns=0)) for face, frame in ((7, 3), (8, 15), (9, 18))
    ]
    assert whole.tracks == (5, 7, 8, 9)
    assert (whole.last.tracks, whole.last.next_track) == (((9,),), 10)
    assert whole.last.told[0].candidate.face == 9


def test_an_event_whose_onset_was_refined_keeps_the_name_of_its_first_estimate() -> None:
    first = watched(end=10, last=leg((4,), next_track=5))
    named = event_id("c", "s", 0, Moment(frame=2_000, t_ns=0))
    refined = told_at(2_100, face=0, onset=1_990, event_id=named)
    whole = join(first, watched(10, told=(refined,), before=leg((0,), next_track=1)))
    assert whole is not None
    assert whole.told[0].candidate.event_id == event_id("c", "s", 4, Moment(frame=2_000, t_ns=0))


def test_two_faces_that_one_watcher_numbers_the_other_way_round_are_not_joined() -> None:
    """Faces that end in the same frame are told in the order of their numbers."""
    first = watched(end=10, last=leg((0, 1), next_track=2))
    assert join(first, watched(10, before=leg((1, 0), next_track=2))) is None


def test_parts_that_do_not_follow_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        join(watched(end=10, last=leg((0,))), watched(20, before=leg((0,))))
    with pytest.raises(ValueError, match="does not follow"):
        join(watched(), watched(10))


@pytest.mark.parametrize("damage", [b"", b"\x93\x01\x02\x03", b"text"])
def test_damaged_bytes_are_no_watched_part(damage: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Watched.from_bytes(damage)


@pytest.mark.slow
def test_a_recording_in_parts_tells_what_the_whole_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, with blinks, nods, speech and expressions going on; legs are as short as the spotter's memory."""
    pytest.importorskip("mediapipe")
    leg_s, config = 8, replaced(Config(), "spotting", baseline_ms=4_000.0, macro_max_ms=3_000.0)
    for module in (legs, clock, watching):
        monkeypatch.setattr(module, "LEG_NS", leg_s * 10**9)
    monkeypatch.setattr(baseline, "_LEG_MS", leg_s * 1_000)
    nuisances = ("blink", "nod", "macro", "drift", "tremor")
    plan = plan_clip(3, rate_hz=24.0, seconds=4 * leg_s + 3, events=14, nuisances=nuisances, size=(320, 240), zoom=0.8)
    make_clip(plan, None, tmp_path)
    path = str(tmp_path / "clip.mp4")
    cut = survey(path, config).legs[4]
    whole = watch(Part(path=path, camera="c"), config)
    parts = [Part(path=path, camera="c", end=cut), Part(path=path, camera="c", begin=cut)]
    joined = functools.reduce(join, [watch(part, config) for part in parts])
    assert len(whole.told) > 20
    assert joined.to_bytes() == whole.to_bytes()
