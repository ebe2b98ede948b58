"""`bowam fleet`: many cameras, on this machine or on a cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_model.cli.engine import Address, EngineName
from bowam_stream.cli.options import ConfigFile, Insecure, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bowam_stream.fleet.plan import Plan


def fleet(
    file: Annotated[Path, typer.Argument(metavar="FLEET.toml", help="The cameras, and who works for them.")],
    engine: EngineName = "local",
    address: Address = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would go where.")] = False,
    config: ConfigFile = None,
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Run the captures and workers of many cameras until Ctrl-C, and start again elsewhere what a node took along."""
    from bowam_model.errors import OptionError
    from bowam_stream.cli.notice import give_notice
    from bowam_stream.cli.terminal import err, out
    from bowam_stream.config import load_config, replaced
    from bowam_stream.errors import ConfigError
    from bowam_stream.fleet.plan import open_frames, plan
    from bowam_stream.fleet.running import Here, Places, run_fleet
    from bowam_stream.fleet.settings import load_fleet
    from bowam_stream.pipeline.stop import StopFlag

    if engine == "local" and address is not None:
        raise OptionError("--address is for --engine ray")
    settings = load_fleet(file)
    common = load_config(config or (Path(settings.config) if settings.config else None))
    common = replaced(common, "keys", folder=keys and keys.absolute())
    for stage in ("transport", "events", "metrics"):
        common = replaced(common, stage, insecure=insecure or None)
    planned = plan(settings)
    places: Places
    if engine == "ray":
        if planned.apart and not open_frames(common):
            raise ConfigError(
                f"camera {planned.apart[0]} is pinned to other nodes than its worker, and its frames would cross the "
                "network without keys; make keys with bowam keygen and say --keys, or pin its worker as well"
            )
        if dry_run and address is None:
            _show(planned, {})
            return
        from bowam_stream.fleet.on_ray import Cluster

        places = Cluster(address)
        if dry_run:
            _show(planned, places.nodes())
            places.close()
            return
    else:
        if dry_run:
            _show(planned, {})
            return
        places = Here(settings.host)
    consents = {camera.consent for camera in settings.cameras}
    give_notice(consents.pop() if len(consents) == 1 else None)
    folder = Path(settings.state)
    err().print(f"who runs where: {folder / 'fleet.json'}; Ctrl-C ends", markup=False)
    run_fleet(
        planned,
        common,
        places,
        journals=settings.journals,
        folder=folder,
        stop=StopFlag().install(),
        on_news=lambda line: out().print(line, markup=False),
    )


def _show(planned: "Plan", nodes: "Mapping[str, Mapping[str, float]]") -> None:
    """The crews, what each asks of its node, and which nodes have it."""
    from bowam_stream.cli.terminal import out
    from bowam_stream.fleet.plan import lacking

    for crew in planned.crews:
        needs = ", ".join(f"{share:g} {name}" for name, share in crew.needs.items())
        out().print(f"{crew.name}: {needs or 'nothing'}", markup=False)
        if crew.worker is not None:
            one = crew.worker
            out().print(
                f"  worker for {', '.join(one.cameras)}: events {one.events_port}, journal {one.journal_port}, "
                f"metrics {one.metrics_port}",
                markup=False,
            )
        for capture in crew.captures:
            out().print(
                f"  camera {capture.camera.name}: {capture.camera.shown}, frames {capture.frames_port}, "
                f"metrics {capture.metrics_port}",
                markup=False,
            )
        if nodes:
            fit = [name for name, has in nodes.items() if lacking(crew.needs, [has]) is None]
            out().print(f"  {', '.join(fit) if fit else lacking(crew.needs, nodes.values())}", markup=False)
