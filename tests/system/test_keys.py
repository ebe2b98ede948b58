"""Real processes with CURVE keys, and strangers between them who read every byte."""

import contextlib
import json
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families

from bowam_stream.keys import Keys, Links
from bowam_stream.messages import AlignedFrame
from bowam_stream.transport import TransportSettings, open_receiver
from tests.system.processes import Run, free_port, wait_for
from tests.system.wire import Packets, Relay, packets

pytestmark = pytest.mark.system

CAMERA = "plaintextcamera"
PLAIN = (b"frame/v1/", b"event/v1/", b"status/v1/", CAMERA.encode(), b"session", b'"kind"', b'"since"', b"bowam.")
"""Topics, names, headers and JSON: what would tell a stranger that anything is said at all."""
HANDSHAKE_BYTES = 400  # more than a greeting (64), a WELCOME (168 and its frame) and an ERROR take together


@pytest.fixture
def people(bowam: Run, tmp_path: Path) -> SimpleNamespace:
    """A camera's machine, a worker's, a subscriber's and a thief's, each with keys as `bowam keygen` makes them."""
    folders = {name: tmp_path / name for name in ("camera", "worker", "reader", "thief")}
    for folder in folders.values():
        made = bowam("keygen", "--out", folder)
        assert made.returncode == 0, made.stderr
        (folder / "allowed").mkdir()

    def give(owner: str, to: str, place: str) -> None:
        (folders[to] / place).write_bytes((folders[owner] / "own.key").read_bytes())

    give("worker", to="camera", place="allowed/worker.key")
    give("camera", to="worker", place="server.key")
    give("reader", to="worker", place="allowed/reader.key")
    give("worker", to="reader", place="server.key")
    return SimpleNamespace(**folders)


