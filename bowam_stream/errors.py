"""Everything that can go wrong at the edge of the system. Each message is one line that says what to do.

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


class StreamError(Exception):
    """Base of all errors that a user can mend."""


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
