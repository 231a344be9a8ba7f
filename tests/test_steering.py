"""Other settings while the system runs: what is refused, what fusion is started with, and when that is taken back."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from calibration.rig import CameraRig
from calibration.rig_file import load_rig, save_rig
from configs.load import load_config
from configs.schema import Config
from nodes.commands.live import demo_config
from nodes.sessions.about import about_of, rig_of
from nodes.system import steering as steering_module
from nodes.system.own_folder import BEGINS, OwnFolder, sweep
from nodes.system.process_table import Process
from nodes.system.steering import Steering
from nodes.system.supervisor import Supervisor
from nodes.watching.monitor import Monitor
from nodes.wire.messages import RecorderHealth, RecordRequest
from nodes.wire.requests import SystemRequest
from tests import messages as make

LIVES = "import time; print('up', flush=True); time.sleep(600)"
DIES = "import sys; sys.exit(1)"
REFUSES = "import sys; print('the lifter does not fit', flush=True); sys.exit(2)"
REQUEST: dict[str, Any] = {"captured_ns": 1, "published_ns": 0, "source": "viewer", "seq": 1}


class Room:
    """A system whose fusion is a small process: it lives with the settings of the beginning, and then does as told."""

    def __init__(self, folder: Path, then: str = LIVES, **changes: Any) -> None:
        self.said: list[str] = []
        self.config_path = folder / "my.yaml"
        self.config_path.write_text(yaml.safe_dump(document(folder, **changes)))
        self.config = load_config(self.config_path)
        self.started: list[Path] = []
        self.then = then
        self.monitor = Monitor(tuple(self.config.cameras), fuses=not self.config.keypoints_only)
        processes = [Process("hub", (sys.executable, "-c", LIVES))]
        if not self.config.keypoints_only:
            processes.append(Process("fusion", (sys.executable, "-c", LIVES)))
        self.supervisor = Supervisor(processes, lambda name, line: self.said.append(f"{name}: {line}"))
        about = about_of(self.config, self.config.calibration)
        self.steering = Steering(self.config, about, self.config_path, self.fusion_with)

    def fusion_with(self, config: Path) -> Process:
        self.started.append(config)
        return Process("fusion", (sys.executable, "-c", LIVES if config == self.config_path else self.then))

    def ask(self, **asked: Any) -> str:
        """What is said to it at once."""
        self.steering.ask(SystemRequest(**REQUEST, **asked))
        self.steering.turn(self.supervisor, self.monitor, time.monotonic_ns())
        return self.steering.note

    def turn_until(self, condition: Callable[[], object]) -> None:
        give_up = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up, f"this did not happen in time: {self.steering.note} {self.said}"
            self.supervisor.ensure_running(time.monotonic_ns())
            self.steering.turn(self.supervisor, self.monitor, time.monotonic_ns())
            time.sleep(0.01)

    def fusion_speaks(self) -> None:
        self.monitor.feed(make.fusion_health(), time.monotonic_ns())

    @property
    def newest(self) -> Config:
        """What fusion was started with last."""
        return load_config(self.started[-1])


def document(folder: Path, **changes: Any) -> dict[str, Any]:
    """The demo's configuration in another folder, with a folder of calibrations."""
    given: dict[str, Any] = yaml.safe_load(demo_config().read_text())
    given["calibration"] = str(demo_config().parent / given["calibration"])
    for camera in given["cameras"].values():
        camera["path"] = str(demo_config().parent / camera["path"])
    given |= {"truth": None, "calibrating": {"folder": str(folder / "calibrations")}, **changes}
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Makes a room in a folder that holds calibrations `other.toml` and, without the camera `left`, `less.toml`."""
    (tmp_path / "calibrations").mkdir()
    rig = load_rig(load_config(demo_config()).calibration or "")
    save_rig(rig, tmp_path / "calibrations" / "other.toml")
    less = CameraRig(tuple(camera for camera in rig.cameras if camera.name != "left"))
    save_rig(less, tmp_path / "calibrations" / "less.toml")
    save_rig(rig, tmp_path / "outside.toml")
    rooms: list[Room] = []

    def make_room(*given: Any, **changes: Any) -> Room:
        rooms.append(Room(tmp_path, *given, **changes))
        return rooms[-1]

    yield make_room
    for room in rooms:
        room.supervisor.stop(hurry=lambda: True)


def test_fusion_alone_starts_again_with_what_was_asked_and_nobody_calls_it_a_crash(opened):
    room = opened()
    room.turn_until(lambda: len(room.said) == 2)
    hub, fusion = room.supervisor.pid("hub"), room.supervisor.pid("fusion")
    assert room.ask(smoothing="one_euro", lift="off") == "fusion starts again with lifter off, smoothing one_euro"
    assert room.supervisor.states(set())["fusion"].state == "waiting"
    assert room.steering.on_trial
    assert "ask again when it runs" in room.ask(lift="on")
    room.turn_until(lambda: room.supervisor.pid("fusion") not in (fusion, None))
    assert room.monitor.status(time.monotonic_ns()).fusion_state == "starting"
    room.fusion_speaks()
    room.turn_until(lambda: room.steering.note == "fusion runs with the new settings")
    assert (room.newest.fusion.lift, room.newest.fusion.smoothing.kind) == (False, "one_euro")
    assert room.newest.calibration == room.config.calibration
    assert room.supervisor.pid("hub") == hub
    assert room.supervisor.restarts == {"hub": 0, "fusion": 0}
    assert not [line for line in room.said if "ended" in line or "starts" in line], "the supervisor says nothing of it"
    assert not room.steering.config.fusion.lift
    assert "smoothing:\n    kind: one_euro" in room.steering.about.config_yaml
    with room.steering:
        assert room.started[-1].exists()
    assert not room.started[-1].parent.exists(), "nothing is left behind"


@pytest.mark.parametrize(
    "name", ["../outside.toml", "absent.toml", "/etc/passwd", ".", "..", ".hidden.toml", "\0", "é" * 100]
)
def test_a_calibration_is_a_file_of_its_folder_and_nothing_else(opened, name):
    assert f"there is no calibration {name!r} in " in opened().ask(calibration=name)


def test_a_link_that_leads_out_of_the_folder_is_none_of_its_calibrations(opened, tmp_path):
    (tmp_path / "calibrations" / "link.toml").symlink_to(tmp_path / "outside.toml")
    assert "there is no calibration 'link.toml'" in opened().ask(calibration="link.toml")


def test_what_cannot_be_is_refused_in_words_and_changes_nothing(opened, tmp_path):
    (tmp_path / "calibrations" / "torn.toml").write_text("[cam_0")
    room = opened()
    assert "has no camera 'left'" in room.ask(calibration="less.toml")
    assert room.ask(calibration="torn.toml").startswith("not changed: ")
    assert room.ask() == "nothing to change: it is set like that already"
    assert room.ask(smoothing="kalman", lift="on") == "nothing to change: it is set like that already"
    recorder = RecorderHealth(**REQUEST | {"source": "recorder"}, state="recording", path="walk.mcap")
    room.monitor.feed(recorder, time.monotonic_ns())
    assert "a recording runs" in room.ask(smoothing="none")
    assert room.started == []


def test_a_recording_that_is_only_asked_for_runs_already(opened):
    room = opened()
    room.turn_until(lambda: len(room.said) == 2)
    asked_ns = time.monotonic_ns()
    room.steering.note_recording(RecordRequest(**REQUEST, action="start"), asked_ns)
    assert "a recording runs" in room.ask(smoothing="none")
    room.steering.note_recording(RecordRequest(**REQUEST, action="start"), asked_ns - 3 * 10**9)
    assert "starts again" in room.ask(smoothing="none"), "it was refused by the recorder: it would have told"


def test_one_camera_without_calibration_cannot_do_without_the_lifter(opened):
    camera = {"left": document(Path())["cameras"]["left"]}
    assert "all depth comes from the lifter" in opened(cameras=camera, calibration=None).ask(lift="off")


def test_a_recording_that_is_played_keeps_its_settings(opened):
    room = opened()
    steering = Steering(room.config, room.steering.about, Path(), None)
    steering.ask(SystemRequest(**REQUEST, smoothing="none"))
    steering.turn(room.supervisor, room.monitor, time.monotonic_ns())
    assert "`run_system.py reprocess` fuses it with others" in steering.note
    assert (steering.config_file, steering.calibration) == ("", "rig.toml")


def test_a_system_without_fusion_begins_to_fuse_with_a_calibration(opened, tmp_path):
    room = opened(calibration=None, keypoints_only=True)
    room.turn_until(lambda: room.supervisor.pid("hub"))
    assert room.ask(calibration="other.toml") == "fusion starts with the calibration other.toml"
    room.turn_until(lambda: room.supervisor.pid("fusion"))
    assert room.monitor.waits_for_fusion
    room.fusion_speaks()
    room.turn_until(lambda: "fusion runs" in room.steering.note)
    assert f"write into {room.config_path}: `calibration: calibrations/other.toml`" in room.steering.note
    assert room.newest.calibration == tmp_path / "calibrations" / "other.toml"
    assert not room.newest.keypoints_only
    about = rig_of(room.steering.about)
    assert about is not None
    assert set(about.names) == set(room.config.cameras)


@pytest.mark.parametrize("fuses", [True, False])
def test_settings_that_fusion_refuses_are_taken_back(opened, fuses):
    room = opened(REFUSES) if fuses else opened(REFUSES, calibration=None, keypoints_only=True)
    room.turn_until(lambda: len(room.said) == 1 + fuses)
    room.ask(calibration="other.toml")
    room.turn_until(lambda: "refused" in room.steering.note)
    assert "fusion: the lifter does not fit" in room.said
    assert room.supervisor.refused == []
    assert room.steering.config == room.config
    if fuses:
        assert room.started[-1] == room.config_path
        room.turn_until(lambda: room.supervisor.pid("fusion"))
    else:
        assert "fusion" not in room.supervisor.restarts
        assert room.monitor.status(time.monotonic_ns()).fusion_state == "off"


@pytest.mark.parametrize("fuses", [True, False])
def test_settings_that_fusion_does_not_live_with_are_taken_back_too(opened, fuses):
    room = opened(DIES) if fuses else opened(DIES, calibration=None, keypoints_only=True)
    room.turn_until(lambda: len(room.said) == 1 + fuses)
    room.ask(calibration="other.toml")
    room.turn_until(lambda: "ends again and again" in room.steering.note)
    assert not room.steering.on_trial
    assert room.steering.config == room.config
    if fuses:
        room.turn_until(lambda: room.supervisor.states(set())["fusion"].state == "running")
        assert "fusion starts again" in room.ask(smoothing="none"), "others can be asked for"
    else:
        room.turn_until(lambda: "fusion" not in room.supervisor.restarts)


def test_a_fusion_that_never_speaks_is_not_waited_for_for_ever(opened, monkeypatch):
    monkeypatch.setattr(steering_module, "LONGEST_TRIAL_NS", 300_000_000)
    room = opened(calibration=None, keypoints_only=True)
    room.turn_until(lambda: room.supervisor.pid("hub"))
    room.ask(calibration="other.toml")
    room.turn_until(lambda: "said nothing" in room.steering.note)
    room.turn_until(lambda: "fusion" not in room.supervisor.restarts)


def test_what_a_killed_run_has_left_goes_with_the_next_and_what_runs_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"{BEGINS}dead"
    left.mkdir()
    for name in ("run", "fusion-1.yaml"):
        (left / name).write_text("")
    (tmp_path / f"{BEGINS}foreign").mkdir()
    runs = OwnFolder()
    (runs.path() / "fusion-1.yaml").write_text("")
    sweep(tmp_path)
    assert not left.exists()
    assert (runs.path() / "fusion-1.yaml").exists()
    assert (tmp_path / f"{BEGINS}foreign").exists()
    runs.remove()
    assert [path.name for path in tmp_path.iterdir()] == [f"{BEGINS}foreign"]


def test_passwords_of_cameras_do_not_get_into_the_file(opened):
    camera = {"source": "stream", "url": "rtsp://me:secret@10.0.0.7/one"}
    room = opened(cameras={**document(Path())["cameras"], "left": camera})
    room.turn_until(lambda: len(room.said) == 2)
    room.ask(smoothing="none")
    assert "secret" not in room.started[-1].read_text()
    assert room.newest.fusion.smoothing.kind == "none"
