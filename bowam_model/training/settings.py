"""How a network is trained, the paper's way and ours."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from bowam_model.errors import OptionError

Schedule = Literal["cosine", "exponential", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained. The number of epochs is fixed beforehand: no epoch is chosen by its score.

    The defaults train the weights that ship. The optimiser is AdamW; norms and biases do not decay.
    """

    epochs: int = 5
    batch: int = 16  # the largest; an epoch is cut into batches as equal as they go
    learning_rate: float = 1e-3  # the largest
    schedule: Schedule = "cosine"  # one cycle with a warm-up; or exponential, or constant
    warm_up: float = 0.05  # of all steps, for "cosine"
    decay: float = 0.987  # for "exponential": the rate is multiplied by it after each epoch
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    clip: float | None = None  # the largest norm of all gradients together
    dropout: float = 0.0  # before the layer `head`
    ema: float | None = None  # decay of the running mean of the weights, which then is the result; see `ema_decay`
    mixup: float = 0.0  # two examples are mixed by a share of Beta(mixup, mixup); 0: never
    balance: int = 0  # the smallest class is raised this many times, the others to as many; 0: as they are
    readings: bool = True  # learn from all readings of a clip, or from its annotated apex alone
    mirror: bool = True  # half of the examples
    rotation_deg: float = 8.0  # the largest, either way
    stretch: float = 0.15  # the largest change of the flow's length, either way
    shift: bool = True  # cut `Encoding.input_px` out anywhere, or out of the middle as in prediction
    noise: float = 0.0  # standard deviation of white noise on what is encoded, in the network's units
    colour_jitter: float = 0.0  # largest change of brightness, contrast and saturation, for "hsv"
    precision: Precision = "fp32"  # of the network; flow and its derivatives are always fp32
    device: Device = "auto"
    threads: int = 1  # of PyTorch; they decide the last bits, so they belong to the recipe
    seed: int = 0  # of `train`; a learner hears its own

    def __post_init__(self) -> None:
        for name, choices in (("schedule", Schedule), ("precision", Precision), ("device", Device)):
            if getattr(self, name) not in get_args(choices):
                raise OptionError(
                    f"unknown {name} {getattr(self, name)!r}: use one of {', '.join(map(str, get_args(choices)))}"
                )
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not (self.learning_rate > 0 and (self.clip is None or self.clip > 0)):
            raise OptionError("learning_rate and clip must be positive")
        for name in (
            "warm_up", "weight_decay", "mixup", "balance", "rotation_deg", "stretch", "noise", "colour_jitter",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}: it must not be negative")
        for name in ("label_smoothing", "dropout", "decay", "ema"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}: it must lie between 0 and 1")


PAPER = TrainingSettings(
    epochs=100,
    batch=32,
    learning_rate=1e-4,
    schedule="exponential",
    weight_decay=1e-4,
    label_smoothing=0.0,
    balance=5,
    stretch=0.0,
)
"""The paper's recipe: FIELD.md section 1. Colours are jittered only in "hsv" pictures, by how much is not published."""

NANO = TrainingSettings(epochs=15, batch=32, balance=5)
"""For `bowam-nano` on a CPU: a quick cycle instead of a hundred epochs."""


def learning_rate(settings: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, counted from 0: a function of nothing else, so that no schedule needs to be kept.

    - "cosine": rises linearly over the first steps, then falls like half a cosine, to 0 after the last.
    - "exponential": the same within an epoch.
    """
    largest = settings.learning_rate
    if settings.schedule == "constant":
        return largest
    if settings.schedule == "exponential":
        return largest * settings.decay ** (step // steps_per_epoch)
    steps = settings.epochs * steps_per_epoch
    rising = max(1, round(settings.warm_up * steps))
    if step < rising:
        return largest * (step + 1) / rising
    return largest * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


def ema_decay(largest: float, step: int) -> float:
    """Decay of the running mean at a step, counted from 0: low at first, so that fresh weights are soon forgotten.

    min(largest, (1 + step) / (10 + step)), as TensorFlow's ExponentialMovingAverage has it.
    """
    return min(largest, (1 + step) / (10 + step))
