"""The recipe for ready flow pictures: what its network sees, who it was chosen on, and its command's run."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.errors import OptionError
from bowam_model.learning import Examples
from bowam_model.recipes import flows28
from bowam_model.recipes.flows28 import GridNetwork, development_people, grid_network, motion_maps, rows, run_flows28


def pictures(people: int = 6, each: int = 3, side: int = 28) -> Examples:
    """Each class lights up cells of its own, so that there is something to learn."""
    rng = np.random.default_rng(0)
    count = people * each
    labels, subjects = np.arange(count) % 3, np.arange(count) // each
    flows = rng.normal(0, 0.05, (count, 1, side, side, 3))
    for index, label in enumerate(labels):
        flows[index, 0, 8 * label : 8 * label + 8, 4:24, 1] += 0.8
    names = [f"{'casme2' if person % 2 else 'samm'}/{person:02d}" for person in range(people)]
    return Examples(
        flows_NVHWC=flows.astype(np.float16),
        labels=labels,
        classes=("negative", "positive", "surprise"),
        subjects=subjects,
        people=tuple(names),
        clips=tuple(f"{names[subject]}/{index}" for index, subject in enumerate(subjects)),
        fusion="picture",
    )


def test_the_unknown_gain_of_u_changes_nothing_that_the_network_sees() -> None:
    torch.manual_seed(0)
    flow = F.interpolate(torch.randn(4, 3, 7, 7), 28, mode="bicubic")
    louder = flow * torch.tensor([3.0, 1.0, 1.0])[:, None, None]
    torch.testing.assert_close(motion_maps(flow)[:, 0], motion_maps(louder)[:, 0], atol=0.05, rtol=0.05)
    torch.testing.assert_close(motion_maps(flow)[:, 0].square().mean((1, 2)), torch.ones(4), atol=0.1, rtol=0)


def test_a_pure_growth_is_divergence_alone_and_a_pure_turn_curl_alone() -> None:
    y, x = torch.meshgrid(torch.arange(28.0) - 13.5, torch.arange(28.0) - 13.5, indexing="ij")
    nothing = torch.zeros_like(x)
    growth, turn = (motion_maps(torch.stack(parts)[None])[0, 2:] for parts in ((x, y, nothing), (-y, x, nothing)))
    slope = float(2 / x.square().mean().sqrt())
    expected = torch.tensor([slope, 0.0, 0.0, 0.0])
    torch.testing.assert_close(growth.mean((1, 2)), expected, atol=1e-3, rtol=0.01)
    torch.testing.assert_close(turn.mean((1, 2)), expected.roll(1), atol=1e-3, rtol=0.01)


def test_the_network_tells_where_something_moves_not_only_that_it_does() -> None:
    torch.manual_seed(0)
    network = GridNetwork(**flows28.GRID_OPTIONS).eval()
    above, below = torch.zeros(1, 3, 28, 28), torch.zeros(1, 3, 28, 28)
    above[:, 1, 4:8, 8:12] = below[:, 1, 20:24, 8:12] = 1
    assert (network(above) - network(below)).abs().max() > 1e-3


def test_half_of_each_data_set_was_looked_at_whatever_the_order_of_names() -> None:
    people = [f"{dataset}/{n:02d}" for dataset, count in (("casme2", 24), ("samm", 28)) for n in range(count)]
    chosen = development_people(people)
    assert chosen == development_people(people[::-1])
    assert [sum(name.startswith(dataset) for name in chosen) for dataset in ("casme2", "samm")] == [12, 14]


def test_all_rows_have_recipes_of_their_own() -> None:
    recipes = [str(learner.recipe) for learners in rows().values() for learner in learners]
    assert len(set(recipes)) == len(recipes) == 15


def test_the_recipe_learns_what_can_be_learned() -> None:
    examples = pictures(people=8, each=12)
    known = examples.subjects < 6
    model = grid_network().learn(examples.take(known), seed=0)
    scores = model.predict(examples.take(~known))
    assert (scores.argmax(1) == examples.labels[~known]).mean() > 0.8


def test_a_run_reports_both_halves_and_differences(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    quick = {"wadm": [grid_network()], "plain": [grid_network(placement="none")]}
    quick = {name: [learner.for_epochs(1) for learner in learners] for name, learners in quick.items()}
    monkeypatch.setattr(flows28, "rows", lambda: quick)
    run_flows28(pictures(), tmp_path, chosen=["plain"], seeds=1)
    report = run_flows28(pictures(), tmp_path, chosen=["wadm"], seeds=1)[0].read_text("utf-8")
    assert "| wadm | " in report
    assert "| plain | " in report
    assert "| wadm - plain | " in report


def test_other_pictures_and_unknown_rows_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError, match="28x28"):
        run_flows28(pictures(side=32), tmp_path)
    with pytest.raises(OptionError, match="no row 'best'"):
        run_flows28(pictures(), tmp_path, chosen=["best"])


def test_the_command_lets_nobody_thaw_the_frozen_recipe(tmp_path) -> None:  # type: ignore[no-untyped-def]
    told = CliRunner().invoke(app, ["reproduce", "flows28", "--data-root", str(tmp_path / "m.csv"), "--epochs", "3"])
    assert isinstance(told.exception, OptionError)
    assert "frozen" in str(told.exception)
