"""What the recorder does when it is asked, told and left alone. No sockets: those are in test_recorder_crashes."""

import os
from dataclasses import replace
from typing import Any

import pytest

from nodes.recorder import Recorder, SteadyClock, _is_over
from nodes.sessions.reader import SessionReader
from nodes.sessions.take import _stamps
from nodes.wire.errors import WireError
from nodes.wire.messages import Message, RecorderHealth
from nodes.wire.topics import envelope
from tests import messages as make
from tests.session_files import MS, about, messages, saved

T = make.START_NS


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path)


def hear(recorder: Recorder, message: Message, at_ns: int = T) -> None:
    recorder.take_in(envelope(message), at_ns)


def ask(recorder: Recorder, action: str, at_ns: int = T, **more: object) -> None:
    request: dict[str, Any] = {"name": "walk", "video": False, **more}
    hear(recorder, make.record_request(action=action, **request), at_ns)


def state(recorder: Recorder, at_ns: int = T) -> tuple[str, str]:
    health = recorder.health(at_ns)
    return health.state, health.note


def test_it_waits_to_be_asked(recorder, tmp_path):
    hear(recorder, make.keypoints())
    assert state(recorder) == ("idle", "")
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_between_start_and_stop_is_in_the_file(recorder, tmp_path):
    ask(recorder, "start")
    hear(recorder, about())
    for message, log_ns in messages(20):
        hear(recorder, message, log_ns)
    ask(recorder, "stop")
    hear(recorder, make.pose())
    path = tmp_path / "walk.mcap"
    assert state(recorder) == ("stopped", "")
    with SessionReader(path) as session:
        found: list[Message] = list(session.messages())
        assert session.cameras == ("left", "right")
    assert all(make.same(one, other) for one, (other, _) in zip(found, messages(20), strict=True))


def test_it_records_when_it_hears_itself_and_knows_what_the_recording_is_of(recorder, tmp_path):
    recorder.start(tmp_path / "a.mcap", video=True, at_ns=T)
    assert state(recorder) == ("starting", "")
    hear(recorder, recorder.health(T))
    assert state(recorder) == ("starting", "")
    hear(recorder, make.recorder_health(source="another"))
    hear(recorder, about())
    health = recorder.health(T + 1)
    assert (health.state, health.video, health.path) == ("recording", True, str(tmp_path / "a.mcap"))


def test_without_word_of_the_configuration_it_records_all_the_same_and_says_so(recorder, tmp_path):
    recorder.start(tmp_path / "a.mcap", video=False, at_ns=T)
    hear(recorder, recorder.health(T))
    told, note = state(recorder, T + 6000 * MS)
    assert told == "recording"
    assert "nothing tells the configuration" in note


def test_settings_that_change_meanwhile_are_told(recorder, tmp_path):
    recorder.start(tmp_path / "walk.mcap", False, at_ns=make.START_NS)
    for _ in range(2):
        recorder.take_in(envelope(about()), make.START_NS)
    assert "settings changed" not in recorder.health(make.START_NS).note
    other = replace(about(), config_yaml=about().config_yaml.replace("kind: kalman", "kind: none"))
    recorder.take_in(envelope(other), make.START_NS + 12_300 * MS)
    recorder.take_in(envelope(about()), make.START_NS + 20_000 * MS)
    assert "settings changed after 12.3 s" in recorder.health(make.START_NS + 20_000 * MS).note
    recorder.stop(make.START_NS + 20_000 * MS)
    with SessionReader(tmp_path / "walk.mcap") as session:
        assert session.config().fusion.smoothing.kind == "kalman"


def test_a_second_request_is_refused_and_does_the_recording_no_harm(recorder):
    ask(recorder, "start")
    ask(recorder, "start")  # the same again: nothing to refuse
    assert state(recorder)[1] == ""
    ask(recorder, "start", name="other")
    assert "other.mcap was refused" in state(recorder)[1]
    ask(recorder, "stop")
    assert state(recorder) == ("stopped", "")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b", "ä"])
def test_a_stranger_does_not_choose_the_folder(recorder, tmp_path, name):
    ask(recorder, "start", name=name)
    assert "was refused" in state(recorder)[1]
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_a_name_has_the_time_of_day(recorder, tmp_path):
    ask(recorder, "start", name="")
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("take-20")


