"""What others build on: its names and signatures are written down, and a strict type checker sees through them."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bowam_model
import bowam_stream
from docs.generate.interface import FILE, interface

ROOT = Path(__file__).parents[2]
LOOSE = (  # the only places where a type is left open, and why
    "statuses: dict[str, dict[str, Any]]  # read only",  # JSON of a status, whose keys may grow
    "bowam_model.create_model(name: str, num_classes: int = 3, **options: Any) -> Network",  # checked when it is called
    "options: dict[str, Any]  # read only",  # the same, to be given back
)
CONSUMER = """\
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, assert_type

import numpy as np
import torch

from bowam_model import (
    AlignedFace, BackendError, DatasetError, Encoding, FaceAligner, FaceSettings, ImageError, MissingDependency,
    ModelError, Network, OptionError, Predictor, WeightsError, align_still, bidirectional_flow, create_model, load,
    train_on_manifest,
)
from bowam_model import nonsense  # type: ignore[attr-defined]
from bowam_stream import (
    AlignedFrame, AsyncSubscription, Candidate, ConfigError, Delivery, EndOfStream, Event, Face, FaceQuality, Hello,
    Model, Moment, Spotter, SpottingSettings, StreamError, Subscription, TraceRow, TransportError, Triple, __version__,
    align, spot, subscribe, subscribe_async,
)
from bowam_stream import nonsense as more  # type: ignore[attr-defined]

Array = np.ndarray[Any, Any]


def listen(since: Mapping[str, int | Event]) -> None:
    with subscribe("tcp://127.0.0.1:5556", since=since, cameras=["cam0"], keys=Path("keys")) as events:
        assert_type(events, Subscription)
        assert_type(events.receive(1.0), Event | None)
        assert_type(events.cursor, dict[str, int])
        for event in events:
            assert_type(event, Event)
            assert_type(event.phase, Literal["provisional", "final", "retracted"])
            assert_type(event.kind, Literal["micro", "macro", "blink"] | None)
            assert_type(event.offset, Moment | None)
            assert_type(event.onset.t_ns, int)
            assert_type(event.probabilities, dict[str, float] | None)
            assert_type(event.model, Model | None)
            assert_type(event.delivery, Delivery | None)


async def listen_on() -> None:
    async with await subscribe_async(since=0) as events:
        assert_type(events, AsyncSubscription)
        async for event in events:
            assert_type(event, Event)
        assert_type(await events.receive(), Event | None)


def spot_alone(frames: list[Array]) -> None:
    hello = Hello(camera="c", session="s", source="x", rate_hz=100)
    spotter = Spotter(SpottingSettings(threshold=4.0), hello)
    aligned = align(frames, 100, faces=FaceSettings(max_faces=2))
    assert_type(aligned, Iterator[AlignedFrame])
    for frame in aligned:
        assert_type(frame.faces, tuple[Face, ...])
        assert_type(frame.faces[0].quality, FaceQuality)
        assert_type(frame.faces[0].crop, Array)
        assert_type(spotter.push(frame), list[Candidate])
        assert_type(spotter.trace, tuple[TraceRow, ...])
    for candidate in spotter.finish(EndOfStream(camera="c", session="s", seq=1, frames=1)):
        assert_type(candidate.triple, Triple | None)
    assert_type(spot(frames, 100.0, predictor=load(), spotting=SpottingSettings()), Iterator[Event])
    assert_type(__version__, str)


def look(picture: Array) -> None:
    face = align_still(picture)
    assert_type(face, AlignedFace | None)
    with FaceAligner(FaceSettings()) as aligner:
        assert_type(aligner.align(picture, 0), tuple[AlignedFace, ...])
    flow = bidirectional_flow(picture, picture, picture, "add")
    assert_type(flow, Array)
    predictor = load(Path("weights.safetensors"), backend="auto")
    assert_type(predictor, Predictor)
    assert_type(predictor.predict(picture, picture, picture), dict[str, float])
    assert_type(predictor.labels, tuple[str, ...])
    assert_type(predictor.encoding, Encoding)
    network = create_model("bowam-nano", num_classes=3, wavelet="db4")
    assert_type(network, Network)
    assert_type(network.features(torch.zeros(1, 3, 64, 64)), torch.Tensor)
    assert_type(train_on_manifest("m.csv", Path("w.safetensors"), epochs=1), Predictor)


def mend(error: StreamError | ModelError) -> str:
    match error:
        case ConfigError() | TransportError() | OptionError() | WeightsError():
            return str(error)
        case BackendError() | DatasetError() | ImageError() | MissingDependency():
            return repr(error)
    raise error
"""


@pytest.mark.parametrize("package", [bowam_stream, bowam_model])
def test_every_public_name_is_there_and_says_what_it_is(package) -> None:
    """Each has a docstring of its own, and so has each of its methods."""
    for name in package.__all__:
        value = getattr(package, name)
        if name.startswith("__"):
            continue
        assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__, name
        members = vars(value).items() if inspect.isclass(value) else ()
        bare = [key for key, one in members if callable(one) and not key.startswith("_") and not one.__doc__]
        assert bare in ([], ["forward"]), name  # PyTorch's own name, whose axes the signature tells
    assert set(package.__all__) <= set(dir(package))


def test_the_interface_is_the_one_that_is_written_down() -> None:
    """A change of a public name or signature is seen here, and needs a line in the changelog.

    docs/reference/stability.md says what may change. `python -m docs.generate.interface` writes the file anew.
    """
    assert interface() == FILE.read_text()


def test_no_type_is_left_open() -> None:
    """Where a signature says Any, it is one of those that we know of."""
    open_ones = {line.strip() for line in interface().splitlines() if re.search(r"\b(Any|object)\b", line)}
    assert open_ones == set(LOOSE)


def test_a_strict_type_checker_sees_all_of_it(tmp_path: Path) -> None:
    """mypy --strict on a program that uses every public name, and on the examples of the documentation.

    Each type is what it should be, and a name that there is not is refused.
    """
    file = tmp_path / "consumer.py"
    file.write_text(CONSUMER)
    for package in (bowam_stream, bowam_model):
        assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", CONSUMER)] == []
        assert (Path(package.__path__[0]) / "py.typed").is_file()
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = True\ndisallow_any_generics = False\n"  # an np.ndarray as it stands
        # Ours are read as installed packages are: their own errors are not the consumer's.
        "[mypy-bowam_stream.*,bowam_model.*]\nfollow_imports = silent\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", ROOT / ".mypy_cache/consumer"]
    ended = subprocess.run(
        [*command, file, *sorted((ROOT / "docs" / "examples").glob("*.py"))],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
