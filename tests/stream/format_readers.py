"""Opens exported files with programs that are not ours, and gives each event's times back, in milliseconds."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
from praatio import textgrid as praatio_textgrid
from pympi import Eaf, TextGrid

Times = dict[str, tuple[int, int, int | None]]  # event_id -> onset, apex, offset


def whole(seconds: float) -> int:
    """Seconds that were read, as milliseconds; fails if they are no whole ones."""
    ms = round(seconds * 1000)
    assert abs(seconds * 1000 - ms) < 1e-4, f"{seconds} s is no whole millisecond"
    return ms


def frame(content: bytes, **options: Any) -> pandas.DataFrame:
    """A table as pandas sees it, texts left as they are."""
    return pandas.read_csv(io.BytesIO(content), keep_default_na=False, **options)


def of_csv(content: bytes) -> Times:
    table = pandas.read_csv(io.BytesIO(content), dtype={"event_id": str})
    return {
        row.event_id: (row.onset_ms, row.apex_ms, None if pandas.isna(row.offset_ms) else int(row.offset_ms))
        for row in table.itertuples()
    }


def of_jsonl(content: bytes) -> Times:
    events = [json.loads(line) for line in content.split(b"\n")[:-1]]
    return {
        one["event_id"]: tuple(one["times"][f"{name}_ms"] for name in ("onset", "apex", "offset")) for one in events
    }


def of_bids(content: bytes) -> Times:
    table = pandas.read_csv(io.BytesIO(content), sep="\t", na_values=["n/a"], dtype={"event_id": str})
    times: Times = {}
    for row in table.itertuples():
        onset = whole(row.onset)
        end = None if pandas.isna(row.duration) else onset + whole(row.duration)
        times[row.event_id] = (onset, whole(row.apex), end)
    return times


def of_boris(content: bytes) -> Times:
    found: dict[str, dict[str, int]] = {}
    for row in csv.DictReader(io.StringIO(content.decode(), newline=""), dialect="excel-tab"):
        found.setdefault(row["Comment"].split()[0], {})[row["Behavior type"]] = whole(float(row["Time"]))
    return {name: (one["START"], one["POINT"], one["STOP"]) for name, one in found.items()}


def of_elan(content: bytes, folder: Path) -> Times:
    file = folder / "read.eaf"
    file.write_bytes(content)
    eaf = Eaf(file)
    intervals, points = {}, {}
    for name in eaf.get_tier_names():
        if name.endswith(" apex"):
            points[name.removesuffix(" apex")] = sorted(eaf.get_annotation_data_for_tier(name))
        elif not name.endswith((" verdict", " note")):
            intervals[name] = sorted(eaf.get_annotation_data_for_tier(name))
    return _joined(intervals, {k: [(begin, text) for begin, _, text in v] for k, v in points.items()})


def of_textgrid(content: bytes, folder: Path) -> Times:
    """Read twice: by pympi, which must see intervals that tile the time line, and by praatio."""
    file = folder / "read.TextGrid"
    file.write_bytes(content)
    grid = TextGrid(file)
    for tier in grid.get_tiers():
        if tier.tier_type == "IntervalTier":
            edges = [tier.xmin, *(end for _, end, _ in tier.intervals)]
            assert [begin for begin, _, _ in tier.intervals] == edges[:-1]
            assert edges[-1] == tier.xmax == grid.xmax
    other = praatio_textgrid.openTextgrid(str(file), includeEmptyIntervals=False)
    intervals, points = {}, {}
    for name in other.tierNames:
        entries = other.getTier(name).entries
        if name.endswith(" apex"):
            points[name.removesuffix(" apex")] = [(whole(one.time), one.label) for one in entries]
        elif not name.endswith(" judgement"):
            intervals[name] = [(whole(one.start), whole(one.end), one.label) for one in entries]
    return _joined(intervals, points)


def _joined(intervals: Mapping[str, list[Any]], points: Mapping[str, list[Any]]) -> Times:
    """The nth apex of a tier belongs to its nth interval."""
    assert intervals.keys() == points.keys()
    return {
        name: (begin, apex, end)
        for tier, lane in intervals.items()
        for (begin, end, _), (apex, name) in zip(lane, points[tier], strict=True)
    }
