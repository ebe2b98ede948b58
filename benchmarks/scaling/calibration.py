"""What the parts of a cluster cost, measured on this machine: what the simulation is fed with.

Processor time where a machine that does other things as well would make a wall clock lie: of one process, all threads.
"""

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.clips import clip
from benchmarks.measure import Spread
from benchmarks.scaling.pieces import nothing, watched
from bowam_model.work import Piece
from bowam_model.work.on_ray import _do

SECONDS = {30.0: 40.0, 200.0: 8.0}  # of video that is watched, by frames in a second
BRIEF_S = 3.0
REAL = (
    "talk/other/LS_demo2.mp4",  # 1080x1920
    "talk/other/clm_cap13_edit2.mp4",
    "robust/ten_speakers_33s.mp4",
    "videos/misc/new_face_video-90.mp4",
)
REPETITIONS = 5
OUT = (20, 200, 2000, 20_000)  # pieces that are out: of 10, 100, 1000, 10,000 slots
STORE_BYTES = 100 * 2**20


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, unless the name says otherwise."""

    frame: dict[str, Spread]  # processor time of a frame, by frames in a second
    real: dict[str, Spread]  # the same by recording, of real ones; empty without BOWAM_TEST_MEDIA
    piece: Spread  # processor time of a piece, beside its frames: its file and its models are opened
    start: Spread  # processor time of a process, without its piece
    submit: Spread  # processor time of the driver
    collect: Spread  # the same, with `OUT[0]` pieces out
    look: dict[str, Spread]  # the same of one ray.wait, by pieces out
    look_at_all: dict[str, Spread]  # the same where it returns all that are done
    answer: Spread  # wall time from handing out a piece that costs nothing to its result
    write: Spread  # wall time to keep the result of a piece: written, synced, renamed
    result_bytes_per_minute: Spread  # of a piece's result, over the real recordings, or else of the rendered one
    peak_mb: Spread  # memory of a process that watches

    @property
    def look_each(self) -> float:
        """A look's seconds for each piece that is out: the slope between the ends of the table."""
        few, many = (self.look[str(count)].median for count in (OUT[0], OUT[-1]))
        return (many - few) / (OUT[-1] - OUT[0])

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of a frame's time, over the real recordings."""
        times = [math.log(one.median) for one in self.real.values()]
        return statistics.stdev(times) if len(times) > 1 else 0.0


def measure() -> Costs:
    """All of it; takes some minutes. BOWAM_BENCH_CACHE keeps the recordings."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("BOWAM_BENCH_CACHE", scratch)) / "scaling"
        rest = watching(folder)
        rest |= talking(rest["result_bytes_per_minute"])
        of_piece_s = rest["piece"].median + rest["frame"]["30"].median * 30.0 * BRIEF_S
        starts = [start(folder / "brief" / "clip.mp4")[0] - of_piece_s for _ in range(REPETITIONS)]
        peaks = [start(folder / f"{rate_hz:.0f}" / "clip.mp4")[1] for rate_hz in SECONDS]
        rest |= {"start": Spread.of(starts), "peak_mb": Spread.of(peaks)}
        size = round(rest["result_bytes_per_minute"].median * 15)
        rest |= {"write": Spread.of([write(folder / "piece", size) for _ in range(4 * REPETITIONS)])}
        return Costs(**rest, **driver())


def watching(folder: Path) -> dict[str, Any]:
    """A frame, a piece, its result."""
    frame: dict[str, Spread] = {}
    pieces: list[float] = []
    sizes: list[float] = []
    brief = _clip(folder / "brief", 30.0, BRIEF_S)
    for rate_hz, length_s in SECONDS.items():
        video = _clip(folder / f"{rate_hz:.0f}", rate_hz, length_s)
        watched(str(brief))
        seconds = []
        for _ in range(REPETITIONS):
            long = watched(str(video))
            seconds.append(long.processor_s / long.frames)
            if rate_hz == 30.0:
                short = watched(str(brief))
                pieces.append(short.processor_s - short.frames * seconds[-1])
                sizes.append(long.result_bytes * 60.0 / length_s)
        frame[f"{rate_hz:.0f}"] = Spread.of(seconds)
    return {
        "frame": frame,
        "piece": Spread.of(pieces),
        "result_bytes_per_minute": Spread.of(sizes),
    }


def talking(rendered: Spread) -> dict[str, Any]:
    """Real people: what their frames cost, and how much there is to tell of them."""
    media = os.environ.get("BOWAM_TEST_MEDIA")
    real: dict[str, Spread] = {}
    sizes: list[float] = []
    for name in REAL if media else ():
        took = [watched(str(Path(str(media)) / name)) for _ in range(3)]
        real[Path(name).name] = Spread.of([one.processor_s / one.frames for one in took])
        sizes.append(took[0].result_bytes * 60.0 / took[0].media_s)
    return {"real": real, "result_bytes_per_minute": Spread.of(sizes) if sizes else rendered}


def _clip(folder: Path, rate_hz: float, seconds: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "clip.mp4"
    return kept if (folder / "truth.json").exists() and kept.exists() else clip(folder, rate_hz, seconds)


def start(video: Path) -> tuple[float, float]:
    """Processor seconds and MB of a process that watches a recording."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "benchmarks.scaling.pieces", str(video)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, float(done.stdout)


def write(path: Path, size: int) -> float:
    """Seconds to keep so many bytes for good."""
    content = os.urandom(size)
    started = time.perf_counter()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return time.perf_counter() - started


def driver() -> dict[str, Any]:
    """What `bowam_model.work.on_ray` does for each piece, step by step, while ever more pieces are out."""
    import logging

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        return _driver(ray)
    finally:
        ray.shutdown()


def _driver(ray: Any) -> dict[str, Any]:
    remote = ray.remote(_do)
    task = remote.options(num_cpus=1, max_retries=0)
    waits = remote.options(num_cpus=1, max_retries=0, resources={"a node that is not there": 1})
    shared, piece = ray.put(()), Piece("nothing", nothing, (1,))
    ray.get([task.remote([shared], piece, 1) for _ in range(20)])
    answers = []
    for _ in range(50):
        started = time.perf_counter()
        ray.get(task.remote([shared], piece, 1))
        answers.append(time.perf_counter() - started)
    out: dict[Any, None] = {}
    submits: list[float] = []
    collects: list[float] = []
    look: dict[str, Spread] = {}
    look_at_all: dict[str, Spread] = {}
    for count in OUT:
        while len(out) < count:
            out[waits.remote([shared], piece, 1)] = None
        looks, alls = [], []
        for _ in range(40):
            began_s = time.process_time()
            out[task.remote([shared], piece, 1)] = None
            submitted_s = time.process_time()
            (ready,), _ = ray.wait(list(out), num_returns=1)
            looked_s = time.process_time()
            del out[ready]
            ray.get(ready)
            if count == OUT[0]:
                collects.append(time.process_time() - looked_s)
                submits.append(submitted_s - began_s)
            looks.append(looked_s - submitted_s)
        for _ in range(20):
            began_s = time.process_time()
            ray.wait(list(out), num_returns=len(out), timeout=0)
            alls.append(time.process_time() - began_s)
        look[str(count)], look_at_all[str(count)] = Spread.of(looks), Spread.of(alls)
    base = look[str(OUT[0])].median
    return {
        "submit": Spread.of(submits),
        "collect": Spread.of([value + base for value in collects]),
        "look": look,
        "look_at_all": look_at_all,
        "answer": Spread.of(answers),
    }
