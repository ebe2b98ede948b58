"""Recognition: candidates in, events out."""

from bowam_stream.worker.recogniser import Predictor, Recogniser, to_event

__all__ = ["Predictor", "Recogniser", "to_event"]
