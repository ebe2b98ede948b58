"""The words for classes. Order in a network's output is always alphabetical and is stored in the weights' metadata."""

NONE = "none"  # what the recogniser answers for a candidate that is no micro-expression; never an event's label

MEGC2019 = ("negative", "positive", "surprise")
"""The three classes of the MEGC2019 composite (FIELD: CASME II, SAMM, SMIC)."""

SHIPPED = ("negative", "none", "positive", "surprise")
"""The classes of the shipped weights: MEGC2019 and `none`."""
