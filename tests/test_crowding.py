"""How much less a view says of people who overlap in it."""

import numpy as np
import numpy.typing as npt

from benchmarks.scenes import landmarks_at, random_rig
from calibration import rigid
from calibration.rig import Camera, CameraRig
from calibration.triangulate import RigArrays
from nodes.stages.crowding import BEHIND, IN_FRONT, crowding

F64 = npt.NDArray[np.float64]


def facing_rig() -> RigArrays:
    """A camera on the x axis and one on the y axis, 4 m off."""
    K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    places = ((4.0, 0.0, 1.0), (0.0, 4.0, 1.0))
    return RigArrays.of(
        CameraRig(
            tuple(
                Camera(f"cam{c}", (640, 480), K, np.zeros(5), rigid.inverse(rigid.look_at(place, (0.0, 0.0, 1.0))))
                for c, place in enumerate(places)
            )
        )
    )


def people_at(*places_m: tuple[float, float]) -> F64:
    """Somebody who stands, at each place on the floor: (M, 33, 3)."""
    return np.stack([landmarks_at("reach", [0.0])[0] + [x, y, 0.0] for x, y in places_m])


def test_nobody_and_one_alone_are_never_crowded() -> None:
    rig = facing_rig()
    assert crowding(rig, np.empty((0, 33, 3))).shape == (0, 2)
    np.testing.assert_array_equal(crowding(rig, people_at((0.0, 0.0))), np.ones((1, 2)))


def test_who_stands_behind_somebody_counts_less_than_who_stands_in_front() -> None:
    noise = crowding(facing_rig(), people_at((1.0, 0.0), (-1.0, 0.0)))
    np.testing.assert_array_equal(noise, [[IN_FRONT, 1.0], [BEHIND, 1.0]])


def test_people_beside_one_another_are_not_crowded() -> None:
    np.testing.assert_array_equal(crowding(facing_rig(), people_at((1.0, 1.0), (-1.0, -1.0))), np.ones((2, 2)))


def test_whose_place_is_not_known_crowds_nobody() -> None:
    joints_m = people_at((1.0, 0.0), (-1.0, 0.0))
    joints_m[1] = np.nan
    np.testing.assert_array_equal(crowding(facing_rig(), joints_m), np.ones((2, 2)))


def test_who_is_behind_the_camera_crowds_nobody() -> None:
    np.testing.assert_array_equal(crowding(facing_rig(), people_at((0.0, 0.0), (8.0, 0.0)))[:, 0], [1.0, 1.0])


def test_neither_order_matters() -> None:
    rng = np.random.default_rng(0)
    rig = random_rig(5, rng)
    joints_m = people_at(*(tuple(place) for place in rng.uniform(-1.0, 1.0, (6, 2))))
    noise = crowding(RigArrays.of(rig), joints_m)
    people, cameras = rng.permutation(6), rng.permutation(5)
    turned = CameraRig(tuple(rig.cameras[c] for c in cameras))
    np.testing.assert_array_equal(crowding(RigArrays.of(turned), joints_m[people]), noise[people][:, cameras])
