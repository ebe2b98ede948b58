"""What can go wrong between pixels and classes. Each message is one line that says what to do.

ModelError
├── ImageError         a picture has the wrong shape, type or content
├── OptionError        an option is unknown or out of range
├── WeightsError       a weights file is missing, damaged, or does not fit the network
├── BackendError       what should compute the network can't run here, or failed
├── DatasetError       a data set, manifest or identity folder is not what it should be
├── RunError           pieces of a long run failed, or its folder holds another run
├── ExportError        an exported graph does not answer as the network does, or can't be written
└── MissingDependency  an optional package, or a system library that it needs, is not installed
"""


class ModelError(Exception):
    """Base of all errors that a user can mend."""


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


class RunError(ModelError):
    """Pieces of a long run failed, or its folder holds another run."""


class ExportError(ModelError):
    """An exported graph does not answer as the network does, or can't be written."""
