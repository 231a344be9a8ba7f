"""A mirrored picture is told by its camera's name; a right recording blames nobody."""

from dataclasses import replace

import pytest

from calibration.board_path import vector_of
from calibration.intrinsics import Intrinsics
from calibration.mirrored import mirrored_cameras
from calibration.rig_solution import RigOptions
from tests.board_scene import BOARD, scene


@pytest.mark.parametrize("turned", [None, 1])
def test_a_mirrored_camera_is_named(turned: int | None) -> None:
    taken = scene(3, 40, seed=2)
    seen, lenses = taken.seen, {}
    for camera in taken.rig.cameras:
        lenses[camera.name] = Intrinsics(camera.name, camera.size_wh, camera.lens, vector_of(camera))
    if turned is not None:
        corners_px, mirrored = seen.corners_px.copy(), seen.mirrored.copy()
        corners_px[turned, ..., 0] = seen.sizes_wh[turned][0] - 1 - corners_px[turned, ..., 0]
        mirrored[turned] = ~mirrored[turned]
        seen = replace(seen, corners_px=corners_px, mirrored=mirrored)
    named = () if turned is None else (seen.cameras[turned],)
    assert mirrored_cameras(BOARD, seen, RigOptions(intrinsics=lenses)) == named


def test_nothing_seen_together_blames_nobody() -> None:
    seen = scene(2, 10).seen
    assert mirrored_cameras(BOARD, seen.at(seen.frame[0] < 0), RigOptions()) == ()
