"""`bowam export`: a network, or all of what serves, as one file that other programs run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from bowam_model.export import Graph, Precision

TRIPLES = 6  # synthetic ones, on which file and eager are compared
SEED = 1


class Format(StrEnum):
    exported = "exported"
    tensorrt = "tensorrt"


class GraphName(StrEnum):
    network = "network"
    serving = "serving"


class PrecisionName(StrEnum):
    fp32 = "fp32"
    fp16 = "fp16"


def export(
    out: Annotated[Path, typer.Option(help="The file to write, .pt2; with --format tensorrt the engines' folder.")],
    format: Annotated[Format, typer.Option(help="exported: torch.export's. tensorrt: an engine for this GPU.")],
    graph: Annotated[
        GraphName, typer.Option(help="network: flow pictures to logits. serving: three faces to probabilities.")
    ] = GraphName.serving,
    weights: Annotated[Path | None, typer.Option(help="A weights file. Default: the shipped one.")] = None,
    precision: Annotated[PrecisionName, typer.Option(help="Of an engine's network.")] = PrecisionName.fp16,
) -> None:
    """Write a graph for batches of 1 to 64, if it answers as PyTorch itself does."""
    import numpy as np

    from bowam_model.errors import OptionError
    from bowam_model.export import compile_tensorrt, graph_inputs, make_graph, save_exported
    from bowam_model.predictor import load
    from bowam_model.synthesis import load_identity
    from bowam_model.synthesis.triples import examples

    if format is Format.exported and out.suffix != ".pt2":
        raise OptionError(f"{out} does not end in .pt2: torch.export reads no other files")
    predictor = load(weights)
    name = cast("Graph", graph.value)
    triples = np.stack([example.triple for example in examples(load_identity(), TRIPLES, SEED)])
    if format is Format.exported:
        module = make_graph(predictor, name)
        difference = save_exported(module, name, graph_inputs(predictor, name, triples), out)
    else:
        out, difference = compile_tensorrt(predictor, name, triples, out, precision=cast("Precision", precision.value))
    typer.echo(f"wrote {out}: batches of 1 to 64, probabilities within {difference:.1e} of eager")
