"""Candidates become events: the network is asked about final micro-expressions only, and `none` is never a label."""

import msgspec
import numpy as np
import pytest

from bowam_model.errors import BackendError, ImageError, ModelError, WeightsError
from bowam_stream.messages import Candidate, Event, Model, Moment, Triple
from bowam_stream.worker import Recogniser

CROPS = [np.full((240, 240), level, np.uint8) for level in (1, 2, 3)]


class Fake:
    """A network with a ready answer, which counts how often it is asked."""

    name, weights, backend = "fake", "sha256:0", "eager"

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked = []

    def predict(self, onset, apex, offset):
        self.asked.append((onset, apex, offset))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def predict_together(self, triples):
        return [self.predict(*triple) for triple in triples]


class Falling(Fake):
    """Backends with their ready answers, one after the other."""

    def __init__(self, **answers) -> None:
        (self.backend, answer), *self.left = answers.items()
        super().__init__(answer)

    def fall_back(self, reason):
        if not self.left:
            raise BackendError("no backend is left")
        self.backend, self.answer = self.left.pop(0)


def candidate(phase="final", kind="micro", **changes) -> Candidate:
    closed = phase != "provisional"
    fields = {
        "event_id": "e",
        "camera": "cam0",
        "session": "s",
        "face": 1,
        "phase": phase,
        "kind": kind if phase == "final" else None,
        "onset": Moment(frame=10, t_ns=100),
        "apex": Moment(frame=14, t_ns=140),
        "offset": Moment(frame=20, t_ns=200) if closed else None,
        "score": 6.25,
        "quality": ("low_frame_rate", "gap", "gap"),
        "reason": "nod" if phase == "retracted" else None,
        "triple": Triple(onset=CROPS[0], apex=CROPS[1], offset=CROPS[2]) if phase == "final" else None,
    }
    return Candidate(**{**fields, **changes})


def test_a_final_micro_gets_the_most_probable_label():
    """The three crops go to the network in order; its name stands in the event."""
    network = Fake({"positive": 0.1, "negative": 0.7, "none": 0.2})
    event = Recogniser(network).push(candidate())
    assert all(given is crop for given, crop in zip(network.asked[0], CROPS, strict=True))
    assert event == Event(
        event_id="e",
        seq=0,
        camera="cam0",
        session="s",
        face=1,
        kind="micro",
        phase="final",
        onset=Moment(frame=10, t_ns=100),
        apex=Moment(frame=14, t_ns=140),
        offset=Moment(frame=20, t_ns=200),
        label="negative",
        probabilities={"negative": 0.7, "none": 0.2, "positive": 0.1},
        confidence=0.7,
        spotting_score=6.25,
        quality=("gap", "low_frame_rate"),
        model=Model(name="fake", weights="sha256:0", backend="eager"),
    )


def test_none_withdraws_the_event_and_keeps_the_probabilities():
    """A reader sees what the network thought, but no label, kind or confidence."""
    event = Recogniser(Fake({"none": 0.6, "positive": 0.4})).push(candidate())
    assert (event.phase, event.reason, event.kind, event.label, event.confidence) == (
        "retracted", "none", None, None, None,
    )  # fmt: skip
    assert event.probabilities == {"none": 0.6, "positive": 0.4}
    assert event.model is not None
    assert event.offset is not None


@pytest.mark.parametrize(
    "given",
    [
        candidate("provisional"),
        candidate("retracted"),
        candidate("final", "macro", triple=None),
        candidate("final", "blink", triple=None),
        candidate("final", "macro"),
    ],
    ids=["provisional", "retracted", "macro", "blink", "macro with crops"],
)
def test_the_network_is_asked_about_nothing_else(given):
    """Such events pass through without label, probabilities or model."""
    network = Fake({"positive": 1.0})
    event = Recogniser(network).push(given)
    assert network.asked == []
    assert (event.label, event.probabilities, event.confidence, event.model) == (None, None, None, None)
    assert (event.phase, event.kind, event.reason, event.offset) == (
        given.phase, given.kind, given.reason, given.offset,
    )  # fmt: skip


