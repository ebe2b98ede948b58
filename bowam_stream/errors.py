"""Everything that can go wrong at the edge of the system. Each message is one line that says what to do.

What strangers sent is often part of it, so every message is made one short line without control characters.

    StreamError
    ├── ConfigError       a setting is unknown, malformed or out of range
    ├── SourceError       a video, camera or folder can't be opened or read
    ├── TransportError    a message is malformed, or an endpoint can't be used
    │   └── AddressInUse  another process holds the port
    ├── JournalError      the event journal can't be opened, written or read
    ├── EventFileError    a file of events can't be read, written or trusted
    ├── ReportError       a report, an overlay or the record behind them can't be written or read
    ├── AuditFailed       a journal or a running system breaks a promise
    └── ProcessFailed     a supervised process ended with an error

The command line prints the message and exits with status 1; it never prints a traceback for these.
"""

LINE_CHARS = 1000  # of a message: what a stranger sent must not fill a log


def one_line(text: str) -> str:
    """`text` without anything that moves a cursor or begins a line, and not too long."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: 2 * LINE_CHARS])
    return text if len(text) <= LINE_CHARS else f"{text[: LINE_CHARS - 4]} ..."


class StreamError(Exception):
    """Base of all errors that a user can mend."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class ConfigError(StreamError):
    """A setting is unknown, malformed or out of range."""


class SourceError(StreamError):
    """A video, camera or folder can't be opened or read."""


class TransportError(StreamError):
    """A message is malformed, or an endpoint can't be used."""


class AddressInUse(TransportError):
    """Another process holds the address."""


class JournalError(StreamError):
    """The event journal can't be opened, written or read. `passing`: it may work later, as with a full disk."""

    passing = False


class EventFileError(StreamError):
    """A file of events can't be read, written or trusted."""


class ReportError(StreamError):
    """A report, an overlay or the record behind them can't be written or read."""


class AuditFailed(StreamError):
    """A journal or a running system breaks a promise."""


class ProcessFailed(StreamError):
    """A supervised process ended with an error."""
