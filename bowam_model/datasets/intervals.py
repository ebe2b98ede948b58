"""Onset, apex and offset of a row as frames that lie on disk, with a note for whatever had to be changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bowam_model.datasets.description import Layout
from bowam_model.datasets.sample import Action, Finding, Kind
from bowam_model.datasets.sheets import whole_number

NEAR = 2  # frames: a bound that is not on disk may move by so much


class Unusable(Exception):
    """A row cannot become a sample, and why."""

    def __init__(self, action: Action, reason: str) -> None:
        super().__init__(reason)
        self.action = action


@dataclass
class Notes:
    """Collects findings about one row at a time."""

    where: str = ""
    what: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(self, action: Action, reason: str) -> None:
        """One more about the present row."""
        self.findings.append(Finding(action=action, where=self.where, what=self.what, reason=reason))


def find_interval(
    cells: Mapping[str, str],
    images: Mapping[int, Path],
    layout: Layout,
    folder: Path,
    fps: float | None,
    kind: Kind,
    longest_s: float,
    notes: Notes,
) -> tuple[int, int | None, int]:
    """Onset, apex (None: left open) and offset. Raises Unusable."""
    if not images:
        raise Unusable("missing", f"no images in {folder}")
    first, last = min(images), max(images)
    onset, apex, offset = (whole_number(cells.get(field)) for field in ("onset", "apex", "offset"))
    if "onset" not in cells and "offset" not in cells and layout.bounded:
        onset, offset = first, last
    if onset is None or onset < 0:
        onset = _stand_in(f"onset {cells.get('onset', '')!r} is no frame", first, "first", layout, notes)
    wrong = _wrong_offset(onset, offset, cells, fps, kind, longest_s)
    if offset is None or wrong:
        offset = _stand_in(wrong, last, "last", layout, notes)
    onset = _on_disk("onset", onset, images, notes)
    offset = _on_disk("offset", offset, images, notes)
    if offset <= onset:
        raise Unusable("skipped", f"nothing between onset {onset} and offset {offset}")
    return onset, _apex(cells.get("apex"), apex, onset, offset, images, notes), offset


def _wrong_offset(
    onset: int, offset: int | None, cells: Mapping[str, str], fps: float | None, kind: Kind, longest_s: float
) -> str:
    if offset is None or offset <= 0:
        return f"offset {cells.get('offset', '')!r} is no frame"
    if offset <= onset:
        return f"offset {offset} is not after onset {onset}"
    if kind == "micro" and fps is not None and offset - onset > longest_s * fps:
        return f"{(offset - onset) / fps:.0f} s from onset {onset} to offset {offset}"
    return ""


def _stand_in(trouble: str, number: int, which: str, layout: Layout, notes: Notes) -> int:
    if not layout.bounded:
        raise Unusable("skipped", trouble)
    notes.add("repaired", f"{trouble}; {which} image of the clip, {number}, taken")
    return number


def _on_disk(what: str, number: int, images: Mapping[int, Path], notes: Notes) -> int:
    if number in images:
        return number
    near = min(images, key=lambda other: abs(other - number))
    if abs(near - number) > NEAR:
        raise Unusable("missing", f"{what} {number} is not on disk ({min(images)} to {max(images)} are)")
    notes.add("repaired", f"{what} {number} is not on disk; {near} taken")
    return near


def _apex(
    text: str | None, apex: int | None, onset: int, offset: int, images: Mapping[int, Path], notes: Notes
) -> int | None:
    if text is None:
        return None
    trouble = ""
    if apex is None:
        trouble = f"apex {text!r} is no frame"
    elif apex == onset:
        trouble = f"apex {apex} is the onset, without any movement"
    elif not onset < apex <= offset:
        trouble = f"apex {apex} lies outside {onset} to {offset}"
    elif apex not in images:
        near = min(images, key=lambda other: abs(other - apex))
        if onset < near <= offset and abs(near - apex) <= NEAR:
            notes.add("repaired", f"apex {apex} is not on disk; {near} taken")
            return near
        trouble = f"apex {apex} is not on disk"
    if trouble:
        notes.add("repaired", f"{trouble}; left open")
        return None
    if apex == offset:
        notes.add("kept", f"apex {apex} is the offset too: the way back has no flow")
    return apex
