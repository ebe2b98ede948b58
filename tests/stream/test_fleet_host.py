"""A crew on its node: started, watched, tried again; and what is told of all crews."""

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bowam_stream.config import Config, MetricsSettings
from bowam_stream.errors import ProcessFailed
from bowam_stream.fleet.board import SCHEMA, Answer, Board, read_state
from bowam_stream.fleet.host import ASK_EVERY_S, Condition, Host, Report, ask
from bowam_stream.fleet.orders import Orders, may_end
from bowam_stream.fleet.plan import Crew, Plan, plan
from bowam_stream.fleet.running import Here, run_fleet
from bowam_stream.fleet.settings import CameraSettings, FleetSettings, WorkerSettings
from bowam_stream.keys import KeySettings
from bowam_stream.metrics import CaptureMetrics, MetricsServer
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.supervisor import Supervisor

ADDRESS = "10.0.0.7"
SECRET = "Geh3im"


class FakeChild:
    """A process that does what the test says."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.running = True
        self.error: str | None = None

    def watch(self, now_s: float) -> None:
        if self.error:
            raise ProcessFailed(self.error)


class Fakes:
    """Stands for the supervisor, for what processes answer, and for the clock."""

    def __init__(self) -> None:
        self.running: dict[str, FakeChild] = {}
        self.started: list[str] = []
        self.busy = False
        self.why: dict[int, str | None] = {}
        self.t_s = 100.0

    def start(self, name: str, arguments: Sequence[str], again: Sequence[str] = (), *, vital: bool = True) -> FakeChild:
        assert name not in self.running, "two of a kind"
        self.started.append(name)
        child = self.running[name] = FakeChild(arguments)
        return child

    def dismiss(self, child: FakeChild) -> None:
        del self.running[next(name for name, one in self.running.items() if one is child)]

    def end(self) -> None:
        self.running.clear()

    def ask(self, host: str, port: int) -> str | None:
        if self.busy:
            raise TimeoutError
        return self.why.get(port)

    def host(self) -> Host:
        return Host("a crew", ADDRESS, supervisor=self, ask=self.ask, now_s=lambda: self.t_s)  # type: ignore[arg-type]


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def host(fakes: Fakes) -> Iterator[Host]:
    host = fakes.host()
    yield host
    host.end()


def fleet(*sources: str, config: Config | None = None, **options: object) -> tuple[Plan, Board]:
    cameras = tuple(CameraSettings(name=f"c{n}", source=source, **options) for n, source in enumerate(sources))  # type: ignore[arg-type]
    planned = plan(FleetSettings(cameras=cameras, cameras_per_worker=2, ports=(5000, 5099)))
    return planned, Board(planned, config or Config(), "journals")


def orders_of(crew: Crew, folder: Path, config: Config | None = None, **elsewhere: str) -> Orders:
    return Orders(crew, msgspec.json.encode(config or Config()), str(folder / "journals"), elsewhere)


def test_a_worker_and_its_cameras_are_started_with_addresses_that_fit(host: Host, fakes: Fakes, tmp_path: Path) -> None:
    """The worker fetches where the captures publish, on this node; everybody has a port of its own."""
    camera = CameraSettings(name="door", source="rtsp://h/x", consent=False, rate_hz=100.0)
    (crew,) = plan(FleetSettings(cameras=(camera,), ports=(5000, 5099))).crews
    report = host.turn(orders_of(crew, tmp_path))
    worker, capture = (fakes.running[name].arguments for name in ("worker worker-1", "capture door"))
    assert fakes.started[0] == "worker worker-1", "it hears the first frames"
    file = next(word for word in worker if word.startswith("--config="))
    assert worker == [
        *("worker", file, "--frames=tcp://127.0.0.1:5000", "--endpoint=tcp://127.0.0.1:5097"),
        *("--journal-endpoint=tcp://127.0.0.1:5098", f"--journal={tmp_path}/journals/worker-1.sqlite"),
        "--metrics-port=5099",
    ]
    assert capture == [
        *("capture", "--as-live", "--wait", file, "--frames=tcp://127.0.0.1:5000", "--metrics-port=5001"),
        *("--camera=door", "--no-consent", "--rate=100.0", "--", "rtsp://h/x"),
    ]
    assert (tmp_path / "journals").is_dir()
    assert report.address == ADDRESS
    assert host.turn(orders_of(crew, tmp_path)).conditions == {
        "worker worker-1": Condition("running"),
        "capture door": Condition("running"),
    }
    assert len(fakes.started) == 2, "what runs as it should is left alone"


def test_settings_reach_the_processes_with_the_key_and_the_address_of_the_node(host: Host, tmp_path: Path) -> None:
    """Beyond this machine only what was allowed."""
    (crew,) = plan(FleetSettings(cameras=(CameraSettings(name="a", source="0"),))).crews
    config = Config(
        keys=KeySettings(folder="/keys", server="other.key"), metrics=MetricsSettings(insecure=True, host="elsewhere")
    )
    host.turn(orders_of(crew, tmp_path, config))
    (file,) = host._folder.glob("*.json")
    told = msgspec.json.decode(file.read_bytes(), type=Config)
    assert told.keys == KeySettings(folder="/keys", server="own.key_secret")
    assert told.metrics.host == ADDRESS


def test_a_password_may_stay_in_a_file_of_the_node(host: Host, fakes: Fakes, tmp_path: Path) -> None:
    """Read again and again: a new password is taken; a file that is not there keeps nobody else from working."""
    address = tmp_path / "door.address"
    cameras = (CameraSettings(name="door", source_file=str(address)), CameraSettings(name="b", source="0"))
    (crew,) = plan(FleetSettings(cameras=cameras)).crews
    orders = orders_of(crew, tmp_path)
    failed = host.turn(orders).conditions["capture door"]
    assert failed.state == "failed"
    assert "can't read" in str(failed.why)
    assert host.turn(orders).conditions["capture b"] == Condition("running")
    address.write_text(f"rtsp://u:{SECRET}@host/x\n# the one at the entrance\n")
    host.turn(orders)
    assert fakes.running["capture door"].arguments[-1] == f"rtsp://u:{SECRET}@host/x"
    address.unlink()
    assert host.turn(orders).conditions["capture door"].state == "running"
    address.write_text("rtsp://u:new@host/x")
    host.turn(orders)
    assert fakes.running["capture door"].arguments[-1] == "rtsp://u:new@host/x"
    assert SECRET not in repr(orders)


def test_what_failed_is_tried_again_later_and_later_and_disturbs_nobody(
    host: Host, fakes: Fakes, tmp_path: Path
) -> None:
    """2, 4, 8 ... 60 s; soon again once it ran for a while. Its reason is told without credentials."""
    planned, _ = fleet("0", "1")
    orders = orders_of(planned.crews[0], tmp_path)
    pauses = []
    for _ in range(7):
        host.turn(orders)
        fakes.running["capture c0"].error = f"rtsp://u:{SECRET}@h/x: 401"
        assert host.turn(orders).conditions["capture c0"].state == "failed"
        began_s = fakes.t_s
        while "capture c0" not in fakes.running:
            fakes.t_s += 0.5
            told = host.turn(orders).conditions
        pauses.append(fakes.t_s - began_s)
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    assert told["capture c1"] == Condition("running")
    assert fakes.started.count("capture c1") == fakes.started.count("worker worker-1") == 1
    fakes.t_s += 61.0
    fakes.running["capture c0"].error = f"rtsp://u:{SECRET}@h/x: 401"
    why = str(host.turn(orders).conditions["capture c0"].why)
    assert why == "rtsp://***@h/x: 401; trying again after 2 s"


def test_a_recording_ends_and_a_camera_or_a_worker_never_does(host: Host, fakes: Fakes, tmp_path: Path) -> None:
    """What ends unasked is started again, also if it ended well."""
    planned, _ = fleet("0", "/data/clip.mp4")
    orders = orders_of(planned.crews[0], tmp_path)
    host.turn(orders)
    for child in fakes.running.values():
        child.running = False
    conditions = host.turn(orders).conditions
    assert {name: one.state for name, one in conditions.items()} == {
        "worker worker-1": "failed",
        "capture c0": "failed",
        "capture c1": "ended",
    }
    fakes.t_s += 60.0
    assert host.turn(orders).conditions["capture c1"] == Condition("ended")
    assert sorted(fakes.running) == ["capture c0", "worker worker-1"]
    assert may_end(["capture", "test://pattern"])
    assert not may_end(["capture", "rtsp://h/x"])


def test_a_process_that_runs_says_why_it_is_not_ready(host: Host, fakes: Fakes, tmp_path: Path) -> None:
    """Asked once a second; one that is too busy to answer stays what it was."""
    planned, _ = fleet("0")
    orders = orders_of(planned.crews[0], tmp_path)
    fakes.why[5001] = "no stream is open"
    assert host.turn(orders).conditions["capture c0"] == Condition("starting", "no stream is open")
    fakes.why.clear()
    assert host.turn(orders).conditions["capture c0"].state == "starting"
    fakes.t_s += ASK_EVERY_S
    assert host.turn(orders).conditions["capture c0"].state == "running"
    fakes.busy = True
    fakes.t_s += ASK_EVERY_S
    assert host.turn(orders).conditions["capture c0"].state == "running"


def test_readyz_is_what_is_asked() -> None:
    """Of a real server: ready, not ready, gone."""
    why: list[str | None] = ["no\nstream"]
    with MetricsServer(CaptureMetrics(["a"]), port=0, ready=lambda: why[0]) as server:
        assert ask("127.0.0.1", server.port) == "no\\nstream"
        why[0] = None
        assert ask("127.0.0.1", server.port) is None
    assert ask("127.0.0.1", server.port) == "it does not answer yet"
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        ask("127.0.0.1", silent.getsockname()[1])


def test_a_worker_is_told_where_a_camera_of_another_node_went(host: Host, fakes: Fakes, tmp_path: Path) -> None:
    """It is started when the first is found, and anew when one moves; its own captures go on."""
    cameras = (CameraSettings(name="a", source="0", pin="p"), CameraSettings(name="b", source="1", pin="q"))
    workers = (WorkerSettings(name="w", cameras=("a", "b"), pin="p"),)
    planned = plan(FleetSettings(cameras=cameras, workers=workers, ports=(5000, 5099)))
    alone = msgspec.structs.replace(planned.crews[0], captures=())
    assert host.turn(orders_of(alone, tmp_path)).conditions["worker w"].why == "none of its cameras has a node yet"
    near = planned.crews[0]
    host.turn(orders_of(near, tmp_path))
    assert [w for w in fakes.running["worker w"].arguments if "frames" in w] == ["--frames=tcp://127.0.0.1:5000"]
    board = Board(planned, Config(keys=KeySettings(folder="/keys")), str(tmp_path))
    for address in ("10.0.0.8", "10.0.0.9"):
        board.hear({"w/b": Report("n", address, {"capture b": Condition("running")})})
        host.turn(board.orders()["w"])
        frames = [word for word in fakes.running["worker w"].arguments if "frames" in word]
        assert frames == ["--frames=tcp://127.0.0.1:5000", f"--frames=tcp://{address}:5002"]
    board.hear({"w/b": "its node died"})
    host.turn(board.orders()["w"])
    assert fakes.started == ["worker w", "capture a", "worker w", "worker w"]


def answers(crews: Sequence[Crew], state: Any = "running", why: str | None = None) -> dict[str, Answer]:
    return {
        crew.name: Report(
            "node",
            ADDRESS,
            {
                **({f"worker {crew.worker.name}": Condition(state, why)} if crew.worker else {}),
                **{f"capture {one.camera.name}": Condition(state, why) for one in crew.captures},
            },
        )
        for crew in crews
    }


def test_the_state_tells_where_everything_is_and_news_are_told_once() -> None:
    """Waiting, starting, running, moving: a line when it changes, none in between."""
    planned, board = fleet("0", "1", "2", config=Config(keys=KeySettings(folder="k")))
    first, second = planned.crews
    board.hear({first.name: "no node has 9 CPU; it waits for one", second.name: "Ray looks for a node"})
    waiting = board.state
    assert waiting.schema == SCHEMA
    assert waiting.cameras["c0"].why == "no node has 9 CPU; it waits for one"
    assert waiting.cameras["c0"].node is waiting.cameras["c0"].events is waiting.cameras["c0"].metrics is None
    assert board.hear(answers([second], "starting", "warming up")) == []
    news = board.hear(answers([second]))
    assert news == [
        "worker worker-2: running on node",
        f"  bowam subscribe --endpoint tcp://{ADDRESS}:5094 --journal-endpoint tcp://{ADDRESS}:5095 --keys k",
        "camera c2: running on node",
    ]
    assert board.hear(answers([second])) == []
    assert board.hear(answers([second], "starting", "no stream is open")) == []
    assert board.hear(answers([second])) == []
    running = board.state.cameras["c2"]
    assert (running.state, running.worker, running.node) == ("running", "worker-2", "node")
    assert (running.events, running.journal_endpoint) == (f"tcp://{ADDRESS}:5094", f"tcp://{ADDRESS}:5095")
    assert running.metrics == "127.0.0.1:5005"
    assert board.state.workers["worker-2"].journal == "journals/worker-2.sqlite"
    assert board.hear({second.name: "its node died"}) == [
        "worker worker-2: waiting: its node died",
        "camera c2: waiting: its node died",
    ]
    assert board.hear(answers([second], "failed", "port taken"))[1] == "camera c2: failed on node: port taken"


def test_prometheus_finds_every_process_and_keeps_what_died(tmp_path: Path) -> None:
    """A camera without a node keeps its target, so that its alert fires; promtool reads the file."""
    planned, board = fleet("0", "1", "2", config=Config(metrics=MetricsSettings(insecure=True)))
    board.write(tmp_path)
    assert json.loads((tmp_path / "targets.json").read_text()) == []
    board.hear(answers(planned.crews))
    board.hear({crew.name: "its node died" for crew in planned.crews})
    board.write(tmp_path)
    targets = json.loads((tmp_path / "targets.json").read_text())
    assert targets[0] == {"targets": [f"{ADDRESS}:5001"], "labels": {"job": "bowam-capture", "camera": "c0"}}
    assert targets[-1] == {"targets": [f"{ADDRESS}:5096"], "labels": {"job": "bowam-worker", "worker": "worker-2"}}
    assert len(targets) == 5
    if promtool := shutil.which("promtool"):
        (tmp_path / "prometheus.yml").write_text(
            "scrape_configs: [{job_name: bowam, file_sd_configs: [{files: [targets.json]}]}]"
        )
        done = subprocess.run(
            [promtool, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "does not exist" not in done.stdout + done.stderr


def test_the_files_are_written_whole_and_only_where_something_changed(tmp_path: Path) -> None:
    """What a reader finds is one of both, and nothing else is left there."""
    planned, board = fleet(f"rtsp://u:{SECRET}@host/x")
    board.write(tmp_path)
    before = (tmp_path / "fleet.json").stat()
    board.write(tmp_path)
    assert (tmp_path / "fleet.json").stat().st_ino == before.st_ino
    board.hear(answers(planned.crews, "failed", "401"))
    board.write(tmp_path)
    assert (tmp_path / "fleet.json").stat().st_ino != before.st_ino
    assert read_state(tmp_path / "fleet.json") == board.state
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fleet.json", "targets.json"]
    assert SECRET not in "".join(file.read_text() for file in tmp_path.iterdir())


def test_a_fleet_on_this_machine_runs_until_its_recordings_are_over(tmp_path: Path) -> None:
    """Every crew has a host; in the end nothing runs, and the state says so."""
    planned, _ = fleet("/data/a.mp4", "/data/b.mp4", "/data/c.mp4")
    all_fakes: list[Fakes] = []

    def new(crew: str, address: str) -> Host:
        all_fakes.append(Fakes())
        return all_fakes[-1].host()

    class Stop(StopFlag):
        def wait(self, seconds: float) -> bool:
            """Time flies, and every recording is over."""
            for fakes in all_fakes:
                fakes.t_s += seconds
                for name, child in fakes.running.items():
                    child.running = not name.startswith("capture")
            return bool(self)

    news: list[str] = []
    run_fleet(
        planned,
        Config(),
        Here("127.0.0.1", new),
        journals=str(tmp_path / "journals"),
        folder=tmp_path,
        stop=Stop(),
        on_news=news.append,
    )
    assert len(all_fakes) == 2
    assert [fakes.running for fakes in all_fakes] == [{}, {}]
    assert sum("camera" in line and "ended" in line for line in news) == 3
    state = read_state(tmp_path / "fleet.json")
    assert {camera.why for camera in state.cameras.values()} == {"the fleet was ended"}


def test_the_supervisor_ends_one_process_and_captures_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each capture goes by the name of its camera."""
    ended: list[str] = []

    class Child(FakeChild):
        def __init__(self, name: str, *_: object, **__: object) -> None:
            super().__init__([])
            self.name = name

        def end(self, timeout_s: float) -> None:
            ended.append(self.name)

    monkeypatch.setattr("bowam_stream.pipeline.supervisor.Child", Child)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        supervisor = stack.enter_context(Supervisor())
        start: Callable[..., Any] = supervisor.start
        worker, one, _ = start("worker w", []), start("capture a", []), start("capture b", [])
        supervisor.dismiss(one)
        assert ended == ["capture a"]
        assert one not in supervisor.children
    assert ended == ["capture a", "capture b", worker.name]
