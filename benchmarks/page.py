"""The live page: from an event's publication to its card in a browser, and what page and worker cost with and without.

The browser says with its own clock (Date.now, whole milliseconds) when a MutationObserver saw the card; the journal
says when the record was published. Both run on this machine, and the browser's own work counts.
"""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, report
from benchmarks.processes import Numbers, Ports, running, until
from bowam_stream.events import Journal
from tests.system.browser import Browser
from tests.system.processes import memory_mb

RATE_HZ, SECONDS, EVERY_S = 30.0, 30.0, 1.5
EVENTS, WINDOW_S, WINDOWS = 50, 6.0, 5
TICKS = os.sysconf("SC_CLK_TCK")
WATCH = """
const key = (card) => card.dataset.event + '/' + card.dataset.phase;
window.before = new Set([...document.querySelectorAll('[data-event]')].map(key));
window.came = {};
new MutationObserver(() => document.querySelectorAll('[data-event]').forEach((card) => {
  if (!window.before.has(key(card))) window.came[key(card)] ||= Date.now();
})).observe(document.body, {subtree: true, childList: true, attributes: true});
"""


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def share(pids: list[int]) -> list[list[float]]:
    """Percent of a core that each process takes, over some windows of time."""
    shares: list[list[float]] = [[] for _ in pids]
    for _ in range(WINDOWS):
        before, started = [cpu_s(pid) for pid in pids], time.monotonic()
        time.sleep(WINDOW_S)
        spent_s = time.monotonic() - started
        for values, pid, was in zip(shares, pids, before, strict=True):
            values.append(100 * (cpu_s(pid) - was) / spent_s)
    return shares


def delays(browser: Browser, journal: Path) -> list[float]:
    """Publication of every record that the browser saw come, to its card, in ms."""
    came: dict[str, float] = browser.run("return window.came")
    with Journal.open_readonly(journal) as book:
        records = {f"{event.event_id}/{event.phase}": event for event in book.since({})}
    return [
        at_ms - records[key].delivery.published_utc_ns / 1e6  # type: ignore[union-attr]
        for key, at_ms in came.items()
        if key in records and records[key].delivery is not None
    ]


def measured(preview: bool) -> list[Row]:
    """One run: nobody looks, then a browser does."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, ports = Path(name), Ports.free()
        video, settings = clip(folder, RATE_HZ, SECONDS, EVERY_S), ports.write(folder)
        settings.write_text(settings.read_text() + f"[page]\npreview = {str(preview).lower()}\n")
        worker = stack.enter_context(running("worker", "--config", settings))
        until(lambda: Numbers(ports.worker).total("bowam_link_up") >= 0, "a worker's start")
        stack.enter_context(running("capture", "--as-live", "--loops", "20", "--config", settings, video))
        until(lambda: Numbers(ports.worker).total("bowam_frames_received_total") > 60, "frames")
        what = "with preview" if preview else "without preview"
        rows = [row(f"{what}: worker, no page", share([worker.pid])[0])] if not preview else []
        address, page = opened(settings, stack)
        alone = share([page.pid])[0] if not preview else []
        if alone:
            rows.append(row(f"{what}: page, no browser", alone))
        browser = Browser()
        stack.callback(browser.driver.quit)
        browser.driver.get(address)
        until(lambda: bool(browser.all("[data-event]")), "the page")
        browser.run(WATCH)
        before_mb = memory_mb(page.pid)
        time.sleep(WINDOW_S)
        both = share([page.pid, worker.pid])
        rows += [row(f"{what}: page, one browser", both[0], "< 10"), row(f"{what}: worker, one browser", both[1])]
        if not preview:
            started = time.monotonic()
            while len(came := delays(browser, folder / "journal.sqlite")) < EVENTS:
                time.sleep(1.0)
                if time.monotonic() - started > 120:
                    break
            head = f"{len(came)} records, publication to the card in the browser"
            for figure, part, target in (("median", 50, "<= 200"), ("P95", 95, ""), ("worst", 100, "")):
                value = float(np.percentile(came, part))
                rows.append(Row(what=f"{head}: {figure}", value=Spread.of([value]), unit="ms", target=target))
        minutes = (WINDOW_S * (WINDOWS + 1)) / 60
        grown = memory_mb(page.pid) - before_mb
        rows.append(
            Row(what=f"{what}: page, growth in {minutes:.1f} min and more", value=Spread.of([grown]), unit="MB")
        )
        dropped = Numbers(ports.worker).total("bowam_frames_dropped_total")
        rows.append(Row(what=f"{what}: frames dropped by the worker", value=Spread.of([dropped]), unit=""))
        return rows


def opened(settings: Path, stack: ExitStack) -> tuple[str, "subprocess.Popen[Any]"]:
    """A page on a free port, and its address."""
    port = Ports.free().worker
    page = stack.enter_context(running("page", "--port", str(port), "--config", settings))
    address = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        import urllib.request

        with urllib.request.urlopen(address, timeout=2) as answer:
            return int(answer.status) == 200

    until(answers, "the page's start")
    return address, page


def row(what: str, values: list[float], target: str = "") -> Row:
    """A share of a core."""
    return Row(what=what, value=Spread.of(values), unit="%", target=target)


def run() -> None:
    rows = measured(preview=False) + measured(preview=True)
    report("page", rows, f"one camera at {RATE_HZ:.0f} fps, one headless Chromium; shares of one core")
