"""Ready flow pictures of 28x28, as published for the MEGC2019 composite: a small wavelet network and its rivals.

    bowam reproduce flows28 --data-root manifest.csv --out DIR

Faces are aligned, so that a cell of such a picture is the same piece of skin in everybody. A network that averages
over places throws that away; this one standardises every cell by itself and ends with a weight for each of them.

Axis legend: B batch, C channels, H rows, W columns, K classes.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bowam_model.errors import OptionError
from bowam_model.evaluation import difference, estimate, uar, uf1
from bowam_model.flow import Encoding
from bowam_model.learning import Examples, Learner
from bowam_model.network import create_model
from bowam_model.protocol import ProtocolSettings, Result, run_protocol
from bowam_model.protocol.run import OnProgress
from bowam_model.rivals.ststnet import ststnet
from bowam_model.rivals.svm import SvmLearner, svm_grid
from bowam_model.training import NetworkLearner, TrainingSettings
from bowam_model.work import HERE, Engine

SIDE_PX = 28
CELLS = 7  # along each side: 4x4 pixels each
SPLIT_SEED = 28  # of the development subjects
INNER_ROUNDS = 5  # groups of training subjects that validate in turn, where there is something to choose
QUIET = 0.02  # added to the strength that a picture is divided by: one that shows nothing stays small

PICTURES = Encoding(fusion="picture", colours="picture", centre=True, side_px=SIDE_PX, input_px=SIDE_PX)


class GridNetwork(nn.Module):
    """A network of `create_model` on the cells of a flow picture, each standardised by itself.

    u and v, whose medians are 0, are divided by their root mean square, as their gains are unknown. With divergence,
    curl and both shears beside them they are averaged over 7x7 cells; each of the 6 x 49 numbers is brought to mean 0
    and deviation 1 by the batch in training, by the running statistics afterwards. The published strain is left out:
    its gain is unknown, and the derivatives carry what it says. The network's last step sees all cells at once.

    Args:
        num_classes: K.
        in_channels: 3: u, v and strain.
        options: of `create_model("bowam", ...)`; one cell is one pixel of its input.
    """

    def __init__(self, num_classes: int = 3, in_channels: int = 3, **options: Any) -> None:
        super().__init__()
        channels = 6
        self.standardise = nn.BatchNorm1d(channels * CELLS**2, affine=False)
        self.network = create_model("bowam", num_classes, **({"in_channels": channels} | options))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, 3, H, W), sides a multiple of 7 -> logits (B, K)."""
        cells = F.adaptive_avg_pool2d(motion_maps(x_BCHW), CELLS)
        return self.network(self.standardise(cells.flatten(1)).view_as(cells))


def motion_maps(x_BCHW: Tensor) -> Tensor:
    """u and v of root mean square 1, and their divergence, curl and shears: (B, 3, H, W) -> (B, 6, H, W)."""
    uv = x_BCHW[:, :2]
    uv = uv / (uv.square().mean((2, 3), keepdim=True).sqrt() + QUIET)
    (u_y, v_y), (u_x, v_x) = (d.unbind(1) for d in torch.gradient(uv, dim=(2, 3)))
    derivatives = torch.stack([u_x + v_y, v_x - u_y, u_x - v_y, u_y + v_x], dim=1)
    return torch.cat([uv, derivatives], dim=1)


GRID_OPTIONS: dict[str, Any] = {
    "patch": 1,
    "dims": (24, 32),
    "depths": (1, 0),
    "strides": (CELLS,),  # all cells to one: a weight for each cell and channel
    "downsample_kernel": CELLS,
    "mlp_ratio": 2,
    "channel_ratio": 8,
    "layer_scale": 1.0,
    "weight_std": None,
}

TRAINING = TrainingSettings(
    epochs=8,
    batch=64,
    learning_rate=2e-3,
    weight_decay=0.3,
    label_smoothing=0.1,
    balance=3,
    rotation_deg=0.0,  # turning, stretching and noise made it worse on the development subjects: faces are aligned
    stretch=0.0,
    shift=False,
)
MEMBERS = 4


def grid_network(**changes: Any) -> NetworkLearner:
    """The frozen recipe, with other options of the network if there are any."""
    return NetworkLearner(
        architecture="bowam-grid",
        options=GRID_OPTIONS | changes,
        encoding=PICTURES,
        training=TRAINING,
        members=MEMBERS,
        mirror_at_test=True,
        build=GridNetwork,
        title="bowam-grid" + "".join(f" {key}={value}" for key, value in changes.items()),
    )


