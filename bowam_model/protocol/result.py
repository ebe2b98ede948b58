"""A run that is finished: its figures, as result.json, result.md and pictures.

Predictions of all folds are pooled, then scored once, for each seed; a figure is the mean over seeds. Its interval
draws people. A data set's figures are the same run restricted to it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bowam_model.errors import RunError
from bowam_model.evaluation import Estimate, by_class, confusions_by_person, estimate, uar, uf1
from bowam_model.protocol.store import RUN, FoldRecord, RunRecord, finished, read, write

LEAKED = "leaked: epoch chosen on the test subject"
SCORES = {"UF1": uf1, "UAR": uar}


@dataclass(frozen=True, eq=False)
class Result:
    """Axis legend: S seeds, N examples, K classes, P people."""

    run: RunRecord
    records: tuple[FoldRecord, ...]

    @classmethod
    def load(cls, folder: Path) -> "Result":
        """Of a finished run. Raises RunError if it is none."""
        run = read(folder / RUN, RunRecord)
        done = finished(folder, run)
        missing = len(run.folds) * len(run.settings.seeds) - len(done)
        if missing:
            raise RunError(f"{folder} is not finished, {missing} folds are missing: run it again, it goes on")
        return cls(run, tuple(done[fold, seed] for seed in run.settings.seeds for fold in range(len(run.folds))))

    @cached_property
    def scores_SNK(self) -> np.ndarray:
        """Probabilities, float32, each example's from the fold that did not know its subject."""
        return self._gather([np.array(record.scores) for record in self.records]).astype(np.float32)

    @property
    def predicted_SN(self) -> np.ndarray:
        """The class of the highest score, int64."""
        return self.scores_SNK.argmax(axis=-1)

    @cached_property
    def leaked_SN(self) -> np.ndarray | None:
        """Predictions if each fold keeps the epoch with most hits on its test subject. Not a result: the trap.

        Among the epochs that were run: with selection "inner", up to the one that was chosen.
        """
        if not self.run.settings.oracle:
            return None
        labels, chosen = np.array(self.run.labels), []
        for record in self.records:
            assert record.leaked_epoch_scores is not None
            epochs = np.array(record.leaked_epoch_scores or [record.scores], np.float32).argmax(axis=-1)  # E, N
            chosen.append(epochs[(epochs == labels[list(record.examples)]).sum(axis=1).argmax()])
        return self._gather(chosen)

    def _gather(self, by_record: list[np.ndarray]) -> np.ndarray:
        """What each fold says about its examples, put in the order of the examples: (S, N, ...)."""
        seeds = self.run.settings.seeds
        gathered = np.zeros((len(seeds), len(self.run.labels), *by_record[0].shape[1:]), by_record[0].dtype)
        for record, values in zip(self.records, by_record, strict=True):
            gathered[seeds.index(record.seed), list(record.examples)] = values
        return gathered

    @cached_property
    def datasets(self) -> np.ndarray:
        """The data set of each example, str (N,)."""
        return np.array([self.run.people[subject].split("/", 1)[0] for subject in self.run.subjects], np.str_)

    def confusions_SPKK(self, leaked: bool = False, dataset: str | None = None) -> np.ndarray:
        """Confusion matrices by seed and person."""
        predicted_SN = self.leaked_SN if leaked else self.predicted_SN
        assert predicted_SN is not None
        some = np.ones(len(self.run.labels), bool) if dataset is None else self.datasets == dataset
        labels, people = np.array(self.run.labels)[some], np.array(self.run.subjects)[some]
        classes = len(self.run.classes)
        return np.stack([confusions_by_person(labels, predicted[some], people, classes) for predicted in predicted_SN])

    def figures(self, leaked: bool = False) -> dict[str, dict[str, Estimate]]:
        """UF1 and UAR: over all, then of each data set if there are several."""
        parts: list[str | None] = [None]
        if len(names := np.unique(self.datasets)) > 1:
            parts += names.tolist()
        return {
            part or "all": {name: estimate(self.confusions_SPKK(leaked, part), score) for name, score in SCORES.items()}
            for part in parts
        }

    def summary(self) -> dict[str, Any]:
        """What result.json holds."""
        run, records = self.run, self.records
        confusion = self.confusions_SPKK().sum(axis=(0, 1))
        per_class = by_class(confusion)
        summary = {
            "title": run.title,
            "synthetic": run.synthetic,
            "identity": run.identity,
            "examples_digest": run.digest,
            "examples": len(run.labels),
            "subjects": len(set(run.subjects)),
            "rule": run.settings.describe(),
            "folds": len(run.folds),
            "seeds": list(run.settings.seeds),
            "figures": {part: {k: asdict(v) for k, v in row.items()} for part, row in self.figures().items()},
            "by_class": {
                label: {
                    "examples": int(per_class.count[k]) // len(run.settings.seeds),
                    "recall": float(per_class.recall[k]),
                    "precision": float(per_class.precision[k]),
                    "f1": float(per_class.f1[k]),
                }
                for k, label in enumerate(run.classes)
            },
            "confusion": {"classes": list(run.classes), "rows are the truth, seeds added up": confusion.tolist()},
            "epochs": _spread([record.choice.epochs for record in records]),
            "samples_seen": _spread([record.samples_seen for record in records]),
            "inner_samples_seen": _spread([record.inner_samples_seen for record in records]),
            "seconds": sum(record.seconds for record in records),
            "chosen": [
                {
                    "name": name,
                    "recipe": recipe,
                    "folds": sum(record.choice.candidate == number for record in records),
                }
                for number, (name, recipe) in enumerate(zip(run.names, run.recipes, strict=True))
            ],
            "machines": list(run.machines),
        }
        if run.settings.oracle:
            summary[LEAKED] = {
                part: {k: asdict(v) for k, v in row.items()} for part, row in self.figures(leaked=True).items()
            }
        return summary

    def write(self, folder: Path) -> None:
        """result.json, result.md, confusion.svg, seeds.svg and, if epochs were told of, curves.svg."""
        from bowam_model.protocol import plots

        write(folder / "result.json", self.summary())
        pictures = {"confusion.svg": plots.confusion(self), "seeds.svg": plots.seeds(self)}
        if curves := plots.curves(self):
            pictures["curves.svg"] = curves
        for name, svg in pictures.items():
            write(folder / name, svg)
        write(folder / "result.md", "\n".join([*self.lines(), "", *(f"![]({name})" for name in pictures)]) + "\n")

    def head(self) -> list[str]:
        """What was run, Markdown."""
        run, summary = self.run, self.summary()
        lines = [f"# {run.title}", ""]
        if run.synthetic:
            lines += ["**SYNTHETIC: the examples were made by a program; this says nothing about real people.**", ""]
        counts = zip(*np.unique(self.datasets, return_counts=True), strict=True)
        seen, inner_seen = summary["samples_seen"], summary["inner_samples_seen"]["sum"]
        lines += [
            f"- {len(run.labels)} examples ({', '.join(f'{name} {count}' for name, count in counts)}) of "
            f"{summary['subjects']} subjects, digest `{run.digest[:16]}`",
            f"- {summary['rule']}",
            f"- {len(run.folds)} folds, seeds {', '.join(map(str, run.settings.seeds))}",
            f"- epochs {_words(summary['epochs'])}; samples seen in a fold {_words(seen)}, {seen['sum']:,} in all"
            + f", and {inner_seen:,} to choose" * bool(inner_seen),
            f"- learning took {summary['seconds']:,.0f} s in all processes together",
        ]
        if len(run.names) > 1:
            told = zip(_told_apart(run.names, run.recipes), summary["chosen"], strict=True)
            lines.append("- chosen: " + ", ".join(f"{name} {one['folds']} times" for name, one in told if one["folds"]))
        return lines

    def lines(self) -> list[str]:
        """The report, Markdown."""
        run, summary = self.run, self.summary()
        lines = [*self.head(), "", *figure_table(self)]
        lines += ["", "| class | examples | recall | precision | F1 |", "| --- " * 5 + "|"]
        for label, row in summary["by_class"].items():
            lines.append(
                f"| {label} | {row['examples']} | {row['recall']:.3f} | {row['precision']:.3f} | {row['f1']:.3f} |"
            )
        counts = self.confusions_SPKK().sum(axis=(0, 1))
        lines += ["", "Confusion, all seeds added up:", ""]
        lines += ["| truth \\ said | " + " | ".join(run.classes) + " |", "| --- " * (len(run.classes) + 1) + "|"]
        lines += [
            f"| {label} | " + " | ".join(map(str, row)) + " |" for label, row in zip(run.classes, counts, strict=True)
        ]
        return [*lines, "", f"Run `{run.identity[:16]}`, on " + "; ".join(_plain(machine) for machine in run.machines)]


