"""Judging a recogniser honestly: who is tested when, what is chosen without them, and what came of it.

`run_protocol` is the door. settings: what decides a figure; folds: who is tested when; lesson: one learning, watched;
selection: recipe and epoch from training subjects; store: the files; run: all folds; result, compare, plots: figures.
"""

from bowam_model.protocol.compare import compare, comparison, comparison_lines
from bowam_model.protocol.folds import Fold, make_folds
from bowam_model.protocol.result import LEAKED, Result, figure_table
from bowam_model.protocol.run import run_protocol
from bowam_model.protocol.settings import ProtocolSettings

__all__ = [
    "LEAKED",
    "Fold",
    "ProtocolSettings",
    "Result",
    "compare",
    "comparison",
    "comparison_lines",
    "figure_table",
    "make_folds",
    "run_protocol",
]
