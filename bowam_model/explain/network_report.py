"""Pictures of a network's inside: Grad-CAM (the paper's Figure 9), bands (Figure 5), feature maps (Figure 6)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bowam_model.errors import ImageError
from bowam_model.explain.canvas import (
    FAINT,
    Panel,
    bar,
    bars,
    coloured,
    compose,
    flow_colours,
    letters,
    overlay,
    paste,
    wheel,
    write_bytes,
    write_png,
)
from bowam_model.explain.network import Bands, Inside, look_inside
from bowam_model.flow import Fusion, bidirectional_flow, centre_crop, network_input
from bowam_model.predictor import Predictor

HEAT = cv2.COLORMAP_INFERNO
STRONGEST = 7  # feature maps shown of each stage


def read_triple(paths: Sequence[Path], side_px: int) -> tuple[np.ndarray, str]:
    """Onset, apex and offset from files: aligned grey faces as they are, photos through `face.align_still`.

    Args:
        side_px: of an aligned face.
    Returns:
        uint8 (3, side_px, side_px), and words for the picture's heading.
    Raises:
        ImageError: a file is no picture, or shows no face.
        MissingDependency: a photo needs mediapipe, which is not installed.
    """
    return np.stack([_read_face(path, side_px) for path in paths]), paths[1].name


def demo_triple() -> tuple[np.ndarray, str]:
    """A synthetic smile of 2.6 px of the built-in portrait, as a webcam might see it."""
    from bowam_model.explain.claim import CONDITIONS, Case, Scenes
    from bowam_model.synthesis.fields import Action
    from bowam_model.synthesis.identity import load_identity
    from bowam_model.synthesis.plan import Movement, course

    times = course(visible_ms=300.0, apex_share=0.4)
    smile = Movement(
        kind="micro", start_ms=1000.0, **times, amplitude_px=2.6, actions=(Action(6), Action(12)), label="positive"
    )
    scenes = Scenes(load_identity())
    mild = next(condition for condition in CONDITIONS if condition.name == "compression")
    case = Case(person="astronaut", movement=smile, seed=1, mask=scenes.mask)
    return scenes.view(case, mild).triple, "demo, truth: positive (AU6 + AU12, 2.6 px)"


def write_network(out: Path, predictor: Predictor, triple: np.ndarray, words: str) -> list[Path]:
    """All pictures and explain.json into `out`; returns what was written.

    Args:
        triple: uint8 (3, 240, 240): onset, apex, offset.
        words: what is shown, for the headings.
    """
    picture_CHW = network_input(triple[0], triple[1], triple[2], predictor.encoding)
    inside = look_inside(predictor.network, picture_CHW)
    pages = {
        "gradcam.png": cam_page(predictor, triple, inside, words),
        "stages.png": stages_page(predictor, inside, words),
    }
    if inside.bands:
        pages["bands.png"] = bands_page(predictor, inside, words)
    if any(bands.channel_weights is not None for bands in inside.bands):
        pages["attention.png"] = attention_page(predictor, inside, words)
    for name, page in pages.items():
        write_png(out / name, page)
    path = out / "explain.json"
    write_bytes(path, (json.dumps(numbers(predictor, inside, words), indent=1) + "\n").encode())
    return [*(out / name for name in pages), path]


def cam_page(predictor: Predictor, triple: np.ndarray, inside: Inside, words: str) -> np.ndarray:
    """Six columns (onset, apex, offset, flow, Grad-CAM, overlay), then each class at each stage."""
    encoding = predictor.encoding
    side = round(encoding.input_px * encoding.aligned_px / encoding.side)  # of what the network sees, in face pixels
    faces = [centre_crop(face, side) for face in triple]
    full_px = encoding.scale_px / 2
    fusion: Fusion = "traditional" if encoding.fusion == "traditional" else "add"
    flow = bidirectional_flow(triple[0], triple[1], triple[2], fusion)
    flow = centre_crop(flow.transpose(2, 0, 1), side).transpose(1, 2, 0)
    last, said = len(inside.stages) - 1, int(inside.logits.argmax())
    label = predictor.labels[said]

    def heat(stage: int, index: int) -> np.ndarray:
        cam = inside.cam(stage, index)
        fine = cv2.resize(cam, (side, side), interpolation=cv2.INTER_CUBIC)
        return np.clip(fine / max(float(cam.max()), 1e-12), 0, 1)

    first = [Panel(face, name) for face, name in zip(faces, ("onset", "apex", "offset"), strict=True)]
    hot = heat(last, said)
    first += [
        Panel(flow_colours(flow, full_px), "bidirectional flow" if fusion == "add" else "traditional flow"),
        Panel(coloured(hot, 0, 1, HEAT), f"Grad-CAM: {label}"),
        Panel(overlay(faces[1], hot, coloured(hot, 0, 1, HEAT)), f"{label} {inside.probabilities[said]:.2f}"),
    ]
    rows: list[list[Panel | None]] = [[*first]]
    for stage in range(len(inside.stages)):
        row: list[Panel | None] = []
        for index, name in enumerate(predictor.labels):
            hot, peak = heat(stage, index), float(inside.cam(stage, index).max())
            title = f"{name}, p = {inside.probabilities[index]:.3f}" if stage == 0 else ""
            picture = overlay(faces[1], hot, coloured(hot, 0, 1, HEAT))
            row.append(Panel(picture, title, f"peak {peak:.3g}" if peak else "nothing"))
        rows.append(row)
    sizes = [f"stage {i + 1}|{maps.shape[2]} x {maps.shape[1]}" for i, maps in enumerate(inside.stages)]
    return compose(
        rows,
        heading=f"Grad-CAM of {predictor.name}: {words}",
        names=[f"said: {label}", *sizes],
        keys=[
            bar("0", "peak of the panel", HEAT),
            wheel(76, full_px),
            letters(f"flow: full colour {full_px:.1f} px", 10),
        ],
        notes=(
            "Upper row: the last stage, for the class that was said. Below: classes (columns) at each stage (rows).",
            "Each map is scaled by its own peak, which is given below it.",
            "Bidirectional flow points home: skin that rose at the apex moves down in it, and counts twice.",
        ),
    )


def bands_page(predictor: Predictor, inside: Inside, words: str) -> np.ndarray:
    """Figure 5: the first WADM of each stage, its input, bands before and after attention, what they merge to."""
    rows: list[list[Panel | None]] = []
    chosen = first_of_each_stage(inside.bands)
    for bands in chosen:
        befores, afters = ([_contrast(low), *map(_strength, high)] for low, *high in (bands.before, bands.after))
        wholes = _contrast(bands.taken), _contrast(bands.merged)
        low_top = float(max(befores[0].max(), afters[0].max()))
        high_top = float(max(x.max() for x in (*befores[1:], *afters[1:])))
        tops = [low_top] + [high_top] * (len(befores) - 1)
        whole_top = float(max(whole.max() for whole in wholes))
        for when, maps, whole in (("before", befores, wholes[0]), ("after", afters, wholes[1])):
            row: list[Panel | None] = [_map(whole, whole_top, "input" if when == "before" else "merged")]
            row += [_map(m, top, name) for m, top, name in zip(maps, tops, bands.names, strict=True)]
            if when == "after" and bands.place_weights is not None:
                weights = bands.place_weights
                caption = f"{weights.min():.2f} to {weights.max():.2f}"
                row.append(Panel(coloured(weights, 0, 1, HEAT), "spatial weight", caption))
            rows.append(row)
    names = [f"{bands.module}|{when} attention" for bands in chosen for when in ("before", "after")]
    return compose(
        rows,
        heading=f"Wavelet bands of {predictor.name}: {words}",
        names=names,
        keys=[bar("0", "peak"), bar("0", "1 (spatial weight)", HEAT)],
        notes=(
            "Root mean square over channels; in input, low band and merged of the difference from each channel's mean.",
            "Within a WADM low bands share one scale, high bands another, input and merged a third; the number below "
            "is the panel's own peak.",
        ),
        panel_px=190,
        smooth=False,
    )


def attention_page(predictor: Predictor, inside: Inside, words: str) -> np.ndarray:
    """Figure 5's channel attention: the weight of each channel in each high band, for the first WADM of each stage."""
    left, width = 248, 900
    strips = []
    for bands in first_of_each_stage(inside.bands):
        if bands.channel_weights is None:
            continue
        names = [
            f"{name}: mean {w.mean():.3f}, {w.min():.3f} to {w.max():.3f}"
            for name, w in zip(bands.names[1:], bands.channel_weights, strict=True)
        ]
        strips.append((f"{bands.module}, {len(bands.taken)} channels", bars(bands.channel_weights, width, names)))
    page = np.full((150 + sum(strip.shape[0] + 34 for _, strip in strips), left + width + 28, 3), 255, np.uint8)
    paste(page, letters(f"Channel attention of {predictor.name}: {words}", 15, bold=True), 28, 28)
    y = 76
    for words_, strip in strips:
        for line, part in enumerate(words_.split(", ")):
            paste(page, letters(part, 11, bold=line == 0), 28, y + strip.shape[0] // 2 - 20 + 20 * line)
        paste(page, strip, left, y)
        y += strip.shape[0] + 34
    paste(page, bar("weight 0", "1"), left, y)
    note = "A column for each channel; the line marks a weight of 0.5, that of an attention that does not care."
    paste(page, letters(note, 9.5, FAINT), 28, y + 32)
    return page


def stages_page(predictor: Predictor, inside: Inside, words: str) -> np.ndarray:
    """Figure 6: each stage's feature maps, the mean strength and the channels that vary most over the picture."""
    rows: list[list[Panel | None]] = []
    names = []
    for index, maps in enumerate(inside.stages):
        strongest = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:STRONGEST]
        contrast = _contrast(maps)
        row: list[Panel | None] = [_map(contrast, float(contrast.max()), "all channels")]
        for channel in strongest:
            low, high = float(maps[channel].min()), float(maps[channel].max())
            row.append(Panel(coloured(maps[channel], low, high), f"channel {channel}", f"{low:.1f} to {high:.1f}"))
        rows.append(row)
        names.append(f"stage {index + 1}|{maps.shape[0]} channels|{maps.shape[2]} x {maps.shape[1]}")
    return compose(
        rows,
        heading=f"Feature maps of {predictor.name}: {words}",
        names=names,
        keys=[bar("0, or lowest of the channel", "highest")],
        notes=(
            "First column: root mean square over channels of the difference from each channel's mean. Others: the "
            "channels that vary most over the picture.",
        ),
        panel_px=170,
        smooth=False,
    )


