"""One frame of the overlay: the picture with the followed face and what was recognised, the motion signal below it."""

from collections.abc import Iterable, Sequence

import cv2
import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.messages import Event, Frame
from bowam_stream.report import canvas
from bowam_stream.report.canvas import FAINT, INK, PANEL, Colour, colour_of
from bowam_stream.report.matching import Truth
from bowam_stream.report.record import FaceRecord, FrameRecord
from bowam_stream.report.trace import Series, Trace
from bowam_stream.report.words import KINDS, STATES, plain

PAST_S, FUTURE_S = 3.5, 1.5  # of the signal, around the time mark
LINGER_NS = 800 * NS_PER_MS  # a banner stays this long after its offset, faded: 200 ms are too short to read
MIN_WIDTH_PX, MAX_SIDE_PX = 480, 1920  # smaller pictures are enlarged so that the text fits, larger ones reduced
FACE_BOX = np.array([[24, 8], [216, 8], [216, 232], [24, 232]], np.float64)  # corners in crop px
NO_FACE = "no face"
SIGNAL_COLOUR: Colour = (56, 189, 248)
THRESHOLD_COLOUR: Colour = (251, 191, 36)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that is drawn."""

    onset_ns: int
    apex_ns: int
    offset_ns: int
    text: str
    colour: Colour


def event_spans(events: Iterable[Event]) -> tuple[Span, ...]:
    """Final events by onset; provisional and retracted ones are not drawn."""
    spans = [
        Span(
            onset_ns=event.onset.t_ns,
            apex_ns=event.apex.t_ns,
            offset_ns=event.offset.t_ns,
            text=_caption(event),
            colour=colour_of(event.kind, event.label),
        )
        for event in events
        if event.phase == "final" and event.offset is not None
    ]
    return tuple(sorted(spans, key=lambda span: (span.onset_ns, span.text)))


def true_spans(truth: Truth | None) -> tuple[Span, ...]:
    """The movements that are really there."""

    def time_ns(frame: int) -> int:
        assert truth is not None
        return round(frame * NS_PER_SECOND / truth.fps)

    return tuple(
        Span(
            onset_ns=time_ns(true.onset),
            apex_ns=time_ns(true.apex),
            offset_ns=time_ns(true.offset),
            text=true.label or true.kind,
            colour=colour_of(true.kind, true.label),
        )
        for true in (truth.events if truth else ())
    )


class Painter:
    """Draws frame after frame of one run onto a canvas whose size follows from the first picture."""

    def __init__(self, trace: Trace, found: Sequence[Span], true: Sequence[Span]) -> None:
        self._trace = trace
        self._found = found
        self._true = true
        self._full_scale = _full_scale(trace, found)
        self._states = {plain(span.state, STATES) for span in trace.states} | {NO_FACE}
        self._size: tuple[int, int] | None = None  # of the picture on the canvas: width, height

    def paint(self, frame: Frame, record: FrameRecord | None) -> np.ndarray:
        """The canvas of one frame: uint8 (H, W, 3) RGB, H and W even, the same for all frames."""
        height, width = frame.image.shape[:2]
        if self._size is None:
            self._lay_out(width, height)
            assert self._size is not None
        scale_x, scale_y = self._size[0] / width, self._size[1] / height
        canvas_picture = np.empty((self._size[1] + self._panel_height, self._size[0], 3), np.uint8)
        picture = canvas_picture[: self._size[1]]
        picture[:] = _rgb(frame.image, self._size)
        for face in record.faces if record else ():
            self._draw_face(picture, face, np.diag([scale_x, scale_y]))
        self._draw_banners(picture, frame.moment.t_ns)
        state = next((plain(face.state, STATES) for face in record.faces), NO_FACE) if record else NO_FACE
        self._draw_panel(canvas_picture[self._size[1] :], frame, state)
        return canvas_picture

    def _lay_out(self, width: int, height: int) -> None:
        scale = min(max(MIN_WIDTH_PX / width, 1.0), MAX_SIDE_PX / max(width, height))
        self._size = (_even(width * scale), _even(height * scale))
        self._text_px = int(np.clip(round(min(self._size) / 26), 13, 40))
        self._panel_height = _even(self._text_px * 6.4)

    def _draw_face(self, picture: np.ndarray, face: FaceRecord, scale: np.ndarray) -> None:
        back = face.crop_to_source()
        if back is None:
            return

        def place(points: np.ndarray) -> np.ndarray:
            return (points @ back[:, :2].T + back[:, 2]) @ scale

        corners = place(FACE_BOX)
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 12, 0)
        high = np.ceil(corners.max(axis=0)).astype(int) + 12
        part = picture[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
        if not part.size:
            return
        shade = part.copy()
        thick = 1 if self._text_px < 24 else 2
        for points in face.outlines().values():
            canvas.line(shade, place(points) - low, INK, thick)
        crop_px = float(np.linalg.norm(corners[1] - corners[0]) / np.ptp(FACE_BOX[:, 0]))
        for name, middle in face.region_middles().items():
            loud = min(face.regions.get(name, 0.0) / (face.threshold or self._full_scale), 2.0)
            radius = (1.5 + 3.5 * loud) * max(crop_px, 0.6)
            canvas.disc(shade, place(middle) - low, radius, THRESHOLD_COLOUR if loud >= 1 else SIGNAL_COLOUR)
        part[:] = cv2.addWeighted(shade, 0.5, part, 0.5, 0)
        for corner, before, after in zip(corners, np.roll(corners, 1, 0), np.roll(corners, -1, 0), strict=True):
            ends = [corner + 0.12 * (other - corner) for other in (before, after)]
            canvas.line(picture, np.array([ends[0], corner, ends[1]]), INK, thick + 1)

    def _draw_banners(self, picture: np.ndarray, t_ns: int) -> None:
        y = x = round(self._text_px * 0.7)
        size_px = round(self._text_px * 1.35)
        shown = [span for span in self._found if span.onset_ns <= t_ns <= span.offset_ns + LINGER_NS]
        for span in sorted(shown, key=lambda span: span.offset_ns < t_ns):  # what goes on stands above what has passed
            after = max(t_ns - span.offset_ns, 0) / LINGER_NS
            y += canvas.pill(
                picture, span.text, (x, y), size_px, span.colour, 0.95 if after == 0 else 0.65 * (1 - after)
            )
            y += round(size_px * 0.3)

    def _draw_panel(self, panel: np.ndarray, frame: Frame, state: str) -> None:
        panel[:] = PANEL
        height, width = panel.shape[:2]
        text, pad = self._text_px, self._text_px // 2
        x = pad + canvas.figures(panel, _clock(frame.moment.t_ns), (pad, pad // 2), text, INK)
        x += round(text * 1.2)
        x += canvas.write(panel, "frame ", (x, pad // 2), text, FAINT)
        canvas.figures(panel, str(frame.moment.frame), (x, pad // 2), text, FAINT)
        # Room for the longest number and state, so that nothing jumps from frame to frame.
        x += canvas.text_size("8" * len(str(self._trace.frames)), text)[0] + text
        canvas.write(panel, state, (width - pad - canvas.text_size(state, text)[0], pad // 2), text, FAINT)
        room = max(canvas.text_size(state, text)[0] for state in self._states)
        self._draw_legend(panel, x, width - pad - room - text, pad // 2)

        now_s = frame.moment.t_ns / NS_PER_SECOND
        px_per_s = width / (PAST_S + FUTURE_S)
        now_x = round(PAST_S * px_per_s)
        top, lane = round(text * 1.9), max(text // 4, 3)
        bottom = height - (3 * lane if self._true else lane)

        def at(t_ns: int) -> int:
            return round(now_x + (t_ns / NS_PER_SECOND - now_s) * px_per_s)

        for span in self._found:
            canvas.fill(panel, (at(span.onset_ns), top, at(span.offset_ns) + 1, bottom), span.colour, 0.28)
            canvas.fill(panel, (at(span.apex_ns), top, at(span.apex_ns) + 1, bottom), span.colour, 0.9)
        for span in self._true:
            canvas.fill(
                panel, (at(span.onset_ns), bottom + lane, at(span.offset_ns) + 1, bottom + 2 * lane), span.colour
            )
        for signal in self._trace.series.values():
            self._draw_signal(panel, signal, now_s, now_x, px_per_s, top, bottom)
        canvas.fill(panel, (now_x + 1, top, width, height), PANEL, 0.45)
        canvas.fill(panel, (now_x, top, now_x + 1, height), INK, 0.9)

    def _draw_legend(self, panel: np.ndarray, x: int, end_x: int, y: int) -> None:
        """What the colours mean, as far as there is room."""
        text = self._text_px
        for name, colour in (("motion", SIGNAL_COLOUR), ("threshold", THRESHOLD_COLOUR), ("truth below", FAINT)):
            needed = canvas.text_size(name, text)[0] + 2 * text
            if x + needed > end_x or (colour is FAINT and not self._true):
                return
            canvas.fill(panel, (x, y + text // 2 + 1, x + text, y + text // 2 + 3), colour)
            canvas.write(panel, name, (x + round(1.3 * text), y), text, FAINT)
            x += needed + round(0.6 * text)

    def _draw_signal(
        self, panel: np.ndarray, rows: Series, now_s: float, now_x: int, px_per_s: float, top: int, bottom: int
    ) -> None:
        rows = rows.between(now_s - PAST_S - 0.1, now_s + FUTURE_S + 0.1)
        broken = np.flatnonzero(np.diff(rows.t_s) > self._trace.gap_s) + 1
        for values, colour, thick in (
            (rows.threshold, THRESHOLD_COLOUR, 1),
            (rows.signal, SIGNAL_COLOUR, 2),
        ):
            y = bottom - 1 - np.minimum(values / self._full_scale, 1.0) * (bottom - top - 1)
            for piece in np.split(np.column_stack([now_x + (rows.t_s - now_s) * px_per_s, y]), broken):
                canvas.line(panel, piece[~np.isnan(piece[:, 1])], colour, thick)


def _full_scale(trace: Trace, found: Sequence[Span]) -> float:
    """What the panel's height means: half of the events fit, and the threshold lies between a sixth and a third."""
    limits = np.concatenate([rows.threshold for rows in trace.series.values()] or [np.empty(0)])
    if not np.isfinite(limits).any():
        loudest = [np.nanmax(rows.signal) for rows in trace.series.values() if np.isfinite(rows.signal).any()]
        return max([1.0, *loudest])
    limit = max(float(np.nanmedian(limits)), 1e-6)
    peaks = []
    for span in found:
        for rows in trace.series.values():
            signal = rows.between(span.onset_ns / NS_PER_SECOND, span.offset_ns / NS_PER_SECOND).signal
            peaks.append(float(np.max(signal, where=np.isfinite(signal), initial=0.0)))
    return float(np.clip(1.1 * np.median(peaks or [0.0]), 3.0 * limit, 6.0 * limit))


def _caption(event: Event) -> str:
    if event.kind == "micro" and event.label is not None:
        return event.label if event.confidence is None else f"{event.label}  {event.confidence:.0%}"
    return plain(event.kind or "", KINDS)


def _clock(t_ns: int) -> str:
    minutes, seconds = divmod(t_ns / NS_PER_SECOND, 60)
    return f"{int(minutes):02d}:{seconds:06.3f}"


def _even(length: float) -> int:
    """libx264 with 4:2:0 colour takes even sides only."""
    return max(2 * round(length / 2), 2)


def _rgb(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[1::-1] != size:
        smaller = size[0] < image.shape[1]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return image if image.ndim == 3 else image[:, :, None]
