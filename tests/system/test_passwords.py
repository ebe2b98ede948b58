"""The password of a camera shows nowhere: not in the process list, logs, metrics, topics, messages or errors."""

import base64
import contextlib
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from bowam_stream.messages import Hello
from bowam_stream.transport import TransportSettings, open_receiver
from tests.system.processes import Run, children, free_port, wait_for
from tests.system.rtsp import PasswordCamera, transport_stream

pytestmark = pytest.mark.system

USER, PASSWORD = "wachmann", "Geh3im@und@lang"
HIDDEN = (PASSWORD, USER, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode().rstrip("="), "Geh3im", "und@lang")
"""What must not be seen, also as it travels to the camera, and in parts."""


def visible(text: str | bytes) -> list[str]:
    """What of the secret stands in `text`."""
    text = text if isinstance(text, bytes) else text.encode()
    return [word for word in HIDDEN if word.encode() in text]


def told_by_the_system() -> dict[str, list[str]]:
    """The processes whose command line or environment shows it; this one, which made it up, aside."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            for file in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    if words := visible((folder / file).read_bytes()):
                        found[f"{folder.name}/{file}"] = words
    return found


def alone(pid: int) -> bool:
    """Whether the typed command line is gone: the process has started anew without it."""
    return b"***" in Path(f"/proc/{pid}/cmdline").read_bytes()


class Place:
    """Addresses of one run."""

    def __init__(self, folder: Path) -> None:
        self.frames, self.events, self.journal, self.capture, self.worker = (free_port() for _ in "12345")
        self.file = folder / "bowam.toml"
        self.file.write_text(
            f"[source]\nopen_timeout_s = 30.0\n[transport]\nendpoint = 'tcp://127.0.0.1:{self.frames}'\n"
            f"[events]\nendpoint = 'tcp://127.0.0.1:{self.events}'\n"
            f"journal_endpoint = 'tcp://127.0.0.1:{self.journal}'\njournal = '{folder}/journal.sqlite'\n"
            f"[metrics]\ncapture_port = {self.capture}\nworker_port = {self.worker}\n"
            f"[page]\nport = {free_port()}\n"
        )

    def page(self, port: int, path: str = "/metrics") -> str:
        """What a process says there, whatever its status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    def topic(self) -> Iterator[bytes]:
        """What comes on the event topic: statuses, mostly."""
        with zmq.Context() as context, context.socket(zmq.SUB) as topic:
            topic.subscribe(b"")
            topic.connect(f"tcp://127.0.0.1:{self.events}")
            for _ in range(3):
                assert topic.poll(30_000)
                yield b"\n".join(topic.recv_multipart())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("form", ["option", "option with an equals sign", "standard input"])
def test_the_password_of_a_camera_that_plays_shows_nowhere(
    start: Callable, clip: Path, place: Place, tmp_path: Path, form: str
) -> None:
    """Two processes and their supervisor, at log level debug, also after the capture was killed and started again."""
    stream = transport_stream(clip, tmp_path / "clip.ts")
    with contextlib.ExitStack() as stack:
        camera = stack.enter_context(PasswordCamera(USER, PASSWORD, stream))
        address = f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{camera.port}/stream"
        source: tuple[str, ...] = ("--source", address)
        options: dict[str, Any] = {}
        if form == "option with an equals sign":
            source = (f"--source={address}",)
        if form == "standard input":
            typed = tmp_path / "address"
            typed.write_text(address + "\n")
            source, options = ("--source", "-"), {"stdin": stack.enter_context(typed.open())}
        live = start("--log-level", "debug", "live", *source, "--config", place.file, **options)
        if form != "standard input":
            wait_for(lambda: alone(live.pid))
        wait_for(lambda: "capture" in children(live.pid))
        assert told_by_the_system() == {}
        wait_for(lambda: camera.greeted)
        assert told_by_the_system() == {}
        with open_receiver(TransportSettings(endpoint=f"tcp://127.0.0.1:{place.frames}"), lossless=False) as receiver:
            hello = wait_for(lambda: receiver.receive(1.0))
        assert isinstance(hello, Hello)
        assert hello.source == f"rtsp://***@127.0.0.1:{camera.port}/stream"
        statuses = list(place.topic())
        assert any(hello.source.encode() in status for status in statuses)
        os.kill(children(live.pid)["capture"], signal.SIGKILL)
        wait_for(lambda: camera.greeted == 2)
        assert told_by_the_system() == {}
        pages = [place.page(port, path) for port in (place.capture, place.worker) for path in ("/metrics", "/readyz")]
        assert all(pages)
        live.send_signal(signal.SIGINT)
        out, errors = live.communicate(timeout=60)
    assert live.returncode == 0, errors
    assert "starting it again" in errors
    assert f"rtsp://***@127.0.0.1:{camera.port}/stream" in errors
    for text in (out, errors, *pages, *statuses, (tmp_path / "journal.sqlite").read_bytes()):
        assert visible(text) == []


