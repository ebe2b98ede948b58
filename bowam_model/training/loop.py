"""The training loop: flows and labels in, a trained network out; all data on one device, no loader process.

Every epoch draws from a generator that its own number seeds. So nothing random has to be kept to go on from an epoch.

Axis legend: N examples, V readings, B batch, C channels, H rows, W columns, K classes.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bowam_model.encoding import centred, encode_batch
from bowam_model.errors import DatasetError, ImageError, OptionError
from bowam_model.flow import Encoding, centre_crop
from bowam_model.network import Network
from bowam_model.training.augment import crop, draw, jitter_colours, mirror, move
from bowam_model.training.balance import plan_epoch
from bowam_model.training.settings import TrainingSettings, ema_decay, learning_rate

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
ASKED_AT_ONCE = 64  # pictures of one forward pass in `predict`


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one epoch did."""

    epoch: int  # from 1
    loss: float  # mean over its examples, augmented and smoothed as they are
    learning_rate: float  # of its last step
    samples_seen: int  # since the beginning, by all members of an ensemble together
    seconds: float  # of this epoch alone


class Corpus:
    """Flows and labels on one device. Flows stay float16 and are not copied if they are there already.

    Raises DatasetError: there is nothing to learn from.
    """

    def __init__(self, flows_NVHWC: np.ndarray, labels_N: np.ndarray, classes: int, device: torch.device) -> None:
        if not len(labels_N):
            raise DatasetError("there are no examples to learn from")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nor is it written
            self.flows_NVHWC = torch.from_numpy(flows_NVHWC).to(device)
        self.labels_N = np.asarray(labels_N)
        self.classes = classes
        self.device = device

    def flows(self, clips_B: np.ndarray, readings_B: np.ndarray) -> Tensor:
        """float32 (B, C, H, W)."""
        where = (torch.from_numpy(clips_B).to(self.device), torch.from_numpy(readings_B).to(self.device))
        return self.flows_NVHWC[where].float().permute(0, 3, 1, 2)

    def targets(self, clips_B: np.ndarray) -> Tensor:
        """float32 (B, K), one-hot."""
        return F.one_hot(torch.from_numpy(self.labels_N[clips_B]).to(self.device), self.classes).float()


class Trainer:
    """One network while it learns.

    Attributes:
        result: the network to ask, in evaluation mode between epochs: the running mean where `ema` is on.
    """

    def __init__(
        self, network: nn.Module, encoding: Encoding, settings: TrainingSettings, seed: int, member: int = 0
    ) -> None:
        self.device = device_of(settings)
        if settings.precision == "fp16" and self.device.type == "cpu":
            raise OptionError("precision 'fp16' needs a GPU: use bf16 or fp32 on the CPU")
        if settings.colour_jitter and encoding.colours != "hsv":
            raise OptionError(f"colour_jitter changes colours, and {encoding.colours!r} has none: use colours 'hsv'")
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.eval()
        self.average = copy.deepcopy(self.network).requires_grad_(False) if settings.ema is not None else None
        self.result = self.average if self.average is not None else self.network
        self.encoding = encoding
        self.settings = settings
        self.seed, self.member = seed, member
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        if settings.dropout and not isinstance(getattr(network, "head", None), nn.Module):
            raise OptionError("dropout stands before a layer called `head`, and this network has none: use dropout 0")

    def epoch(
        self, corpus: Corpus, number: int, on_batch: Callable[[int, float], None] | None = None
    ) -> tuple[float, float, int]:
        """Learn from all once; `number` counts from 1. Returns mean loss, last learning rate, examples seen."""
        rng = np.random.default_rng((self.seed, self.member, number))
        torch.manual_seed(int(rng.integers(2**63)))  # dropout and noise
        readings = corpus.flows_NVHWC.shape[1] if self.settings.readings else 1
        clips, chosen = plan_epoch(corpus.labels_N, readings, self.settings.balance, rng)
        steps = -(-len(clips) // self.settings.batch)
        total = torch.zeros((), device=self.device)
        rate = 0.0
        with _learning(self.network, self.settings.dropout):
            for index, batch in enumerate(np.array_split(np.arange(len(clips)), steps)):
                step = (number - 1) * steps + index
                rate = learning_rate(self.settings, step, steps)
                inputs, targets = self._batch(corpus, clips[batch], chosen[batch], rng)
                loss = self._step(inputs, targets, rate)
                if self.average is not None and self.settings.ema is not None:
                    update_average(self.average, self.network, ema_decay(self.settings.ema, step))
                total += loss * len(batch)
                if on_batch:
                    on_batch(len(batch), loss.item())
        return total.item() / len(clips), rate, len(clips)

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on besides its number."""
        kept = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        if self.average is not None:
            kept |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            kept |= {f"optimiser.{index}.{key}": value for key, value in values.items()}
        scaler = self.scaler.state_dict()
        kept |= {f"scaler.{key}": torch.tensor(value) for key, value in scaler.items()}
        return {key: value.detach().cpu().contiguous() for key, value in kept.items()}

    def restore(self, kept: dict[str, Tensor]) -> None:
        """The inverse of `state`."""

        def part(name: str) -> dict[str, Tensor]:
            return {key.removeprefix(name): value for key, value in kept.items() if key.startswith(name)}

        self.network.load_state_dict(part("network."))
        if self.average is not None:
            self.average.load_state_dict(part("average."))
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(parameters))}
        for key, value in part("optimiser.").items():
            index, name = key.split(".")
            # The fused step goes through memory in the parameter's own order: the moments must lie as it does.
            like = parameters[int(index)]
            state[int(index)][name] = torch.empty_like(like).copy_(value) if value.ndim else value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": {k: v for k, v in state.items() if v}, "param_groups": groups})
        if scaler := part("scaler."):
            self.scaler.load_state_dict({key: value.item() for key, value in scaler.items()})

    def _batch(
        self, corpus: Corpus, clips: np.ndarray, readings: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        settings, encoding = self.settings, self.encoding
        flows, targets = corpus.flows(clips, readings), corpus.targets(clips)
        side_HW = (flows.shape[2], flows.shape[3])
        if min(side_HW) < encoding.input_px:
            raise ImageError(f"flows of {side_HW[1]}x{side_HW[0]} are smaller than input_px {encoding.input_px}")
        changes = draw(settings, len(clips), side_HW, encoding.input_px, rng)
        if encoding.centre:  # before zeros come in at the corners
            flows = centred(flows)
        pictures = encode_batch(move(flows, changes, encoding.fusion), encoding)
        if settings.colour_jitter:
            most = settings.colour_jitter
            pictures = jitter_colours(pictures, 1 + rng.uniform(-most, most, (len(clips), 3)))
        pictures = crop(pictures, changes, encoding.input_px)
        if settings.noise:
            pictures = pictures + settings.noise * torch.randn_like(pictures)
        if settings.mixup:
            share, order = rng.beta(settings.mixup, settings.mixup), rng.permutation(len(clips))
            pictures, targets = mix(pictures, share, order), mix(targets, share, order)
        return pictures.contiguous(memory_format=torch.channels_last), targets

    def _step(self, inputs: Tensor, targets: Tensor, rate: float) -> Tensor:
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        mixed = PRECISIONS.get(settings.precision)
        with torch.autocast(self.device.type, mixed) if mixed else nullcontext():
            logits = self.network(inputs)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=settings.label_smoothing)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        if settings.clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.detach()


def mix(values: Tensor, share: float, order: np.ndarray) -> Tensor:
    """mixup (Zhang 2018): each row, and with `1 - share` the one that `order` puts beside it."""
    return share * values + (1 - share) * values[torch.from_numpy(order).to(values.device)]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network; statistics of batch norms are copied."""
    for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)


