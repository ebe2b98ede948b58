"""The inside of a network: Grad-CAM against hand-made references, bands that still make up the whole, clean hooks."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from bowam_model.errors import ImageError
from bowam_model.explain.network import grad_cam, look_inside
from bowam_model.network import Network, create_model

SMALL: dict[str, Any] = {
    "dims": (16, 32), "depths": (1, 2), "strides": (2,), "layer_scale": 1.0, "weight_std": None, "channel_ratio": 4,
}  # fmt: skip


def network(seed: int = 0, **options: Any) -> Network:
    torch.manual_seed(seed)
    made = create_model("bowam", **SMALL | options).eval().requires_grad_(False)
    for parameter in made.head.parameters():
        parameter.normal_(0, 0.5)
    return made


def picture(seed: int = 0, channels: int = 3, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, side, side)).astype(np.float32)


def test_grad_cam_weighs_maps_by_their_mean_gradient_and_keeps_what_speaks_for_the_class() -> None:
    maps = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 0.0], [0.0, -5.0]]], np.float32)
    gradients = np.array([[[1.0, 1.0], [0.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]], np.float32)
    np.testing.assert_allclose(grad_cam(maps, gradients), [[0.0, 1.0], [1.5, 7.0]])  # 0.5 first - second, at least 0


def test_at_the_last_stage_it_equals_the_derivative_of_head_and_layer_norm_by_hand() -> None:
    made = network()
    inside = look_inside(made, picture())
    maps = inside.stages[-1].astype(np.float64)
    mean_C = maps.mean(axis=(1, 2))
    centred, count = mean_C - mean_C.mean(), len(mean_C)
    spread = np.sqrt((centred**2).mean() + made.norm.eps)
    unit = centred / spread
    weights = made.head.weight.numpy().astype(np.float64) * made.norm.weight.numpy()
    for label in range(3):
        w = weights[label]
        by_mean = (w - w.mean() - unit * (w * unit).mean()) / spread  # layer norm's Jacobian
        expected = np.maximum(np.tensordot(by_mean / maps[0].size, maps, axes=1), 0)
        np.testing.assert_allclose(inside.cam(1, label), expected, rtol=1e-3, atol=1e-6)
    assert count == 32


@pytest.mark.parametrize("stage", [0, 1])
def test_gradients_agree_with_finite_differences_at_every_stage(stage: int) -> None:
    made = network()
    shown = picture()
    inside = look_inside(made, shown)
    exact = copy.deepcopy(made).double()
    rng = np.random.default_rng(1)
    direction = torch.from_numpy(rng.normal(size=inside.stages[stage].shape))

    def logits(step: float) -> np.ndarray:
        handle = exact.stages[stage].register_forward_hook(lambda _, __, out: out + step * direction)
        try:
            return exact(torch.from_numpy(shown).double()[None])[0].numpy()
        finally:
            handle.remove()

    slope = (logits(1e-5) - logits(-1e-5)) / 2e-5
    predicted = (inside.gradients[stage] * direction.numpy()).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(predicted, slope, rtol=2e-3, atol=1e-4)


def test_maps_have_the_size_of_their_stage_and_answers_are_the_network_s_own() -> None:
    made = network(num_classes=4)
    inside = look_inside(made, picture())
    assert [stage.shape for stage in inside.stages] == [(16, 8, 8), (32, 4, 4)]
    assert [gradient.shape for gradient in inside.gradients] == [(4, 16, 8, 8), (4, 32, 4, 4)]
    assert inside.cam(0, 3).shape == (8, 8)
    assert inside.cam(1, 3).min() >= 0
    expected = made(torch.from_numpy(picture())[None])[0]
    np.testing.assert_allclose(inside.logits, expected.numpy(), rtol=1e-6)
    np.testing.assert_allclose(inside.probabilities, expected.softmax(0).numpy(), rtol=1e-6)


def test_it_does_not_see_a_channel_that_the_network_ignores() -> None:
    made = network()
    made.downsample_layers[0][0].weight[:, 2] = 0
    shown, other = picture(), picture()
    other[2] = picture(9)[2]
    one, two = look_inside(made, shown), look_inside(made, other)
    for label in range(3):
        np.testing.assert_array_equal(one.cam(1, label), two.cam(1, label))
    other[0] = picture(9)[0]
    assert not np.array_equal(one.cam(1, 0), look_inside(made, other).cam(1, 0))


def test_it_is_dark_where_the_network_has_nothing_to_see() -> None:
    """Patches alone, without biases or blocks: half of the picture that is empty leaves half of the maps empty."""
    made = network(dims=(16,), depths=(0,), strides=())
    shown = picture()
    shown[:, :, 16:] = 0
    inside = look_inside(made, shown)
    cams = np.stack([inside.cam(0, label) for label in range(3)])
    assert not cams[:, :, 4:].any()
    assert cams[:, :, :4].any()


@pytest.mark.parametrize("options", [{}, {"wavelet": "db4"}, {"wavelet": "fourier"}, {"placement": "downsample"}])
def test_bands_make_up_the_input_before_attention_and_what_is_convolved_after_it(options: dict[str, Any]) -> None:
    made = network(**options)
    inside = look_inside(made, picture(side=30))  # an odd map on the way
    modules = dict(made.named_modules())
    assert len(inside.bands) == (1 if options.get("placement") == "downsample" else 3)
    for bands in inside.bands:
        transform = modules[bands.module].transform
        assert len(bands.names) == len(bands.before) == len(bands.after) == 1 + transform.high_bands

        def merged(parts: tuple[np.ndarray, ...], size: tuple[int, ...], transform: Any = transform) -> np.ndarray:
            low, high = torch.from_numpy(parts[0]), torch.from_numpy(np.concatenate(parts[1:]))
            return transform.merge(low[None], high[None], *size[1:])[0].numpy()

        np.testing.assert_allclose(merged(bands.before, bands.taken.shape), bands.taken, atol=2e-5)
        np.testing.assert_allclose(merged(bands.after, bands.taken.shape), bands.merged, atol=2e-5)


@pytest.mark.parametrize("mlp", ["shared", "separate"])
def test_attention_weights_are_what_the_bands_were_multiplied_by(mlp: str) -> None:
    for bands in look_inside(network(channel_mlp=mlp), picture()).bands:
        assert bands.names == ("LL", "LH", "HL", "HH")
        assert bands.place_weights is not None
        assert bands.channel_weights is not None
        np.testing.assert_allclose(bands.before[0] * bands.place_weights, bands.after[0], rtol=1e-5, atol=1e-6)
        for before, after, weights in zip(bands.before[1:], bands.after[1:], bands.channel_weights, strict=True):
            np.testing.assert_allclose(before * weights[:, None, None], after, rtol=1e-5, atol=1e-6)


def test_attention_that_is_switched_off_has_no_weights_and_a_plain_network_no_bands() -> None:
    for bands in look_inside(network(spatial=False, channel=False), picture()).bands:
        assert bands.place_weights is None
        assert bands.channel_weights is None
        for before, after in zip(bands.before, bands.after, strict=True):
            np.testing.assert_array_equal(before, after)
    assert look_inside(network(placement="none"), picture()).bands == ()


def test_nothing_stays_behind_in_the_network() -> None:
    made = network()
    before = copy.deepcopy(made.state_dict())
    look_inside(made.train(), picture())
    assert made.training
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    assert not any(module._forward_hooks for module in made.modules())
    with pytest.raises(ImageError, match="3 channels"):
        look_inside(made, picture(channels=6))
