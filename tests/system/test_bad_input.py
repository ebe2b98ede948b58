"""Bad input gets one clear line and an exit status, and nothing half-written."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.system.processes import Run

pytestmark = pytest.mark.system

PATTERN = "test://pattern?frames=40&rate=25&size=320x240"

FAILS = {
    "a file that is not there": (("replay", "no-such-file.mp4"), "no-such-file.mp4"),
    "a file that is no video": (("replay", "text.mp4"), "text.mp4"),
    "an empty file": (("replay", "empty.mp4"), "empty.mp4"),
    "an empty folder": (("replay", "folder"), "folder"),
    "images without a rate": (("replay", "images"), "--rate"),
    "weights that are not there": (("replay", PATTERN, "--weights", "none.safetensors"), "none.safetensors"),
    "weights that are no weights": (("replay", PATTERN, "--weights", "text.mp4"), "text.mp4"),
    "an output in a folder that is not there": (("replay", "text.mp4", "--events", "nowhere/e.jsonl"), "nowhere"),
    "an output that is the recording": (("replay", "text.mp4", "--overlay", "./text.mp4"), "something else"),
    "an output that is the journal": (("replay", PATTERN, "--events", "one", "--journal", "one"), "something else"),
    "an output that is a device": (("replay", PATTERN, "--events", "/dev/full"), "ordinary file"),
    "a file whose name looks like an option": (("replay", "--", "--fast.mp4"), "--fast.mp4: no such file"),
    "a name that is too long": (("replay", "n" * 300), "too long"),
    "an output whose name is too long": (("replay", PATTERN, "--events", "n" * 300), "too long"),
    "a settings file whose name is too long": (("replay", PATTERN, "--config", "n" * 300), "too long"),
    "a port that is none": (("worker", "--metrics-port", 70000), "65535"),
    "an output that is a folder": (("replay", "text.mp4", "--report", "folder"), "folder"),
    "a settings file that is not there": (("replay", "text.mp4", "--config", "none.toml"), "none.toml"),
    "a settings file with an unknown key": (("replay", "text.mp4", "--config", "unknown.toml"), "spoting"),
    "a settings file that is no TOML": (("replay", "text.mp4", "--config", "text.mp4"), "text.mp4"),
    "a camera that is not there": (("live", "--source", "9"), "/dev/video9"),
    "an address that is none": (("worker", "--frames", "nonsense"), "nonsense"),
    "a bind beyond this machine": (("capture", "test://pattern", "--frames", "tcp://0.0.0.0:5555"), "--insecure"),
    "a journal that is no journal": (("worker", "--journal", "text.mp4"), "text.mp4"),
    "a subscription to nobody": (
        ("subscribe", "--endpoint", "tcp://127.0.0.1:9", "--since", "0", "--timeout", "1"),
        "127.0.0.1:10",
    ),
    "photos that are not there": (("synth", "out", "--identities", "nobody"), "nobody"),
}

TOML = {
    "brackets without end": ("a = " + "[" * 3000, "brackets"),
    "a number of thousands of digits": ("[transport]\nmax_age_ms = " + "9" * 5000, "digits"),
    "a value out of range": ("[transport]\nmax_age_ms = 0", "max_age_ms"),
    "a value of another type": ('[model]\nthreads = "many"', "threads"),
    "a key twice": ("[model]\nthreads = 1\nthreads = 2", "overwrite"),
    "an escape sequence as a key": ('"\\u001b[2J" = 1', "unknown field"),
    "a key of thousands of characters": ("k" * 5000 + " = 1", "unknown field"),
    "no text at all": ("\x80\x81", "bad.toml"),
    "a table where a value belongs": ("[transport.endpoint]\nx = 1", "endpoint"),
}

WEIGHTS: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "safetensors"),
    "a header longer than the file": (b"\xff" * 7 + b"\x7f{}", "safetensors"),
    "a header that is no JSON": (b"\x08\0\0\0\0\0\0\0notjson!", "safetensors"),
    "no metadata": (b"\x02\0\0\0\0\0\0\0{}", "schema"),
    "a PyTorch file": (b"PK\x03\x04" + b"\0" * 100, "can run code"),
    "a pickle": (b"\x80\x04\x95" + b"\0" * 100, "can run code"),
}

WRONG = {
    "no face at all": ("live", "--max-faces", "0"),
    "an unknown verb": ("reply",),
    "an unknown option": ("replay", "text.mp4", "--fast"),
    "a missing argument": ("replay",),
    "a speed that is none": ("replay", "text.mp4", "--speed", "3"),
    "a name that is no camera's": ("replay", "text.mp4", "--camera", "a/b"),
    "a rate that is none": ("replay", "images", "--rate", "fast"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder full of traps."""
    import cv2
    import numpy as np

    (tmp_path / "text.mp4").write_text("this is a text")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "images").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"img{number}.png"), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "unknown.toml").write_text("[spoting]\nthreshold = 3\n")
    return tmp_path