class System:
    """Capture, worker and their addresses; whoever connects goes through a recording relay."""

    def __init__(self, start: Callable, clip: Path, folder: Path, people: SimpleNamespace | None) -> None:
        self.frames, self.events, self.journal, self.capture_metrics, self.worker_metrics = (
            free_port() for _ in "12345"
        )
        self.relays = {name: Relay(port) for name, port in self.ports.items()}
        keys = [(), ()] if people is None else [("--keys", people.camera), ("--keys", people.worker)]
        config = folder / "capture.toml"
        config.write_text("[source]\nloops = 100\n")
        self.capture = start(
            *("--log-level", "debug", "capture", clip, "--as-live", "--camera", CAMERA, "--config", config),
            *("--frames", f"tcp://127.0.0.1:{self.frames}", "--metrics-port", self.capture_metrics, *keys[0]),
        )
        self.worker = start(
            *("--log-level", "debug", "worker", "--frames", self.to("frames"), "--journal", folder / "journal.sqlite"),
            *("--endpoint", f"tcp://127.0.0.1:{self.events}", "--metrics-port", self.worker_metrics, *keys[1]),
            *("--journal-endpoint", f"tcp://127.0.0.1:{self.journal}"),
        )
        ready = f"http://127.0.0.1:{self.worker_metrics}/readyz"

        def answers() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=1) as answer:
                return bool(answer.status == 200)
            return False

        wait_for(answers)

    @property
    def ports(self) -> dict[str, int]:
        return {"frames": self.frames, "events": self.events, "journal": self.journal}

    def to(self, name: str) -> str:
        return f"tcp://127.0.0.1:{self.relays[name].port}"

    def read(self, bowam: Run, count: int, *keys: object) -> list[dict[str, Any]]:
        """The first events, as `bowam subscribe` prints them."""
        endpoints = ("--endpoint", self.to("events"), "--journal-endpoint", self.to("journal"))
        run = bowam("subscribe", *endpoints, "--since", 0, "--count", count, "--timeout", 60, *keys)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    def pixels(self, keys: Keys | None) -> bytes:
        """A row out of the middle of a face, as it travels."""
        settings = TransportSettings(connect=(self.to("frames"),), max_age_ms=60_000)
        with open_receiver(settings, lossless=False, keys=keys) as receiver:
            while True:
                message = receiver.receive(30)
                assert message is not None
                if isinstance(message, AlignedFrame) and message.faces:
                    return message.faces[0].crop[120].tobytes()

    def refused(self, port: int) -> dict[str, float]:
        """The counter of refused handshakes, by reason."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
        return {s.labels["reason"]: s.value for s in samples if s.name == "bowam_handshakes_refused_total"}

    def close(self) -> None:
        for relay in self.relays.values():
            relay.__exit__()


@pytest.fixture
def system(start: Callable, clip: Path, tmp_path: Path) -> Iterator[Callable[..., System]]:
    systems: list[System] = []

    def make(people: SimpleNamespace | None) -> System:
        systems.append(System(start, clip, tmp_path, people))
        return systems[-1]

    yield make
    for one in systems:
        one.close()


def watched(made: System, capture: Packets | None) -> dict[str, bytes]:
    """All bytes of the run, as the relays and as the packet capture saw them."""
    seen = {name: relay.bytes for name, relay in made.relays.items()}
    return seen | ({} if capture is None else {"packets": bytes(capture.seen)})


def test_without_keys_a_stranger_reads_everything(system: Callable[..., System], bowam: Run) -> None:
    """The positive control: relays and packet capture see topics, names, JSON and pixels in the clear."""
    made = system(None)
    with packets(set(made.ports.values())) as capture:
        row = made.pixels(None)
        for _ in ("as it happens", "from the journal"):
            assert len(made.read(bowam, 2)) == 2
        seen = watched(made, capture)
    for place in {"packets"} & seen.keys():
        assert not [word for word in (*PLAIN, row) if word not in seen[place]]
    assert b"frame/v1/" in seen["frames"]
    assert row in seen["frames"]
    assert b"event/v1/" in seen["events"]
    assert b'"kind"' in seen["journal"]
    assert b'"since"' in seen["journal"]
    if capture is None:
        pytest.skip("relays saw plain text; packet capture needs CAP_NET_RAW")


def test_with_keys_friends_get_every_event_and_nothing_on_the_wire_is_plain(
    system: Callable[..., System], bowam: Run, people: SimpleNamespace
) -> None:
    """Frames, event topic and journal socket; not in the relays, and not in any packet."""
    made = system(people)
    with packets(set(made.ports.values())) as capture:
        row = made.pixels(Keys(people.worker))
        events = made.read(bowam, 3, "--keys", people.reader)
        assert made.read(bowam, 3, "--keys", people.reader) == events  # now from the journal
        seen = watched(made, capture)
    assert [event["seq"] for event in events] == [1, 2, 3]
    assert {event["camera"] for event in events} == {CAMERA}
    for place, data in seen.items():
        assert b"CURVE" in data, place
        assert not [word for word in (*PLAIN, row, row[:32], row[100:132]) if word in data], place
    assert len(seen["frames"]) > 1_000_000
    if capture is None:
        pytest.skip("relays saw no plain text; packet capture needs CAP_NET_RAW")


@pytest.mark.parametrize("who", ["no key", "a key that is not allowed", "the key of another server"])
def test_a_stranger_gets_not_one_byte_of_payload(
    system: Callable[..., System], people: SimpleNamespace, bowam: Run, who: str
) -> None:
    """At the frames, the event topic and the journal: the server says no more than a handshake, and counts it."""
    made = system(people)
    row = made.pixels(Keys(people.worker))
    made.read(bowam, 1, "--keys", people.reader)  # there is something to be had
    own = {"no key": None, "a key that is not allowed": people.thief, "the key of another server": people.worker}[who]
    for name in made.ports:
        server = people.camera if name == "frames" else people.worker
        if own is not None and who == "a key that is not allowed":
            (own / "server.key").write_bytes((server / "own.key").read_bytes())
        keys = own and Keys(own, server="own.key" if who == "the key of another server" and name == "frames" else None)
        if name != "frames" and who == "the key of another server":
            keys = Keys(people.reader, server="own.key")
        with Relay(made.ports[name]) as relay, zmq.Context() as context:
            heard = listen(context, name, f"tcp://127.0.0.1:{relay.port}", keys)
            assert not heard
            assert relay.answered, "it never connected"
            for answer in relay.answered:
                assert len(answer) < HANDSHAKE_BYTES
                assert not [word for word in (*PLAIN, row) if word in answer]
    reason = {"no key": ("no_key", "broken_off"), "a key that is not allowed": ("unknown_key",)}.get(
        who, ("wrong_key",)
    )
    for port in (made.capture_metrics, made.worker_metrics):
        assert sum(made.refused(port)[name] for name in reason) > 0


def listen(context: "zmq.Context[Any]", name: str, endpoint: str, keys: Keys | None) -> list[bytes]:
    """What comes within two seconds of frames and events, and several questions."""
    with context.socket(zmq.DEALER if name == "journal" else zmq.SUB) as sock:
        sock.set(zmq.LINGER, 0)
        if name != "journal":
            sock.subscribe(b"")
        links = Links(sock, [endpoint], keys)
        heard, end = [], time.monotonic() + 2.5
        while time.monotonic() < end:
            links.hear()
            if name == "journal":
                with contextlib.suppress(zmq.Again):
                    sock.send(b'{"since": {}}', zmq.NOBLOCK)
            if sock.poll(100):
                heard += sock.recv_multipart()
        links.close()
        return heard


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1])


def bad_handshakes(port: int, until_s: float) -> int:
    """One connection after the other that comes to nothing; how many there were."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15 + 1 + 31)
    hello = b"\x04\xc8\x05HELLO\x01\x00" + bytes(72) + os.urandom(120)
    null = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 1 + 31) + b"\x04\x05\x05READY"
    count = 0
    while time.monotonic() < until_s:
        for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", greeting + hello, null, os.urandom(300), greeting):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as attacker:
                attacker.sendall(junk)
                count += 1
    return count


