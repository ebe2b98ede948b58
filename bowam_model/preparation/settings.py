"""How clips become flows."""

from dataclasses import dataclass
from typing import get_args

from bowam_model.errors import OptionError
from bowam_model.flow import ALIGNED_PX, SMALLEST_PX, Fusion

READINGS = (1, 3, 5)


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """What decides the flows besides the pictures. Another value is another entry in the cache."""

    fusion: Fusion = "add"  # of flow.bidirectional_flow
    side_px: int = ALIGNED_PX  # the flow of the 240 px face is averaged over areas down to this; its pixels stay those
    readings: int = 1  # 1: the apex; 3: the frames beside it too; 5: two frames to either side (FIELD.md "Sampling")
    steady: bool = True  # follow the head through all frames, as live use does; False: align only the frames in use

    def __post_init__(self) -> None:
        if self.fusion not in get_args(Fusion):
            raise OptionError(f"unknown fusion {self.fusion!r}: use one of {', '.join(get_args(Fusion))}")
        if not SMALLEST_PX <= self.side_px <= ALIGNED_PX:
            raise OptionError(f"side_px is {self.side_px}: it must lie between {SMALLEST_PX} and {ALIGNED_PX}")
        if self.readings not in READINGS:
            raise OptionError(f"readings is {self.readings}: use 1, 3 or 5")

    @property
    def channels(self) -> int:
        """Values for each pixel of a flow."""
        return 4 if self.fusion == "concat" else 2