@pytest.mark.parametrize("order", [["positive", "negative"], ["negative", "positive"]])
def test_a_tie_goes_to_the_first_in_the_alphabet(order):
    """Whatever the order in which the network names its classes."""
    assert Recogniser(Fake(dict.fromkeys(order, 0.5))).push(candidate()).label == "negative"


def test_probabilities_are_plain_numbers():
    """A network may answer with NumPy floats; events hold Python's, which can be written down."""
    event = Recogniser(Fake({"positive": np.float32(0.75), "none": np.float32(0.25)})).push(candidate())
    assert type(event.probabilities["positive"]) is float
    assert msgspec.json.encode(event)


@pytest.mark.parametrize("answer", [{}, {"positive": float("nan")}, {"positive": -0.1}, {"positive": 1.5}])
def test_what_is_no_probability_is_an_error(answer):
    """A half-precision overflow must not become an event."""
    with pytest.raises(ModelError, match=r"eager.*no probabilities"):
        Recogniser(Fake(answer)).push(candidate())


def test_a_failing_network_is_an_error_that_names_backend_and_event():
    """One line, also where a library's message has several; the event is not lost in silence."""
    with pytest.raises(ModelError, match="backend eager failed on event e: RuntimeError: out of memory") as caught:
        Recogniser(Fake(RuntimeError("out of\nmemory"))).push(candidate())
    assert "\n" not in str(caught.value)


def test_a_clear_error_of_the_model_package_passes_through():
    """It says already what to do."""
    with pytest.raises(WeightsError, match="fetch the weights"):
        Recogniser(Fake(WeightsError("fetch the weights"))).push(candidate())


def test_a_final_micro_without_crops_is_a_mistake_of_the_spotter():
    """It would otherwise pass for a macro."""
    with pytest.raises(ValueError, match="no triple"):
        Recogniser(Fake({"positive": 1.0})).push(candidate(triple=None))


def test_several_candidates_are_recognised_together_in_their_order():
    """What needs no network keeps its place among them."""
    network = Fake({"positive": 1.0})
    given = [candidate(event_id="a"), candidate("provisional", event_id="b"), candidate(event_id="c")]
    events = Recogniser(network).push_all(given)
    assert [(event.event_id, event.label) for event in events] == [("a", "positive"), ("b", None), ("c", "positive")]
    assert len(network.asked) == 2
    assert Recogniser(network).push_all([]) == []


@pytest.mark.parametrize("wrong", [RuntimeError("out of memory"), {"positive": float("nan")}], ids=["raises", "nan"])
def test_live_the_next_backend_recognises_what_a_failing_one_left(wrong):
    """No event is lost; it names the backend that answered, and the metric hears of the one that did not."""
    told = []
    network = Falling(engine=wrong, compiled=RuntimeError("bad kernel"), eager={"positive": 1.0})
    recogniser = Recogniser(network, on_failure=lambda failed, model: told.append((failed, model.backend)))
    events = recogniser.push_all([candidate(event_id="a"), candidate(event_id="b")])
    assert [(event.event_id, event.label, event.model.backend) for event in events] == [
        ("a", "positive", "eager"),
        ("b", "positive", "eager"),
    ]
    assert told == [("engine", "compiled"), ("compiled", "eager")]
    assert recogniser.model.backend == "eager"


def test_a_recording_ends_where_its_backend_fails():
    """Its events must all come from one backend."""
    network = Falling(engine=RuntimeError("out of memory"), eager={"positive": 1.0})
    with pytest.raises(ModelError, match="backend engine failed on event e"):
        Recogniser(network).push(candidate())
    assert network.backend == "engine"


def test_when_the_last_backend_fails_that_is_an_error():
    """A worker without a network must not pretend to recognise."""
    with pytest.raises(BackendError, match="no backend is left"):
        Recogniser(Falling(eager=RuntimeError("bad kernel")), on_failure=lambda failed, model: None).push(candidate())


def test_a_picture_that_is_wrong_is_no_reason_to_change_the_backend():
    """The next one would see the same picture."""
    network = Falling(engine=ImageError("too small"), eager={"positive": 1.0})
    with pytest.raises(ImageError):
        Recogniser(network, on_failure=lambda failed, model: None).push(candidate())
    assert network.backend == "engine"
