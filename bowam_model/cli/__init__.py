"""The commands of the model package: one verb per file, plain functions that typer turns into commands.

`bowam` mounts `COMMANDS` and `GROUPS`. A verb imports what is heavy when it runs.
"""

import typer

from bowam_model.cli.dataset import app as dataset
from bowam_model.cli.evaluate import app as evaluate
from bowam_model.cli.explain import app as explain
from bowam_model.cli.export import export
from bowam_model.cli.loso import app as loso
from bowam_model.cli.reproduce import reproduce
from bowam_model.cli.synth import app as synth
from bowam_model.cli.train import train

COMMANDS = (export, reproduce, train)
GROUPS = {"dataset": dataset, "evaluate": evaluate, "explain": explain, "loso": loso, "synth": synth}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command in COMMANDS:
    app.command()(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


@app.callback()
def model() -> None:
    """Synthetic clips, data sets, training and evaluation."""
