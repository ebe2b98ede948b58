"""Praat TextGrid, written by pympi: interval tiers that tile the time line, and the apex on a point tier.

`face 0 micro` from onset to offset, `face 0 micro apex` with the event's id, `face 0 micro judgement` if people judged.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bowam_stream.errors import ConfigError
from bowam_stream.formats.cells import one_line, remarks, what
from bowam_stream.formats.rows import SHORTEST_MS, Row, lanes, numbered

SUFFIX = ".TextGrid"


def render(rows: Sequence[Row]) -> dict[str, bytes]:
    """The file of one session, from its start to the end of its last event. Raises ConfigError if pympi is missing."""
    try:
        from pympi.Praat import TextGrid
    except ImportError:
        raise ConfigError("Praat needs pympi: pip install 'bowam-stream[formats]'") from None
    grid = TextGrid(xmin=0.0, xmax=max(row.until_ms for row in rows) / 1000)
    for (face, kind), side_by_side in lanes(rows).items():
        for number, lane in enumerate(side_by_side):
            name = numbered(f"face {face} {kind}", number)
            tier = grid.add_tier(name)
            for row in lane:
                tier.add_interval(*_interval(row), what(row), check=False)  # lanes never overlap
            apexes = grid.add_tier(f"{name} apex", tier_type="TextTier")
            for row in lane:
                apexes.add_point(row.apex_ms / 1000, one_line(row.event.event_id), check=False)
            if any(row.judgement for row in lane):
                tier = grid.add_tier(f"{name} judgement")
                for row in lane:
                    if row.judgement:
                        said = "; ".join(filter(None, (row.judgement.verdict, remarks(row))))
                        tier.add_interval(*_interval(row), said, check=False)
    with TemporaryDirectory() as folder:  # pympi writes to a path alone
        file = Path(folder) / "grid"
        grid.to_file(file)
        return {SUFFIX: file.read_bytes()}


def _interval(row: Row) -> tuple[float, float]:
    """Seconds."""
    return row.onset_ms / 1000, max(row.end_ms, row.onset_ms + SHORTEST_MS) / 1000