def check_line(run: "subprocess.CompletedProcess[str]", *named: str) -> None:
    """One printable line on stderr, and status 1."""
    lines = run.stderr.strip().splitlines()
    assert run.returncode == 1, run.stderr
    assert len(lines) == 1, run.stderr
    assert lines[0].isprintable()
    assert len(lines[0]) < 1100
    assert lines[0].startswith("bowam: ")
    assert "internal error" not in lines[0]
    assert all(name in lines[0] for name in named), lines[0]


@pytest.mark.parametrize("what", FAILS)
def test_what_fails_says_so_in_one_line(bowam: Run, place: Path, what: str) -> None:
    """Exit status 1, one line on stderr that names the thing, and no file appears."""
    arguments, named = FAILS[what]
    before = sorted(place.rglob("*"))
    run = bowam(*arguments, cwd=place, timeout=60)
    lines = run.stderr.strip().splitlines()
    assert run.returncode == 1, run.stderr
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("bowam: ")
    assert named in lines[0]
    assert "internal error" not in lines[0]
    assert sorted(path for path in place.rglob("*") if "bowam-journal" not in path.name) == before


@pytest.mark.parametrize("what", TOML)
def test_a_settings_file_that_is_none_is_said_in_one_line(bowam: Run, tmp_path: Path, what: str) -> None:
    """Exit status 1, the file's name, and why."""
    text, named = TOML[what]
    (tmp_path / "bad.toml").write_bytes(text.encode("latin-1"))
    run = bowam("worker", "--config", "bad.toml", cwd=tmp_path, timeout=60)
    check_line(run, "bad.toml", named)


@pytest.mark.parametrize("what", [*WEIGHTS, "options that would fill the memory", "options of another type"])
def test_weights_that_are_none_are_said_in_one_line(bowam: Run, tmp_path: Path, what: str) -> None:
    """Whatever the file claims: no memory is spent on it, and nothing in it is run."""
    path = tmp_path / "bad.safetensors"
    if what in WEIGHTS:
        data, named = WEIGHTS[what]
    else:
        from bowam_model.predictor import SHIPPED_WEIGHTS

        shipped = SHIPPED_WEIGHTS.read_bytes()
        length = int.from_bytes(shipped[:8], "little")
        header = json.loads(shipped[8 : 8 + length])
        claims = {"dims": [10**9, 10**9, 10**9]} if "memory" in what else ["no", "object"]
        header["__metadata__"]["options"] = json.dumps(claims)
        written = json.dumps(header).encode()
        data, named = len(written).to_bytes(8, "little") + written + shipped[8 + length :], "bad.safetensors"
    path.write_bytes(data)
    places = ("--endpoint", "tcp://127.0.0.1:0", "--journal-endpoint", "tcp://127.0.0.1:0", "--metrics-port", "0")
    check_line(bowam("worker", "--weights", path, *places, cwd=tmp_path, timeout=60), "bad.safetensors", named)


@pytest.mark.parametrize("what", WRONG)
def test_wrong_usage_has_its_own_status(bowam: Run, place: Path, what: str) -> None:
    """Exit status 2, and where to find help."""
    run = bowam(*WRONG[what], cwd=place)
    assert run.returncode == 2
    assert "Usage" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("process", ["capture", "worker"])
def test_a_busy_port_is_named(bowam: Run, place: Path, process: str) -> None:
    """Whoever holds it keeps it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        arguments: tuple[object, ...] = ("worker", "--endpoint", f"tcp://127.0.0.1:{port}", "--metrics-port", 0)
        if process == "capture":
            arguments = ("capture", "test://pattern", "--frames", f"tcp://127.0.0.1:{port}", "--metrics-port", 0)
        run = bowam(*arguments, cwd=place, timeout=60)
    assert run.returncode == 1
    assert f"{port} is in use" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
