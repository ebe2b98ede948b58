"""The weights that ship: they load, say what they are, and know a clear expression on a face that they never saw."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.labels import SHIPPED
from bowam_model.predictor import SHIPPED_WEIGHTS, Predictor, load
from bowam_model.synthesis import ClipPlan, Identity, load_identity
from bowam_model.synthesis.fields import Action
from bowam_model.synthesis.plan import Movement, Nod, Scene
from bowam_model.synthesis.render import Renderer


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load()


@pytest.fixture(scope="module")
def portrait() -> Identity:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    return load_identity()


def triple(portrait: Identity, *movements: Movement, nods: tuple[Nod, ...] = ()) -> np.ndarray:
    """Onset, apex (300 ms) and offset of a plan, aligned by the place of the head at rest: uint8 (3, 240, 240)."""
    plan = ClipPlan(seed=1, size=(300, 320), zoom=1.0, scene=Scene(noise=1.0), movements=movements, nods=nods)
    renderer = Renderer(plan, portrait)
    to_crop = cv2.invertAffineTransform(renderer.to_picture)
    pictures = [cv2.cvtColor(renderer.picture(frame), cv2.COLOR_RGB2GRAY) for frame in (20, 30, 45)]
    return np.stack([cv2.warpAffine(picture, to_crop, (240, 240)) for picture in pictures])


def expression(*units: int, amplitude_px: float = 2.5) -> Movement:
    return Movement(
        kind="micro", start_ms=200, rise_ms=100, hold_ms=0, fall_ms=150, amplitude_px=amplitude_px,
        actions=tuple(Action(unit) for unit in units),
    )  # fmt: skip


def test_the_file_is_small_and_its_card_is_the_one_in_the_folder(predictor: Predictor) -> None:
    assert SHIPPED_WEIGHTS.stat().st_size < 10_000_000
    assert predictor.name == "bowam-nano"
    assert predictor.labels == SHIPPED
    assert predictor.card == (SHIPPED_WEIGHTS.parent / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        "has never seen a real micro-expression",
        "10.6084/m9.figshare.5047666",
        "CC BY 4.0",
        "people of the test part",
        "## Limits",
    ],
)
def test_the_card_says_what_a_user_must_know(predictor: Predictor, words: str) -> None:
    assert words in " ".join(predictor.card.split())


@pytest.mark.parametrize(
    ("units", "label"),
    [((4,), "negative"), ((15,), "negative"), ((12,), "positive"), ((6, 12), "positive"), ((1, 2), "surprise")],
    ids=str,
)
def test_a_clear_expression_on_an_unseen_face_gets_its_label(
    predictor: Predictor, portrait: Identity, units: tuple[int, ...], label: str
) -> None:
    for amplitude_px in (1.5, 2.5, 3.0):
        probabilities = predictor.predict(*triple(portrait, expression(*units, amplitude_px=amplitude_px)))
        assert max(probabilities, key=probabilities.__getitem__) == label


def test_stillness_blinks_and_nods_are_none(predictor: Predictor, portrait: Identity) -> None:
    blink = Movement(kind="blink", start_ms=200, rise_ms=100, hold_ms=0, fall_ms=150)
    nod = Nod(start_ms=150, duration_ms=300, pitch_px=2.0, yaw_px=0.0)
    for pictures in (triple(portrait), triple(portrait, blink), triple(portrait, nods=(nod,))):
        probabilities = predictor.predict(*pictures)
        assert max(probabilities, key=probabilities.__getitem__) == "none"


def test_nothing_but_the_network_is_needed_to_load(tmp_path: Path) -> None:
    """A copy elsewhere gives the same digest and the same answers."""
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(SHIPPED_WEIGHTS.read_bytes())
    faces = np.random.default_rng(0).integers(0, 255, (3, 240, 240)).astype(np.uint8)
    assert load(copy).weights == load().weights
    assert load(copy).predict(*faces) == load().predict(*faces)