def figure_table(result: Result) -> list[str]:
    """UF1 and UAR of all and of each data set, Markdown; the leaked ones in lines of their own that say so."""
    lines = [
        "| | UF1 [95% over subjects] | seeds: sd, range | UAR [95% over subjects] | seeds: sd, range |",
        "| --- " * 5 + "|",
    ]
    leaked = result.figures(leaked=True) if result.run.settings.oracle else {}
    for part, row in result.figures().items():
        lines.append(f"| {part} | " + " | ".join(_cell(row[name]) for name in SCORES) + " |")
        if part in leaked:
            lines.append(f"| {part}, *{LEAKED}* | " + " | ".join(_cell(leaked[part][name]) for name in SCORES) + " |")
    return lines


def _cell(figure: Estimate) -> str:
    spread = f"{figure.std:.3f}, {figure.lowest:.3f}-{figure.highest:.3f}"
    return f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}] | {spread}"


def _spread(values: list[int]) -> dict[str, float | int]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values), "sum": sum(values)}


def _told_apart(names: Sequence[str], recipes: Sequence[dict[str, Any]]) -> list[str]:
    """Names, with what differs between the recipes of one name."""
    told = []
    for name, recipe in zip(names, recipes, strict=True):
        alike = [other for other_name, other in zip(names, recipes, strict=True) if other_name == name]
        differs = [key for key in recipe if any(other.get(key) != recipe[key] for other in alike)]
        told.append(" ".join([name, *(f"{key}={recipe[key]}" for key in differs)]))
    return told


def _words(spread: dict[str, Any]) -> str:
    if spread["min"] == spread["max"]:
        return f"{spread['min']:,}"
    return f"{spread['median']:,.0f} ({spread['min']:,} to {spread['max']:,})"


def _plain(machine: dict[str, str]) -> str:
    return ", ".join(
        value if key in ("system", "processor", "gpu") else f"{key} {value}" for key, value in machine.items()
    )
