"""The report of many recordings: one HTML file, like that of one, with totals, a line for each, and what failed.

However many there are, a browser shows a page of them at a time: the lines stand in the file as data, and its script
sorts, filters and turns the pages. Without a script the first page is there.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from markupsafe import Markup

from bowam_stream.messages import Model
from bowam_stream.report import citation, origin
from bowam_stream.report.files import written_whole
from bowam_stream.report.html import PAGE, TEMPLATES, embedded
from bowam_stream.report.origin import Origin
from bowam_stream.report.overview import LOW_RATE_HZ, Tile
from bowam_stream.report.words import KINDS, QUALITY, plain

COUNTED = ("micro", "macro", "blink", "refused")
LEAST_FACE_S = 600.0  # with less than ten minutes of a face there is no figure per hour
HOUR_S = 3600.0
PAGE_ROWS = 100
MOST_ROWS = 20_000  # in the file, some 4 MB; all of them stand in manifest.jsonl and the journal
MOST_FAILURES = 500


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One recording."""

    name: str
    camera: str
    duration_s: float = 0.0
    frames: int = 0
    frames_with_face: int = 0
    faces: int = 0  # face tracks
    rate_hz: float | None = None
    counts: dict[str, int] = {}  # by COUNTED; refused are those taken back
    labels: dict[str, int] = {}
    quality: tuple[str, ...] = ()
    consent: bool | None = None
    model: Model | None = None
    failure: str | None = None

    @property
    def face_share(self) -> float:
        return self.frames_with_face / self.frames if self.frames else 0.0

    @property
    def face_s(self) -> float:
        """How long a face was in view, from the share of the frames."""
        return self.duration_s * self.face_share

    def per_hour(self, what: str) -> float | None:
        """With a face in view; None: it was there too briefly to say."""
        return None if self.face_s < LEAST_FACE_S else self.counts.get(what, 0) * HOUR_S / self.face_s


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happened."""

    what: str
    count: int
    per_hour: float | None  # with a face in view
    quartiles: tuple[float, float, float] | None  # of the recordings that have a rate


def write_corpus_report(
    path: Path,
    rows: Sequence[Row],
    *,
    title: str,
    left_out: Sequence[str] = (),
    settings: object = None,
    made: Origin | None = None,
) -> None:
    """Write the report. The same arguments give the same file, byte for byte. Raises ReportError."""
    done = [row for row in rows if row.failure is None]
    failed = [row for row in rows if row.failure is not None]
    models = sorted({row.model for row in done if row.model}, key=lambda model: (model.name, model.backend))
    lines = [_line(row) for row in done[:MOST_ROWS]]
    cited = citation.read_citation()
    page = TEMPLATES.get_template("corpus.html.jinja").render(
        title=title,
        done=done,
        failed=failed[:MOST_FAILURES],
        failures=len(failed),
        duration_s=sum(row.duration_s for row in done),
        face_s=sum(row.face_s for row in done),
        tiles=_tiles(done, failed),
        warnings=_warnings(done, len(failed), models, left_out),
        rates=rates(done),
        first=done[:PAGE_ROWS],
        lines=embedded(lines),
        listed=len(lines),
        page_rows=PAGE_ROWS,
        hello={"consent": _consent(done)},
        books=[],
        personal="Names of recordings may tell who is in them: keep and share this file as personal data.",
        model=models[0] if len(models) == 1 else None,
        settings=origin.flat(settings),
        versions=origin.versions(),
        made=made,
        citation=cited,
        bibtex=citation.bibtex(cited),
        style=Markup((PAGE / "style.css").read_text(encoding="utf-8")),
        script=Markup((PAGE / "corpus.js").read_text(encoding="utf-8")),
    )
    with written_whole(path) as part:
        part.write_text(page, encoding="utf-8")


def rates(rows: Sequence[Row]) -> list[Rate]:
    """How often, over all time with a face in view and by recording."""
    face_s = sum(row.face_s for row in rows)
    found = []
    for what in COUNTED:
        count = sum(row.counts.get(what, 0) for row in rows)
        each = [rate for row in rows if (rate := row.per_hour(what)) is not None]
        low, middle, high = np.percentile(each, (25, 50, 75)).tolist() if each else (0.0, 0.0, 0.0)
        found.append(
            Rate(
                what=what,
                count=count,
                per_hour=count * HOUR_S / face_s if face_s >= LEAST_FACE_S else None,
                quartiles=(low, middle, high) if len(each) > 1 else None,
            )
        )
    return found


def _tiles(done: Sequence[Row], failed: Sequence[Row]) -> list[Tile]:
    counts = {what: sum(row.counts.get(what, 0) for row in done) for what in COUNTED}
    labels = sum((Counter(row.labels) for row in done), Counter[str]())
    said = ", ".join(f"{count:,} {label}" for label, count in sorted(labels.items()))

    def counted(kind: str) -> tuple[str, str]:
        return f"{counts[kind]:,}", plain(kind, KINDS) + ("" if counts[kind] == 1 else "s")

    total = len(done) + len(failed)
    return [
        (
            f"{len(done):,}",
            "recording" if len(done) == 1 else "recordings",
            f"of {total:,}, {len(failed):,} failed" if failed else "all that there are",
        ),
        (*counted("micro"), said or "none recognised"),
        (*counted("macro"), "longer than half a second"),
        (*counted("blink"), "confined to the eyes"),
        (f"{counts['refused']:,}", "taken back", "announced, and then refused"),
    ]


def _warnings(done: Sequence[Row], failures: int, models: Sequence[Model], left_out: Sequence[str]) -> list[str]:
    lines = []
    if failures:
        lines.append(f"{_recordings(failures)} failed and counted nowhere; the same command tries again.")
    if unseen := sum(not row.frames_with_face for row in done):
        lines.append(f"No face was found in {_recordings(unseen)}: nothing could be looked at.")
    words = Counter(word for row in done for word in _quality(row))
    lines += [f"{plain(word, QUALITY).rstrip('.')} ({_recordings(count)})." for word, count in sorted(words.items())]
    if len(models) > 1:
        names = "; ".join(f"{model.name} {model.weights[:14]} by {model.backend}" for model in models)
        lines.append(f"Not all machines computed the network alike ({names}): last digits may differ between them.")
    lines += [f"Left out: {what}." for what in left_out]
    return lines


def _quality(row: Row) -> tuple[str, ...]:
    slow = row.rate_hz is not None and row.rate_hz < LOW_RATE_HZ
    return tuple(sorted({*row.quality, *(("low_frame_rate",) if slow else ())}))


def _line(row: Row) -> list[Any]:
    """A recording as the page's script takes it, in the order of the columns."""
    rate = row.per_hour("micro")
    return [
        row.name,
        row.camera,
        round(row.duration_s, 1),
        round(100 * row.face_share),
        *(row.counts.get(what, 0) for what in COUNTED),
        None if rate is None else round(rate, 1),
        row.faces,
        None if row.rate_hz is None else round(row.rate_hz, 2),
        ", ".join(_quality(row)),
    ]


def _consent(rows: Sequence[Row]) -> bool | str | None:
    said = {row.consent for row in rows}
    return "mixed" if len(said) > 1 else next(iter(said), None)


def _recordings(count: int) -> str:
    return f"{count:,} {'recording' if count == 1 else 'recordings'}"
