"""Run a command as the units and images of deploy/ do: as a user without rights, on read-only file systems.

    unshare --mount python sandbox.py UNIT WRITABLE COMMAND...

WRITABLE is the only folder that can be written to. What UNIT says of system calls and memory holds (SystemCallFilter,
MemoryDenyWriteExecute); its other walls need systemd itself. Needs root, to give it up.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

USER = 10001  # of the images
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 38, 65, 1  # linux/prctl.h
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18  # linux/mount.h
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000  # seccomp.h

libc = ctypes.CDLL(None, use_errno=True)


def settings(unit: Path, name: str) -> list[str]:
    """The values of a setting that may stand more than once."""
    lines = (line.partition("=") for line in unit.read_text().splitlines())
    return [value for key, _, value in lines if key == name]


def group(name: str) -> set[str]:
    """The system calls of a group such as @system-service."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = [line.strip() for line in listed.stdout.splitlines()[1:] if not line.strip().startswith("#")]
    return set().union(*(group(word) for word in words if word))


def allowed(unit: Path) -> set[str]:
    """What SystemCallFilter leaves over; @default is always allowed."""
    found = group("@default")
    for value in settings(unit, "SystemCallFilter"):
        calls = set().union(*(group(word) for word in value.removeprefix("~").split()))
        found = found - calls if value.startswith("~") else found | calls
    return found | group("@default") | {"execve"}


def filter_calls(names: set[str]) -> None:
    """Refuse all other system calls with EPERM, as SystemCallErrorNumber says."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(SCMP_ACT_ERRNO | 1))
    for name in sorted(names):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # those of other machine types are negative
            assert seccomp.seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0) == 0, name
    assert seccomp.seccomp_load(context) == 0, "the kernel refused the filter"


def mount(source: str, target: str, flags: int, kind: str | None = None, data: str | None = None) -> bool:
    """mount(2); tells whether it worked."""
    texts = [text.encode() if text is not None else None for text in (source, target, kind)]
    return libc.mount(*texts, ctypes.c_ulong(flags), data.encode() if data else None) == 0


def make_reachable(path: Path) -> None:
    """Let everybody pass to `path`, in this namespace alone: a folder on the way that is closed is laid over."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & 0o001:
            inside = os.open(path, os.O_PATH)
            assert mount("none", str(parent), 0, "tmpfs", "mode=755")
            path.mkdir(parents=True)
            assert mount(f"/proc/self/fd/{inside}", str(path), MS_BIND | MS_REC)
            os.close(inside)
            return


def main(unit: Path, writable: Path, command: list[str]) -> None:
    """Build the walls, then become the command."""
    calls = allowed(unit)
    assert mount("none", "/", MS_REC | MS_PRIVATE)
    for place in (Path(sys.base_prefix), Path(sys.prefix), Path.cwd(), writable):
        make_reachable(place)
    assert mount(str(writable), str(writable), MS_BIND)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4]
        if place != str(writable) and not place.startswith("/proc"):
            mount("none", place, MS_REMOUNT | MS_BIND | MS_RDONLY)
    os.chdir(os.getcwd())  # it may have been laid over
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)  # the capabilities go with it
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        assert libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0
    filter_calls(calls)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
