"""What can go wrong between pixels and classes. Each message is one line that says what to do.

What a file says is often part of it, so every message is made one short line without control characters.

ModelError
├── ImageError         a picture has the wrong shape, type or content
├── OptionError        an option is unknown or out of range
├── WeightsError       a weights file is missing, damaged, or does not fit the network
├── BackendError       what should compute the network can't run here, or failed
├── DatasetError       a data set, manifest or identity folder is not what it should be
├── RunError           pieces of a long run failed, or its folder holds another run
├── EngineError        what should do the pieces is not installed, can't be reached, or was lost
├── ExportError        an exported graph does not answer as the network does, or can't be written
└── MissingDependency  an optional package, or a system library that it needs, is not installed
"""

LINE_CHARS = 1000  # of a message


def one_line(text: str) -> str:
    """`text` without anything that moves a cursor or begins a line, and not too long."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: 2 * LINE_CHARS])
    return text if len(text) <= LINE_CHARS else f"{text[: LINE_CHARS - 4]} ..."


class ModelError(Exception):
    """Base of all errors that a user can mend."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class ImageError(ModelError):
    """A picture has the wrong shape, type or content."""


class OptionError(ModelError, ValueError):
    """An option is unknown or out of range."""


class WeightsError(ModelError):
    """A weights file is missing, damaged, or does not fit the network."""


class BackendError(ModelError):
    """What should compute the network can't run here, or failed."""


class DatasetError(ModelError):
    """A data set, manifest or identity folder is not what it should be."""


class MissingDependency(ModelError):
    """An optional package, or a system library that it needs, is not installed."""


class EngineError(ModelError):
    """What should do the pieces of a run is not installed, can't be reached, or was lost."""


class RunError(ModelError):
    """Pieces of a long run failed, or its folder holds another run."""


class ExportError(ModelError):
    """An exported graph does not answer as the network does, or can't be written."""
