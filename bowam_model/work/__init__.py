"""Independent pieces of work, done by several processes or machines. What comes out does not depend on which.

    pieces.py    what is done and what comes of it; what an engine is
    local.py     processes of this machine
    on_ray.py    a Ray cluster

A piece is a function by name and its arguments, so that it can run anywhere where this package is installed.
"""

from bowam_model.work.local import Local
from bowam_model.work.pieces import TRIES, Engine, OnDone, Outcome, Piece

HERE = Local()
"""One process of this machine."""

__all__ = ["HERE", "TRIES", "Engine", "Local", "OnDone", "Outcome", "Piece"]
