"""Options that several verbs share, each with its help stated once."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.toml", help="Settings file; flags come on top of it.")
]
Camera = Annotated[str, typer.Option("--camera", help="Name of this camera in topics, metrics and events.")]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, metavar="HZ", help="Frame rate of a folder of numbered images.")
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE.safetensors", help="Weights of the network; without it, the shipped nano."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow sockets beyond this machine without encryption or keys.")
]
Frames = Annotated[str | None, typer.Option("--frames", metavar="ENDPOINT", help="Where aligned faces are published.")]
Events = Annotated[str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Where events are published.")]
