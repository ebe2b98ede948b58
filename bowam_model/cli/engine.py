"""Options that say who does the work: processes of this machine, or a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from bowam_model.errors import OptionError
from bowam_model.work import Engine, Local

EngineName = Annotated[
    Literal["local", "ray"], typer.Option(help="local: --workers processes of this machine; ray: a Ray cluster.")
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT|auto", help="The Ray cluster; without it one starts on this machine.")
]
Gpus = Annotated[float, typer.Option("--gpus", help="Share of a GPU for each piece of work on Ray.", min=0.0)]


@contextmanager
def open_engine(name: str, *, workers: int = 1, address: str | None = None, gpus: float = 0.0) -> Iterator[Engine]:
    """The engine that was asked for. Raises OptionError for options that do not fit, EngineError."""
    if name == "local":
        if address is not None or gpus:
            raise OptionError("--address and --gpus are for --engine ray")
        yield Local(workers)
        return
    from bowam_model.work.on_ray import Ray

    with Ray(address, gpus=gpus) as engine:
        yield engine
