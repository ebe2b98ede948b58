"""Consent: what the operator of a camera states travels with the stream and stands in every event."""

import json
import logging

import msgspec
import numpy as np
import pytest

from bowam_stream.capture import SourceSettings
from bowam_stream.cli.notice import CONSENT, NOTICE, give_notice
from bowam_stream.config import Config, load_config, replaced
from bowam_stream.events import EventLedger, Journal, from_json, to_json
from bowam_stream.messages import Candidate, Hello, Moment
from bowam_stream.spotting import SpottingSettings
from bowam_stream.spotting import spotter as spotting
from bowam_stream.transport.codec import decode, encode
from bowam_stream.worker.recogniser import to_event
from tests.stream.small_events import small_event

STATEMENTS = (True, False, None)


def hello(consent: bool | None) -> Hello:
    return Hello(camera="cam0", session="s", source="x", consent=consent)


@pytest.mark.parametrize("consent", STATEMENTS)
def test_a_hello_carries_it(consent):
    """Also None survives the journey as None."""
    assert decode(encode(hello(consent))) == hello(consent)


def test_captures_and_workers_of_before_still_speak():
    """A hello without the key is taken; one that states nothing is what an older worker takes."""
    _, header = encode(hello(None))
    assert set(msgspec.msgpack.decode(header)) == {
        *("schema", "camera", "session", "source", "rate_hz", "frames", "lossless", "quality")
    }
    assert msgspec.msgpack.decode(encode(hello(False))[1])["consent"] is False


@pytest.mark.parametrize("consent", STATEMENTS)
def test_every_candidate_and_so_every_event_of_a_stream_states_it(consent, monkeypatch):
    """Provisional, final, and what the end of the stream closes."""
    moment = Moment(frame=0, t_ns=0)

    def said(phase: str) -> list[Candidate]:
        fields = {"event_id": "e", "camera": "cam0", "session": "s", "face": 0, "kind": None, "score": 1.0}
        return [Candidate(**fields, phase=phase, onset=moment, apex=moment, offset=None)]

    class Machine:
        still, signal, motion_px, state, doubt, refused, quality = True, 0.0, 0.0, "rest", None, None, ()

        def __init__(self, *_):
            self.strengths = np.zeros(0)

        def push(self, *_):
            return said("provisional")

        def stop(self, reason):
            return said("retracted")

    monkeypatch.setattr(spotting, "FaceMachine", Machine)
    face = spotting.FaceSpotter(SpottingSettings(), hello(consent), 0)
    monkeypatch.setattr(face, "machine", Machine())
    candidates = [*map(face._complete, said("final")), *face.stop("gap")]
    assert [candidate.consent for candidate in candidates] == [consent, consent]
    assert [to_event(candidate, None, None).consent for candidate in candidates] == [consent, consent]


def test_events_of_before_read_as_not_stated(tmp_path):
    """Journals and files that lack the key are still read; what is written has it."""
    fields = json.loads(to_json(small_event("a", seq=1)))
    assert fields.pop("consent") is None
    old = from_json(json.dumps(fields))
    assert old.consent is None
    assert json.loads(to_json(old))["consent"] is None


@pytest.mark.parametrize("consent", STATEMENTS)
def test_what_closes_an_event_after_a_crash_keeps_it(tmp_path, consent):
    """The stream that comes next may state something else: it speaks of other moments."""

    class Nobody:
        def publish(self, event):
            pass

        def status(self, camera, fields):
            pass

    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append(msgspec.structs.replace(small_event("a"), phase="provisional", consent=consent))
        EventLedger(journal, Nobody()).open("cam0", resume=None)
        assert [(e.phase, e.consent) for e in journal.since()] == [("provisional", consent), ("retracted", consent)]


def test_it_is_content_so_a_recording_with_another_statement_is_another_session(tmp_path):
    """A file or a flag states it."""
    file = tmp_path / "bowam.toml"
    file.write_text("[source]\nconsent = true\n")
    assert load_config(file).source.consent is True
    configs = [Config(source=SourceSettings(consent=consent)) for consent in STATEMENTS]
    assert len({config.digest() for config in configs}) == 3
    assert replaced(load_config(file), "source", consent=None).source.consent is True, "no flag leaves the file's word"
    assert replaced(load_config(file), "source", consent=False).source.consent is False


@pytest.mark.parametrize("consent", STATEMENTS)
def test_the_notice_reaches_terminals_files_and_logs_for_machines(consent, monkeypatch, capsys, caplog):
    """Never hidden: plain text on standard error, or a warning, which the default level shows."""
    monkeypatch.delenv("BOWAM_LOG_FORMAT", raising=False)
    give_notice(consent)
    assert capsys.readouterr().err == f"{NOTICE} {CONSENT[consent]}\n"
    monkeypatch.setenv("BOWAM_LOG_FORMAT", "json")
    give_notice(consent)
    assert capsys.readouterr().err == ""
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [(logging.WARNING, f"{NOTICE} {CONSENT[consent]}")]
