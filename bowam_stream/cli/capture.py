"""`bowam capture`: one camera or recording onto the frames socket."""

import sys
from typing import Annotated

import typer

from bowam_stream.cli.options import Camera, ConfigFile, Consent, Frames, Insecure, Keys, MaxFaces, Rate, read_source


def capture(
    source: Annotated[
        str,
        typer.Argument(
            envvar="BOWAM_SOURCE",
            callback=read_source,
            help="Video, folder of images, 0, /dev/video0, rtsp://..., test://pattern; -: its address stands on stdin.",
        ),
    ],
    camera: Camera = "cam0",
    frames: Frames = None,
    config: ConfigFile = None,
    max_faces: MaxFaces = None,
    rate: Rate = None,
    loops: Annotated[int | None, typer.Option(min=1, help="Play a recording so many times, as one stream.")] = None,
    as_live: Annotated[
        bool, typer.Option("--as-live", help="Publish a recording as a camera: paced, and lossy.")
    ] = False,
    speed: Annotated[str, typer.Option(help="Of a recording: 1 (as it was filmed) or max.")] = "max",
    consent: Consent = None,
    wait: Annotated[bool, typer.Option("--wait", help="Keep trying a camera that is not there yet.")] = False,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free port.")] = None,
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Decode one source, align its faces and publish them."""
    from bowam_stream.capture import is_camera
    from bowam_stream.cli.notice import give_notice
    from bowam_stream.cli.terminal import err
    from bowam_stream.config import load_config, replaced
    from bowam_stream.pipeline.capturing import run_capture
    from bowam_stream.pipeline.stop import StopFlag, supervised

    if speed not in ("1", "max"):
        raise typer.BadParameter("must be 1 or max", param_hint="--speed")
    settings = load_config(config)
    settings = replaced(settings, "source", rate_hz=rate, loops=loops, consent=consent)
    settings = replaced(settings, "face", max_faces=max_faces)
    settings = replaced(settings, "transport", endpoint=frames, insecure=insecure or None)
    settings = replaced(settings, "metrics", capture_port=metrics_port, insecure=insecure or None)
    settings = replaced(settings, "keys", folder=keys)
    if is_camera(source) and not supervised():  # whoever started us gave it, else
        give_notice(settings.source.consent)
    if sys.stderr.isatty() and not supervised():
        err().print(
            f"{camera}: publishing faces at {settings.transport.endpoint}, metrics on port "
            f"{settings.metrics.capture_port}; Ctrl-C ends",
            markup=False,
        )
    run_capture(
        source,
        settings,
        camera=camera,
        as_live=as_live,
        paced=speed == "1",
        patient=wait,
        stop=StopFlag().install(),
    )
