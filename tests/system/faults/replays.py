"""Faults of a replay: whatever is killed or stopped, it ends with the events of the run that was left alone."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.faults.kinds import Fault, Outcome
from tests.system.faults.place import Place
from tests.system.faults.sources import make_clip
from tests.system.processes import BOWAM, alive, children, wait_for

LONG_S = 5  # the clip, played as it was filmed: a fault comes somewhere on its way


class Replay:
    """One `bowam replay` of the clip, and what it must give."""

    def __init__(self, folder: Path) -> None:
        self.clip = make_clip(folder / "clip-replay", seconds=LONG_S, events=2, seed=4)
        self.out, self.journal = folder / "replay.jsonl", folder / "replay.sqlite"
        truth = folder / "undisturbed.jsonl"
        if not truth.exists():
            done = subprocess.run(
                [*BOWAM, "replay", str(self.clip), "--events", str(truth)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert truth.read_bytes(), "the clip shows nothing"
        self.undisturbed = truth.read_bytes()
        for left in folder.glob("replay.*"):
            left.unlink()

    def start(self, speed: str) -> "subprocess.Popen[str]":
        """The command, which may be given again."""
        options = ("--speed", speed, "--events", str(self.out), "--journal", str(self.journal))
        return subprocess.Popen(
            [*BOWAM, "replay", str(self.clip), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> None:
        """To its end, with the events that it must have."""
        try:
            errors = process.communicate(timeout=90)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0, errors
        assert self.out.read_bytes() == self.undisturbed, "the events differ from those of the run that was left alone"


def _moment(replay: Replay, process: "subprocess.Popen[str]", rng: random.Random) -> None:
    """Some time between its start and its end."""
    wait_for(lambda: len(children(process.pid)) == 2 or process.poll() is not None)
    time.sleep(rng.uniform(0, LONG_S + 1))


def _crash(victim: str) -> Callable[[Place, random.Random], Outcome]:
    def kill(place: Place, rng: random.Random) -> Outcome:
        replay = Replay(place.folder)
        process = replay.start("1")
        _moment(replay, process, rng)
        if (pid := children(process.pid).get(victim)) is not None:
            os.kill(pid, signal.SIGKILL)
        replay.finish(process)
        return Outcome(f"{victim} of a replay")

    kill.__doc__ = f"The {victim} of a replay is killed; the recording is fed again from its first frame."
    return kill


def _stop(victim: str) -> Callable[[Place, random.Random], Outcome]:
    def stop(place: Place, rng: random.Random) -> Outcome:
        replay = Replay(place.folder)
        process = replay.start("1")
        _moment(replay, process, rng)
        pid = process.pid if victim == "replay" else children(process.pid).get(victim, process.pid)
        if process.poll() is None:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(rng.uniform(0.2, 5))
            if alive(pid):
                os.kill(pid, signal.SIGCONT)
        replay.finish(process)
        return Outcome(f"{victim} of a replay")

    stop.__doc__ = f"The {victim} process of a replay stops for a while and goes on; nothing is dropped."
    return stop


def kill_replay(place: Place, rng: random.Random) -> Outcome:
    """The supervisor of a replay is killed, and the same command is given again with the same --journal."""
    replay = Replay(place.folder)
    process = replay.start("1")
    _moment(replay, process, rng)
    left = children(process.pid)
    process.kill()
    process.communicate()
    start = time.monotonic()
    again = replay.start("max")  # at once: what the first left behind may still be ending
    replay.finish(again)
    wait_for(lambda: not any(alive(pid) for pid in left.values()))
    return Outcome("replay", None, time.monotonic() - start)


REPLAY_KINDS = (
    Fault("replay_kill_capture", _crash("capture"), weight=0.05),
    Fault("replay_kill_worker", _crash("worker"), weight=0.05),
    Fault("replay_kill_supervisor", kill_replay, weight=0.05),
    Fault("replay_stop_capture", _stop("capture"), weight=0.05),
    Fault("replay_stop_worker", _stop("worker"), weight=0.05),
    Fault("replay_stop_supervisor", _stop("replay"), weight=0.05),
)
