"""A GPU against one core of its host: all of serving, the network against its roofline, and a step of training.

Says "not run" where there is no CUDA device. Needs neither MediaPipe nor media.
"""

import copy
import os
import time
from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model import create_model, load
from bowam_model.backends import probes
from bowam_model.backends.cpu import eager
from bowam_model.backends.engines import ENGINES
from bowam_model.encoding import encode_batch
from bowam_model.errors import ModelError
from bowam_model.export import compile_engine
from bowam_model.flow import Encoding
from bowam_model.network import Network
from bowam_model.predictor import Predictor
from bowam_model.serving import ServingGraph
from bowam_model.training.augment import crop, draw, move
from bowam_model.training.loop import Corpus, Trainer
from bowam_model.training.settings import TrainingSettings

BATCH = 64
ON_CPU = 4  # triples, one after the other, that stand for BATCH there
STEPS = 10
CLIPS, FOLDS, EPOCHS = 442, 68, 50  # MEGC2019 under leave-one-subject-out, 50 epochs a fold
DEVICE = torch.device("cuda")


def run() -> None:
    if not torch.cuda.is_available():
        print("\ngpu: not run, no CUDA device")
        return
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    full = create_model("bowam", 4, layer_scale=0.1).eval().requires_grad_(False)
    paper = Predictor(full, labels=tuple("abcd"), encoding=Encoding(), card="", weights="sha256:benchmark-bowam")
    notes: list[str] = [torch.cuda.get_device_name()]
    rows = [
        *_serving("nano", load(), notes),
        *_serving("bowam", paper, notes),
        *_roofline(full),
        *_training(),
    ]
    report("gpu", rows, "; ".join(notes))


def _serving(name: str, predictor: Predictor, notes: list[str]) -> Iterator[Row]:
    """Triples to probabilities: eager on the GPU, and every engine that can be made here."""
    triples = np.resize(probes(predictor.encoding.aligned_px), (BATCH, 3, *2 * [predictor.encoding.aligned_px]))
    on_cpu = eager(predictor.task)
    truth = on_cpu(triples[:ON_CPU])
    on_gpu = torch.from_numpy(triples).to(DEVICE)
    graph = ServingGraph(
        predictor.network, encoding=predictor.encoding, temperature=predictor.temperature
    ).requires_grad_(False)
    calls: dict[str, Callable[[Tensor], Tensor]] = {}
    for engine in ENGINES.values():
        try:
            path, _ = compile_engine(predictor, engine, triples[:6])
        except ModelError as error:
            notes.append(f"{name} on {engine.name} not run: {error}")
        else:
            calls[engine.name] = engine.read(path)
    calls["eager on the GPU"] = _half(graph).to(DEVICE)
    sides = {"one core": lambda: _one_by_one(on_cpu, triples[:ON_CPU])}
    sides |= {side: partial(_synchronous, call, on_gpu) for side, call in calls.items()}
    times = dict(zip(sides, in_turn(*sides.values()), strict=True))
    for side, call in calls.items():
        with torch.inference_mode():
            worst = float(np.abs(call(on_gpu)[:ON_CPU].float().cpu().numpy() - truth).max())
        speed = [core * BATCH / ON_CPU / taken for core, taken in zip(times["one core"], times[side], strict=True)]
        yield Row(what=f"{name}: speed over one core, {side}", value=Spread.of(speed), unit="x", target="at least 50")
        yield Row(what=f"{name}: events per second, {side}", value=_rate(times[side], BATCH), unit="/s")
        yield Row(what=f"{name}: probability off by, {side}", value=Spread.of([worst]), unit="", target="at most 0.02")


def _one_by_one(compute: Callable[[np.ndarray], np.ndarray], triples: np.ndarray) -> None:
    for triple in triples:  # two of them would share the cores
        compute(triple[None])


def _half(graph: ServingGraph) -> ServingGraph:
    """A copy on which the network computes in half precision."""
    return copy.deepcopy(graph).half()


def _roofline(network: Network) -> Iterator[Row]:
    """The time of the network against what its multiplications and its traffic need at the speeds of this GPU."""
    halved = _half_network(network)
    pictures = torch.randn(BATCH, 3, 224, 224, device=DEVICE, dtype=torch.half)
    square = torch.randn(8192, 8192, device=DEVICE, dtype=torch.half)
    block = torch.empty(1 << 28, device=DEVICE, dtype=torch.half)
    eager_s, product_s, copy_s = in_turn(
        partial(_synchronous, halved, pictures),
        partial(_synchronous, torch.mm, square, square),
        partial(_synchronous, block.clone),
    )
    peak = 2 * 8192**3 / min(product_s)
    bandwidth = 2 * block.numel() * 2 / min(copy_s)
    bound_s = sum(max(flops / peak, traffic / bandwidth) for flops, traffic in _layers(halved, pictures))
    compiled = torch.compile(halved, mode="max-autotune-no-cudagraphs")
    (compiled_s,) = in_turn(partial(_synchronous, compiled, pictures))
    yield Row(what="multiplications, measured", value=Spread.of([peak / 1e12]), unit="TF/s")
    yield Row(what="memory traffic, measured", value=Spread.of([bandwidth / 1e9]), unit="GB/s")
    yield Row(
        what=f"bowam, fp16, batch {BATCH}: bound by both, layer by layer", value=Spread.of([bound_s * 1e3]), unit="ms"
    )
    for side, taken in (("eager", eager_s), ("compiled", compiled_s)):
        value = Spread.of([t / bound_s for t in taken])
        yield Row(what=f"bowam, fp16: time over the bound, {side}", value=value, unit="x", target="at most 2")
        yield Row(what=f"bowam, fp16: pictures per second, {side}", value=_rate(taken, BATCH), unit="/s")


