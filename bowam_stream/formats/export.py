"""Formats by name, which events are wanted, and the files that come of them."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from bowam_stream.errors import ConfigError, EventFileError
from bowam_stream.formats import bids, boris, elan, lines, table, textgrid
from bowam_stream.formats.media import Media, media
from bowam_stream.formats.reading import Source
from bowam_stream.formats.rows import Left, Row, by_session, make_rows, recordings
from bowam_stream.messages import Event


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format."""

    render: Callable[[Sequence[Row], Media | None], dict[str, bytes]]  # suffix -> content
    by_session: bool  # one time line in each file
    linked: bool = False  # it names the video


FORMATS: dict[str, Format] = {
    "csv": Format(render=lambda rows, _: table.render(rows), by_session=False),
    "jsonl": Format(render=lambda rows, _: lines.render(rows), by_session=False),
    "elan": Format(render=elan.render, by_session=True, linked=True),
    "textgrid": Format(render=lambda rows, _: textgrid.render(rows), by_session=True),
    "boris": Format(render=boris.render, by_session=True, linked=True),
    "bids": Format(render=lambda rows, _: bids.render(rows), by_session=True),
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for; None: all."""

    cameras: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    kinds: Sequence[str] | None = None  # of final events
    since_utc_ns: int | None = None  # those whose onset came then or later; recordings have no date
    retracted: bool = False  # also those that were withdrawn
    zero_utc_ns: int | None = None  # from when the times of a camera are counted; None: its session's first onset


def select(source: Source, wanted: Wanted) -> tuple[list[Row], Left]:
    """The rows of what is wanted, and what was left out of it.

    Raises EventFileError where a camera or a session is not there, or a date is asked of a recording.
    """
    found = recordings(source.events, source.sources, source.recordings, wanted.zero_utc_ns)
    _check("camera", wanted.cameras, {camera for camera, _ in found})
    _check("session", wanted.sessions, {session for _, session in found})
    events = [event for event in source.events if _is_wanted(event, wanted)]
    if wanted.zero_utc_ns is not None and not any(event.onset.utc_ns for event in events):
        raise EventFileError("only a camera's times can be counted from a date: a recording counts from its beginning")
    return make_rows(events, found, source.judgements, retracted=wanted.retracted)


def _check(what: str, wanted: Iterable[str] | None, there: set[str]) -> None:
    for name in wanted or ():
        if name not in there:
            known = ", ".join(sorted(there)[:10]) or "none at all"
            raise EventFileError(f"there are no events of {what} {name}; there are of: {known}")


def _is_wanted(event: Event, wanted: Wanted) -> bool:
    if wanted.cameras is not None and event.camera not in wanted.cameras:
        return False
    if wanted.sessions is not None and event.session not in wanted.sessions:
        return False
    if wanted.kinds is not None and event.phase == "final" and event.kind not in wanted.kinds:
        return False
    if wanted.since_utc_ns is None:
        return True
    if event.onset.utc_ns is None:
        raise EventFileError(f"session {event.session} of {event.camera} is a recording: its events have no date")
    return event.onset.utc_ns >= wanted.since_utc_ns


def files(
    rows: Sequence[Row],
    name: str,
    *,
    folder: Path | None = None,
    video: Path | None = None,
    bids_prefix: str | None = None,
) -> dict[str, bytes]:
    """File name -> content, of `rows` in the format `name`. `folder` is where they go; None: nowhere yet.

    Raises ConfigError where a session is missing, or options don't fit the format or each other.
    """
    form = FORMATS[name]
    if video is not None and not form.linked:
        raise ConfigError(f"--video: {name} names no video; elan and boris do")
    if bids_prefix is not None and name != "bids":
        raise ConfigError(f"--bids-prefix: {name} is not named that way")
    if not form.by_session:
        return {f"events{suffix}": content for suffix, content in form.render(rows, None).items()}
    parts = by_session(rows)
    if not parts:
        raise ConfigError(f"there are no events, so there is no session to write as {name}")
    if video is not None and len(parts) > 1:
        raise ConfigError(f"--video belongs to one of {len(parts)} sessions: choose it with --session")
    link = media(video, folder) if video is not None else None
    stems = _bids_stems(parts, bids_prefix) if name == "bids" else _stems(parts)
    return {
        stem + suffix: content
        for stem, part in zip(stems, parts.values(), strict=True)
        for suffix, content in form.render(part, link).items()
    }


def _stems(keys: Iterable[tuple[str, str]]) -> list[str]:
    """How the files of sessions are called."""
    return _unlike(
        [re.sub(r"[^A-Za-z0-9._-]", "_", f"{camera}_{session}")[:200].lstrip(".") for camera, session in keys]
    )


def _bids_stems(keys: Iterable[tuple[str, str]], prefix: str | None) -> list[str]:
    """The same by the rules of BIDS: several sessions under one name are its runs."""
    names = [
        bids.check_prefix(prefix or f"sub-{re.sub('[^A-Za-z0-9]', '', camera) or 'unknown'}_task-bowam")
        for camera, _ in keys
    ]
    runs = dict.fromkeys(names, 0)
    stems = []
    for name in names:
        runs[name] += 1
        several = names.count(name) > 1
        if several and "_run-" in name:
            raise ConfigError(f"{name} names one run, but {names.count(name)} sessions: choose one with --session")
        stems.append(f"{name}_run-{runs[name]}" if several else name)
    return stems


def _unlike(names: list[str]) -> list[str]:
    """`names`, with a number where two would be the same."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found
