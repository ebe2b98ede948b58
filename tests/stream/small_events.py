"""Events with little in them, for tests that count, order and match."""

from typing import Any

import msgspec

from bowam_stream.messages import Event, Moment

MOMENT = Moment(frame=1, t_ns=1)


def small_event(event_id: str, camera: str = "cam0", seq: int = 0) -> Event:
    """A final macro-expression of one frame."""
    return Event(
        event_id=event_id,
        seq=seq,
        camera=camera,
        session="s",
        face=0,
        kind="macro",
        phase="final",
        onset=MOMENT,
        apex=MOMENT,
        offset=MOMENT,
        label=None,
        probabilities=None,
        confidence=None,
        spotting_score=1.0,
        quality=(),
        model=None,
    )


def micro_event(frames: tuple[int, int, int | None], label: str | None, fps: float, **changes: Any) -> Event:
    """A final micro-expression by its onset, apex and offset frame."""
    onset, apex, offset = frames

    def moment(frame: int) -> Moment:
        return Moment(frame=frame, t_ns=round(frame * 1e9 / fps))

    event = small_event(f"{onset}-{offset}", camera="clip", seq=onset + 1)
    placed = {"kind": "micro", "onset": moment(onset), "apex": moment(apex), "label": label}
    placed["offset"] = None if offset is None else moment(offset)
    return msgspec.structs.replace(event, **(placed | changes))
