"""What `bowam replay --keep FOLDER` left, by time: the signal of every frame, the face at any one, the three crops.

The record is read once, forwards; of every frame 33 bytes stay in memory, and its place in the file.
"""

from pathlib import Path

import msgspec
import numpy as np

from bowam_stream.errors import ReportError
from bowam_stream.page.ring import Rows, shown_face, state_code
from bowam_stream.report.pictures import EventPictures, event_pictures
from bowam_stream.report.record import JOURNAL_FILE, LENGTH_BYTES, RECORD_FOLDER, FaceRecord, FrameRecord, Record


class Kept:
    """One replay. Raises ReportError where the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / JOURNAL_FILE
        self.record = Record(folder / RECORD_FOLDER)
        if not self.journal.is_file():
            raise ReportError(f"no journal in {folder}; name a folder that `bowam replay --keep` wrote")
        self._file = folder / RECORD_FOLDER / "frames.bin"
        self._decoder = msgspec.msgpack.Decoder(FrameRecord)
        self.rows, self._places = self._read()

    def _read(self) -> tuple[Rows, np.ndarray]:
        table: list[tuple[int, int, float, float, int]] = []
        places: list[int] = []
        place = 0
        for body in self.record.bodies():
            record = self._decoder.decode(body)
            face = shown_face(record)
            nothing = float("nan")
            signal = nothing if face is None or face.signal is None else face.signal
            threshold = nothing if face is None or face.threshold is None else face.threshold
            state = 0 if face is None else state_code(face.state)
            table.append((record.t_ns, record.frame, signal, threshold, state))
            places.append(place)
            place += LENGTH_BYTES + len(body)
        t_ns, frame, signals, thresholds, states = zip(*table, strict=True) if table else ((),) * 5
        rows = Rows(
            t_ns=np.array(t_ns, np.int64),
            frame=np.array(frame, np.int64),
            signal=np.array(signals, np.float32),
            threshold=np.array(thresholds, np.float32),
            state=np.array(states, np.int8),
        )
        return rows, np.array(places, np.int64)

    @property
    def span_ns(self) -> tuple[int, int]:
        """Times of the first and the last frame."""
        return (int(self.rows.t_ns[0]), int(self.rows.t_ns[-1])) if len(self.rows) else (0, 0)

    def row_at(self, t_ns: int) -> int:
        """Index of the frame that is nearest to a moment."""
        after = int(np.searchsorted(self.rows.t_ns, t_ns))
        if after == 0:
            return 0
        if after == len(self.rows) or t_ns - self.rows.t_ns[after - 1] <= self.rows.t_ns[after] - t_ns:
            return after - 1
        return after

    def face_at(self, row: int) -> FaceRecord | None:
        """The face of a frame, with its outlines and regions, from disk."""
        if not 0 <= row < len(self.rows):
            return None
        with self._file.open("rb") as file:
            file.seek(int(self._places[row]))
            length = int.from_bytes(file.read(LENGTH_BYTES), "big")
            return shown_face(self._decoder.decode(file.read(length)))

    def has_pictures(self, event_id: str) -> bool:
        """Whether the network looked at it."""
        return self.record.has_triple(event_id)

    def pictures(self, event_id: str, *, faces: bool) -> EventPictures | None:
        """Drawn anew from the crops, which takes some hundredths of a second; None where the network never looked."""
        triple = self.record.triple(event_id)
        return None if triple is None else event_pictures(triple, faces=faces)
