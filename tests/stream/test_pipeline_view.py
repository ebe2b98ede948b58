"""What a worker shows to a page: only while somebody looks, no face where none was asked for, and nobody waits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import zmq

from bowam_stream.events import EventPublisher
from bowam_stream.events.wire import VIEW_TOPIC
from bowam_stream.messages import AlignedFrame, Candidate, Hello, Moment, Triple
from bowam_stream.pipeline import view
from bowam_stream.pipeline.tap import Tap
from bowam_stream.pipeline.view import View, Views
from bowam_stream.spotting import Spotter, SpottingSettings
from bowam_stream.spotting.spotter import TraceRow
from tests.stream.test_spotting import stage

HELLO = Hello(camera="cam0", session="s", source="clip.mp4")
TRIPLE = Triple(
    **{name: np.random.default_rng(0).integers(0, 255, (240, 240), np.uint8) for name in Triple.__struct_fields__}
)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[EventPublisher]:
    with EventPublisher(f"ipc://{tmp_path}/e", journal="j", heads={}) as publisher:
        yield publisher


@pytest.fixture
def every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "EVERY_NS", 0)


@pytest.fixture
def seen() -> list[tuple[AlignedFrame, tuple[TraceRow, ...]]]:
    """A face that is still, and what the spotter makes of it."""
    spotter = Spotter(SpottingSettings(), HELLO)
    rows = []
    for frame in stage(lambda t: np.zeros((240, 240, 2), np.float32), seconds=0.1):
        spotter.push(frame)
        rows.append((frame, spotter.trace))
    return rows


def listen(publisher: EventPublisher, tap: Tap, wanted: bool = True) -> None:
    """Wait until the publisher knows that somebody looks, or that nobody does any more."""
    for _ in range(500):
        publisher.poll()
        if publisher.watched("cam0") is wanted:
            return
        tap.poll(0.01)
    raise AssertionError("the subscription did not arrive")


def heard(tap: Tap, enough: Callable[[list[View]], bool]) -> list[View]:
    views: list[View] = []
    for _ in range(500):
        tap.poll(0.01, on_view=views.append)
        if enough(views):
            return views
    raise AssertionError("nothing came")


def final() -> Candidate:
    moment = Moment(frame=1, t_ns=1)
    return Candidate(
        event_id="e1",
        camera="cam0",
        session="s",
        face=0,
        phase="final",
        kind="micro",
        onset=moment,
        apex=moment,
        offset=moment,
        score=5.0,
        triple=TRIPLE,
    )


def show(views: Views, seen: list[tuple[AlignedFrame, tuple[TraceRow, ...]]]) -> None:
    for frame, trace in seen:
        views.frame(HELLO, frame, trace)


@pytest.mark.usefixtures("every_frame")
def test_who_looks_sees_every_frame_and_its_signal(publisher: EventPublisher, seen: list) -> None:
    """In order, as the spotter measured it, with the picture of the last face."""
    with Views(publisher, preview=True) as views, Tap(publisher.endpoint, views=True) as tap:
        listen(publisher, tap)
        show(views, seen)
        came = heard(tap, lambda some: len(some) == len(seen))
    frames = [frame for one in came for frame in one.frames]
    assert [frame.frame for frame in frames] == [frame.moment.frame for frame, _ in seen]
    assert [frame.faces[0].signal for frame in frames] == [trace[0].signal for _, trace in seen]
    assert {frame.faces[0].threshold for frame in frames} == {SpottingSettings().threshold}
    picture = cv2.imdecode(np.frombuffer(came[-1].crops[0].jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.abs(picture.astype(int) - seen[-1][0].faces[0].crop).mean() < 4
    assert "mouth" in frames[-1].faces[0].outlines()


@pytest.mark.usefixtures("every_frame")
def test_without_preview_nothing_shows_a_face_or_where_it_was(publisher: EventPublisher, seen: list) -> None:
    """The signal does not, and the flow is drawn over plain grey."""
    with Views(publisher, preview=False) as views, Tap(publisher.endpoint, views=True) as tap:
        listen(publisher, tap)
        show(views, seen)
        views.candidate(HELLO, final())
        came: list[View] = []
        while not any(one.pictures for one in came):
            views.poll()
            tap.poll(0.01, on_view=came.append)
    assert not any(one.crops for one in came)
    faces = [face for one in came for frame in one.frames for face in frame.faces]
    assert faces
    assert not any(face.points or face.transform for face in faces)
    (pictures,) = (one.pictures["e1"] for one in came if one.pictures)
    assert (pictures.onset, pictures.apex, pictures.offset) == ("", "", "")
    assert pictures.flow.startswith("data:image/webp")


def test_the_flow_without_a_face_does_not_depend_on_the_faces_brightness(publisher: EventPublisher) -> None:
    """A still triple gives a plain grey picture, whatever it shows."""
    from bowam_stream.report.pictures import event_pictures

    still = [np.roll(TRIPLE.onset, shift) for shift in (0, 7)]
    drawn = [event_pictures(Triple(onset=one, apex=one, offset=one), faces=False).flow for one in still]
    assert drawn[0] == drawn[1]


@pytest.mark.usefixtures("every_frame")
def test_nothing_is_drawn_while_nobody_looks(publisher: EventPublisher, seen: list, monkeypatch) -> None:
    """Neither before anybody came nor after they left; a subscriber of events alone does not count."""
    drawn = []
    monkeypatch.setattr(view, "frame_record", lambda *_, **__: drawn.append(1))
    with Views(publisher, preview=True) as views:
        with Tap(publisher.endpoint) as events:
            events.poll(0.05)
            publisher.poll()
            show(views, seen)
            views.candidate(HELLO, final())
            with Tap(publisher.endpoint, views=True) as tap:
                listen(publisher, tap)
            listen(publisher, events, wanted=False)
        show(views, seen)
        assert not drawn
        assert not views._drawn


def test_views_go_out_ten_times_a_second_and_never_grow(publisher: EventPublisher, seen: list, monkeypatch) -> None:
    """Frames of a tenth of a second travel together; at a thousand a second they travel sooner."""
    now_ns = [10**12]
    monkeypatch.setattr(view.clock, "monotonic_ns", lambda: now_ns[0])
    sent = []
    monkeypatch.setattr(publisher, "watched", lambda camera: True)
    monkeypatch.setattr(publisher, "view", lambda camera, body: sent.append(msgspec.msgpack.decode(body, type=View)))
    with Views(publisher, preview=False) as views:
        for index in range(300):
            now_ns[0] += 10**9 // (30 if index < 100 else 1000)
            views.frame(HELLO, *seen[0])
    sizes = [len(one.frames) for one in sent]
    assert sizes[:4] == [1, 3, 3, 3]
    assert max(sizes) == view.MOST_FRAMES


def test_a_page_that_does_not_read_holds_nobody_up(publisher: EventPublisher) -> None:
    """Its queue is full, and what follows is dropped for it."""
    context = zmq.Context()
    deaf = context.socket(zmq.SUB)
    deaf.set(zmq.RCVHWM, 1)
    deaf.subscribe(VIEW_TOPIC.encode())
    deaf.connect(publisher.endpoint)
    for _ in range(1000):
        publisher.poll()
        if publisher.watched("cam0"):
            break
        deaf.poll(5)
    assert publisher.watched("cam0")
    for _ in range(5000):
        publisher.view("cam0", b"x" * 10_000)
    context.destroy(linger=0)
