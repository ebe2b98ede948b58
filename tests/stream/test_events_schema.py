"""Events on paper: the same bytes every time, nothing missing, nothing unknown, as the committed schema says."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bowam_stream.errors import TransportError
from bowam_stream.events.schema import SCHEMA_FILE, from_json, json_schema, to_json
from bowam_stream.messages import Delivery, Event, Model, Moment

FINAL = Event(
    event_id="0123456789abcdef",
    seq=7,
    camera="cam0",
    session="5e55",
    face=0,
    kind="micro",
    phase="final",
    onset=Moment(frame=120, t_ns=4_000_000_000),
    apex=Moment(frame=124, t_ns=4_133_333_333),
    offset=Moment(frame=129, t_ns=4_300_000_000, utc_ns=1_700_000_000_000_000_000),
    label="negative",
    probabilities={"surprise": 0.08, "none": 0.04, "negative": 0.81004999, "positive": 0.07},
    confidence=0.81004999,
    spotting_score=6.23456,
    quality=("low_frame_rate",),
    model=Model(name="nano", weights="sha256:00", backend="eager"),
    delivery=Delivery(published_utc_ns=1, latency_ms=40.00004),
)
PROVISIONAL = msgspec.structs.replace(
    FINAL, phase="provisional", kind=None, offset=None, label=None, probabilities=None, confidence=None, model=None
)

moments = st.builds(Moment, frame=st.integers(0, 10**9), t_ns=st.integers(0, 2**62), utc_ns=st.none() | st.integers())
numbers = st.floats(-1e6, 1e6)
texts = st.text(max_size=8)
events = st.builds(
    Event,
    event_id=texts,
    seq=st.integers(1, 2**53),
    camera=texts,
    session=texts,
    face=st.integers(0, 9),
    kind=st.sampled_from(["micro", "macro", "blink", None]),
    phase=st.sampled_from(["provisional", "final", "retracted"]),
    onset=moments,
    apex=moments,
    offset=st.none() | moments,
    label=st.none() | texts,
    probabilities=st.none() | st.dictionaries(texts, numbers, max_size=3),
    confidence=st.none() | numbers,
    spotting_score=numbers,
    quality=st.lists(texts, max_size=3).map(tuple),
    model=st.none() | st.builds(Model, name=texts, weights=texts, backend=texts),
    reason=st.none() | texts,
    consent=st.none() | st.booleans(),
    delivery=st.none() | st.builds(Delivery, published_utc_ns=st.integers(), latency_ms=st.none() | numbers),
)


def test_the_committed_schema_equals_the_code():
    """After a change of `messages.Event`: `write_schema()`, and a line in the changelog."""
    assert json.loads(SCHEMA_FILE.read_bytes()) == json_schema()


def test_keys_are_sorted_and_floats_are_rounded_at_every_level():
    """One event, one sequence of bytes."""
    data = to_json(FINAL)
    plain = json.loads(data)
    assert data.decode() == json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert plain["probabilities"] == {"negative": 0.81, "none": 0.04, "positive": 0.07, "surprise": 0.08}
    assert plain["spotting_score"] == 6.2346
    assert plain["delivery"]["latency_ms"] == 40.0
    assert plain["schema"] == "bowam.event/1"


def test_without_delivery_only_content_is_left():
    """`delivery` is null, and two publications of one event look the same."""
    again = msgspec.structs.replace(FINAL, delivery=Delivery(published_utc_ns=2, latency_ms=None))
    assert json.loads(to_json(FINAL, delivery=False))["delivery"] is None
    assert to_json(FINAL, delivery=False) == to_json(again, delivery=False)


@given(events)
def test_an_event_survives_the_journey(event):
    """Reading what was written and writing it again gives the same bytes; the order of a dict does not matter."""
    data = to_json(event)
    assert to_json(from_json(data)) == data
    if event.probabilities:
        turned = dict(reversed(event.probabilities.items()))
        assert to_json(msgspec.structs.replace(event, probabilities=turned)) == data


def test_negative_zero_has_no_sign():
    """-0.00001 and 0.0 are the same number to four decimals, hence the same bytes."""
    event = msgspec.structs.replace(FINAL, spotting_score=-0.00001)
    assert to_json(event) == to_json(msgspec.structs.replace(FINAL, spotting_score=0.0))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_never_written(number):
    """JSON would turn NaN into null, and a score can't be null."""
    with pytest.raises(ValueError, match="can't hold"):
        to_json(msgspec.structs.replace(FINAL, spotting_score=number))


