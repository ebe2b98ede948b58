"""Faces that move as we say: clips of a neutral photo with micro-expressions whose truth is known.

    plan = plan_clip(seed=1, rate_hz=100)
    make_clip(plan, load_identity("photo.jpg"), "clip-1")     # clip-1/clip.mp4 and clip-1/truth.json

A *plan* says what happens when, in milliseconds; `render` turns it into pictures at any frame rate; the truth follows
from the plan in closed form. Lengths are "pixels of the crop", the aligned 240x240 face of `bowam_model.face`.
"""

from bowam_model.synthesis.clip import make_clip, write_clip
from bowam_model.synthesis.identity import Identity, load_identities, load_identity
from bowam_model.synthesis.plan import ClipPlan, demo_plan, plan_clip
from bowam_model.synthesis.render import render
from bowam_model.synthesis.truth import Truth, TruthEvent, load_truth, truth_of

__all__ = [
    "ClipPlan",
    "Identity",
    "Truth",
    "TruthEvent",
    "demo_plan",
    "load_identities",
    "load_identity",
    "load_truth",
    "make_clip",
    "plan_clip",
    "render",
    "truth_of",
    "write_clip",
]
