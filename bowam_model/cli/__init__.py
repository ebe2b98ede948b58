"""The commands of the model package: one verb per file, plain functions that typer turns into commands.

`bowam` mounts `VERBS`. A verb is loaded when it runs, and imports what is heavy then.
"""

import typer

from bowam_model.cli.lazy import Verb, group_of

VERBS = (
    Verb(
        "export",
        "bowam_model.cli.export:export",
        "Write a graph for batches of 1 to 64, if it answers as PyTorch itself does.",
    ),
    Verb(
        "reproduce",
        "bowam_model.cli.reproduce:reproduce",
        "Run every row of a table of the paper and write ours beside the paper's figures.",
    ),
    Verb("train", "bowam_model.cli.train:train", "Train weights, from nothing."),
    Verb("dataset", "bowam_model.cli.dataset:app", "Public data sets and your own clips."),
    Verb("evaluate", "bowam_model.cli.evaluate:app", "How good results are, beside a truth."),
    Verb("explain", "bowam_model.cli.explain:app", "What bidirectional flow gains, and what a network looks at."),
    Verb(
        "loso",
        "bowam_model.cli.loso:app",
        "Judge a recipe by leaving one subject out at a time; the result does not depend on --workers or --engine.",
    ),
    Verb(
        "synth",
        "bowam_model.cli.synth:app",
        "Animate neutral faces: `bowam synth OUT` writes clips, `bowam synth corpus OUT` a whole synthetic data set.",
    ),
)

app = typer.Typer(cls=group_of({"Commands": VERBS}), no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def model() -> None:
    """Synthetic clips, data sets, training and evaluation."""
