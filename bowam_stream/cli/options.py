"""Options that several verbs share, each with its help stated once."""

import re
from pathlib import Path
from typing import Annotated

import typer

CAMERA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")  # what messages and topics can carry


def _camera(name: str) -> str:
    if not CAMERA.fullmatch(name):
        raise typer.BadParameter("up to 64 letters, digits, `.`, `_` and `-`, the first no sign")
    return name


def read_source(source: str) -> str:
    """The source that was given; for `-`, the first line of standard input, which no process list shows."""
    import sys

    return sys.stdin.readline().strip() if source == "-" else source


ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.toml", help="Settings file; flags come on top of it.")
]
Camera = Annotated[
    str, typer.Option("--camera", callback=_camera, help="Name of this camera in topics, metrics and events.")
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", min=0.1, max=10_000, metavar="HZ", help="Frame rate of a folder of numbered images."),
]
MaxFaces = Annotated[
    int | None,
    typer.Option("--max-faces", min=1, max=100, metavar="N", help="How many faces to follow at once; 1 if not given."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE.safetensors", help="Weights of the network; without it, the shipped nano."),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        metavar="X",
        help="Choose the threshold that was measured to give so many, per face; more of them, and less is missed.",
    ),
]
Consent = Annotated[
    bool | None,
    typer.Option(
        "--consent/--no-consent",
        help="State in every event whether the people in view agreed; without it, nothing is stated.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Allow sockets without keys, and metrics, beyond this machine: none encrypted."),
]
Keys = Annotated[
    Path | None,
    typer.Option(
        "--keys", metavar="DIR", help="Encrypt, and connect with those alone whose keys lie here: bowam keygen."
    ),
]
Lsl = Annotated[
    bool,
    typer.Option("--lsl", help="Push markers of final events into Lab Streaming Layer, which the network can see."),
]
Frames = Annotated[str | None, typer.Option("--frames", metavar="ENDPOINT", help="Where aligned faces are published.")]
Events = Annotated[str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Where events are published.")]
