"""An event with little in it, for tests that only count and order events."""

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
