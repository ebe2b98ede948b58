"""One recording through the real processes: capture and worker under a supervisor, lossless, in a private folder."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bowam_stream.addresses import IPC_PATH_BYTES, redact
from bowam_stream.capture import is_camera
from bowam_stream.config import Config, replaced, save_config
from bowam_stream.errors import ConfigError, ProcessFailed, SourceError
from bowam_stream.events import Journal
from bowam_stream.keys import KeySettings
from bowam_stream.messages import Event
from bowam_stream.pipeline.folder import private_folder
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.summary import RunSummary, read_summary
from bowam_stream.pipeline.supervisor import CAPTURE, WORKER, Supervisor
from bowam_stream.pipeline.tap import Status, Tap
from bowam_stream.report.record import JOURNAL_FILE, RECORD_FOLDER

POLL_S = 0.1


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found."""

    summary: RunSummary
    events: tuple[Event, ...]  # every record of the session, in order of seq
    record: Path | None  # signals and event frames, if they were asked for; gone when the `with` block ends
    journal: Path  # likewise, unless it was to be kept
    interrupted: bool  # ended early, on request


@contextlib.contextmanager
def replay(
    spec: str,
    config: Config,
    *,
    camera: str,
    paced: bool,
    record: bool,
    journal: Path | None,
    stop: StopFlag,
    on_event: Callable[[Event], None] = lambda event: None,
    on_status: Callable[[Status], None] = lambda status: None,
) -> Iterator[Replay]:
    """Run `spec` through both processes and give what they found.

    `on_event` and `on_status` hear the event topic while it runs. Raises SourceError for a camera,
    ProcessFailed with the one line of the process that failed.
    """
    if is_camera(spec):
        raise SourceError(f"{redact(spec)} is a camera and has no end; watch it with: bowam live --source")
    with private_folder() as folder:  # nobody else can connect
        config = private(config, folder, journal)
        save_config(config, folder / "config.json")
        common = ("--config", folder / "config.json")
        with Supervisor() as supervisor, Tap(config.events.endpoint) as tap:
            pace = ("--speed", "1" if paced else "max")
            supervisor.start(CAPTURE, ("capture", *pace, *common, f"--camera={camera}", "--", spec))
            keep = ("--record",) if record else ()
            supervisor.start(WORKER, ("worker", "--replay", "--run-folder", folder, *keep, *common))
            while not stop and supervisor.watch():
                tap.poll(POLL_S, on_event, on_status)
            supervisor.end()
            tap.poll(0, on_event, on_status)
        summary = read_summary(folder)
        if summary is None:
            raise ProcessFailed("interrupted before anything was seen" if stop else "the worker left no summary")
        with Journal.open_readonly(Path(config.events.journal)) as book:
            events = tuple(book.session(summary.camera, summary.session))
        yield Replay(
            summary=summary,
            events=events,
            record=folder / RECORD_FOLDER if record else None,
            journal=Path(config.events.journal),
            interrupted=bool(stop),
        )


def private(config: Config, folder: Path, journal: Path | None) -> Config:
    """The same settings with sockets in this run's folder and metrics on free ports, so that two can run at once."""
    if len(f"{folder}/journal".encode(errors="replace")) > IPC_PATH_BYTES:
        raise ConfigError(f"{folder.parent} is too long a name for sockets; set TMPDIR to a shorter one, such as /tmp")
    config = msgspec.structs.replace(config, keys=KeySettings())  # nobody else gets into the folder
    config = replaced(config, "transport", endpoint=f"ipc://{folder}/frames", connect=())
    config = replaced(
        config,
        "events",
        endpoint=f"ipc://{folder}/events",
        journal_endpoint=f"ipc://{folder}/journal",
        journal=journal or folder / JOURNAL_FILE,
    )
    return replaced(config, "metrics", capture_port=0, worker_port=0)
