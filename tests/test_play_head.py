"""Where the playing of a recording is, how times are moved, and what is said for those who are played. No sockets."""

import pytest

from nodes.sessions.logged import Logged
from nodes.sessions.play_head import SILENCE_NS, PlayHead, Stamps
from nodes.sessions.voices import FUSION, Voices
from nodes.wire.messages import CameraHealth, Keypoints2D, Message
from nodes.wire.topics import BY_MESSAGE, envelope, open_envelope
from tests import messages as make

S = 1_000_000_000


def test_the_head_goes_at_its_speed_and_stands_when_it_is_told_to():
    head = PlayHead(1000 * S, 50.0, speed=2.0)
    assert head.position_ns(51.5) == 1003 * S
    assert head.wait_s(1005 * S, 51.5) == pytest.approx(1.0)
    assert head.wait_s(1002 * S, 51.5) == 0.0
    head.pause(51.5)
    assert head.position_ns(99.0) == 1003 * S
    assert head.wait_s(1003 * S, 99.0) == 0.0
    assert head.wait_s(1003 * S + 1, 99.0) is None
    head.go(100.0)
    head.set_speed(0.5, 101.0)
    assert head.position_ns(103.0) == 1006 * S
    assert head.wait_s(1007 * S, 103.0) == pytest.approx(2.0)
    head.set_speed(None, 103.0)
    assert head.wait_s(2000 * S, 103.0) == 0.0


def test_nothing_is_due_before_the_beginning():
    head = PlayHead(1000 * S, 50.0)
    assert head.position_ns(40.0) == 1000 * S
    assert head.wait_s(1001 * S, 40.0) == pytest.approx(11.0)


def test_stamps_go_on_at_now_after_a_jump_and_never_back():
    stamps = Stamps(keeps=False, fuses=True)
    stamps.begin(100 * S, 9000 * S)
    assert stamps.shift_ns == 8900 * S
    stamps.sent(110 * S)
    stamps.jump(50 * S, 50 * S, 9100 * S)
    assert stamps.shift_ns == 9050 * S, "what was recorded at 50 s is of now"
    stamps.sent(50 * S)
    stamps.jump(30 * S, 29 * S, 9100 * S + 1)
    assert stamps.shift_ns + 29 * S == 9100 * S + SILENCE_NS, "fusion takes it for a new beginning"


def test_without_fusion_no_silence_is_needed_and_recorded_stamps_are_kept():
    stamps = Stamps(keeps=False, fuses=False)
    stamps.begin(100 * S, 9000 * S)
    stamps.sent(101 * S)
    stamps.jump(50 * S, 50 * S, 9000 * S)
    assert stamps.shift_ns + 50 * S == 9001 * S + 1
    kept = Stamps(keeps=True, fuses=False)
    kept.begin(100 * S, 9000 * S)
    kept.sent(101 * S)
    kept.jump(50 * S, 50 * S, 9000 * S)
    assert kept.shift_ns == 0


def test_kept_stamps_are_moved_where_fusion_would_take_a_jump_for_a_gap():
    kept = Stamps(keeps=True, fuses=True)
    kept.begin(100 * S, 9000 * S)
    kept.sent(100 * S)
    kept.jump(101 * S, 101 * S, 9001 * S)
    assert kept.shift_ns + 101 * S == 100 * S + SILENCE_NS
    kept.jump(200 * S, 200 * S, 9001 * S)
    assert kept.shift_ns == 0


class Speaking:
    """The voices of two cameras and of fusion, and a clock."""

    def __init__(self) -> None:
        self.voices = Voices(("left", "right"), with_fusion=True)
        self.now_s = 100.0

    def sends(self, message: Message) -> None:
        sealed = envelope(message)
        topic = f"{BY_MESSAGE[type(message)].name}/{message.source}"
        logged = Logged(topic, message.published_ns, message.published_ns, sealed.partition(b"\0")[2], message.seq)
        self.voices.sent(logged, sealed, self.now_s)

    def said(self, playing: bool = True, after_s: float = 0.5) -> list[Message]:
        self.now_s += after_s
        return [open_envelope(word) for word in self.voices.again(playing, self.now_s, 7 * S)]

    def states(self, playing: bool = True, after_s: float = 0.5) -> dict[str, str]:
        said = self.said(playing, after_s)
        return {each.source: each.state for each in said if isinstance(each, CameraHealth)}


def frame(camera: str = "left") -> Keypoints2D:
    return make.keypoints(source=camera)


def health(state: str, camera: str = "left") -> CameraHealth:
    return make.camera_health(source=camera, state=state)


def test_cameras_whose_word_is_not_recorded_stream_while_their_frames_are_sent():
    speaking = Speaking()
    assert speaking.states() == {}
    speaking.sends(frame())
    assert speaking.states() == {"left": "streaming"}
    assert speaking.states(after_s=0.1) == {}, "twice a second at most"
    for told in ({}, {"left": "streaming"}, {"left": "streaming"}):
        speaking.sends(frame())
        assert speaking.states() == told
    assert speaking.states(after_s=3.0) == {}, "a camera that sends nothing any more is not spoken for"
    assert speaking.states(playing=False) == {"left": "streaming"}, "unless all stand"


def test_a_recorded_word_is_the_truth_and_said_again_as_it_was():
    speaking = Speaking()
    speaking.sends(health("reconnecting"))
    speaking.sends(frame())
    assert speaking.said() == []
    (again,) = speaking.said(playing=False)
    assert (again.captured_ns, again.seq) == (health("reconnecting").captured_ns, health("reconnecting").seq)


def test_who_has_ended_and_goes_on_has_not_ended():
    speaking = Speaking()
    speaking.sends(health("ended"))
    assert speaking.states() == {}
    speaking.now_s += 1
    speaking.sends(frame())
    assert speaking.states() == {"left": "streaming"}
    speaking.sends(health("ended", "right"))
    assert speaking.states(playing=False) == {"left": "streaming", "right": "ended"}
    speaking.voices.jumped()
    assert speaking.states(playing=False) == {"left": "streaming"}, "there it has not ended"
    ended = [open_envelope(word).source for word in speaking.voices.all_ended(speaking.now_s, 7 * S)]
    assert ended == ["left", "right"]


def test_fusion_is_spoken_for_where_its_poses_are_played_without_its_word():
    speaking = Speaking()
    speaking.sends(make.pose(source=FUSION))
    assert [each.source for each in speaking.said()] == [FUSION]
    speaking = Speaking()
    speaking.sends(make.fusion_health(source=FUSION))
    speaking.sends(make.pose(source=FUSION))
    assert speaking.said() == []
