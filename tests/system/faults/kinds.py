"""The faults of a live place, one function each: injects it, waits for recovery, and says how long that took.

What a function does not raise about is left to `check`: flow, books, subscribers, log. Faults that need what a machine
may lack (root, an RTSP server, test media) say so.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.system.faults.oracle import Verdict, read_books
from tests.system.faults.place import SUPERVISOR, WORKER, NotRecovered, Place, hold, said
from tests.system.processes import BOWAM

BACK_S = 2.0  # a dead process has a successor by then
READ_ONLY = "read-only|can't be opened"


class Outcome(NamedTuple):
    """How a fault went."""

    victim: str
    back_s: float | None = None  # from a death to the new process
    ready_s: float | None = None  # until all was as before
    faults: int = 1  # how many at once


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    inject: Callable[[Place, random.Random], Outcome]
    crashes: tuple[str, ...] = ()  # whom the supervisor counts a crash of; "camera" is any
    log: tuple[str, ...] = ()  # what the log says of it
    needs: Callable[[Place], str | None] = lambda place: None  # why it can't be done here
    weight: float = 1.0  # how often, in a soak

    def __str__(self) -> str:
        return self.name


def _camera(place: Place, rng: random.Random) -> str:
    names = [name for name in place.cameras if place.may_crash(name)]
    return rng.choice(names or list(place.cameras))


def _killed(place: Place, name: str) -> Outcome:
    death = place.kill(name)
    back_s, ready_s = place.back(death)
    if name != SUPERVISOR:
        _counted(place, name, "signal")
    assert back_s < BACK_S, f"{name} came back after {back_s:.2f} s"
    return Outcome(name, back_s, ready_s)


def _counted(place: Place, name: str, reason: str) -> None:
    """The new process knows why it was started again."""
    restarts = place.metric(name, "bowam_process_restarts_total", reason=reason)
    assert restarts >= 1, f"{name} was started again because of a {reason}, and its metrics say {restarts:g} times"


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _until_it_flows(place: Place, *cameras: str) -> float:
    start = time.monotonic()
    place.settle(cameras or None)
    return time.monotonic() - start


# Processes


def kill_capture(place: Place, rng: random.Random) -> Outcome:
    return _killed(place, _camera(place, rng))


def kill_worker(place: Place, rng: random.Random) -> Outcome:
    return _killed(place, WORKER)


def kill_supervisor(place: Place, rng: random.Random) -> Outcome:
    """Its processes end by themselves, and a new supervisor finds their ports free."""
    return _killed(place, SUPERVISOR)


def kill_several(place: Place, rng: random.Random) -> Outcome:
    """Two to five processes within half a second: captures, the worker, subscribers."""
    names = [name for name in (WORKER, *place.cameras) if place.may_crash(name, most=3)]
    victims = rng.sample(names, min(len(names), rng.randint(1, 3)))
    listeners = rng.sample(place.listeners, rng.randint(1, min(2, len(place.listeners))))
    deaths = []
    for name in victims:
        deaths.append(place.kill(name))
        time.sleep(rng.uniform(0, 0.2))
    for listener in listeners:
        listener.kill()
    heads = read_books(place.journal).heads
    for listener in listeners:
        listener.start()
    times = [place.back(death) for death in deaths]
    for death in deaths:
        _counted(place, death.name, "signal")
    for listener in listeners:
        place.wait(lambda listener=listener: place.knows(listener, heads), "it does not catch up")
    # Only the first that was waited for shows when it came back; the others were back by then.
    back_s, ready_s = times[0] if times else (None, None)
    return Outcome(
        "+".join([*victims, *(one.name for one in listeners)]), back_s, ready_s, len(victims) + len(listeners)
    )


def kill_subscriber(place: Place, rng: random.Random) -> Outcome:
    listener = rng.choice(place.listeners)
    listener.kill()
    time.sleep(rng.uniform(0, 2))
    heads = read_books(place.journal).heads
    listener.start()
    return Outcome(listener.name, None, place.wait(lambda: place.knows(listener, heads), "it does not catch up"))


def stop_capture(place: Place, rng: random.Random) -> Outcome:
    name = rng.choice(list(place.cameras))
    with _stopped(place.pids()[name]):
        time.sleep(rng.uniform(0.2, 5))
    return Outcome(name, None, _until_it_flows(place, name))


def stop_worker(place: Place, rng: random.Random) -> Outcome:
    with _stopped(place.pids()[WORKER]):
        time.sleep(rng.uniform(0.2, 6))
    return Outcome(WORKER, None, _until_it_flows(place))


def stop_supervisor(place: Place, rng: random.Random) -> Outcome:
    """All flows meanwhile, and a process that dies meanwhile is started as soon as it is back."""
    before = place.received()
    victim = _camera(place, rng)
    with _stopped(place.pids()[SUPERVISOR]):
        time.sleep(rng.uniform(0.5, 3))
        others = [name for name in place.cameras if name != victim]
        place.wait(lambda: all(place.received()[name] > before[name] for name in others), "frames stop as well")
        death = place.kill(victim)
        time.sleep(0.2)
    start = time.monotonic()
    back_s, ready_s = place.back(death)
    _counted(place, victim, "signal")
    waited_s = start - death.at_s
    return Outcome(victim, back_s - waited_s, ready_s - waited_s)


def stop_subscriber(place: Place, rng: random.Random) -> Outcome:
    """One that stops reading holds up nobody, and catches up."""
    listener = rng.choice(place.listeners)
    before = place.received()
    assert listener.process is not None
    with _stopped(listener.process.pid):
        time.sleep(rng.uniform(1, 6))
        place.wait(lambda: all(place.received()[name] > count for name, count in before.items()), "it holds others up")
        heads = read_books(place.journal).heads
    return Outcome(listener.name, None, place.wait(lambda: place.knows(listener, heads), "it does not catch up"))


def crowd(place: Place, rng: random.Random) -> Outcome:
    """Two hundred subscribers at once, all from the first event on."""
    heads = read_books(place.journal).heads
    words = ("200", "60", place.events, place.replays, json.dumps(heads))
    command = [sys.executable, "-m", "tests.system.faults.crowd", *words]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == 200, f"{200 - told['whole']} of 200 have gaps or doubles"
    assert told["behind"] == 0, f"{told['behind']} of 200 have not heard everything within a minute"
    return Outcome("200 subscribers", None, time.monotonic() - start)


def hang(place: Place, rng: random.Random) -> Outcome:
    """A process that hangs for longer than the supervisor's patience is killed and started again."""
    name = rng.choice([WORKER, _camera(place, rng)])
    pid = place.pids()[name]
    os.kill(pid, signal.SIGSTOP)
    place.crashes[name].append(time.monotonic())
    place.wait(lambda: place.pids().get(name, pid) != pid, f"{name} hangs and nobody ends it", 60)
    ready_s = place.wait(lambda: place.ready(name), f"{name} is not ready")
    _counted(place, name, "hang")
    return Outcome(name, None, ready_s)


