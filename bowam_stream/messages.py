"""What travels between the stages, one frozen type for each hop, in the order in which a frame meets them.

    source -> Frame -> face alignment -> AlignedFrame --ZeroMQ--> spotter -> Candidate -> network -> Prediction -> Event

`Hello` opens a stream of aligned frames and `EndOfStream` closes it. "No face" is an AlignedFrame with no faces,
"nothing yet" is an empty list of candidates. Arrays are never written to once they are inside a message.
"""

import hashlib
from typing import Literal

import msgspec
import numpy as np

Kind = Literal["micro", "macro", "blink"]
Phase = Literal["provisional", "final", "retracted"]

SCHEMA: Literal["bowam.event/1"] = "bowam.event/1"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One instant of a stream."""

    frame: int  # decoded frames from 0, in presentation order
    t_ns: int  # capture time: monotonic clock of a live camera, presentation time from the start of a recording
    utc_ns: int | None = None  # wall clock at capture; None for recordings


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded picture."""

    moment: Moment
    image: np.ndarray  # uint8, (H, W) grey or (H, W, 3) RGB, upright (rotation tags applied)
    quality: tuple[str, ...] = ()  # what is wrong with this very frame, such as "damaged"


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Opens a stream: what the receiver must know before frame 0."""

    camera: str
    session: str  # a recording: digest of source and settings; a camera: new with every connection
    source: str  # for people: file name or address, credentials removed
    rate_hz: float | None = None  # nominal frame rate, if the source states one
    frames: int | None = None  # how many frames will come, if known (an estimate for progress bars, not a promise)
    lossless: bool = False  # True: a recording, every frame will arrive; False: live, frames may be missing
    quality: tuple[str, ...] = ()  # holds for every event of the stream, such as "truncated" or "no_timestamps"
    consent: bool | None = None  # did the people in view agree? Stated by whoever runs the camera; None: nobody said


class FaceQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How far a face can be trusted."""

    sharpness: float  # variance of the Laplacian of the 240x240 crop, grey levels squared
    yaw_deg: float  # head pose; 0 looks at the camera
    pitch_deg: float
    roll_deg: float
    size_px: float  # width of the face in the source picture
    confidence: float  # 0..1: how face-like the landmarks are (see bowam_model.face)


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """One face of one frame, aligned."""

    track: int  # the person, from 0 within the session; a cut or another person starts a new one
    crop: np.ndarray  # uint8 (240, 240) grey
    landmarks: np.ndarray  # float32 (468, 2): Face Mesh points as x, y in pixels of `crop`
    transform: np.ndarray  # float64 (2, 3): source pixels (x, y, 1) -> crop pixels
    quality: FaceQuality


class AlignedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One decoded frame after face alignment. Sent for every frame, so that "no face" differs from "lost"."""

    camera: str
    session: str
    seq: int  # published messages of this session from 0: a jump is loss in transport
    moment: Moment
    faces: tuple[Face, ...]
    published_ns: int = 0  # monotonic clock of the capture process at publication; stamped by the sender
    clock: str = ""  # clock.clock_id() of the capture process: may its monotonic times be compared with ours?
    quality: tuple[str, ...] = ()


class EndOfStream(msgspec.Struct, frozen=True, kw_only=True):
    """Closes a stream."""

    camera: str
    session: str
    seq: int  # one past the last frame's
    frames: int  # decoded frames in all
    quality: tuple[str, ...] = ()  # what was only seen at the end, such as "truncated"
    dropped: dict[str, int] = {}  # "stage/reason" -> decoded frames that never went out; frames = seq + all of these


class Triple(msgspec.Struct, frozen=True, kw_only=True):
    """The three crops the network looks at, each uint8 (240, 240) grey, in one common alignment."""

    onset: np.ndarray
    apex: np.ndarray
    offset: np.ndarray


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What the spotter says about one movement. Provisional once, then exactly one final or retracted."""

    event_id: str  # fixed at the first publication, even where the onset is refined later
    camera: str
    session: str
    face: int
    phase: Phase
    kind: Kind | None  # None while provisional or when retracted
    onset: Moment
    apex: Moment
    offset: Moment | None  # None while provisional
    score: float  # peak motion in units of this face's baseline noise
    quality: tuple[str, ...] = ()
    reason: str | None = None  # why it was retracted
    consent: bool | None = None  # of the stream's hello
    triple: Triple | None = None  # for a final micro


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the network says about a triple."""

    label: str  # "none" means: not a micro-expression
    confidence: float  # probability of `label`
    probabilities: dict[str, float]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Which network spoke."""

    name: str  # architecture, such as "bowam-nano"
    weights: str  # "sha256:<hex>" of the file
    backend: str  # what computed it, such as "openvino-bf16"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How an event travelled. The only part of an event that differs between two runs."""

    published_utc_ns: int  # wall clock at its publication
    latency_ms: float | None  # capture of the frame that triggered it to publication; None for recordings


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The record that is kept and published: schema `bowam.event/1`. Never edited once published."""

    event_id: str  # of the movement: its records share it
    seq: int  # per camera, from 1, without a gap
    camera: str  # its name, as `--camera` gave it
    session: str  # one connection of a camera, or one recording with its settings
    face: int  # the person, from 0 within the session
    kind: Kind | None  # None while provisional or when retracted
    phase: Phase  # provisional after the apex, then exactly one final or retracted record
    onset: Moment  # the movement begins
    apex: Moment  # it is strongest
    offset: Moment | None  # it is over; None while provisional
    label: str | None  # of a final micro: the most probable class
    probabilities: dict[str, float] | None  # of each class, where the network was asked; `none`: no micro-expression
    confidence: float | None  # probability of `label`
    spotting_score: float  # peak motion in units of this face's baseline noise
    quality: tuple[str, ...]  # what weakens it, such as "low_frame_rate", "warming_up" or "gap", sorted
    model: Model | None  # which network was asked
    reason: str | None = None  # why it was retracted
    consent: bool | None = None  # did the people in view agree? What the camera's operator stated; None: nothing
    delivery: Delivery | None = None
    schema: Literal["bowam.event/1"] = SCHEMA  # another one would be another kind of record


def event_id(camera: str, session: str, face: int, onset: Moment) -> str:
    """Name of the movement that starts at `onset`: the same in every run over the same recording."""
    digest = hashlib.blake2b(f"{camera}\0{session}\0{face}\0{onset.frame}".encode(), digest_size=8)
    return digest.hexdigest()
