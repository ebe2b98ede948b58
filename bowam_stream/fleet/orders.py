"""What a crew shall run, and the command lines that follow from it on its node."""

from pathlib import Path

import msgspec

from bowam_stream.capture import is_camera
from bowam_stream.config import Config, replaced
from bowam_stream.errors import ConfigError
from bowam_stream.fleet.plan import Capture, Crew, Worker, events_at, frames_at, metrics_host
from bowam_stream.keys import OWN
from bowam_stream.pipeline.supervisor import CAPTURE, WORKER


class Orders(msgspec.Struct, frozen=True):
    """What shall run on one node."""

    crew: Crew
    config: bytes  # of all processes: Config as JSON
    journals: str  # folder there
    elsewhere: dict[str, str]  # where the frames of cameras are that other nodes capture, as far as it is known


def name_of(process: Capture | Worker) -> str:
    """What a process is called in logs; the first word tells the supervisor in which order to end them."""
    return f"{WORKER} {process.name}" if isinstance(process, Worker) else f"{CAPTURE} {process.camera.name}"


def settings_of(orders: Orders, address: str) -> Config:
    """The settings of all processes of the crew. Raises ConfigError."""
    config = msgspec.json.decode(orders.config, type=Config)
    if config.keys.folder is not None:  # a fleet has one key, whomever else server.key speaks of
        config = replaced(config, "keys", server=OWN)
    return replaced(config, "metrics", host=metrics_host(config, address))


def capture_arguments(capture: Capture, orders: Orders, address: str, config: Config, file: Path) -> list[str]:
    """`bowam capture ...`. Raises ConfigError where the file that holds the source can't be read."""
    camera = capture.camera
    options = [f"--metrics-port={capture.metrics_port}", f"--camera={camera.name}"]
    if camera.consent is not None:
        options.append("--consent" if camera.consent else "--no-consent")
    if camera.rate_hz is not None:
        options.append(f"--rate={camera.rate_hz}")
    frames = frames_at(capture, orders.crew, config, address)
    return [
        "capture",
        "--as-live",
        "--wait",
        f"--config={file}",
        f"--frames={frames}",
        *options,
        "--",
        _source(capture),
    ]


def worker_arguments(worker: Worker, orders: Orders, address: str, config: Config, file: Path) -> list[str] | None:
    """`bowam worker ...`; None as long as it is not known where any of its cameras is."""
    near = {one.camera.name: frames_at(one, orders.crew, config, address) for one in orders.crew.captures}
    frames = {**orders.elsewhere, **near}
    found = [f"--frames={frames[camera]}" for camera in worker.cameras if camera in frames]
    if not found:
        return None
    events, journal = events_at(worker, config, address)
    return [
        *("worker", f"--config={file}", *found, f"--endpoint={events}", f"--journal-endpoint={journal}"),
        *(f"--journal={Path(orders.journals) / worker.name}.sqlite", f"--metrics-port={worker.metrics_port}"),
    ]


def _source(capture: Capture) -> str:
    camera = capture.camera
    if camera.source_file is None:
        assert camera.source is not None
        return camera.source
    try:
        source = Path(camera.source_file).read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"camera {camera.name}: can't read {camera.source_file} ({why})") from None
    if source in ("", "-"):
        raise ConfigError(f"camera {camera.name}: the first line of {camera.source_file} names no source")
    return source


def may_end(arguments: list[str]) -> bool:
    """Whether such a process is over some day: a recording is."""
    return arguments[0] == "capture" and not is_camera(arguments[-1])
