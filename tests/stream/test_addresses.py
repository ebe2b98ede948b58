"""Endpoints: what is an address, who may reach it, and what a person reads when it can't be used."""

import socket as socketlib

import pytest
import zmq

from bowam_stream.addresses import bind, parse, redact, require_loopback
from bowam_stream.errors import AddressInUse, TransportError


@pytest.fixture
def socket():
    """A publisher socket that leaves nothing behind."""
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        yield socket


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:5556", True),
        ("tcp://127.8.8.8:*", True),
        ("tcp://localhost:5556", True),
        ("tcp://lo:5556", True),
        ("tcp://[::1]:5556", True),
        ("ipc:///run/bowam/events", True),
        ("inproc://events", True),
        ("tcp://*:5556", False),
        ("tcp://0.0.0.0:5556", False),
        ("tcp://[::]:5556", False),
        ("tcp://eth0:5556", False),
        ("tcp://127.0.0.1.example.org:5556", False),
        ("tcp://192.168.1.7:5556", False),
    ],
)
def test_beyond_this_machine_needs_an_explicit_word(endpoint, local):
    """Only loopback, ipc and inproc are bound without `insecure`."""
    assert parse(endpoint).local is local
    require_loopback(endpoint, insecure=True)
    if local:
        require_loopback(endpoint, insecure=False)
    else:
        with pytest.raises(TransportError, match="--insecure"):
            require_loopback(endpoint, insecure=False)


@pytest.mark.parametrize(
    "endpoint",
    ["", "5556", "tcp://", "tcp://host", "tcp://host:", "tcp://host:x", "tcp://host:-1", "tcp://host:65536", "tcp://:1",
     "tcp://::1:5556", "tcp://host:1/x", "tcp://host:²", "tcp://[x", "http://host:1", "ipc://", "inproc://",
     "rtsp://user:pass@host:554", "ipc:///" + "x" * 200],
)  # fmt: skip
def test_what_is_not_an_address_is_refused_with_an_example(endpoint):
    """Malformed endpoints raise one line, not a ZMQError or a ValueError."""
    with pytest.raises(TransportError) as caught:
        parse(endpoint)
    assert "\n" not in str(caught.value)


def test_binding_to_port_zero_returns_the_port_that_the_system_chose(socket):
    """The true address can be handed to a subscriber."""
    address = bind(socket, "tcp://127.0.0.1:0")
    assert (parse(address).port or 0) > 0


def test_a_held_port_is_named(socket):
    """A second server is told which address is taken."""
    address = bind(socket, "tcp://127.0.0.1:*")
    with zmq.Context() as context, context.socket(zmq.PUB) as second, pytest.raises(AddressInUse, match=address):
        bind(second, address)


def test_a_file_in_the_place_of_a_socket_is_not_deleted(socket, tmp_path):
    """libzmq deletes whatever lies at the path it binds: here somebody's video."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"precious")
    with pytest.raises(TransportError, match=r"clip\.mp4: there is a file that is no socket"):
        bind(socket, f"ipc://{video}")
    assert video.read_bytes() == b"precious"


def test_a_held_ipc_path_is_not_taken_away(socket, tmp_path):
    """libzmq would unlink the first one's file; a path left behind by a dead process is taken over."""
    address = bind(socket, f"ipc://{tmp_path}/s")
    with zmq.Context() as context, context.socket(zmq.PUB) as second:
        with pytest.raises(AddressInUse):
            bind(second, address)
        with socketlib.socket(socketlib.AF_UNIX) as dead:
            dead.bind(f"{tmp_path}/dead")
        assert bind(second, f"ipc://{tmp_path}/dead") == f"ipc://{tmp_path}/dead"


@pytest.mark.parametrize("endpoint", ["ipc:///nowhere/at/all", "tcp://192.0.2.1:5556"])
def test_an_address_of_another_machine_is_one_clear_line(socket, endpoint):
    """Neither a missing folder nor a foreign address shows a ZMQError."""
    with pytest.raises(TransportError, match="can't listen on"):
        bind(socket, endpoint, insecure=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pass@cam.lan:554/x", "rtsp://***@cam.lan:554/x"),
        ("can't open 'rtsp://user:p@s/s@cam/x'", "can't open 'rtsp://***@cam/x'"),
        ("http://cam/v?user=me&password=secret&size=2", "http://cam/v?user=***&password=***&size=2"),
        ("http://cam/v?API_KEY=secret", "http://cam/v?API_KEY=***"),
        ("can't read rtsp:/user:pass@cam.lan/x: no such file", "can't read rtsp:/***@cam.lan/x: no such file"),
        ("rtsp://cam.lan/stream1", "rtsp://cam.lan/stream1"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
    ],
)
def test_credentials_never_show(text, shown):
    """Credentials vanish from addresses; everything else stays readable."""
    assert redact(text) == shown
