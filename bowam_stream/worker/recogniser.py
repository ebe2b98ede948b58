"""From a candidate to an event: what the spotter saw, and what the network says about it.

Pure: no clock, no socket, no journal. The event has seq 0 until the journal gives it one.
"""

import math
from typing import Protocol

import numpy as np

from bowam_model.errors import ModelError
from bowam_model.labels import NONE
from bowam_stream.messages import Candidate, Event, Model, Prediction


class Predictor(Protocol):
    """What recognition needs of a network; `bowam_model.predictor.load` returns one."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> str: ...

    @property
    def backend(self) -> str: ...

    def predict(self, onset: np.ndarray, apex: np.ndarray, offset: np.ndarray) -> dict[str, float]:
        """Probability of each label for three aligned crops, each uint8 (240, 240) grey."""
        ...


def to_event(candidate: Candidate, prediction: Prediction | None, model: Model | None) -> Event:
    """The event that `candidate` becomes, with seq 0.

    Where the network says `none`, a final micro turns into a retracted event whose reason is "none": the probabilities
    stay, so that a reader sees how close it was; `none` never becomes a label.
    """
    refused = prediction is not None and prediction.label == NONE
    named = prediction is not None and not refused
    return Event(
        event_id=candidate.event_id,
        seq=0,
        camera=candidate.camera,
        session=candidate.session,
        face=candidate.face,
        kind=None if refused else candidate.kind,
        phase="retracted" if refused else candidate.phase,
        onset=candidate.onset,
        apex=candidate.apex,
        offset=candidate.offset,
        label=prediction.label if prediction and named else None,
        probabilities=prediction.probabilities if prediction else None,
        confidence=prediction.confidence if prediction and named else None,
        spotting_score=candidate.score,
        quality=tuple(sorted(set(candidate.quality))),
        model=model if prediction else None,
        reason=NONE if refused else candidate.reason,
    )


class Recogniser:
    """Asks the network about every final micro-expression, and about nothing else."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._model = Model(name=predictor.name, weights=predictor.weights, backend=predictor.backend)

    def recognise(self, candidate: Candidate) -> Prediction | None:
        """What the network says about a final micro; None for everything else.

        Raises ModelError where the network fails or answers with something that is no probability.
        """
        if candidate.phase != "final" or candidate.kind != "micro":
            return None
        if candidate.triple is None:
            raise ValueError(f"the final micro {candidate.event_id} carries no triple")
        triple = candidate.triple
        try:
            answer = self._predictor.predict(triple.onset, triple.apex, triple.offset)
        except ModelError:
            raise
        except Exception as error:  # whatever a backend's library raises
            raise ModelError(
                f"backend {self._model.backend} failed on event {candidate.event_id}: {type(error).__name__}: "
                f"{' '.join(str(error).split())}; choose another backend"
            ) from error
        probabilities = {label: float(answer[label]) for label in sorted(answer)}
        if not probabilities or not all(math.isfinite(p) and 0 <= p <= 1 + 1e-6 for p in probabilities.values()):
            raise ModelError(
                f"backend {self._model.backend} answered {probabilities} for event {candidate.event_id}, "
                "which are no probabilities; choose another backend"
            )
        label = max(probabilities, key=lambda name: probabilities[name])  # a tie goes to the first in the alphabet
        return Prediction(label=label, confidence=probabilities[label], probabilities=probabilities)

    def push(self, candidate: Candidate) -> Event:
        """The event that `candidate` becomes, ready for the journal. Raises ModelError like `recognise`."""
        return to_event(candidate, self.recognise(candidate), self._model)
