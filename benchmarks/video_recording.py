"""What recording video costs the live detection: the same cameras with and without it, in turns.

    python -m benchmarks.video_recording [--seconds S] [--rounds N] [--codec h264|mjpeg] [--json FILE] [--check]

Camera nodes play a rendered 1280×720 clip while a stand-in recorder asks for video in every other stretch of time. Told
are rates of detection and detector times without video, their ratios with video to those without (median over the
rounds), frames of video written and dropped, and the CPU that a recorded frame costs. Where processors have time to
spare the ratio of rates is 1; where all want them it tells whether the writer really stands back.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml

from benchmarks.ports import free_port_pair
from benchmarks.report import Report, parser
from nodes.wire.bus import Publisher, Subscription, every, now_ns
from nodes.wire.messages import CameraHealth, RecorderHealth

CASES = ((1, 30), (2, 30), (2, 60))  # cameras, frames per second
CLIP_S = 6
SETTLE_S = 1.5  # after a change; also what it takes to open the encoder
START_S = 60.0
SPEAK_EVERY_S = 0.5


@dataclass
class Stretch:
    """Figures of all cameras over one stretch of time."""

    seconds: float
    frames: int
    captured: int
    written: int
    dropped: int
    detect_ms: float
    cpu_s: float


class Cameras:
    """Running camera nodes, their health, and the recorder that they listen to."""

    def __init__(self, nodes: Sequence[psutil.Popen], bus: Publisher, inbox: Subscription[CameraHealth]) -> None:
        self._nodes, self._bus, self._inbox = nodes, bus, inbox
        self._newest: dict[str, CameraHealth] = {}
        self._spoken_s = 0.0
        self._take = 0
        self._seq = 0

    def await_start(self) -> None:
        """Wait until every camera detects."""
        deadline_s = time.monotonic() + START_S
        while sum(health.frames > 10 for health in self._newest.values()) < len(self._nodes):
            self._listen(video=False)
            if time.monotonic() > deadline_s:
                raise SystemExit(f"the cameras did not start within {START_S:g} s")

    def stretch(self, seconds: float, video: bool) -> Stretch:
        """Let them run for so long."""
        self._take += 1
        self._run(SETTLE_S, video)
        before, cpu_s, begun_s = dict(self._newest), self._cpu_s(), time.monotonic()
        detect_ms = self._run(seconds, video)
        after, ran_s = self._newest, time.monotonic() - begun_s

        def more(count: str) -> int:
            return sum(getattr(after[name], count) - getattr(before[name], count) for name in after)

        captured = more("frames") + more("dropped")
        return Stretch(
            ran_s,
            more("frames"),
            captured,
            more("video_frames"),
            more("video_dropped"),
            detect_ms,
            self._cpu_s() - cpu_s,
        )

    def _run(self, seconds: float, video: bool) -> float:
        """Median of the detector's times that are told meanwhile."""
        until_s, told_ms = time.monotonic() + seconds, []
        while time.monotonic() < until_s:
            health = self._listen(video)
            if health is not None:
                told_ms.append(health.detect_ms_p50)
        return float(np.median(told_ms))

    def _listen(self, video: bool) -> CameraHealth | None:
        if time.monotonic() - self._spoken_s > SPEAK_EVERY_S:
            self._spoken_s = time.monotonic()
            self._seq += 1
            state = "recording" if video else "stopped"
            self._bus.send(
                RecorderHealth(captured_ns=now_ns(), published_ns=0, source="recorder", seq=self._seq, state=state,
                               path=f"take{self._take}.mcap", video=True)
            )  # fmt: skip
        health = self._inbox.receive(timeout_ms=100)
        if health is not None:
            self._newest[health.source] = health
        return health

    def _cpu_s(self) -> float:
        return sum(sum(node.cpu_times()[:2]) for node in self._nodes)


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=5.0, help="each stretch, with and without (default %(default)s)")
    made.add_argument("--rounds", type=int, default=3, help="of one stretch each (default %(default)s)")
    made.add_argument("--codec", choices=("h264", "mjpeg"), default="h264")
    options = made.parse_args()
    report = Report(f"detection while {options.codec} video of 1280×720 is recorded")
    with tempfile.TemporaryDirectory() as folder:
        for n_cameras, fps in CASES:
            clip = film(Path(folder), fps)
            figures = measure(Path(folder), clip, n_cameras, options)
            report.row(cameras=n_cameras, fps=fps, **figures)
            report.aim(f"rate with video over without, {n_cameras} × {fps} Hz", figures["ratio of rates"], 0.95, True)
    return report.finish(options)


def film(folder: Path, fps: int) -> Path:
    """A clip of the virtual actor."""
    out = folder / f"clip{fps}"
    command = [sys.executable, "-m", "nodes.sources.virtual", "--ring", "1", "--size", "1280x720", "--fps", str(fps)]
    subprocess.run([*command, "--seconds", str(CLIP_S), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return next(out.glob("*.mp4"))


def measure(folder: Path, clip: Path, n_cameras: int, options: argparse.Namespace) -> dict[str, float]:
    """One case."""
    rounds, seconds = options.rounds, options.seconds
    with running(folder, clip, n_cameras, options.codec) as cameras:
        cameras.await_start()
        pairs = [(cameras.stretch(seconds, video=False), cameras.stretch(seconds, video=True)) for _ in range(rounds)]
    without, with_video = zip(*pairs, strict=True)
    written = sum(stretch.written for stretch in with_video)
    more_s = sum(one.cpu_s / one.seconds - other.cpu_s / other.seconds for other, one in pairs)
    recorded_s = sum(stretch.seconds for stretch in with_video) / rounds
    return {
        "detected/s": float(np.median([x.frames / x.seconds for x in without])),
        "ratio of rates": float(np.median([b.frames / b.seconds / (a.frames / a.seconds) for a, b in pairs])),
        "ratio of captured": float(np.median([b.captured / b.seconds / (a.captured / a.seconds) for a, b in pairs])),
        "detect ms": float(np.median([x.detect_ms for x in without])),
        "ratio of detect ms": float(np.median([b.detect_ms / a.detect_ms for a, b in pairs])),
        "video frames": written,
        "dropped": sum(stretch.dropped for stretch in with_video),
        "more CPU ms a frame": 1e3 * more_s * recorded_s / max(written, 1),
    }


@contextlib.contextmanager
def running(folder: Path, clip: Path, n_cameras: int, codec: str) -> Iterator[Cameras]:
    """A hub and camera nodes."""
    port = free_port_pair()
    inner, outer = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"
    names = [f"camera{number}" for number in range(n_cameras)]
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump({
            "calibration": "none.toml",
            "cameras": {name: {"source": "video", "path": str(clip), "loop": True} for name in names},
            "hub": {"inner": inner, "outer": outer},
            "recording": {"folder": str(folder / f"{n_cameras}{clip.parent.name}"), "codec": codec},
        })
    )  # fmt: skip
    python = [sys.executable, "-m"]
    with contextlib.ExitStack() as stack:
        hub = psutil.Popen([*python, "nodes.hub", "--inner", inner, "--outer", outer])
        stack.callback(_stop, hub)
        bus, inbox = stack.enter_context(Publisher(inner)), stack.enter_context(every(CameraHealth, hub_out=outer))
        nodes = []
        for name in names:
            command = [*python, "nodes.camera", "--config", str(config), "--camera", name]
            nodes.append(psutil.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(_stop, nodes[-1])
        yield Cameras(nodes, bus, inbox)


def _stop(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except psutil.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
