"""What is done anywhere, by processes that know nothing of each other: survey, watch, recognise.

Each function is a piece of work for an engine: its first argument is what all share. Recordings are named, never sent:
whoever does a piece reads them where they lie. What goes back is bytes, which the driver keeps as they are.
"""

import functools
from collections import Counter
from collections.abc import Sequence

import cv2
import msgspec

from bowam_stream.config import Config, ModelSettings, replaced
from bowam_stream.corpus.listing import Entry
from bowam_stream.corpus.places import at_hand, changed
from bowam_stream.errors import ConfigError
from bowam_stream.events import to_json
from bowam_stream.messages import Event, Kind, Model
from bowam_stream.pipeline.parts import Part, Watched, join
from bowam_stream.pipeline.watching import recognise, survey, watch
from bowam_stream.worker import Predictor

KINDS: tuple[Kind, ...] = ("micro", "macro", "blink")


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What all pieces of a run need."""

    config: Config
    weights: str  # digest of the weights file: a machine that has another one at that place must not take part


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one recording."""

    session: str
    rate_hz: float | None
    frames: int
    frames_with_face: int
    faces: int  # face tracks
    duration_ns: int
    quality: tuple[str, ...]  # of the whole recording, such as "truncated"
    consent: bool | None
    counts: dict[str, int]  # micro, macro, blink: final events; refused: those taken back
    labels: dict[str, int]  # of final micro-expressions
    event_quality: dict[str, int]  # word -> closed events that carry it
    model: Model | None  # which network was asked, and what computed it; None where there was nothing to ask
    lines: bytes  # the events, as `bowam replay --events` writes them


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that did not come to agree: the second of each pair wants to be watched by who watched the first."""

    pairs: tuple[int, ...]  # index of the first


def settings_of(config: Config, entry: Entry) -> Config:
    """The settings for one recording."""
    return replaced(config, "source", rate_hz=entry.rate_hz, consent=entry.consent)


def survey_piece(shared: Shared, entry: Entry) -> bytes:
    """What a recording is: `Surveyed`. Raises SourceError, ConfigError."""
    config = _settings(shared, entry)
    with at_hand(entry.path) as path:
        return msgspec.msgpack.encode(survey(str(path), config))


def watch_piece(shared: Shared, entry: Entry, sha256: str, session: str, begin: int, end: int | None) -> bytes:
    """What moves in a part of a recording: `Watched`. Raises SourceError, also where it is another one by now."""
    config = _settings(shared, entry)
    with at_hand(entry.path, sha256) as path:
        seen = watch(Part(path=str(path), camera=entry.camera, begin=begin, end=end), config)
    if seen.hello.session != session:
        raise changed(entry.path)
    return seen.to_bytes()


def recognise_piece(shared: Shared, entry: Entry, batch: int, *parts: bytes) -> bytes:
    """The events of a recording, from all its parts in order: `Finding`, or `Apart`. Raises ModelError.

    `batch`: how many micro-expressions the network sees at a time.
    """
    config = _settings(shared, entry)
    whole = _joined([Watched.from_bytes(part) for part in parts])
    if isinstance(whole, Apart):
        return msgspec.msgpack.encode(whole)
    events = recognise(whole, _predictor(config.model), batch=batch)
    return msgspec.msgpack.encode(_finding(whole, events))


def _joined(seen: Sequence[Watched]) -> Watched | Apart:
    """All parts as one, or which are apart; none is in two pairs."""
    whole, pairs = seen[0], list[int]()
    for first, part in enumerate(seen[1:]):
        both = join(whole, part)
        if both is None and first - 1 not in pairs:
            pairs.append(first)
        whole = both or part
    return Apart(pairs=tuple(pairs)) if pairs else whole


def _finding(seen: Watched, events: list[Event]) -> Finding:
    closed = [event for event in events if event.phase != "provisional"]
    final = [event for event in closed if event.phase == "final"]
    kinds = Counter(event.kind for event in final)
    return Finding(
        session=seen.hello.session,
        rate_hz=seen.hello.rate_hz,
        frames=seen.frames,
        frames_with_face=seen.frames_with_face,
        faces=len(seen.tracks),
        duration_ns=seen.duration_ns,
        quality=tuple(sorted({*seen.hello.quality, *seen.quality})),
        consent=seen.hello.consent,
        counts={**{kind: kinds[kind] for kind in KINDS}, "refused": len(closed) - len(final)},
        labels=dict(sorted(Counter(event.label for event in final if event.label).items())),
        event_quality=dict(sorted(Counter(word for event in closed for word in event.quality).items())),
        model=next((event.model for event in events if event.model is not None), None),
        lines=b"".join(to_json(event, delivery=False) + b"\n" for event in events),
    )


def _settings(shared: Shared, entry: Entry) -> Config:
    cv2.setNumThreads(1)  # results must not depend on how many cores there are
    here = _weights_digest(shared.config)
    if here != shared.weights:
        raise ConfigError(
            f"the weights {shared.config.model.weights or 'that come with the package'} are others on this machine; "
            "install the same version, and the same file, everywhere"
        )
    return settings_of(shared.config, entry)


@functools.lru_cache(maxsize=1)
def _weights_digest(config: Config) -> str:
    return config.weights_digest()


def _predictor(settings: ModelSettings) -> Predictor:
    """The network, warm, with as many threads as the settings say: an engine gives each piece one."""
    import torch

    torch.set_num_threads(settings.threads)
    return _loaded(settings)


@functools.lru_cache(maxsize=1)
def _loaded(settings: ModelSettings) -> Predictor:
    from bowam_model.predictor import load
    from bowam_stream.pipeline.working import check_fit

    predictor = load(settings.weights, backend=settings.backend, threads=settings.threads)
    check_fit(predictor)
    predictor.warm_up()
    return predictor
