"""Valid messages of every kind, as they leave a machine: where hostile ones begin."""

import json
from typing import Any

import msgspec
import numpy as np

from bowam_stream.clock import clock_id
from bowam_stream.events.schema import to_json
from bowam_stream.events.wire import EVENT_TOPIC, STATUS_TOPIC, Header, PageHeader, Refusal, Request, topic
from bowam_stream.messages import AlignedFrame, Delivery, EndOfStream, Event, Face, FaceQuality, Hello, Model, Moment
from bowam_stream.transport.codec import Message as Frames
from bowam_stream.transport.codec import encode
from bowam_stream.transport.control import Control, Credit, Done, Ping, Ready, Refused, write_control
from tests.fuzz.mutations import Conversation, Message

JOURNAL = "first"


def face(track: int = 0, seed: int = 0) -> Face:
    """A face of noise whose points lie in the crop."""
    random = np.random.default_rng(seed)
    quality = FaceQuality(sharpness=120.0, yaw_deg=3.0, pitch_deg=-2.0, roll_deg=0.5, size_px=180.0, confidence=0.97)
    return Face(
        track=track,
        crop=random.integers(0, 256, (240, 240), dtype=np.uint8),
        landmarks=random.uniform(20, 220, (468, 2)).astype(np.float32),
        transform=np.array([[1.2, 0.0, -40.0], [0.0, 1.2, -30.0]]),
        quality=quality,
    )


def hello(session: str = "s", camera: str = "cam0", **changes: Any) -> Hello:
    """Opens a live stream at 30 fps."""
    return Hello(**{"camera": camera, "session": session, "source": "rtsp://host/1", "rate_hz": 30.0} | changes)


def frame(seq: int = 0, *faces: Face, session: str = "s", camera: str = "cam0", **changes: Any) -> AlignedFrame:
    """Frame `seq` of a stream at 30 fps."""
    fields: dict[str, Any] = {"moment": Moment(frame=seq, t_ns=seq * 33_333_333), "clock": clock_id()}
    fields |= {"camera": camera, "session": session, "seq": seq, "faces": faces, "published_ns": seq * 33_333_333}
    return AlignedFrame(**fields | changes)


def end(seq: int, session: str = "s", camera: str = "cam0") -> EndOfStream:
    """Closes a stream after `seq` frames."""
    return EndOfStream(camera=camera, session=session, seq=seq, frames=seq, quality=("truncated",))


def event(seq: int, camera: str = "cam0", **changes: Any) -> Event:
    """A final micro-expression with everything that an event can have."""
    moments = [Moment(frame=n, t_ns=n * 10**7, utc_ns=17 * 10**17) for n in (seq * 10, seq * 10 + 3, seq * 10 + 9)]
    fields: dict[str, Any] = dict(zip(("onset", "apex", "offset"), moments, strict=True))
    fields |= {"event_id": f"{camera}-{seq}", "seq": seq, "camera": camera, "session": "s", "face": 0}
    fields |= {"kind": "micro", "phase": "final", "label": "surprise", "confidence": 0.75, "spotting_score": 6.25}
    fields |= {"probabilities": {"none": 0.25, "surprise": 0.75}, "quality": ("low_frame_rate",)}
    fields |= {"model": Model(name="bowam-nano", weights="sha256:00", backend="eager")}
    return Event(**fields | {"delivery": Delivery(published_utc_ns=17 * 10**17, latency_ms=40.5)} | changes)


def wire(message: Frames) -> Message:
    """The parts of a frame message."""
    return [bytes(part) for part in encode(message)]


def frames() -> list[Message]:
    """Hello, frames with 0 to 2 faces, end."""
    both = frame(2, face(0), face(2**63 - 1, 1), moment=Moment(frame=2, t_ns=10**8, utc_ns=17 * 10**17))
    return [
        wire(m)
        for m in (hello(), hello(rate_hz=None, frames=100, lossless=True), frame(0), frame(1, face()), both, end(3))
    ]


def controls() -> list[Message]:
    """Everything that the two ends of a recording tell each other."""
    said: list[Control] = [Ready(16), Credit(), Done("s"), Ping(), Refused("go away")]
    return [[write_control(control)] for control in said]


def topic_event(seq: int, camera: str = "cam0", journal: str = JOURNAL) -> Message:
    """An event as the topic carries it."""
    header = msgspec.msgpack.encode(Header(journal=journal, camera=camera, seq=seq))
    return [topic(EVENT_TOPIC, camera), header, to_json(event(seq, camera))]


def topic_status(seq: int, camera: str = "cam0", journal: str = JOURNAL) -> Message:
    """A status as the topic carries it."""
    header = msgspec.msgpack.encode(Header(journal=journal, camera=camera, seq=seq))
    return [topic(STATUS_TOPIC, camera), header, b'{"camera":"cam0","frames":5}']


def page(first: int, last: int, camera: str = "cam0", journal: str = JOURNAL, *, complete: bool = True) -> Message:
    """Events first..last as the journal socket answers them."""
    header = PageHeader(journal=journal, heads={camera: last}, complete=complete)
    return [msgspec.json.encode(header), *(to_json(event(seq, camera)) for seq in range(first, last + 1))]


def refusal() -> Message:
    """The answer to what can't be answered."""
    return [msgspec.json.encode(Refusal(error="the journal can't be read"))]


def requests() -> list[Message]:
    """Questions to the journal socket."""
    asked = (
        Request(since={}),
        Request(since={"cam0": 2}, cameras=("cam0", "cam1"), credit=2),
        Request(since={}, credit=0),
    )
    return [[msgspec.json.encode(request)] for request in asked]


def configs() -> list[Conversation]:
    """Settings files: TOML and JSON, told apart by the second part."""
    toml = (
        b'[transport]\nendpoint = "tcp://127.0.0.1:5555"\nmax_age_ms = 400\n[spotting]\nthreshold = 5.5\n'
        b'reference_ms = [500.0, 100.0]\n[model]\nthreads = 2\n[events]\njournal = "j.sqlite"\n'
    )
    whole = {
        "transport": {"connect": ["tcp://127.0.0.1:5555"]},
        "metrics": {"worker_port": 0},
        "face": {"max_faces": 2},
    }
    return [
        [[toml, b"toml"]],
        [[json.dumps(whole).encode(), b"json"]],
        [[b"a = { b = 1979-05-27T07:32:00Z }", b"toml"]],
    ]