def test_a_camera_that_takes_the_password_and_falls_silent_tells_it_to_nobody(
    start: Callable, place: Place, tmp_path: Path
) -> None:
    """The connection hangs in libav for as long as one likes to look."""
    with PasswordCamera(USER, PASSWORD, holds=True) as camera:
        address = f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{camera.port}/stream"
        capture = start("--log-level", "debug", "capture", address, "--config", place.file)
        wait_for(lambda: camera.greeted)
        assert alone(capture.pid)
        assert told_by_the_system() == {}
        assert visible(place.page(place.capture)) == []
        capture.send_signal(signal.SIGTERM)
        out, errors = capture.communicate(timeout=60)
    assert visible(out + errors) == []


NO_CAMERA = f"rtsp://{USER}:{PASSWORD}@127.0.0.1:1/stream"

WRONG = {
    "nobody listens": ("capture", NO_CAMERA, "--metrics-port", 0, "--frames", "tcp://127.0.0.1:0"),
    "no recording": ("replay", NO_CAMERA),
    "no option": ("live", NO_CAMERA),
    "no verb": (NO_CAMERA,),
    "no number": ("live", "--max-faces", NO_CAMERA),
    "no camera name": ("live", "--camera", NO_CAMERA),
    "no endpoint": ("worker", "--frames", NO_CAMERA),
    "no bind": ("capture", "test://pattern", "--frames", f"tcp://{USER}:{PASSWORD}@127.0.0.1:5555"),
    "another scheme": ("capture", f"https://{USER}:{PASSWORD}@127.0.0.1/x"),
    "a space": ("capture", f"rtsp://{USER}:my {PASSWORD}@127.0.0.1:1/x"),
    "a query": ("capture", f"rtsp://127.0.0.1:1/x?user={USER}&password={PASSWORD}", "--metrics-port", 0),
    "no file": ("live", "--config", NO_CAMERA),
    "no settings": ("live", "--config", "bad.toml"),
    "an endpoint of the settings": ("worker", "--config", "endpoint.toml"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_error_about_an_address_does_not_repeat_its_password(bowam: Run, tmp_path: Path, what: str) -> None:
    """Neither ours nor those of the command line's parser, however narrow the terminal."""
    (tmp_path / "bad.toml").write_text(f"[events]\nendpoint = '{NO_CAMERA}\n")
    (tmp_path / "endpoint.toml").write_text(f"[transport]\nconnect = ['{NO_CAMERA}']\n[metrics]\nworker_port = 0\n")
    for environment in ({"COLUMNS": "50"}, {"BOWAM_TRACEBACK": "1", "BOWAM_LOG_LEVEL": "debug"}):
        run = bowam(*WRONG[what], cwd=tmp_path, env={**os.environ, **environment}, timeout=60)
        assert run.returncode in (1, 2)
        assert run.stderr
        assert visible("".join(run.stderr.split()) + run.stderr + run.stdout) == []
