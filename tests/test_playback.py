"""How a lossless source keeps step with fusion: the rule without sockets; whole runs in which somebody is killed."""

import itertools
from pathlib import Path

import pytest
import yaml

from nodes.commands.live import demo_config
from nodes.playback import AHEAD_NS, GONE_NS, QUIET_END_NS, SILENT_NS, STANDSTILL_NS, Pacer
from nodes.wire.messages import Message, Pose3D
from tests.live_system import System, all_gone, beginning_of, running
from tests.numbered_clips import write_clip

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 40_000_000
AHEAD = AHEAD_NS // FRAME_NS  # frames
S = 1_000_000_000
CLIP_FRAMES = 150  # of the demo's clips
SECOND_KILL = 88  # frames fused: half of those that are left after the first


def frame_ns(number: int) -> int:
    return START_NS + number * FRAME_NS


class Play:
    """A Pacer with a clock and a fusion that speaks five times a second."""

    def __init__(self) -> None:
        self.pacer = Pacer()
        self.now_ns = 1000 * S
        self.seq = 0

    def say(self, fused_until_ns: int, after_ns: int = S // 5) -> None:
        self.now_ns += after_ns
        self.pacer.hear_health(self.seq, fused_until_ns, self.now_ns)
        self.seq += 1

    def stand_still(self, fused_until_ns: int, for_ns: int) -> None:
        for _ in range(for_ns // (S // 5)):
            self.say(fused_until_ns)

    def may(self, number: int) -> bool:
        return self.pacer.may_send(frame_ns(number), self.now_ns)


@pytest.fixture
def play() -> Play:
    return Play()


def test_nothing_goes_before_fusion_has_spoken(play):
    assert not play.may(0)
    play.pacer.hear_pose(frame_ns(0), play.now_ns)
    assert not play.may(0), "a pose may be the last word of a fusion that is gone"
    play.say(0)
    assert play.may(0)


def test_half_a_second_goes_ahead_of_the_first_frame_and_then_of_what_is_fused(play):
    play.say(0)
    assert [play.may(k) for k in range(AHEAD + 3)] == [True] * (AHEAD + 1) + [False] * 2
    play.pacer.hear_pose(frame_ns(0), play.now_ns)
    assert not play.may(AHEAD + 1)
    play.pacer.hear_pose(frame_ns(1), play.now_ns)
    assert play.may(AHEAD + 1)
    assert not play.may(AHEAD + 2)
    play.say(frame_ns(2))
    assert play.may(AHEAD + 2), "health tells it as well as a pose"


def test_a_camera_that_starts_again_passes_over_what_is_fused(play):
    play.say(frame_ns(100))
    assert [play.pacer.is_fused(frame_ns(k)) for k in (0, 99, 100, 101)] == [True, True, True, False]
    assert play.may(101)
    assert play.may(100 + AHEAD)
    assert not play.may(101 + AHEAD)


def test_a_fusion_that_starts_again_is_sent_what_waits(play):
    play.say(frame_ns(100))
    assert not play.may(150)
    play.seq = 0
    play.say(0, after_ns=4 * S)
    assert not play.pacer.is_fused(frame_ns(100))
    assert play.may(150)
    assert play.may(150 + AHEAD)
    assert not play.may(151 + AHEAD)
    play.say(frame_ns(151))
    assert play.may(151 + AHEAD)


def test_a_fusion_that_starts_again_before_it_had_fused_anything(play):
    play.say(0)
    assert play.may(0)
    assert not play.may(20)
    play.say(0)
    assert not play.may(20), "it is still the same one"
    play.seq = 0
    play.say(0)
    assert play.may(20)


def test_a_camera_that_starts_again_together_with_fusion_catches_up_with_the_others(play):
    play.say(0)
    assert play.may(0)
    assert not play.may(20)
    play.pacer.hear_health(play.seq, 0, play.now_ns, behind_ns=AHEAD_NS)
    assert play.may(20), "fusion waits for it where the others are"
    play.pacer.hear_health(play.seq + 1, frame_ns(5), play.now_ns, behind_ns=AHEAD_NS)
    assert not play.may(20), "once something is fused, that is what it keeps step with"


def test_a_fusion_that_lives_and_stands_still_is_sent_a_frame_now_and_then(play):
    """Frames before it were lost on their way when the hub died: it waits for them, and the camera for it."""
    play.say(frame_ns(10))
    play.stand_still(frame_ns(10), STANDSTILL_NS - S)
    assert not play.may(30)
    play.stand_still(frame_ns(10), S)
    assert play.may(30)
    assert not play.may(31), "one frame only: it may be waiting for a camera that is slow to start"
    play.stand_still(frame_ns(10), STANDSTILL_NS)
    assert play.may(31)


def test_a_fusion_that_is_silent_is_sent_nothing_ahead(play):
    play.say(frame_ns(10))
    play.now_ns += 10 * STANDSTILL_NS
    assert not play.may(30)
    play.say(frame_ns(10))
    assert not play.may(30), "its silence was no standstill"


def test_an_ended_camera_stays_while_fusion_goes_on(play):
    ended_ns = play.now_ns
    for number in range(100):
        play.say(frame_ns(number))
        assert not play.pacer.may_leave(ended_ns, play.now_ns)
    play.stand_still(frame_ns(99), QUIET_END_NS - S)
    assert not play.pacer.may_leave(ended_ns, play.now_ns)
    play.stand_still(frame_ns(99), S)
    assert play.pacer.may_leave(ended_ns, play.now_ns)


def test_an_ended_camera_waits_for_a_fusion_that_starts_again_but_not_for_ever(play):
    play.say(frame_ns(10))
    ended_ns = play.now_ns
    play.now_ns += SILENT_NS + QUIET_END_NS
    assert not play.pacer.may_leave(ended_ns, play.now_ns)
    play.seq = 0
    play.say(0)
    assert not play.pacer.may_leave(ended_ns, play.now_ns), "the new one has to hear of the end"
    play.now_ns += GONE_NS - S
    assert not play.pacer.may_leave(ended_ns, play.now_ns)
    play.now_ns += S
    assert play.pacer.may_leave(ended_ns, play.now_ns)


def test_an_ended_camera_that_never_heard_fusion_leaves(play):
    assert not play.pacer.may_leave(play.now_ns, play.now_ns + GONE_NS - S)
    assert play.pacer.may_leave(play.now_ns, play.now_ns + GONE_NS)


def lossless_config(tmp_path: Path, left: Path | None = None) -> str:
    """Six seconds (25 Hz) of two of the demo's clips, or another one for `left`; every frame, with a tick for each."""
    folder = demo_config().parent
    paths = {
        name: beginning_of(folder / f"demo/{name}.mp4", tmp_path / f"{name}.mp4", CLIP_FRAMES)
        for name in ("front", "left")
    }
    paths |= {"left": left} if left else {}
    cameras = {name: {"source": "video", "path": str(path), "pace": "pipeline"} for name, path in paths.items()}
    synchroniser = {"rate_hz": 25, "deadline_ms": None}
    document = {
        "calibration": str(folder / "demo/rig.toml"),
        "cameras": cameras,
        "fusion": {"synchroniser": synchroniser},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


class Run:
    """A lossless run in which somebody is killed, once a part of the recording is fused."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.first_ns = self.newest_ns = 0

    def kill(self, at_ns: int, *nodes: str) -> list[Pose3D]:
        """Kill -9 when so much of the recording is fused; the poses from the last kill up to then."""
        before_ns = self.newest_ns
        self.system.wait_for(lambda message: self._fused_ns(message) >= at_ns)
        victims = [self.system.node(node) for node in nodes]
        for victim in victims:
            victim.kill()
        assert all_gone(victims)
        return self._poses_after(before_ns)

    def end(self, *killed: str) -> list[Pose3D]:
        """The poses from the last kill up to the end of the run, which all who were killed have got over."""
        before_ns = self.newest_ns
        with pytest.raises(AssertionError, match="run_system has ended"):
            self.system.wait_for(lambda _: False, patience_s=150)
        assert self.system.process.wait() == 0, self.system.log.read_text()
        for node in killed:
            assert f"{node.removeprefix('nodes.')}: was ended by SIGKILL" in self.system.log.read_text()
        poses = self._poses_after(before_ns)
        assert poses[-1].captured_ns - self.first_ns > (CLIP_FRAMES - 4) * FRAME_NS, "up to the end of the clips"
        return poses

    def _fused_ns(self, message: Message) -> int:
        if isinstance(message, Pose3D):
            self.first_ns, self.newest_ns = self.first_ns or message.captured_ns, message.captured_ns
        return self.newest_ns - self.first_ns

    def _poses_after(self, instant_ns: int) -> list[Pose3D]:
        poses = [pose for pose in self.system.poses() if pose.captured_ns > instant_ns]
        self.system.heard.clear()
        return poses


@pytest.mark.slow
def test_kill_9_in_a_lossless_run_of_a_camera_costs_no_tick_of_fusion_what_was_on_its_way(tmp_path):
    with running(tmp_path, "live", "--config", lossless_config(tmp_path)) as system:
        run = Run(system)
        run.kill(S, "left")
        without_left = run.kill(SECOND_KILL * FRAME_NS, "nodes.fusion")
        without_fusion = run.end("left", "nodes.fusion")
    times = [(pose.captured_ns - run.first_ns) // FRAME_NS for pose in without_left]
    assert times == list(range(26, SECOND_KILL + 1)), "every tick once, in order"
    assert all(pose.valid for pose in without_left), "both cameras in each"
    times_ns = [pose.captured_ns for pose in without_fusion]
    gaps_ns = [after - before for before, after in itertools.pairwise([without_left[-1].captured_ns, *times_ns])]
    assert max(gaps_ns) < 2 * AHEAD_NS, "what was sent to the old one, and no more"
    assert sum(pose.valid for pose in without_fusion) > CLIP_FRAMES - SECOND_KILL - 3 * AHEAD, "most of what came after"


@pytest.mark.slow
def test_kill_9_of_fusion_when_one_recording_is_over_already(tmp_path):
    short = write_clip(tmp_path / "short.mp4", frames=15, fps=25)
    with running(tmp_path, "live", "--config", lossless_config(tmp_path, short)) as system:
        run = Run(system)
        run.kill(S, "nodes.fusion")
        poses = run.end("nodes.fusion")
    assert len(poses) > 75, "most of the longer one"
    assert {pose.left_out.get("left") for pose in poses} == {"its recording has ended"}


@pytest.mark.slow
def test_kill_9_of_fusion_and_a_camera_together_and_of_the_hub_does_not_end_a_lossless_run(tmp_path):
    with running(tmp_path, "live", "--config", lossless_config(tmp_path)) as system:
        run = Run(system)
        run.kill(S, "nodes.fusion", "left")
        without_both = run.kill(SECOND_KILL * FRAME_NS, "nodes.hub")
        without_hub = run.end("nodes.fusion", "left", "nodes.hub")
    for poses, frames in ((without_both, SECOND_KILL - 25), (without_hub, CLIP_FRAMES - SECOND_KILL)):
        assert len(poses) > frames - 2 * AHEAD, "most of what came after"
        assert sum(pose.valid for pose in poses) > frames - 3 * AHEAD
