"""What a run leaves in its folder: `run.json`, one JSON per fold and seed, and what a fold in progress needs.

Files are written whole or not at all. The identity (a digest of recipes, examples and settings) stands in each, and a
folder never holds two.
"""

import fcntl
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bowam_model.errors import RunError
from bowam_model.protocol.settings import ProtocolSettings

RUN = "run.json"
LOCK = ".lock"
PACKAGES = ("bowam-stream", "torch", "numpy", "opencv-contrib-python", "scikit-learn")


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is run on what."""

    identity: str
    title: str
    synthetic: bool
    settings: ProtocolSettings
    names: tuple[str, ...]  # of the candidates
    recipes: tuple[dict[str, Any], ...]
    digest: str  # of the examples
    shape: tuple[int, ...]  # of their flows, N V H W C
    fusion: str
    classes: tuple[str, ...]
    people: tuple[str, ...]
    clips: tuple[str, ...]
    labels: tuple[int, ...]
    subjects: tuple[int, ...]
    folds: tuple[tuple[int, ...], ...]  # the subjects tested in each
    machines: tuple[dict[str, str], ...]  # with versions; more than one if the run went on elsewhere


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the selection took in a fold, and why."""

    candidate: int  # index of the candidates
    epochs: int
    inner_uf1: tuple[
        tuple[float, ...], ...
    ] = ()  # for each candidate and epoch, not smoothed; empty if nothing to choose


class FoldRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one fold with one seed."""

    identity: str
    fold: int
    seed: int
    examples: tuple[int, ...]  # the tested ones
    scores: tuple[tuple[float, ...], ...]  # probabilities, by example and class
    choice: Choice
    losses: tuple[float | None, ...]  # by epoch, of the final learning
    samples_seen: int  # by the final learning
    inner_samples_seen: int  # by the selection before it
    seconds: float
    leaked_epoch_scores: tuple[tuple[tuple[float, ...], ...], ...] | None = (
        None  # by epoch, example, class; oracle only
    )


Record = TypeVar("Record", RunRecord, FoldRecord)


def fold_path(folder: Path, fold: int, seed: int) -> Path:
    """Where a fold's record lies."""
    return folder / f"fold-{fold:03d}-seed-{seed}.json"


def write(path: Path, record: msgspec.Struct | dict[str, Any] | str) -> None:
    """JSON (or text), whole or not at all."""
    text = record.encode() if isinstance(record, str) else msgspec.json.format(msgspec.json.encode(record), indent=1)
    half = path.with_name(path.name + ".part")
    half.write_bytes(text)
    os.replace(half, path)


def read(path: Path, kind: type[Record]) -> Record:
    """Raises RunError if it is missing or no such record."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise RunError(f"{path} is missing: name a folder that `bowam loso` wrote, or let it finish") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}): delete it and run again") from None


def identity(
    names: tuple[str, ...], recipes: tuple[dict[str, Any], ...], digest: str, settings: ProtocolSettings
) -> str:
    """SHA-256 of all that decides the record of a fold. Which other seeds are run does not."""
    decides = {key: value for key, value in msgspec.to_builtins(settings).items() if key != "seeds"}
    return hashlib.sha256(msgspec.json.encode([names, recipes, digest, decides], order="sorted")).hexdigest()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder, which is made; the hold ends with the process. Raises RunError if held."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process runs in {folder}: wait for it, or give another --out") from None
        yield


def open_run(folder: Path, run: RunRecord) -> RunRecord:
    """Write `run.json`, or go on with the run that is there. Raises RunError if that is another."""
    if (folder / RUN).exists():
        before = read(folder / RUN, RunRecord)
        if before.identity != run.identity:
            raise RunError(
                f"{folder} holds another run ({_what_differs(before, run)}): give another --out, or delete it"
            )
        machines = before.machines + tuple(one for one in run.machines if one not in before.machines)
        run = msgspec.structs.replace(run, machines=machines)
    write(folder / RUN, run)
    return run


def finished(folder: Path, run: RunRecord) -> dict[tuple[int, int], FoldRecord]:
    """The folds that are done, by fold and seed. Raises RunError if one is of another run."""
    done = {}
    for fold in range(len(run.folds)):
        for seed in run.settings.seeds:
            path = fold_path(folder, fold, seed)
            if path.exists():
                record = read(path, FoldRecord)
                if (record.identity, record.fold, record.seed) != (run.identity, fold, seed):
                    raise RunError(f"{path} is of another run: delete it and run again")
                done[fold, seed] = record
    return done


def this_machine() -> dict[str, str]:
    """What can change the last bits of a result, and no name of a host."""
    machine = {
        "system": platform.system(),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    for package in PACKAGES:
        try:
            machine[package] = version(package)
        except PackageNotFoundError:
            continue
    return machine


def _what_differs(before: RunRecord, now: RunRecord) -> str:
    settings = [
        name
        for name in ProtocolSettings.__struct_fields__
        if name != "seeds" and getattr(before.settings, name) != getattr(now.settings, name)
    ]
    parts = [*settings, *(["examples"] * (before.digest != now.digest))]
    if (before.names, before.recipes) != (now.names, now.recipes):
        parts.append("recipe")
    return ", ".join(parts) + (" differs" if len(parts) == 1 else " differ")
