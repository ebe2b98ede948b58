"""Arguments with passwords: what shows, what arrives, what is repeated in errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bowam_stream.capture import open_source
from bowam_stream.errors import SourceError
from bowam_stream.pipeline.arguments import VARIABLE, hidden, shown, without_credentials

SECRET = "rtsp://user:geh eim@cam/x"

ECHO = """
import json, os, sys
from bowam_stream.pipeline.arguments import hide_ours
hide_ours()
line = open("/proc/self/cmdline", "rb").read().split(b"\\0")[-4:-1]
environ = open("/proc/self/environ", "rb").read()
print(json.dumps({
    "argv": sys.argv[1:], "line": list(map(os.fsdecode, line)), "left": [name for name in os.environ if "_FD" in name],
    "environ": b"eim" in environ, "open": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
}))
"""


@pytest.mark.parametrize(
    ("argument", "seen"),
    [
        ("rtsp://user:pass@cam/x", "rtsp://***@cam/x"),
        ("--source=rtsp://user:pass@cam/x", "--source=rtsp://***@cam/x"),
        ("rtsp://user:my pass@cam/x", "rtsp://***@cam/x"),
        ("rtsp://cam/x?user=me&password=word", "rtsp://cam/x?user=***&password=***"),
        ("some video @home.mp4", "some video @home.mp4"),
        ("test://pattern?frames=90", "test://pattern?frames=90"),
        ("", ""),
    ],
)
def test_what_may_be_seen_of_an_argument(argument: str, seen: str) -> None:
    """Also where a password has a space in it."""
    assert shown(argument) == seen


def test_arguments_without_a_secret_are_passed_on_as_they_are() -> None:
    """No descriptor, no variable."""
    with hidden(["live", "--source", "0"]) as started:
        assert started == (["live", "--source", "0"], {}, ())


def test_a_process_gets_the_true_arguments_and_shows_others(tmp_path: Path) -> None:
    """Started by itself with a secret, or by a supervisor that hid it: the same; and nothing is left open."""
    file = tmp_path / "echo.py"
    file.write_text(ECHO)
    arguments = [SECRET, "", "b\u00e4r\udcff"]
    typed = subprocess.run([sys.executable, str(file), *arguments], capture_output=True, check=True).stdout
    with hidden(arguments) as (visible, environment, descriptors):
        started = subprocess.run(
            [sys.executable, str(file), *visible],
            env={**os.environ, **environment},
            pass_fds=descriptors,
            capture_output=True,
            check=True,
        ).stdout
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
    assert typed == started
    told = json.loads(typed)
    assert told["argv"] == arguments
    assert told["line"][0] == "rtsp://***@cam/x"
    assert told["left"] == []
    assert told["environ"] is False
    assert told["open"] == [0, 1, 2]
    assert VARIABLE not in os.environ


def test_a_message_repeats_no_argument_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that no pattern would recognise."""
    monkeypatch.setattr(sys, "argv", ["bowam", SECRET])
    assert without_credentials(f"what is '{SECRET}'?") == "what is 'rtsp://***@cam/x'?"


def test_a_space_in_an_address_is_refused_without_showing_it() -> None:
    """A log could not tell where the password ends."""
    with pytest.raises(SourceError, match="%20") as caught:
        open_source(SECRET)
    assert "eim" not in str(caught.value)
