"""Recordings watched in parts against the same watched as a whole: the events must be equal, byte for byte.

Every recording is cut at each of its legs, from the fifth on: only there does a part not begin where the whole begins.
A seam where two parts do not agree costs time, since the first goes on over the second's part; both are counted.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av

from benchmarks.measure import Row, Spread, report
from bowam_model.predictor import load
from bowam_model.synthesis import make_clip, plan_clip
from bowam_stream.config import Config
from bowam_stream.events import to_json
from bowam_stream.pipeline.parts import LEAD_LEGS, Part, Watched, join
from bowam_stream.pipeline.watching import recognise, survey, watch

SECONDS = 160.0
EVERYTHING = ("blink", "nod", "speech", "macro", "drift", "tremor", "flicker", "noise")
SYNTHETIC = {  # name -> rate, seed, nuisances, crf
    "quiet, 30 fps": (30.0, 21, ("drift", "tremor", "noise"), 18),
    "everything, 30 fps": (30.0, 22, EVERYTHING, 18),
    "everything, compressed, 30 fps": (30.0, 23, EVERYTHING, 32),
    "everything, 60 fps": (60.0, 24, EVERYTHING, 18),
    "everything, 100 fps": (100.0, 25, EVERYTHING, 23),
    "everything, 200 fps": (200.0, 26, EVERYTHING, 23),
}
REAL = (
    "talk/other/LS_demo1.mp4",
    "talk/other/LS_demo2.mp4",
    "talk/other/clm_cap13_edit2.mp4",
    "robust/ten_speakers_33s.mp4",
)
PICTURES = 300  # of a real recording, played to and fro until it is long enough


class Seams(NamedTuple):
    """What cutting a recording led to."""

    seams: int
    agreed: int  # the others cost time: the part before goes on over the part behind
    equal: bool  # the same events as from the whole, byte for byte
    events: int
    across: int  # final events that a seam goes through


def judge(path: Path) -> Seams:
    """Cut at every leg whose lead-in does not reach back to the beginning."""
    config, predictor = Config(), load()

    def watched(begin: int = 0, end: int | None = None) -> Watched:
        return watch(Part(path=str(path), camera="seams", begin=begin, end=end), config)

    def told(watched: Watched) -> list[bytes]:
        return [to_json(event) for event in recognise(watched, predictor)]

    legs = survey(str(path), config).legs
    cuts = legs[LEAD_LEGS + 1 :]
    whole = watched()
    story, agreed = watched(end=cuts[0]), 0
    for begin, end in zip(cuts, [*cuts[1:], None], strict=True):
        joined = join(story, watched(begin, end))
        agreed += joined is not None
        story = joined or watched(end=end)
    final = [one.candidate for one in whole.told if one.candidate.phase == "final"]
    across = sum(c.onset.frame < cut <= (c.offset or c.apex).frame for c in final for cut in cuts)
    return Seams(len(cuts), agreed, told(story) == told(whole), len(whole.told), across)


def recordings(folder: Path) -> Iterator[tuple[str, Path]]:
    """Rendered and real ones, each some minutes long."""
    for name, (rate_hz, seed, nuisances, crf) in SYNTHETIC.items():
        plan = plan_clip(
            seed, rate_hz=rate_hz, seconds=SECONDS, events=40, nuisances=nuisances, size=(320, 240), zoom=0.8
        )
        place = folder / name.replace(" ", "-").replace(",", "")
        if not (place / "clip.mp4").exists():
            make_clip(plan, None, place, crf=crf)
        yield name, place / "clip.mp4"
    media = os.environ.get("BOWAM_TEST_MEDIA")
    for name in REAL if media else ():
        place = folder / Path(name).name
        if not place.exists():
            to_and_fro(Path(str(media)) / name, place)
        yield f"real, {Path(name).name}", place


def to_and_fro(source: Path, target: Path) -> None:
    """A real recording that is long enough, without a cut."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        frames = itertools.islice(container.decode(stream), PICTURES)
        pictures = [frame.to_ndarray(format="yuv420p") for frame in frames]
    temporary = target.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.height, stream.width = pictures[0].shape[0] * 2 // 3, pictures[0].shape[1]
        stream.pix_fmt = "yuv420p"
        for number in range(int(SECONDS * rate)):
            turn = number % (2 * len(pictures))
            picture = pictures[turn if turn < len(pictures) else 2 * len(pictures) - 1 - turn]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode())
    temporary.replace(target)


def run() -> None:
    """All of it; BOWAM_BENCH_CACHE keeps the recordings."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("BOWAM_BENCH_CACHE", scratch)) / "seams"
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in recordings(folder):
            started = time.monotonic()
            seams = judge(path)
            print(f"  {name}: {seams} ({time.monotonic() - started:.0f} s)", flush=True)
            rows += rows_of(name, seams)
    report("seams", rows, f"{SECONDS:g} s each, cut at every leg from the fifth on")


def rows_of(name: str, seams: Seams) -> list[Row]:
    """What the table says of a recording."""
    events, parts = f"of {seams.events}", f"of {seams.seams}"
    return [
        _row(f"{name}: events that are byte for byte the whole's", seams.events * seams.equal, events, events),
        _row(f"{name}: seams where the parts agreed", seams.agreed, parts, parts),
        _row(f"{name}: final events that a seam goes through", seams.across, ""),
    ]


def _row(what: str, count: int, unit: str, target: str = "") -> Row:
    return Row(what=what, value=Spread.of([float(count)]), unit=unit, target=target)
