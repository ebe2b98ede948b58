"""What computes the network, on one thread: forward passes and whole events of every backend that this machine has,
against PyTorch as it is, a plain ConvNeXt-T, and the two Farneback calls that an event can't do without."""

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np
import torch

from benchmarks.clips import aligned_frames
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model import create_model, load
from bowam_model.backends import Task, survey
from bowam_model.backends.cpu import Forward, eager_network, openvino_network, pictures
from bowam_model.errors import BackendError
from bowam_model.farneback import Farneback
from bowam_model.flow import Encoding, farneback, network_input
from bowam_model.predictor import Predictor
from bowam_model.synthesis import load_identity
from bowam_model.synthesis.triples import examples

CALLS = 20  # of the small network in one repetition
EVENTS_AT_ONCE = 4
TRIPLES = 64  # of the portrait, which no weights have seen
SIDE_PX = 224
NETWORKS: dict[str, Callable[[Task], Forward]] = {
    "eager": eager_network,
    "openvino": partial(openvino_network, precision="f32"),
    "openvino-bf16": partial(openvino_network, precision="bf16"),
}
"""The network without its flows; a GPU's engines compute both at once, and are measured by whole events alone."""


def run() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with _cache_of_its_own():
        predictors: dict[str, Predictor] = {}
        absent = []
        for name, missing in survey().items():
            try:
                predictors[name] = load(backend=name)
            except BackendError as error:
                absent.append(f"{name} not run: {missing or error}")
        rows = [*_small(predictors), *_full([name for name in predictors if name in NETWORKS])]
    parameters = sum(np.prod(p.shape) for p in predictors["eager"].network.parameters())
    notes = f"bowam-nano has {parameters / 1e6:.2f} M parameters; input {SIDE_PX}, one thread for the network"
    report("network", rows, "; ".join([notes, *absent]))


def _small(predictors: dict[str, Predictor]) -> list[Row]:
    """Rows of bowam-nano and its shipped weights."""
    _, frames = aligned_frames(30.0, 4.0)
    onset, apex, offset = (frames[k].faces[0].crop for k in (10, 20, 30))
    reference = predictors["eager"]
    picture = network_input(onset, apex, offset, reference.encoding)[None]
    height, width = apex.shape
    torch_flow, torch_faces = Farneback(height, width), [torch.from_numpy(face)[None] for face in (apex, onset)]
    pool = ThreadPoolExecutor(2)

    def repeated(work: Callable[[], object]) -> Callable[[], None]:
        def calls() -> None:
            for _ in range(CALLS):
                work()

        return calls

    sides: dict[str, Callable[[], object]] = {
        "flow": lambda: farneback(apex, onset),
        "flow in PyTorch": lambda: torch_flow(*torch_faces),
        "flows": lambda: list(pool.map(farneback, (apex, apex), (onset, offset))),
        "input": lambda: network_input(onset, apex, offset, reference.encoding, threads=2),
    }
    for name, predictor in predictors.items():
        if name in NETWORKS:
            sides[f"forward {name}"] = partial(NETWORKS[name](reference.task), picture)
        sides[f"event {name}"] = partial(predictor.predict, onset, apex, offset)
    first = next(iter(predictors.values()))
    triples = [(onset, apex, offset)] * EVENTS_AT_ONCE
    sides["together"] = lambda: first.predict_together(triples)
    sides["apart"] = lambda: [first.predict(*triple) for triple in triples]
    times = dict(zip(sides, in_turn(*map(repeated, sides.values())), strict=True))
    pool.shutdown()
    rows = [
        Row(
            what=f"nano: one event over its two flows in parallel, {name}",
            value=ratio(times[f"event {name}"], times["flows"]),
            unit="x",
            target="at most 1.3" if predictor is first else "",
        )
        for name, predictor in predictors.items()
    ]
    rows += [
        Row(
            what=f"nano: forward pass over eager's, {name}",
            value=ratio(times[f"forward {name}"], times["forward eager"]),
            unit="x",
        )
        for name in predictors
        if name in NETWORKS and name != "eager"
    ]
    rows += [
        Row(
            what="nano: forward pass over one Farneback call, eager",
            value=ratio(times["forward eager"], times["flow"]),
            unit="x",
            target="at most 1",
        ),
        Row(
            what="one flow in PyTorch over OpenCV's, one thread",
            value=ratio(times["flow in PyTorch"], times["flow"]),
            unit="x",
        ),
        Row(what="the two flows in parallel over one", value=ratio(times["flows"], times["flow"]), unit="x"),
        Row(what="flows and encoding over the flows alone", value=ratio(times["input"], times["flows"]), unit="x"),
        Row(
            what=f"nano: {EVENTS_AT_ONCE} events together over one after the other",
            value=ratio(times["together"], times["apart"]),
            unit="x",
            target="below 1",
        ),
    ]
    rows += [
        Row(what=f"nano: {side}", value=Spread.of([t / CALLS * 1e3 for t in taken]), unit="ms")
        for side, taken in times.items()
    ]
    return rows + _agreement(predictors)


