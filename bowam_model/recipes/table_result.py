"""A table of the paper, run: its rows with the paper's figures beside ours, as plain values for JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bowam_model.evaluation import Estimate
from bowam_model.recipes.cost import NetworkCost
from bowam_model.recipes.tables import Figures, Row, Table

SYNTHETIC = "SYNTHETIC"
PROTOCOLS = (
    "Protocol: the paper's figures most probably come from the epoch that was best on each test subject (the released "
    "code keeps that one); ours come from a number of epochs that was fixed beforehand, with no chance at the test. "
    "Figures of the two kinds do not compare: choosing by the test lifts published networks by 0.06 to 0.14."
)
UNPUBLISHED = (
    "Not published, so assumed by us: Farneback's parameters, how a flow was painted with colours, by how much these "
    "were jittered, and whatever `bowam_model/recipes/tables.py` names as our assumption."
)
SCORES = ("uf1", "uar")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The scores of one column."""

    uf1: Estimate
    uar: Estimate


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a row reached."""

    columns: Mapping[str, Pair]  # a data set that the examples do not have is missing
    oracle: Figures | None  # overall, with the epoch that the test subject likes best: a leak, shown where asked for
    epochs: int
    samples_seen: int  # of all folds and seeds
    subjects: int
    clips: int
    examples: str  # SHA-256
    synthetic: bool
    folder: str  # of the run, below the table's


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row, run."""

    row: Row
    measured: Measured
    cost: NetworkCost | None  # None: no network


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """A table, run: with these settings, on these data."""

    table: Table
    rows: tuple[RowResult, ...]
    differences: tuple[str, ...]  # from the paper, one a line
    synthetic: bool
    settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        number = self.table.name.removeprefix("table")
        return f"{SYNTHETIC}: " * self.synthetic + f"Table {number} of the paper, {self.table.title}"

    def columns_of(self, one: RowResult) -> tuple[str, ...]:
        """The table's columns that this row has; a data set that the examples do not have is missing."""
        return tuple(column for column in self.table.columns if column in one.measured.columns)


def beside(one: RowResult, column: str, score: str) -> tuple[float | None, Estimate]:
    """The paper's figure, where it has one, and ours."""
    printed = one.row.paper.get(column)
    return None if printed is None else getattr(printed, score), getattr(one.measured.columns[column], score)


def as_plain(result: TableResult) -> dict[str, Any]:
    """What the JSON holds."""
    return {
        "schema": "bowam.table/1",
        "table": result.table.name,
        "title": result.title,
        "synthetic": result.synthetic,
        "differs_from_the_paper": list(result.differences),
        "protocol": PROTOCOLS,
        "assumed": UNPUBLISHED,
        "settings": dict(result.settings),
        "rows": [_plain_row(result, one) for one in result.rows],
    }


def _plain_row(result: TableResult, one: RowResult) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in result.columns_of(one):
        columns[column] = {}
        for score in SCORES:
            paper, ours = beside(one, column, score)
            columns[column][score] = {
                "paper": paper,
                "ours": round(ours.mean, 6),
                "low": round(ours.low, 6),
                "high": round(ours.high, 6),
                "std_between_seeds": round(ours.std, 6),
                "difference": None if paper is None else round(ours.mean - paper, 6),
            }
    measured = asdict(one.measured)
    return {
        "name": one.row.name,
        "title": one.row.title,
        "columns": columns,
        "oracle": measured["oracle"],
        "run": {key: measured[key] for key in ("epochs", "samples_seen", "subjects", "clips", "examples", "folder")},
        "cost": None if one.cost is None else asdict(one.cost),
        "paper_cost": None if one.row.cost is None else asdict(one.row.cost),
    }
