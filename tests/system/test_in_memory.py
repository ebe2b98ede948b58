"""`spot` beside `bowam replay`: the same stages, in one process and in three."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

SPOT = """
import sys
from bowam_model import load
from bowam_stream import spot
from bowam_stream.capture import open_source
from bowam_stream.events import to_json

clip, session, backend = sys.argv[1:]
pictures = (frame.image for frame in open_source(clip))
for event in spot(pictures, 100.0, camera="cam0", session=session, predictor=load(backend=backend)):
    print(to_json(event, delivery=False).decode())
"""


def test_pictures_in_memory_give_the_bytes_of_a_replay(clip: Path, undisturbed: bytes) -> None:
    """Under the same names and with the same backend."""
    events = [json.loads(line) for line in undisturbed.splitlines()]
    (backend,) = {event["model"]["backend"] for event in events if event["model"]}
    spotted = subprocess.run(
        [sys.executable, "-c", SPOT, clip, events[0]["session"], backend],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # as `bowam` sets it
        capture_output=True,
        timeout=120,
    )
    assert spotted.returncode == 0, spotted.stderr
    assert spotted.stdout == undisturbed
