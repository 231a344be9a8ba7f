"""One camera: source → detector → Keypoints2D on the bus. `python -m nodes.camera --config F --camera NAME`.

Runs on any machine that reaches the hub. Pictures never leave this process, but for the preview, if switched on, and
the video that it writes on its own machine while a recorder asks for it.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
from configs import schema
from configs.errors import ConfigError
from configs.load import load_config
from nodes.calibrating.board_looker import BoardLooker
from nodes.camera_ledger import CameraLedger
from nodes.capture import Capture
from nodes.detect.detector import Detections, Detector
from nodes.detect.opening import open_detector
from nodes.detect.regions import Regions, regions_at
from nodes.playback import FusionFollower, wait_for_start
from nodes.preview import PreviewMaker
from nodes.sources.opening import open_source
from nodes.sources.source import Frame, SourceError
from nodes.video_writer import CameraVideo
from nodes.wire.bus import Publisher, latest, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import Expected, Keypoints2D

HEALTH_EVERY_NS = 250_000_000
TAKE_TIMEOUT_S = 0.1


@dataclass(frozen=True)
class Options:
    """What this camera node was asked to do. start_ns: time zero of a recording; None: ask the running system.
    video_folder: where its video goes when a recorder asks for one."""

    config: schema.Config
    camera: str
    hub_inner: str
    hub_outer: str
    start_ns: int | None
    video_folder: Path

    @property
    def source(self) -> schema.Source:
        return self.config.cameras[self.camera]

    @property
    def is_recorded(self) -> bool:
        """Whether the source has a time axis of its own that needs a time zero."""
        return isinstance(self.source, schema.VideoSource | schema.VirtualSource)

    @property
    def is_lossless(self) -> bool:
        return isinstance(self.source, schema.VideoSource | schema.VirtualSource) and self.source.pace == "pipeline"


class Feedback:
    """The newest word of fusion about where to look; never waited for."""

    def __init__(self, camera: str, hub_out: str) -> None:
        self._camera = camera
        self._inbox = latest(Expected, hub_out=hub_out, source="fusion")
        self._newest: Expected | None = None

    def regions(self, frame: Frame) -> Regions | None:
        """Where to look in this frame; None while fusion is silent."""
        self._newest = self._inbox.receive(timeout_ms=0) or self._newest
        height, width = frame.image_rgb.shape[:2]
        return regions_at(self._newest, self._camera, frame.captured_ns, (width, height))

    def close(self) -> None:
        self._inbox.close()


class CameraNode:
    """The loop's state: what is open, what was counted, what is due."""

    def __init__(self, options: Options, detector: Detector, publisher: Publisher) -> None:
        self._options = options
        self._detector = detector
        self._publisher = publisher
        self._ledger = CameraLedger(options.camera, options.source)
        self._preview = PreviewMaker(options.camera, options.config.preview)
        self._capture: Capture | None = None
        self._video = CameraVideo(options.camera, options.video_folder, options.config.recording, options.hub_outer)
        self._looker = BoardLooker(options.camera, options.hub_outer)
        self._feedback = Feedback(options.camera, options.hub_outer) if options.config.detector.feedback else None
        self._health_due_ns = 0
        self._sent = 0

    def run(self) -> None:
        """Work until the recording ends or the process is interrupted."""
        start_ns = self._begin()
        source, name, config = self._options.source, self._options.camera, self._options.config
        rig = load_rig(config.calibration) if config.calibration and isinstance(source, schema.VirtualSource) else None
        lossless = self._options.is_lossless
        follower = FusionFollower(name, self._options.hub_outer) if lossless and not config.keypoints_only else None
        self._capture = Capture(
            lambda: open_source(name, source, rig, start_ns),
            lossless=lossless,
            on_frame=self._take_frame,
        )
        try:
            self._work_off(self._capture, follower)
            self._say_end(follower)
        except SourceError as error:
            self._say_health(state="ended", note=str(error))  # nothing more comes: nobody shall wait for it
            raise
        finally:
            self._video.close()
            self._capture.close()
            self._looker.close()
            for inbox in (follower, self._feedback):
                if inbox:
                    inbox.close()

    def _take_frame(self, frame: Frame) -> None:
        """Every frame that is read, on the capture's thread."""
        self._video.take_frame(frame)
        self._looker.offer(frame)

    def _work_off(self, capture: Capture, follower: FusionFollower | None) -> None:
        """Handle frames until the source has ended and all of its frames are taken."""
        while True:
            has_ended = capture.snapshot().state == "ended"  # asked first: a last frame may come between the two
            frame = capture.take(TAKE_TIMEOUT_S)
            if frame is not None:
                self._wait_for_fusion(follower, frame)
                if follower is not None and follower.is_fused(frame.captured_ns):
                    self._say_health(note="passes over what is already fused")
                    continue
                self._handle(frame)
            elif has_ended:
                return
            for seen in self._looker.follow():
                self._publisher.send(seen)
            self._say_health()

    def _begin(self) -> int:
        """Time zero of this source; a recorded one waits for the running system to name it."""
        start_ns = now_ns() if not self._options.is_recorded else self._options.start_ns
        while start_ns is None:
            self._publisher.send(self._ledger.health(now_ns(), None, state="ready"))
            start_ns = wait_for_start(self._options.hub_outer)
        return start_ns

    def _wait_for_fusion(self, follower: FusionFollower | None, frame: Frame) -> None:
        while follower is not None and not follower.may_go(frame.captured_ns, timeout_ms=100):
            self._say_health(note="waits for fusion")

    def _say_end(self, follower: FusionFollower | None) -> None:
        """Say that the recording is over; losslessly for as long as a fusion that starts again would wait for it."""
        self._say_health(state="ended")
        ended_ns = time.monotonic_ns()
        while follower is not None and not follower.may_leave(ended_ns, timeout_ms=100):
            if now_ns() >= self._health_due_ns:
                self._say_health(state="ended")

    def _handle(self, frame: Frame) -> None:
        started_ns = now_ns()
        regions = self._feedback.regions(frame) if self._feedback else None
        detections = self._detector.detect(frame, regions)
        message = self._message(frame, detections, {"queue": started_ns - frame.captured_ns})
        sent = self._publisher.send(message)
        self._sent += 1
        height, width = frame.image_rgb.shape[:2]
        self._ledger.detected(frame.captured_ns, sent.published_ns - started_ns, (width, height))
        preview = self._preview.make(frame, started_ns)
        if preview is not None:
            self._publisher.send(preview)

    def _message(self, frame: Frame, detections: Detections, stages_ns: dict[str, int]) -> Keypoints2D:
        height, width = frame.image_rgb.shape[:2]
        return Keypoints2D(
            captured_ns=frame.captured_ns,
            published_ns=0,
            source=self._options.camera,
            seq=self._sent,
            frame_id=frame.frame_id,
            skeleton=self._detector.skeleton,
            size_wh=(width, height),
            keypoints_px=detections.keypoints_px.astype(np.float32),
            confidence=detections.confidence.astype(np.float32),
            stages_ns=stages_ns,
            asked_ids=detections.asked_ids,
        )

    def _say_health(self, state: str = "", note: str = "") -> None:
        moment_ns = now_ns()
        status = self._capture.snapshot() if self._capture else None
        self._video.follow(status.granted.fps if status and status.granted else 0.0)
        if moment_ns < self._health_due_ns and not state:
            return
        self._health_due_ns = moment_ns + HEALTH_EVERY_NS
        if status and status.state == "ended" and not state:
            state = "streaming"  # all is read, but its last frames are still to be sent
        self._publisher.send(self._ledger.health(moment_ns, status, state, note, self._video.status))


