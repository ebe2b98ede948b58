"""FLEET.toml: the cameras of a fleet, who works for them, and what all of them share."""

import logging
import stat
from pathlib import Path
from typing import Annotated

import msgspec

from bowam_stream.addresses import redact
from bowam_stream.capture import is_camera
from bowam_stream.capture.source import RateHz
from bowam_stream.config import Port, read_settings
from bowam_stream.errors import ConfigError

log = logging.getLogger(__name__)

Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1024)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class CameraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One camera. Either `source` or `source_file` says where it is."""

    name: Name  # in topics, metrics and events
    source: str | None = None  # as `bowam capture` takes it; a recording is played as a camera would send it
    source_file: str | None = (
        None  # file of the node that runs it, whose first line is the source: a password stays there
    )
    rate_hz: RateHz | None = None  # a folder of numbered images: frames per second; cameras: asked for
    consent: bool | None = None  # whether the people in view agreed, as events state it
    pin: str | None = None  # Ray resource of the nodes that can run it, such as "node:10.0.0.7" where it is plugged in

    def __repr__(self) -> str:  # errors and logs of others show arguments
        return f"CameraSettings({self.name})"

    @property
    def shown(self) -> str:
        """The source as anybody may see it."""
        return redact(self.source) if self.source is not None else f"as {self.source_file} says"


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One worker, and the cameras that belong to it."""

    name: Name  # its journal is NAME.sqlite
    cameras: tuple[Name, ...]
    pin: str | None = None  # Ray resource of the nodes that can run it; None: that of its cameras, if it is one


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole fleet. Paths are seen from the folder of its file, and are the same on every node."""

    cameras: tuple[CameraSettings, ...]
    workers: tuple[WorkerSettings, ...] = ()  # cameras that none of them names are shared out in the order of the file
    cameras_per_worker: Count = 4  # of those
    config: str | None = None  # settings of all processes, as --config takes them
    journals: str = "journals"  # folder on the node where a worker runs
    state: str = "fleet"  # folder here: fleet.json, and targets.json for Prometheus
    host: str = "127.0.0.1"  # --engine local: under which address others reach this machine
    ports: tuple[Port, Port] = (20_000, 29_999)  # first and last; each process has its own, wherever it runs
    camera_cpus: Share = 0.3  # what Ray sets aside for each capture: one of 200 frames per second takes 0.28 of a core
    worker_cpus: Share = 1.0
    worker_gpus: Share = 0.0


def load_fleet(path: Path) -> FleetSettings:
    """Read a TOML or JSON file. Raises ConfigError that names the file and the key, and shows no value."""
    settings = read_settings(path, FleetSettings)
    try:
        _check(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    secret = any(camera.source is not None and camera.shown != camera.source for camera in settings.cameras)
    if secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s holds a password, and others can read it; protect it with: chmod 600 %s", path, path)
    home = path.absolute().parent
    return msgspec.structs.replace(
        settings,
        cameras=tuple(_at_home(camera, home) for camera in settings.cameras),
        **{
            name: str(home / value)
            for name in ("config", "journals", "state")
            if (value := getattr(settings, name)) is not None
        },
    )


def _check(settings: FleetSettings) -> None:
    """Raise ConfigError for what the types can't say."""
    if not settings.cameras:
        raise ConfigError("there is no camera; add [[cameras]] with name and source")
    names = _unique([camera.name for camera in settings.cameras], "cameras are called")
    _unique([worker.name for worker in settings.workers], "workers are called")
    taken = _unique([name for worker in settings.workers for name in worker.cameras], "workers have")
    if unknown := sorted(taken - names):
        raise ConfigError(f"a worker has {unknown[0]}, and no camera is called so")
    for worker in settings.workers:
        if not worker.cameras:
            raise ConfigError(f"worker {worker.name} has no camera; give it one, or take it out")
    for camera in settings.cameras:
        if (camera.source is None) == (camera.source_file is None):
            raise ConfigError(f"camera {camera.name}: say either source or source_file")
        if camera.source is not None and camera.source.strip() in ("", "-"):
            raise ConfigError(f"camera {camera.name}: name a video, a folder of images, a camera number or rtsp://")


def _unique(names: list[str], what: str) -> set[str]:
    """The names as a set. Raises ConfigError where one stands twice."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two {what} {name}; a camera belongs to exactly one worker, and names are unique")
    return set(names)


def _at_home(camera: CameraSettings, home: Path) -> CameraSettings:
    """Paths of recordings and of `source_file` from the root."""
    changes = {}
    if camera.source_file is not None:
        changes["source_file"] = str(home / camera.source_file)
    elif camera.source is not None and not (is_camera(camera.source) or ":/" in camera.source):
        changes["source"] = str(home / Path(camera.source).expanduser())
    return msgspec.structs.replace(camera, **changes)
