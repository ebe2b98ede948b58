"""The MEGC2019 composite: three data sets, and the official list that says which clips and which classes.

The list belongs to the organisers and is the user's own copy (`combined_3class_gt.csv`, no header: data set, subject,
file name, class). Mapping the emotions of the sheets does not reproduce it, so nothing is guessed: counts are asserted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bowam_model.datasets.descriptions import CASME2, SAMM, SMIC, SMIC_E
from bowam_model.datasets.folders import Tree, glance
from bowam_model.datasets.loader import load
from bowam_model.datasets.sample import Corpus, Expected, Finding, Key, Sample, key
from bowam_model.datasets.sheets import plain, read_book
from bowam_model.errors import DatasetError
from bowam_model.labels import MEGC2019, MEGC2019_COUNTS

LIST = "combined_3class_gt.csv"
SETS = {"casme2": "casme2", "casmeii": "casme2", "samm": "samm", "smic": "smic", "smichs": "smic"}
COUNTS = MEGC2019_COUNTS
MARKER = "synthetic.json"  # what `bowam synth corpus` leaves beside the list: such a corpus may be smaller
Counts = Mapping[str, tuple[int, int, tuple[int, ...]]]


class Marker(msgspec.Struct, frozen=True):
    """As much of synthetic.json as is asked for here."""

    counts: dict[str, tuple[int, int, tuple[int, int, int]]]  # as COUNTS


def expected(counts: Counts) -> Expected:
    """What a corpus of these counts holds."""
    samples, subjects, by_label = zip(*counts.values(), strict=True)
    labels = (sum(column) for column in zip(*by_label, strict=True))
    return Expected(samples=sum(samples), subjects=sum(subjects), labels=tuple(zip(MEGC2019, labels, strict=True)))


EXPECTED = expected(COUNTS)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the official list."""

    line: int
    dataset: str
    subject: str
    clip: str
    label: str


def read_list(path: Path, counts: Counts = COUNTS) -> list[Entry]:
    """The official list. Raises DatasetError where a line or a count differs from the published composite."""
    if not path.is_file():
        raise DatasetError(f"{path} is no file: name MEGC2019's official list, {LIST}")
    entries = []
    for line, cells in enumerate(next(iter(read_book(path).values())), start=1):
        if not any(cells):
            continue
        dataset = SETS.get(plain(cells[0]))
        label = _label(cells[3]) if len(cells) >= 4 else None
        if dataset is None or label is None:
            if line == 1:
                continue  # somebody's header
            raise DatasetError(f"line {line} of {path} is not: data set, subject, file name, class (0, 1, 2)")
        entries.append(Entry(line=line, dataset=dataset, subject=cells[1], clip=cells[2], label=label))
    for dataset, (samples, subjects, classes) in counts.items():
        mine = [entry for entry in entries if entry.dataset == dataset]
        labels = Counter(entry.label for entry in mine)
        found = len(mine), len({key(entry.subject) for entry in mine}), tuple(labels[label] for label in MEGC2019)
        if found != (samples, subjects, classes):
            raise DatasetError(
                f"{path} is not the official list: {dataset} should have {samples} samples of {subjects} subjects, "
                f"{classes} {'/'.join(MEGC2019)}; found {found[0]} of {found[1]}, {found[2]}"
            )
    return entries


def load_composite(root: Path, *, listed: Path | None = None, folders: dict[str, Path] | None = None) -> Corpus:
    """The composite from a folder with one folder for each data set, whose names begin with casme2, samm and smic.

    `listed` is the official list where it does not lie in `root`, `folders` says where other data sets lie.
    Raises DatasetError for a wrong list or folder; a clip that is listed and not on disk becomes a finding.
    """
    counts = read_marker(root)
    if counts and not (listed or root / LIST).exists():
        raise DatasetError(f"{root} is an unfinished synthetic corpus: call bowam synth corpus again, it goes on")
    entries = read_list(listed or root / LIST, counts or COUNTS)
    samples: dict[tuple[str, Key, Key], Sample] = {}
    findings: dict[tuple[str, Key, Key], list[Finding]] = {}
    sources: list[Path] = [listed or root / LIST]
    for dataset in COUNTS:
        corpus = _load_one(dataset, (folders or {}).get(dataset) or _folder(root, dataset))
        sources += corpus.sources
        for sample in corpus.samples:
            samples[dataset, key(sample.subject), key(sample.clip)] = sample
        for finding in corpus.findings:
            subject, _, clip = finding.what.partition(" ")
            findings.setdefault((dataset, key(subject), key(clip)), []).append(finding)
    taken, told = [], []
    for entry in entries:
        name = entry.dataset, key(entry.subject), key(entry.clip)
        told += findings.get(name, [])
        if name in samples:
            taken.append(replace(samples[name], dataset=entry.dataset, label=entry.label))
        elif not findings.get(name):
            what, where = f"{entry.subject} {entry.clip}", f"list line {entry.line}"
            told.append(Finding(action="missing", where=where, what=what, reason=f"{entry.dataset} has no such clip"))
    return Corpus(
        title="SYNTHETIC corpus laid out like MEGC2019" if counts else "MEGC2019 composite",
        samples=tuple(taken),
        findings=tuple(told),
        expected=expected(counts or COUNTS),
        sources=tuple(sources),
        synthetic=counts is not None,
    )


def read_marker(root: Path) -> Counts | None:
    """The counts of a corpus of `bowam synth corpus`; None for a recorded one. Raises DatasetError."""
    try:
        return msgspec.json.decode((root / MARKER).read_bytes(), type=Marker).counts
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DatasetError(f"can't read {root / MARKER}: {error}; make the synthetic corpus again") from error


def _load_one(dataset: str, folder: Path) -> Corpus:
    if dataset == "casme2":
        return load(CASME2, folder, classes="all")
    if dataset == "samm":
        return load(SAMM, folder, classes="all")
    annotated = Tree(folder).sheets(SMIC_E.sheets[0].files)  # the cropped release has no sheet
    return load(SMIC_E if annotated else SMIC, folder)


def _folder(root: Path, dataset: str) -> Path:
    spellings = tuple(spelling for spelling, known in SETS.items() if known == dataset)
    # Without its brackets CAS(ME)^2, another data set, is casme2 too.
    named = [(plain(name), path) for name, path in Tree(root).listing(root).folders.items() if "(" not in name]
    exact = [path for name, path in named if name in spellings]
    begins = [path for name, path in named if name.startswith(spellings)]
    if not begins:
        looked = f"looked for a name that begins with {' or '.join(spellings)}"
        raise DatasetError(f"no folder of {dataset} in {root}: {looked}; found {glance(root)}")
    return (exact or begins)[0]


def _label(text: str) -> str | None:
    if text in ("0", "1", "2"):
        return MEGC2019[int(text)]
    return text if text in MEGC2019 else None
