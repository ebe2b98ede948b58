"""`bowam doctor`: what this machine has, what is missing, and what to do about it."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination."""

    what: str
    good: bool | None  # None: worth knowing, nothing to mend
    says: str


def _system() -> Iterator[Finding]:
    yield Finding(what="machine", good=None, says=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    version = platform.python_version_tuple()
    fits = version[0] == "3" and version[1] in ("11", "12")
    yield Finding(
        what="Python",
        good=fits,
        says=platform.python_version() + ("" if fits else ": mediapipe 0.10.21 needs 3.11 or 3.12"),
    )


def _opencv() -> Iterator[Finding]:
    owners = [
        name
        for name in (
            "opencv-contrib-python",
            "opencv-python",
            "opencv-python-headless",
            "opencv-contrib-python-headless",
        )
        if _installed(name)
    ]
    if len(owners) > 1:
        extra = " ".join(owner for owner in owners if owner != "opencv-contrib-python")
        yield Finding(
            what="OpenCV", good=False, says=f"{' and '.join(owners)} overwrite each other: pip uninstall {extra}"
        )
        return
    try:
        import cv2
    except ImportError as error:
        yield Finding(what="OpenCV", good=False, says=f"{error}: apt-get install libgl1 libglib2.0-0")
    else:
        yield Finding(what="OpenCV", good=True, says=str(cv2.__version__))


def _capture() -> Iterator[Finding]:
    import importlib.metadata
    import importlib.util

    for package, need in (("mediapipe", "Face Mesh"), ("av", "video")):
        there = importlib.util.find_spec(package) is not None
        says = (
            f"{package} {importlib.metadata.version(package)}"
            if there
            else "missing: pip install 'bowam-stream[capture]'"
        )
        yield Finding(what=need, good=there or None, says=says)
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Finding(what="cameras", good=None, says=", ".join(cameras) or "no /dev/video*")


def _network() -> Iterator[Finding]:
    import torch

    from bowam_model.backends import AUTO, survey
    from bowam_model.errors import ModelError
    from bowam_model.predictor import load

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    yield Finding(what="torch", good=True, says=f"{torch.__version__}, {device}")
    try:
        predictor = load(backend=AUTO)
        predictor.warm_up()
    except ModelError as error:
        yield Finding(what="weights", good=False, says=str(error))
    else:
        says = (
            f"{predictor.name}, {', '.join(predictor.labels)}, {predictor.weights[:19]}..., backend {predictor.backend}"
        )
        yield Finding(what="weights", good=True, says=says)
        for name, missing in survey().items():
            reason = dict(predictor.refused).get(name, missing)
            chosen = "recognises" if name == predictor.backend else "could recognise"
            yield Finding(what=f"backend {name}", good=None if reason else True, says=reason or chosen)


def _formats() -> Iterator[Finding]:
    import importlib
    import importlib.metadata

    for package, module, need, extra in (
        ("pympi-ling", "pympi", "ELAN, Praat", "formats"),
        ("pylsl", "pylsl", "Lab Streaming Layer", "lsl"),
    ):
        try:
            importlib.import_module(module)
        except (ImportError, RuntimeError, OSError) as error:  # RuntimeError: pylsl without its library
            says = f"{error}: pip install 'bowam-stream[{extra}]'"
            yield Finding(what=need, good=None, says=says)
        else:
            yield Finding(what=need, good=True, says=f"{package} {importlib.metadata.version(package)}")


def _ports() -> Iterator[Finding]:
    import socket

    for port, use in ((5555, "frames"), (5556, "events"), (5557, "journal"), (9101, "metrics"), (9102, "metrics")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                yield Finding(
                    what=f"port {port}", good=None, says=f"{use}: {error.strerror} (bowam live runs already?)"
                )
            else:
                yield Finding(what=f"port {port}", good=True, says=f"{use}: free")


def _installed(package: str) -> bool:
    import importlib.metadata

    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (_system, _opencv, _capture, _network, _formats, _ports)


def doctor() -> None:
    """Say what this machine has and what is missing. Exit status 1 if something must be mended."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    ill = 0
    for examine in EXAMINATIONS:
        for finding in examine():
            mark = {True: "[green]ok[/]", False: "[red]mend[/]", None: "[dim]--[/]"}[finding.good]
            table.add_row(mark, finding.what, finding.says)
            ill += finding.good is False
    Console(highlight=False).print(table)
    if ill:
        raise typer.Exit(1)