def _agreement(predictors: dict[str, Predictor]) -> list[Row]:
    """How far each backend is from eager on synthetic triples of a face that was never trained on."""
    triples = np.stack([example.triple for example in examples(load_identity(), TRIPLES, seed=5)])
    return _differences("nano", {name: one.predict_batch(triples) for name, one in predictors.items()})


def _differences(model: str, answers: dict[str, np.ndarray]) -> list[Row]:
    """How far the probabilities (B, K) of each backend are from eager's."""
    truth = answers["eager"]
    rows = []
    for name, found in answers.items():
        if name != "eager":
            worst = np.abs(found - truth).max(1)
            other = int((found.argmax(1) != truth.argmax(1)).sum())
            rows += [
                Row(
                    what=f"{model}: probability off by, {name}",
                    value=Spread.of(worst.tolist()),
                    unit="",
                    target="at most 0.02",
                ),
                Row(what=f"{model}: other labels in {TRIPLES}, {name}", value=Spread.of([other]), unit="", target="0"),
            ]
    return rows


def _sum(times: dict[str, list[float]], side: str) -> list[float]:
    """A whole event: its flows in parallel, then the network."""
    return [flows + forward for flows, forward in zip(times["flows"], times[side], strict=True)]


def _full(names: list[str]) -> list[Row]:
    """Rows of the paper's network and of ConvNeXt-T, both untrained, but no longer nearly linear as fresh ones are."""
    torch.manual_seed(0)
    encoding = Encoding()
    triples = np.stack([example.triple for example in examples(load_identity(), TRIPLES, seed=6)])
    seen = pictures(triples, encoding)
    sides: dict[str, Callable[[], object]] = {"flows": lambda: pictures(triples[:1], encoding)}
    answers: dict[str, np.ndarray] = {}
    for model in ("bowam", "convnext-tiny"):
        network = create_model(model, 4, layer_scale=0.1).eval().requires_grad_(False)
        task = Task(network=network, encoding=encoding, temperature=1.0, threads=1, weights=f"sha256:benchmark-{model}")
        for name in names:
            forward = NETWORKS[name](task)
            sides[f"{model} {name}"] = partial(forward, seen[:1])
            if model == "bowam":
                answers[name] = torch.from_numpy(forward(seen)).softmax(1).numpy()
    times = dict(zip(sides, in_turn(*sides.values()), strict=True))
    targets = {"openvino-bf16": "at most 0.30", "openvino": "at most 0.50"}
    rows = [
        Row(
            what=f"bowam: forward pass over eager's, {name}",
            value=ratio(times[f"bowam {name}"], times["bowam eager"]),
            unit="x",
            target=targets.get(name, ""),
        )
        for name in names
        if name != "eager"
    ]
    rows += [
        Row(
            what=f"bowam: forward pass over ConvNeXt-T's, {name}",
            value=ratio(times[f"bowam {name}"], times[f"convnext-tiny {name}"]),
            unit="x",
            target="at most 1.3",
        )
        for name in names
    ]
    rows += [
        Row(
            what=f"bowam: flows and forward pass over eager's, {name}",
            value=ratio(_sum(times, f"bowam {name}"), _sum(times, "bowam eager")),
            unit="x",
        )
        for name in names
        if name != "eager"
    ]
    rows += _differences("bowam, untrained", answers)
    return rows + [
        Row(what=side, value=Spread.of([t * 1e3 for t in taken]), unit="ms") for side, taken in times.items()
    ]


@contextmanager
def _cache_of_its_own() -> Iterator[None]:
    """Untrained networks leave nothing in the user's cache."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = before
