"""`bowam live`: a camera, its events as they happen, and how it is doing."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_stream.cli.options import (
    Camera,
    ConfigFile,
    Consent,
    FalseAlarms,
    Insecure,
    Keys,
    Lsl,
    MaxFaces,
    Weights,
    read_source,
)

if TYPE_CHECKING:
    from bowam_stream.messages import Event
    from bowam_stream.pipeline.tap import Status


def live(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            callback=read_source,
            help="0, /dev/video0, rtsp://...; a video is played as a camera would send it; -: address on stdin.",
        ),
    ] = "0",
    camera: Camera = "cam0",
    max_faces: MaxFaces = None,
    consent: Consent = None,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="The event journal (SQLite).")] = None,
    weights: Weights = None,
    false_alarms_per_hour: FalseAlarms = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="A page in the browser, on this machine.")] = True,
    page_port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Of the page; 0: a free one.")
    ] = None,
    preview: Annotated[
        bool | None,
        typer.Option("--preview", help="Show faces on the page: by default nobody sees a picture of a person."),
    ] = None,
    config: ConfigFile = None,
    lsl: Lsl = False,
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Watch a camera until Ctrl-C. Others may subscribe to the events and scrape the metrics meanwhile."""
    from bowam_stream.capture import is_camera, open_source
    from bowam_stream.cli.notice import give_notice
    from bowam_stream.cli.page import MISSING, installed
    from bowam_stream.cli.panel import Panel
    from bowam_stream.cli.terminal import err, out
    from bowam_stream.config import at_false_alarms, load_config, replaced
    from bowam_stream.formats.lsl import Markers
    from bowam_stream.pipeline.living import live as watch
    from bowam_stream.pipeline.stop import StopFlag

    settings = load_config(config)
    settings = replaced(settings, "source", consent=consent)
    settings = replaced(settings, "face", max_faces=max_faces)
    settings = at_false_alarms(replaced(settings, "model", weights=weights), false_alarms_per_hour)
    settings = replaced(settings, "transport", insecure=insecure or None)
    settings = replaced(settings, "events", journal=journal, insecure=insecure or None)
    settings = replaced(settings, "metrics", insecure=insecure or None)
    settings = replaced(settings, "keys", folder=keys)
    settings = replaced(settings, "page", port=page_port, preview=preview)
    if page and not installed():
        err().print(f"no page: {MISSING}", markup=False)
        page = False
    if is_camera(source):
        open_source(source, settings.source)  # one that is not plugged in is said before anything else
    give_notice(settings.source.consent, preview=page and settings.page.preview)
    out().print(
        f"events at {settings.events.endpoint}, journal in {settings.events.journal}, metrics at "
        f"http://{settings.metrics.host}:{settings.metrics.capture_port} (capture) and "
        f":{settings.metrics.worker_port} (worker); Ctrl-C ends",
        markup=False,
    )
    if page and settings.page.port:
        scheme = "http" if settings.page.certificate is None else "https"
        out().print(f"the page: {scheme}://{settings.page.host}:{settings.page.port}", markup=False)
    stop = StopFlag().install()
    with contextlib.ExitStack() as stack:
        markers = stack.enter_context(Markers(settings.events.endpoint)) if lsl else None
        panel = stack.enter_context(Panel())

        def on_event(event: "Event") -> None:
            panel.event(event)
            if markers is not None:
                markers.push(event)

        def on_status(status: "Status") -> None:
            panel.status(status)
            if markers is not None:
                markers.status(status.camera, status.session, status.clock)

        watch(
            source,
            settings,
            camera=camera,
            stop=stop,
            on_event=on_event,
            on_status=on_status,
            page=page,
        )
    if page:
        out().print(f"what was found: bowam page {settings.events.journal}", markup=False)
