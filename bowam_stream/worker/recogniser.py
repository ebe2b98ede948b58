"""From a candidate to an event: what the spotter saw, and what the network says about it.

Pure: no clock, no socket, no journal. The event has seq 0 until the journal gives it one.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bowam_model.errors import ImageError, ModelError
from bowam_model.labels import NONE
from bowam_stream.messages import Candidate, Event, Model, Prediction

log = logging.getLogger(__name__)


class Predictor(Protocol):
    """What recognition needs of a network; `bowam_model.predictor.load` returns one."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> str: ...

    @property
    def backend(self) -> str: ...

    def predict_together(
        self, triples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> Sequence[dict[str, float]]:
        """Probability of each label for several onset, apex and offset crops, each uint8 (240, 240) grey."""
        ...

    def fall_back(self, reason: str) -> None:
        """Compute with the next best backend from now on. Raises ModelError where none is left."""
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
        consent=candidate.consent,
    )


class Recogniser:
    """Asks the network about every final micro-expression, and about nothing else.

    Args:
        predictor: the network.
        on_failure: told the backend that failed and the model that follows it: the next best backend has taken over,
            and no candidate is lost. None: a failure is an error, as a recording's events must come from one backend.
    """

    def __init__(self, predictor: Predictor, on_failure: Callable[[str, Model], None] | None = None) -> None:
        self._predictor = predictor
        self._on_failure = on_failure

    @property
    def model(self) -> Model:
        """The network, and what computes it now."""
        predictor = self._predictor
        return Model(name=predictor.name, weights=predictor.weights, backend=predictor.backend)

    def asks(self, candidate: Candidate) -> bool:
        """Whether the network has a say: it is a final micro."""
        return candidate.phase == "final" and candidate.kind == "micro"

    def recognise(self, candidate: Candidate) -> Prediction | None:
        """What the network says about a final micro; None for everything else.

        Raises ModelError where the network fails or answers with something that is no probability.
        """
        return self._recognised([candidate])[0]

    def push(self, candidate: Candidate) -> Event:
        """The event that `candidate` becomes, ready for the journal. Raises ModelError like `recognise`."""
        return self.push_all([candidate])[0]

    def push_all(self, candidates: Sequence[Candidate]) -> list[Event]:
        """The events that `candidates` become, in their order; the network is asked about all of them at once.

        Raises ModelError like `recognise`.
        """
        predictions = self._recognised(candidates)
        model = self.model
        return [to_event(*pair, model) for pair in zip(candidates, predictions, strict=True)]

    def _recognised(self, candidates: Sequence[Candidate]) -> list[Prediction | None]:
        asked = [c for c in candidates if self.asks(c)]
        for candidate in asked:
            if candidate.triple is None:
                raise ValueError(f"the final micro {candidate.event_id} carries no triple")
        while True:
            try:
                answers = iter(self._asked(asked))
                break
            except ImageError:
                raise  # another backend sees the same pictures
            except ModelError as error:
                if self._on_failure is None:
                    raise
                failed = self._predictor.backend
                log.warning("%s", error)
                self._predictor.fall_back(str(error))
                log.warning("backend %s has failed: %s recognises from now on", failed, self._predictor.backend)
                self._on_failure(failed, self.model)
        return [next(answers) if self.asks(c) else None for c in candidates]

    def _asked(self, candidates: Sequence[Candidate]) -> list[Prediction]:
        triples = [(c.triple.onset, c.triple.apex, c.triple.offset) for c in candidates if c.triple is not None]
        backend, names = self._predictor.backend, ", ".join(c.event_id for c in candidates)
        try:
            answers = self._predictor.predict_together(triples) if triples else []
        except ModelError:
            raise
        except Exception as error:  # whatever a backend's library raises
            raise ModelError(
                f"backend {backend} failed on event {names}: {type(error).__name__}: "
                f"{' '.join(str(error).split())}; choose another backend"
            ) from error
        return [_prediction(*pair, backend) for pair in zip(candidates, answers, strict=True)]


def _prediction(candidate: Candidate, answer: dict[str, float], backend: str) -> Prediction:
    """The answer as a prediction. Raises ModelError if it is no probability."""
    probabilities = {label: float(answer[label]) for label in sorted(answer)}
    if not probabilities or not all(math.isfinite(p) and 0 <= p <= 1 + 1e-6 for p in probabilities.values()):
        raise ModelError(
            f"backend {backend} answered {probabilities} for event {candidate.event_id}, "
            "which are no probabilities; choose another backend"
        )
    label = max(probabilities, key=lambda name: probabilities[name])  # a tie goes to the first in the alphabet
    return Prediction(label=label, confidence=probabilities[label], probabilities=probabilities)
