"""FLEET.toml, and who belongs to whom."""

from pathlib import Path

import pytest

from bowam_stream.config import Config, EventSettings, MetricsSettings
from bowam_stream.errors import ConfigError
from bowam_stream.fleet.plan import LOOPBACK, events_at, frames_at, lacking, metrics_at, metrics_host, plan
from bowam_stream.fleet.settings import CameraSettings, FleetSettings, WorkerSettings, load_fleet
from bowam_stream.keys import KeySettings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "fleet" / "fleet.toml"
SECRET = "Geh3im"


def cameras(*names: str, **options: object) -> tuple[CameraSettings, ...]:
    return tuple(CameraSettings(name=name, source="0", **options) for name in names)  # type: ignore[arg-type]


def written(folder: Path, text: str) -> Path:
    file = folder / "fleet.toml"
    file.write_text(text)
    return file


def test_the_example_is_a_fleet() -> None:
    """As it stands in deploy/, with a pinned camera, an explicit worker and a password that stays on its node."""
    settings = load_fleet(EXAMPLE)
    crews = plan(settings).crews
    assert len({camera.name for camera in settings.cameras}) > 2
    assert any(camera.source_file for camera in settings.cameras)
    assert settings.workers
    assert [one.camera.name for crew in crews for one in crew.captures if crew.worker is None] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cameras = []", "there is no camera"),
        ("[[cameras]]\nname = 'a'\nsource = '0'\ncolour = 'red'", r"unknown field `colour` - at `\$.cameras\[0\]`"),
        ("[[cameras]]\nname = 'a b'\nsource = '0'", "matching regex"),
        ("[[cameras]]\nname = 'a'", "camera a: say either source or source_file"),
        ("[[cameras]]\nname = 'a'\nsource = '0'\nsource_file = 'f'", "say either source or source_file"),
        ("[[cameras]]\nname = 'a'\nsource = '-'", "name a video"),
        ("[[cameras]]\nname = 'a'\nsource = '0'\n" * 2, "two cameras are called a"),
        ("[[cameras]]\nname = 'a'\nsource = '0'\n[[workers]]\nname = 'w'\ncameras = ['b']", "worker has b"),
        ("[[cameras]]\nname = 'a'\nsource = '0'\n[[workers]]\nname = 'w'\ncameras = []", "worker w has no camera"),
        (
            "[[cameras]]\nname = 'a'\nsource = '0'\n[[workers]]\nname = 'v'\ncameras = ['a']\n"
            "[[workers]]\nname = 'w'\ncameras = ['a']",
            "two workers have a; a camera belongs to exactly one worker",
        ),
        (f"[[cameras]]\nname = 'a'\nsource = 'rtsp://u:{SECRET}@host/'\nrate_hz = '{SECRET}'", "rate_hz"),
        (f"[[cameras]]\nname = 'a'\nsource = rtsp://u:{SECRET}@host/", "line 3"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_shows_no_value(tmp_path: Path, text: str, words: str) -> None:
    """What stands in the file may be a password."""
    with pytest.raises(ConfigError, match=words) as raised:
        load_fleet(written(tmp_path, text))
    assert str(tmp_path) in str(raised.value)
    assert SECRET not in str(raised.value)


def test_paths_are_seen_from_the_file_and_cameras_stay_as_they_are(tmp_path: Path) -> None:
    """A recording, a folder of settings, a camera, a test pattern, a file with a source."""
    settings = load_fleet(
        written(
            tmp_path,
            "config = 'bowam.toml'\njournals = '/var/lib/bowam'\n"
            + "".join(
                f"[[cameras]]\nname = 'c{index}'\nsource = '{source}'\n"
                for index, source in enumerate(["clip.mp4", "/data/clip.mp4", "0", "rtsp://h/x", "test://pattern"])
            )
            + "[[cameras]]\nname = 'c5'\nsource_file = 'door.address'",
        )
    )
    assert settings.config == str(tmp_path / "bowam.toml")
    assert settings.journals == "/var/lib/bowam"
    assert settings.state == str(tmp_path / "fleet")
    sources = [camera.source for camera in settings.cameras]
    assert sources == [str(tmp_path / "clip.mp4"), "/data/clip.mp4", "0", "rtsp://h/x", "test://pattern", None]
    assert settings.cameras[5].source_file == str(tmp_path / "door.address")


def test_a_camera_shows_no_password() -> None:
    """Neither where it is meant to be seen nor where an error shows what something was called with."""
    camera = CameraSettings(name="door", source=f"rtsp://u:{SECRET}@host/x")
    crews = plan(FleetSettings(cameras=(camera,))).crews
    assert camera.shown == "rtsp://***@host/x"
    assert SECRET not in repr((camera, crews, FleetSettings(cameras=(camera,))))


def test_a_file_with_a_password_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without showing it; a file without one may be read by everybody."""
    file = written(tmp_path, f"[[cameras]]\nname = 'a'\nsource = 'rtsp://u:{SECRET}@host/'")
    file.chmod(0o644)
    load_fleet(file)
    assert "chmod 600" in caplog.text
    assert SECRET not in caplog.text
    caplog.clear()
    file.chmod(0o600)
    load_fleet(file)
    written(tmp_path, "[[cameras]]\nname = 'a'\nsource = '0'").chmod(0o644)
    load_fleet(file)
    assert caplog.text == ""


def test_cameras_that_nobody_names_are_shared_out_in_order() -> None:
    """So many for each worker; pins are not mixed, and the names of explicit workers are not taken again."""
    settings = FleetSettings(
        cameras=(*cameras("a", "b", "c"), *cameras("p", pin="gate"), *cameras("d", "e", "f")),
        workers=(WorkerSettings(name="worker-2", cameras=("c",)),),
        cameras_per_worker=2,
    )
    crews = plan(settings).crews
    assert {crew.name: tuple(one.camera.name for one in crew.captures) for crew in crews} == {
        "worker-2": ("c",),
        "worker-1": ("a", "b"),
        "worker-3": ("p",),
        "worker-4": ("d", "e"),
        "worker-5": ("f",),
    }
    assert [crew.worker.cameras for crew in crews if crew.worker] == [
        tuple(one.camera.name for one in crew.captures) for crew in crews
    ]
    assert {crew.name: "gate" in crew.needs for crew in crews}["worker-3"]


def test_every_camera_has_one_worker_and_every_process_ports_of_its_own() -> None:
    """Within the range, however many there are."""
    settings = FleetSettings(cameras=cameras(*(f"c{n}" for n in range(20))), cameras_per_worker=3, ports=(5000, 5060))
    planned = plan(settings)
    ports = [
        port
        for crew in planned.crews
        for process in (*crew.captures, *((crew.worker,) if crew.worker else ()))
        for port in (
            (process.frames_port, process.metrics_port)
            if hasattr(process, "frames_port")
            else (process.events_port, process.journal_port, process.metrics_port)
        )
    ]
    assert len(set(ports)) == len(ports) == 20 * 2 + 7 * 3
    assert min(ports) >= 5000
    assert max(ports) <= 5060
    assert sorted(planned.workers) == sorted(camera.name for camera in settings.cameras)
    with pytest.raises(ConfigError, match="5000 to 5059 are too few: this fleet has 61"):
        plan(FleetSettings(cameras=settings.cameras, cameras_per_worker=3, ports=(5000, 5059)))


def test_a_camera_at_the_end_of_the_file_moves_nobody() -> None:
    """Every process that was there keeps its name and its ports, also where several have pins."""
    first = (*cameras("a", "b"), *cameras("p", pin="p"))
    few = plan(FleetSettings(cameras=first, cameras_per_worker=1)).crews
    more = plan(FleetSettings(cameras=(*first, *cameras("c")), cameras_per_worker=1)).crews
    assert more[:3] == few


def test_a_worker_lives_where_its_cameras_are_pinned_or_they_live_apart() -> None:
    """One pin for all: one crew. Several: those of another node than the worker's are crews of their own."""
    door, gate, free = (*cameras("door", pin="d"), *cameras("gate", pin="g"), *cameras("free"))

    def crews(pin: str | None, *theirs: CameraSettings) -> dict[str, tuple[tuple[str, ...], bool, set[str]]]:
        worker = WorkerSettings(name="w", cameras=tuple(camera.name for camera in theirs), pin=pin)
        planned = plan(FleetSettings(cameras=theirs, workers=(worker,)))
        return {
            crew.name: (
                tuple(one.camera.name for one in crew.captures),
                crew.worker is not None,
                crew.needs.keys() - {"CPU"},
            )
            for crew in planned.crews
        }

    assert crews(None, door) == {"w": (("door",), True, {"d"})}
    assert crews(None, door, gate, free) == {
        "w": (("free",), True, set()),
        "w/door": (("door",), False, {"d"}),
        "w/gate": (("gate",), False, {"g"}),
    }
    assert crews("g", gate, free) == {"w": (("gate", "free"), True, {"g"})}
    assert crews("big", door) == {"w": ((), True, {"big"}), "w/door": (("door",), False, {"d"})}


def test_a_crew_needs_what_its_processes_need() -> None:
    """In Ray's resources; what is nothing is not asked for."""
    settings = FleetSettings(cameras=cameras("a", "b"), camera_cpus=0.1, worker_cpus=0.2, worker_gpus=0.25)
    (crew,) = plan(settings).crews
    assert crew.needs == {"CPU": 0.4, "GPU": 0.25}
    free = FleetSettings(cameras=cameras("a"), camera_cpus=0, worker_cpus=0)
    assert plan(free).crews[0].needs == {}


def test_a_crew_that_no_node_can_take_is_said_in_a_line() -> None:
    """By what all nodes lack at once: two halves are no whole."""
    needs = {"CPU": 1.3, "GPU": 1.0, "gate": 0.001}
    assert lacking(needs, [{"CPU": 2.0}, {"CPU": 4.0, "GPU": 1.0, "gate": 1.0}]) is None
    why = lacking(needs, [{"CPU": 8.0, "gate": 1.0}, {"CPU": 1.0, "GPU": 1.0, "gate": 1.0}])
    assert why == "no node has 1.3 CPU and 1 GPU and gate; it waits for one"
    assert lacking({}, [{}]) is None
    assert lacking({}, []) is not None


def test_only_keys_or_an_explicit_word_open_a_socket_to_other_machines() -> None:
    """Frames leave the node only for a worker elsewhere; metrics know no keys."""
    near, far = plan(
        FleetSettings(
            cameras=(*cameras("a"), *cameras("b", pin="b")), workers=(WorkerSettings(name="w", cameras=("a", "b")),)
        )
    ).crews
    assert near.worker is not None
    closed = Config()
    keyed = Config(keys=KeySettings(folder="keys"))
    assert frames_at(far.captures[0], far, closed, "10.0.0.7") == f"tcp://{LOOPBACK}:20002"
    assert frames_at(far.captures[0], far, keyed, "10.0.0.7") == "tcp://10.0.0.7:20002"
    assert frames_at(near.captures[0], near, keyed, "10.0.0.7") == f"tcp://{LOOPBACK}:20000"
    assert events_at(near.worker, closed, "10.0.0.7") == (f"tcp://{LOOPBACK}:29997", f"tcp://{LOOPBACK}:29998")
    assert events_at(near.worker, keyed, "fd00::7")[0] == "tcp://[fd00::7]:29997"
    insecure = Config(events=EventSettings(insecure=True), metrics=MetricsSettings(insecure=True))
    assert events_at(near.worker, insecure, "10.0.0.7")[0] == "tcp://10.0.0.7:29997"
    assert metrics_host(keyed, "10.0.0.7") == LOOPBACK
    assert metrics_host(insecure, "10.0.0.7") == "10.0.0.7"
    assert metrics_at(near.worker, insecure, "fd00::7") == "[fd00::7]:29999"
