"""The weights that ship, bowam_model/weights/bowam-nano.safetensors, from a folder of photos, one for each person."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile

import cv2
import numpy as np
import torch

from bowam_model.errors import DatasetError, WeightsError
from bowam_model.flow import ALIGNED_PX, Encoding, bidirectional_flow
from bowam_model.labels import SHIPPED
from bowam_model.network import create_model
from bowam_model.predictor import save
from bowam_model.recipes.card import Result, model_card
from bowam_model.synthesis.identity import load_identity, photo_paths
from bowam_model.synthesis.triples import examples
from bowam_model.training import TrainingSettings, predict, train

EXAMPLES_VERSION = 2  # of the examples: raise it when synthesis changes, or old ones are found in the cache


@dataclass(frozen=True, kw_only=True)
class ShippedRecipe:
    """The weights that ship. Two more seeds of the same recipe tell how much of a figure is luck."""

    architecture: str = "bowam-nano"
    encoding: Encoding = field(default_factory=Encoding)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    train_each: int = 240  # examples of each person
    validation_each: int = 100
    test_each: int = 160
    validation_people: float = 0.12  # share of all
    test_people: float = 0.2
    seed: int = 2026  # of the split and of the examples


@dataclass(frozen=True, eq=False)
class Flows:
    """Examples, ready for the network."""

    flows: np.ndarray  # float16 (N, 240, 240, 2), pixels
    labels: np.ndarray  # int64 (N,), indices of SHIPPED
    details: np.ndarray  # str (N,): stratum, or kind of what is none
    people: np.ndarray  # int64 (N,): index of the photo


def split_people(paths: Sequence[Path], recipe: ShippedRecipe) -> dict[str, list[Path]]:
    """Photos by part: "train", "validation", "test"; nobody is in two. Raises DatasetError below 5 people."""
    if len(paths) < 5:
        raise DatasetError(f"{len(paths)} photos are too few: training needs at least 5 people, one photo for each")
    order = np.random.default_rng(recipe.seed).permutation(len(paths))
    test = max(1, round(recipe.test_people * len(paths)))
    validation = max(1, round(recipe.validation_people * len(paths)))
    parts = {"train": order[test + validation :], "validation": order[test : test + validation], "test": order[:test]}
    return {part: [paths[i] for i in sorted(chosen)] for part, chosen in parts.items()}


def flows_of(path: Path, count: int, seed: int, encoding: Encoding, cache: Path) -> Flows:
    """Examples of one person, from `cache` if the same were made before."""
    key = hashlib.sha256(
        path.read_bytes() + repr((count, seed, encoding.fusion, EXAMPLES_VERSION)).encode()
    ).hexdigest()
    file = cache / f"{path.stem}-{key[:16]}.npz"
    if not file.exists():
        made = list(examples(load_identity(path), count, seed))
        flows = [bidirectional_flow(t[0], t[1], t[2], fusion=encoding.fusion) for t in (e.triple for e in made)]
        partial = file.with_suffix(".part.npz")
        np.savez(
            partial,
            flows=np.stack(flows).astype(np.float16),
            labels=np.array([SHIPPED.index(example.label) for example in made]),
            details=np.array([example.detail for example in made]),
        )
        partial.replace(file)
    with np.load(file) as loaded:
        return Flows(loaded["flows"], loaded["labels"], loaded["details"], np.zeros(count, np.int64))


def gather(
    paths: Sequence[Path], count: int, recipe: ShippedRecipe, cache: Path, workers: int, on_person: Callable[[], None]
) -> Flows:
    """`count` examples of each of many people, in the order of `paths`, made by `workers` processes."""
    flows = np.empty((len(paths) * count, ALIGNED_PX, ALIGNED_PX, 2), np.float16)
    parts = []
    seeds = range(recipe.seed, recipe.seed + len(paths))
    jobs = (paths, repeat(count), seeds, repeat(recipe.encoding), repeat(cache))
    with ExitStack() as stack:
        if workers > 1:
            context = get_context("spawn")  # a fork would inherit MediaPipe's and PyTorch's threads
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)))
            made = pool.map(flows_of, *jobs)
        else:
            made = map(flows_of, *jobs)
        for index, part in enumerate(made):
            flows[index * count : (index + 1) * count] = part.flows
            parts.append(part)
            on_person()
    return Flows(
        flows,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.details for part in parts]),
        np.repeat(np.arange(len(paths)), count),
    )


def train_shipped(
    identities: Path,
    out: Path,
    cache: Path,
    recipe: ShippedRecipe = ShippedRecipe(),
    *,
    source: str = "not stated",
    workers: int = 1,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> str:
    """Make the examples, train, measure on the held-out people, write `out` and MODEL_CARD.md beside it.

    `identities` is a folder of neutral photos, one per person, and `source` says where they are from; `cache` keeps
    the examples (2.5 GB for 51 people); `on_progress(what, done, total)` hears how far it is. Returns the card.
    Raises DatasetError, ImageError (a photo without a face), MissingDependency or WeightsError (can't write).
    """
    _check_writable(out)
    paths = photo_paths(identities)
    parts = split_people(paths, recipe)
    made = iter(range(1, len(paths) + 1))

    def part(name: str, count: int) -> Flows:
        heard = lambda: on_progress("examples: people", next(made), len(paths))  # noqa: E731
        return gather(parts[name], count, recipe, cache, workers, heard)

    learned = part("train", recipe.train_each)
    total = recipe.training.epochs * (len(learned.labels) // recipe.training.batch) * recipe.training.batch
    done = 0

    def on_batch(count: int, loss: float) -> None:
        nonlocal done
        done += count
        on_progress(f"training: loss {loss:.2f}, examples", done, total)

    torch.manual_seed(recipe.training.seed)
    network = create_model(recipe.architecture, len(SHIPPED), in_channels=recipe.encoding.channels)
    train(network, learned.flows, learned.labels, recipe.encoding, recipe.training, on_batch)
    del learned
    results = {}
    for name, count in (("validation", recipe.validation_each), ("test", recipe.test_each)):
        unseen = part(name, count)
        said = predict(network, unseen.flows, recipe.encoding).argmax(axis=1)
        results[name] = Result(unseen.labels, said, unseen.details, unseen.people)
    card = model_card(recipe.architecture, recipe, source, parts, results)
    save(out, network, labels=SHIPPED, encoding=recipe.encoding, card=card)
    out.with_name("MODEL_CARD.md").write_text(card)
    return card


def _check_writable(out: Path) -> None:
    """Said before the work, not after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise WeightsError(f"can't write {out}: {error.strerror}") from error
