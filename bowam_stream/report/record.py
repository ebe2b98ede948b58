"""What a worker writes down in the run's private folder while it runs, for a report, an overlay or an explanation.

    hello.json           the stream
    frames.bin           one FrameRecord per frame: msgpack, each with its length before it (big-endian uint32)
    told.bin             one Told per candidate, likewise: the frame at which it came
    triples/ID.png       onset, apex and offset crop of a final candidate, side by side, 720x240 grey
    end.json             how the stream ended; missing if it was cut short

No picture of a source is kept: only the three crops of what the network looked at.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import cv2
import msgspec
import numpy as np

from bowam_stream.errors import ReportError
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Face, Hello, Phase, Triple
from bowam_stream.spotting.regions import REGIONS

RECORD_FOLDER, JOURNAL_FILE = "record", "journal.sqlite"  # in the folder of a run, also of one that is kept
LENGTH_BYTES = 4
LANDMARK_STEPS_PER_PX = 64  # landmarks are kept as int16: 1/64 px, up to +-512 px

# Face Mesh points of the outlines that people recognise a face by; closed ones return to their first point.
OUTLINES: Mapping[str, tuple[int, ...]] = {
    "face": (
        *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
        *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10),
    ),
    "right_brow": (46, 53, 52, 65, 55, 107, 66, 105, 63, 70, 46),
    "left_brow": (276, 283, 282, 295, 285, 336, 296, 334, 293, 300, 276),
    "right_eye": (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 33),
    "left_eye": (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263),
    "nose": (168, 6, 197, 195, 5, 4),
    "mouth": (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61),
}
OUTLINE_POINTS = [point for outline in OUTLINES.values() for point in outline]
_MIDDLES = np.zeros((len(REGIONS), 468), np.float32)  # (R, 468) @ landmarks (468, 2): middles of the regions
for _row, _points in zip(_MIDDLES, REGIONS.values(), strict=True):
    _row[list(_points)] = 1 / len(_points)
OUTLINE_ENDS = np.cumsum([len(outline) for outline in OUTLINES.values()])


class TraceLike(Protocol):
    """A row of the spotter's trace (bowam_stream.spotting.TraceRow): what it saw of one face in one frame."""

    @property
    def face(self) -> int: ...
    @property
    def signal(self) -> float | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def state(self) -> str: ...
    @property
    def motion_px(self) -> float: ...
    @property
    def doubt(self) -> str | None: ...
    @property
    def refused(self) -> str | None: ...
    @property
    def quality(self) -> tuple[str, ...]: ...
    @property
    def regions(self) -> Mapping[str, float]: ...


class FaceRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One face of one frame, and what the spotter saw of it."""

    track: int
    transform: tuple[float, ...] | None  # row by row, source px -> crop px; None: the face was not in this frame
    points: bytes  # int16 (points, 2) in 1/64 px of the crop: OUTLINE_POINTS, then the middle of each of REGIONS
    signal: float | None  # motion, in units of this face's baseline noise; None: nothing could be measured
    threshold: float | None  # a movement is suspected above it
    state: str  # of the spotter
    regions: dict[str, float]  # motion by region of the face
    motion_px: float | None = None  # of the region that moved farthest, px of the crop
    doubt: str | None = None  # why no event is made of the movement that is open
    refused: str | None = None  # why the movement that ended here was never announced
    quality: tuple[str, ...] = ()  # what is wrong with this face in this frame

    def outlines(self) -> dict[str, np.ndarray]:
        """Name -> float32 (points, 2) in pixels of the crop; empty where the face was not in the frame."""
        points = self._points()[: OUTLINE_ENDS[-1]]
        return dict(zip(OUTLINES, np.split(points, OUTLINE_ENDS[:-1]), strict=True)) if len(points) else {}

    def region_middles(self) -> dict[str, np.ndarray]:
        """Name -> float32 (2,) in pixels of the crop; empty where the face was not in the frame."""
        points = self._points()[OUTLINE_ENDS[-1] :]
        return dict(zip(REGIONS, points, strict=True)) if len(points) else {}

    def crop_to_source(self) -> np.ndarray | None:
        """Float64 (2, 3): crop pixels (x, y, 1) -> source pixels; None where the face was not in the frame."""
        if self.transform is None:
            return None
        return cv2.invertAffineTransform(np.array(self.transform, np.float64).reshape(2, 3))

    def _points(self) -> np.ndarray:
        return np.frombuffer(self.points, "<i2").reshape(-1, 2).astype(np.float32) / LANDMARK_STEPS_PER_PX


class FrameRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One frame of a run."""

    frame: int  # as in messages.Moment
    t_ns: int
    faces: tuple[FaceRecord, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A candidate and the frame that brought it."""

    frame: int
    track: int
    event_id: str
    phase: Phase


class Recorder:
    """Writes a record. A worker that starts over (a replay is fed again from frame 0) writes it anew."""

    def __init__(self, folder: Path, hello: Hello) -> None:
        self._folder = folder
        self._encoder = msgspec.msgpack.Encoder()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        (folder / "triples").mkdir()
        (folder / "hello.json").write_bytes(msgspec.json.encode(hello))
        self._frames = (folder / "frames.bin").open("wb", buffering=1 << 20)
        self._told = (folder / "told.bin").open("wb")
        self._last_frame = 0

    def frame(self, frame: AlignedFrame, trace: Sequence[TraceLike]) -> None:
        """Note one frame and the rows of the spotter that belong to it."""
        self._last_frame = frame.moment.frame
        self._write(self._frames, frame_record(frame, trace))

    def candidate(self, candidate: Candidate) -> None:
        """Note that the last frame brought a candidate; keep the three crops of one that the network looks at."""
        told = Told(
            frame=self._last_frame,
            track=candidate.face,
            event_id=candidate.event_id,
            phase=candidate.phase,
        )
        self._write(self._told, told)
        if candidate.triple is not None:
            triple = candidate.triple
            strip = np.hstack([triple.onset, triple.apex, triple.offset])
            _, png = cv2.imencode(".png", strip, [cv2.IMWRITE_PNG_COMPRESSION, 3])
            (self._folder / "triples" / f"{candidate.event_id}.png").write_bytes(png.tobytes())

    def close(self, end: EndOfStream | None = None) -> None:
        """Flush; `end` tells how the stream ended, if it did."""
        self._frames.close()
        self._told.close()
        if end is not None:
            (self._folder / "end.json").write_bytes(msgspec.json.encode(end))

    def _write(self, file: BinaryIO, record: FrameRecord | Told) -> None:
        body = self._encoder.encode(record)
        file.write(len(body).to_bytes(LENGTH_BYTES, "big"))
        file.write(body)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class Record:
    """Reads what a Recorder wrote, also where the writer was killed. Raises ReportError where there is no record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.hello = msgspec.json.decode((folder / "hello.json").read_bytes(), type=Hello)
            end = folder / "end.json"
            self.end = msgspec.json.decode(end.read_bytes(), type=EndOfStream) if end.exists() else None
        except (OSError, msgspec.DecodeError) as error:
            raise ReportError(
                f"no record of a run in {folder}: run again with --report, --overlay or --explain ({error})"
            ) from error

    def frames(self) -> Iterator[FrameRecord]:
        """Frame after frame, from disk: memory stays flat however long the run was."""
        decoder = msgspec.msgpack.Decoder(FrameRecord)
        yield from map(decoder.decode, self.bodies())

    def bodies(self) -> Iterator[bytes]:
        """The same before it is decoded, for whoever keeps the places of frames in the file."""
        return _bodies(self._folder / "frames.bin")

    def told(self) -> tuple[Told, ...]:
        """Which candidates came, and when, in their order."""
        decoder = msgspec.msgpack.Decoder(Told)
        return tuple(map(decoder.decode, _bodies(self._folder / "told.bin")))

    def has_triple(self, event_id: str) -> bool:
        """Whether the crops of an event were kept."""
        return self._triple(event_id).exists()

    def triple(self, event_id: str) -> Triple | None:
        """The three crops of one event; None if the network never looked at it."""
        path = self._triple(event_id)
        strip = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.exists() else None
        if strip is None:
            return None
        onset, apex, offset = (np.ascontiguousarray(crop) for crop in np.split(strip, 3, axis=1))
        return Triple(onset=onset, apex=apex, offset=offset)

    def _triple(self, event_id: str) -> Path:
        return self._folder / "triples" / f"{event_id}.png"


def _bodies(file: Path) -> Iterator[bytes]:
    """What stands in a file of records, up to the last whole one: its writer may have been killed."""
    with file.open("rb") as stream:
        while len(head := stream.read(LENGTH_BYTES)) == LENGTH_BYTES:
            body = stream.read(length := int.from_bytes(head, "big"))
            if len(body) < length:
                return
            yield body


def frame_record(frame: AlignedFrame, trace: Sequence[TraceLike], *, places: bool = True) -> FrameRecord:
    """One frame and the rows of the spotter that belong to it; without `places`, nothing says where a face was."""
    faces = {face.track: face for face in frame.faces} if places else {}
    rows = {row.face: row for row in trace}
    return FrameRecord(
        frame=frame.moment.frame,
        t_ns=frame.moment.t_ns,
        faces=tuple(_face_record(track, faces.get(track), rows.get(track)) for track in sorted({*faces, *rows})),
    )


def _face_record(track: int, face: Face | None, row: TraceLike | None) -> FaceRecord:
    return FaceRecord(
        track=track,
        transform=None if face is None else tuple(face.transform.ravel().tolist()),
        points=b"" if face is None else _packed(face.landmarks),
        signal=None if row is None or row.signal is None else float(row.signal),
        threshold=None if row is None or row.threshold is None else float(row.threshold),
        state="" if row is None else row.state,
        regions={} if row is None else {name: float(motion) for name, motion in row.regions.items()},
        motion_px=None if row is None else float(row.motion_px),
        doubt=None if row is None else row.doubt,
        refused=None if row is None else row.refused,
        quality=() if row is None else row.quality,
    )


def _packed(landmarks: np.ndarray) -> bytes:
    steps = np.rint(np.vstack([landmarks[OUTLINE_POINTS], _MIDDLES @ landmarks]) * LANDMARK_STEPS_PER_PX)
    return np.clip(steps, -32768, 32767).astype("<i2").tobytes()
