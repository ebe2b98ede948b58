"""Messages to multipart and back: `[topic, header, payload...]`.

    topic    frame/v1/<camera>/       ends with a slash, since subscriptions match prefixes: `cam1` would match `cam10`
    header   msgpack map; `schema` names the kind and version; types and ranges are checked while it is decoded
    payload  per face: crop, landmarks, transform, as raw little-endian C-order arrays (see LAYOUT)

A stranger may send anything: sizes are compared before a buffer is interpreted, and only TransportError comes out. What
`encode` sends, `decode` takes: both run the same checks.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from bowam_stream import clock
from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Face, FaceQuality, Hello, Moment

Message = Hello | AlignedFrame | EndOfStream
Part = bytes | memoryview

TOPIC: Final = b"frame/v1/"
MAX_FACES: Final = 16
MAX_HEADER_BYTES: Final = 1 << 16
FAR_PX: Final = 1e6  # no picture is so large: a landmark or an origin beyond it is nonsense
MOST_SCALE: Final = 1e6  # likewise of the size of a face against its crop, and its inverse
LEAST_AREA: Final = 1e-3  # of the square: what a transform flattens by more can't be inverted (a similarity keeps 0.5)

_INT64_MAX = 2**63 - 1
CameraName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]
Name = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=4096)]
Quality = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=32)]
Count = Annotated[int, Meta(ge=0, le=_INT64_MAX)]
Nanoseconds = Annotated[int, Meta(ge=-_INT64_MAX, le=_INT64_MAX)]


class ArrayLayout(msgspec.Struct, frozen=True, array_like=True):
    """How one payload part is to be read: `[shape, dtype]`, the dtype in numpy's notation with its byte order."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


LAYOUT: Final = (  # of one face; messages.Face tells units and frames of reference
    ArrayLayout((240, 240), "|u1"),  # crop
    ArrayLayout((468, 2), "<f4"),  # landmarks
    ArrayLayout((2, 3), "<f8"),  # transform
)


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema"):
    camera: CameraName
    session: Name


class HelloHeader(_Header, frozen=True, kw_only=True, omit_defaults=True, tag="bowam.hello/1"):
    """Header of a Hello; no payload. Consent is sent where it was stated: older programs don't know that key."""

    source: Text
    rate_hz: float | None
    frames: Count | None
    lossless: bool
    quality: Quality
    consent: bool | None = None


class FaceHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the header of a frame says about one face."""

    track: Count
    quality: FaceQuality


class FrameHeader(_Header, frozen=True, kw_only=True, tag="bowam.frame/1"):
    """Header of an AlignedFrame; the payload has len(LAYOUT) parts per face."""

    seq: Count
    frame: Count
    t_ns: Nanoseconds  # capture time
    utc_ns: Nanoseconds | None
    published_ns: Nanoseconds
    clock: Name
    quality: Quality
    faces: Annotated[tuple[FaceHeader, ...], Meta(max_length=MAX_FACES)]
    layout: tuple[ArrayLayout, ...]


class EndHeader(_Header, frozen=True, kw_only=True, tag="bowam.end/1"):
    """Header of an EndOfStream; no payload."""

    seq: Count
    frames: Count
    quality: Quality
    dropped: Annotated[dict[Annotated[str, Meta(max_length=64)], Count], Meta(max_length=32)] = {}


MAX_PARTS: Final = 2 + MAX_FACES * len(LAYOUT)  # of a message: topic, header, arrays

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(HelloHeader | FrameHeader | EndHeader)


def topic(camera: str) -> bytes:
    """What a worker subscribes to for one camera."""
    return TOPIC + camera.encode() + b"/"


def stamped(frame: AlignedFrame, now_ns: int) -> AlignedFrame:
    """`frame` with the time and clock of its publication, unless it has them already."""
    return msgspec.structs.replace(
        frame, published_ns=frame.published_ns or now_ns, clock=frame.clock or clock.clock_id()
    )


def encode(message: Message) -> list[Part]:
    """Parts of `message`, ready for send_multipart. Arrays are not copied: nobody may write to them any more.

    Raises TransportError where a name, number, shape or dtype is not what `decode` would take.
    """
    header = _header_of(message)
    try:
        header_bytes = _encoder.encode(header)
    except (OverflowError, UnicodeEncodeError) as error:
        raise TransportError(f"can't send this message: {error}") from None
    _check_header(header_bytes)
    parts: list[Part] = [topic(header.camera), header_bytes]
    for face in message.faces if isinstance(message, AlignedFrame) else ():
        for array, layout in zip((face.crop, face.landmarks, face.transform), LAYOUT, strict=True):
            if array.shape != layout.shape or array.dtype.str != layout.dtype:
                needed, found = (layout.dtype, layout.shape), (array.dtype.str, array.shape)
                raise TransportError(f"a face needs {needed}, not {found}; align it with FaceAligner")
            parts.append(np.ascontiguousarray(array).data)
        _require_sound(face.landmarks, face.transform)
    return parts


def decode(parts: Sequence[Part]) -> Message:
    """The message in `parts`. Crops are read-only views of their part. Raises TransportError with the reason."""
    if len(parts) < 2:
        raise TransportError(f"malformed message: {len(parts)} parts, needs a topic and a header")
    header = _check_header(parts[1])
    if bytes(memoryview(parts[0])[:128]) != topic(header.camera):
        raise TransportError("malformed message: the topic is not the camera's")
    payload = [memoryview(part) for part in parts[2:]]
    faces = header.faces if isinstance(header, FrameHeader) else ()
    if len(payload) != len(faces) * len(LAYOUT):
        raise TransportError(f"malformed message: {len(payload)} arrays for {len(faces)} faces")
    match header:
        case HelloHeader():
            return msgspec.convert(header, Hello, from_attributes=True)
        case EndHeader():
            return msgspec.convert(header, EndOfStream, from_attributes=True)
        case FrameHeader():
            return AlignedFrame(
                camera=header.camera,
                session=header.session,
                seq=header.seq,
                moment=Moment(frame=header.frame, t_ns=header.t_ns, utc_ns=header.utc_ns),
                faces=tuple(
                    _face(face, payload[i * len(LAYOUT) : (i + 1) * len(LAYOUT)]) for i, face in enumerate(faces)
                ),
                published_ns=header.published_ns,
                clock=header.clock,
                quality=header.quality,
            )


def _header_of(message: Message) -> HelloHeader | FrameHeader | EndHeader:
    match message:
        case Hello():
            return HelloHeader(**msgspec.structs.asdict(message))
        case EndOfStream():
            return EndHeader(**msgspec.structs.asdict(message))
        case AlignedFrame():
            return FrameHeader(
                camera=message.camera,
                session=message.session,
                seq=message.seq,
                frame=message.moment.frame,
                t_ns=message.moment.t_ns,
                utc_ns=message.moment.utc_ns,
                published_ns=message.published_ns,
                clock=message.clock,
                quality=message.quality,
                faces=tuple(FaceHeader(track=face.track, quality=face.quality) for face in message.faces),
                layout=LAYOUT,
            )


def _check_header(part: Part) -> HelloHeader | FrameHeader | EndHeader:
    size = memoryview(part).nbytes
    if size > MAX_HEADER_BYTES:
        raise TransportError(f"malformed message: a header of {size} bytes, at most {MAX_HEADER_BYTES} are allowed")
    try:
        header = _decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TransportError(f"malformed message: {error}") from None
    if isinstance(header, HelloHeader) and header.rate_hz is not None and not 0 < header.rate_hz < math.inf:
        raise TransportError(f"malformed message: a frame rate of {header.rate_hz}")
    if isinstance(header, FrameHeader):
        if header.layout != LAYOUT:
            raise TransportError(f"malformed message: arrays are laid out as {header.layout}"[:200])
        if len({face.track for face in header.faces}) != len(header.faces):
            raise TransportError("malformed message: two faces have one track")
        if not all(math.isfinite(value) for face in header.faces for value in msgspec.structs.astuple(face.quality)):
            raise TransportError("malformed message: a face quality is not finite")
    return header


def _face(header: FaceHeader, parts: Sequence[memoryview]) -> Face:
    for part, layout in zip(parts, LAYOUT, strict=True):
        if part.nbytes != layout.nbytes:
            raise TransportError(f"malformed message: an array of {part.nbytes} bytes instead of {layout.nbytes}")
    crop, landmarks, transform = (
        np.frombuffer(part, layout.dtype).reshape(layout.shape) for part, layout in zip(parts, LAYOUT, strict=True)
    )
    _require_sound(landmarks, transform)
    # A small part may lie in ZeroMQ's receive buffer: a view would keep all of that alive as long as the frame.
    landmarks, transform = landmarks.copy(), transform.copy()
    crop.flags.writeable = landmarks.flags.writeable = transform.flags.writeable = False
    return Face(track=header.track, crop=crop, landmarks=landmarks, transform=transform, quality=header.quality)


def _require_sound(landmarks: np.ndarray, transform: np.ndarray) -> None:
    """Refuse points and transforms that no picture has, before somebody squares or inverts them."""
    if not np.abs(landmarks).max() <= FAR_PX:  # false for NaN as well
        raise TransportError(f"malformed message: a landmark is not finite or beyond {FAR_PX:g} px")
    (a, b, x), (c, d, y) = transform.tolist()
    largest = max(abs(a), abs(b), abs(c), abs(d))
    offset_sound = abs(x) <= FAR_PX * MOST_SCALE and abs(y) <= FAR_PX * MOST_SCALE
    if not (offset_sound and 1 / MOST_SCALE <= largest <= MOST_SCALE and abs(a * d - b * c) >= LEAST_AREA * largest**2):
        raise TransportError("malformed message: a transform is not finite or can't be inverted")
