"""The last ten minutes of one camera's motion signal, in arrays that never grow."""

import itertools

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.report.record import FaceRecord, FrameRecord

SPAN_NS = 600 * NS_PER_SECOND
MOST_ROWS = 600 * 200  # ten minutes at 200 frames per second
STATES = ("", "rest", "open", "told", "slow")  # of the spotter; a row holds the index


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Some frames, in order. Arrays of one length."""

    t_ns: np.ndarray  # int64
    frame: np.ndarray  # int64
    signal: np.ndarray  # float32; NaN where nothing could be measured
    threshold: np.ndarray  # float32; NaN likewise
    state: np.ndarray  # int8, index into STATES

    def __len__(self) -> int:
        return len(self.t_ns)

    def thinned(self, most: int) -> "Rows":
        """At most about `most` rows: of each bin the one with the highest signal, so that no peak is lost."""
        if len(self) <= most:
            return self
        edges = np.linspace(0, len(self), most + 1).astype(np.int64)
        height = np.where(np.isnan(self.signal), -1.0, self.signal)
        picks = np.array([a + int(np.argmax(height[a:b])) for a, b in itertools.pairwise(edges)])
        return self.picked(picks)

    def picked(self, picks: np.ndarray | slice) -> "Rows":
        """Some of these rows."""
        return Rows(**{name: getattr(self, name)[picks] for name in self.__struct_fields__})


def shown_face(record: FrameRecord) -> FaceRecord | None:
    """Of many faces, the one that moves most: the one that an event may be made of."""
    return max(record.faces, key=lambda face: (face.signal is not None, face.signal or 0.0), default=None)


class Ring:
    """Frames come in at one end, and those of more than ten minutes ago go at the other."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most = most_rows
        self._rows = Rows(
            t_ns=np.zeros(most_rows, np.int64),
            frame=np.zeros(most_rows, np.int64),
            signal=np.zeros(most_rows, np.float32),
            threshold=np.zeros(most_rows, np.float32),
            state=np.zeros(most_rows, np.int8),
        )
        self.count = 0  # of all rows that ever came: a reader remembers it as its place
        self._first = 0  # number of the oldest row that still holds

    def push(self, record: FrameRecord) -> None:
        """Take a frame. Time that goes back is another recording: what was before it is forgotten."""
        rows, place = self._rows, self.count % self._most
        if self.count > self._first and record.t_ns <= rows.t_ns[(self.count - 1) % self._most]:
            self._first = self.count
        face = shown_face(record)
        rows.t_ns[place], rows.frame[place] = record.t_ns, record.frame
        rows.signal[place] = np.nan if face is None or face.signal is None else face.signal
        rows.threshold[place] = np.nan if face is None or face.threshold is None else face.threshold
        rows.state[place] = 0 if face is None else state_code(face.state)
        self.count += 1
        self._first = max(self._first, self.count - self._most)

    def since(self, place: int, *, most: int | None = None) -> Rows:
        """The rows that came after `place`, a former `count`; of those, the last `most`."""
        first = max(place, self._first, 0 if most is None else self.count - most)
        return self._rows.picked(np.arange(first, max(first, self.count)) % self._most)

    def all(self) -> Rows:
        """Ten minutes at most."""
        rows = self.since(self._first)
        if not len(rows):
            return rows
        return rows.picked(slice(int(np.searchsorted(rows.t_ns, rows.t_ns[-1] - SPAN_NS)), None))


def around(rows: Rows, t_ns: int, reach_ns: int) -> Rows:
    """The rows within `reach_ns` before and after a moment."""
    first, last = np.searchsorted(rows.t_ns, [t_ns - reach_ns, t_ns + reach_ns + 1])
    return rows.picked(slice(int(first), int(last)))


def state_code(state: str) -> int:
    """Index into STATES; one that is not known is none."""
    return STATES.index(state) if state in STATES else 0


def to_browser(rows: Rows, base_ns: int) -> dict[str, list[float | None]]:
    """Lists that become JSON: milliseconds since `base_ns`, signal and threshold (None: not measured), state."""

    def values(numbers: np.ndarray) -> list[float | None]:
        known = ~np.isnan(numbers)
        return [round(v, 2) if k else None for v, k in zip(numbers.tolist(), known.tolist(), strict=True)]

    t_ms = ((rows.t_ns - base_ns) / NS_PER_MS).round(1).tolist()
    return {"t": t_ms, "s": values(rows.signal), "h": values(rows.threshold), "z": rows.state.tolist()}
