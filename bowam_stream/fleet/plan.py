"""Who belongs to whom: crews of processes that live on one node together, and the ports that are theirs for good.

A crew is a worker with its cameras, so that frames stay within a node. A camera that is pinned to other nodes than its
worker is a crew of its own, whose frames cross the network. Ray (or one machine) decides where a crew lives.
"""

from collections.abc import Iterable, Mapping

import msgspec

from bowam_stream.addresses import Endpoint
from bowam_stream.config import Config
from bowam_stream.errors import ConfigError
from bowam_stream.fleet.settings import CameraSettings, FleetSettings, WorkerSettings

LOOPBACK = "127.0.0.1"
CAPTURE_PORTS, WORKER_PORTS = 2, 3  # how many each takes
PIN_SHARE = 0.001  # of a resource that only says where, as Ray's own examples ask for "node:ADDRESS"
DIGITS = 4  # of a share, which Ray counts in ten-thousandths


class Capture(msgspec.Struct, frozen=True):
    """The capture process of one camera."""

    camera: CameraSettings
    frames_port: int
    metrics_port: int


class Worker(msgspec.Struct, frozen=True):
    """A worker process."""

    name: str
    cameras: tuple[str, ...]  # all that it works for, also where they are captured elsewhere
    events_port: int
    journal_port: int
    metrics_port: int


class Crew(msgspec.Struct, frozen=True):
    """Processes that live on one node together, and what that node must have."""

    name: str
    captures: tuple[Capture, ...]
    worker: Worker | None
    needs: Mapping[str, float]  # by the names of Ray's resources


class Plan(msgspec.Struct, frozen=True):
    """A whole fleet."""

    crews: tuple[Crew, ...]

    @property
    def workers(self) -> dict[str, Worker]:
        """By camera."""
        return {name: crew.worker for crew in self.crews if crew.worker for name in crew.worker.cameras}

    @property
    def apart(self) -> tuple[str, ...]:
        """Cameras whose frames cross the network."""
        return tuple(one.camera.name for crew in self.crews if crew.worker is None for one in crew.captures)


def plan(settings: FleetSettings) -> Plan:
    """The crews of a fleet. The same file gives the same plan; cameras that are added at its end move no other's port.

    Raises ConfigError where there are too few ports.
    """
    first, last = settings.ports
    workers = [*settings.workers, *_shared_out(settings)]
    count = CAPTURE_PORTS * len(settings.cameras) + WORKER_PORTS * len(workers)
    if count > last - first + 1 or first < 1:
        raise ConfigError(f"ports {first} to {last} are too few: this fleet has {count}; give it a wider range")
    captures = {
        camera.name: Capture(camera, first + CAPTURE_PORTS * index, first + CAPTURE_PORTS * index + 1)
        for index, camera in enumerate(settings.cameras)
    }
    crews: list[Crew] = []
    for index, one in enumerate(workers):
        events = last - WORKER_PORTS * (index + 1) + 1
        worker = Worker(one.name, one.cameras, events, events + 1, events + 2)
        theirs = [captures[name] for name in one.cameras]
        pins = {capture.camera.pin for capture in theirs}
        pin = one.pin if one.pin is not None or len(pins) > 1 else next(iter(pins))
        near = tuple(capture for capture in theirs if capture.camera.pin in (None, pin))
        crews.append(Crew(one.name, near, worker, _needs(settings, len(near), worker=True, pin=pin)))
        crews += [
            Crew(f"{one.name}/{far.camera.name}", (far,), None, _needs(settings, 1, worker=False, pin=far.camera.pin))
            for far in theirs
            if far not in near
        ]
    return Plan(tuple(crews))


def _shared_out(settings: FleetSettings) -> list[WorkerSettings]:
    """Workers for the cameras that none names: so many for each in the order of the file, and no two pins in one."""
    named = {name for worker in settings.workers for name in worker.cameras}
    by_pin: dict[str | None, list[str]] = {}
    for camera in settings.cameras:
        if camera.name not in named:
            by_pin.setdefault(camera.pin, []).append(camera.name)
    size = settings.cameras_per_worker
    shards = [names[k : k + size] for names in by_pin.values() for k in range(0, len(names), size)]
    place = {camera.name: index for index, camera in enumerate(settings.cameras)}
    shards.sort(key=lambda shard: place[shard[0]])  # so that a camera at the end renames nobody
    taken = {worker.name for worker in settings.workers}
    names = (name for name in map("worker-{}".format, range(1, len(shards) + len(taken) + 1)) if name not in taken)
    return [WorkerSettings(name=name, cameras=tuple(shard)) for name, shard in zip(names, shards, strict=False)]


def _needs(settings: FleetSettings, captures: int, *, worker: bool, pin: str | None) -> dict[str, float]:
    needs = {
        "CPU": round(captures * settings.camera_cpus + worker * settings.worker_cpus, DIGITS),
        "GPU": round(worker * settings.worker_gpus, DIGITS),
    }
    return {name: share for name, share in needs.items() if share} | ({pin: PIN_SHARE} if pin else {})


def lacking(needs: Mapping[str, float], nodes: Iterable[Mapping[str, float]]) -> str | None:
    """Why no node can ever take what needs this; None if one can."""
    if any(all(node.get(name, 0.0) >= share for name, share in needs.items()) for node in nodes):
        return None
    wanted = (name if share == PIN_SHARE else f"{share:g} {name}" for name, share in needs.items())
    return f"no node has {' and '.join(wanted)}; it waits for one"


def open_frames(config: Config) -> bool:
    """Whether frames may cross the network."""
    return config.keys.folder is not None or config.transport.insecure


def frames_at(capture: Capture, crew: Crew, config: Config, address: str) -> str:
    """Where a capture publishes on the node with this address: to its own crew, or to a worker elsewhere."""
    far = crew.worker is None and open_frames(config)
    return _tcp(address if far else LOOPBACK, capture.frames_port)


def events_at(worker: Worker, config: Config, address: str) -> tuple[str, str]:
    """Event topic and journal socket of a worker on the node with this address."""
    host = address if config.keys.folder is not None or config.events.insecure else LOOPBACK
    return _tcp(host, worker.events_port), _tcp(host, worker.journal_port)


def metrics_host(config: Config, address: str) -> str:
    """Where the processes of the node with this address serve their metrics."""
    return address if config.metrics.insecure else LOOPBACK


def metrics_at(process: Capture | Worker, config: Config, address: str) -> str:
    """host:port, as Prometheus takes it."""
    return _tcp(metrics_host(config, address), process.metrics_port).removeprefix("tcp://")


def _tcp(host: str, port: int) -> str:
    return str(Endpoint(scheme="tcp", host=host, port=port))
