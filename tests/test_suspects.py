from dataclasses import replace

import numpy as np
import pytest

from calibration import rigid
from calibration.rig import CameraRig
from calibration.suspects import findings, suspicions
from tests.board_views import board_seen, rig_of

NOISE_PX = 0.4


def test_nothing_is_suspected_of_a_true_rig():
    rig = rig_of()
    assert suspicions(rig, board_seen(rig, noise_px=NOISE_PX).corners_px) == ()


def test_a_bumped_camera_is_no_exchanged_one():
    rig = rig_of()
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, 0.05, 0.0)), (0.0, 0.0, 0.0))
    bumped = replace(rig.cameras[2], T_cam_world=T_new_old @ rig.cameras[2].T_cam_world)
    wrong = CameraRig((*rig.cameras[:2], bumped, rig.cameras[3]))
    assert suspicions(wrong, board_seen(rig, noise_px=NOISE_PX).corners_px) == ()


@pytest.mark.parametrize("n_cameras", [3, 4, 8])
def test_two_exchanged_cameras_are_named(n_cameras: int):
    rig = rig_of(n_cameras)
    points_px = board_seen(rig, noise_px=NOISE_PX).corners_px
    points_px[[0, 2]] = points_px[[2, 0]]
    told = suspicions(rig, points_px)
    assert [(one.kind, one.cameras) for one in told] == [("swapped", (rig.names[0], rig.names[2]))]
    assert told[0].px < 1.0 < told[0].px_before
    assert f"{rig.names[0]} and {rig.names[2]} are exchanged" in findings(told)[0].reason


def test_three_cameras_in_a_ring_of_names_are_found():
    rig = rig_of(4)
    points_px = board_seen(rig, noise_px=NOISE_PX).corners_px
    points_px[[0, 1, 2]] = points_px[[1, 2, 0]]
    told = suspicions(rig, points_px)
    assert [one.kind for one in told] == ["swapped"]
    assert "front shows what right should, right shows what back should" in findings(told)[0].reason


@pytest.mark.parametrize("kind", ["mirrored", "upside down"])
def test_a_picture_that_is_turned_over_is_named(kind: str):
    rig = rig_of()
    points_px = board_seen(rig, noise_px=NOISE_PX).corners_px
    axes = [0] if kind == "mirrored" else [0, 1]
    points_px[1][..., axes] = np.array([1279.0, 719.0])[axes] - points_px[1][..., axes]
    assert [(one.kind, one.cameras) for one in suspicions(rig, points_px)] == [(kind, ("right",))]


def test_a_rig_that_saw_nothing_is_not_suspected():
    rig = rig_of()
    assert suspicions(rig, np.full((4, 5, 12, 2), np.nan)) == ()
