"""Accuracy against a truth that is known by construction."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from configs.errors import ConfigError
from lifter.skeleton import LIMB_JOINTS, MEDIAPIPE33
from nodes.watching.accuracy import Accuracy, Truth, load_truth
from nodes.wire.messages import Origin, Person3D, Pose3D

F64 = npt.NDArray[np.float64]
START_NS = 1_700_000_000_000_000_000
LIMBS = MEDIAPIPE33.limb_indices()


def limbs_at(t_s: float, x_m: float = 0.0) -> F64:
    """(12, 3): a body of twelve joints above each other that walks along y at 1 m/s."""
    return np.stack([np.full(12, x_m), np.full(12, t_s), np.arange(12) / 10], axis=1)


def truth(people_x_m: tuple[float, ...] = (0.0,), loop_s: float | None = None, length_s: float = 4.0) -> Truth:
    time_s = np.arange(0, length_s + 0.005, 0.01)
    return Truth(time_s, np.array([[limbs_at(t, x) for x in people_x_m] for t in time_s]), loop_s)


def person(limbs_m: F64, absent: tuple[int, ...] = ()) -> Person3D:
    joints_m = np.zeros((33, 3), np.float32)
    joints_m[LIMBS] = limbs_m
    origin = np.full(33, Origin.TRIANGULATED, np.uint8)
    origin[[LIMBS[joint] for joint in absent]] = Origin.ABSENT
    return Person3D(
        id=1,
        joints_m=joints_m,
        sigma_m=np.zeros(33, np.float32),
        reprojection_px=np.ones(33, np.float32),
        views=np.zeros(33, np.uint32),
        origin=origin,
    )


def pose(t_s: float, *people: Person3D, skeleton: str = "mediapipe33") -> Pose3D:
    captured_ns = START_NS + round(t_s * 1e9)
    return Pose3D(
        captured_ns=captured_ns,
        published_ns=0,
        source="fusion",
        seq=0,
        skeleton=skeleton,
        people=people,
        cameras=("a", "b"),
        valid=True,
    )


def test_a_pose_on_the_truth_has_no_error_between_its_samples():
    accuracy = Accuracy(truth())
    for t_s in (0.0, 1.2345, 3.999):
        accuracy.feed(pose(t_s, person(limbs_at(t_s))), START_NS)
    assert accuracy.mpjpe_mm == pytest.approx(0, abs=1e-3)  # positions travel as float32
    assert (accuracy.pck, accuracy.reported, accuracy.ticks) == (1.0, 1.0, 3)


def test_a_shift_is_its_own_error_nothing_is_aligned():
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.0, person(limbs_at(1.0) + np.array([0.03, 0, 0.04]))), START_NS)
    assert accuracy.mpjpe_mm == pytest.approx(50, abs=1e-3)


def test_late_by_20_ms_at_1_m_s_is_20_mm():
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.02, person(limbs_at(1.0))), START_NS)
    assert accuracy.mpjpe_mm == pytest.approx(20, abs=1e-3)


def test_the_truth_of_a_loop_begins_again():
    accuracy = Accuracy(truth(loop_s=4.0))
    accuracy.feed(pose(9.5, person(limbs_at(1.5))), START_NS)
    assert accuracy.mpjpe_mm == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("t_s", [-0.1, 4.2])
def test_outside_the_truth_nothing_is_judged(t_s):
    accuracy = Accuracy(truth())
    assert accuracy.feed(pose(t_s, person(limbs_at(0))), START_NS).shape == (0, 12)
    assert accuracy.ticks == 0
    assert math.isnan(accuracy.mpjpe_mm)
    assert math.isnan(accuracy.pck)


def test_missing_joints_count_as_missed_and_not_into_the_mean():
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.0, person(limbs_at(1.0) + np.array([0.01, 0, 0]), absent=(0, 1, 2))), START_NS)
    assert accuracy.mpjpe_mm == pytest.approx(10, abs=1e-3)
    assert accuracy.pck == accuracy.reported == pytest.approx(9 / 12)


def test_an_absent_person_is_missed():
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.0), START_NS)
    assert (accuracy.pck, accuracy.reported, accuracy.ticks) == (0.0, 0.0, 1)
    assert math.isnan(accuracy.mpjpe_mm)


def test_pck_bound_is_150_mm():
    offsets_m = np.zeros((12, 3))
    offsets_m[:, 0] = [0.149] * 6 + [0.151] * 6
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.0, person(limbs_at(1.0) + offsets_m)), START_NS)
    assert (accuracy.pck, accuracy.reported) == (0.5, 1.0)


def test_each_true_person_is_held_against_the_nearest_found_one_once():
    accuracy = Accuracy(truth(people_x_m=(0.0, 2.0)))
    strangers = (person(limbs_at(1.0, 2.02)), person(limbs_at(1.0, 50.0)), person(limbs_at(1.0, 0.01)))
    errors_mm = accuracy.feed(pose(1.0, *strangers), START_NS)
    np.testing.assert_allclose(errors_mm, [[10] * 12, [20] * 12], atol=1e-3)
    errors_mm = accuracy.feed(pose(1.0, person(limbs_at(1.0, 1.99))), START_NS)
    assert np.isnan(errors_mm[0]).all()
    np.testing.assert_allclose(errors_mm[1], 10, atol=1e-3)


def test_foreign_skeletons_and_joint_counts_are_nobody():
    accuracy = Accuracy(truth())
    accuracy.feed(pose(1.0, person(limbs_at(1.0)), skeleton="octopus8"), START_NS)
    accuracy.feed(pose(1.0, person(limbs_at(1.0)), skeleton="coco17"), START_NS)
    assert (accuracy.pck, accuracy.ticks) == (0.0, 2)


def arrays(**changes: Any) -> dict[str, Any]:
    names = [*LIMB_JOINTS[::-1], "nose"]
    joints_m = np.arange(3 * 13 * 3, dtype=np.float32).reshape(3, 1, 13, 3)
    standard = {"gt_time": np.arange(3) / 100, "gt3d_fine": joints_m, "gt_joints": np.array(names), "loop_s": 0.02}
    return {key: value for key, value in (standard | changes).items() if value is not None}


def test_truth_file_is_read_in_the_order_of_its_names(tmp_path):
    np.savez(tmp_path / "truth.npz", **arrays())
    loaded = load_truth(tmp_path / "truth.npz")
    assert loaded.loop_s == 0.02
    np.testing.assert_array_equal(loaded.limbs_m[0, 0, 0], [33, 34, 35])  # LIMB_JOINTS[0] is the file's twelfth


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gt_time": None}, "lacks `gt_time`"),
        ({"gt_joints": np.array(["nose"] * 13)}, "no joint 'left_shoulder'"),
        ({"gt_time": np.arange(4) / 100}, "has 4 times"),
    ],
)
def test_a_wrong_truth_file_is_refused_with_the_reason(tmp_path, changes, said):
    np.savez(tmp_path / "truth.npz", **arrays(**changes))
    with pytest.raises(ConfigError, match=said):
        load_truth(tmp_path / "truth.npz")


def test_no_truth_file_and_no_numpy_file_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_truth(tmp_path / "truth.npz")
    (tmp_path / "truth.npz").write_text("no arrays here")
    with pytest.raises(ConfigError, match="not a file of numpy arrays"):
        load_truth(tmp_path / "truth.npz")
