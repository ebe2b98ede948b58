"""What the cameras of a place see: clips with micro-expressions, played as cameras, and a real RTSP server."""

import functools
import subprocess
import sys
from pathlib import Path

from tests.system.processes import BOWAM, free_port, wait_for

DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's GStreamer belongs to
RTSP_RATE = 30


def make_clip(
    folder: Path, *, rate: int = 30, size: str = "320x240", seconds: int = 12, events: int = 5, seed: int = 3
) -> Path:
    """A small clip: five micro-expressions in twelve seconds. Capturing it live takes 0.15 cores."""
    if not (folder / "clip.mp4").exists():
        what = ("--rate", rate, "--seconds", seconds, "--events", events, "--stratum", "easy", "--size", size)
        how = (
            "--zoom",
            0.8 * int(size.partition("x")[0]) / 320,
            "--seed",
            seed,
            "--nuisance",
            "blink",
            "--nuisance",
            "noise",
        )
        made = subprocess.run([*BOWAM, "synth", str(folder), *map(str, (*what, *how))], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    return folder / "clip.mp4"


def raw_pictures(clip: Path) -> Path:
    """Its pictures, grey and without a header, one after the other."""
    import av

    raw = clip.with_suffix(".gray")
    with av.open(str(clip)) as container, raw.open("wb") as file:
        for picture in container.decode(video=0):
            file.write(picture.to_ndarray(format="gray").tobytes())
    return raw


@functools.cache
def why_no_rtsp() -> str | None:
    """Why there can be no RTSP server here."""
    wanted = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        found = subprocess.run([DEBIAN_PYTHON, "-c", wanted], capture_output=True, text=True, check=False)
    except OSError:
        return f"there is no {DEBIAN_PYTHON}"
    return None if found.returncode == 0 else "GStreamer's RTSP server is not installed (make daemons)"


class RtspCamera:
    """The camera: an address that stays, and a server process that may die and come back."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self._rolls: list[str] = []
        for size in ("320x240", "256x192"):
            clip = make_clip(folder / f"rtsp-{size}", rate=RTSP_RATE, size=size)
            self._rolls += [str(raw_pictures(clip)), size]
        self._log = (folder / "rtsp.log").open("a")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._process = subprocess.Popen(
            [
                DEBIAN_PYTHON,
                str(Path(__file__).with_name("rtsp_server.py")),
                str(self.port),
                str(RTSP_RATE),
                *self._rolls,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the RTSP server did not start"

    def tell(self, word: str) -> None:
        """See rtsp_server.py."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def die(self) -> None:
        """End at once, as by a cut cable: nobody is told."""
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """For good."""
        self.die()
        self._log.close()


if __name__ == "__main__":  # python -m tests.system.faults.sources FOLDER: serve until interrupted
    camera = RtspCamera(Path(sys.argv[1]))
    camera.start()
    print(camera.url, flush=True)
    wait_for(lambda: False, 3600)
