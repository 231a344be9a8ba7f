"""Fusion: keypoints of all cameras in, 3D poses out. `python -m nodes.fusion --config F`, or `--session S.mcap`.

A thin loop around `FusionPipeline`, which does the thinking and reads no clock.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from calibration.triangulate_kernel import IS_KEPT
from configs.errors import ConfigError
from configs.load import load_config
from configs.schema import Config
from lifter.errors import LifterError
from nodes.compiling import NOT_KEPT, compile_kernels
from nodes.fusing import live_pipeline, recorded_pipeline
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.stages.pipeline import FusionPipeline
from nodes.wire.bus import Publisher, Subscription, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import CameraHealth, Keypoints2D, Message, Pose3D

HEALTH_EVERY_NS = 200_000_000


@dataclass
class Corrected:
    """Where the calibration is kept when fusion has put it right: beside the user's file, never over it."""

    calibration: Path
    repairs: int = 0
    path: Path | None = None

    def save(self, rig: CameraRig, repairs: int, captured_ns: int) -> str:
        """Write it anew; what became of that, in words. The name tells when the first repair of this run was."""
        if self.path is None:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(captured_ns * 1e-9))
            self.path = self.calibration.with_name(f"{self.calibration.name.split('.')[0]}.repaired-{stamp}.toml")
        self.repairs = repairs
        try:
            whole = load_rig(self.calibration)  # with the cameras that are not in use
            save_rig(CameraRig(tuple(rig[c.name] if c.name in rig.names else c for c in whole.cameras)), self.path)
        except (OSError, CalibrationError) as error:
            return f"the corrected calibration is used, and could not be written to {self.path}: {error}"
        return f"calibration corrected {repairs} times, written to {self.path}"


@dataclass
class FusionNode:
    """The pipeline between its sockets."""

    pipeline: FusionPipeline
    inbox: Subscription[Message]
    publisher: Publisher
    health_due_ns: int = 0
    health_seq: int = 0
    predicts_to_now: bool = False
    now_seq: int = 0
    heard_ns: int = field(default_factory=now_ns)
    corrected: Corrected | None = None

    def run(self) -> None:
        """Work until interrupted."""
        while True:
            moment_ns = now_ns()
            if moment_ns >= self.health_due_ns:
                self._say_health(moment_ns)
            message = self.inbox.receive(timeout_ms=max(1, (self.health_due_ns - moment_ns) // 1_000_000))
            if isinstance(message, Keypoints2D | CameraHealth):
                self._handle(message)

    def _handle(self, message: Keypoints2D | CameraHealth) -> None:
        received_ns = now_ns()
        if isinstance(message, Keypoints2D):
            self.heard_ns = received_ns
        poses = self.pipeline.push(message)
        for pose in poses:
            self._publish(pose, message.published_ns, received_ns)
        if self.corrected is not None and self.pipeline.repairs != self.corrected.repairs:
            _say(self.corrected.save(self.pipeline.rig, self.pipeline.repairs, message.captured_ns))
        if poses:
            if self.predicts_to_now:
                self._publish_to_now()
            self.publisher.send(self.pipeline.expected())

    def _publish(self, pose: Pose3D, sent_ns: int, received_ns: int) -> None:
        """Send with the stages that only the shell can know: the way here, and the work done here."""
        published_ns = now_ns()
        send_ns = max(0, received_ns - sent_ns)
        fuse_ns = published_ns - pose.captured_ns - sum(pose.stages_ns.values()) - send_ns
        stages_ns = {**pose.stages_ns, "send": send_ns, "fuse": fuse_ns}
        self.publisher.send_stamped(replace(pose, published_ns=published_ns, stages_ns=stages_ns))

    def _publish_to_now(self) -> None:
        pose = self.pipeline.pose_at(now_ns(), seq=self.now_seq)
        if pose is not None:
            self.publisher.send(pose)
            self.now_seq += 1

    def _say_health(self, moment_ns: int) -> None:
        self.health_due_ns = moment_ns + HEALTH_EVERY_NS
        idle_ns = max(0, moment_ns - self.heard_ns)
        dropped = (self.inbox.undecodable, self.inbox.last_refusal)
        self.publisher.send(self.pipeline.health(moment_ns, idle_ns, *dropped, seq=self.health_seq))
        self.health_seq += 1


def main(arguments: list[str] | None = None) -> int:
    """Run the fusion node; 0 when interrupted, 2 when something must be mended first."""
    parser = argparse.ArgumentParser(prog="python -m nodes.fusion", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", help="the configuration of the whole system")
    what.add_argument("--session", help="a recording that is played: configuration and calibration are in it")
    parser.add_argument("--hub", help="the hub's inner address (default: the configuration's)")
    parser.add_argument("--hub-outer", help="the hub's outer address (default: the configuration's)")
    parser.add_argument(
        "--self-repair", action="store_true", help="with --config: as `fusion: drift: self_repair: true`"
    )
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config, pipeline = _opened(given.config, given.session, given.self_repair)
        _compile(pipeline)
        inbox = every(Keypoints2D, CameraHealth, hub_out=given.hub_outer or config.hub.outer)
        publisher = Publisher(given.hub or config.hub.inner)
    except (ConfigError, CalibrationError, LifterError, SessionError, WireError) as error:
        print(f"fusion: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    try:  # from here on a fault is ours, and whoever started this process starts it again
        with inbox, publisher:
            keeps = given.session is None and config.calibration is not None
            corrected = Corrected(Path(config.calibration or "")) if keeps else None
            FusionNode(
                pipeline, inbox, publisher, predicts_to_now=config.fusion.predict_to_now, corrected=corrected
            ).run()
    except KeyboardInterrupt:
        pass
    return 0


def _opened(path: str | None, session_path: str | None, self_repair: bool) -> tuple[Config, FusionPipeline]:
    """The configuration, of a file or of a recording, and its pipeline."""
    if session_path is not None:
        with SessionReader(session_path) as session:
            return session.config(), recorded_pipeline(session)
    config = load_config(path or "")
    config = config.self_repairing() if self_repair else config
    rig = None if config.calibration is None else load_rig(config.calibration)
    return config, live_pipeline(config, rig)


def _compile(pipeline: FusionPipeline) -> None:
    if IS_KEPT:
        compile_kernels(_say)
    else:
        _say(NOT_KEPT)
    pipeline.warm_up()


def _say(line: str) -> None:
    print(f"fusion: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
