"""Public data sets and everybody's own clips as one kind of sample, without torch.

`load(describe("casme2"), root)` reads a data set, `load_manifest(path)` a csv of one's own, `load_composite(root)`
MEGC2019. What was not taken as the sheet has it stands in the corpus's findings.
"""

from bowam_model.datasets.composite import load_composite
from bowam_model.datasets.descriptions import DESCRIPTIONS, describe
from bowam_model.datasets.loader import load
from bowam_model.datasets.manifest import load_manifest
from bowam_model.datasets.sample import Corpus, Expected, Finding, FlowImage, Frames, Sample, Video

__all__ = [
    "DESCRIPTIONS",
    "Corpus",
    "Expected",
    "Finding",
    "FlowImage",
    "Frames",
    "Sample",
    "Video",
    "describe",
    "load",
    "load_composite",
    "load_manifest",
]
