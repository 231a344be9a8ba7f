from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.measure import measured, spread_without, triangulated
from calibration.rig import CameraRig
from tests.board_views import BOARD, board_seen, neutral_board_file, rig_of

CALISCOPE = Path(__file__).parents[2] / "shared" / "data" / "caliscope"


def test_a_true_rig_fits_exactly():
    rig = rig_of()
    told = measured(rig, BOARD, board_seen(rig))
    assert told.whole.px_p95 < 1e-6
    assert told.spacing.mm == pytest.approx(54.0, abs=1e-6)
    assert told.spacing.error_p95_mm < 1e-6
    assert told.instants == 40


def test_a_rig_in_the_wrong_scale_shows_in_the_spacing_alone():
    rig = rig_of()
    small = CameraRig(tuple(replace(camera, T_cam_world=_scaled(camera.T_cam_world, 0.98)) for camera in rig.cameras))
    told = measured(small, BOARD, board_seen(rig))
    assert told.whole.px_p95 < 1e-6
    assert told.spacing.mm == pytest.approx(0.98 * 54.0, abs=1e-6)


def test_the_measure_does_not_depend_on_where_the_world_begins():
    rig = rig_of()
    seen = board_seen(rig, noise_px=0.5)
    T = rigid.from_rotation(rigid.rotation_from_rotvec((0.3, -1.2, 0.8)), (12.0, -30.0, 4.0))
    moved = CameraRig(
        tuple(replace(camera, T_cam_world=camera.T_cam_world @ rigid.inverse(T)) for camera in rig.cameras)
    )
    one, other = measured(rig, BOARD, seen), measured(moved, BOARD, seen)
    np.testing.assert_allclose(one.residual_px, other.residual_px, atol=1e-6)


def test_motion_between_the_frames_of_an_instant_is_taken_off():
    rig = rig_of()
    seen = board_seen(rig)
    shift_px = np.random.default_rng(0).normal(0.0, 5.0, seen.corners_px.shape)
    late = replace(seen, corners_px=seen.corners_px + shift_px)
    assert measured(rig, BOARD, late).whole.px_p50 > 1.0
    assert measured(rig, BOARD, late, shift_px).whole.px_p95 < 1e-6


def test_without_the_camera_that_was_turned_the_others_agree():
    rig = rig_of()
    seen = board_seen(rig)
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, np.radians(1.0), 0.0)), (0.0, 0.0, 0.0))
    bumped = replace(rig.cameras[2], T_cam_world=T_new_old @ rig.cameras[2].T_cam_world)
    wrong = CameraRig((*rig.cameras[:2], bumped, rig.cameras[3]))
    told = spread_without(wrong, seen.corners_px)
    assert told["back"].px_p50 < 1e-6
    assert min(told[name].px_p50 for name in ("front", "right", "left")) > 1.0


def test_a_corner_of_one_camera_has_no_point():
    rig = rig_of(2)
    seen = board_seen(rig)
    seen.corners_px[1, :, 3] = np.nan
    told = measured(rig, BOARD, seen)
    assert np.isnan(told.points_m[:, 3]).all()
    assert np.isnan(told.residual_px[:, :, 3]).all()


def test_parallel_rays_give_no_point():
    rig = rig_of(2)
    same = CameraRig((rig.cameras[0], replace(rig.cameras[0], name="beside")))
    assert np.isnan(triangulated(same, np.full((2, 1, 2), 400.0))).all()


def test_nothing_seen_is_nothing_measured():
    rig = rig_of()
    seen = board_seen(rig)
    told = measured(rig, BOARD, replace(seen, corners_px=np.full_like(seen.corners_px, np.nan)))
    assert (told.instants, told.whole.count, told.spacing.count) == (0, 0, 0)
    assert np.isnan(told.whole.px_p50)
    assert np.isnan(told.spacing.mm)


def test_pictures_of_another_size_are_refused():
    rig = rig_of()
    seen = replace(board_seen(rig), sizes_wh=((640, 360), *([(1280, 720)] * 3)))
    with pytest.raises(CalibrationError, match="'front' is calibrated for pictures of 1280x720, but the recording's"):
        measured(rig, BOARD, seen)


@pytest.mark.shared
@pytest.mark.parametrize(("session", "px", "mm"), [("a", 0.783, 53.87), ("c", 0.598, 54.13)])
def test_caliscopes_own_calibration_gives_the_known_figures(session: str, px: float, mm: float):
    path = CALISCOPE / f"charuco_session_{session}.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/data/caliscope")
    rig, seen = neutral_board_file(path)
    told = measured(rig, BOARD, seen)
    assert told.whole.px_p50 == pytest.approx(px, abs=0.001)
    assert told.spacing.mm == pytest.approx(mm, abs=0.005)


def _scaled(T_cam_world: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    T = T_cam_world.copy()
    T[:3, 3] *= factor
    return T
