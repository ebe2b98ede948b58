"""A network camera: GStreamer's RTSP server with pictures from files, told on standard input how to misbehave.

Runs under Debian's Python (/usr/bin/python3), which has GStreamer:

    rtsp_server.py PORT RATE PICTURES WIDTHxHEIGHT [SMALL_PICTURES WIDTHxHEIGHT]

play: as filmed. half: every second picture. freeze: sends nothing. still: the same picture again and again. small,
large: the size of the pictures from now on. Pictures are raw grey, one after the other.
"""

import sys
import threading
import time
from pathlib import Path

import gi  # type: ignore[import-not-found, unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found, unused-ignore] # noqa: E402

ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast pass=quant quantizer=18 key-int-max=30"


class Roll:
    """Pictures of one size."""

    def __init__(self, path: str, size: str, rate: int) -> None:
        self.width, self.height = map(int, size.split("x"))
        data = Path(path).read_bytes()
        step = self.width * self.height
        self.pictures = [data[at : at + step] for at in range(0, len(data), step)]
        self.caps = Gst.Caps.from_string(
            f"video/x-raw,format=GRAY8,width={self.width},height={self.height},framerate={rate}/1"
        )


class Feed:
    """Gives pictures to whatever pipeline the server made last."""

    def __init__(self, rolls: dict[str, Roll], rate: int) -> None:
        self.mode, self.size, self.rolls, self.rate = "play", "large", rolls, rate
        self.number = 0

    def configure(self, _factory: object, media: "GstRtspServer.RTSPMedia") -> None:
        """A client came, or came again: a new pipeline."""
        source = media.get_element().get_by_name("feed")
        threading.Thread(target=self.run, args=(source,), daemon=True).start()

    def run(self, source: "Gst.Element") -> None:
        """Push pictures until the pipeline ends."""
        due, size = time.monotonic(), None
        while True:
            due += 1 / self.rate
            time.sleep(max(0.0, due - time.monotonic()))
            if self.mode == "freeze":
                continue
            if self.mode != "still":
                self.number += 1
            if self.mode == "half" and self.number % 2:
                continue
            roll = self.rolls[self.size]
            if size != self.size:
                size = self.size
                source.set_property("caps", roll.caps)
            picture = Gst.Buffer.new_wrapped(roll.pictures[self.number % len(roll.pictures)])
            if source.emit("push-buffer", picture) == Gst.FlowReturn.FLUSHING:
                return


def main(port: str, rate: str, *rolls: str) -> None:
    Gst.init(None)
    sizes = dict(zip(("large", "small"), zip(rolls[::2], rolls[1::2], strict=True), strict=False))
    feed = Feed({name: Roll(path, size, int(rate)) for name, (path, size) in sizes.items()}, int(rate))
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_service(port)
    server.set_address("127.0.0.1")
    factory.set_launch(
        "( appsrc name=feed is-live=true format=time do-timestamp=true ! videoconvert ! video/x-raw,format=I420 ! "
        f"{ENCODER} ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", feed.configure)
    server.get_mount_points().add_factory("/cam", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    loop = GLib.MainLoop()

    def listen() -> None:
        for line in sys.stdin:
            word = line.strip()
            if word in feed.rolls:
                feed.size = word
            else:
                feed.mode = word
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
