"""A whole run: every fold with every seed, in several processes, and on from where it was cut."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bowam_model.errors import RunError
from bowam_model.learning import Examples, Learner
from bowam_model.protocol.folds import Fold, make_folds
from bowam_model.protocol.lesson import attend, seed_of
from bowam_model.protocol.result import Result
from bowam_model.protocol.selection import check_candidates, select
from bowam_model.protocol.settings import ProtocolSettings
from bowam_model.protocol.store import (
    FoldRecord,
    RunRecord,
    finished,
    fold_path,
    held,
    identity,
    open_run,
    this_machine,
    write,
)
from bowam_model.work import HERE, Engine, Outcome, Piece

FAILURES = "failures.txt"
IN_PROGRESS = "in-progress"

OnProgress = Callable[[str, int, int], None]
"""What is done, how many of it, out of how many."""


def run_protocol(
    candidates: Sequence[Learner],
    examples: Examples,
    settings: ProtocolSettings,
    out: Path,
    *,
    engine: Engine = HERE,
    title: str = "",
    on_progress: OnProgress | None = None,
) -> Result:
    """Judge a recipe, or the choice among several, and write result.json, result.md and pictures into `out`.

    Folds that `out` holds are taken, if it is of the same recipes, examples and settings; seeds may be added. The
    result does not depend on the `engine`, nor on how often the run was cut. Raises OptionError for settings that do
    not fit, RunError if `out` is of another run or some folds fail: the others are kept, and the failures stand in
    failures.txt.
    """
    check_candidates(candidates, settings)
    folds = make_folds(examples, settings)
    with held(out):
        return _run(candidates, examples, settings, folds, out, engine, title, on_progress)


def _run(
    candidates: Sequence[Learner],
    examples: Examples,
    settings: ProtocolSettings,
    folds: Sequence[Fold],
    out: Path,
    engine: Engine,
    title: str,
    on_progress: OnProgress | None,
) -> Result:
    run = open_run(out, _describe(candidates, examples, settings, folds, title))
    done = finished(out, run)
    places = [(fold, seed) for seed in settings.seeds for fold in folds]
    in_progress = out.absolute() / IN_PROGRESS  # another machine works elsewhere; it goes on with a piece if it sees it
    pieces = [
        Piece(f"{fold.number}-{seed}", run_fold, (fold, seed, in_progress / f"{fold.number:03d}-{seed}"))
        for fold, seed in places
        if (fold.number, seed) not in done
    ]
    failures: list[Outcome] = []

    def on_done(outcome: Outcome) -> None:
        if outcome.failure:
            failures.append(outcome)
        else:
            record: FoldRecord = outcome.value
            write(fold_path(out, record.fold, record.seed), record)
            done[record.fold, record.seed] = record
            shutil.rmtree(out / IN_PROGRESS / f"{record.fold:03d}-{record.seed}", ignore_errors=True)
        if on_progress:
            on_progress("folds", len(done) + len(failures), len(places))

    if pieces:
        if on_progress:
            on_progress("folds", len(done), len(places))
        shared = (tuple(candidates), examples, settings, run.identity)
        engine.run(pieces, threads=settings.threads, shared=shared, on_done=on_done)
    if failures:
        text = "\n".join(f"fold-seed {one.key}\n{one.failure}\n" for one in failures)
        write(out / FAILURES, text)
        last = str(failures[0].failure).strip().splitlines()[-1]
        raise RunError(
            f"{len(failures)} of {len(places)} folds failed ({last}): see {out / FAILURES}; "
            "the same command tries them again"
        )
    (out / FAILURES).unlink(missing_ok=True)
    shutil.rmtree(out / IN_PROGRESS, ignore_errors=True)
    result = Result(run, tuple(done[fold.number, seed] for fold, seed in places))
    result.write(out)
    return result


def run_fold(
    candidates: tuple[Learner, ...],
    examples: Examples,
    settings: ProtocolSettings,
    run_identity: str,
    fold: Fold,
    seed: int,
    folder: Path,
) -> FoldRecord:
    """One fold with one seed: choose on the training subjects, learn from all of them, then look at the test once."""
    known, tested = fold.split(examples)
    training, test = examples.take(known), examples.take(tested)
    choice, inner_samples_seen = select(candidates, training, settings, seed, fold.number, folder)
    learner = candidates[choice.candidate]
    lesson = attend(
        learner,
        training,
        test,
        seed_of(seed, fold.number),
        folder / "final",
        stop=choice.epochs if choice.epochs < learner.epochs else None,
        every_epoch=settings.oracle,
    )
    return FoldRecord(
        identity=run_identity,
        fold=fold.number,
        seed=seed,
        examples=tuple(tested.tolist()),
        scores=_plain(lesson.scores_NK),
        choice=choice,
        losses=lesson.losses,
        samples_seen=lesson.samples_seen,
        inner_samples_seen=inner_samples_seen,
        seconds=lesson.seconds,
        leaked_epoch_scores=tuple(_plain(s) for s in lesson.epoch_scores_ENK) if settings.oracle else None,
    )


def _plain(scores_NK: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in scores_NK.astype(float).tolist())


def _describe(
    candidates: Sequence[Learner], examples: Examples, settings: ProtocolSettings, folds: Sequence[Fold], title: str
) -> RunRecord:
    names = tuple(learner.name for learner in candidates)
    recipes = tuple(learner.recipe for learner in candidates)
    return RunRecord(
        identity=identity(names, recipes, examples.digest, settings),
        title=title or " or ".join(names),
        synthetic=examples.synthetic,
        settings=settings,
        names=names,
        recipes=recipes,
        digest=examples.digest,
        shape=tuple(examples.flows_NVHWC.shape),
        fusion=examples.fusion,
        classes=examples.classes,
        people=examples.people,
        clips=examples.clips,
        labels=tuple(examples.labels.tolist()),
        subjects=tuple(examples.subjects.tolist()),
        folds=tuple(fold.subjects for fold in folds),
        machines=(this_machine(),),
    )
