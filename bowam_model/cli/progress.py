"""Progress bars of long commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left, for a terminal and after two seconds; nothing otherwise. Yields `advance(n)`."""
    done = 0
    with stages() as on_progress:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            on_progress(f"{what}, {unit}", done, total)

        yield advance


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """The same for work in several stages. Yields `on_progress(what, done, total)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False, rate="-")
        total_now = 0

        def on_progress(what: str, done: int, total: int) -> None:
            nonlocal total_now
            if total != total_now:  # another stage
                total_now = total
                bar.reset(task, total=total, visible=False)
            state = bar.tasks[0]
            late = (state.elapsed or 0.0) > 2.0
            bar.update(task, description=what, completed=done, visible=late, rate=f"{state.speed or 0:.1f}")

        yield on_progress
