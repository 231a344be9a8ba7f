"""Keeps the figures of a run: fed with the messages of the bus, asked for the status. Pure; times are arguments.

`received_ns` and `now_ns` are monotonic nanoseconds; what the messages say is on the wall clock.
"""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from nodes.watching.accuracy import Accuracy, Truth
from nodes.watching.camera_figures import CameraFigures, CameraStatus
from nodes.watching.figures import Samples, Window
from nodes.watching.player import PLAYER, Player
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D, RecorderHealth, Session
from nodes.wire.requests import PlayState, SystemState

FUSION = "fusion"  # the source of poses; others may speak on the bus under names of their own
RECORDER = "recorder"
STAGES = frozenset(("interpolate", "queue", "detect", "send", "fuse"))  # of Pose3D; each costs us 512 KiB
WINDOW_S = 5.0  # what the table tells is about the last seconds
SILENT_NS = 2_500_000_000  # health comes four times a second, once a second while a camera waits for the start
FRESH_NS = 2_000_000_000  # what was said of the processes longer ago says nothing of them now
MOST_LATENCY_MS = 60_000.0  # no system is so late; these are stamps of another time


FIRST_RUN = "the cameras wait for fusion; its first run on a machine compiles its kernels, which takes up to a minute"


@dataclass(frozen=True)
class Status:
    """The figures of the last seconds; NaN where nothing is known (yet).

    latency: from capture to publication; NaN where the stamps tell none, and no_latency says why. error_mm: against
    the truth, where one is configured. notes: plain words. recording: what is recorded, "" when nothing is. play: the
    player of a recording, while there is one. standing: what is played stands still, as was asked, or did a moment ago.
    """

    cameras: tuple[CameraStatus, ...]
    fusion_state: str
    ticks: int
    rate_hz: float
    latency_p50_ms: float
    latency_p95_ms: float
    reprojection_px: float
    people: int
    error_mm: float
    has_truth: bool
    notes: tuple[str, ...]
    recording: str = ""
    standing: bool = False
    play: PlayState | None = None
    no_latency: str = ""


class PoseFigures:
    """What is counted over the poses of the whole run."""

    def __init__(self) -> None:
        self.ticks = 0
        self.valid_ticks = 0
        self.occupied_ticks = 0  # with somebody in them
        self.people_total = 0
        self.people_most = 0
        self.first_received_ns = 0
        self.last_received_ns = 0
        self.last_captured_ns = 0
        self.longest_gap_ns = 0  # between the captured_ns of poses that follow each other
        self.reprojection_px = Samples()  # of single joints
        self.latency_ms: dict[str, Samples] = {"total": Samples()}

    def feed(self, pose: Pose3D, received_ns: int, tells_latency: bool) -> None:
        if self.ticks == 0:
            self.first_received_ns = received_ns
        else:
            self.longest_gap_ns = max(self.longest_gap_ns, pose.captured_ns - self.last_captured_ns)
        self.last_received_ns = received_ns
        self.last_captured_ns = pose.captured_ns
        self.ticks += 1
        self.valid_ticks += pose.valid
        self.occupied_ticks += bool(pose.people)
        self.people_total += len(pose.people)
        self.people_most = max(self.people_most, len(pose.people))
        for person in pose.people:
            self.reprojection_px.extend(person.reprojection_px)
        if not tells_latency:
            return
        self.latency_ms["total"].add((pose.published_ns - pose.captured_ns) / 1e6)
        for stage in STAGES & pose.stages_ns.keys():
            self.latency_ms.setdefault(stage, Samples()).add(pose.stages_ns[stage] / 1e6)

    @property
    def rate_hz(self) -> float:
        """Ticks per second between the first and the last pose; NaN before there are two."""
        span_ns = self.last_received_ns - self.first_received_ns
        return (self.ticks - 1) / span_ns * 1e9 if span_ns > 0 else float("nan")


