"""What is known of a fleet: which camera runs where, where its events are heard, and what Prometheus shall scrape.

fleet.json and targets.json are written whenever something changes, as a whole or not at all.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from bowam_stream.config import Config
from bowam_stream.fleet.host import Report
from bowam_stream.fleet.orders import Orders, name_of
from bowam_stream.fleet.plan import Capture, Crew, Plan, Worker, events_at, frames_at, metrics_at

SCHEMA = "bowam.fleet/1"
STATE_FILE, TARGETS_FILE = "fleet.json", "targets.json"

State = Literal["waiting", "starting", "running", "failed", "ended"]
Answer = Report | str
"""What a crew says of itself, or why it says nothing."""


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker. What stands under `node` and below is where it runs, or ran last; None: nowhere yet."""

    state: State
    why: str | None
    cameras: tuple[str, ...]
    node: str | None = None
    events: str | None = None  # endpoint of its event topic
    journal_endpoint: str | None = None
    journal: str | None = None  # file on its node
    metrics: str | None = None  # host:port


class CameraState(msgspec.Struct, frozen=True, kw_only=True):
    """One camera, and where its events are heard; see WorkerState."""

    state: State
    why: str | None
    worker: str
    node: str | None = None  # where it is captured
    events: str | None = None
    journal_endpoint: str | None = None
    metrics: str | None = None  # of its capture


class FleetState(msgspec.Struct, frozen=True, kw_only=True):
    """fleet.json."""

    schema: str
    cameras: dict[str, CameraState]
    workers: dict[str, WorkerState]


class Board:
    """Takes the answers of the crews."""

    def __init__(self, plan: Plan, config: Config, journals: str) -> None:
        self._plan = plan
        self._workers = plan.workers  # by camera
        self._config = config
        self._journals = journals
        self._orders = msgspec.json.encode(config)
        self._reports: dict[str, Report] = {}  # the last of each crew
        self._silent: dict[str, str] = {crew.name: "it has no node yet" for crew in plan.crews}  # and why
        self._told: dict[str, tuple[str, str | None, str | None]] = {}
        self._written: dict[str, bytes] = {}
        self.state = self._look()  # as fleet.json tells it

    def orders(self) -> dict[str, Orders]:
        """What shall run, by crew."""
        elsewhere = {}
        for crew in self._plan.crews:
            if crew.worker is None and (report := self._reports.get(crew.name)):
                (capture,) = crew.captures
                elsewhere[capture.camera.name] = frames_at(capture, crew, self._config, report.address)
        orders = {}
        for crew in self._plan.crews:
            theirs = crew.worker.cameras if crew.worker else ()
            far = {name: endpoint for name, endpoint in elsewhere.items() if name in theirs}
            orders[crew.name] = Orders(crew, self._orders, self._journals, far)
        return orders

    def hear(self, answers: Mapping[str, Answer]) -> list[str]:
        """Take what the crews said; a line for everything that changed and that a person wants to know."""
        for crew, answer in answers.items():
            if isinstance(answer, Report):
                self._reports[crew] = answer
                self._silent.pop(crew, None)
            else:
                self._silent[crew] = answer
        self.state = self._look()
        return list(self._news())

    @property
    def over(self) -> bool:
        """Whether every camera was a recording that is over."""
        return all(camera.state == "ended" for camera in self.state.cameras.values())

    def targets(self) -> list[dict[str, Any]]:
        """Prometheus's file_sd format. What has no node now keeps its last address, so that its alert fires."""
        cameras, workers = self.state.cameras.items(), self.state.workers.items()
        return [
            *(_target(one.metrics, job="bowam-capture", camera=name) for name, one in cameras if one.metrics),
            *(_target(one.metrics, job="bowam-worker", worker=name) for name, one in workers if one.metrics),
        ]

    def write(self, folder: Path) -> None:
        """Both files, each if it changed."""
        for name, content in ((STATE_FILE, self.state), (TARGETS_FILE, self.targets())):
            text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
            if self._written.get(name) != text:
                _replace(folder / name, text)
                self._written[name] = text

    def end(self) -> None:
        """Nothing runs any more."""
        for crew in self._plan.crews:
            self._silent[crew.name] = "the fleet was ended"
        self.state = self._look()

    def _look(self) -> FleetState:
        workers = {
            crew.worker.name: self._worker(crew, crew.worker) for crew in self._plan.crews if crew.worker is not None
        }
        cameras = {
            one.camera.name: self._camera(crew, one, workers) for crew in self._plan.crews for one in crew.captures
        }
        return FleetState(schema=SCHEMA, cameras=cameras, workers=workers)

    def _news(self) -> Iterator[str]:
        for worker, told in self.state.workers.items():
            if self._changed(f"worker {worker}", told.state, told.why, told.node):
                yield _line(f"worker {worker}", told)
                if told.state == "running":
                    keys = f" --keys {folder}" if (folder := self._config.keys.folder) else ""
                    yield f"  bowam subscribe --endpoint {told.events} --journal-endpoint {told.journal_endpoint}{keys}"
        for camera, seen in self.state.cameras.items():
            if self._changed(f"camera {camera}", seen.state, seen.why, seen.node):
                yield _line(f"camera {camera}", seen)

    def _changed(self, who: str, state: State, why: str | None, node: str | None) -> bool:
        """Whether a person wants to know: how it starts, step by step, is no news."""
        now = (state, why, node)
        if state == "starting" or now == self._told.get(who):
            return False
        self._told[who] = now
        return True

    def _of(self, crew: Crew, process: Capture | Worker) -> tuple[State, str | None, Report | None]:
        report = self._reports.get(crew.name)
        if why := self._silent.get(crew.name):
            return "waiting", why, report
        assert report is not None
        condition = report.conditions[name_of(process)]
        return condition.state, condition.why, report

    def _worker(self, crew: Crew, worker: Worker) -> WorkerState:
        state, why, report = self._of(crew, worker)
        if report is None:
            return WorkerState(state=state, why=why, cameras=worker.cameras)
        events, journal = events_at(worker, self._config, report.address)
        return WorkerState(
            state=state,
            why=why,
            cameras=worker.cameras,
            node=report.node,
            events=events,
            journal_endpoint=journal,
            journal=f"{Path(self._journals) / worker.name}.sqlite",
            metrics=metrics_at(worker, self._config, report.address),
        )

    def _camera(self, crew: Crew, capture: Capture, workers: Mapping[str, WorkerState]) -> CameraState:
        state, why, report = self._of(crew, capture)
        name = self._workers[capture.camera.name].name
        worker = workers[name]
        return CameraState(
            state=state,
            why=why,
            worker=name,
            node=report.node if report else None,
            events=worker.events,
            journal_endpoint=worker.journal_endpoint,
            metrics=metrics_at(capture, self._config, report.address) if report else None,
        )


def read_state(path: Path) -> FleetState:
    """What stands in a fleet.json."""
    return msgspec.json.decode(path.read_bytes(), type=FleetState)


def _target(address: str, **labels: str) -> dict[str, Any]:
    return {"targets": [address], "labels": labels}


def _line(who: str, told: WorkerState | CameraState) -> str:
    where = f" on {told.node}" if told.node and told.state != "waiting" else ""
    return f"{who}: {told.state}{where}{f': {told.why}' if told.why else ''}"


def _replace(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    os.replace(new, file)
