"""What the field does, on the same aligned crops: two offline methods that see the whole clip before they speak.

Neither is causal: their thresholds come from the whole video. Both run at 30 frames per second, as published.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bowam_model.flow import farneback

RATE_HZ = 30.0
HALF_MS = 150.0  # half of a micro-expression: how far before and after a frame is looked
SLOWEST_MS = 600.0  # a longer interval is no micro-expression
ROI_PX = 24
# Points of Face Mesh in the middle of the 14 regions of OF-FD: brows, nose wings, mouth corners, lips, chin.
ROIS = (105, 107, 66, 336, 296, 334, 129, 358, 61, 291, 0, 17, 199, 152)
NOSE = 4


@dataclass(frozen=True)
class Span:
    """Frames of the clip, inclusive."""

    onset: int
    apex: int
    offset: int


@dataclass(frozen=True, eq=False)
class Crops:
    """A clip at 30 frames per second."""

    frames: np.ndarray  # int (N,) numbers in the clip
    crops: np.ndarray  # uint8 (N, 240, 240)
    landmarks: np.ndarray  # float32 (N, 468, 2)
    times_ms: np.ndarray  # (N,)


def frame_difference(clip: Crops, share: float = 0.35) -> list[Span]:
    """Contrast of every frame against the mean of the frames half a micro-expression before and after.

    Moilanen et al. 2014 with grey levels in 6x6 blocks instead of LBP histograms: the mean of the largest third of the
    blocks, less its own surroundings; threshold = mean + share (max - mean) over the video.
    """
    k = round(HALF_MS * RATE_HZ / 1000.0)
    count = len(clip.crops)
    if count < 4 * k + 2:
        return []
    small = np.stack([cv2.GaussianBlur(crop, (0, 0), 2.0) for crop in clip.crops]).astype(np.float32)
    away = np.abs(small[k:-k] - (small[: -2 * k] + small[2 * k :]) / 2)
    blocks = away.reshape(len(away), 6, 40, 6, 40).mean(axis=(2, 4)).reshape(len(away), 36)
    feature = np.zeros(count)
    feature[k:-k] = np.sort(blocks, axis=1)[:, -12:].mean(axis=1)
    contrast = feature.copy()
    contrast[k:-k] -= (feature[: -2 * k] + feature[2 * k :]) / 2
    contrast = np.maximum(contrast, 0.0)
    threshold = contrast.mean() + share * (contrast.max() - contrast.mean())
    return [_span(clip, peak - k, peak, peak + k) for peak in _peaks(contrast, threshold, k)]


def of_fd(clip: Crops, prominence_px: float = 0.35) -> list[Span]:
    """OF-FD (He 2021), as FIELD section 6 tells it; the order of its steps where it is silent is our reading.

    Dense flow against the first frame of a window of 60 (half overlapping), in 14 regions, the nose's flow taken away;
    per region the mean of the largest vectors; an ideal low-pass at 5 Hz; peaks by prominence; onset and offset at a
    third of the peak; overlapping intervals merged.
    """
    found: list[Span] = []
    count = len(clip.crops)
    for start in range(0, max(count - 30, 1), 30):
        stop = min(start + 60, count)
        if stop - start < 10:
            continue
        signals = _flow_signals(clip, start, stop)
        for signal in signals:
            found += _regional(clip, signal, start, prominence_px)
    return _merged(sorted(found, key=lambda s: s.onset))


def _flow_signals(clip: Crops, start: int, stop: int) -> np.ndarray:
    """(regions, frames): displacement against the window's first frame, low-passed."""
    points = clip.landmarks[start]
    rows = []
    for crop in clip.crops[start:stop]:
        flow = farneback(clip.crops[start], crop)
        flow = flow - np.median(_patch(flow, points[NOSE]).reshape(-1, 2), axis=0)
        lengths = [np.linalg.norm(_patch(flow, points[roi]), axis=2).ravel() for roi in ROIS]
        rows.append([float(np.sort(length)[-len(length) // 3 :].mean()) if len(length) else 0.0 for length in lengths])
    signals = np.array(rows).T
    spectrum = np.fft.rfft(signals, axis=1)
    spectrum[:, np.fft.rfftfreq(signals.shape[1], 1.0 / RATE_HZ) > 5.0] = 0.0
    return np.fft.irfft(spectrum, n=signals.shape[1], axis=1)


def _regional(clip: Crops, signal: np.ndarray, start: int, prominence_px: float) -> list[Span]:
    spans = []
    half = round(2 * HALF_MS * RATE_HZ / 1000.0)
    for peak in _peaks(signal, -np.inf, 2):
        left, right = signal[max(peak - 2 * half, 0) : peak], signal[peak + 1 : peak + 2 * half + 1]
        if not len(left) or not len(right):
            continue
        foot = max(float(left.min()), float(right.min()))
        height = float(signal[peak]) - foot
        if height < prominence_px:
            continue
        level = foot + height / 3
        before = np.flatnonzero(signal[:peak] < level)
        after = np.flatnonzero(signal[peak:] < level)
        if not len(before) or not len(after):
            continue
        onset, offset = int(before[-1]) + 1, peak + int(after[0]) - 1
        if (offset - onset) * 1000.0 / RATE_HZ <= SLOWEST_MS:
            spans.append(_span(clip, start + onset, start + peak, start + offset))
    return spans


def _merged(spans: list[Span]) -> list[Span]:
    """Intervals whose intersection over union is above 0.1 become one."""
    out: list[Span] = []
    for span in spans:
        if out:
            last = out[-1]
            shared = min(last.offset, span.offset) - max(last.onset, span.onset) + 1
            union = max(last.offset, span.offset) - min(last.onset, span.onset) + 1
            if shared > 0.1 * union:
                out[-1] = Span(min(last.onset, span.onset), last.apex, max(last.offset, span.offset))
                continue
        out.append(span)
    return out


def _peaks(signal: np.ndarray, threshold: float, apart: int) -> list[int]:
    """Local maxima above the threshold, the highest first, none within `apart` of a higher one."""
    chosen: list[int] = []
    inner = np.arange(1, len(signal) - 1)
    tops = inner[(signal[inner] >= signal[inner - 1]) & (signal[inner] > signal[inner + 1])]
    for peak in sorted(tops[signal[tops] > threshold], key=lambda i: -signal[i]):
        if all(abs(int(peak) - other) > apart for other in chosen):
            chosen.append(int(peak))
    return sorted(chosen)


def _patch(field: np.ndarray, point: np.ndarray) -> np.ndarray:
    x, y = (round(float(value)) for value in point)
    half = ROI_PX // 2
    return field[max(y - half, 0) : max(y + half, 0), max(x - half, 0) : max(x + half, 0)]


def _span(clip: Crops, onset: int, apex: int, offset: int) -> Span:
    last = len(clip.frames) - 1
    chosen = (min(max(index, 0), last) for index in (onset, apex, offset))
    return Span(*(int(clip.frames[index]) for index in chosen))
