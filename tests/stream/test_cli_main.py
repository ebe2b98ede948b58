"""The doorway of the command line, before any verb is ready."""

import os
import signal
import subprocess
import sys

import pytest

DOORWAY = """
import os, signal, sys, types
from bowam_stream import cli

def verb(**_):
    os.write(1, b"in the verb")
    os.kill(os.getpid(), signal.SIGTERM)  # as if it came while PyTorch loads
    os.write(1, b", still there")

sys.modules["bowam_stream.cli.app"] = types.SimpleNamespace(app=verb)
cli.main()
"""


@pytest.mark.parametrize("supervised", [True, False])
def test_an_early_end_is_silent_if_a_supervisor_asks_and_an_interruption_otherwise(supervised: bool) -> None:
    """A supervised process ends at once: an exception in the middle of loading PyTorch makes its C++ talk and abort."""
    environment = {**os.environ, "BOWAM_SUPERVISOR": str(os.getpid())} if supervised else dict(os.environ)
    ended = subprocess.run([sys.executable, "-c", DOORWAY], env=environment, capture_output=True, timeout=60)
    assert ended.stdout == b"in the verb"
    assert ended.returncode == -signal.SIGTERM if supervised else ended.returncode != 0
    assert (b"KeyboardInterrupt" in ended.stderr) != supervised
