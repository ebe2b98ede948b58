"""The weights that ship, bowam_model/weights/bowam-nano.safetensors, from a folder of photos, one for each person."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from itertools import count as counting
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast

import cv2
import numpy as np
import torch

from bowam_model.errors import DatasetError, WeightsError
from bowam_model.evaluation import reliability
from bowam_model.flow import ALIGNED_PX, Encoding, Fusion, bidirectional_flow
from bowam_model.labels import NONE, SHIPPED
from bowam_model.network import create_model
from bowam_model.predictor import save
from bowam_model.recipes.card import Findings, model_card
from bowam_model.recipes.false_alarms import FalseAlarms, read_false_alarms
from bowam_model.recipes.figures import Result, calibrate
from bowam_model.recipes.reliability import svg
from bowam_model.synthesis.identity import load_identity, photo_paths
from bowam_model.synthesis.triples import OUTSIDE, TRAINED, Generator, examples
from bowam_model.training import TrainingSettings, predict, train

SET = "identities"  # what the people are called by who asks whether the weights have seen them
EXAMPLES_VERSION = 3  # of the examples: raise it when synthesis changes, or old ones are found in the cache


@dataclass(frozen=True, kw_only=True)
class ShippedRecipe:
    """The weights that ship. Two more seeds of the same recipe tell how much of a figure is luck."""

    architecture: str = "bowam-nano"
    encoding: Encoding = field(default_factory=Encoding)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    train_each: int = 240  # examples of each person
    validation_each: int = 100
    test_each: int = 160
    alarm_copies: int = 4  # times that each false alarm of a spotter is learned in an epoch: they are few
    outside_each: int = 60  # for each of `triples.OUTSIDE`, of the same people
    validation_people: float = 0.12  # share of all
    test_people: float = 0.2
    max_error: float = 0.02  # of the answers that are given: decides below which confidence to abstain
    seed: int = 2026  # of the examples


@dataclass(frozen=True, eq=False)
class Flows:
    """Examples, ready for the network."""

    flows: np.ndarray  # float16 (N, 240, 240, 2), pixels
    labels: np.ndarray  # int64 (N,), indices of SHIPPED
    details: np.ndarray  # str (N,): stratum, or kind of what is none
    people: np.ndarray  # int64 (N,): index of the photo among all
    rates_hz: np.ndarray  # float64 (N,)


def split_people(paths: Sequence[Path], recipe: ShippedRecipe) -> dict[str, dict[int, Path]]:
    """Photos by part ("train", "validation", "test") and by number among all; nobody is in two parts.

    The last by name are kept for the test, so that others (the spotting benchmark) can keep the same people apart.
    The number seeds a person's examples: two people never go through the same movements.
    Raises DatasetError below 5 people.
    """
    if len(paths) < 5:
        raise DatasetError(f"{len(paths)} photos are too few: training needs at least 5 people, one photo for each")
    test = max(1, round(recipe.test_people * len(paths)))
    train = len(paths) - test - max(1, round(recipe.validation_people * len(paths)))
    bounds = {"train": (0, train), "validation": (train, len(paths) - test), "test": (len(paths) - test, len(paths))}
    return {part: {i: paths[i] for i in range(*span)} for part, span in bounds.items()}


def flows_of(
    path: Path, number: int, count: int, recipe: ShippedRecipe, cache: Path, generator: Generator = TRAINED
) -> Flows:
    """Examples of one person, the `number`th of all, from `cache` if the same were made before."""
    seed, fusion = recipe.seed + number, cast(Fusion, recipe.encoding.fusion)  # faces have no ready pictures
    what = repr((count, seed, fusion, generator, EXAMPLES_VERSION))
    file = cache / f"{path.stem}-{hashlib.sha256(path.read_bytes() + what.encode()).hexdigest()[:16]}.npz"
    if not file.exists():
        made = list(examples(load_identity(path), count, seed, generator))
        flows = [bidirectional_flow(t[0], t[1], t[2], fusion=fusion) for t in (e.triple for e in made)]
        partial = file.with_suffix(".part.npz")
        np.savez(
            partial,
            flows=np.stack(flows).astype(np.float16),
            labels=np.array([SHIPPED.index(example.label) for example in made]),
            details=np.array([example.detail for example in made]),
            rates_hz=np.array([example.rate_hz for example in made]),
        )
        partial.replace(file)
    with np.load(file) as loaded:
        people = np.full(count, number, np.int64)
        return Flows(loaded["flows"], loaded["labels"], loaded["details"], people, loaded["rates_hz"])


def gather(
    people: Mapping[int, Path],
    count: int,
    recipe: ShippedRecipe,
    cache: Path,
    workers: int,
    on_person: Callable[[], None],
    generator: Generator = TRAINED,
) -> Flows:
    """`count` examples of each of many people, photos by number, in their order, made by `workers` processes."""
    flows = np.empty((len(people) * count, ALIGNED_PX, ALIGNED_PX, 2), np.float16)
    parts = []
    jobs = (people.values(), people.keys(), repeat(count), repeat(recipe), repeat(cache), repeat(generator))
    with ExitStack() as stack:
        if workers > 1:
            context = get_context("spawn")  # a fork would inherit MediaPipe's and PyTorch's threads
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)))
            made = pool.map(flows_of, *jobs)
        else:
            made = map(flows_of, *jobs)
        for index, part in enumerate(made):
            flows[index * count : (index + 1) * count] = part.flows
            parts.append(replace(part, flows=part.flows[:0]))
            on_person()
    return replace(_joined(parts), flows=flows)


def _joined(parts: Sequence[Flows]) -> Flows:
    return Flows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Flows)))


def none_of(alarms: FalseAlarms, recipe: ShippedRecipe) -> Flows:
    """False alarms as examples of none."""
    fusion, count = cast(Fusion, recipe.encoding.fusion), len(alarms.triples)
    flows = np.empty((count, ALIGNED_PX, ALIGNED_PX, 2), np.float16)
    for index, (onset, apex, offset) in enumerate(alarms.triples):
        flows[index] = bidirectional_flow(onset, apex, offset, fusion=fusion)
    numbers = np.unique(alarms.people, return_inverse=True)[1].astype(np.int64)
    return Flows(flows, np.full(count, SHIPPED.index(NONE)), np.full(count, "false alarm"), numbers, alarms.rates_hz)


def train_shipped(
    identities: Path,
    out: Path,
    cache: Path,
    recipe: ShippedRecipe = ShippedRecipe(),
    *,
    source: str = "not stated",
    false_alarms: Path | None = None,
    workers: int = 1,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> str:
    """Make the examples, train, calibrate and measure on people who were left out; write `out` and what tells of it.

    `identities` is a folder of neutral photos, one per person, and `source` says where they are from; `cache` keeps
    the examples (3.7 GB for 51 people); `on_progress(what, done, total)` hears how far it is. `false_alarms` is a file
    of what a spotter took for micro-expressions (see `recipes.false_alarms`): those of the test part's people only test
    the network, those of the validation part's are left out, all others are learned as none. MODEL_CARD.md and
    reliability.svg come to lie beside `out`. Returns the card.
    Raises DatasetError, ImageError (a photo without a face), MissingDependency or WeightsError (can't write).
    """
    _check_writable(out)
    paths = photo_paths(identities)
    parts = split_people(paths, recipe)
    alarms = None if false_alarms is None else read_false_alarms(false_alarms)
    made, all_parts = counting(1), len(paths) + len(OUTSIDE) * len(parts["test"])

    def part(name: str, each: int, generator: Generator = TRAINED) -> Flows:
        heard = lambda: on_progress("examples: people", next(made), all_parts)  # noqa: E731
        return gather(parts[name], each, recipe, cache, workers, heard, generator)

    learned, more, unseen = part("train", recipe.train_each), None, None
    if alarms is not None:
        stems = {name: [path.stem for path in parts[name].values()] for name in parts}
        unseen = none_of(alarms.of(np.isin(alarms.people, stems["test"])), recipe)
        more = none_of(alarms.of(~np.isin(alarms.people, stems["validation"] + stems["test"])), recipe)
        learned = _joined([learned, *[more] * recipe.alarm_copies])
    total = recipe.training.epochs * len(learned.labels)
    done = 0

    def on_batch(some: int, loss: float) -> None:
        nonlocal done
        done += some
        on_progress(f"training: loss {loss:.2f}, examples", done, total)

    torch.manual_seed(recipe.training.seed)
    network = create_model(recipe.architecture, len(SHIPPED), in_channels=recipe.encoding.channels)
    train(network, learned.flows, learned.labels, recipe.encoding, recipe.training, on_batch)
    del learned

    def asked(some: Flows) -> Result:
        said = predict(network, some.flows, recipe.encoding)
        return Result(some.labels, said, some.details, some.people, some.rates_hz)

    findings = Findings(
        validation=asked(part("validation", recipe.validation_each)),
        test=asked(part("test", recipe.test_each)),
        outside={name: asked(part("test", recipe.outside_each, setting)) for name, setting in OUTSIDE.items()},
        false_alarms=None if unseen is None else asked(unseen),
        learned_alarms=0 if more is None else len(more.labels),
    )
    calibration = calibrate(findings.validation, recipe.max_error)
    card = model_card(recipe.architecture, recipe, source, parts, findings, calibration)
    save(
        out,
        network,
        labels=SHIPPED,
        encoding=recipe.encoding,
        card=card,
        temperature=calibration.temperature,
        trained_on=[f"{SET}/{path.name}" for path in parts["train"].values()],
    )
    out.with_name("MODEL_CARD.md").write_text(card)
    picture = {"as trained": findings.test, "with the fitted temperature": findings.test.tempered(calibration.fitted)}
    curves = {name: reliability(result.probabilities, result.labels) for name, result in picture.items()}
    out.with_name("reliability.svg").write_text(svg(curves, f"{recipe.architecture}, people of the test part"))
    return card


def _check_writable(out: Path) -> None:
    """Said before the work, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise WeightsError(f"can't write {out}: {error.strerror}") from error
