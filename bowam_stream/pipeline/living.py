"""One camera through both processes, for as long as it lasts."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from bowam_stream.config import Config, save_config
from bowam_stream.messages import Event
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.supervisor import Supervisor
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
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Watch `source` until told to stop, on the addresses of `config`, so that others can subscribe and scrape.

    A recording is played as a camera would send it. `on_turn` is called about ten times a second. Raises ProcessFailed
    with the one line of the process that failed.
    """
    with tempfile.TemporaryDirectory(prefix="bowam-") as name:
        file = Path(name) / "config.json"
        save_config(config, file)
        with Supervisor() as supervisor, Tap(config.events.endpoint) as tap:
            supervisor.start("capture", ("capture", source, "--camera", camera, "--as-live", "--config", file))
            supervisor.start("worker", ("worker", "--config", file))
            while not stop and supervisor.watch() and supervisor.children[0].running:
                tap.poll(POLL_S, on_event, on_status)
                on_turn()
            supervisor.end()
            tap.poll(0, on_event, on_status)
