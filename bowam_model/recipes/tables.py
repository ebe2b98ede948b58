"""The paper's Tables 1 to 11 as declarations: what each row is, and what the paper says it reaches.

A row says only in what it departs from the paper's best network (`bowam`, fusion "add"), which is a row of most tables;
`bowam_model.recipes.reproduce` runs rows. Printed figures are data here, and nowhere used but beside ours.

Our assumptions, where the paper leaves room or our source (FIELD: a digest of the paper's figures) does not tell:

- Table 1 is the MEGC2019 composite, overall and by data set; its baseline is the first row of Table 4 (ConvNeXt-T on
  traditional flow), of which only the overall figure is known to us.
- Table 2 is CAS(ME)^3 part A in 3, 4 and 7 classes, by leave-one-subject-out. Table 3 is DFME in 7 classes; the paper's
  figure belongs to the official test set B of CCAC2024, ours to ten folds over subjects of all parts, because a sample
  does not tell which part it is from.
- Tables 4 to 11 are the composite, overall. "+ channel" and "+ spatial" of Table 4 each add one attention to the
  wavelet row, "all" has both.
- In Table 11(a) hand-made descriptors enter the same network as maps, painted on the face. How they do in their own
  setting, a support vector machine, stands beside them, without a figure of the paper. Both see traditional flow, as in
  their own papers. (Bi-WOOF's figures are printed digit for digit as those of "concat" in Table 5.)
- For Table 11(b) see `wavelets.Fourier` and `attention.Stfa`: the paper names the methods, not how they are built in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bowam_model.errors import OptionError
from bowam_model.flow import Fusion

Rival = Literal["bi-woof", "bi-woof-svm", "mdmo", "mdmo-svm"]

OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """UF1 and UAR as printed."""

    uf1: float
    uar: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Table 10 as printed: the paper calls multiply-adds FLOPs, and its profiler overlooks layer norm and scale."""

    parameters_m: float  # 1e6
    multiply_adds_g: float  # 1e9


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be recognised in which data set, and how people are parted."""

    dataset: str  # as `bowam dataset check` knows it
    classes: str | None  # which view of it; None: it has one
    title: str
    folds: int | None  # over subjects; None: one subject is left out at a time
    differs: str = ""  # how that departs from the paper, where it does


MEGC = Task(dataset="megc2019", classes=None, title="MEGC2019 composite, 3 classes", folds=None)
CASME3 = {
    classes: Task(dataset="casme3", classes=classes, title=f"CAS(ME)^3 part A, {classes} classes", folds=None)
    for classes in ("3", "4", "7")
}
DFME = Task(
    dataset="dfme",
    classes="7",
    title="DFME, 7 classes",
    folds=10,
    differs="people: folds over all subjects instead of the official test set B of CCAC2024",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: in what it departs from the paper's best network."""

    name: str  # one word; unique in its table
    title: str  # as a reader of the paper knows it
    paper: Mapping[str, Figures] = field(default_factory=dict)  # by column, where the paper has a figure
    task: Task = MEGC
    fusion: Fusion = "add"
    options: Mapping[str, Any] = field(default_factory=dict)  # of `create_model`
    stages: int = 0  # how many stages more (or fewer) than the network has
    rival: Rival | None = None  # a hand-made descriptor in place of flow
    cost: Cost | None = None  # Table 10


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper."""

    name: str  # "table4"
    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = (OVERALL,)  # and data sets

    def row(self, name: str) -> Row:
        """The row of that name. Raises OptionError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise OptionError(f"{self.name} has no row {name!r}: use one of {', '.join(row.name for row in self.rows)}")


def _overall(uf1: float, uar: float) -> dict[str, Figures]:
    return {OVERALL: Figures(uf1=uf1, uar=uar)}


OURS = _overall(0.9090, 0.9103)
NO_WAVELET = {"placement": "none"}
NO_ATTENTION = {"spatial": False, "channel": False}


def _ours(name: str, title: str, cost: Cost | None = None) -> Row:
    """The paper's best network, under the name that it has in a table."""
    return Row(name=name, title=title, paper=OURS, cost=cost)


TABLE_1 = Table(
    name="table1",
    title="MEGC2019",
    columns=(OVERALL, "smic", "samm", "casme2"),
    rows=(
        Row(
            name="baseline",
            title="plain ConvNeXt, traditional flow",
            paper=_overall(0.8580, 0.8689),
            fusion="traditional",
            options=NO_WAVELET,
        ),
        Row(
            name="bowam",
            title="BOWAM",
            paper={
                **OURS,
                "smic": Figures(uf1=0.8529, uar=0.8573),
                "samm": Figures(uf1=0.8941, uar=0.8714),
                "casme2": Figures(uf1=0.9861, uar=0.9924),
            },
        ),
    ),
)

TABLE_2 = Table(
    name="table2",
    title="CAS(ME)^3",
    rows=(
        Row(name="3-class", title="BOWAM, 3 classes", paper=_overall(0.8078, 0.7998), task=CASME3["3"]),
        Row(name="4-class", title="BOWAM, 4 classes", paper=_overall(0.6698, 0.6781), task=CASME3["4"]),
        Row(name="7-class", title="BOWAM, 7 classes", paper=_overall(0.5019, 0.5031), task=CASME3["7"]),
    ),
)

TABLE_3 = Table(
    name="table3",
    title="DFME",
    rows=(Row(name="bowam", title="BOWAM", paper=_overall(0.3921, 0.4124), task=DFME),),
)

