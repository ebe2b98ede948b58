"""Logging for people and for machines, on the standard library.

    configure("info", "json")
    with context(camera="cam0", session="5f3a"):
        log.info("opened %s", "rtsp://user:secret@host/1")    # -> {"camera":"cam0", ..., "message":"opened rtsp://***@host/1"}

Credentials in addresses are removed from every record, tracebacks included, before anything is written.
"""

import contextlib
import contextvars
import datetime
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TextIO

import msgspec

from bowam_stream.addresses import redact
from bowam_stream.errors import ConfigError, one_line

Format = Literal["human", "json"]

LEVELS = ("debug", "info", "warning", "error")
FIELDS = ("camera", "session")
FLOOD_S, FLOOD_RECORDS = 60.0, 100  # of one kind (logger and text before its values), so many in so long
FLOOD_KINDS = 1000
RECORD_CHARS = 10_000  # of a message; strangers' names are in it

_context: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("bowam_log_context")
_everywhere: dict[str, str] = {}
_plain = logging.Formatter()


@contextlib.contextmanager
def everywhere(**fields: str) -> Iterator[None]:
    """Put `camera`, `session` or both on every record of this process inside the block, whatever thread it is from."""
    before = dict(_everywhere)
    _everywhere.update(fields)
    try:
        yield
    finally:
        _everywhere.clear()
        _everywhere.update(before)


@contextlib.contextmanager
def context(**fields: str) -> Iterator[None]:
    """Put `camera`, `session` or both on every record of this thread or task inside the block."""
    token = _context.set({**_context.get({}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class Flood:
    """How much of one kind of message is written: strangers choose how often it happens."""

    def __init__(self) -> None:
        self._started_s = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()

    def lets_through(self, record: logging.LogRecord) -> bool:
        """Whether to write `record`; the last one of its kind for a while says so."""
        if not 0 <= record.created - self._started_s < FLOOD_S:
            self._started_s = record.created
            self._counts.clear()
        kind = (record.name, str(record.msg)[:200])
        if kind not in self._counts and len(self._counts) >= FLOOD_KINDS:
            kind = ("", "")
        self._counts[kind] += 1
        if self._counts[kind] == FLOOD_RECORDS:
            record.msg = f"{record.msg} (more of this kind are left out for up to {FLOOD_S:.0f} s)"
        return self._counts[kind] <= FLOOD_RECORDS


class RecordFilter(logging.Filter):
    """Completes each record with the context, removes credentials and stops floods; the record is final afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._flood = Flood()

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._flood.lets_through(record):
            return False
        around = {**_everywhere, **_context.get({})}
        for field in FIELDS:  # what the call gave with `extra` wins
            setattr(record, field, getattr(record, field, around.get(field, "")))
        record.msg, record.args = redact(record.getMessage())[:RECORD_CHARS], ()
        if record.exc_info:
            record.exc_text = redact(_plain.formatException(record.exc_info))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Fields: time (UTC), level, logger, process, message, and where known camera, session, exception."""
        fields = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **{field: value for field in FIELDS if (value := getattr(record, field, ""))},
        }
        if record.exc_text:
            fields["exception"] = record.exc_text
        return msgspec.json.encode(fields).decode()


class HumanFormatter(logging.Formatter):
    """`12:30:05 warning cam0: message`, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Local time; the logger's name only when debugging."""
        time = datetime.datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        who = getattr(record, "camera", "") or (record.name if record.levelno <= logging.DEBUG else "")
        line = f"{time} {record.levelname.lower()} {who + ': ' if who else ''}{one_line(record.getMessage().rstrip())}"
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def configure(level: str = "info", format: Format = "human", stream: TextIO | None = None) -> logging.Handler:
    """Send the logs of this process to `stream` (standard error). Calling it again replaces what it set up before.

    Raises ConfigError for a level or format that does not exist.
    """
    if level not in LEVELS:
        raise ConfigError(f"no log level {level!r}; choose one of {', '.join(LEVELS)}")
    if format not in ("human", "json"):
        raise ConfigError(f"no log format {format!r}; choose human or json")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(RecordFilter())
    handler.setFormatter(JsonFormatter() if format == "json" else HumanFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        if any(isinstance(item, RecordFilter) for item in old.filters):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    return handler
