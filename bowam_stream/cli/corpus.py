"""`bowam replay CORPUS/ --out FOLDER`: many recordings, on as many machines as there are."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from bowam_model.work import Engine
    from bowam_stream.config import Config
    from bowam_stream.corpus.listing import Listing
    from bowam_stream.corpus.run import Recording, Standing

DRAW_EVERY_S = 0.5
LINE_EVERY_S = 30.0  # where there is no terminal
MOST_TOLD = 20  # failures in the terminal; all of them stand in failures.csv


class Machines(msgspec.Struct, frozen=True, kw_only=True):
    """Who does the work."""

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0


def run_corpus(spec: str, config: "Config", folder: Path, machines: Machines, segment_minutes: float) -> None:
    """Watch all recordings of `spec` and leave what was found in `folder`. Raises StreamError, also for failures."""
    from bowam_model.cli.engine import open_engine
    from bowam_stream.cli.pictures import typed
    from bowam_stream.cli.terminal import err, out
    from bowam_stream.clock import utc_ns
    from bowam_stream.config import replaced
    from bowam_stream.corpus.listing import list_corpus
    from bowam_stream.corpus.results import write_manifest, write_results
    from bowam_stream.corpus.run import Run
    from bowam_stream.corpus.shelf import held
    from bowam_stream.errors import ConfigError, StreamError
    from bowam_stream.report.origin import origin

    if config.source.loops != 1:
        raise ConfigError("--loops is for one recording; a corpus is played once")
    if config.model.weights is not None:  # other processes may stand elsewhere
        config = replaced(config, "model", weights=Path(config.model.weights).absolute())
    listing = list_corpus(spec, images=config.source.rate_hz is not None, but=folder)
    _tell(listing)
    workers = machines.workers or len(os.sched_getaffinity(0))
    with (
        held(folder) as shelf,
        open_engine(machines.engine, workers=workers, address=machines.address, gpus=machines.gpus) as engine,
    ):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray has taken it
        with Progress(engine) as progress:
            run = Run(
                listing.entries,
                config,
                shelf,
                engine,
                segment_s=60 * segment_minutes,
                gpus=machines.gpus,
                on_standing=progress.standing,
            )
            try:
                run.survey()
                write_manifest(folder, run.recordings)
                run.watch()
            except KeyboardInterrupt:
                finished = sum(recording.done for recording in run.recordings)
                raise StreamError(
                    f"interrupted; {finished} of {len(run.recordings)} recordings are done, the same command goes on"
                ) from None
        rows = write_results(folder, run, listing, config, origin(typed(), utc_ns()))
    counts = {kind: sum(row.counts.get(kind, 0) for row in rows) for kind in ("micro", "macro", "blink")}
    done = [row for row in rows if row.failure is None]
    out().print(
        f"{_recordings(len(done))}, {sum(row.duration_s for row in done) / 3600:.2f} h; {counts['micro']} "
        f"micro-expressions, {counts['macro']} macro-expressions, {counts['blink']} blinks: {folder}",
        markup=False,
    )
    failed = [recording for recording in run.recordings if recording.failure]
    if failed:
        err().print(_table(failed))
        raise StreamError(
            f"{len(failed)} of {len(rows)} recordings failed (see {folder / 'failures.csv'}); the others are done, and "
            "the same command tries these again"
        )


def _tell(listing: "Listing") -> None:
    from bowam_stream.cli.terminal import err

    err().print(f"{listing.title}: a corpus of {_recordings(len(listing.entries))}", markup=False)
    for left_out in listing.left_out:
        err().print(f"left out: {left_out}", markup=False)


def _table(failed: Sequence["Recording"]) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table("recording", "stage", "why", box=None, pad_edge=False)
    for recording in failed[:MOST_TOLD]:
        assert recording.failure is not None, "it failed"
        table.add_row(escape(recording.entry.name), recording.failure.stage, escape(recording.failure.reason))
    if len(failed) > MOST_TOLD:
        table.add_row(f"and {len(failed) - MOST_TOLD} more", "", "")
    return table


class Progress:
    """How far a run is: a bar where stderr is a terminal, a line now and then where it is not."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._begun: Standing | None = None
        self._begun_s = time.monotonic()
        self._now: Standing | None = None
        self._nodes = engine.nodes()
        self._ended = threading.Event()
        target = self._draw if sys.stderr.isatty() else self._lines
        self._thread = threading.Thread(target=target, name="progress", daemon=True)

    def standing(self, standing: "Standing") -> None:
        """Hear how far it is."""
        if self._begun is None or self._begun.stage != standing.stage:
            self._begun, self._begun_s = standing, time.monotonic()
        self._now, self._nodes = standing, self._engine.nodes()

    def text(self) -> str:
        """All that there is to say, in a line."""
        if self._now is None or self._begun is None:
            return "listing"
        now, nodes = self._now, self._nodes
        failed = f", {now.failed} failed" if now.failed else ""
        where = f"{nodes} {'node' if nodes == 1 else 'nodes'}"
        if now.stage == "survey":
            return f"surveyed {now.done} of {now.recordings} recordings{failed}; {where}"
        past_s = time.monotonic() - self._begun_s
        speed = (self._begun.media_left_s - now.media_left_s) / past_s if past_s > 0 else 0.0
        left = f", {_length(now.media_left_s / speed)} left" if speed > 0 and now.media_left_s else ""
        return (
            f"{now.done} of {now.recordings} recordings{failed}; {now.parts_done} of {now.parts} parts; "
            f"{speed:.1f} h of video per hour{left}; {where}"
        )

    def _lines(self) -> None:
        from bowam_stream.cli.terminal import err

        while not self._ended.wait(LINE_EVERY_S):
            err().print(self.text(), markup=False)

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TextColumn("{task.description}", markup=False))
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("listing", total=None)
            while not self._ended.wait(DRAW_EVERY_S):
                if now := self._now:
                    watched_s = now.media_s - now.media_left_s
                    total, done = (now.media_s, watched_s) if now.stage == "watch" else (now.recordings, now.done)
                    bar.update(task, description=self.text(), total=total or 1, completed=done)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _recordings(count: int) -> str:
    return f"{count} {'recording' if count == 1 else 'recordings'}"


def _length(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes else "less than a minute"
