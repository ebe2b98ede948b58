"""Resident memory of both processes over an hour of video (a loop), at full speed."""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, report

RATE_HZ, SECONDS, LOOPS = 25.0, 20.0, 180  # one hour
SAMPLE_S = 5.0


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
        command = [sys.executable, "-m", "bowam_stream.cli", "replay", str(video), "--loops", str(LOOPS)]
        started = time.monotonic()
        replay = subprocess.Popen([*command, "--events", f"{name}/events.jsonl"], stdout=subprocess.DEVNULL)
        samples: dict[str, list[float]] = defaultdict(list)
        while replay.poll() is None:
            time.sleep(SAMPLE_S)
            for verb, pid in {**children(replay.pid), "replay": replay.pid}.items():
                try:
                    samples[verb].append(resident_mb(pid))
                except (OSError, StopIteration):
                    continue  # it has just ended
        taken = time.monotonic() - started
    frames = int(RATE_HZ * SECONDS * LOOPS)
    rows = []
    for verb, values in sorted(samples.items()):
        settled = values[max(1, int(60 / SAMPLE_S)) :] or values
        third = max(1, len(settled) // 3)
        growth = Spread.of(settled[-third:]).median - Spread.of(settled[:third]).median
        rows.append(Row(what=f"{verb}: after the first minute", value=Spread.of(settled), unit="MB"))
        rows.append(
            Row(what=f"{verb}: last third less first third", value=Spread.of([growth]), unit="MB", target="flat")
        )
    report("memory", rows, f"{frames} frames in {taken:.0f} s ({frames / taken:.0f}/s), exit {replay.returncode}")