def main(arguments: list[str] | None = None) -> int:
    """Run one camera node; 0 at the end of a recording or when interrupted, 2 when something must be mended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parse(arguments)
        with Publisher(options.hub_inner) as publisher:
            detector = open_detector(options.config.detector)
            try:
                CameraNode(options, detector, publisher).run()
            finally:
                detector.close()
    except (ConfigError, CalibrationError, WireError, SourceError, FileNotFoundError) as error:
        print(f"camera: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m nodes.camera", description=__doc__)
    parser.add_argument("--config", required=True, help="the configuration of the whole system, the same for all nodes")
    parser.add_argument("--camera", required=True, help="its name under `cameras:` there")
    parser.add_argument(
        "--hub", help="the hub's inner address, e.g. tcp://10.0.0.5:5555 (default: the configuration's)"
    )
    parser.add_argument("--hub-outer", help="the hub's outer address (default: the configuration's)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--start-ns", type=int, help="when recorded and virtual sources begin, ns since the epoch (now)")
    start.add_argument("--wait-for-start", action="store_true", help="let the running system say when they begin")
    parser.add_argument(
        "--video-folder",
        type=Path,
        help="where videos of recordings go (default: the configuration's recording.folder)",
    )
    parser.add_argument("--keypoints-only", action="store_true", help="nothing fuses what this camera sends")
    parser.add_argument("--preview", action="store_true", help="as `preview: enabled: true`")
    given = parser.parse_args(arguments)
    config = load_config(given.config, keypoints_only=given.keypoints_only)
    config = config.previewing() if given.preview else config
    if given.camera not in config.cameras:
        raise ConfigError(f"{given.config}: no camera {given.camera!r}; it has {', '.join(config.cameras)}")
    start_ns = given.start_ns if given.start_ns is not None else time.time_ns()
    video_folder: Path = given.video_folder or config.recording.folder
    return Options(
        config=config,
        camera=given.camera,
        hub_inner=given.hub or config.hub.inner,
        hub_outer=given.hub_outer or config.hub.outer,
        start_ns=None if given.wait_for_start else start_ns,
        video_folder=video_folder,
    )


if __name__ == "__main__":
    sys.exit(main())