def numbers(predictor: Predictor, inside: Inside, words: str) -> dict[str, Any]:
    """What explain.json holds: every figure that a picture only hints at."""

    def stage(index: int) -> dict[str, Any]:
        maps = inside.stages[index]
        cams = {label: inside.cam(index, i) for i, label in enumerate(predictor.labels)}
        return {
            "stage": index + 1,
            "shape_CHW": list(maps.shape),
            "rms": _number(np.sqrt((maps**2).mean())),
            "grad_cam": {label: [[_number(x) for x in row] for row in cam] for label, cam in cams.items()},
        }

    return {
        "schema": "bowam.explain/1",
        "what": words,
        "model": {"name": predictor.name, "weights": predictor.weights},
        "probabilities": dict(zip(predictor.labels, map(_number, inside.probabilities), strict=True)),
        "logits": dict(zip(predictor.labels, map(_number, inside.logits), strict=True)),
        "stages": [stage(index) for index in range(len(inside.stages))],
        "bands": [_band_numbers(bands) for bands in inside.bands],
    }


def first_of_each_stage(bands: Sequence[Bands]) -> list[Bands]:
    """The WADM that sees what the stage before gives, undisturbed."""
    first: dict[int, Bands] = {}
    for one in bands:
        first.setdefault(one.stage, one)
    return list(first.values())


