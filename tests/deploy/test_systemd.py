"""systemd accepts the units and finds little exposed; their commands and settings are ones that the program knows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bowam_stream.addresses import parse as endpoint
from tests.deploy.commands import DEPLOY, config, parse, switched_on

SYSTEMD = DEPLOY / "systemd"
UNITS = sorted([*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.timer")])
DAEMONS = [SYSTEMD / "bowam-capture@.service", SYSTEMD / "bowam-worker.service"]
PURGE = SYSTEMD / "bowam-journal-purge.service"
PROGRAM = "/opt/bowam/.venv/bin/bowam"

EXPOSURE = {"bowam-capture@.service": 1.6, "bowam-worker.service": 1.2, "bowam-journal-purge.service": 0.4}
"""What `systemd-analyze security` gave, of 10 (systemd 252); network and a camera's device are what is left."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def values(unit: Path, name: str) -> list[str]:
    """The values of a setting, which may stand more than once."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.M)


def command(unit: Path) -> list[str]:
    """The words after the program, of camera cam0."""
    (line,) = values(unit, "ExecStart")
    program, *words = line.replace("%i", "cam0").replace("${METRICS_PORT}", "9101").split()
    assert program == PROGRAM
    return words


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """With a program that exists in the place of ours, and an instance of the template."""
    for unit in UNITS:
        name = unit.name.replace("@.", "@cam0.")
        (tmp_path / name).write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", [*DAEMONS, PURGE], ids=lambda unit: unit.name)
def test_little_is_exposed(unit: Path) -> None:
    """No more than when it was measured."""
    limit = round(EXPOSURE[unit.name] * 10)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", str(unit)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-300:]
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda unit: unit.name)
def test_a_daemon_is_watched_and_started_again_for_ever(unit: Path) -> None:
    """Type=notify and a watchdog; only wrong usage is left alone; memory is bounded."""
    expected = {"Type": "notify", "WatchdogSec": "30", "Restart": "always", "RestartSec": "2"}
    assert {name: values(unit, name)[0] for name in expected} == expected
    assert values(unit, "StartLimitIntervalSec") == ["0"]
    assert values(unit, "RestartPreventExitStatus") == ["2"]
    assert values(unit, "MemoryMax")


@pytest.mark.parametrize("unit", [*DAEMONS, PURGE], ids=lambda unit: unit.name)
def test_no_unit_runs_as_root(unit: Path) -> None:
    """The user is the one that bowam.conf makes."""
    assert values(unit, "User") == ["bowam"]
    assert re.search(r"^u bowam ", (SYSTEMD / "bowam.conf").read_text(), re.M)
    assert values(unit, "NoNewPrivileges") == ["yes"]
    assert values(unit, "CapabilityBoundingSet") == [""]


def test_the_commands_are_known_and_meet_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture listens where the worker of the example settings connects; worker and purge have one journal."""
    (source,) = re.findall(r"^BOWAM_SOURCE=(.+)$", (SYSTEMD / "cam0.env.example").read_text(), re.M)
    monkeypatch.setenv("BOWAM_SOURCE", source)
    settings = config((SYSTEMD / "bowam.toml").read_text())
    capture, worker = (parse(command(unit)) for unit in DAEMONS)
    assert (capture["source"], capture["camera"], capture["wait"]) == (source, "cam0", True)
    assert settings.transport.connect == (capture["frames"],)
    assert str(capture["metrics_port"]) in (SYSTEMD / "cam0.env.example").read_text()
    assert str(worker["journal"]) == settings.events.journal
    assert str(capture["config"]) == str(worker["config"]) == "/etc/bowam/bowam.toml"
    assert endpoint(settings.events.endpoint).local
    assert values(DAEMONS[0], "EnvironmentFile") == ["/etc/bowam/%i.env"]


def test_the_purge_cleans_the_workers_journal_every_day() -> None:
    """The timer has a service of its name."""
    parameters = parse(command(PURGE))
    assert (parameters["older_than"], parameters["journal"]) == ("30d", parse(command(DAEMONS[1]))["journal"])
    assert values(SYSTEMD / "bowam-journal-purge.timer", "OnCalendar") == ["daily"]


def test_the_settings_that_are_shown_as_comments_are_settings() -> None:
    """For subscribers on other machines."""
    settings = config(switched_on("\n".join((SYSTEMD / "bowam.toml").read_text().split("\n\n")[-1].splitlines())))
    assert not endpoint(settings.events.endpoint).local
    assert settings.keys.folder == "/etc/bowam/keys"
