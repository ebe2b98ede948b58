"""What every data set becomes: samples, and a finding for each row that is not taken as the sheet has it.

Frame numbers are absolute and inclusive, as in the sheets and in the names of the images; of a video they count decoded
frames from 0.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NewType

Kind = Literal["micro", "macro", "blink"]
Action = Literal["kept", "repaired", "skipped", "missing"]
Key = NewType("Key", str)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Images on disk. `numbers` is ascending and lies in onset..offset; `paths` goes with it."""

    numbers: tuple[int, ...]
    paths: tuple[Path, ...]

    def nearest(self, number: int) -> Path:
        """The image of that frame, or of the nearest one (the earlier of two)."""
        after = bisect_left(self.numbers, number)
        around = range(max(after - 1, 0), min(after + 1, len(self.numbers)))
        return self.paths[min(around, key=lambda index: abs(self.numbers[index] - number))]


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video file; the sample's frame numbers count its decoded frames from 0."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class FlowImage:
    """A picture whose channels are a ready flow (red u, green v, blue optical strain), of any size."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One expression of one person."""

    dataset: str  # name of the description, such as casme2
    subject: str  # one spelling for each person of the data set
    clip: str  # unique for the subject
    recording: str  # the clip or long video that holds it
    kind: Kind
    emotion: str  # the sheet's word, in lower case and mended spelling
    label: str  # the class in the chosen view
    onset: int | None  # None: a ready flow
    apex: int | None  # None: not annotated, or of no use; spot it, or take `middle`
    offset: int | None
    fps: float | None  # None: not known
    aus: tuple[str, ...]  # such as ("4", "L10")
    media: Frames | Video | FlowImage
    cropped: bool  # the pictures show the face alone

    @property
    def middle(self) -> int | None:
        """The frame half way from onset to offset: the usual stand-in for an apex that nobody annotated."""
        return None if self.onset is None or self.offset is None else (self.onset + self.offset) // 2

    def triple(self) -> tuple[Path, Path, Path]:
        """Paths of the onset, apex (or middle) and offset images. Raises TypeError for videos and ready flows."""
        if not isinstance(self.media, Frames) or self.onset is None or self.offset is None:
            raise TypeError(f"{self.dataset} {self.subject} {self.clip} has no images")
        apex = self.middle if self.apex is None else self.apex
        assert apex is not None
        return self.media.nearest(self.onset), self.media.nearest(apex), self.media.nearest(self.offset)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A row (or file) that was not simply taken, and why."""

    action: Action  # kept: odd, used as it is; repaired: used otherwise; skipped: of no use; missing: not on disk
    where: str  # such as "row 17", a path, or a list's line
    what: str  # subject and clip, as far as they are known
    reason: str


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The published counts. None or empty: not published, or not known to us."""

    samples: int | None = None
    subjects: int | None = None
    labels: tuple[tuple[str, int], ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A data set as it was found. Samples and findings stand in the order of the sheet."""

    title: str
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]
    expected: Expected
    sources: tuple[Path, ...]  # sheets and folders that were read
    synthetic: bool = False  # animated by `bowam synth corpus`, not recorded

    def subjects(self) -> dict[tuple[str, str], Counter[str]]:
        """(dataset, subject) -> how often each label occurs. Two data sets may use one name for two people."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for sample in self.samples:
            found.setdefault((sample.dataset, sample.subject), Counter())[sample.label] += 1
        return dict(sorted(found.items()))

    def labels(self) -> Counter[str]:
        """How often each label occurs."""
        return Counter(sample.label for sample in self.samples)

    def kinds(self) -> Counter[str]:
        """How often each kind occurs."""
        return Counter(sample.kind for sample in self.samples)


def key(name: str) -> Key:
    """What two spellings of one name share: letter case and leading zeros do not count (`s01_ne_01` is `s1_ne_01`)."""
    parts: list[str] = []
    digits = ""
    for character in name.strip().casefold() + "\0":
        if character.isdecimal():
            digits += character
            continue
        if digits:
            parts.append(str(int(digits)))
            digits = ""
        parts.append(character)
    return Key("".join(parts).rstrip("\0"))
