"""A synthetic hour: a record with hundreds of events, written directly, so that it takes seconds to make."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np

from bowam_stream.messages import EndOfStream, Event, Hello, Kind, Model, Moment
from bowam_stream.report.record import LENGTH_BYTES, FaceRecord, FrameRecord, Record

HOUR_S = 3600
MODEL = Model(name="bowam-nano", weights="sha256:" + "ab" * 32, backend="eager")
LABELS = ("negative", "positive", "surprise")
HERE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
AWAY_S = range(1200, 1500)  # nobody is there for five minutes


def hour_in(folder: Path, rate_hz: int, events: int, *, length_s: float = HOUR_S) -> tuple[Record, tuple[Event, ...]]:
    """`events` micro-expressions with pictures but for those in which nobody is there, as many blinks, and refused
    movements of both sorts."""
    told = tuple(sorted(_events(rate_hz, events, length_s), key=lambda event: event.seq))
    (folder / "triples").mkdir(parents=True)
    hello = Hello(camera="cam0", session="5", source="interview.mp4", rate_hz=float(rate_hz))
    frames = round(length_s * rate_hz)
    end = EndOfStream(camera="cam0", session="5", seq=frames, frames=frames)
    (folder / "hello.json").write_bytes(msgspec.json.encode(hello))
    (folder / "end.json").write_bytes(msgspec.json.encode(end))
    (folder / "told.bin").touch()
    encode = msgspec.msgpack.Encoder().encode
    moving = {frame for e in told if e.offset for frame in range(e.onset.frame, e.offset.frame)}
    noise = np.random.default_rng(0).uniform(0.5, 2.5, 1021).tolist()
    with (folder / "frames.bin").open("wb", buffering=1 << 20) as file:
        for n in range(frames):
            face = FaceRecord(
                track=0,
                transform=HERE,
                points=b"",
                signal=9.0 + noise[n % 1021] if n in moving else noise[n % 1021],
                threshold=5.0,
                state="open" if n in moving else "rest",
                regions={},
                refused="nod" if n % (rate_hz * 18) == rate_hz * 7 else None,
            )
            here = int(n / rate_hz) not in AWAY_S
            body = encode(FrameRecord(frame=n, t_ns=_t_ns(n, rate_hz), faces=(face,) if here else ()))
            file.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    strips = [cv2.imencode(".png", strip)[1].tobytes() for strip in _strips(6)]
    for number, event in enumerate(event for event in told if event.probabilities):
        (folder / "triples" / f"{event.event_id}.png").write_bytes(strips[number % len(strips)])
    return Record(folder), told


def _events(rate_hz: int, number: int, length_s: float) -> Iterator[Event]:
    rng = np.random.default_rng(1)
    for i in range(number):
        start_s = (i + 0.25) * length_s / number
        if int(start_s) in AWAY_S:
            continue
        yield _event(4 * i + 1, start_s, 0.3, rate_hz, "micro", float(rng.uniform(0.4, 1.0)))
        yield _event(4 * i + 2, start_s + 0.5 * length_s / number, 0.2, rate_hz, "blink")
        if i % 3 == 0:
            yield _event(4 * i + 3, start_s + 0.7 * length_s / number, 0.1, rate_hz, None)


def _event(seq: int, start_s: float, length_s: float, rate_hz: int, kind: Kind | None, sure: float = 0.0) -> Event:
    first, last = round(start_s * rate_hz), round((start_s + length_s) * rate_hz)
    onset, apex, offset = (
        Moment(frame=frame, t_ns=_t_ns(frame, rate_hz)) for frame in (first, (first + last) // 2, last)
    )
    label = LABELS[seq % 3] if kind == "micro" else None
    rest = (1.0 - sure) / 3
    return Event(
        event_id=f"{seq:016x}",
        seq=seq,
        camera="cam0",
        session="5",
        face=0,
        kind=kind,
        phase="final" if kind else "retracted",
        onset=onset,
        apex=apex,
        offset=offset,
        label=label,
        probabilities={**dict.fromkeys((*LABELS, "none"), rest), label: sure} if label else None,
        confidence=sure if label else None,
        spotting_score=round(5.0 + (seq * 7919 % 300) / 10, 1),
        quality=("speech",) if seq % 5 == 0 else (),
        model=MODEL if label else None,
        reason=None if kind else ("nod", "too_short", "speech")[seq % 4 % 3],
    )


def _strips(number: int) -> Iterator[np.ndarray]:
    """Onset, apex and offset of a smooth random picture whose middle moves, with a camera's noise on it."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:240, :240].astype(np.float32)
    weight = np.exp(-((x - 120) ** 2 + (y - 120) ** 2) / (2 * 30.0**2))
    for _ in range(number):
        still = cv2.GaussianBlur(rng.uniform(0, 255, (240, 240)).astype(np.float32), (0, 0), 3)
        still = cv2.normalize(still, None, 20, 235, cv2.NORM_MINMAX)
        moved = cv2.remap(still, x - 2 * weight, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        crops = [picture + rng.normal(0, 3, (240, 240)) for picture in (still, moved, still)]
        yield np.clip(np.rint(np.hstack(crops)), 0, 255).astype(np.uint8)


def _t_ns(frame: int, rate_hz: int) -> int:
    return round(frame * 1e9 / rate_hz)
