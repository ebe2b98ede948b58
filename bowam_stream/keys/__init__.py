"""Who may connect to whom: CURVE keys for every ZeroMQ socket, in one folder.

    own.key_secret     who we are (`bowam keygen` makes it); nobody else may read it
    allowed/*.key      the public keys of those who may connect to us; we ourselves always may
    server.key         the public key of whom we connect to, servers/HOST.key where one of several has another

Without server.key, whoever we connect to on this machine must have our own key. What travels between two sockets with
keys is encrypted, and a stranger gets an end of the connection before the first message. A key that is put into
`allowed` or taken away counts from the next handshake on. A client whose handshake fails connects again with the keys
that lie there then, so server.key may be replaced while it runs. Files are certificates of zmq.auth (ZPL).

    files.py      the certificates: read, checked, made        guard.py   who may connect to a listening socket
    keyring.py    the keys of a process, `bind` and `connect`   links.py   connections that heal when keys change
"""

from bowam_stream.keys.files import ALLOWED, OWN, SERVER, SERVERS, write_pair
from bowam_stream.keys.guard import REFUSALS
from bowam_stream.keys.keyring import Keys, KeySettings, bind, connect, open_keys
from bowam_stream.keys.links import Links

__all__ = [
    "ALLOWED",
    "OWN",
    "REFUSALS",
    "SERVER",
    "SERVERS",
    "KeySettings",
    "Keys",
    "Links",
    "bind",
    "connect",
    "open_keys",
    "write_pair",
]
