"""A network as a learner: architecture, encoding and training, from examples to a model.

Axis legend: N examples, K classes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bowam_model.errors import OptionError
from bowam_model.flow import Encoding
from bowam_model.learning import Examples, OnEpoch
from bowam_model.network import create_model
from bowam_model.training.checkpoint import read_checkpoint, write_checkpoint
from bowam_model.training.loop import Corpus, Curve, Trainer, predict, reproducible
from bowam_model.training.pretrained import load_pretrained
from bowam_model.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """One network, or several whose probabilities are averaged."""

    networks: tuple[nn.Module, ...]  # in evaluation mode
    classes: tuple[str, ...]
    encoding: Encoding
    training: TrainingSettings
    mirror_at_test: bool
    curve: tuple[Curve, ...]
    pretrained: tuple[int, int] | None  # tensors that came from the file, and all

    @property
    def samples_seen(self) -> int:
        return self.curve[-1].samples_seen if self.curve else 0

    def predict(self, examples: Examples) -> np.ndarray:
        """Scores that add to 1, float32 (N, K), from the first reading and its middle; no chance is involved."""
        check_fit(examples, self.encoding)
        flows = examples.flows_NVHWC[:, 0]
        ways = (False, True) if self.mirror_at_test else (False,)
        with reproducible(self.training):
            answers = [predict(network, flows, self.encoding, way) for network in self.networks for way in ways]
        return np.mean(answers, axis=0, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class NetworkLearner:
    """A `learning.Learner` that trains `members` networks and averages what they say."""

    architecture: str  # of `create_model`, or the name of what `build` makes
    options: Mapping[str, Any] = field(default_factory=dict)  # of `create_model`, or of `build`
    encoding: Encoding = field(default_factory=Encoding)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    members: int = 1  # each with its own seed; epochs and curves go over all of them side by side
    pretrained: Path | None = None  # .safetensors of a ConvNeXt
    mirror_at_test: bool = False  # also ask about the mirrored face and take the mean
    build: Callable[..., nn.Module] | None = None
    """build(num_classes=K, in_channels=C, **options): another network, (B, C, H, W) -> logits (B, K). A function of a
    module's top level, so that the learner can be sent to another process."""
    title: str = ""  # its name in tables, where the architecture does not tell enough

    def __post_init__(self) -> None:
        if self.members < 1:
            raise OptionError(f"members is {self.members}: it must be at least 1")

    @property
    def name(self) -> str:
        return self.title or self.architecture

    @property
    def recipe(self) -> dict[str, Any]:
        training = asdict(self.training)
        del training["seed"]
        return {
            "architecture": self.architecture,
            "build": f"{self.build.__module__}.{self.build.__qualname__}" if self.build else None,
            "options": {key: list(value) if isinstance(value, tuple) else value for key, value in self.options.items()},
            "encoding": asdict(self.encoding),
            "training": training,
            "members": self.members,
            "pretrained": f"sha256:{hashlib.sha256(self.pretrained.read_bytes()).hexdigest()}"
            if self.pretrained
            else None,
            "mirror_at_test": self.mirror_at_test,
        }

    @property
    def epochs(self) -> int:
        return self.training.epochs

    def for_epochs(self, epochs: int) -> "NetworkLearner":
        return replace(self, training=replace(self.training, epochs=epochs))

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> NetworkModel:
        """Train from nothing, or go on from `checkpoint`: see `learning.Learner`.

        Raises:
            OptionError: the encoding does not fit the examples, or the checkpoint belongs to another training.
            WeightsError: pretrained weights do not fit, or the checkpoint can't be read or written.
        """
        check_fit(examples, self.encoding)
        with reproducible(self.training):
            trainers, fitted = [], None
            for member in range(self.members):
                network, fitted = self._network(len(examples.classes), seed, member)
                trainers.append(Trainer(network, self.encoding, self.training, seed, member))
            corpus = Corpus(examples.flows_NVHWC, examples.labels, len(examples.classes), trainers[0].device)
            curve: list[Curve] = []
            run = self._run(examples, seed) if checkpoint else ""
            if checkpoint and checkpoint.exists():
                curve, states = read_checkpoint(checkpoint, run, self.members)
                for trainer, state in zip(trainers, states, strict=True):
                    trainer.restore(state)
            for epoch in range(len(curve) + 1, self.epochs + 1):
                curve.append(_epoch(trainers, corpus, epoch, curve[-1].samples_seen if curve else 0))
                if checkpoint:
                    write_checkpoint(checkpoint, run, curve, [trainer.state() for trainer in trainers])
                if on_epoch:
                    on_epoch(epoch, curve[-1].loss, self._model(trainers, examples.classes, curve, fitted))
        return self._model(trainers, examples.classes, curve, fitted)

    def _network(self, classes: int, seed: int, member: int) -> tuple[nn.Module, tuple[int, int] | None]:
        torch.manual_seed(int(np.random.SeedSequence((seed, member)).generate_state(1)[0]))
        channels = self.encoding.channels
        if self.build:
            network = self.build(num_classes=classes, in_channels=channels, **self.options)
        else:
            network = create_model(self.architecture, classes, **({"in_channels": channels} | dict(self.options)))
        return network, load_pretrained(network, self.pretrained) if self.pretrained else None

    def _model(
        self, trainers: list[Trainer], classes: tuple[str, ...], curve: list[Curve], fitted: tuple[int, int] | None
    ) -> NetworkModel:
        networks = tuple(trainer.result for trainer in trainers)
        return NetworkModel(networks, classes, self.encoding, self.training, self.mirror_at_test, tuple(curve), fitted)

    def _run(self, examples: Examples, seed: int) -> str:
        """Decides whether a checkpoint is of this training."""
        what = json.dumps([self.recipe, seed, examples.digest], sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()


def check_fit(examples: Examples, encoding: Encoding) -> None:
    """Raises OptionError: the encoding is for another kind of flow."""
    if examples.fusion != encoding.fusion:
        raise OptionError(
            f"the examples are flow of fusion {examples.fusion!r}, the encoding expects {encoding.fusion!r}"
        )


def _epoch(trainers: list[Trainer], corpus: Corpus, epoch: int, seen: int) -> Curve:
    start = time.perf_counter()
    done = [trainer.epoch(corpus, epoch) for trainer in trainers]
    return Curve(
        epoch=epoch,
        loss=float(np.mean([loss for loss, _, _ in done])),
        learning_rate=done[0][1],
        samples_seen=seen + sum(count for _, _, count in done),
        seconds=round(time.perf_counter() - start, 3),
    )
