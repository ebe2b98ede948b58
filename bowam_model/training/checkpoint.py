"""The state of a training in one file, so that it can go on after an interruption. safetensors, no pickle."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bowam_model.errors import OptionError, WeightsError
from bowam_model.training.loop import Curve

SCHEMA = "bowam.checkpoint/1"


def write_checkpoint(path: Path, run: str, curve: list[Curve], members: list[dict[str, Tensor]]) -> None:
    """Write the file, whole or not at all.

    Args:
        run: what the training is, so that no other goes on from here.
        curve: one row for each epoch that is done.
        members: `Trainer.state` of each network.
    """
    tensors = {f"{index}.{key}": value for index, state in enumerate(members) for key, value in state.items()}
    metadata = {"schema": SCHEMA, "run": run, "curve": json.dumps([asdict(row) for row in curve])}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(tensors, partial, metadata)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f"can't write the checkpoint {path}: {error}") from error


def read_checkpoint(path: Path, run: str, members: int) -> tuple[list[Curve], list[dict[str, Tensor]]]:
    """What `write_checkpoint` wrote.

    Raises:
        WeightsError: the file is damaged.
        OptionError: it belongs to another training.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"can't read the checkpoint {path}: {error}; remove it to begin anew") from error
    if metadata.get("schema") != SCHEMA or metadata.get("run") != run:
        raise OptionError(
            f"{path} belongs to a training with another recipe, seed or data: remove it, or name another checkpoint"
        )
    states: list[dict[str, Tensor]] = [{} for _ in range(members)]
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        states[int(index)][name] = value
    return [Curve(**row) for row in json.loads(metadata["curve"])], states
