"""bowam-nano on one thread: the forward pass against one Farneback call, one event against its two flows."""

import cv2
import numpy as np
import torch

from benchmarks.clips import aligned_frames
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model import load
from bowam_model.flow import farneback


def run() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _, frames = aligned_frames(30.0, 4.0)
    onset, apex, offset = (frames[k].faces[0].crop for k in (10, 20, 30))
    predictor = load()
    batch = torch.zeros(1, 3, predictor.encoding.input_px, predictor.encoding.input_px)
    batch = batch.to(memory_format=torch.channels_last)
    calls = 20

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(calls):
                predictor.network(batch)

    def one_flow() -> None:
        for _ in range(calls):
            farneback(apex, onset)

    def two_flows() -> None:
        for _ in range(calls):
            farneback(apex, onset)
            farneback(apex, offset)

    def event() -> None:
        for _ in range(calls):
            predictor.predict(onset, apex, offset)

    forwards, flows, pairs, events = in_turn(forward, one_flow, two_flows, event)
    parameters = sum(np.prod(p.shape) for p in predictor.network.parameters())
    report(
        "network",
        [
            Row(
                what="forward pass over one Farneback call", value=ratio(forwards, flows), unit="x", target="at most 1"
            ),
            Row(
                what="one event over its two Farneback calls, one after the other", value=ratio(events, pairs), unit="x"
            ),
            Row(what="forward pass", value=Spread.of([t / calls * 1e3 for t in forwards]), unit="ms"),
            Row(what="one Farneback call, 240x240", value=Spread.of([t / calls * 1e3 for t in flows]), unit="ms"),
            Row(what="one event", value=Spread.of([t / calls * 1e3 for t in events]), unit="ms"),
        ],
        f"{predictor.name}, {parameters / 1e6:.2f} M parameters, input {predictor.encoding.input_px}, one thread",
    )
