"""Report and overlay of a run, with progress: the second look at a recording."""

import shlex
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bowam_stream.cli.outputs import Outputs
from bowam_stream.cli.terminal import RunProgress
from bowam_stream.clock import utc_ns
from bowam_stream.config import Config
from bowam_stream.pipeline.arguments import shown
from bowam_stream.pipeline.capturing import frames_of
from bowam_stream.report import Record, read_truth, write_overlay, write_report
from bowam_stream.report.origin import origin

if TYPE_CHECKING:
    from bowam_stream.pipeline.replaying import Replay


def draw(result: "Replay", video: str, config: Config, outputs: Outputs, truth_file: Path | None) -> None:
    """Write what `outputs` asks for."""
    assert result.record is not None, "the run was not recorded"
    record = Record(result.record)
    truth = read_truth(truth_file) if truth_file else None
    if outputs.overlay:
        frames = islice(frames_of(video, config), result.summary.frames)
        with RunProgress(outputs.overlay.name) as progress:
            write_overlay(
                outputs.overlay,
                frames,
                record,
                result.events,
                truth=truth,
                progress=lambda drawn: progress.at(drawn, result.summary.frames),
            )
    if outputs.report:
        write_report(
            outputs.report,
            record,
            result.events,
            truth=truth,
            model=result.summary.model,
            settings=config,
            made=origin(typed(), utc_ns()),
        )


def typed() -> str:
    """The command that runs, as a shell takes it, without credentials."""
    return shlex.join(["bowam", *map(shown, sys.argv[1:])])
