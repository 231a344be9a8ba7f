"""Fusion: keypoints of all cameras in, 3D poses out. `python -m nodes.fusion --config F`, or `--session S.mcap`.

A thin loop around `FusionPipeline`, which does the thinking and reads no clock.
"""

import argparse
import signal
import sys
from dataclasses import dataclass, field, replace

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
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
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config, pipeline = _opened(given.config, given.session)
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
            FusionNode(pipeline, inbox, publisher, predicts_to_now=config.fusion.predict_to_now).run()
    except KeyboardInterrupt:
        pass
    return 0


def _opened(path: str | None, session_path: str | None) -> tuple[Config, FusionPipeline]:
    """The configuration, of a file or of a recording, and its pipeline."""
    if session_path is not None:
        with SessionReader(session_path) as session:
            return session.config(), recorded_pipeline(session)
    config = load_config(path or "")
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
