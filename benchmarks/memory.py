"""Resident memory of every process over an hour of video (a loop), at full speed."""

import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, report
from benchmarks.processes import COMMAND

RATE_HZ, SECONDS, LOOPS = 25.0, 20.0, 180  # one hour
SAMPLE_S = 5.0
SETTLED_S = 60.0  # buffers and caches have their size
TARGETS = {"capture": "<= 300", "worker": "<= 500"}


def children(pid: int) -> dict[str, int]:
    """Verbs and process ids of the `bowam` processes that `pid` started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == pid and b"bowam_stream.cli" in words:
            found[words[words.index(b"bowam_stream.cli") + 1].decode()] = int(folder.name)
    return found


def resident_mb(pid: int) -> float:
    """VmRSS in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        video = clip(Path(name), RATE_HZ, SECONDS)
        command = [*COMMAND, "replay", str(video), "--loops", str(LOOPS), "--events", f"{name}/events.jsonl"]
        started = time.monotonic()
        replay = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        samples: dict[str, list[tuple[float, float]]] = defaultdict(list)  # seconds since the start, MB
        while replay.poll() is None:
            time.sleep(SAMPLE_S)
            for verb, pid in {**children(replay.pid), "replay": replay.pid}.items():
                try:
                    samples[verb].append((time.monotonic() - started, resident_mb(pid)))
                except (OSError, StopIteration):
                    continue  # it has just ended
        taken = time.monotonic() - started
    frames = int(RATE_HZ * SECONDS * LOOPS)
    media_h = SECONDS * LOOPS / 3600
    rows = []
    for verb, pairs in sorted(samples.items()):
        at, settled = np.array([pair for pair in pairs if pair[0] >= SETTLED_S] or pairs).T
        third = max(1, len(settled) // 3)
        growth = float(np.median(settled[-third:]) - np.median(settled[:third]))
        slope = float(np.polyfit(at / taken * media_h, settled, 1)[0]) if len(settled) > 1 else 0.0
        target = TARGETS.get(verb, "")
        rows += [
            Row(what=f"{verb}: after the first minute", value=Spread.of(settled.tolist()), unit="MB", target=target),
            Row(what=f"{verb}: last third less first third", value=Spread.of([growth]), unit="MB", target="flat"),
            Row(what=f"{verb}: straight line through all, per hour of video", value=Spread.of([slope]), unit="MB"),
        ]
    report("memory", rows, f"{frames} frames in {taken:.0f} s ({frames / taken:.0f}/s), exit {replay.returncode}")
