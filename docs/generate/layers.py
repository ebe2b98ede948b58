"""Who may import whom, from pyproject.toml, where import-linter reads it."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def layers() -> str:
    """A block for each package: what stands above may import what stands below, never back."""
    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    parts = []
    for contract in contracts:
        if contract["type"] == "layers":
            (package,) = contract["containers"]
            block = "\n".join(contract["layers"])
            parts.append(f"**`{package}`**: {contract['name']}\n\n```text\n{block}\n```\n")
    rules = "\n".join(f"- {one['name']}." for one in contracts if one["type"] != "layers")
    return "\n".join([*parts, rules, ""])