def _changed(**changes) -> bytes:
    fields = json.loads(to_json(FINAL))
    for key, value in changes.items():
        if value is ...:
            del fields[key]
        else:
            fields[key] = value
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        to_json(FINAL)[:-1],
        b"\xff" + to_json(FINAL),
        b"[" * 100_000,
        _changed(schema="bowam.event/2"),
        _changed(schema=...),
        _changed(delivery=...),
        _changed(reason=...),
        _changed(consent=1),
        _changed(consent="yes"),
        _changed(surprise=1),
        _changed(seq="7"),
        _changed(seq=True),
        _changed(seq=7.5),
        _changed(phase="over"),
        _changed(kind="nano"),
        _changed(onset=None),
        _changed(onset={"frame": 1, "t_ns": 1}),
        _changed(onset={"frame": 1, "t_ns": 1, "utc_ns": None, "more": 1}),
        _changed(probabilities=[0.1]),
        _changed(quality="low_frame_rate"),
    ],
)
def test_malformed_records_are_refused_in_one_line(data):
    """Cut off, of another version, with a key too few or too many, or of a wrong type: never half an event."""
    with pytest.raises(TransportError) as caught:
        from_json(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("event", [FINAL, PROVISIONAL])
def test_written_events_obey_the_committed_schema(event):
    """Every property of every object is named in the schema and has one of the types that it allows."""
    schema = json.loads(SCHEMA_FILE.read_bytes())
    _obey(json.loads(to_json(event)), schema, schema["$defs"])


@pytest.mark.parametrize("data", [_changed(seq="7"), _changed(more=1), _changed(reason=...), _changed(kind="nano")])
def test_the_committed_schema_refuses_what_the_reader_refuses(data):
    """The schema is as strict as `from_json`."""
    schema = json.loads(SCHEMA_FILE.read_bytes())
    with pytest.raises(AssertionError):
        _obey(json.loads(data), schema, schema["$defs"])


def _obey(value, rule, definitions):
    """The part of JSON Schema 2020-12 that the file uses; an unknown keyword fails, so that none is overlooked."""
    types = {
        "boolean": bool,
        "string": str,
        "integer": int,
        "number": (int, float),
        "object": dict,
        "array": list,
        "null": type(None),
    }
    if "type" in rule:
        assert isinstance(value, types[rule["type"]]), (value, rule["type"])
        assert not isinstance(value, bool), value
    for keyword, argument in rule.items():
        match keyword:
            case "$ref":
                _obey(value, definitions[argument.rpartition("/")[2]], definitions)
            case "anyOf":
                problems = []
                for option in argument:
                    try:
                        _obey(value, option, definitions)
                    except AssertionError as problem:
                        problems.append(problem)
                assert len(problems) < len(argument), problems
            case "enum":
                assert value in argument
            case "required":
                assert value.keys() >= set(argument)
            case "properties":
                for name, option in argument.items():
                    if name in value:
                        _obey(value[name], option, definitions)
            case "additionalProperties":
                for name in value.keys() - rule.get("properties", {}).keys():
                    assert argument is not False, name
                    _obey(value[name], argument, definitions)
            case "items":
                for item in value:
                    _obey(item, argument, definitions)
            case _:
                assert keyword in {"$schema", "$defs", "title", "description", "default", "type"}, keyword
