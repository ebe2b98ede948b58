"""Where a report comes from: command, date, machine, versions, and the settings with their defaults."""

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.credentials import redact

PACKAGES = ("bowam-stream", "mediapipe", "opencv-contrib-python", "torch", "openvino", "numpy", "av", "plotly")
CPU_FILE = Path("/proc/cpuinfo")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What made a report; whoever calls knows the time and the command."""

    command: str  # as typed, without credentials
    made_utc_ns: int
    machine: str  # the processor
    cores: int
    system: str

    @property
    def made(self) -> str:
        """The date for people."""
        return datetime.fromtimestamp(self.made_utc_ns / NS_PER_SECOND, UTC).strftime("%Y-%m-%d %H:%M UTC")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a run."""

    name: str  # with dots
    value: str
    default: str | None  # None: it has none

    @property
    def changed(self) -> bool:
        return self.default is not None and self.value != self.default


def origin(command: str, made_utc_ns: int) -> Origin:
    """This machine, with the command and the date given."""
    return Origin(
        command=redact(command),
        made_utc_ns=made_utc_ns,
        machine=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Python and those of PACKAGES that are installed."""
    found = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def flat(settings: object) -> tuple[Setting, ...]:
    """Nested settings (structs or mappings) as dotted names, in their order."""
    return tuple(_flat(settings, "", None))


def _flat(value: object, name: str, default: str | None) -> Iterator[Setting]:
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            yield from _flat(getattr(value, field.name), f"{name}.{field.name}", _default(field))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}", None)
    elif value is not None or name:
        yield Setting(name=name.lstrip("."), value=redact(_text(value)), default=default)


def _default(field: msgspec.structs.FieldInfo) -> str | None:
    if field.default is not msgspec.NODEFAULT:
        return _text(field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return _text(field.default_factory())
    return None


def _text(value: object) -> str:
    """As a person would write it in a settings file."""
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "–" if value is None else str(value)


def _processor() -> str:
    try:
        names = [line.partition(":")[2].strip() for line in CPU_FILE.read_text().splitlines() if "model name" in line]
    except OSError:  # not Linux
        names = []
    return next(iter(names), "") or platform.processor() or platform.machine()
