"""Events beside the truth: which movements were found, which were missed, and which were never there.

The rule of the spotting challenges (MEGC; FIELD section 4): an event and a true movement belong together if their
intersection over union, counted in inclusive frames, is at least 0.5; each is used once. Only final events are scored,
and only against movements of their own kind: micro-expressions, unless macro-expressions are asked for.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bowam_stream.errors import ConfigError
from bowam_stream.messages import Event, Kind

MIN_IOU = 0.5


class TrueEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement that was put into a clip. Frames are inclusive and count from 0."""

    kind: str  # "micro", "macro", "blink", ...
    onset: int
    apex: int
    offset: int
    label: str | None = None
    stratum: str | None = None  # how hard it is to see, where that is known


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What really happens in a clip: the part of `truth.json` that a score needs."""

    fps: Annotated[float, msgspec.Meta(gt=0)]
    frames: Annotated[int, msgspec.Meta(ge=1)]
    events: tuple[TrueEvent, ...]
    plan: dict[str, Any] | None = None  # how `bowam synth` made the clip; a recording has none

    @property
    def synthetic(self) -> bool:
        """Whether nobody was filmed."""
        return self.plan is not None

    @property
    def minutes(self) -> float:
        """Length of the clip."""
        return self.frames / self.fps / 60.0

    def micro(self) -> tuple[TrueEvent, ...]:
        """The micro-expressions, by onset."""
        return self.of_kind("micro")

    def of_kind(self, kind: Kind) -> tuple[TrueEvent, ...]:
        """The movements that a score asks for, by onset."""
        return tuple(sorted((e for e in self.events if e.kind == kind), key=lambda e: (e.onset, e.offset)))


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that was found, and how well. Errors are estimate minus truth, in milliseconds of the clip."""

    truth: TrueEvent
    event: Event
    iou: float
    onset_error_ms: float
    apex_error_ms: float
    offset_error_ms: float

    @property
    def label_right(self) -> bool:
        """Whether the recogniser gave the true label."""
        return self.event.label == self.truth.label


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A run beside its truth."""

    found: tuple[Match, ...]
    missed: tuple[TrueEvent, ...]
    false: tuple[Event, ...]

    @property
    def precision(self) -> float:
        """Share of the events that are true; 0 without events."""
        return _share(len(self.found), len(self.found) + len(self.false))

    @property
    def recall(self) -> float:
        """Share of the true movements that were found; 0 without any."""
        return _share(len(self.found), len(self.found) + len(self.missed))

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 0 where nothing was there and nothing was found."""
        return _share(2 * len(self.found), 2 * len(self.found) + len(self.false) + len(self.missed))

    @property
    def labels_right(self) -> int:
        """How many of the found movements also have the true label."""
        return sum(match.label_right for match in self.found)


def read_truth(path: Path) -> Truth:
    """Read `truth.json`. Raises ConfigError where the file is missing or is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Truth)
    except OSError as error:
        raise ConfigError(f"cannot read the truth file {path.name}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path.name} is no truth file ({error}); `bowam synth` writes one beside each clip"
        ) from error


def final_of_kind(events: Iterable[Event], kind: Kind) -> tuple[Event, ...]:
    """The events that are scored, by onset."""
    chosen = (e for e in events if e.phase == "final" and e.kind == kind and e.offset is not None)
    return tuple(sorted(chosen, key=lambda e: (e.onset.frame, e.seq)))


def iou(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Intersection over union of two spans (first frame, last frame), both inclusive."""
    shared = min(first[1], second[1]) - max(first[0], second[0]) + 1
    if shared <= 0:
        return 0.0
    return shared / (first[1] - first[0] + second[1] - second[0] + 2 - shared)


def score(truth: Truth, events: Iterable[Event], kind: Kind = "micro") -> Score:
    """Match the final events of one kind with the true movements of that kind."""
    estimates, truths = final_of_kind(events, kind), truth.of_kind(kind)
    overlap = [[iou((t.onset, t.offset), _span(e)) for e in estimates] for t in truths]
    pairs = _assign(overlap)
    found = tuple(
        _match(truths[row], estimates[col], overlap[row][col], truth.fps) for row, col in sorted(pairs.items())
    )
    return Score(
        found=found,
        missed=tuple(t for row, t in enumerate(truths) if row not in pairs),
        false=tuple(e for col, e in enumerate(estimates) if col not in pairs.values()),
    )


def _assign(overlap: Sequence[Sequence[float]]) -> dict[int, int]:
    """Row -> column, as many pairs with an IoU of MIN_IOU or more as there can be (augmenting paths).

    Among spans that do not overlap each other, taking the best pair first is already exact: a span has at most one
    partner above 0.5, and ties at exactly 0.5 form stars. Two faces, or an overlapping truth, can break that.
    """
    owner: dict[int, int] = {}  # column -> row

    def place(row: int, tried: set[int]) -> bool:
        for col in sorted(range(len(overlap[row])), key=lambda c: -overlap[row][c]):
            if overlap[row][col] < MIN_IOU or col in tried:
                continue
            tried.add(col)
            if col not in owner or place(owner[col], tried):
                owner[col] = row
                return True
        return False

    # Best pairs first, so that a row moves to a worse partner only where that finds one more movement.
    for row in sorted(range(len(overlap)), key=lambda r: -max(overlap[r], default=0.0)):
        place(row, set())
    return {row: col for col, row in owner.items()}


def _match(true: TrueEvent, event: Event, overlap: float, fps: float) -> Match:
    frame_ms = 1000.0 / fps
    return Match(
        truth=true,
        event=event,
        iou=overlap,
        onset_error_ms=(event.onset.frame - true.onset) * frame_ms,
        apex_error_ms=(event.apex.frame - true.apex) * frame_ms,
        offset_error_ms=(_span(event)[1] - true.offset) * frame_ms,
    )


def _span(event: Event) -> tuple[int, int]:
    last = event.offset or event.apex
    return event.onset.frame, last.frame


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