def rows() -> dict[str, Sequence[Learner]]:
    """Each row of the table: its recipe, or several to choose among on the training subjects of each fold."""
    return {
        "wadm": [grid_network()],
        "plain": [grid_network(placement="none")],
        "ststnet": [ststnet()],
        "svm": svm_grid(SvmLearner(), C=(0.3, 1, 3, 10), gamma=(0.1, 0.3, 1)),
    }


def development_people(people: Sequence[str]) -> tuple[str, ...]:
    """Half of each data set's subjects, drawn once: the recipe was chosen by looking at nobody else.

    `people` are "dataset/subject", as in `learning.Examples`, in any order.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    chosen: list[str] = []
    for dataset in sorted({name.split("/", 1)[0] for name in people}):
        there = sorted(name for name in people if name.startswith(f"{dataset}/"))
        chosen += [there[index] for index in rng.permutation(len(there))[: len(there) // 2]]
    return tuple(sorted(chosen))


def run_flows28(
    examples: Examples,
    out: Path,
    *,
    chosen: Sequence[str] = (),
    seeds: int = 3,
    engine: Engine = HERE,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Leave one subject out with each row, or with those `chosen`; every row into its own folder of `out`.

    A run that was cut goes on. Returns the reports: flows28.md with the rows that are finished, of this call or of
    earlier ones, and each row's own.

    Raises:
        OptionError: the examples are no ready pictures of 28x28, or a row is unknown.
    """
    known = rows()
    if unknown := [name for name in chosen if name not in known]:
        raise OptionError(f"flows28 has no row {unknown[0]!r}: use one of {', '.join(known)}")
    if examples.fusion != "picture" or examples.flows_NVHWC.shape[2:4] != (SIDE_PX, SIDE_PX):
        raise OptionError("flows28 is for ready flow pictures of 28x28: give a manifest with the column flow_path")
    written = []
    for name in chosen or known:
        settings = ProtocolSettings(
            # A support vector machine and its choice know no chance: further seeds would say the same.
            seeds=tuple(range(1 if isinstance(known[name][0], SvmLearner) else seeds)),
            selection="inner" if len(known[name]) > 1 else "fixed",
            inner_rounds=INNER_ROUNDS,
            inner_folds=INNER_ROUNDS,
        )
        run_protocol(known[name], examples, settings, out / name, engine=engine, title=name, on_progress=on_progress)
        written.append(out / name / "result.md")
    finished = {name: Result.load(out / name) for name in known if (out / name / "result.json").exists()}
    report = out / "flows28.md"
    report.write_text("\n".join(report_lines(finished)) + "\n", "utf-8")
    return [report, *written]


def report_lines(results: Mapping[str, Result]) -> list[str]:
    """Markdown: figures over all subjects and over those that no choice has seen; then paired differences."""
    lines = [
        "| row | UF1 [95% over subjects] | seeds | UAR | UF1 on development subjects | UF1 on the others |",
        "| --- " * 6 + "|",
    ]
    for name, result in results.items():
        both, seen = result.confusions_SPKK(), _in_development(result)
        f1, recall = estimate(both, uf1), estimate(both, uar)
        halves = [estimate(both[:, half], uf1) for half in (seen, ~seen)]
        lines.append(
            f"| {name} | {f1.mean:.3f} [{f1.low:.3f}, {f1.high:.3f}] | {f1.lowest:.3f}-{f1.highest:.3f} "
            f"| {recall.mean:.3f} [{recall.low:.3f}, {recall.high:.3f}] | "
            + " | ".join(f"{half.mean:.3f} [{half.low:.3f}, {half.high:.3f}]" for half in halves)
            + " |"
        )
    lines += ["", "| paired difference of UF1 | all | on the subjects outside development |", "| --- " * 3 + "|"]
    for (first, ours), (second, theirs) in combinations(results.items(), 2):
        a, b, held_back = ours.confusions_SPKK(), theirs.confusions_SPKK(), ~_in_development(ours)
        gaps = [difference(a, b, uf1), difference(a[:, held_back], b[:, held_back], uf1)]
        cells = [f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" for gap in gaps]
        lines.append(f"| {first} - {second} | " + " | ".join(cells) + " |")
    return lines


def _in_development(result: Result) -> np.ndarray:
    """bool (P,), in the order of `Result.confusions_SPKK`."""
    there = [result.run.people[subject] for subject in np.unique(result.run.subjects)]
    return np.isin(there, development_people(there))
