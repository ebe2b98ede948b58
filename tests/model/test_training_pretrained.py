"""Weights of others, from files that the test writes with their names."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from bowam_model.errors import WeightsError
from bowam_model.network import Network, create_model
from bowam_model.training import NetworkLearner, load_pretrained
from bowam_model.training.pretrained import our_name

SHAPE = {"dims": (8, 16, 24, 32), "depths": (1, 1, 2, 1)}


def _network(name: str = "convnext-tiny", classes: int = 3, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = create_model(name, classes, **SHAPE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network


NAMES = [  # of the published ConvNeXt checkpoints
    # ours and the original's, timm's, torchvision's
    ("downsample_layers.0.0.weight", "stem.0.weight", "features.0.0.weight"),
    ("downsample_layers.0.1.bias", "stem.1.bias", "features.0.1.bias"),
    ("stages.0.0.dwconv.weight", "stages.0.blocks.0.conv_dw.weight", "features.1.0.block.0.weight"),
    ("stages.0.0.norm.weight", "stages.0.blocks.0.norm.weight", "features.1.0.block.2.weight"),
    ("stages.0.0.pwconv1.bias", "stages.0.blocks.0.mlp.fc1.bias", "features.1.0.block.3.bias"),
    ("stages.2.1.pwconv2.weight", "stages.2.blocks.1.mlp.fc2.weight", "features.5.1.block.5.weight"),
    ("stages.3.0.gamma", "stages.3.blocks.0.gamma", "features.7.0.layer_scale"),
    ("downsample_layers.1.0.weight", "stages.1.downsample.0.weight", "features.2.0.weight"),
    ("downsample_layers.3.1.bias", "stages.3.downsample.1.bias", "features.6.1.bias"),
    ("norm.weight", "head.norm.weight", "classifier.0.weight"),
    ("head.weight", "head.fc.weight", "classifier.2.weight"),
]


@pytest.mark.parametrize("names", NAMES, ids=[names[0] for names in NAMES])
def test_the_names_of_timm_and_torchvision_are_understood(names: tuple[str, str, str]) -> None:
    ours, *others = names
    assert our_name(ours) == ours
    assert [our_name(name) for name in others] == [ours, ours]


def test_a_plain_convnext_takes_everything(tmp_path: Path) -> None:
    source, target = _network(), _network(seed=1)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "w.safetensors")
    total = len(source.state_dict())
    assert load_pretrained(target, tmp_path / "w.safetensors") == (total, total)
    for key, value in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[key], value)


def test_wavelet_attention_takes_the_depthwise_kernel_into_its_own_convolution(tmp_path: Path) -> None:
    """What it has besides, and a head for other classes, stay fresh."""
    source, target = _network(classes=7), _network("bowam", seed=1)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    tensors = {key: value.clone() for key, value in source.state_dict().items()}
    tensors["stages.0.0.gamma"] = tensors["stages.0.0.gamma"][:, None, None]  # as torchvision shapes it
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    fitted, total = load_pretrained(target, tmp_path / "w.safetensors")
    assert (fitted, total) == (len(tensors) - 2, len(before))
    after = target.state_dict()
    np.testing.assert_array_equal(after["stages.2.1.dwconv.conv.weight"], tensors["stages.2.1.dwconv.weight"])
    np.testing.assert_array_equal(after["stages.0.0.gamma"], tensors["stages.0.0.gamma"][:, 0, 0])
    for key in before:
        fresh = "head" in key or ("dwconv" in key and "dwconv.conv" not in key)
        assert torch.equal(after[key], before[key]) == fresh, key


def test_a_learner_starts_from_them_and_says_how_many_fitted(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(_network().state_dict(), file)
    learner = NetworkLearner(architecture="bowam", options=SHAPE, pretrained=file)
    network, fitted = learner._network(3, 0, 0)
    assert fitted == (len(_network().state_dict()), len(network.state_dict()))
    np.testing.assert_array_equal(network.get_parameter("norm.weight").detach(), _network().norm.weight.detach())
    assert learner.recipe["pretrained"].startswith("sha256:")


def test_files_that_give_nothing_are_refused(tmp_path: Path) -> None:
    target = _network()
    safetensors.torch.save_file({"other": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"nothing in .* fits"):
        load_pretrained(target, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="convert it first"):
        load_pretrained(target, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="can't read"):
        load_pretrained(target, tmp_path / "missing.safetensors")
