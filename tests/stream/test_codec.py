"""The wire: what is sent arrives unchanged, and whatever a stranger sends, only TransportError comes out."""

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Face, FaceQuality, Hello, Moment
from bowam_stream.transport.codec import LAYOUT, MAX_FACES, MAX_HEADER_BYTES, Message, decode, encode, topic

INT63 = st.integers(0, 2**63 - 1)
NS = st.integers(-(2**63) + 1, 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
CAMERAS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
QUALITIES = st.lists(TEXTS, max_size=4).map(tuple)
STREAM = {"camera": CAMERAS, "session": TEXTS}

hellos = st.builds(
    Hello,
    **STREAM,
    source=TEXTS,
    rate_hz=st.none() | st.floats(0, exclude_min=True, allow_infinity=False, allow_nan=False),
    frames=st.none() | INT63,
    lossless=st.booleans(),
    quality=QUALITIES,
)
ends = st.builds(EndOfStream, **STREAM, seq=INT63, frames=INT63, quality=QUALITIES)
face_qualities = st.builds(FaceQuality, **dict.fromkeys(FaceQuality.__struct_fields__, FINITE))


@st.composite
def faces(draw: st.DrawFn, track: int) -> Face:
    """A face with pixels from a drawn seed: what matters is that every byte arrives."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Face(
        track=track,
        crop=random.integers(0, 256, (240, 240), dtype=np.uint8),
        landmarks=random.normal(120, 500, (468, 2)).astype(np.float32),
        transform=draw(npst.arrays(np.float64, (2, 3), elements=st.floats(-1, 1)))
        + draw(st.floats(3, 1000)) * np.eye(2, 3, dtype=np.float64),
        quality=draw(face_qualities),
    )


@st.composite
def frames(draw: st.DrawFn) -> AlignedFrame:
    """A frame with up to three faces."""
    tracks = draw(st.lists(INT63, max_size=3, unique=True))
    return AlignedFrame(
        camera=draw(CAMERAS),
        session=draw(TEXTS),
        seq=draw(INT63),
        moment=Moment(frame=draw(INT63), t_ns=draw(NS), utc_ns=draw(st.none() | NS)),
        faces=tuple(draw(faces(track)) for track in tracks),
        published_ns=draw(NS),
        clock=draw(TEXTS),
        quality=draw(QUALITIES),
    )


def a_face(**changes: object) -> Face:
    """A plain face, or what `changes` make of it."""
    quality = FaceQuality(sharpness=1, yaw_deg=0, pitch_deg=0, roll_deg=0, size_px=100, confidence=1)
    fields: dict[str, object] = {
        "track": 0,
        "crop": np.zeros((240, 240), np.uint8),
        "landmarks": np.zeros((468, 2), np.float32),
        "transform": np.eye(2, 3),
        "quality": quality,
    }
    return Face(**{**fields, **changes})


def a_frame(*some: Face, **changes: object) -> AlignedFrame:
    """A plain frame with these faces."""
    fields: dict[str, object] = {"camera": "cam0", "session": "s", "seq": 0, "moment": Moment(frame=0, t_ns=0)}
    return AlignedFrame(**{**fields, "faces": some, **changes})


def wire(message: Message) -> list[bytes]:
    """The parts as they leave the machine."""
    return [bytes(part) for part in encode(message)]


def flat(message: Message) -> object:
    """Something that == compares by content, arrays included."""

    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, msgspec.Struct):
            return type(value), {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return tuple(map(plain, value)) if isinstance(value, tuple) else value

    return plain(message)


@settings(max_examples=60, deadline=None)
@given(hellos | ends | frames())
def test_what_is_sent_arrives_unchanged(message):
    """Every field and every byte, for every kind of message."""
    assert flat(decode(wire(message))) == flat(message)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames() | hellos | ends, st.data())
def test_a_damaged_message_is_a_transport_error_or_still_a_valid_message(message, data):
    """Cut, swapped, repeated, removed and flipped: nothing else may come out of `decode`."""
    parts = wire(message)
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(parts) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "grow", "drop", "swap", "repeat", "noise"])):
            case "flip" if parts[i]:
                at = data.draw(st.integers(0, len(parts[i]) - 1))
                parts[i] = parts[i][:at] + bytes([parts[i][at] ^ data.draw(st.integers(1, 255))]) + parts[i][at + 1 :]
            case "cut":
                parts[i] = parts[i][: data.draw(st.integers(0, len(parts[i])))]
            case "grow":
                parts[i] += data.draw(st.binary(min_size=1, max_size=9))
            case "drop" if len(parts) > 1:
                del parts[i]
            case "swap":
                j = data.draw(st.integers(0, len(parts) - 1))
                parts[i], parts[j] = parts[j], parts[i]
            case "repeat":
                parts.insert(i, parts[i])
            case "noise":
                parts[i] = data.draw(st.binary(max_size=64))
    try:
        decoded = decode(parts)
    except TransportError:
        return
    assert wire(decoded)[2:] == parts[2:]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_noise_is_a_transport_error(parts):
    """No part of it is taken for a message."""
    with pytest.raises(TransportError):
        decode(parts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXTS | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([a_frame(a_face()), Hello(camera="c", session="s", source="x")]), st.data())
def test_a_header_with_a_wrong_value_anywhere_is_a_transport_error_or_a_valid_message(message, data):
    """Well-formed msgpack with the wrong types, ranges or keys."""
    parts = wire(message)
    header = msgspec.msgpack.decode(parts[1])
    key = data.draw(st.sampled_from([*header, "unknown"]))
    header[key] = data.draw(JSON)
    parts[1] = msgspec.msgpack.encode(header)
    try:
        decoded = decode(parts)
    except TransportError:
        return
    assert flat(decode(wire(decoded))) == flat(decoded)


def test_the_layout_is_that_of_a_face():
    """240x240 grey, 468 points, a 2x3 transform: 61,392 bytes per face."""
    parts = wire(a_frame(a_face()))
    assert [len(part) for part in parts[2:]] == [layout.nbytes for layout in LAYOUT] == [57600, 3744, 48]
    assert parts[0] == b"frame/v1/cam0/"


def test_a_topic_is_the_prefix_of_no_other_topic():
    """A worker that wants cam1 must not get cam10."""
    assert not topic("cam10").startswith(topic("cam1"))


def test_the_header_says_how_to_read_the_payload():
    """A reader in another language needs no knowledge of this code."""
    header = msgspec.msgpack.decode(wire(a_frame(a_face()))[1])
    assert header["schema"] == "bowam.frame/1"
    assert header["layout"] == [[[240, 240], "|u1"], [[468, 2], "<f4"], [[2, 3], "<f8"]]


def changed(message: Message, **changes: object) -> list[bytes]:
    """The wire form of `message` with some header fields replaced."""
    parts = wire(message)
    parts[1] = msgspec.msgpack.encode({**msgspec.msgpack.decode(parts[1]), **changes})
    return parts


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "0 parts"),
        ([b"frame/v1/cam0/"], "1 parts"),
        (changed(a_frame(), schema="bowam.frame/2"), "bowam.frame/2"),
        (changed(a_frame(), surprise=1), "unknown field"),
        (changed(a_frame(), camera="../etc"), "regex"),
        (changed(a_frame(), camera="cam0\n"), "regex"),
        (changed(a_frame(), camera="cam1"), "topic"),
        (changed(a_frame(), seq=-1), "seq"),
        (changed(a_frame(), seq=2**64 - 1), "seq"),
        (changed(a_frame(), seq=True), "seq"),
        (changed(a_frame(a_face()), faces=[]), "3 arrays for 0 faces"),
        (changed(a_frame(a_face()), layout=[[[480, 120], "|u1"], [[468, 2], "<f4"], [[2, 3], "<f8"]]), "laid out"),
        (changed(a_frame(a_face()), layout=[[[240, 240], "|O"], [[468, 2], "<f4"], [[2, 3], "<f8"]]), "laid out"),
        (changed(a_frame(), faces=[msgspec.to_builtins({"track": 0})] * (MAX_FACES + 1)), "faces"),
        (changed(Hello(camera="cam0", session="s", source="x"), rate_hz=float("nan")), "frame rate"),
        (changed(Hello(camera="cam0", session="s", source="x"), source="x" * 5000), "source"),
        ([b"frame/v1/cam0/", b"\x81\xa1x" + b"\x91" * 60_000], "recursion"),
        ([b"frame/v1/cam0/", b"\x80" * (MAX_HEADER_BYTES + 1)], "header of"),
        ([*wire(a_frame(a_face()))[:-1], b"\0" * 47], "47 bytes instead of 48"),
        ([*wire(a_frame(a_face()))[:-1], np.full((2, 3), np.nan).tobytes()], "finite"),
        ([*wire(a_frame(a_face()))[:-1], np.zeros((2, 3)).tobytes()], "inverted"),
        ([*wire(a_frame(a_face()))[:-1], np.ones((2, 3)).tobytes()], "inverted"),
        ([*wire(a_frame(a_face()))[:-2], np.full((468, 2), 2e6, "<f4").tobytes(), np.eye(2, 3).tobytes()], "beyond"),
    ],
)
def test_the_reason_of_a_refusal_is_said(parts, reason):
    """One line that names what is wrong."""
    with pytest.raises(TransportError, match=reason) as caught:
        decode(parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        a_frame(a_face(crop=np.zeros((224, 224), np.uint8))),
        a_frame(a_face(crop=np.zeros((240, 240), np.float32))),
        a_frame(a_face(landmarks=np.zeros((478, 2), np.float32))),
        a_frame(a_face(landmarks=np.full((468, 2), np.inf, np.float32))),
        a_frame(a_face(transform=np.eye(3))),
        a_frame(a_face(transform=np.zeros((2, 3)))),
        a_frame(a_face(), a_face()),
        a_frame(*(a_face(track=i) for i in range(MAX_FACES + 1))),
        a_frame(camera="cam 0"),
        a_frame(camera="x" * 65),
        a_frame(seq=-1),
        a_frame(seq=2**70),
        a_frame(session="\ud800"),
        Hello(camera="cam0", session="s", source="x", rate_hz=0.0),
    ],
)
def test_a_message_that_nobody_would_take_is_not_sent(message):
    """The fault shows where it was made, not on another machine."""
    with pytest.raises(TransportError):
        encode(message)


def test_arrays_go_out_without_a_copy_and_crops_come_in_without_one():
    """One copy of a face per hop is what the network card makes."""
    face = a_face()
    parts = encode(a_frame(face))
    assert np.shares_memory(np.frombuffer(parts[2], np.uint8), face.crop)
    received = [zmq.Frame(bytes(part)).buffer for part in parts]
    crop = decode(received).faces[0].crop
    assert np.shares_memory(crop, np.frombuffer(received[2], np.uint8))
    assert not crop.flags.writeable


def test_an_array_that_is_a_view_is_sent_as_it_looks():
    """A mirrored crop has negative strides."""
    crop = np.arange(57600, dtype=np.uint32).astype(np.uint8).reshape(240, 240)[:, ::-1]
    assert np.array_equal(decode(wire(a_frame(a_face(crop=crop)))).faces[0].crop, crop)
