"""Weights files, and the class that turns three faces into probabilities. Knows nothing of training.

    predictor = load("weights.safetensors")
    predictor.predict(onset, apex, offset)          # {"negative": 0.81, "none": 0.04, ...}

A weights file is safetensors; its metadata say everything that is needed to use it: architecture, options, labels,
every field of flow.Encoding, a temperature, and a card for people. A file that says anything else is refused.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from bowam_model.backends import NAMES, Backends, Task
from bowam_model.errors import ImageError, OptionError, WeightsError
from bowam_model.flow import Colours, Encoding, Fusion, faces
from bowam_model.network import Network, create_model

SCHEMA = "bowam.weights/1"
LARGEST_PX = 4096  # side of a face: a file that asks for more is not believed
LONGEST_WORD = 256  # of a label or of a person's name
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how PyTorch's own files begin
SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "bowam-nano.safetensors"


class Predictor:
    """A network with its weights, ready to be asked.

    Reproducible: on a processor, pictures are computed one by one, with a fixed number of threads, so that an answer
    depends on its three pictures alone, not on what shares its batch. Flows are computed on all cores, which does not
    change them. A GPU computes a batch at once, and last bits may differ: `predict` alone asks for one answer.

    Attributes:
        name: architecture, such as "bowam-nano".
        labels: the classes, in the order of the outputs.
        weights: "sha256:<hex>" of the file.
        encoding: what the network sees of a flow.
        temperature: the outputs are divided by it before the softmax; it makes the probabilities honest.
        trained_on: people that the network has seen, "dataset/subject"; empty if the file does not say.
        card: what the file says about itself, Markdown.
        network: in evaluation mode.
        task: what the backends compute.
    Raises:
        OptionError: the backend is unknown.
        BackendError: the backend can't run here.
    """

    def __init__(
        self,
        network: Network,
        *,
        labels: Sequence[str],
        encoding: Encoding,
        card: str,
        weights: str,
        backend: str = "eager",
        threads: int = 1,
        temperature: float = 1.0,
        trained_on: Sequence[str] = (),
    ) -> None:
        self.name = network.name
        self.labels = tuple(labels)
        self.weights = weights
        self.encoding = encoding
        self.temperature = temperature
        self.trained_on = tuple(trained_on)
        self.card = card
        self.network = network.eval().requires_grad_(False)
        self.task = Task(
            network=self.network, encoding=encoding, temperature=temperature, threads=threads, weights=weights
        )
        self._backends = Backends(backend, self.task)

    @property
    def backend(self) -> str:
        """What computes the network."""
        return self._backends.name

    @property
    def why(self) -> str:
        """The backend and why no better one, one line."""
        return self._backends.why

    @property
    def refused(self) -> Sequence[tuple[str, str]]:
        """The backends that were passed over or failed, and why."""
        return tuple(self._backends.refused)

    def fall_back(self, reason: str) -> None:
        """Give up the backend for `reason`; the next best computes from now on, warmed up.

        Raises:
            BackendError: none is left.
        """
        self._backends.step_down(reason)
        self.warm_up()

    @property
    def wanted(self) -> Sequence[str]:
        """Better backends that this machine could run if `bowam export --format NAME` had made their engine."""
        return self._backends.wanted

    def step_up(self, backend: str) -> None:
        """Compute with this one from now on, warmed up, if it works: it is in `wanted`, and its engine is made.

        Raises:
            BackendError: it does not work; the one in use stays.
        """
        self._backends.step_up(backend)
        self.warm_up()

    def warm_up(self) -> None:
        """One answer about nothing, so that the first real one is not slower than the others."""
        side = self.encoding.aligned_px
        self.predict_batch(np.zeros((1, 3, side, side), np.uint8))

    def predict(self, onset: np.ndarray, apex: np.ndarray, offset: np.ndarray) -> dict[str, float]:
        """Probabilities by label.

        Args:
            onset, apex, offset: uint8 (240, 240), grey, in one common alignment.
        Raises:
            ImageError: a picture is not what it should be.
        """
        return self.predict_together([(onset, apex, offset)])[0]

    def predict_together(self, triples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
        """`predict` for several that wait at the same time: their flows are computed in parallel.

        Raises:
            ImageError: a picture is not what it should be.
        """
        ready = [faces(*triple, self.encoding) for triple in triples]
        if not ready:
            return []
        answers = self._backends.compute(np.array(ready)).tolist()
        return [dict(zip(self.labels, answer, strict=True)) for answer in answers]

    def predict_batch(self, triples: np.ndarray) -> np.ndarray:
        """The same for many, one by one.

        Args:
            triples: uint8 (B, 3, 240, 240): onset, apex, offset.
        Returns:
            float32 (B, K), in the order of `labels`.
        Raises:
            ImageError: the array is not what it should be.
        """
        if np.ndim(triples) != 4 or triples.shape[1] != 3:
            raise ImageError(f"triples have shape {np.shape(triples)}: pass (B, 3, 240, 240), onset, apex, offset")
        answers = [list(self.predict(*triple).values()) for triple in triples]
        return np.asarray(answers, np.float32).reshape(len(triples), len(self.labels))


def save(
    path: str | Path,
    network: Network,
    *,
    labels: Sequence[str],
    encoding: Encoding,
    card: str,
    temperature: float = 1.0,
    trained_on: Sequence[str] = (),
) -> None:
    """Write a weights file, whole or not at all.

    Args:
        labels: the classes in the order of the outputs.
        encoding: what the network was trained to see.
        card: what people should know: data, figures, limits. Markdown.
        temperature: of the softmax, fitted on people that were not trained on (`evaluation.fit_temperature`).
        trained_on: "dataset/subject" of everybody that the network has seen.
    Raises:
        WeightsError: labels or encoding do not fit the network, or the file can't be written.
    """
    _check_fit(network, labels, encoding)
    metadata = {
        "schema": SCHEMA,
        "architecture": network.name,
        "options": json.dumps(network.options, sort_keys=True),
        "labels": json.dumps(list(labels)),
        **{key: str(value) for key, value in asdict(encoding).items()},
        "temperature": str(temperature),
        "trained_on": json.dumps(sorted(trained_on)),
        "card": card,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(_with_metadata(safetensors.torch.save(tensors), metadata))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f"can't write {path}: {error}") from error


def load(path: str | Path | None = None, *, backend: str = "eager", threads: int = 1) -> Predictor:
    """Read a weights file.

    Args:
        path: None takes the shipped weights.
        backend: what computes the network (`backends.NAMES`): "eager" is PyTorch as it is, "auto" the fastest here.
        threads: of the network while it answers.
    Raises:
        WeightsError: the file is missing, damaged, or does not fit the network that it names.
        OptionError: the backend is unknown, or threads is not positive.
        BackendError: the backend that was named can't run here.
    """
    if backend not in NAMES:
        raise OptionError(f"unknown backend {backend!r}: use one of {', '.join(NAMES)}")
    if threads < 1:
        raise OptionError(f"threads is {threads}: it must be at least 1")
    path = SHIPPED_WEIGHTS if path is None else Path(path)
    metadata, tensors, digest = _read(path)
    try:
        labels = _words("labels", metadata["labels"])
        trained_on = _words("trained_on", metadata.get("trained_on", "[]"))
        centre, side_px = metadata.get("centre", "False"), metadata.get("side_px", "None")  # not in the oldest files
        if centre not in ("True", "False"):
            raise ValueError(f"centre is {centre!r}")
        encoding = Encoding(
            fusion=cast(Fusion, metadata["fusion"]),
            colours=cast(Colours, metadata["colours"]),
            scale_px=float(metadata["scale_px"]),
            input_px=int(metadata["input_px"]),
            aligned_px=int(metadata["aligned_px"]),
            centre=centre == "True",
            side_px=None if side_px == "None" else int(side_px),
        )
        options = json.loads(metadata["options"])
        _check_tensors(path, _outline(metadata["architecture"], len(labels), options, tensors), tensors)
        network = create_model(metadata["architecture"], len(labels), **options)
        temperature = float(metadata.get("temperature", 1.0))
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature is {temperature}")
        if encoding.aligned_px > LARGEST_PX:
            raise ValueError(f"aligned_px is {encoding.aligned_px}, at most {LARGEST_PX} makes sense")
        card = metadata["card"]
    except KeyError as error:
        raise WeightsError(f"{path} lacks {error} in its metadata: was it written by bowam_model?") from error
    except OptionError as error:
        raise WeightsError(f"{path} asks for something that this version does not know: {error}") from error
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:  # what PyTorch says of impossible sizes
        raise WeightsError(f"{path} has damaged metadata: {error}") from error
    network.load_state_dict(tensors)
    _check_fit(network, labels, encoding)
    return Predictor(
        network,
        labels=labels,
        encoding=encoding,
        card=card,
        weights=f"sha256:{digest}",
        backend=backend,
        threads=threads,
        temperature=temperature,
        trained_on=trained_on,
    )


def _words(name: str, text: str) -> list[str]:
    words = json.loads(text)
    if not isinstance(words, list) or not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError(f"{name} are no list of words")
    if any(len(word) > LONGEST_WORD for word in words):
        raise ValueError(f"{name} are longer than {LONGEST_WORD} characters")
    return words


def _outline(name: str, classes: int, options: Any, tensors: dict[str, Any]) -> Network:
    """The network without memory for its weights: a file can claim any size, and only one that it fills is built."""
    if not isinstance(options, dict):
        raise ValueError("options are no object")
    counts = [n for key in ("depths", "dims", "strides") for n in options.get(key, ()) if isinstance(n, int)]
    if sum(n for n in options.get("depths", ()) if isinstance(n, int)) > len(tensors) or len(counts) > len(tensors):
        raise ValueError(f"its options ask for more blocks than its {len(tensors)} tensors can fill")
    if any(not isinstance(n, int) or n > LARGEST_PX for n in options.get("strides", ())):
        raise ValueError(f"strides {options['strides']} are no whole numbers up to {LARGEST_PX}")
    with torch.device("meta"):
        return create_model(name, classes, **options)


def _with_metadata(file: bytes, metadata: dict[str, str]) -> bytes:
    """Put metadata into a safetensors file. Its own writer shuffles them, and equal weights would differ in digest."""
    length = int.from_bytes(file[:8], "little")
    header = json.dumps({"__metadata__": metadata} | json.loads(file[8 : 8 + length])).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + file[8 + length :]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Any], str]:
    """Metadata, tensors by name and the file's SHA-256."""
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"can't read weights from {path}: it is no file; pass the path of a .safetensors one")
        with path.open("rb") as file:
            if file.read(4).startswith(PICKLES):
                raise WeightsError(
                    f"{path} is a PyTorch or pickle file, which can run code when opened: convert it to safetensors"
                )
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise WeightsError(f"no weights at {path}: pass the path of a .safetensors file") from error
    except OSError as error:
        raise WeightsError(f"can't read weights from {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is no safetensors file, or is damaged: {error}") from error
    if metadata.get("schema") != SCHEMA:
        raise WeightsError(f"{path} has schema {metadata.get('schema')!r} in its metadata, not {SCHEMA!r}")
    return metadata, tensors, digest


def _check_fit(network: Network, labels: Sequence[str], encoding: Encoding) -> None:
    settings = network.settings
    if len(labels) != settings.num_classes or len(set(labels)) != len(labels):
        raise WeightsError(f"labels {', '.join(labels)} do not fit a network with {settings.num_classes} classes")
    if encoding.channels != settings.in_channels:
        raise WeightsError(
            f"fusion {encoding.fusion!r} makes {encoding.channels} channels, the network takes {settings.in_channels}"
        )


def _check_tensors(path: Path, network: Network, tensors: dict[str, Any]) -> None:
    state = network.state_dict()
    expected = {key: tuple(value.shape) for key, value in state.items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise WeightsError(
                f"{path} does not fit {network.name}: {key} is {found.get(key, 'missing')}, "
                f"the network has {expected.get(key, 'no such weight')}"
            )
        if tensors[key].dtype != state[key].dtype:
            raise WeightsError(
                f"{path} does not fit {network.name}: {key} is {tensors[key].dtype}, the network has {state[key].dtype}"
            )
        if not tensors[key].isfinite().all():
            raise WeightsError(f"{path} is damaged: {key} holds values that are not finite; train or copy it again")