def test_nothing_is_written_over(recorder, tmp_path):
    (tmp_path / "walk.mcap").write_text("mine")
    ask(recorder, "start")
    ask(recorder, "stop")
    assert (tmp_path / "walk.mcap").read_text() == "mine"
    assert (tmp_path / "walk-2.mcap").is_file()


def test_a_later_life_goes_on_with_what_was_cut_and_not_with_what_was_ended(tmp_path):
    out, older = tmp_path / "walk.mcap", saved(tmp_path / "walk-2.mcap")
    os.utime(older, (1, 1))  # of a take of last week
    assert not _is_over(out)  # the first life: there is nothing yet
    saved(out)
    assert _is_over(out)
    out.write_bytes(out.read_bytes()[:-500])
    assert not _is_over(out)
    saved(tmp_path / "walk-3.mcap")  # the second life was asked to end
    assert _is_over(out)


def test_gaps_in_the_numbers_of_messages_are_counted(recorder):
    ask(recorder, "start")
    for seq in (4, 5, 8, 9, 0, 1):  # two are lost; then the camera was started again
        hear(recorder, make.keypoints(seq=seq))
    hear(recorder, make.keypoints(source="right", seq=100))
    health = recorder.health(T)
    assert health.lost == 2
    assert "2 messages were lost" in health.note


@pytest.mark.parametrize("seq", [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32])
@pytest.mark.parametrize("source", ["left", "a" * 31, "a" * 40, "£ã"])
def test_stamps_are_read_as_the_whole_message_says_them(source, seq):
    for message in (
        make.keypoints(source=source, seq=seq),
        make.pose(source=source, seq=seq),
        make.camera_health(source, seq),
    ):
        body = envelope(message).partition(b"\0")[2]
        assert _stamps(body, source) == (message.published_ns, seq)
        with pytest.raises(WireError):
            _stamps(body, "another")


def test_absurd_numbers_are_no_losses(recorder):
    ask(recorder, "start")
    for source in ("left", "right"):
        for seq in (0, 2**63 - 1):
            hear(recorder, make.keypoints(source=source, seq=seq))
    assert recorder.health(T).lost == 0


def test_what_is_not_ours_is_not_recorded(recorder, tmp_path):
    ask(recorder, "start")
    good = envelope(make.keypoints())
    for strange in (
        b"keypoints/left\0garbage",
        b"keypoints/right\0" + good.partition(b"\0")[2],  # says that it comes from another
        envelope(make.preview()),  # pictures are personal data
        b"secrets/x\0" + good.partition(b"\0")[2],
        b"\xff\xfe",
        b"",
    ):
        recorder.take_in(strange, T)
    recorder.take_in(good, T)
    health = recorder.health(T)
    assert (health.messages, health.lost) == (1, 0)
    assert "6 messages were not ours" in health.note
    ask(recorder, "stop")
    with SessionReader(tmp_path / "walk.mcap") as session:
        assert len(list(session.logged())) == 1


def test_the_command_s_own_recorder_does_not_obey_requests_for_the_system_s(tmp_path):
    recorder = Recorder(tmp_path, "record", obeys=False)
    recorder.start(tmp_path / "mine.mcap", video=False, at_ns=T)
    ask(recorder, "stop")
    ask(recorder, "start", name="theirs")
    hear(recorder, make.keypoints())
    assert recorder.is_recording
    assert recorder.health(T).messages == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.mcap"]


def test_a_clock_that_is_set_back_does_not_touch_the_recording(monkeypatch):
    wall_ns = [T]
    monkeypatch.setattr("nodes.recorder.now_ns", lambda: wall_ns[0])
    clock = SteadyClock()
    before_ns = clock.now_ns()
    wall_ns[0] -= 3_600_000 * MS
    assert 0 <= clock.now_ns() - before_ns < 5000 * MS
    clock.set()  # between recordings it goes by the wall clock again
    assert clock.now_ns() < before_ns - 3_000_000 * MS


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    recorder = Recorder(tmp_path / "file" / "takes")
    ask(recorder, "start")
    health = recorder.health(T)
    assert isinstance(health, RecorderHealth)
    assert health.state == "failed"
    assert "cannot be made" in health.note


def test_a_pose_of_other_joints_than_its_skeleton_s_does_not_end_the_recording(recorder):
    ask(recorder, "start")
    hear(recorder, make.pose(skeleton="coco17", people=(make.person(5),)))
    assert recorder.health(T).messages == 1