TABLE_4 = Table(
    name="table4",
    title="What each part adds",
    rows=(
        Row(
            name="traditional",
            title="traditional flow",
            paper=_overall(0.8580, 0.8689),
            fusion="traditional",
            options=NO_WAVELET,
        ),
        Row(name="bidirectional", title="bidirectional flow", paper=_overall(0.8762, 0.8709), options=NO_WAVELET),
        Row(name="wavelet", title="+ wavelet, no attention", paper=_overall(0.8802, 0.8873), options=NO_ATTENTION),
        Row(name="channel", title="+ channel attention", paper=_overall(0.8966, 0.9043), options={"spatial": False}),
        Row(name="spatial", title="+ spatial attention", paper=_overall(0.8993, 0.9077), options={"channel": False}),
        _ours("all", "+ both"),
    ),
)

TABLE_5 = Table(
    name="table5",
    title="Fusion of the two flows",
    rows=(
        _ours("add", "add"),
        Row(name="multiply", title="multiply", paper=_overall(0.8646, 0.8777), fusion="multiply"),
        Row(name="concat", title="concatenate", paper=_overall(0.8706, 0.8817), fusion="concat"),
    ),
)

TABLE_6 = Table(
    name="table6",
    title="Perceptron of the channel attention",
    rows=(
        _ours("shared", "shared"),
        Row(name="separate", title="separate", paper=_overall(0.8928, 0.9002), options={"channel_mlp": "separate"}),
    ),
)

TABLE_7 = Table(
    name="table7",
    title="Wavelet",
    rows=(
        _ours("haar", "Haar"),
        Row(name="db4", title="Daubechies 4", paper=_overall(0.8954, 0.9033), options={"wavelet": "db4"}),
        Row(name="sym5", title="Symlet 5", paper=_overall(0.8913, 0.9006), options={"wavelet": "sym5"}),
        Row(name="bior", title="biorthogonal", paper=_overall(0.8869, 0.8979), options={"wavelet": "bior"}),
        Row(name="coif5", title="Coiflet 5", paper=_overall(0.8889, 0.8993), options={"wavelet": "coif5"}),
    ),
)

TABLE_8 = Table(
    name="table8",
    title="Ratio of the channel attention",
    rows=(
        Row(name="4", title="ratio 4", paper=_overall(0.8915, 0.8979), options={"channel_ratio": 4}),
        Row(name="8", title="ratio 8", paper=_overall(0.8960, 0.9047), options={"channel_ratio": 8}),
        _ours("16", "ratio 16"),
        Row(name="32", title="ratio 32", paper=_overall(0.8848, 0.8917), options={"channel_ratio": 32}),
    ),
)

TABLE_9 = Table(
    name="table9",
    title="Kernel of the spatial attention",
    rows=(
        _ours("3", "3x3"),
        Row(name="5", title="5x5", paper=_overall(0.8824, 0.8904), options={"spatial_kernel": 5}),
        Row(name="7", title="7x7", paper=_overall(0.8784, 0.8866), options={"spatial_kernel": 7}),
    ),
)

TABLE_10 = Table(
    name="table10",
    title="Number of stages",
    rows=(
        Row(
            name="3",
            title="3 stages",
            paper=_overall(0.8811, 0.8877),
            stages=-1,
            cost=Cost(parameters_m=13.99, multiply_adds_g=3.71),
        ),
        _ours("4", "4 stages", Cost(parameters_m=31.45, multiply_adds_g=4.47)),
        Row(
            name="5",
            title="5 stages",
            paper=_overall(0.8943, 0.8998),
            stages=1,
            cost=Cost(parameters_m=96.30, multiply_adds_g=7.28),
        ),
    ),
)

TABLE_11 = Table(
    name="table11",
    title="Other descriptors (a) and other transforms (b)",
    rows=(
        Row(
            name="bi-woof",
            title="(a) Bi-WOOF in the network",
            paper=_overall(0.8706, 0.8817),
            fusion="traditional",
            rival="bi-woof",
        ),
        Row(name="bi-woof-svm", title="(a) Bi-WOOF, SVM", fusion="traditional", rival="bi-woof-svm"),
        Row(
            name="mdmo",
            title="(a) MDMO in the network",
            paper=_overall(0.8742, 0.8858),
            fusion="traditional",
            rival="mdmo",
        ),
        Row(name="mdmo-svm", title="(a) MDMO, SVM", fusion="traditional", rival="mdmo-svm"),
        Row(
            name="fourier",
            title="(b) Fourier in place of wavelet",
            paper=_overall(0.8677, 0.8777),
            options={"wavelet": "fourier"},
        ),
        Row(
            name="stfa",
            title="(b) Freq-HD STFA in place of WADM",
            paper=_overall(0.8564, 0.8667),
            options={"attention": "stfa"},
        ),
        _ours("bowam", "BOWAM"),
    ),
)

TABLES = {
    table.name: table
    for table in (
        TABLE_1,
        TABLE_2,
        TABLE_3,
        TABLE_4,
        TABLE_5,
        TABLE_6,
        TABLE_7,
        TABLE_8,
        TABLE_9,
        TABLE_10,
        TABLE_11,
    )
}


def find_table(name: str) -> Table:
    """The table of that name. Raises OptionError."""
    if name not in TABLES:
        raise OptionError(f"{name!r} is no table that we know: use all or one of {', '.join(TABLES)}")
    return TABLES[name]
