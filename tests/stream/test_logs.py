"""Logging: fields, formats, and passwords that never get out."""

import io
import json
import logging
import sys
import threading
import warnings

import pytest

from bowam_stream import logs
from bowam_stream.errors import ConfigError


@pytest.fixture
def written():
    """Starts logging into a buffer and puts the root logger back as it was."""
    root = logging.getLogger()
    level, handlers = root.level, []

    def start(level: str = "info", format: logs.Format = "json") -> io.StringIO:
        stream = io.StringIO()
        handlers.append(logs.configure(level, format, stream))
        return stream

    yield start
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


log = logging.getLogger("bowam_stream.test")


def test_a_record_is_one_json_object_with_camera_and_session(written):
    """Machines read one object per line."""
    stream = written()
    with logs.context(camera="cam0"), logs.context(session="5f3a"):
        log.info("opened %s\nand more", "a file")
    log.warning("outside")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["camera"], first["session"], first["level"]) == ("cam0", "5f3a", "info")
    assert first["message"] == "opened a file\nand more"
    assert first["logger"] == "bowam_stream.test"
    assert first["time"].endswith("+00:00")
    assert "camera" not in second


def test_what_the_call_says_wins_over_the_context(written):
    """`extra` names the camera of a thread that serves many."""
    stream = written()
    with logs.context(camera="cam0"):
        log.info("x", extra={"camera": "cam7"})
    assert json.loads(stream.getvalue())["camera"] == "cam7"


def test_the_context_of_one_thread_is_not_that_of_another(written):
    """Two cameras in one process do not sign for each other."""
    stream = written()
    with logs.context(camera="cam0"):
        thread = threading.Thread(target=lambda: log.info("from elsewhere"))
        thread.start()
        thread.join()
    assert "camera" not in json.loads(stream.getvalue())


@pytest.mark.parametrize("format", ["human", "json"])
def test_credentials_appear_nowhere_in_what_is_written(written, format):
    """Not in the message, its arguments, the traceback, or the cause behind it."""
    stream = written(format=format)
    address = "rtsp://admin:s3cr/e@t@10.0.0.9:554/stream?token=abc"
    log.info("opened %s", address)
    log.info(f"again {address}")
    log.info("by name %(url)s", {"url": address})
    try:
        try:
            raise OSError(f"no route to {address}")
        except OSError as error:
            raise ValueError(f"can't open {address}") from error
    except ValueError:
        log.exception("failed at %s", address, stack_info=True)
    text = stream.getvalue()
    assert text.count("10.0.0.9") >= 6
    assert "rtsp://***@10.0.0.9:554/stream" in text
    for secret in ("s3cr", "e@t", "admin", "abc"):
        assert secret not in text


def test_a_line_for_people_names_the_camera_and_keeps_the_traceback(written):
    """Time, level, camera, message; the logger's name only when debugging."""
    stream = written("debug", "human")
    with logs.context(camera="cam0"):
        log.warning("slow")
    log.debug("detail")
    try:
        raise KeyError("x")
    except KeyError:
        log.exception("broke")
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith(" warning cam0: slow")
    assert lines[1].endswith(" debug bowam_stream.test: detail")
    assert lines[2].endswith(" error broke")
    assert lines[-1] == "KeyError: 'x'"


def test_configuring_again_replaces_and_leaves_foreign_handlers_alone(written):
    """No line is written twice; an embedding program keeps its own handlers."""
    foreign = logging.NullHandler()
    logging.getLogger().addHandler(foreign)
    try:
        first, second = written(), written("warning")
        log.info("quiet")
        log.warning("loud")
        assert first.getvalue() == ""
        assert json.loads(second.getvalue())["message"] == "loud"
        assert foreign in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(foreign)


def test_warnings_of_libraries_take_the_same_way(written):
    """A Python warning is a record, not stray text on standard error."""
    stream = written()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "old thing" in json.loads(stream.getvalue())["message"]


def test_logs_go_to_standard_error_by_default(monkeypatch, written):
    """Standard output belongs to events."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handler = logs.configure()
    log.info("hello")
    logging.getLogger().removeHandler(handler)
    assert stream.getvalue().endswith("hello\n")


@pytest.mark.parametrize(("level", "format"), [("loud", "json"), ("info", "xml")])
def test_unknown_levels_and_formats_are_refused_with_the_choice(level, format):
    """One line that names what exists."""
    with pytest.raises(ConfigError, match="choose"):
        logs.configure(level, format)
