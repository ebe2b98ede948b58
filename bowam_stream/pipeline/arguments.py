"""Arguments that must not show: whoever lists the processes of a machine reads their command lines.

A command line with credentials (rtsp://user:password@camera) becomes one without: the true arguments travel in a file
that has no name (memfd_create), whose descriptor the process inherits, reads and closes before it does anything else.
What a person typed shows until Python runs; `-` reads an address from standard input instead.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from bowam_stream.credentials import redact

VARIABLE = "BOWAM_ARGUMENTS_FD"
"""Number of that descriptor, in the environment of a process whose arguments were hidden."""


def shown(argument: str) -> str:
    """What may be seen of an argument."""
    return redact("".join(argument.split()) if ":/" in argument and "@" in argument else argument)


def without_credentials(text: str) -> str:
    """A message without those of any address, nor those of our own arguments, in whatever form it repeats them."""
    for argument in sys.argv[1:]:
        text = text.replace(argument, shown(argument))
    return redact(text)


@contextlib.contextmanager
def hidden(arguments: Sequence[str]) -> Iterator[tuple[list[str], Mapping[str, str], tuple[int, ...]]]:
    """The arguments to start a process with, what its environment must say, and the descriptors that it inherits."""
    visible = [shown(argument) for argument in arguments]
    if visible == list(arguments):
        yield visible, {}, ()
        return
    descriptor = os.memfd_create("bowam-arguments")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(b"\0".join(map(os.fsencode, arguments)))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield visible, {VARIABLE: str(descriptor)}, (descriptor,)
    finally:
        os.close(descriptor)


def hide_ours() -> None:
    """Hide the arguments of this process, which starts anew for that, or take back those that were hidden."""
    if descriptor := os.environ.pop(VARIABLE, None):
        with open(int(descriptor), "rb") as file:
            sys.argv[1:] = map(os.fsdecode, file.read().split(b"\0"))
        return
    with hidden(sys.argv[1:]) as (visible, environment, descriptors):
        if descriptors:
            for one in descriptors:
                os.set_inheritable(one, True)
            interpreter = sys.orig_argv[: len(sys.orig_argv) - len(visible)]
            os.execve(sys.executable, [*interpreter, *visible], {**os.environ, **environment})