# Ports


def port_taken_between_crash_and_restart(place: Place, rng: random.Random) -> Outcome:
    """Somebody else has the port when the process comes back; it keeps trying."""
    name = rng.choice([WORKER, _camera(place, rng)])
    if name == WORKER:
        endpoint = rng.choice([place.events, place.replays, f"tcp://127.0.0.1:{place.worker_port}"])
    else:
        camera = place.cameras[name]
        endpoint = rng.choice([camera.endpoint, f"tcp://127.0.0.1:{camera.metrics_port}"])
    log_from = place.log.stat().st_size
    death = place.kill(name)
    with hold(endpoint):
        place.wait(lambda: said(place.logged(log_from), "in use") is None, "nobody says that the port is taken")
        time.sleep(rng.uniform(0, 1))
    start = time.monotonic()
    place.wait(lambda: place.ready(name), f"{name} is not ready although its port is free")
    return Outcome(death.name, None, time.monotonic() - start)


def second_worker(place: Place, rng: random.Random) -> Outcome:
    """A second worker on the same ports is refused in one line."""
    return _refused(place, WORKER, "--config", place.config)


def second_capture(place: Place, rng: random.Random) -> Outcome:
    """A second capture on the same ports likewise."""
    camera = place.cameras[rng.choice(list(place.cameras))]
    return _refused(place, *place.capture(camera, "test://pattern?frames=100000&rate=25&size=320x240"))


