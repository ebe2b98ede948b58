"""Live: from the capture of the frame that closed an event to the event in another process that subscribes."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, report

RATE_HZ, SECONDS = 30.0, 20.0
COMMAND = [sys.executable, "-m", "bowam_stream.cli"]


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for probe in held:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in held]
    for probe in held:
        probe.close()
    return ports


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = clip(folder, RATE_HZ, SECONDS)
        frames, events, journal, first, second = free_ports(5)
        settings = folder / "bowam.toml"
        settings.write_text(
            f"[transport]\nendpoint = 'tcp://127.0.0.1:{frames}'\n[events]\nendpoint = 'tcp://127.0.0.1:{events}'\n"
            f"journal_endpoint = 'tcp://127.0.0.1:{journal}'\njournal = '{folder}/journal.sqlite'\n"
            f"[metrics]\ncapture_port = {first}\nworker_port = {second}\n"
        )
        live = subprocess.Popen(
            [*COMMAND, "live", "--source", str(video), "--config", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        endpoints = ("--endpoint", f"tcp://127.0.0.1:{events}", "--journal-endpoint", f"tcp://127.0.0.1:{journal}")
        subscriber = subprocess.run(
            [*COMMAND, "subscribe", *endpoints, "--since", "0", "--timeout", "12"], capture_output=True, text=True
        )
        live.send_signal(signal.SIGINT)
        live.wait()
    records = [json.loads(line) for line in subscriber.stdout.splitlines()]
    latencies = [record["delivery"]["latency_ms"] for record in records if record["phase"] == "final"]
    if not latencies:
        print("\nlatency: no final event was seen; not measured")
        return
    waits = [
        (record["delivery"]["published_utc_ns"] - record["offset"]["utc_ns"]) / 1e6
        for record in records
        if record["phase"] == "final"
    ]
    confirm = [wait - latency for wait, latency in zip(waits, latencies, strict=True)]
    report(
        "latency",
        [
            Row(
                what="capture of the deciding frame to publication",
                value=Spread.of(latencies),
                unit="ms",
                target="aim 60, worst 150",
            ),
            Row(what="offset to the deciding frame: the spotter's own waiting", value=Spread.of(confirm), unit="ms"),
            Row(what="offset to publication", value=Spread.of(waits), unit="ms"),
        ],
        f"one camera, {RATE_HZ:.0f} fps, {len(latencies)} final events (macro-expressions and blinks among them)",
    )
