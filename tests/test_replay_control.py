"""A recording as it is played: stopped, sent elsewhere, stepped, beside another result; by itself and on a real bus."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from mcap.records import ChunkIndex

from nodes.compiling import compile_kernels
from nodes.sessions.about import about_of
from nodes.sessions.beside import Beside, check_beside
from nodes.sessions.errors import SessionError
from nodes.sessions.logged import Logged
from nodes.sessions.play_options import Play
from nodes.sessions.reader import SessionReader
from nodes.sessions.tape import POSES_OUT, Tape, check_playable
from nodes.sessions.writer import new_session
from nodes.sources.source import Frame
from nodes.video_files import VideoFiles
from nodes.wire.bus import Publisher, Subscription, every, now_ns
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Message, Pose3D, Preview
from nodes.wire.requests import BESIDE, Mark, PlayRequest, PlayState
from tests.crowd import Actor
from tests.hub import PATIENCE_S, Hub, hub, running
from tests.session_files import config_of, rig_of, saved
from tests.takes import CAMERAS, START_NS, Part, Take

__all__ = ["hub"]

S, MS = 1_000_000_000, 1_000_000
WALK = Take(6.0, (Part(1, Actor()),))
MOVED = replace(WALK, wrong=lambda _part, joints_m, _at_s: joints_m + 0.02)
MARKS = ((1.5, "sits down"), (4.0, ""))


def write(path: Path, take: Take, marks=()) -> Path:
    """A session with marks in it."""
    content = list(take.messages())
    for at_s, text in marks:
        at_ns = START_NS + round(at_s * S)
        content.append((Mark(captured_ns=at_ns, published_ns=at_ns, source="viewer", seq=0, text=text), at_ns))
    with new_session(path, about_of(config_of(CAMERAS), rig_of(CAMERAS)), force=True, at_ns=START_NS) as writer:
        for message, log_ns in sorted(content, key=lambda each: each[1]):
            writer.write(message, log_ns)
    return path


@pytest.fixture(scope="module")
def take(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("take") / "walk.mcap", WALK, MARKS)


@pytest.fixture(scope="module")
def other(take) -> Path:
    return write(take.with_name("better.mcap"), MOVED)


@pytest.fixture
def session(take) -> Iterator[SessionReader]:
    with SessionReader(take) as reader:
        yield reader


def test_a_moment_is_the_newest_message_of_each_topic_and_the_rest_follows(session):
    tape = Tape(session, Play(poses=True))
    at_ns = START_NS + 3 * S
    newest, rest = tape.at(at_ns)
    assert sorted(each.topic for each in newest) == sorted(
        [f"{kind}/{camera}" for kind in ("keypoints", "camera_health") for camera in ("left", "right", "back")]
        + ["pose/fusion"]
    )
    pose = next(each for each in newest if each.kind is Pose3D)
    behind = next(came.logged for came in rest if came.logged.kind is Pose3D)
    assert behind.seq == pose.seq + 1
    assert pose.log_ns <= at_ns < behind.log_ns
    played = list(session.logged(*POSES_OUT))
    assert [came.logged for came in rest] == played[played.index(behind) + 1 :], "each once, in their order"


def test_a_pose_is_found_again_and_those_before_it(session):
    tape = Tape(session, Play(poses=True))
    poses = list(session.logged(Pose3D))
    newest, rest = tape.at_pose(poses[50])
    assert newest[-1] == poses[50]
    assert next(came.logged for came in rest if came.logged.kind is Pose3D) == poses[51]
    assert tape.pose_before(poses[50], 0, 1) == poses[49]
    assert tape.pose_before(poses[50], 0, 7) == poses[43]
    assert tape.pose_before(poses[0], 0, 1) is None
    assert tape.pose_before(None, poses[50].log_ns, 1) == poses[50]


def test_the_stretch_that_is_played_is_not_left(session):
    tape = Tape(session, Play(poses=True, from_s=2.0, to_s=3.0))
    assert tape.from_ns - session.start_ns == 2 * S
    times_s = [(came.logged.log_ns - session.start_ns) / S for came in tape.behind(0)]
    assert 2.0 <= min(times_s) < 2.05
    assert 2.95 < max(times_s) < 3.0
    with pytest.raises(SessionError, match="nothing to play"):
        Tape(session, Play(from_s=100.0))


@pytest.fixture(scope="module")
def imported(take) -> Path:
    """The walk as an import makes it: of cameras no word but their end."""
    content = [(m, at) for m, at in WALK.messages() if isinstance(m, Keypoints2D | Pose3D)]
    end_ns = content[-1][1] + MS
    ends = [
        (CameraHealth(captured_ns=end_ns, published_ns=end_ns, source=name, seq=999, state="ended"), end_ns)
        for name in CAMERAS
    ]
    return saved(take.with_name("imported.mcap"), [*content, *ends])


def test_poses_are_not_played_where_there_are_none(take, tmp_path):
    without = saved(tmp_path / "2d.mcap", [(m, at) for m, at in WALK.messages() if not isinstance(m, Pose3D)])
    with pytest.raises(SessionError, match=r"2d.mcap has no poses to play; leave out --poses"):
        check_playable(without, Play(poses=True))
    check_playable(without, Play())
    check_playable(take, Play(poses=True))


def test_marks_are_told_in_seconds_of_the_recording(session):
    marks = Tape(session, Play(poses=True)).marks()
    assert [(round(mark.at_s, 2), mark.text) for mark in marks] == [(1.47, "sits down"), (3.97, "")]


def test_marks_are_found_without_reading_what_holds_none(session, monkeypatch):
    read: list[ChunkIndex] = []
    records = SessionReader._records

    def counted(reader: SessionReader, index: ChunkIndex, names: set[str]) -> list[Logged]:
        read.append(index)
        return records(reader, index, names)

    monkeypatch.setattr(SessionReader, "_records", counted)
    assert len(list(session.logged(Mark))) == 2
    assert len(read) == 2


def test_another_result_is_laid_beside_at_the_same_instants(session, other):
    beside = Beside(other, session)
    assert beside.note == ""
    for at_s in (3.0, 3.0, 3.1, 5.5, 0.5, 0.6):  # on, far on, and back
        instant_ns = START_NS + round(at_s * 30) * S // 30
        found = beside.near(instant_ns + 2 * MS)
        assert found is not None
        assert abs(found.message().captured_ns - instant_ns) < MS
    assert beside.near(START_NS + 100 * S) is None
    beside.close()


def test_results_that_do_not_go_together_are_refused(take, tmp_path):
    day = [(replace(m, captured_ns=m.captured_ns + 86400 * S), at + 86400 * S) for m, at in WALK.messages()]
    later = saved(tmp_path / "later.mcap", day)
    with pytest.raises(SessionError, match=r"no instant in common, they are 863\d\d s apart"):
        check_beside(take, later)
    without = saved(tmp_path / "2d.mcap", [(m, at) for m, at in WALK.messages() if not isinstance(m, Pose3D)])
    with pytest.raises(SessionError, match=r"2d.mcap has no poses .*reprocess"):
        check_beside(take, without)
    with pytest.raises(SessionError, match="does not exist"):
        check_beside(take, tmp_path / "nowhere.mcap")
    check_beside(take, None)


def test_what_differs_between_two_results_is_said(session, tmp_path):
    short = write(tmp_path / "short.mcap", replace(WALK, seconds=3.0))
    beside = Beside(short, session)
    assert beside.note == "it lacks 3 s of this recording"
    beside.close()


class Playing:
    """A player on a hub, and what it says."""

    def __init__(self, hub: Hub, *arguments: str) -> None:
        command = [sys.executable, "-m", "nodes.replay", *arguments, "--hub", hub.inner, "--hub-outer", hub.outer]
        self.inbox: Subscription[Message] = every(
            Pose3D, Keypoints2D, CameraHealth, PlayState, hub_out=hub.outer, high_water_mark=20_000
        )
        self.publisher = Publisher(hub.inner)
        self.seq = 0
        self.state: PlayState | None = None
        self.heard: list[Message] = []
        self.process = subprocess.Popen(command)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.inbox.close()
        self.publisher.close()

    def ask(self, action: str, value: float = math.nan) -> None:
        self.heard.clear()
        self.seq += 1
        self.publisher.send(
            PlayRequest(captured_ns=now_ns(), published_ns=0, source="test", seq=self.seq, action=action, value=value)
        )

    def until(self, done: Callable[[PlayState], bool]) -> PlayState:
        """Listen until the player says something that will do."""
        give_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_s:
            message = self.inbox.receive(100)
            if isinstance(message, PlayState):
                self.state = message
                if done(message):
                    return message
            elif message is not None:
                self.heard.append(message)
        raise AssertionError(f"not within {PATIENCE_S} s; the player says {self.state}")

    def poses(self, source: str = "fusion") -> list[Pose3D]:
        return [each for each in self.heard if isinstance(each, Pose3D) and each.source == source]

    def recorded_s(self, pose: Pose3D) -> float:
        """The second of the take that a pose speaks of."""
        assert self.state is not None
        return (pose.captured_ns - self.state.shift_ns - START_NS) / S


@pytest.fixture
def playing(hub, take, other) -> Iterator[Playing]:
    made = Playing(hub, str(take), "--beside", str(other), "--stay")
    yield made
    made.close()


def stands_at(seconds: float) -> Callable[[PlayState], bool]:
    return lambda state: not state.playing and abs(state.position_s - seconds) < 0.02


def test_a_recording_is_stopped_moved_stepped_and_played_to_its_end(playing):
    playing.until(lambda state: state.playing and state.position_s > 0.2)
    playing.ask("pause")
    playing.until(lambda state: not state.playing)
    playing.ask("seek", 3.0)
    playing.until(stands_at(3.0))
    shown = playing.poses()[-1]
    assert playing.recorded_s(shown) == pytest.approx(3.0 - 0.03, abs=0.04)
    beside = playing.poses(BESIDE)[-1]
    assert beside.captured_ns == shown.captured_ns
    assert np.allclose(beside.people[0].joints_m - shown.people[0].joints_m, 0.02, atol=1e-5)
    assert {each.source for each in playing.heard if isinstance(each, Keypoints2D)} >= {"left", "right", "back"}
    before_s = playing.recorded_s(shown)
    for ticks in (1, 1, -1, -2, 4):
        playing.ask("step", ticks)
        at_s = playing.state.position_s
        playing.until(lambda state, at_s=at_s: abs(state.position_s - at_s) > 0.01)
        before_s += ticks / 30
        assert playing.recorded_s(playing.poses()[-1]) == pytest.approx(before_s, abs=1e-3)
    playing.ask("seek", 0.0)
    playing.until(lambda state: state.position_s < 0.1)
    assert playing.recorded_s(playing.poses()[-1]) == 0.0, "the first pose comes a moment after the begin, and is shown"
    playing.ask("seek", 5.5)
    playing.ask("speed", 2.0)
    playing.ask("play")
    state = playing.until(stands_at(playing.state.duration_s))
    assert state.speed == 2.0
    assert [mark.text for mark in state.marks] == ["sits down", ""]
    assert playing.process.poll() is None, "it stands at its end"
    playing.ask("play")
    playing.until(lambda state: state.playing and 0.1 < state.position_s < 3.0)


def test_a_recording_that_stands_is_not_silent_and_nonsense_changes_nothing(playing):
    playing.until(lambda state: state.playing and state.position_s > 0.2)
    playing.ask("pause")
    at_s = playing.until(lambda state: not state.playing).position_s
    for action, value in (("seek", math.nan), ("step", math.inf), ("speed", math.nan), ("pause", 3.0)):
        playing.ask(action, value)
    give_up_s = time.monotonic() + PATIENCE_S
    cameras: set[str] = set()
    while len(cameras) < 3 and time.monotonic() < give_up_s:
        message = playing.inbox.receive(100)
        if isinstance(message, CameraHealth):
            cameras.add(message.source)
    assert cameras == {"left", "right", "back"}
    playing.ask("seek", -1e300)
    assert playing.until(lambda state: state.position_s < 0.1).speed == 1.0
    playing.ask("seek", 1e300)
    assert playing.until(lambda state: state.position_s > 5.9).position_s > at_s


def test_a_recording_that_has_no_word_of_its_cameras_speaks_for_them_and_for_fusion(hub, imported):
    playing = Playing(hub, str(imported), "--poses", "--stay")
    with every(FusionHealth, hub_out=hub.outer, source="fusion") as fusion:
        try:
            playing.until(lambda state: state.playing and state.position_s > 0.8)
            told = {(each.source, each.state) for each in playing.heard if isinstance(each, CameraHealth)}
            assert told == {(name, "streaming") for name in ("left", "right")}, "those of its configuration"
            assert fusion.receive(1000) is not None
        finally:
            playing.close()


def test_the_pictures_of_recorded_videos_are_those_of_the_moment(hub, tmp_path):
    content = [*replace(WALK, seconds=4.0).messages()]
    name = filmed(tmp_path, "left", seconds=4)
    told = CameraHealth(
        captured_ns=START_NS, published_ns=START_NS, source="left", seq=999, state="streaming", video_file=name
    )
    path = saved(tmp_path / "filmed.mcap", [*content, (told, content[-1][1] + MS)])
    playing = Playing(hub, str(path), "--poses", "--stay", "--preview")
    pictures = every(Preview, hub_out=hub.outer)
    try:
        playing.until(lambda state: state.position_s > 0.3)
        playing.ask("pause")
        for second in (3.0, 1.0):
            playing.until(lambda state: not state.playing)
            playing.ask("seek", second)
            give_up_s = time.monotonic() + PATIENCE_S
            while time.monotonic() < give_up_s:
                shown = pictures.receive(100)
                if shown is not None and abs(grey(shown) - 50 * second) < 6:
                    break
            else:
                raise AssertionError(f"no picture of second {second}")
            assert shown.source == "left"
    finally:
        playing.close()
        pictures.close()


@pytest.mark.slow
def test_a_recording_that_is_fused_again_shows_the_place_that_it_is_sent_to(hub, take):
    compile_kernels(print)
    addresses = ["--hub", hub.inner, "--hub-outer", hub.outer]
    with (
        running([sys.executable, "-m", "nodes.fusion", "--session", str(take), *addresses]),
        every(FusionHealth, hub_out=hub.outer, source="fusion") as fusion,
    ):
        assert fusion.receive(round(2000 * PATIENCE_S)) is not None
        playing = Playing(hub, str(take), "--stay")
        try:
            playing.until(lambda state: state.position_s > 0.5)
            playing.ask("pause")
            playing.until(lambda state: not state.playing)
            ids: set[int] = set()
            for second in (4.0, 1.5, 0.3):
                playing.ask("seek", 0.0 if second < 0.5 else second)
                at_s = wait_for_pose(playing, second)
                newest = playing.poses()[-1]
                ids |= {person.id for person in newest.people}
                assert newest.people[0].joints_m[0] == pytest.approx(walker_m(at_s)[0], abs=0.06)
            assert len(ids) == 3, "fusion begins anew at each place: nobody is drawn from one to the other"
            for _ in range(3):
                at_s += 1 / 30
                playing.ask("step", 1)
                wait_for_pose(playing, at_s)
        finally:
            playing.close()


def wait_for_pose(playing: Playing, second: float) -> float:
    """Until fusion has made a pose of that second of the take, to a frame or two; which second exactly."""
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        playing.until(lambda _: True)
        if playing.poses() and abs(playing.recorded_s(playing.poses()[-1]) - second) < 0.05:
            return playing.recorded_s(playing.poses()[-1])
    raise AssertionError(f"no pose of second {second}")


def walker_m(at_s: float) -> npt.NDArray[np.float64]:
    """(33, 3) where the walker is then."""
    return Actor().joints_m(at_s)[0]


def filmed(folder: Path, camera: str, seconds: int) -> str:
    """A video, 50 grey levels brighter each second; its name."""
    files = VideoFiles(folder, "filmed", camera, "h264", 18, (64, 48), 30.0)
    for tick in range(30 * seconds):
        image_rgb = np.full((48, 64, 3), round(50 * tick / 30), np.uint8)
        files.write(Frame(image_rgb, START_NS + tick * S // 30, tick))
    files.close()
    return files.name


def grey(preview: Preview) -> float:
    picture = cv2.imdecode(np.frombuffer(preview.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return float(picture.mean())
