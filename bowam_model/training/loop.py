"""The training loop: flows and labels in, a trained network out.

Axis legend: N examples, H rows, W columns; flow vectors are (u, v). Flow is not a picture: a mirror also negates u, and
a rotation also turns the vectors.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from bowam_model.flow import Encoding, centre_crop, encode
from bowam_model.network import Network


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained. The number of epochs is fixed beforehand: no epoch is chosen by its score."""

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 1e-3  # at the first step; falls to 0 like a cosine
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    rotation_deg: float = 8.0  # the largest, either way
    stretch: float = 0.15  # the largest change of the flow's length, either way
    threads: int = 1  # of PyTorch; one gives the same weights on every run
    seed: int = 0


def augment(flow_HW2: np.ndarray, rng: np.random.Generator, settings: TrainingSettings, input_px: int) -> np.ndarray:
    """Mirror, rotate, stretch and cut at random: float32 (H, W, 2) -> (input_px, input_px, 2)."""
    flow = np.asarray(flow_HW2, np.float32)
    if rng.random() < 0.5:
        flow = mirror(flow)
    flow = rotate(flow, float(rng.uniform(-settings.rotation_deg, settings.rotation_deg)))
    flow = flow * np.float32(1.0 + rng.uniform(-settings.stretch, settings.stretch))
    top, left = rng.integers(0, np.array(flow.shape[:2]) - input_px + 1)
    return flow[top : top + input_px, left : left + input_px]


def mirror(flow_HW2: np.ndarray) -> np.ndarray:
    """The flow of the mirrored face: mirrored, and u negated."""
    return flow_HW2[:, ::-1] * np.array([-1.0, 1.0], np.float32)


def rotate(flow_HW2: np.ndarray, angle_deg: float) -> np.ndarray:
    """The flow of the face turned clockwise about the middle: the picture and the vectors turn. Zero comes in."""
    height, width = flow_HW2.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1.0)
    turned = cv2.warpAffine(np.ascontiguousarray(flow_HW2), turn, (width, height), flags=cv2.INTER_LINEAR)
    return (turned @ turn[:, :2].T).astype(np.float32)


def train(
    network: Network,
    flows_NHW2: np.ndarray,
    labels_N: np.ndarray,
    encoding: Encoding,
    settings: TrainingSettings,
    on_batch: Callable[[int, float], None] | None = None,
) -> None:
    """Train `network` in place with AdamW on cross entropy.

    `flows_NHW2` is float16 or float32 in pixels, `labels_N` int64. `on_batch(examples, loss)` is called after every
    step. The same arguments give the same weights with one thread on one machine.
    """
    torch.manual_seed(settings.seed)
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    steps = settings.epochs * (len(labels_N) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, max(steps, 1), pct_start=0.05, anneal_strategy="cos"
    )
    try:
        for inputs, labels in _batches(flows_NHW2, labels_N, encoding, settings):
            loss = F.cross_entropy(
                network(inputs.contiguous(memory_format=torch.channels_last)),
                labels,
                label_smoothing=settings.label_smoothing,
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if on_batch:
                on_batch(len(labels), loss.item())
    finally:
        torch.set_num_threads(before)
        network.eval()


def predict(network: Network, flows_NHW2: np.ndarray, encoding: Encoding, batch: int = 32) -> np.ndarray:
    """Probabilities, float32 (N, K), of flows in pixels."""
    answers = []
    with torch.inference_mode():
        for start in range(0, len(flows_NHW2), batch):
            some = flows_NHW2[start : start + batch]
            pictures = np.stack([centre_crop(encode(flow, encoding), encoding.input_px) for flow in some])
            answers.append(network(torch.from_numpy(pictures)).softmax(1).numpy())
    return np.concatenate(answers) if answers else np.zeros((0, network.settings.num_classes), np.float32)


def _batches(
    flows: np.ndarray, labels: np.ndarray, encoding: Encoding, settings: TrainingSettings
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled, augmented, encoded; the next batch is made while this one is used."""
    rng = np.random.default_rng(settings.seed)

    def make(chosen: np.ndarray, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        own = np.random.default_rng(seed)
        pictures = [encode(augment(flows[i], own, settings, encoding.input_px), encoding) for i in chosen]
        return torch.from_numpy(np.stack(pictures)), torch.from_numpy(labels[chosen])

    plan = [
        (chosen, int(rng.integers(2**31)))
        for _ in range(settings.epochs)
        for chosen in np.split(
            rng.permutation(len(labels))[: len(labels) // settings.batch * settings.batch],
            len(labels) // settings.batch,
        )
    ]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, *plan[0])
        for following in plan[1:]:
            ready = waiting.result()
            waiting = pool.submit(make, *following)
            yield ready
        yield waiting.result()