class Monitor:
    """Figures of one run with these cameras. What others say on the bus under other names is passed over.

    by_hand: cameras whose nodes the user starts. tells_latency: False where captures stand on another time axis.
    fuses: False without a fusion, of which then nothing is awaited.
    """

    def __init__(
        self,
        cameras: tuple[str, ...],
        truth: Truth | None = None,
        by_hand: Collection[str] = frozenset(),
        tells_latency: bool = True,
        fuses: bool = True,
    ) -> None:
        self.cameras = {name: CameraFigures(name, name in by_hand) for name in cameras}
        self.poses = PoseFigures()
        self._tells_latency = tells_latency
        self._fuses = fuses
        self.accuracy = None if truth is None else Accuracy(truth)
        self.session_start_ns: int | None = None
        self.last_heard_ns: dict[str, int] = {}  # by process: its last health message
        self._fusion: FusionHealth | None = None
        self.recorder: RecorderHealth | None = None
        self._cut: RecorderHealth | None = None
        self._latency_ms = Window(WINDOW_S)
        self._error_mm = Window(WINDOW_S)
        self._reprojection_px = Window(WINDOW_S)
        self._people = 0
        self._player = Player()
        self._system: SystemState | None = None
        self._system_ns = 0

    def feed(self, message: Message, received_ns: int) -> None:
        """Take in one message of any kind."""
        match message:
            case Pose3D() if message.source == FUSION:
                self._feed_pose(message, received_ns)
            case Keypoints2D() if message.source in self.cameras:
                self.cameras[message.source].frame_ns = received_ns
            case CameraHealth() if message.source in self.cameras:
                self.cameras[message.source].feed(message, received_ns)
                self.last_heard_ns[message.source] = received_ns
            case FusionHealth() if message.source == FUSION:
                self._fusion = message
                self.last_heard_ns[FUSION] = received_ns
                for name, camera in self.cameras.items():
                    camera.input = message.cameras.get(name)
            case RecorderHealth() if message.source == RECORDER:
                self._note_cut(self.recorder, message)
                self.recorder = message
                self.last_heard_ns[RECORDER] = received_ns
            case Session():
                self.session_start_ns = message.start_ns
            case PlayState() if message.source == PLAYER:
                self._player.feed(message, received_ns)
            case SystemState():
                self._system, self._system_ns = message, received_ns

    def expect_fusion(self, fuses: bool = True) -> None:
        """From now on fusion is awaited as at the start; or is not, where nothing fuses any more."""
        self._fuses, self._fusion = fuses, None
        self.last_heard_ns.pop(FUSION, None)

    def take_cut_recording(self) -> RecorderHealth | None:
        """The last word of a recorder that died recording, once, when its next life is idle."""
        cut, self._cut = self._cut, None
        return cut

    def _note_cut(self, before: RecorderHealth | None, now: RecorderHealth) -> None:
        was_recording = before is not None and before.runs
        if was_recording and before is not None and now.seq <= before.seq and now.state == "idle":
            self._cut = before

    def ended_cameras(self) -> set[str]:
        """Cameras whose recording has been played to its end."""
        return {name for name, camera in self.cameras.items() if camera.ended}

    def expected_cameras(self) -> set[str]:
        """Cameras whose end is the end of the run: those started here, or all when none is."""
        started_here = {name for name, camera in self.cameras.items() if not camera.by_hand}
        return started_here or set(self.cameras)

    def streaming_cameras(self) -> set[str]:
        """Cameras that deliver frames, as far as they have said."""
        return {name for name, camera in self.cameras.items() if camera.streaming}

    @property
    def fusion_heard(self) -> bool:
        """Whether fusion has ever spoken: it listens from then on."""
        return self._fusion is not None

    @property
    def waits_for_fusion(self) -> bool:
        """Whether fusion is still to speak for the first time."""
        return self._fuses and not self.fusion_heard

    def cameras_prepared(self) -> bool:
        """Whether every camera is past its start: waiting, delivering, trying again or done."""
        return all(camera.prepared for camera in self.cameras.values())

    def last_word_ns(self) -> int:
        """When the last pose or word of a camera came; 0 before the first."""
        heard_ns = [self.last_heard_ns.get(name, 0) for name in self.cameras]
        return max(self.poses.last_received_ns, *heard_ns)

    def status(self, now_ns: int, restarting: Collection[str] = ()) -> Status:
        """The figures for the table. restarting: processes that crashed and have not spoken since, besides those of
        which whoever runs the system says so."""
        restarting = {*restarting, *self._processes(now_ns, "restarting")}
        latency_p50_ms, latency_p95_ms = (self._latency_ms.percentile(now_ns, percent) for percent in (50, 95))
        no_latency = self._no_latency(now_ns, latency_p50_ms)
        return Status(
            cameras=tuple(
                camera.status(now_ns, SILENT_NS, camera.name in restarting) for camera in self.cameras.values()
            ),
            fusion_state="restarting" if FUSION in restarting else self._fusion_state(now_ns),
            ticks=self.poses.ticks,
            rate_hz=self._latency_ms.rate_hz(now_ns),
            latency_p50_ms=math.nan if no_latency else latency_p50_ms,
            latency_p95_ms=math.nan if no_latency else latency_p95_ms,
            reprojection_px=self._reprojection_px.percentile(now_ns, 50),
            people=self._people,
            error_mm=self._error_mm.mean(now_ns),
            has_truth=self.accuracy is not None,
            notes=self._notes(),
            recording=self._recording(),
            standing=self._player.stands(now_ns),
            play=self._player.now(now_ns),
            no_latency=no_latency,
        )

    def _processes(self, now_ns: int, state: str) -> set[str]:
        """Those of which whoever runs the system says so now."""
        if self._system is None or now_ns - self._system_ns > FRESH_NS:
            return set()
        return {name for name, process in self._system.processes.items() if process.state == state}

    def _no_latency(self, now_ns: int, latency_ms: float) -> str:
        """Why the stamps of the poses tell no latency; "" when they do."""
        if why := self._player.no_latency(now_ns):
            return why
        is_possible = math.isnan(latency_ms) or 0 <= latency_ms < MOST_LATENCY_MS
        return "" if is_possible else "the stamps of the frames are not of this machine's clock"

    def _recording(self) -> str:
        recorder = self.recorder
        if recorder is None or not recorder.runs:
            return ""
        seconds = (recorder.captured_ns - recorder.began_ns) * 1e-9
        video = f"  videos {self._videos()}" if recorder.video else ""
        return f"recording {recorder.path}  {seconds:.0f} s  {recorder.bytes / 1e6:.1f} MB{video}"

    def recorded(self) -> str:
        """What became of the last recording, in a line; "" without one."""
        recorder = self.recorder
        if recorder is None or not recorder.path:
            return ""
        lost = f", {recorder.lost} messages lost" if recorder.lost else ""
        ending = {"stopped": "", "failed": " (it ended early)"}.get(recorder.state, " (cut; it opens as it is)")
        return f"{recorder.path}: {recorder.messages} messages, {recorder.bytes / 1e6:.1f} MB{lost}{ending}"

    def moved(self) -> dict[str, bool]:
        """Cameras that were moved, as fusion says, and whether they were put right."""
        inputs = self._fusion.cameras if self._fusion is not None else {}
        return {name: camera.repaired for name, camera in inputs.items() if camera.moved_ns}

    def movement(self, name: str) -> str:
        """When one of them was moved and by how much, in a line."""
        assert self._fusion is not None
        camera = self._fusion.cameras[name]
        at = time.strftime("%H:%M:%S", time.localtime(camera.moved_ns * 1e-9))
        by = f"{camera.moved_deg:.1f}° and {camera.moved_mm:.0f} mm"
        return f"camera {name} moved at {at} by {by}" + (", and was put right" if camera.repaired else "")

    def _videos(self) -> str:
        """How many pictures were written, and how many could not be."""
        healths = [camera.health for camera in self.cameras.values() if camera.health and camera.health.video_file]
        dropped = sum(health.video_dropped for health in healths)
        return f"{sum(health.video_frames for health in healths)} pictures" + (
            f", {dropped} dropped" if dropped else ""
        )

    def _feed_pose(self, pose: Pose3D, received_ns: int) -> None:
        tells_latency = self._tells_latency and not self._player.no_latency(received_ns)
        self.poses.feed(pose, received_ns, tells_latency)
        self._people = len(pose.people)
        latency_ms = (pose.published_ns - pose.captured_ns) / 1e6
        self._latency_ms.add(received_ns, latency_ms if tells_latency else float("nan"))
        seen_px = np.concatenate([np.empty(0), *(person.reprojection_px for person in pose.people)])
        if np.isfinite(seen_px).any():
            self._reprojection_px.add(received_ns, float(np.nanmedian(seen_px)))
        for name, camera in self.cameras.items():
            camera.contributed(pose.left_out.get(name, ""))
        if self.accuracy is not None and self.session_start_ns is not None:
            errors_mm = self.accuracy.feed(pose, self.session_start_ns)
            if np.isfinite(errors_mm).any():
                self._error_mm.add(received_ns, float(np.nanmean(errors_mm)))

    def _fusion_state(self, now_ns: int) -> str:
        play = self._player.now(now_ns)
        if play is not None and not play.fuses:
            return "running"  # the player speaks in its place
        if FUSION in self._processes(now_ns, "waiting"):  # for other settings
            return "starting"
        if self._fusion is None:
            return "starting" if self._fuses else "off"
        silent = now_ns - self.last_heard_ns[FUSION] > SILENT_NS and not self._player.stands(now_ns)
        return "silent" if silent else "running"

    def _notes(self) -> tuple[str, ...]:
        recorder = self.recorder
        recording = (f"recording: {recorder.note}",) if recorder is not None and recorder.note else ()
        if self._fusion is None:
            waits = self._fuses and bool(self.cameras) and self.cameras_prepared()
            return (*recording, FIRST_RUN) if waits else recording
        foreign = self._fusion.undecodable
        dropped = (f"{foreign} messages on the bus were broken or not ours; they were dropped",) if foreign else ()
        return recording + tuple(map(self.movement, self.moved())) + self._fusion.notes + dropped
