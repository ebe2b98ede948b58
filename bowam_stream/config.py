"""All settings of a run in one validated file: the settings of the stages, side by side.

A TOML file may set any of them (`--config bowam.toml`); flags of the command line come on top. An unknown key is an
error, so that a misspelled setting is never silently ignored.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

import bowam_model
from bowam_model.face import FaceSettings
from bowam_stream.capture import SourceSettings
from bowam_stream.errors import ConfigError
from bowam_stream.keys import KeySettings
from bowam_stream.spotting import SpottingSettings
from bowam_stream.spotting.operating import read_points, settings_digest, threshold_for
from bowam_stream.transport import TransportSettings

SHIPPED_WEIGHTS = Path(bowam_model.__path__[0]) / "weights" / "bowam-nano.safetensors"

T = TypeVar("T")

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which network recognises, and how it runs."""

    weights: str | None = None  # safetensors file; None: the weights that come with the package
    backend: str = (
        "auto"  # what computes it: "auto", the best that this machine has, or a name that `bowam doctor` shows
    )
    threads: Threads = 1  # of the network; fixed before frame 0, since it changes the last bits


class EventSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events go."""

    endpoint: str = "tcp://127.0.0.1:5556"  # event and status topics (PUB)
    journal_endpoint: str = "tcp://127.0.0.1:5557"  # missed events (ROUTER)
    journal: str = "bowam-journal.sqlite"
    insecure: bool = False  # True: listen beyond this machine without keys, so that nothing is encrypted


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Prometheus finds the numbers. Port 0 takes a free one, and the log tells which."""

    host: str = "127.0.0.1"
    insecure: bool = False  # True: `host` may be beyond this machine; HTTP knows no keys, whoever gets there can read
    capture_port: Port = 9101
    worker_port: Port = 9102


class PageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The live page. Port 0 takes a free one, and the log tells which."""

    host: str = "127.0.0.1"
    port: Port = 8080
    preview: bool = False  # True: whoever opens the page sees faces, and the three frames of each event
    token: str | None = None  # file with the word that a browser must know; beyond this machine there must be one
    certificate: str | None = None  # PEM file, and its key: HTTPS, which beyond this machine there must be as well
    certificate_key: str | None = None
    insecure: bool = False  # True: beyond this machine without token and HTTPS


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, by stage."""

    source: SourceSettings = SourceSettings()
    face: FaceSettings = FaceSettings()
    transport: TransportSettings = TransportSettings()
    spotting: SpottingSettings = SpottingSettings()
    model: ModelSettings = ModelSettings()
    events: EventSettings = EventSettings()
    metrics: MetricsSettings = MetricsSettings()
    page: PageSettings = PageSettings()
    keys: KeySettings = KeySettings()

    def digest(self) -> str:
        """Hex digest of the settings that change the content of events; part of a recording's session name."""
        matter = (
            *(self.source, self.face, self.spotting),
            *(self.model.backend, self.model.threads, self.weights_digest()),
        )
        return hashlib.sha256(msgspec.json.encode(matter, order="deterministic")).hexdigest()

    def weights_digest(self) -> str:
        """Hex digest of the weights file. Raises ConfigError if it can't be read."""
        return _digest_of(self.model.weights or SHIPPED_WEIGHTS)


def load_config(path: Path | None) -> Config:
    """Read a TOML or JSON file; None gives the defaults. Raises ConfigError that names the file and the key."""
    return Config() if path is None else read_settings(path, Config)


def read_settings(path: Path, kind: type[T]) -> T:
    """Settings of any kind from a TOML or JSON file. Raises ConfigError that names the file and the key."""
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(_bytes_of(path), type=kind)
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path}: brackets within brackets without end; write a flat file") from None
    except (msgspec.DecodeError, ValueError) as error:  # a number of thousands of digits is a ValueError alone
        raise ConfigError(f"{path}: {error}") from None


def save_config(config: Config, path: Path) -> None:
    """Write all settings as JSON, for the processes of a run. Raises ConfigError for what can't be written as text."""
    try:
        path.write_bytes(msgspec.json.encode(config))
    except UnicodeEncodeError as error:
        raise ConfigError(f"{error.object!r} is not UTF-8; rename the file") from None


def at_false_alarms(config: Config, per_hour: float | None) -> Config:
    """The config with the threshold that was measured to give so many false alarms per hour; None leaves it.

    Raises ConfigError beyond what was measured, and where other settings or weights than the measured ones are used.
    """
    if per_hour is None:
        return config
    points = read_points()
    if points.weights != config.weights_digest():
        raise ConfigError("false alarms per hour were measured with the shipped weights only; set a threshold instead")
    if points.settings != settings_digest(config.spotting):
        raise ConfigError(
            "false alarms per hour were measured with the default settings of [spotting]; leave those as they are, or "
            "set a threshold instead"
        )
    return replaced(config, "spotting", threshold=threshold_for(points, per_hour))


def _bytes_of(file: Path) -> bytes:
    """What stands in a file; a pipe or a device might never end, and is refused."""
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file} is no ordinary file; name one")
    return file.read_bytes()


def _digest_of(file: str | Path) -> str:
    try:
        return hashlib.sha256(_bytes_of(Path(file))).hexdigest()
    except OSError as error:
        raise ConfigError(f"can't read the weights {file}: {error.strerror}") from None


def replaced(config: Config, stage: str, **changes: Any) -> Config:
    """The config with some settings of one stage changed; those that are None are left as they were.

    Raises ConfigError, as `load_config` does, for a value that is out of range.
    """
    given = {
        name: str(value) if isinstance(value, Path) else value for name, value in changes.items() if value is not None
    }
    settings = msgspec.structs.replace(getattr(config, stage), **given)
    try:
        msgspec.convert(msgspec.structs.asdict(settings), type(settings))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{stage}: {error}") from None
    return msgspec.structs.replace(config, **{stage: settings})
