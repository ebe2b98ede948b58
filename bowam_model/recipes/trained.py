"""Weights for use, from all of a prepared data set: nobody is held out, so the card states no figure."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from bowam_model.datasets.manifest import load_manifest
from bowam_model.errors import OptionError, WeightsError
from bowam_model.flow import ALIGNED_PX, NETWORK_PX, Colours, Encoding
from bowam_model.learning import Examples, Model
from bowam_model.network import Network
from bowam_model.predictor import Predictor, load, save
from bowam_model.preparation import PreparationSettings, prepare
from bowam_model.training import NANO, PAPER, NetworkLearner, NetworkModel, TrainingSettings

log = logging.getLogger(__name__)

CARD = """\
# {architecture}, trained on {sets}
**Nothing was held out: every clip was trained on, so that no figure can be given for these weights.** How well the
recipe does on people it never saw is measured by `bowam loso` with the same recipe and data.

## Data
- {clips} clips of {people} people, each in {readings}: {datasets}.
- Classes: {classes}.
- SHA-256 of the prepared flows: `{digest}`.

## Recipe
Seed {seed}; {epochs} epochs, {seen} examples seen in all, each time counted; mean loss of the last epoch {loss:.3f}.
{pretrained}
    {recipe}

## Limits
- The data set's own licence decides who may use what was learned from it.
- Nothing is known about other cameras, light, ages and cultures than those of the data.
- Not for decisions about people. Emotion inference at work and in education is banned in the EU (AI Act, Article 5).
"""


@dataclass(frozen=True, kw_only=True)
class TrainedRecipe:
    """What is trained, on flow of which size."""

    architecture: str
    training: TrainingSettings
    input_px: int = NETWORK_PX
    readings: int = 5
    colours: Colours = "uv_strain"
    pretrained: Path | None = None

    @property
    def preparation(self) -> PreparationSettings:
        """Flow that is larger than the input as 240 is than 224: its border is where flow is invented."""
        side_px = min(ALIGNED_PX, round(self.input_px * ALIGNED_PX / NETWORK_PX))
        return PreparationSettings(side_px=side_px, readings=self.readings)

    def learner(self, examples: Examples) -> NetworkLearner:
        """The recipe for these examples. Ready flow pictures are taken as they are, and whole."""
        side_px = examples.flows_NVHWC.shape[2]
        ready = examples.fusion == "picture"
        if ready and side_px > ALIGNED_PX:
            raise OptionError(f"flow pictures of {side_px} px are larger than the largest face, {ALIGNED_PX} px")
        encoding = Encoding(
            fusion=examples.fusion,  # type: ignore[arg-type]
            colours="picture" if ready else self.colours,
            input_px=side_px if ready else self.input_px,
            side_px=None if side_px == ALIGNED_PX else side_px,
        )
        training = self.training if encoding.colours == "hsv" else replace(self.training, colour_jitter=0.0)
        return NetworkLearner(
            architecture=self.architecture, encoding=encoding, training=training, pretrained=self.pretrained
        )


RECIPES = {
    # How flow became colours, and by how much these are jittered, is published nowhere: both are our guess.
    "paper": TrainedRecipe(architecture="bowam", training=replace(PAPER, colour_jitter=0.2), colours="hsv"),
    "nano": TrainedRecipe(architecture="bowam-nano", training=NANO, input_px=60),
}
"""By the name of `bowam train --recipe`."""


def train_on_all(
    examples: Examples,
    recipe: TrainedRecipe,
    out: Path,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> NetworkModel:
    """Train on every example, write `out` and MODEL_CARD.md beside it, and return the model with its curve.

    Raises:
        OptionError, DatasetError, WeightsError: as `NetworkLearner.learn` and `predictor.save` do.
    """
    learner = recipe.learner(examples)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # said before the work, not after it
    except OSError as error:
        raise WeightsError(f"can't write {out}: {error.strerror}") from error

    def heard(epoch: int, loss: float, model: Model) -> None:
        on_progress(f"training: loss {loss:.3f}, epochs", epoch, learner.epochs)

    model = learner.learn(examples, seed, on_epoch=heard, checkpoint=checkpoint)
    (network,) = model.networks
    assert isinstance(network, Network)
    card = card_of(examples, learner, model, seed)
    seen = [examples.people[subject] for subject in np.unique(examples.subjects)]
    save(out, network, labels=examples.classes, encoding=learner.encoding, card=card, trained_on=seen)
    out.with_name("MODEL_CARD.md").write_text(card)
    return model


def train_on_manifest(
    manifest: str | Path,
    out: str | Path,
    *,
    recipe: Literal["paper", "nano"] = "nano",
    epochs: int | None = None,
    cache: str | Path | None = None,
    workers: int = 1,
    seed: int = 0,
) -> Predictor:
    """Weights from your own clips: `bowam train --data manifest` as a function.

    Nobody is held out, so that nothing is known of how good the weights are; `bowam loso` measures the recipe. Rows
    that can't be used are told to the log and left out.

    Args:
        manifest: csv with a row for each clip; `bowam_model/datasets/manifest.py` tells its columns.
        out: the weights file; MODEL_CARD.md is written beside it.
        recipe: "paper" is the full network as published, "nano" the small one for CPUs.
        epochs: rounds, instead of the recipe's.
        cache: folder where prepared flows are kept for the next time; None: prepared anew each time.
        workers: processes that prepare clips side by side; they change nothing in the result.
        seed: of the first weights and of the order of examples.
    Returns:
        The network as `load(out)` gives it.
    Raises:
        DatasetError: the manifest is none, or no row of it can be used.
        OptionError: the recipe is unknown, or a number is out of range.
        WeightsError: `out` can't be written.
        MissingDependency: `[capture]` is needed (clips and photos) and not installed.
    """
    if recipe not in RECIPES:
        raise OptionError(f"unknown recipe {recipe!r}: use one of {', '.join(RECIPES)}")
    chosen = RECIPES[recipe]
    if epochs is not None:
        chosen = replace(chosen, training=replace(chosen.training, epochs=epochs))
    corpus = load_manifest(Path(manifest))
    with TemporaryDirectory(prefix="bowam-") as scrap:
        prepared = prepare(corpus, chosen.preparation, Path(cache or scrap), workers=workers)
        for one in (*corpus.findings, *prepared.findings):
            if one.action in ("skipped", "missing"):
                log.warning("%s: %s is left out: %s", one.where, one.what, one.reason)
        train_on_all(prepared.examples, chosen, Path(out), seed=seed)
    return load(out)


def card_of(examples: Examples, learner: NetworkLearner, model: NetworkModel, seed: int) -> str:
    """What people should know about the weights, Markdown."""
    sets = sorted(set(examples.datasets.tolist()))
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    readings = examples.flows_NVHWC.shape[1]
    fitted = model.pretrained
    return CARD.format(
        architecture=learner.architecture,
        sets=", ".join(sets),
        clips=len(examples),
        people=len(set(examples.subjects.tolist())),
        readings="one reading" if readings == 1 else f"{readings} readings (the apex, and frames to either side)",
        datasets=", ".join(f"{name} {np.sum(examples.datasets == name)}" for name in sets),
        classes=", ".join(f"{label} {count}" for label, count in zip(examples.classes, counts, strict=True)),
        digest=examples.digest,
        seed=seed,
        epochs=len(model.curve),
        seen=model.samples_seen,
        loss=model.curve[-1].loss,
        pretrained=f"{fitted[0]} of {fitted[1]} tensors began as pretrained weights.\n" if fitted else "",
        recipe=json.dumps(learner.recipe, indent=1, sort_keys=True).replace("\n", "\n    "),
    )
