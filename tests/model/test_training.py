"""A loop that learns what is there to learn, the same every time, also after an interruption."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bowam_model.errors import DatasetError, ImageError, OptionError, WeightsError
from bowam_model.flow import Encoding, centre_crop, encode
from bowam_model.learning import Examples, Learner, Model
from bowam_model.network import create_model
from bowam_model.training import NetworkLearner, NetworkModel, TrainingSettings, predict, train, write_curves
from bowam_model.training.loop import Corpus, Trainer, mix, update_average

SMALL = Encoding(input_px=28)
TINY = {"dims": (8, 16), "depths": (1, 1), "strides": (2,), "patch": 4}
QUICK = TrainingSettings(epochs=3, batch=16, learning_rate=5e-3, rotation_deg=5.0)


def _examples(count: int = 64, *, seed: int = 0, values: int = 2, readings: int = 3, **options: Any) -> Examples:
    """Up (class 1) or down (class 0), with a wave of noise; everybody has two clips."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    flows = rng.normal(0, 0.3, (count, readings, 32, 32, values)).astype(np.float16)
    flows[..., 1] += np.where(labels == 1, 1.0, -1.0)[:, None, None, None].astype(np.float16)
    people = tuple(f"toy/{index}" for index in range((count + 1) // 2))
    return Examples(
        flows_NVHWC=flows,
        labels=labels,
        classes=("down", "up"),
        subjects=np.arange(count) // 2,
        people=people,
        clips=tuple(f"{people[index // 2]}/{index}" for index in range(count)),
        **({"fusion": "add"} | options),
    )


def _learner(**changes: Any) -> NetworkLearner:
    training = replace(QUICK, **{k: changes.pop(k) for k in list(changes) if k in QUICK.__dataclass_fields__})
    defaults = {"architecture": "bowam-nano", "options": TINY, "encoding": SMALL, "training": training}
    return NetworkLearner(**(defaults | changes))


def _weights(model: Model) -> list[np.ndarray]:
    assert isinstance(model, NetworkModel)
    return [value.numpy() for network in model.networks for value in network.state_dict().values()]


def _same(first: Model, second: Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(_weights(first), _weights(second), strict=True))


def test_a_network_learns_up_from_down() -> None:
    model = _learner(epochs=8).learn(_examples(), 0)
    unseen = _examples(40, seed=1)
    scores = model.predict(unseen)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == unseen.labels).mean() > 0.95
    assert model.samples_seen == 8 * 64
    assert model.predict(unseen.take(np.arange(0))).shape == (0, 2)


def test_from_shuffled_labels_there_is_nothing_to_learn() -> None:
    """What the labels do not say must not be known: a leak would show here."""
    examples = _examples()
    shuffled = replace(examples, labels=np.random.default_rng(5).permutation(examples.labels))
    unseen = _examples(100, seed=1)
    right = (_learner(epochs=8).learn(shuffled, 0).predict(unseen).argmax(axis=1) == unseen.labels).mean()
    assert right < 0.85


@pytest.mark.parametrize("threads", [1, 2])
def test_one_seed_gives_the_same_weights_and_another_does_not(threads: int) -> None:
    everything = {"noise": 0.05, "dropout": 0.2, "mixup": 0.2, "ema": 0.9, "stretch": 0.1, "balance": 2, "clip": 1.0}
    learner = _learner(threads=threads, epochs=1, **everything)
    first, again, other = (learner.learn(_examples(24), seed) for seed in (3, 3, 4))
    assert _same(first, again)
    assert not _same(first, other)


def test_learning_leaves_pytorchs_generator_and_threads_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    _learner(epochs=1, noise=0.1).learn(_examples(16), 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("ema", [None, 0.99])
def test_a_training_that_was_cut_ends_as_if_it_had_not_been(tmp_path: Path, cut: int, ema: float | None) -> None:
    """Killed after some epoch, from where a new learner goes on: bit by bit the same weights."""
    learner = _learner(epochs=4, members=2, ema=ema, noise=0.1, dropout=0.1, mixup=0.1, schedule="exponential")
    examples, file = _examples(40), tmp_path / "a" / "checkpoint.safetensors"
    whole = learner.learn(examples, 7)

    class Killed(Exception):
        pass

    def kill(epoch: int, loss: float, model: Model) -> None:
        if epoch == cut:
            raise Killed

    with pytest.raises(Killed):
        learner.learn(examples, 7, on_epoch=kill, checkpoint=file)
    heard: list[int] = []
    resumed = pickle.loads(pickle.dumps(learner)).learn(
        examples, 7, on_epoch=lambda epoch, loss, model: heard.append(epoch), checkpoint=file
    )
    assert heard == list(range(cut + 1, 5))
    assert _same(resumed, whole)
    assert [row.loss for row in resumed.curve] == [row.loss for row in whole.curve]
    assert resumed.samples_seen == whole.samples_seen == 4 * 40 * 2
    assert _same(learner.learn(examples, 7, checkpoint=file), whole)  # finished: nothing is left to do
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_checkpoint_of_another_training_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    _learner(epochs=1).learn(_examples(16), 0, checkpoint=file)
    for learner, examples, seed in (
        (_learner(epochs=2), _examples(16), 0),
        (_learner(epochs=1), _examples(16), 1),
        (_learner(epochs=1), _examples(16, seed=2), 0),
    ):
        with pytest.raises(OptionError, match="another recipe, seed or data"):
            learner.learn(examples, seed, checkpoint=file)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="remove it to begin anew"):
        _learner(epochs=1).learn(_examples(16), 0, checkpoint=file)


def test_each_epoch_is_heard_with_the_model_as_it_stands() -> None:
    examples, heard = _examples(32), []

    def hear(epoch: int, loss: float, model: Model) -> None:
        heard.append((epoch, loss, model.samples_seen, model.predict(examples)))

    model = _learner(epochs=3).learn(examples, 0, on_epoch=hear)
    assert [row[:3] for row in heard] == [(row.epoch, row.loss, row.samples_seen) for row in model.curve]
    assert heard[2][1] < heard[0][1]
    assert not np.array_equal(heard[0][3], heard[1][3])
    np.testing.assert_array_equal(heard[2][3], model.predict(examples))


def test_what_a_model_says_is_the_mean_over_members_and_mirrors_of_what_each_says() -> None:
    """Computed here flow by flow with the NumPy encoding."""
    examples = _examples(6)
    model = _learner(epochs=1, members=2, mirror_at_test=True).learn(examples, 0)
    expected = []
    for flow in examples.flows_NVHWC[:, 0].astype(np.float32):
        for seen in (flow, flow[:, ::-1] * np.array([-1, 1], np.float32)):
            picture = torch.from_numpy(centre_crop(encode(seen, SMALL), 28).copy())[None]
            expected += [network(picture).softmax(1).detach().numpy() for network in model.networks]
    np.testing.assert_allclose(model.predict(examples), np.reshape(expected, (6, 4, 2)).mean(axis=1), atol=1e-5)
    first, second = (
        _weights(replace(model, networks=model.networks[:1])),
        _weights(replace(model, networks=model.networks[1:])),
    )
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_predictions_come_from_the_first_reading_alone() -> None:
    examples = _examples(8)
    model = _learner(epochs=1).learn(examples, 0)
    changed = examples.flows_NVHWC.copy()
    changed[:, 1:] = 7
    np.testing.assert_array_equal(model.predict(examples), model.predict(replace(examples, flows_NVHWC=changed)))


def test_a_learner_learns_from_the_apex_alone_if_told_so() -> None:
    examples = _examples(16)
    changed = examples.flows_NVHWC.copy()
    changed[:, 1:] = 7
    other = replace(examples, flows_NVHWC=changed)
    assert _same(*(_learner(epochs=1, readings=False).learn(e, 0) for e in (examples, other)))
    assert not _same(*(_learner(epochs=1).learn(e, 0) for e in (examples, other)))


class Foreign(nn.Module):
    """What a rival may bring: nothing of ours."""

    def __init__(self, inputs: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(inputs, width, 3), nn.Linear(width, classes)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return self.last(F.relu(self.conv(x_BCHW)).mean((2, 3)))


def build_foreign(*, num_classes: int, in_channels: int, width: int) -> nn.Module:
    return Foreign(in_channels, num_classes, width)


def test_a_foreign_network_is_trained_like_our_own(tmp_path: Path) -> None:
    learner = _learner(architecture="foreign", build=build_foreign, options={"width": 5}, epochs=2)
    examples = _examples()
    model = learner.learn(examples, 0, checkpoint=tmp_path / "c.safetensors")
    assert model.predict(examples).shape == (64, 2)
    assert model.predict(examples.take(np.arange(0))).shape == (0, 2)
    assert "build_foreign" in learner.recipe["build"]
    with pytest.raises(OptionError, match="called `head`"):
        replace(learner, training=replace(QUICK, dropout=0.5)).learn(examples, 0)


@pytest.mark.parametrize("colours", ["picture", "uv_derivatives"])
def test_ready_flow_pictures_are_learned_from(colours: str) -> None:
    encoding = Encoding(fusion="picture", colours=colours, centre=False, input_px=32)  # type: ignore[arg-type]
    examples = _examples(values=3, fusion="picture", readings=1)
    scores = _learner(encoding=encoding, epochs=8).learn(examples, 0).predict(examples)
    assert (scores.argmax(axis=1) == examples.labels).mean() > 0.95


def test_an_encoding_for_other_flow_is_refused() -> None:
    with pytest.raises(OptionError, match="fusion 'multiply', the encoding expects 'add'"):
        _learner().learn(_examples(8, fusion="multiply"), 0)
    with pytest.raises(ImageError, match="smaller than input_px 64"):
        _learner(encoding=Encoding(input_px=64)).learn(_examples(8), 0)
    with pytest.raises(DatasetError, match="no examples"):
        _learner().learn(_examples(8).take(np.arange(0)), 0)
    with pytest.raises(OptionError, match="colour_jitter"):
        _learner(colour_jitter=0.2).learn(_examples(8), 0)


def test_the_recipe_is_plain_and_a_learner_is_one() -> None:
    import json

    learner: Learner = _learner(mirror_at_test=True, title="nano, mirrored")
    assert json.loads(json.dumps(learner.recipe)) == learner.recipe | {
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.items()}
    }
    assert learner.name == "nano, mirrored"
    assert learner.for_epochs(9).epochs == 9
    assert learner.for_epochs(3).recipe == learner.recipe
    assert learner.recipe["encoding"]["centre"] is False


def test_mixed_precision_learns_too() -> None:
    """Weights and loss stay fp32."""
    examples = _examples()
    model = _learner(epochs=8, precision="bf16").learn(examples, 0)
    assert (model.predict(examples).argmax(axis=1) == examples.labels).mean() > 0.95
    assert {value.dtype for value in model.networks[0].parameters()} == {torch.float32}
    assert not _same(model, _learner(epochs=8).learn(examples, 0))
    with pytest.raises(OptionError, match="needs a GPU"):
        _learner(precision="fp16", device="cpu").learn(examples, 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_learns_twice_the_same(precision: str, tmp_path: Path) -> None:
    learner = _learner(epochs=8, precision=precision, device="cuda", ema=0.9, noise=0.01)
    examples, file = _examples(), tmp_path / "c.safetensors"
    first, again = (learner.learn(examples, 0, checkpoint=file).predict(examples) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, learner.learn(examples, 0).predict(examples))
    assert (first.argmax(axis=1) == examples.labels).mean() > 0.95


def test_a_step_is_adamw_by_its_formula() -> None:
    """One step, two kinds of parameters, no augmentation: against PyTorch's unfused AdamW on a copy of the network."""
    settings = TrainingSettings(
        epochs=1, batch=64, learning_rate=0.01, schedule="constant", weight_decay=0.1, label_smoothing=0.1,
        mirror=False, rotation_deg=0, stretch=0, shift=False, clip=0.05,
    )  # fmt: skip
    examples = _examples(16, readings=1)
    torch.manual_seed(0)
    network = create_model("bowam-nano", 2, **TINY)
    expected = copy.deepcopy(network).train()
    train(network, examples.flows_NVHWC[:, 0], examples.labels, SMALL, settings)
    flat = [p for p in expected.parameters() if p.ndim <= 1]
    thick = [p for p in expected.parameters() if p.ndim > 1]
    optimiser = torch.optim.AdamW([{"params": flat, "weight_decay": 0.0}, {"params": thick}], 0.01, weight_decay=0.1)
    pictures = np.stack([centre_crop(encode(flow, SMALL), 28) for flow in examples.flows_NVHWC[:, 0]])
    loss = F.cross_entropy(expected(torch.from_numpy(pictures)), torch.from_numpy(examples.labels), label_smoothing=0.1)
    loss.backward()
    nn.utils.clip_grad_norm_(expected.parameters(), 0.05)
    optimiser.step()
    compared = 0
    for found, wanted in zip(network.parameters(), expected.parameters(), strict=True):
        assert wanted.grad is not None
        # Where a gradient is nothing but rounding, Adam's first step is still as long as the rate.
        clear = wanted.grad.abs() > 1e-5
        compared += int(clear.sum())
        np.testing.assert_allclose(found.detach()[clear], wanted.detach()[clear], atol=1e-4)
    assert compared > 500


def test_the_running_mean_is_decay_times_itself_and_the_rest_of_the_network() -> None:
    network, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([2.0, 4.0, 6.0]))
        network.running_mean.copy_(torch.tensor([5.0, 5.0, 5.0]))  # type: ignore[union-attr]
    for _ in range(2):
        update_average(average, network, 0.9)
    expected = 0.81 * 1 + (1 - 0.81) * np.array([2.0, 4.0, 6.0])
    np.testing.assert_allclose(average.weight.detach(), expected, rtol=1e-6)
    np.testing.assert_array_equal(average.running_mean, [5, 5, 5])  # type: ignore[arg-type]


def test_the_running_mean_is_the_result_and_lags_behind() -> None:
    trainer = Trainer(create_model("bowam-nano", 2, **TINY), SMALL, replace(QUICK, ema=0.9), 0)
    assert trainer.result is trainer.average is not trainer.network
    assert not _same(_learner(ema=0.9).learn(_examples(), 0), _learner().learn(_examples(), 0))


def test_mixup_mixes_pictures_and_labels_by_one_share() -> None:
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    mixed = mix(values, 0.75, np.array([1, 2, 0]))
    np.testing.assert_allclose(mixed, [[0.75, 0.25], [0, 1], [0.25, 0.75]])


def test_curves_are_written_for_people_and_programs(tmp_path: Path) -> None:
    import csv
    import json

    curve = _learner(epochs=2, schedule="exponential").learn(_examples(16), 0).curve
    write_curves(tmp_path / "curve.json", curve)
    write_curves(tmp_path / "curve.csv", curve)
    rows = json.loads((tmp_path / "curve.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["samples_seen"] for row in rows] == [16, 32]
    assert rows[1]["learning_rate"] == pytest.approx(5e-3 * 0.987)
    with (tmp_path / "curve.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [row["loss"] for row in rows]
    with pytest.raises(OptionError, match=r"neither .json nor .csv"):
        write_curves(tmp_path / "curve.xlsx", curve)


def test_train_and_predict_work_on_bare_arrays() -> None:
    examples = _examples(readings=1)
    torch.manual_seed(1)
    network = create_model("bowam-nano", 2, **TINY)
    losses: list[float] = []
    hear: Callable[[int, float], None] = lambda count, loss: losses.append(loss)  # noqa: E731
    train(network, examples.flows_NVHWC[:, 0], examples.labels, SMALL, replace(QUICK, epochs=8), hear)
    assert len(losses) == 8 * 4
    assert not network.training
    scores = predict(network, examples.flows_NVHWC[:, 0], SMALL)
    assert (scores.argmax(axis=1) == examples.labels).mean() > 0.95


STILL: dict[str, Any] = {"mirror": False, "rotation_deg": 0.0, "stretch": 0.0, "shift": False}


def _batch(encoding: Encoding, examples: Examples, **changes: Any) -> np.ndarray:
    """What the network sees of the first examples."""
    trainer = Trainer(
        create_model("bowam-nano", 2, in_channels=encoding.channels, **TINY), encoding, replace(QUICK, **changes), 0
    )
    corpus = Corpus(examples.flows_NVHWC, examples.labels, 2, trainer.device)
    clips = np.arange(len(examples))
    return trainer._batch(corpus, clips, np.zeros_like(clips), np.random.default_rng(0))[0].numpy()


@pytest.mark.parametrize(("colours", "centre"), [("uv_strain", False), ("uv_derivatives", True), ("hsv", False)])
def test_without_augmentation_training_sees_what_prediction_sees(colours: str, centre: bool) -> None:
    encoding = Encoding(colours=colours, centre=centre, input_px=28)  # type: ignore[arg-type]
    examples = _examples(6)
    expected = [centre_crop(encode(flow, encoding), 28) for flow in examples.flows_NVHWC[:, 0]]
    np.testing.assert_allclose(_batch(encoding, examples, **STILL), expected, atol=1e-5)


def test_noise_is_white_and_as_strong_as_said() -> None:
    added = _batch(SMALL, _examples(32), noise=0.2, **STILL) - _batch(SMALL, _examples(32), **STILL)
    assert added.std() == pytest.approx(0.2, rel=0.02)
    assert abs(added.mean()) < 0.005
    assert abs((added[:, :, 1:] * added[:, :, :-1]).mean()) < 0.001


def test_colours_stay_colours_when_they_are_jittered() -> None:
    encoding = Encoding(fusion="concat", colours="hsv", input_px=28)
    examples = _examples(16, values=4, fusion="concat")
    jittered, plain = (_batch(encoding, examples, colour_jitter=most, **STILL) for most in (0.4, 0.0))
    assert np.abs(jittered).max() <= 1
    assert 0.01 < np.abs(jittered - plain).mean() < 0.5
