"""Key files: certificates as zmq.auth writes them. An error names the file, and never shows what stands in it."""

import os
import re
import stat
import struct
import tempfile
from pathlib import Path

import zmq
from zmq.utils import z85

from bowam_stream.errors import ConfigError

OWN, SERVER, SERVERS, ALLOWED = "own.key_secret", "server.key", "servers", "allowed"

MAX_FILE_BYTES = 16 * 1024  # a certificate has 400

_Z85 = re.compile(rb"[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


def is_key(text: bytes) -> bool:
    """Whether this is a CURVE key in Z85."""
    try:
        return _Z85.fullmatch(text) is not None and len(z85.decode(text)) == 32
    except struct.error:  # five characters that are more than 32 bits
        return False


def read_certificate(file: Path) -> tuple[bytes, bytes | None]:
    """Public and, if it is there, secret key of a file. Raises ConfigError, which never shows what stands in it."""
    from zmq.auth import load_certificate

    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file} is no key; make a pair with: bowam keygen")
        public, secret = load_certificate(file)
    except OSError as error:
        raise ConfigError(f"can't read the key {file}: {error.strerror or 'no such file'}") from None
    except ValueError:
        raise ConfigError(f"{file} is no key; make a pair with: bowam keygen") from None
    if not is_key(public) or (secret is not None and not is_key(secret)):
        raise ConfigError(f"{file} is damaged: its key is not 40 characters of Z85; copy it anew")
    return public, secret


def read_pair(file: Path) -> tuple[bytes, bytes]:
    """Public and secret key of a file that nobody else may read. Raises ConfigError."""
    if not file.exists():
        raise ConfigError(f"there is no key {file}; make one with: bowam keygen {file.stem} --out {file.parent}")
    public, secret = read_certificate(file)
    if secret is None:
        raise ConfigError(f"{file} holds only the public half of a key; it needs the .key_secret that was made with it")
    status = file.stat()
    # As ssh has it; a file of root may be shared with a group, which is how Kubernetes hands out secrets (fsGroup).
    others = stat.S_IRWXO | (stat.S_IRWXG if status.st_uid == os.geteuid() else 0)
    if status.st_mode & others:
        raise ConfigError(f"the secret key {file} can be read by others; protect it with: chmod 600 {file}")
    if zmq.curve_public(secret) != public:
        raise ConfigError(f"{file} is damaged: its two halves don't belong together; copy it anew")
    return public, secret


def write_pair(name: str, folder: Path) -> tuple[Path, Path]:
    """Make NAME.key and NAME.key_secret (mode 0600). Raises ConfigError if one is there already."""
    from zmq.auth import create_certificates

    folder.mkdir(parents=True, exist_ok=True)
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    for file in (public, secret):
        if os.path.lexists(file):
            raise ConfigError(f"{file} is there already; choose another name, or take it away if nobody uses it")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".keygen-") as private:  # mode 0700
        create_certificates(private, name)
        for file, mode in ((secret, 0o600), (public, 0o644)):
            made = Path(private) / file.name
            made.chmod(mode)
            try:
                os.link(made, file)  # unlike a rename, it overwrites nothing
            except FileExistsError:
                raise ConfigError(f"{file} is there already; choose another name") from None
    return public, secret
