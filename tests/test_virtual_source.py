"""The virtual camera keeps time, and the command line leaves clips, calibration, truth and configuration that agree."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from calibration.errors import CalibrationError
from calibration.rig_file import load_rig
from calibration.synthetic import ring_rig
from configs.errors import ConfigError
from configs.load import load_config
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import MOTIONS, joints_at
from nodes.sources.virtual.__main__ import main
from nodes.sources.virtual.board_plate import load_board_plate
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.scene import cast, stage
from nodes.sources.virtual.source import VirtualCamera

RIG = ring_rig(2, 3.0, 1.5, (96, 64), 80.0)
START_NS = 1_700_000_000_000_000_000


class FakeClock:
    """Time passes by sleeping, and by `work_s` whenever it is asked for."""

    def __init__(self, now_ns: int, work_s: float = 0.0) -> None:
        self.ns = now_ns
        self.work_ns = round(work_s * 1e9)

    def now_ns(self) -> int:
        self.ns += self.work_ns
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def test_frames_are_captured_at_start_plus_phase_plus_k_periods() -> None:
    camera = VirtualCamera(
        stage(RIG), RIG.cameras[0], 30.0, phase_s=0.008, start_ns=START_NS, pace="pipeline", frames=4
    )
    frames = [camera.read() for _ in range(5)]
    assert frames[4] is None
    captured = [frame.captured_ns - START_NS for frame in frames if frame]
    assert captured == [8_000_000 + round(k * 1e9 / 30) for k in range(4)]
    assert [frame.frame_id for frame in frames if frame] == [0, 1, 2, 3]


def test_realtime_waits_for_the_instant_and_skips_what_it_is_late_for() -> None:
    clock = FakeClock(START_NS)
    camera = VirtualCamera(stage(RIG), RIG.cameras[0], 10.0, start_ns=START_NS, now_ns=clock.now_ns, sleep=clock.sleep)
    for k in range(3):
        frame = camera.read()
        assert frame is not None
        assert frame.frame_id == k
        assert clock.ns == frame.captured_ns
    clock.ns += 350_000_000  # somebody else took the time: frames 3 and 4 are gone
    frame = camera.read()
    assert frame is not None
    assert frame.frame_id == 5
    assert frame.captured_ns == START_NS + 500_000_000


def test_a_process_that_comes_up_later_sees_the_same_actor() -> None:
    scene = stage(RIG, sensor_noise=0.0)
    early = VirtualCamera(scene, RIG.cameras[0], 10.0, start_ns=START_NS, pace="pipeline")
    clock = FakeClock(START_NS + 310_000_000)
    late = VirtualCamera(scene, RIG.cameras[0], 10.0, start_ns=START_NS, now_ns=clock.now_ns, sleep=clock.sleep)
    for _ in range(3):
        early.read()
    one, other = early.read(), late.read()
    assert one is not None
    assert other is not None
    assert one.captured_ns == other.captured_ns == START_NS + 300_000_000
    np.testing.assert_array_equal(one.image_rgb, other.image_rgb)


def test_the_scene_begins_at_the_start() -> None:
    scene = stage(RIG, sensor_noise=0.0)
    camera = VirtualCamera(scene, RIG.cameras[0], 10.0, phase_s=0.02, start_ns=START_NS, pace="pipeline")
    frame = camera.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.image_rgb, Renderer(scene, RIG.cameras[0]).image_at(0.02))


def test_a_closed_camera_ends_its_stream() -> None:
    camera = VirtualCamera(stage(RIG), RIG.cameras[0], 10.0, pace="pipeline")
    camera.close()
    camera.close()
    assert camera.read() is None


def test_actors_keep_clear_of_each_other() -> None:
    for motion in MOTIONS:
        actors = cast(3, motion)
        t_s = np.linspace(0, MOTIONS[motion].period_s, 200)
        pelvis_m = np.stack([actor.joints_at(t_s)[:, -4, :2] for actor in actors])
        for a in range(3):
            for b in range(a):
                assert np.linalg.norm(pelvis_m[a] - pelvis_m[b], axis=-1).min() > 0.7


def test_unknown_motion_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="crouch"):
        cast(1, "fly")


def test_command_line_writes_clips_that_agree_with_their_truth(tmp_path: Path) -> None:
    out = tmp_path / "clips"
    assert main(["--ring", "2", "--size", "160x120", "--fps", "30000/1001", "--seconds", "0.3", "--phase-ms", "0,8",
                 "--motion", "walk", "--actors", "2", "--out", str(out)]) == 0  # fmt: skip
    rig, truth, config = load_rig(out / "rig.toml"), np.load(out / "truth.npz"), load_config(out / "config.yaml")
    assert rig.names == tuple(truth["cameras"]) == tuple(config.cameras) == ("cam_0", "cam_1")
    for c, name in enumerate(rig.names):
        with av.open(str(out / f"{name}.mp4")) as container:
            frames = list(container.decode(video=0))
        assert (frames[0].width, frames[0].height) == rig[name].size_wh == (160, 120)
        pts_s = [float(frame.pts * frame.time_base) for frame in frames]
        np.testing.assert_allclose(pts_s, truth["frame_time"][:, c], atol=1e-5)
        np.testing.assert_allclose(np.diff(pts_s), 1001 / 30000, atol=2e-5)
        expected_px = rig[name].project(np.stack([a.joints_at(pts_s) for a in cast(2, "walk")], axis=1))[:, :, :33]
        seen = truth["keypoints2d"][:, c, ..., 2] == 1
        assert seen.mean() > 0.8
        np.testing.assert_allclose(truth["keypoints2d"][:, c][seen][:, :2], expected_px[seen], atol=0.01)
        assert np.isnan(truth["keypoints2d"][:, c][~seen][:, :2]).all()
    assert tuple(truth["joints"]) == MEDIAPIPE33.joints
    fine_m = truth["gt3d_fine"][np.searchsorted(truth["gt_time"], 0.2), 0]
    np.testing.assert_allclose(fine_m, joints_at(MOTIONS["walk"], 0.2)[0] + cast_offset(), atol=1e-5)
    assert "loop_s" not in truth
    assert truth["gt_time"][-1] >= truth["frame_time"].max()


def cast_offset() -> npt.NDArray[np.float64]:
    return np.array([*cast(2, "walk")[0].offset_m, 0.0])


def test_a_whole_loop_is_marked_as_one(tmp_path: Path) -> None:
    assert main(["--ring", "1", "--size", "64x48", "--fps", "2", "--motion", "crouch", "--out", str(tmp_path)]) == 0
    truth = np.load(tmp_path / "truth.npz")
    assert truth["loop_s"] == MOTIONS["crouch"].period_s
    np.testing.assert_allclose(truth["gt3d_fine"][0], truth["gt3d_fine"][-1], atol=1e-6)
    assert "loop: true" in (tmp_path / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ring", "3", "--phase-ms", "0,8"], "2 numbers for 3 cameras"),
        (["--phase-ms", "soon"], "milliseconds"),
        (["--size", "161x120"], "even sides"),
        (["--rig", "nowhere.toml"], "nowhere.toml"),
        (["--board", "nowhere.toml"], "nowhere.toml"),
        (["--actors", "11"], "0 to 10"),
    ],
)
def test_command_line_says_what_is_wrong(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err.replace("\n", " ")


def test_board_file_of_caliscope_and_ours(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('columns = 4\nrows = 5\ndictionary = "DICT_4X4_1000"\naruco_scale = 0.75\n'
                    "square_size_override_cm = 5.4\ninverted = true\n")  # fmt: skip
    theirs = load_board_plate(path, 0.5)
    path.write_text('columns = 4\nrows = 5\ndictionary = "DICT_4X4_1000"\nsquare_m = 0.054\nmarker_m = 0.0405\n')
    ours = load_board_plate(path, 0.5)
    assert (theirs.board.columns, theirs.board.rows) == (ours.board.columns, ours.board.rows) == (4, 5)
    assert theirs.square_m == pytest.approx(ours.square_m)
    assert theirs.board.marker_m == pytest.approx(ours.board.marker_m)
    assert theirs.board.inverted
    assert not ours.board.inverted
    path.write_text("columns = 4\n")
    with pytest.raises(CalibrationError, match="square_m"):
        load_board_plate(path, 0.5)
