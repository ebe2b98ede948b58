"""`bowam explain` as a user types it, and the pictures that it writes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bowam_model.cli.explain import app
from bowam_model.errors import ImageError, OptionError
from bowam_model.explain import canvas
from bowam_model.explain.claim import CONDITIONS
from bowam_model.explain.network_report import read_triple
from bowam_model.flow import Encoding
from bowam_model.network import create_model
from bowam_model.predictor import save


def run(*arguments: str) -> int:
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


def aligned(folder: Path) -> list[str]:
    """Three aligned grey "faces", as the options want them."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (260, 260)).astype(np.float32), (0, 0), 3)
    words = []
    for shift, name in enumerate(("onset", "apex", "offset")):
        part = cv2.normalize(texture[shift : shift + 240, :240], None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), part)
        words += [f"--{name}", str(folder / f"{name}.png")]
    return words


def colours(path: Path) -> int:
    return len(np.unique(cv2.imread(str(path)).reshape(-1, 3), axis=0))


def test_the_network_command_draws_every_page_of_the_shipped_weights(tmp_path: Path) -> None:
    assert run("network", *aligned(tmp_path), "--out", str(tmp_path / "out")) == 0
    for name in ("gradcam", "bands", "attention", "stages"):
        assert colours(tmp_path / "out" / f"{name}.png") > 50
    said = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert np.shape(said["stages"][-1]["grad_cam"]["positive"]) == tuple(said["stages"][-1]["shape_CHW"][1:])
    assert {bands["module"] for bands in said["bands"]} >= {"stages.0.0.dwconv", "stages.2.1.dwconv"}


@pytest.mark.parametrize(
    "options", [{"placement": "none"}, {"attention": "stfa"}, {"wavelet": "fourier", "channel": False}]
)
def test_other_weights_are_drawn_as_far_as_they_have_bands_and_attention(tmp_path: Path, options: dict) -> None:
    made = create_model("bowam-nano", 3, dims=(16, 32), depths=(1, 1), strides=(2,), **options)
    weights = tmp_path / "small.safetensors"
    save(
        weights, made, labels=("negative", "positive", "surprise"), encoding=Encoding(side_px=64, input_px=60), card=""
    )
    assert run("network", *aligned(tmp_path), "--weights", str(weights), "--out", str(tmp_path / "out")) == 0
    written = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert written == {"gradcam", "stages"} | ({"bands"} if "wavelet" in options else set())


def test_the_demo_shows_a_smile(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    assert run("network", "--demo", "--out", str(tmp_path)) == 0
    assert "positive" in json.loads((tmp_path / "explain.json").read_text())["what"]


def test_the_claim_command_writes_figures_table_plot_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    assert run("claim", "--cases", "1", "--out", str(tmp_path)) == 0
    claim = json.loads((tmp_path / "claim.json").read_text())
    assert [condition["name"] for condition in claim["conditions"]] == [condition.name for condition in CONDITIONS]
    assert len(claim["readings"]) == len(CONDITIONS) * 3 * 2
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("claim.md", "claim.svg"))
    assert colours(tmp_path / "figure3.png") > 50


def test_bad_input_is_one_clear_error_before_any_work(tmp_path: Path) -> None:
    words = aligned(tmp_path)
    for some in ((), words[:4], (*words, "--demo")):
        with pytest.raises(OptionError, match="--demo"):
            run("network", *some, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for path, message in ((broken, "not a picture"), (tmp_path / "nowhere.png", "can't read")):
        with pytest.raises(ImageError, match=message):
            read_triple([path] * 3, 240)
    with pytest.raises(ImageError, match="can't write"):
        run("network", *words, "--out", str(broken / "out"))
    assert run("claim", "--cases", "0", "--out", str(tmp_path)) == 2


def test_photos_are_aligned_and_aligned_faces_taken_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="photos are aligned by MediaPipe")
    data = pytest.importorskip("skimage.data", reason="the portrait comes with scikit-image")
    from bowam_model.face import align_still

    photo = np.ascontiguousarray(data.astronaut())
    face = align_still(photo)
    assert face is not None
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "face.png"), face.crop)
    cv2.imwrite(str(tmp_path / "blank.png"), np.zeros((300, 300), np.uint8))
    triple, _ = read_triple([tmp_path / "photo.png", tmp_path / "face.png", tmp_path / "photo.png"], 240)
    np.testing.assert_array_equal(triple[0], face.crop)
    np.testing.assert_array_equal(triple[1], face.crop)
    with pytest.raises(ImageError, match="no face found"):
        read_triple([tmp_path / "blank.png"] * 3, 240)


def test_colours_of_flow_are_white_where_nothing_moves_and_turn_with_direction() -> None:
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, 1:] = [(3, 0), (-3, 0), (30, 0)]
    still, right, left, far = canvas.flow_colours(flow, 3.0)[0].astype(int)
    assert still.tolist() == [255, 255, 255]
    assert right[0] > right[2]
    assert left[0] < left[2]
    np.testing.assert_array_equal(right, far)  # full colour is the end of the scale


def test_a_page_keeps_pictures_that_fit_as_they_are_and_goes_on_where_one_is_missing() -> None:
    tile = np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)
    page = canvas.compose([[None, canvas.Panel(tile, "title")], [canvas.Panel(tile)]], heading="h", panel_px=50)
    places = [
        (y, x)
        for y in range(page.shape[0] - 50)
        for x in range(page.shape[1] - 50)
        if page[y, x, 0] == tile[0, 0, 0] and np.array_equal(page[y : y + 50, x : x + 50], tile)
    ]
    assert len(places) == 2
    assert places[0][1] - places[1][1] == 50 + canvas.GAP_PX
