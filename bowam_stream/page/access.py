"""Where the page listens and who may see it, checked before anything starts."""

import errno
import hashlib
import hmac
import ipaddress
import socket
from pathlib import Path

import msgspec

from bowam_stream.addresses import LOCAL_NAMES
from bowam_stream.config import PageSettings
from bowam_stream.errors import AddressInUse, ConfigError, TransportError

LEAST_TOKEN = 16  # characters
MOST_TOKEN = 1024


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser needs."""

    host: str
    token: str | None  # the word that it must know
    certificate: str | None  # of HTTPS
    certificate_key: str | None

    @property
    def scheme(self) -> str:
        return "http" if self.certificate is None else "https"

    @property
    def cookie(self) -> str | None:
        """What a browser carries once it has shown the token; the token itself can't be read from it."""
        if self.token is None:
            return None
        return hmac.new(self.token.encode(), b"bowam page", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Whether this is the token, in a time that does not tell how much of it is right."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def carries(self, cookie: str) -> bool:
        """Whether this is the cookie of somebody who knew the token."""
        return self.cookie is None or hmac.compare_digest(cookie.encode(), self.cookie.encode())


def access_of(settings: PageSettings) -> Access:
    """Read token and certificate. Raises ConfigError with what to do where strangers could look, or a file is wrong."""
    token = None if settings.token is None else _token(Path(settings.token))
    if (settings.certificate is None) != (settings.certificate_key is None):
        raise ConfigError("[page] certificate and certificate_key belong together; set both")
    for file in filter(None, (settings.certificate, settings.certificate_key)):
        if not Path(file).is_file():
            raise ConfigError(f"can't read {file}: there is no such file; [page] certificate and key are PEM files")
    if not _loopback(settings.host) and not settings.insecure and (token is None or settings.certificate is None):
        lacks = " and ".join(
            name
            for name, there in (("token", token), ("certificate and certificate_key", settings.certificate))
            if not there
        )
        raise ConfigError(
            f"the page at {settings.host} can be seen from other machines: set {lacks} in [page] (a file with a word "
            "from `openssl rand -hex 16`; PEM files for HTTPS), stay at host 127.0.0.1, or say --insecure"
        )
    return Access(
        host=settings.host,
        token=token,
        certificate=settings.certificate,
        certificate_key=settings.certificate_key,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises AddressInUse, TransportError."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise TransportError(f"the page can't listen on {where}: {error.strerror}; choose another --host") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"port {port} is in use by another process, perhaps another page; choose another with --port "
                "(bowam live: --page-port), or 0 for a free one"
            ) from None
        raise TransportError(f"the page can't listen on {where}: {error.strerror}; choose another") from None
    return listening


def names_of_this_machine() -> frozenset[str]:
    """What a browser may call us, lower case, besides numbers."""
    own = socket.gethostname().lower()
    return frozenset({*LOCAL_NAMES, own, f"{own}.local", socket.getfqdn().lower()})


def _loopback(host: str) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(file: Path) -> str:
    try:
        if not file.is_file():
            raise ConfigError(f"can't read the token {file}: there is no such file; `openssl rand -hex 16 > {file}`")
        word = file.read_bytes()[: MOST_TOKEN + 1].decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"can't read the token {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        word = ""
    if not LEAST_TOKEN <= len(word) <= MOST_TOKEN or not word.isprintable() or " " in word:
        raise ConfigError(
            f"the token in {file} must be one word of {LEAST_TOKEN} ASCII characters or more; "
            f"`openssl rand -hex 16 > {file}` makes one"
        )
    return word