def _half_network(network: Network) -> nn.Module:
    return copy.deepcopy(network).half().to(DEVICE)


def _layers(network: nn.Module, pictures: Tensor) -> list[tuple[float, float]]:
    """Operations, and bytes that must be read and written, of every layer that multiplies, or that only passes by."""
    found: list[tuple[float, float]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not isinstance(output, Tensor) or not inputs or not isinstance(inputs[0], Tensor):
            return
        weights = sum(p.numel() for p in layer.parameters())
        flops = 0.0
        if isinstance(layer, nn.Conv2d):
            flops = 2.0 * output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            flops = 2.0 * output.numel() * layer.in_features
        found.append((flops, 2.0 * (inputs[0].numel() + output.numel() + weights)))

    hooks = [
        layer.register_forward_hook(note)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)  # all else can be fused into these
    ]
    with torch.inference_mode():
        network(pictures)
    for hook in hooks:
        hook.remove()
    return found


class _Loaded(Dataset[tuple[Tensor, Tensor]]):
    """The same examples as a loader on the CPU makes them: augmented, encoded and cropped one by one."""

    def __init__(self, flows_NVHWC: np.ndarray, targets_NK: Tensor, encoding: Encoding, settings: TrainingSettings):
        self.flows, self.targets, self.encoding, self.settings = flows_NVHWC, targets_NK, encoding, settings

    def __len__(self) -> int:
        return len(self.flows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        flow = torch.from_numpy(self.flows[index].astype(np.float32)).permute(0, 3, 1, 2)
        side_HW = (flow.shape[2], flow.shape[3])
        changes = draw(self.settings, 1, side_HW, self.encoding.input_px, np.random.default_rng(index))
        picture = encode_batch(move(flow, changes, self.encoding.fusion), self.encoding)
        return crop(picture, changes, self.encoding.input_px)[0], self.targets[index]


def _training() -> Iterator[Row]:
    """A step of the full network, fed on the GPU as we do, and fed by a loader of the CPU."""
    encoding = Encoding()
    settings = TrainingSettings(batch=BATCH, precision="bf16", device="cuda")
    rng = np.random.default_rng(0)
    side = encoding.aligned_px
    flows = rng.normal(0, 1, (BATCH * STEPS, 1, side, side, 2)).astype(np.float16)
    labels = rng.integers(0, 3, len(flows))
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(create_model("bowam", 3), encoding, settings, seed=0)
    corpus = Corpus(flows, labels, 3, DEVICE)
    loaded = _Loaded(flows, corpus.targets(np.arange(len(flows))).cpu(), encoding, settings)
    loader = DataLoader(loaded, batch_size=BATCH, num_workers=min(8, os.cpu_count() or 1), persistent_workers=True)

    def ours() -> float:
        started = time.perf_counter()
        for start in range(0, len(flows), BATCH):
            clips = np.arange(start, start + BATCH)
            inputs, targets = trainer._batch(corpus, clips, np.zeros(BATCH, int), rng)
            trainer._step(inputs, targets, 1e-5)
        torch.cuda.synchronize()
        return time.perf_counter() - started

    def theirs() -> float:
        started = time.perf_counter()
        for pictures, targets in loader:
            trainer._step(pictures.to(DEVICE, memory_format=torch.channels_last), targets.to(DEVICE), 1e-5)
        torch.cuda.synchronize()
        return time.perf_counter() - started

    trainer.network.train()
    fast, slow = in_turn(ours, theirs, repetitions=5)
    yield Row(
        what=f"bowam, bf16, batch {BATCH}: steps over those with a CPU loader ({loader.num_workers} workers)",
        value=ratio(slow, fast),
        unit="x",
        target="at least 5",
    )
    yield Row(what="bowam: examples trained on per second", value=_rate(fast, len(flows)), unit="/s")
    hours = [t / len(flows) * CLIPS * FOLDS * EPOCHS / 3600 for t in fast]
    yield Row(what=f"bowam: {FOLDS} folds of {EPOCHS} epochs on {CLIPS} clips", value=Spread.of(hours), unit="h")


def _rate(taken: list[float], count: int) -> Spread:
    return Spread.of([count / t for t in taken])


def _synchronous(call: Callable[..., object], *inputs: Tensor) -> None:
    with torch.inference_mode():
        call(*inputs)
    torch.cuda.synchronize()
