"""From a data set on disk to the flows that learners take, once: aligned like live use, cached, in parallel.

prepared = prepare(load_composite(root), PreparationSettings(readings=5), cache, workers=8)
prepared.examples, prepared.findings
"""

from bowam_model.preparation.prepare import Prepared, prepare
from bowam_model.preparation.settings import PreparationSettings

__all__ = ["PreparationSettings", "Prepared", "prepare"]
