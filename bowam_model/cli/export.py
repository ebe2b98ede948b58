"""`bowam export`: a network, or all of what serves, as one file that other programs run."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

TRIPLES = 6  # synthetic ones, on which file and eager are compared
SEED = 1


class Format(StrEnum):
    exported = "exported"
    tensorrt = "tensorrt"
    tensorrt_fp32 = "tensorrt-fp32"
    aot_cuda = "aot-cuda"


class GraphName(StrEnum):
    network = "network"
    serving = "serving"


def export(
    format: Annotated[
        Format, typer.Option(help="exported: torch.export's file. The others: an engine for this machine's GPU.")
    ],
    graph: Annotated[
        GraphName, typer.Option(help="network: flow pictures to logits. serving: three faces to probabilities.")
    ] = GraphName.serving,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, .pt2. An engine goes to where workers look for it.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A weights file. Default: the shipped one.")] = None,
) -> None:
    """Write a graph for batches of 1 to 64, if it answers as PyTorch itself does."""
    from bowam_model.backends.engines import ENGINES
    from bowam_model.errors import OptionError
    from bowam_model.export import compile_engine, graph_inputs, make_graph, save_exported
    from bowam_model.predictor import load

    exported = format is Format.exported
    if exported and (out is None or out.suffix != ".pt2"):
        raise OptionError("--format exported needs --out FILE.pt2: torch.export reads no other files")
    if not exported and (out is not None or graph is not GraphName.serving):
        raise OptionError(f"--format {format} makes the engine that workers load: pass neither --out nor --graph")
    predictor = load(weights)
    triples = _triples(predictor.encoding.aligned_px)
    if out is not None:
        module = make_graph(predictor, graph.value)
        difference = save_exported(module, graph.value, graph_inputs(predictor, graph.value, triples), out)
    else:
        out, difference = compile_engine(predictor, ENGINES[format.value], triples)
    typer.echo(f"wrote {out}: batches of 1 to 64, probabilities within {difference:.1e} of eager")


def _triples(side_px: int) -> "np.ndarray":
    """A face that moves; a GPU worker, which has no Face Mesh to find one with, takes textures that move."""
    import numpy as np

    from bowam_model.backends import probes
    from bowam_model.errors import MissingDependency
    from bowam_model.synthesis import load_identity
    from bowam_model.synthesis.triples import examples

    try:
        triples = np.stack([example.triple for example in examples(load_identity(), TRIPLES, SEED)])
    except MissingDependency:
        return probes(side_px)
    return triples if triples.shape[-1] == side_px else probes(side_px)
