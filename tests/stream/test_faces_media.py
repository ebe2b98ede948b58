"""Several people, and people who take each other's place: nobody's past is mixed into somebody else's event."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from bowam_model.face import FaceAligner, FaceSettings
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Face, Hello
from bowam_stream.spotting import Spotter, SpottingSettings

pytestmark = pytest.mark.media

NERVOUS = SpottingSettings(
    threshold=1.5,
    min_motion_px=0.05,
    rest_share=5.0,
    head_leak=0.0,
    speech_leak=0.0,
    flicker_leak_px=0.0,
    min_rate_hz=1.0,
)  # takes nearly everything for an expression: these videos would hardly bring an event otherwise


class Seen(NamedTuple):
    """A video after faces and spotter."""

    tracks: dict[int, dict[int, Face]]  # track -> frame -> face; crops left out
    per_frame: list[tuple[int, ...]]  # tracks of each frame
    candidates: list[Candidate]


def watch(path: Path, max_faces: int) -> Seen:
    source = open_source(str(path))
    spotter = Spotter(
        NERVOUS, Hello(camera="cam", session="s", source=path.name, rate_hz=source.rate_hz, lossless=True)
    )
    seen = Seen({}, [], [])
    with FaceAligner(FaceSettings(max_faces=max_faces)) as aligner:
        stage = FaceStage(aligner, camera="cam", session="s")
        for frame in source:
            aligned: AlignedFrame = stage.push(frame)
            seen.per_frame.append(tuple(face.track for face in aligned.faces))
            for face in aligned.faces:
                light = msgspec.structs.replace(face, crop=face.crop[:0])
                seen.tracks.setdefault(face.track, {})[frame.moment.frame] = light
            seen.candidates.extend(spotter.push(aligned))
    count = len(seen.per_frame)
    seen.candidates.extend(spotter.finish(EndOfStream(camera="cam", session="s", seq=count, frames=count)))
    return seen


def place(face: Face) -> np.ndarray:
    """Middle of the face in the source picture."""
    return np.linalg.solve(face.transform[:, :2], np.array([120.0, 120.0]) - face.transform[:, 2])


def assert_no_event_mixes_people(seen: Seen, at_least: int) -> None:
    """Every movement lies within the frames in which its own face was seen."""
    assert len(seen.candidates) >= at_least, "too few candidates for this test to mean anything"
    for candidate in seen.candidates:
        frames = seen.tracks[candidate.face]
        last = candidate.offset or candidate.apex
        assert min(frames) <= candidate.onset.frame <= last.frame <= max(frames), candidate


def test_two_people_have_a_track_each_and_give_it_up_when_they_change_places(media: Path) -> None:
    """Four faces in all: two until frame 39, and two others, so to say, from frame 40."""
    seen = watch(media / "robust" / "two_people_swap_at_40.mp4", 2)
    assert all(len(set(tracks)) == 2 for tracks in seen.per_frame)
    before, after = set(seen.per_frame[0]), set(seen.per_frame[-1])
    assert not before & after
    assert all(set(tracks) == before for tracks in seen.per_frame[:40])
    assert all(set(tracks) == after for tracks in seen.per_frame[40:])
    for frames in seen.tracks.values():  # a track stays where its face is
        assert np.ptp([place(face) for face in frames.values()], axis=0).max() < 100
    assert_no_event_mixes_people(seen, 2)


def test_two_people_who_stay_keep_their_tracks(media: Path) -> None:
    seen = watch(media / "videos" / "misc" / "head-pose-face-detection-female-and-male.gif", 2)
    assert {frozenset(tracks) for tracks in seen.per_frame} == {frozenset({0, 1})}
    left, right = (np.mean([place(face)[0] for face in seen.tracks[track].values()]) for track in (0, 1))
    assert abs(left - right) > 150
    assert {candidate.face for candidate in seen.candidates} == {0, 1}, "each has events of its own"
    assert_no_event_mixes_people(seen, 2)


@pytest.mark.parametrize(
    ("name", "cuts"), [("cut_identity_change", [20]), ("ten_speakers_33s", list(range(75, 825, 75)))]
)
@pytest.mark.parametrize("max_faces", [1, 3])
def test_no_event_spans_a_change_of_person(media: Path, name: str, cuts: list[int], max_faces: int) -> None:
    """A cut ends the track of whoever was there, also where there would be room for one more face."""
    seen = watch(media / "robust" / f"{name}.mp4", max_faces)
    for cut in cuts:
        earlier = {track for tracks in seen.per_frame[:cut] for track in tracks}
        later = {track for tracks in seen.per_frame[cut:] for track in tracks}
        assert not earlier & later, cut
    assert_no_event_mixes_people(seen, 1 if name.startswith("cut") else 20)
