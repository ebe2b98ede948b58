"""STSTNet, and the spectral rivals of wavelet attention."""

import math
import pickle
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from bowam_model import create_model
from bowam_model.attention import STFA_BANDS, Stfa
from bowam_model.errors import OptionError
from bowam_model.flow import Encoding
from bowam_model.learning import Examples
from bowam_model.rivals.maps import painted
from bowam_model.rivals.ststnet import STREAMS, StstNet, ststnet
from bowam_model.training import NetworkLearner, TrainingSettings

SIZES = [(56, 56), (28, 28), (14, 14), (7, 7), (15, 15), (9, 12)]


def _maps(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def _examples(count: int, seed: int, fusion: str, side: int) -> Examples:
    """Which third of the face moves down tells the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    flows = rng.normal(scale=0.2, size=(count, 1, side, side, 3 if fusion == "picture" else 2))
    for flow, label in zip(flows, labels, strict=True):
        flow[0, label * side // 3 : (label + 1) * side // 3, :, 1] += 1
    return Examples(
        flows_NVHWC=flows.astype(np.float16),
        labels=labels,
        classes=("negative", "positive", "surprise"),
        subjects=np.arange(count) % 4,
        people=tuple(f"toy/{k}" for k in range(4)),
        clips=tuple(f"toy/{k % 4}/{k}" for k in range(count)),
        fusion=fusion,
    )


class TestStstNet:
    def test_parameters_by_hand(self) -> None:
        convolutions = sum(filters * (3 * 3 * 3 + 1) for filters in STREAMS)
        norms, last = 2 * sum(STREAMS), 16 * 5 * 5 * 3 + 3
        assert (convolutions, norms, last) == (448, 32, 1203)
        assert sum(p.numel() for p in StstNet().parameters()) == convolutions + norms + last == 1683

    @pytest.mark.parametrize("byte_input", [False, True])
    def test_step_by_step(self, byte_input: bool) -> None:
        """Each stream by itself: convolution, ReLU, batch norm, maximum over 3x3; together: mean over 2x2, linear."""
        network = StstNet(byte_input=byte_input).eval()
        x = _maps(28, 28)
        shown = ((x + 1) * 127.5 if byte_input else x).numpy()
        maps = []
        conv = network.streams[0]
        for weight, bias in zip(conv.weight.detach().split(STREAMS), conv.bias.detach().split(STREAMS), strict=True):
            padded = np.pad(shown, ((0, 0), (0, 0), (2, 2), (2, 2)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
            made = np.einsum("bchwij,fcij->bfhw", windows, weight)
            made = np.maximum(made + bias.numpy()[:, None, None], 0) / math.sqrt(1 + 1e-5)
            largest = np.full((2, made.shape[1], 10, 10), -np.inf)
            for y, x_ in product(range(10), range(10)):
                part = made[:, :, max(0, 3 * y - 1) : 3 * y + 2, max(0, 3 * x_ - 1) : 3 * x_ + 2]
                largest[:, :, y, x_] = part.max((2, 3))
            maps.append(largest)
        pooled = np.concatenate(maps, axis=1).reshape(2, 16, 5, 2, 5, 2).mean((3, 5)).reshape(2, 400)
        expected = pooled @ network.head.weight.detach().numpy().T + network.head.bias.detach().numpy()
        np.testing.assert_allclose(network(x).detach(), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize(("side", "channels"), [(28, 3), (56, 6), (224, 3), (3, 2)])
    def test_other_sizes_and_channels(self, side: int, channels: int) -> None:
        assert StstNet(7, channels, input_px=side)(torch.zeros(2, channels, side, side)).shape == (2, 7)

    def test_it_learns_a_toy_and_travels(self) -> None:
        """With a faster rate than the paper's, and bit for bit the same after a journey."""
        learner = ststnet()
        learner = replace(learner, training=replace(learner.training, epochs=25, learning_rate=5e-3, device="cpu"))
        train, unseen = _examples(60, 1, "picture", 28), _examples(30, 2, "picture", 28)
        scores = learner.learn(train, seed=0).predict(unseen)
        assert (scores.argmax(1) == unseen.labels).mean() > 0.9
        again = pickle.loads(pickle.dumps(learner)).learn(train, seed=0).predict(unseen)
        np.testing.assert_array_equal(scores, again)
        assert learner.recipe["options"] == {"input_px": 28, "dropout": 0.5, "byte_input": False}

    def test_the_recipe_is_the_paper_s(self) -> None:
        training = ststnet().training
        assert (training.epochs, training.batch, training.learning_rate, training.weight_decay) == (500, 256, 5e-5, 0)
        assert not any((training.mirror, training.rotation_deg, training.stretch, training.shift))


class TestStfa:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_unit_weights_let_every_map_pass(self, size: tuple[int, int]) -> None:
        """As fresh: gain and bias 0."""
        x = _maps(*size)
        torch.testing.assert_close(Stfa(3, nn.Conv2d(3, 3, 1)).weigh(x), x, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_equals_the_full_spectrum_frequency_by_frequency(self, size: tuple[int, int]) -> None:
        """Rings, values and weights from NumPy's two-sided spectrum in a plain loop."""
        stfa = Stfa(3, nn.Conv2d(3, 3, 1))
        nn.init.normal_(stfa.gain, std=3)
        nn.init.normal_(stfa.bias)
        x = _maps(*size, seed=1)
        gain, bias = stfa.gain.detach().numpy(), stfa.bias.detach().numpy()
        expected = np.empty(x.shape)
        for picture, channel in product(range(2), range(3)):
            spectrum = np.fft.fft2(x[picture, channel].double().numpy())
            ring = np.empty(size, int)
            power = np.zeros(STFA_BANDS)
            for row, column in product(range(size[0]), range(size[1])):
                radius = math.hypot(np.fft.fftfreq(size[0])[row], np.fft.fftfreq(size[1])[column])
                ring[row, column] = min(int(radius / (0.5 / STFA_BANDS)), STFA_BANDS - 1)
                power[ring[row, column]] += abs(spectrum[row, column]) ** 2
            value = np.sqrt(power) / np.sqrt(power).sum()
            weight = 2 / (1 + np.exp(-(gain[channel] * value + bias[channel])))
            back = np.fft.ifft2(spectrum * weight[ring])
            assert np.abs(back.imag).max() < 1e-9
            expected[picture, channel] = back.real
        np.testing.assert_allclose(stfa.weigh(x).detach(), expected, atol=1e-4)

    def test_no_ring_is_empty_at_the_smallest_map(self) -> None:
        """7x7, the last stage: with one ring alone open, something passes."""
        for ring in range(STFA_BANDS):
            stfa = Stfa(3, nn.Conv2d(3, 3, 1))
            nn.init.constant_(stfa.bias, -100)
            with torch.no_grad():
                stfa.bias[:, ring] = 100
            assert stfa.weigh(_maps(7, 7)).abs().max() > 0.1

    def test_a_flat_map_has_a_gradient(self) -> None:
        stfa = Stfa(3, nn.Conv2d(3, 3, 1))
        x = torch.zeros(1, 3, 8, 8, requires_grad=True)
        stfa.weigh(x).sum().backward()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()

    def test_parameters_to_the_digit(self) -> None:
        """ConvNeXt-T, and in each block gain and bias for each channel and ring and a batch norm."""
        channels = 3 * 96 + 3 * 192 + 9 * 384 + 3 * 768
        model = create_model("bowam", attention="stfa")
        assert sum(p.numel() for p in model.parameters()) == 27_822_435 + channels * (2 * STFA_BANDS + 2) == 27_888_675
        assert model.options["attention"] == "stfa"

    def test_unknown_attention_is_an_error(self) -> None:
        with pytest.raises(OptionError, match="unknown attention 'cbam': use one of wadm, stfa"):
            create_model("bowam-nano", attention="cbam")


@pytest.mark.parametrize("options", [{"attention": "stfa"}, {"wavelet": "fourier"}], ids=str)
class TestSpectralNetworks:
    def test_mixed_precision(self, options: dict) -> None:
        """There is no FFT in half precision; the maps around it are of that kind all the same."""
        model = create_model("bowam-nano", **options).eval()
        x = _maps(64, 64)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            half = model(x)
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), model(x).detach(), atol=0.05, rtol=0.1)

    def test_it_exports_with_a_batch_of_any_size(self, options: dict) -> None:
        model = create_model("bowam-nano", dims=(16, 24), depths=(1, 1), strides=(2,), **options).eval()
        batch = torch.export.Dim("batch", min=1, max=64)
        exported = torch.export.export(model, (_maps(60, 60),), dynamic_shapes=({0: batch},)).module()
        x = torch.cat([_maps(60, 60, seed) for seed in range(3)])
        torch.testing.assert_close(exported(x), model(x), atol=1e-5, rtol=1e-4)

    def test_between_the_stages(self, options: dict) -> None:
        model = create_model("bowam-nano", placement="downsample", **options)
        assert model(_maps(50, 50)).shape == (2, 3)


@pytest.mark.parametrize("kind", ["biwoof", "mdmo"])
def test_the_same_network_learns_from_painted_maps(kind: str) -> None:
    """Table 11(a), in small: paint, train, predict."""
    learner = NetworkLearner(
        architecture="bowam-nano",
        encoding=Encoding(fusion="picture", colours="picture", side_px=48, input_px=48),
        training=TrainingSettings(epochs=4, device="cpu", rotation_deg=0.0, shift=False),
    )
    train, unseen = (painted(_examples(count, seed, "add", 48), kind) for count, seed in ((90, 1), (30, 2)))
    scores = learner.learn(train, seed=0).predict(unseen)
    assert (scores.argmax(1) == unseen.labels).mean() > 0.8