def test_a_flood_of_bad_handshakes_leaves_both_processes_alive_and_small(
    system: Callable[..., System], people: SimpleNamespace, bowam: Run
) -> None:
    """Thousands of them, and idle connections besides: friends still get in, memory and log are bounded."""
    made = system(people)
    made.pixels(Keys(people.worker))
    made.read(bowam, 1, "--keys", people.reader)
    before = {process.pid: resident_kb(process.pid) for process in (made.capture, made.worker)}
    with contextlib.ExitStack() as stack:
        for port in made.ports.values():
            for _ in range(50):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        counts: list[int] = []
        until_s = time.monotonic() + 6
        attackers = [
            threading.Thread(target=lambda port=port: counts.append(bad_handshakes(port, until_s)))
            for port in made.ports.values()
        ]
        for attacker in attackers:
            attacker.start()
        for attacker in attackers:
            attacker.join()
        made.pixels(Keys(people.worker))
        assert len(made.read(bowam, 2, "--keys", people.reader)) == 2
    assert sum(counts) > 1000
    print(f"{sum(counts)} bad handshakes", {pid: resident_kb(pid) - kb for pid, kb in before.items()}, "kB growth")
    for process in (made.capture, made.worker):
        assert process.poll() is None
        assert resident_kb(process.pid) - before[process.pid] < 40_000
    assert sum(made.refused(made.capture_metrics).values()) > 50
    assert sum(made.refused(made.worker_metrics).values()) > 50
    for process in (made.capture, made.worker):
        process.terminate()
        _, log = process.communicate(timeout=30)
        assert log.count("refused a handshake") <= 2
        for folder in (people.camera, people.worker):
            for key in re.findall(r'"(.{40})"', (folder / "own.key_secret").read_text()):
                assert key not in log


def test_keys_that_cannot_be_used_are_one_line(bowam: Run, people: SimpleNamespace, tmp_path: Path) -> None:
    """And keygen overwrites nothing."""
    secret = people.camera / "own.key_secret"
    held = secret.read_bytes()
    again = bowam("keygen", "--out", people.camera)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert secret.read_bytes() == held
    capture = ("capture", "test://pattern?frames=9", "--as-live", "--frames", "tcp://0.0.0.0:0", "--metrics-port", 0)
    assert bowam(*capture, "--keys", people.camera).returncode == 0  # no --insecure
    for break_it, named in (
        (lambda: secret.chmod(0o644), "chmod 600"),
        (lambda: secret.unlink(), "bowam keygen own --out"),
    ):
        break_it()
        run = bowam(*capture, "--keys", people.camera)
        assert run.returncode == 1
        assert run.stderr.startswith("bowam: ")
        assert named in run.stderr
        assert run.stderr.count("\n") == 1