def _band_numbers(bands: Bands) -> dict[str, Any]:
    energies = [(float((b**2).sum()), float((a**2).sum())) for b, a in zip(bands.before, bands.after, strict=True)]
    total = max(sum(before for before, _ in energies), 1e-12)
    weights = bands.channel_weights
    return {
        "module": bands.module,
        "energy_share_before": {name: _number(b / total) for name, (b, _) in zip(bands.names, energies, strict=True)},
        "energy_kept": {name: _number(a / max(b, 1e-12)) for name, (b, a) in zip(bands.names, energies, strict=True)},
        "spatial_weights": None if bands.place_weights is None else _range(bands.place_weights),
        "channel_weights": None
        if weights is None
        else {name: _range(w) for name, w in zip(bands.names[1:], weights, strict=True)},
    }


def _range(values: np.ndarray) -> dict[str, float]:
    return {"mean": _number(values.mean()), "min": _number(values.min()), "max": _number(values.max())}


def _number(value: Any) -> float:
    return float(f"{float(value):.5g}")


def _strength(maps_CHW: np.ndarray) -> np.ndarray:
    """Root mean square over channels."""
    return np.sqrt((maps_CHW**2).mean(axis=0))


def _contrast(maps_CHW: np.ndarray) -> np.ndarray:
    """The same of what sets a place apart: after a layer norm every place is equally strong."""
    return _strength(maps_CHW - maps_CHW.mean(axis=(1, 2), keepdims=True))


def _map(values: np.ndarray, top: float, title: str) -> Panel:
    return Panel(coloured(values, 0.0, top), title, f"{values.max():.3g}")


def _read_face(path: Path, side_px: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"can't read {path}: {error.strerror}") from error
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        raise ImageError(f"{path} is not a picture that can be decoded: give a JPEG or PNG")
    grey = picture[..., 0]
    if picture.shape[:2] == (side_px, side_px) and all(np.array_equal(grey, picture[..., i]) for i in (1, 2)):
        return np.ascontiguousarray(grey)
    from bowam_model.face import align_still

    face = align_still(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if face is None:
        raise ImageError(
            f"no face found in {path}: give a frontal photo, or an aligned grey face of {side_px} px a side"
        )
    return face.crop
