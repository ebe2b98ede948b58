"""Bi-WOOF and MDMO as maps, so that the same network can learn from them (Table 11(a))."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.learning import Examples
from bowam_model.rivals.biwoof import paint_biwoof
from bowam_model.rivals.mdmo import paint_mdmo

Map = Literal["biwoof", "mdmo"]

_PAINTERS: dict[str, Callable[[np.ndarray, str], np.ndarray]] = {"biwoof": paint_biwoof, "mdmo": paint_mdmo}


def painted(examples: Examples, kind: Map) -> Examples:
    """The same clips as ready pictures (fusion "picture") of (cos, sin, magnitude), each reading painted for itself.

    For the network: `Encoding(fusion="picture", colours="picture")` without centring. Mirror and rotation treat the
    three channels rightly.

    Raises:
        OptionError: the kind is unknown, or it can't be painted from these flows.
    """
    if kind not in _PAINTERS:
        raise OptionError(f"unknown map {kind!r}: use one of {', '.join(_PAINTERS)}")
    paint = _PAINTERS[kind]
    flows = examples.flows_NVHWC
    pictures = np.empty((*flows.shape[:4], 3), np.float16)
    for clip, reading in np.ndindex(flows.shape[:2]):
        pictures[clip, reading] = paint(flows[clip, reading], examples.fusion)
    return replace(examples, flows_NVHWC=pictures, fusion="picture")
