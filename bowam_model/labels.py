"""The words for classes. Order in a network's output is always alphabetical and is stored in the weights' metadata."""

NONE = "none"  # what the recogniser answers for a candidate that is no micro-expression; never an event's label

MEGC2019 = ("negative", "positive", "surprise")
"""The three classes of the MEGC2019 composite (FIELD: CASME II, SAMM, SMIC)."""

MEGC2019_COUNTS = {
    "casme2": (145, 24, (88, 32, 25)),
    "samm": (133, 28, (92, 26, 15)),
    "smic": (164, 16, (70, 51, 43)),
}
"""Its samples, subjects, and samples by class, for each of its data sets."""

SHIPPED = ("negative", "none", "positive", "surprise")
"""The classes of the shipped weights: MEGC2019 and `none`."""
