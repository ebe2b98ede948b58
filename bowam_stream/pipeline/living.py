"""One camera through both processes, for as long as it lasts."""

import urllib.request
from collections.abc import Callable
from http import HTTPStatus

from bowam_stream.capture import is_camera
from bowam_stream.config import Config, MetricsSettings, replaced, save_config
from bowam_stream.keys import OWN, open_keys
from bowam_stream.messages import Event
from bowam_stream.pipeline.folder import private_folder
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.supervisor import CAPTURE, PAGE, WORKER, Supervisor
from bowam_stream.pipeline.tap import Status, Tap

POLL_S = 0.1


def live(
    source: str,
    config: Config,
    *,
    camera: str,
    stop: StopFlag,
    on_event: Callable[[Event], None],
    on_status: Callable[[Status], None],
    page: bool = False,
) -> None:
    """Watch `source` until told to stop, on the addresses of `config`, so that others can subscribe and scrape.

    A recording is played as a camera would send it. With `page`, a page shows what goes on. Raises ProcessFailed with
    the one line of the process that failed.
    """
    if config.keys.folder is not None:  # both processes have the same key, whoever else server.key speaks of
        config = replaced(config, "keys", server=OWN)
    keys = open_keys(config.keys)
    with private_folder() as folder:
        file = folder / "config.json"
        save_config(config, file)
        with Supervisor() as supervisor, Tap(config.events.endpoint, keys) as tap:
            supervisor.start(WORKER, ("worker", "--config", file))
            if page:
                supervisor.start(PAGE, ("page", "--config", file), vital=False)
            while not is_camera(source) and not stop and supervisor.watch() and not _ready(config.metrics):
                tap.poll(POLL_S, on_event, on_status)  # a recording that is played now would lose its beginning
            capture = supervisor.start(
                CAPTURE,
                ("capture", "--as-live", "--config", file, f"--camera={camera}", "--", source),
                again=("--wait",),
            )
            while not stop and supervisor.watch() and capture.running:
                tap.poll(POLL_S, on_event, on_status)
            supervisor.end()
            tap.poll(0, on_event, on_status)


def _ready(metrics: MetricsSettings) -> bool:
    """Whether the worker says so; True where its port is not known beforehand."""
    if metrics.worker_port == 0:
        return True
    try:
        with urllib.request.urlopen(f"http://{metrics.host}:{metrics.worker_port}/readyz", timeout=1) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