def _refused(place: Place, *arguments: object, saying: str = "") -> Outcome:
    done = place.run_bowam("--log-level", "error", *arguments)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, f"status {done.returncode}: {done.stderr}"
    assert len(lines) == 1, f"more than one clear line: {done.stderr}"
    assert re.search(saying, lines[0]), lines[0]
    return Outcome(str(arguments[0]))


def same_name(place: Place, rng: random.Random) -> Outcome:
    """Another capture with a camera's name is refused frame by frame; the first goes on."""
    name = rng.choice(list(place.cameras))
    source = next(camera.source for camera in place.cameras.values() if not camera.source.startswith("rtsp:"))
    twin = place.guest._replace(name=name)
    refused = place.metric(WORKER, "bowam_frames_dropped_total", camera=name, reason="refused")
    with _guest(place, place.capture(twin, source)):
        place.wait(
            lambda: place.metric(WORKER, "bowam_frames_dropped_total", camera=name, reason="refused") > refused,
            "nobody counts what is refused",
        )
    return Outcome(name, None, _until_it_flows(place, name))


@contextlib.contextmanager
def _guest(place: Place, arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """One more capture, for a while; ends well or in one line."""
    process = subprocess.Popen(
        [*BOWAM, "--log-level", "error", *arguments], stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    try:
        yield process
        process.terminate()
        errors = process.communicate(timeout=30)[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    lines = [line for line in errors.splitlines() if line.startswith("bowam: ")]
    assert (process.returncode, len(lines)) in ((0, 0), (1, 1)), f"status {process.returncode}: {errors}"
    assert "Traceback" not in errors, errors


# The journal


def journal_full(place: Place, rng: random.Random) -> Outcome:
    """No space, for some seconds; then the events that waited are written down."""
    assert place.disk is not None
    with contextlib.closing(sqlite3.connect(place.journal, timeout=10)) as journal:
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a log that was longer once has room on a full disk, too
    before = place.metric(WORKER, "bowam_journal_failures_total")
    place.disk.fill()
    try:
        failed = _fails(place, rng, before)
    finally:
        place.disk.empty()
    return _mended(place, failed)


def journal_refuses(place: Place, rng: random.Random) -> Outcome:
    """The system refuses every write of the worker's (RLIMIT_FSIZE), for some seconds."""
    pid = str(place.pids()[WORKER])
    before = place.metric(WORKER, "bowam_journal_failures_total")
    subprocess.run(["prlimit", "--pid", pid, "--fsize=1:unlimited"], check=True)
    try:
        failed = _fails(place, rng, before)
    finally:
        subprocess.run(["prlimit", "--pid", pid, "--fsize=unlimited:unlimited"], check=True)
    return _mended(place, failed)


def _fails(place: Place, rng: random.Random, before: float) -> bool:
    """Wait for something that can't be written, so that more failures are counted than `before`; whether there was."""
    limit = time.monotonic() + 15
    while time.monotonic() < limit:
        if place.metric(WORKER, "bowam_journal_failures_total") > before:
            status, _ = place.get(place.worker_port, "/readyz")
            assert status != 200, "a worker whose journal fails says that it is ready"
            time.sleep(rng.uniform(0.5, 4))
            return True
        time.sleep(0.05)
    return False


def _mended(place: Place, failed: bool) -> Outcome:
    start = time.monotonic()
    assert failed, "nothing was written for 15 s, or its failure was not counted"
    place.wait(lambda: place.metric(WORKER, "bowam_events_waiting") == 0, "events go on waiting")
    place.wait(lambda: place.metric(WORKER, "bowam_journal_up") == 1, "the journal stays down")
    return Outcome(WORKER, None, time.monotonic() - start)


def journal_stalls(place: Place, rng: random.Random) -> Outcome:
    """The disk answers nothing for some seconds."""
    assert place.disk is not None
    place.disk.stall(True)
    try:
        time.sleep(rng.uniform(1, 6))
    finally:
        place.disk.stall(False)
    return Outcome(WORKER, None, _until_it_flows(place))


def journal_read_only(place: Place, rng: random.Random) -> Outcome:
    """The disk is read-only when a crashed worker comes back; it keeps trying."""
    assert place.disk is not None
    log_from = place.log.stat().st_size
    place.kill(WORKER)
    place.wait(lambda: place.disk is not None and place.disk.read_only(True), "the disk can't be remounted", 5)
    try:
        place.wait(lambda: said(place.logged(log_from), READ_ONLY) is None, "nobody says that the disk is read-only")
        time.sleep(rng.uniform(0, 2))
    finally:
        place.wait(lambda: place.disk is not None and place.disk.read_only(False), "the disk can't be mended", 5)
    return Outcome(WORKER, None, place.wait(lambda: place.ready(WORKER), "the worker stays away"))


def journal_damaged(place: Place, rng: random.Random) -> Outcome:
    """A worker whose journal is cut off, garbage, of another version or of another program says so in one line."""
    damage = rng.choice(list(DAMAGES))
    folder = place.folder / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    file = folder / "journal.sqlite"
    DAMAGES[damage](place.journal, file)
    ports = ("--endpoint", "tcp://127.0.0.1:*", "--journal-endpoint", "tcp://127.0.0.1:*", "--metrics-port", "0")
    _refused(place, WORKER, "--config", place.config, "--journal", file, *ports, saying=re.escape(str(file)))
    return Outcome(damage)


def _truncated(good: Path, file: Path) -> None:
    with sqlite3.connect(good) as source, sqlite3.connect(file) as target:
        source.backup(target)
    target.close()
    source.close()
    os.truncate(file, file.stat().st_size // 2 + 100)


def _garbage(_good: Path, file: Path) -> None:
    file.write_bytes(random.Random(1).randbytes(20_000))


def _of_another_version(good: Path, file: Path) -> None:
    with sqlite3.connect(good) as source, sqlite3.connect(file) as target:
        source.backup(target)
        target.execute("PRAGMA user_version=77")
    target.close()
    source.close()


def _of_another_program(_good: Path, file: Path) -> None:
    with sqlite3.connect(file) as target:
        target.execute("CREATE TABLE recipes (name TEXT)")
    target.close()


DAMAGES = {
    "truncated": _truncated,
    "garbage": _garbage,
    "another version": _of_another_version,
    "another program": _of_another_program,
}


def no_disk(place: Place) -> str | None:
    """Why the journal's disk can't be hurt."""
    return None if place.disk is not None else "only root can mount a disk for the journal"


# The clock


def clock_set(place: Place, rng: random.Random) -> Outcome:
    """Somebody sets the time, forward or back, by minutes to days; later it is right again."""
    for shift_s in (rng.choice([-86_400, -3_600, -5, 5, 3_600, 86_400]), 0):
        place.set_clock(shift_s)
        time.sleep(rng.uniform(0.5, 2))
        _until_it_flows(place)
    return Outcome("clock")


# Cameras


def no_rtsp(place: Place) -> str | None:
    """Why no network camera can fail."""
    return None if place.rtsp is not None else "no RTSP server (make daemons)"


def _reconnected(place: Place, rng: random.Random, break_s: tuple[float, float], hurt: Callable[[], None]) -> Outcome:
    """Let the network camera suffer, mend it, and wait for its frames."""
    assert place.rtsp is not None
    assert place.network_camera is not None
    hurt()
    time.sleep(rng.uniform(*break_s))
    return Outcome(place.network_camera)


def rtsp_dies(place: Place, rng: random.Random) -> Outcome:
    """The camera vanishes, and comes back."""
    outcome = _reconnected(place, rng, (0.5, 4), place.rtsp.die)  # type: ignore[union-attr]
    place.rtsp.start()  # type: ignore[union-attr]
    return outcome._replace(ready_s=_until_it_flows(place, outcome.victim))


def rtsp_dies_while_the_capture_restarts(place: Place, rng: random.Random) -> Outcome:
    """The camera is away when its crashed capture comes back."""
    place.rtsp.die()  # type: ignore[union-attr]
    death = place.kill(place.network_camera or "")
    back_s = place.wait(lambda: place.pids().get(death.name, death.pid) != death.pid, "the capture does not come back")
    time.sleep(rng.uniform(2, 5))
    place.rtsp.start()  # type: ignore[union-attr]
    return Outcome(death.name, back_s, _until_it_flows(place, death.name))


def rtsp_freezes(place: Place, rng: random.Random) -> Outcome:
    """The camera holds the connection and sends nothing, for shorter or longer than it takes to count as lost."""
    outcome = _reconnected(place, rng, (1, 7), lambda: place.rtsp.tell("freeze"))  # type: ignore[union-attr]
    place.rtsp.tell("play")  # type: ignore[union-attr]
    return outcome._replace(ready_s=_until_it_flows(place, outcome.victim))


def rtsp_stands_still(place: Place, rng: random.Random) -> Outcome:
    """The same picture again and again."""
    outcome = _reconnected(place, rng, (2, 4), lambda: place.rtsp.tell("still"))  # type: ignore[union-attr]
    try:
        place.wait(
            lambda: place.metric(outcome.victim, "bowam_frames_frozen_total") > 0, "nobody sees that it is frozen"
        )
    finally:
        place.rtsp.tell("play")  # type: ignore[union-attr]
    return outcome._replace(ready_s=_until_it_flows(place, outcome.victim))


def rtsp_halves_its_rate(place: Place, rng: random.Random) -> Outcome:
    """Fifteen frames per second for a while, where thirty were stated; the metric follows."""
    outcome = _reconnected(place, rng, (3, 4), lambda: place.rtsp.tell("half"))  # type: ignore[union-attr]
    try:
        place.wait(
            lambda: place.metric(outcome.victim, "bowam_camera_effective_fps") < 24, "the rate is not seen to sink"
        )
    finally:
        place.rtsp.tell("play")  # type: ignore[union-attr]
    return outcome._replace(ready_s=_until_it_flows(place, outcome.victim))


def rtsp_changes_size(place: Place, rng: random.Random) -> Outcome:
    """Pictures of another size, in the middle of the stream, and back."""
    outcome = _reconnected(place, rng, (2, 3), lambda: place.rtsp.tell("small"))  # type: ignore[union-attr]
    _until_it_flows(place, outcome.victim)
    place.rtsp.tell("large")  # type: ignore[union-attr]
    return outcome._replace(ready_s=_until_it_flows(place, outcome.victim))


def robust_video(place: Place, rng: random.Random) -> Outcome:
    """One of the damaged, odd and hostile videos, played as a camera."""
    video = rng.choice(robust_videos())
    with (
        _guest(place, place.capture(place.guest, str(video))) as process,
        contextlib.suppress(subprocess.TimeoutExpired),
    ):
        process.wait(rng.uniform(2, 5))
    return Outcome(video.name)


def robust_videos() -> list[Path]:
    """All of them; none without test media."""
    folder = os.environ.get("BOWAM_TEST_MEDIA", "")
    return sorted(path for path in (Path(folder) / "robust").rglob("*") if path.is_file()) if folder else []


def no_media(place: Place) -> str | None:
    """Why there is nothing to play."""
    return None if robust_videos() else "BOWAM_TEST_MEDIA does not name a folder with the test media"


ENDED = r"the (capture|worker|cam\d+).* process ended by signal 9; starting it again"

KINDS = (
    Fault("kill_capture", kill_capture, ("camera",), (ENDED,), weight=3),
    Fault("kill_worker", kill_worker, (WORKER,), (ENDED,), weight=3),
    Fault("kill_supervisor", kill_supervisor, weight=0.7),
    Fault("kill_several", kill_several, weight=6),
    Fault("kill_subscriber", kill_subscriber, weight=3),
    Fault("stop_capture", stop_capture, weight=2),
    Fault("stop_worker", stop_worker, weight=2),
    Fault("stop_supervisor", stop_supervisor, ("camera",), (ENDED,)),
    Fault("stop_subscriber", stop_subscriber),
    Fault("hang", hang, ("camera", WORKER), ("has been silent for",), weight=0.15),
    Fault("crowd", crowd, weight=0.4),
    Fault("port_taken", port_taken_between_crash_and_restart, ("camera", WORKER), (ENDED,)),
    Fault("second_worker", second_worker, weight=0.3),
    Fault("second_capture", second_capture, weight=0.5),
    Fault("same_name", same_name, (), ("refused a second capture",), weight=0.5),
    Fault("journal_full", journal_full, (), ("disk is full",), no_disk),
    Fault("journal_refuses", journal_refuses, (), ("disk",)),
    Fault("journal_stalls", journal_stalls, (), (), no_disk),
    Fault("journal_read_only", journal_read_only, (WORKER,), (READ_ONLY,), no_disk),
    Fault("journal_damaged", journal_damaged, weight=0.3),
    Fault("clock_set", clock_set),
    Fault("rtsp_dies", rtsp_dies, (), ("connection lost",), no_rtsp),
    Fault("rtsp_dies_twice", rtsp_dies_while_the_capture_restarts, ("camera",), (ENDED,), no_rtsp),
    Fault("rtsp_freezes", rtsp_freezes, (), (), no_rtsp),
    Fault("rtsp_stands_still", rtsp_stands_still, (), (), no_rtsp),
    Fault("rtsp_half_rate", rtsp_halves_its_rate, (), (), no_rtsp),
    Fault("rtsp_size", rtsp_changes_size, (), ("size of the pictures changed",), no_rtsp),
    Fault("robust_video", robust_video, (), (), no_media),
)


def possible(fault: Fault, place: Place) -> bool:
    """Whether nobody crashed so often that the supervisor would give up."""
    cameras_may = sum(place.may_crash(name) for name in place.cameras) > 0
    if place.network_camera and fault.inject is rtsp_dies_while_the_capture_restarts:
        return place.may_crash(place.network_camera)
    return all(cameras_may if name == "camera" else place.may_crash(name) for name in fault.crashes)


def check(fault: Fault, place: Place, log_from: int) -> tuple[list[str], Verdict]:
    """What is wrong after a fault: frames, books, subscribers, log."""
    problems = []
    try:
        place.settle()
    except NotRecovered as error:
        problems.append(str(error))
    verdict = place.judge()
    problems += verdict.problems
    missing = said(place.logged(log_from), *fault.log)
    if missing is not None:
        problems.append(f"the log does not say {missing!r}")
    if "Traceback" in (text := place.logged(log_from)):
        problems.append(f"a traceback in the log: {text[text.index('Traceback') :][:1500]}")
    return problems, verdict
