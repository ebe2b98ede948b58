"""The examples of the documentation run, and do what they say."""

import contextlib
import runpy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from bowam_model.synthesis import Truth, load_identity, plan_clip, render, truth_of
from bowam_stream.errors import AddressInUse
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket
from bowam_stream.events.subscriber import journal_of
from tests.stream.small_events import micro_event

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MOST_LINES, WIDEST = 40, 96  # what the page shows without scrolling sideways
RATE_HZ = 60.0


def main_of(name: str) -> Callable[..., Any]:
    """The `main` of an example."""
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, Truth]:
    """Four seconds of a face with one micro-expression, uint8 (T, H, W, 3), and its truth."""
    pytest.importorskip("skimage")
    pytest.importorskip("mediapipe")
    plan = plan_clip(3, seconds=4, events=1, nuisances=[], strata=["easy"], rate_hz=RATE_HZ)
    return np.array(list(render(plan, load_identity()))), truth_of(plan)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_on_a_screen(path: Path) -> None:
    """And is one of those that run below."""
    lines = path.read_text().splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= WIDEST
    assert f'"{path.name}"' in Path(__file__).read_text()


@contextlib.contextmanager
def sockets_of(journal: Journal) -> Iterator[EventPublisher]:
    """The event end of a worker, its journal socket at the next port, as a subscriber expects it."""
    for _ in range(20):
        with (
            EventPublisher("tcp://127.0.0.1:0", journal=journal.name, heads=journal.heads()) as publisher,
            contextlib.suppress(AddressInUse),
            ReplaySocket(journal.path, journal_of(publisher.endpoint)),
        ):
            yield publisher
            return
    raise AssertionError("no two ports beside each other are free")


def test_subscribe_and_react(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Against real sockets: what stands in the journal already, and what happens while it listens."""
    final = micro_event((60, 66, 75), "surprise", 30.0, camera="cam0", confidence=0.81)
    first = msgspec.structs.replace(final, phase="provisional", kind=None, label=None, offset=None, confidence=None)
    other = msgspec.structs.replace(first, event_id="other", camera="cam1")
    nothing = msgspec.structs.replace(other, phase="retracted", reason="nod")
    with Journal(tmp_path / "journal.sqlite") as journal, sockets_of(journal) as publisher:
        ledger = EventLedger(journal, publisher)
        ledger.record(first)
        listener = threading.Thread(target=main_of("subscribe_and_react.py"), args=(publisher.endpoint, 4), daemon=True)
        listener.start()
        coming, said = [other, final, nothing], ""
        while listener.is_alive():
            publisher.poll()
            listener.join(0.01)
            said += capfd.readouterr().out
            if coming and said:  # it listens
                ledger.record(coming.pop(0))
        said += capfd.readouterr().out
    assert sorted(said.splitlines()[:-1]) == [
        "cam0, 2.200 s: something moves ...",
        "cam0, 2.200 s: surprise, confidence 0.81",
        "cam1, 2.200 s: no, that was nothing (nod)",
        "cam1, 2.200 s: something moves ...",
    ]
    assert said.splitlines()[-1].endswith("since = {'cam0': 2, 'cam1': 2}")


def test_predict_three_images(
    clip: tuple[np.ndarray, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three frames of a movement whose label is known get that label, and its size is told."""
    frames, truth = clip
    (event,) = truth.events
    paths = [str(tmp_path / f"{number}.png") for number in (event.onset, event.apex, event.offset)]
    for path, number in zip(paths, (event.onset, event.apex, event.offset), strict=True):
        cv2.imwrite(path, cv2.cvtColor(frames[number], cv2.COLOR_RGB2BGR))
    probabilities = main_of("predict_three_images.py")(paths)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert max(probabilities, key=probabilities.__getitem__) == event.label
    said = capsys.readouterr().out
    assert said.splitlines()[1].startswith(f"{event.label} ")
    flow_px = float(said.split("largest flow: ")[1].split()[0])
    assert event.amplitude_px < flow_px < 3 * event.amplitude_px  # both directions see it


def test_spot_numpy_video(clip: tuple[np.ndarray, Truth], capsys: pytest.CaptureFixture[str]) -> None:
    """The one micro-expression is found where it is, and nothing else."""
    frames, truth = clip
    (event,) = truth.events
    found = main_of("spot_numpy_video.py")(frames, RATE_HZ)
    assert [(one.label, one.seq) for one in found] == [(event.label, 2)]
    (one,) = found
    for said, true in ((one.onset, event.onset), (one.apex, event.apex), (one.offset, event.offset)):
        assert abs(said.frame - true) <= 2
        assert said.t_ns == round(said.frame * 1e9 / RATE_HZ)
    said = capsys.readouterr().out
    assert f"frames {one.onset.frame} {one.apex.frame} {one.offset.frame}\n  {event.label}, confidence" in said


def test_use_the_spotter_alone(clip: tuple[np.ndarray, Truth], capsys: pytest.CaptureFixture[str]) -> None:
    """The same movement, as candidates: provisional first, then final."""
    frames, truth = clip
    (event,) = truth.events
    candidates = main_of("use_the_spotter_alone.py")(frames, RATE_HZ)
    assert [candidate.phase for candidate in candidates] == ["provisional", "final"]
    assert abs(candidates[-1].apex.frame - event.apex) <= 2
    assert f"{len(frames)} frames, strongest signal" in capsys.readouterr().out


def test_train_on_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six clips of two people in three pictures each: weights come out that name the classes and the people."""
    rng = np.random.default_rng(0)
    rows = ["dataset,subject,clip,label,onset_path,apex_path,offset_path,cropped"]
    for number in range(6):
        label = ("negative", "positive", "surprise")[number % 3]
        face = cv2.GaussianBlur(rng.integers(0, 256, (240, 240), np.uint8), (0, 0), 3)
        names = [f"{number}-{what}.png" for what in ("onset", "apex", "offset")]
        for name, shift in zip(names, (0, 1 + number % 3, 0), strict=True):
            cv2.imwrite(str(tmp_path / name), np.roll(face, shift, axis=number % 2))
        rows.append(f"mine,{'anna' if number < 3 else 'ben'},{number},{label},{','.join(names)},yes")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    predictor = main_of("train_on_manifest.py")(tmp_path / "manifest.csv", tmp_path / "mine.safetensors", epochs=1)
    assert predictor.labels == ("negative", "positive", "surprise")
    assert predictor.trained_on == ("mine/anna", "mine/ben")
    assert "bowam-nano knows negative positive surprise\nand has seen mine/anna mine/ben" in capsys.readouterr().out
    assert (tmp_path / "MODEL_CARD.md").read_text().startswith("# bowam-nano, trained on mine")