def train(
    network: Network,
    flows_NHWC: np.ndarray,
    labels_N: np.ndarray,
    encoding: Encoding,
    settings: TrainingSettings,
    on_batch: Callable[[int, float], None] | None = None,
) -> None:
    """Train `network` in place on one reading of each clip; it ends on the CPU, in evaluation mode.

    `flows_NHWC` is float16 or float32 in pixels, `labels_N` int64. `on_batch(examples, loss)` is called after every
    step. The same arguments give the same weights on one machine.
    """
    with reproducible(settings):
        trainer = Trainer(network, encoding, settings, settings.seed)
        corpus = Corpus(flows_NHWC[:, None], labels_N, network.settings.num_classes, trainer.device)
        for number in range(1, settings.epochs + 1):
            trainer.epoch(corpus, number, on_batch)
        network.load_state_dict(trainer.result.state_dict())
        network.cpu()


def predict(network: nn.Module, flows_NHWC: np.ndarray, encoding: Encoding, mirrored: bool = False) -> np.ndarray:
    """Probabilities, float32 (N, K), of flows as `encode` takes them, on the network's device.

    Args:
        mirrored: ask about the mirrored faces.
    """
    device = next(network.parameters()).device
    answers = []
    with torch.inference_mode():
        for start in range(0, max(1, len(flows_NHWC)), ASKED_AT_ONCE):  # no flows give an array without rows
            some = np.ascontiguousarray(flows_NHWC[start : start + ASKED_AT_ONCE])
            flows = torch.from_numpy(some).to(device).float().permute(0, 3, 1, 2)
            if mirrored:
                flows = mirror(flows, encoding.fusion)
            pictures: Any = encode_batch(flows, encoding)
            pictures = centre_crop(pictures, encoding.input_px)
            answers.append(network(pictures.contiguous(memory_format=torch.channels_last)).softmax(1).cpu().numpy())
    return np.concatenate(answers)


@contextmanager
def reproducible(settings: TrainingSettings) -> Iterator[None]:
    """Threads as the recipe says, algorithms that repeat their bits, and PyTorch's generators put back afterwards."""
    cudnn: Any = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    devices = [torch.cuda.current_device()] if device_of(settings).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.set_num_threads(settings.threads)
        cudnn.deterministic, cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            cudnn.deterministic, cudnn.benchmark = before[1:]


def device_of(settings: TrainingSettings) -> torch.device:
    """Raises OptionError: a GPU is asked for and there is none."""
    found = torch.cuda.is_available()
    if settings.device == "cuda" and not found:
        raise OptionError("device 'cuda' is asked for, and PyTorch finds none: use device 'cpu' or 'auto'")
    return torch.device("cuda" if found and settings.device != "cpu" else "cpu")


@contextmanager
def _learning(network: nn.Module, dropout: float) -> Iterator[None]:
    """Training mode, with dropout before the head; evaluation mode and the network as it was afterwards."""
    network.train()
    hook = (
        network.get_submodule("head").register_forward_pre_hook(
            lambda _, inputs: (F.dropout(inputs[0], dropout, training=True),)
        )
        if dropout
        else None
    )
    try:
        yield
    finally:
        network.eval()
        if hook:
            hook.remove()
