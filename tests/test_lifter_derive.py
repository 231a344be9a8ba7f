import numpy as np
import pytest

from lifter.derive import DeriveError, derive, derive_known
from lifter.skeleton import (
    BODY17,
    BODY25,
    BODY25B,
    CMU22,
    COCO17,
    H36M17,
    HALPE26,
    HUMANEVA15,
    MEDIAPIPE33,
    MPII16,
    SKELETONS,
    Skeleton,
)

TORSO = Skeleton("torso", ("left_hip", "right_hip", "left_shoulder", "right_shoulder"), ())


def positions(skeleton, seed=0):
    x = np.random.default_rng(seed).normal(size=(2, len(skeleton.joints), 3))
    return x, np.linspace(0.1, 1.0, len(skeleton.joints)) * np.ones((2, 1))


def derived(source):
    x, c = positions(source)
    return derive(x, c, source, BODY17)


def test_body17_from_mediapipe():
    x, c = positions(MEDIAPIPE33)
    out, sure = derive(x, c, MEDIAPIPE33, BODY17)
    at = MEDIAPIPE33.index
    np.testing.assert_allclose(out[:, BODY17.index("left_knee")], x[:, at("left_knee")])
    np.testing.assert_allclose(out[:, BODY17.index("left_toe")], x[:, at("left_foot_index")])
    np.testing.assert_allclose(out[:, BODY17.index("pelvis")], (x[:, at("left_hip")] + x[:, at("right_hip")]) / 2)
    np.testing.assert_allclose(out[:, BODY17.index("head")], (x[:, at("left_ear")] + x[:, at("right_ear")]) / 2)
    np.testing.assert_allclose(sure[:, BODY17.index("head")], c[:, at("left_ear")])  # the smaller of the two


def test_a_middle_is_absent_when_either_side_is():
    x, c = positions(MEDIAPIPE33)
    x[0, MEDIAPIPE33.index("left_hip")] = np.nan
    out, sure = derive(x, c, MEDIAPIPE33, BODY17)
    assert np.isnan(out[0, 0]).all()
    assert sure[0, 0] == 0
    assert np.isfinite(out[1, 0]).all()


def test_what_a_source_lacks_is_absent():
    out, sure = derived(COCO17)
    assert np.isnan(out[:, BODY17.index("left_toe")]).all()
    assert (sure[:, BODY17.index("left_toe")] == 0).all()
    assert np.isfinite(derived(HALPE26)[0]).all()


@pytest.mark.parametrize(("source", "target"), [(H36M17, HUMANEVA15), (BODY17, H36M17), (HALPE26, H36M17)])
def test_joints_of_one_name_in_another_place_are_absent(source, target):
    x, c = positions(source)
    out, sure = derive(x, c, source, target)
    elsewhere = [target.joints.index(joint) for joint in ("thorax", "head", "neck", "spine") if joint in target.joints]
    assert np.isnan(out[:, elsewhere]).all()
    assert (sure[:, elsewhere] == 0).all()
    assert (sure[:, target.limb_indices()] > 0).all()


def test_the_same_skeleton_is_passed_through():
    x, c = positions(COCO17)
    assert derive(x, c, COCO17, COCO17)[0] is x


def test_a_source_without_limbs_is_refused_by_name():
    with pytest.raises(
        DeriveError, match=r"body17 cannot be had from torso, which has no left_knee, right_knee, .*wrist"
    ):
        derived(TORSO)


def test_what_is_fused_may_come_from_anything():
    x, c = positions(TORSO)
    out, sure = derive_known(x, c, TORSO, BODY17)
    np.testing.assert_allclose(out[:, BODY17.index("pelvis")], (x[:, 0] + x[:, 1]) / 2)
    np.testing.assert_allclose(out[:, BODY17.index("left_shoulder")], x[:, 2])
    absent = [BODY17.index(joint) for joint in ("left_knee", "right_wrist", "head", "left_toe")]
    assert np.isnan(out[:, absent]).all()
    assert (sure[:, absent] == 0).all()
    x, c = positions(COCO17)
    np.testing.assert_array_equal(derive_known(x, c, COCO17, BODY17)[0], derived(COCO17)[0])


@pytest.mark.parametrize(("source", "toe"), [(BODY25, "left_big_toe"), (BODY25B, "left_big_toe"), (CMU22, "left_toe")])
def test_body17_from_other_detectors(source, toe):
    x, c = positions(source)
    out, _ = derive(x, c, source, BODY17)
    np.testing.assert_allclose(out[:, BODY17.index("left_toe")], x[:, source.index(toe)])
    hips = x[:, [source.index("left_hip"), source.index("right_hip")]].mean(axis=1)
    np.testing.assert_allclose(out[:, BODY17.index("pelvis")], hips, err_msg="by definition, also where it has its own")


def test_mpii_lacks_feet_and_has_its_head_elsewhere():
    out, _ = derived(MPII16)
    absent = {BODY17.joints[index] for index in np.flatnonzero(np.isnan(out[0]).all(-1))}
    assert absent == {"left_toe", "right_toe", "head"}


def test_wrong_joint_counts_are_told():
    x, c = positions(COCO17)
    with pytest.raises(ValueError, match=r"mediapipe33 has 33 joints; given: \(2, 17, 3\) and \(2, 17\)"):
        derive(x, c, MEDIAPIPE33, BODY17)


def test_every_skeleton_mirrors_onto_itself_and_has_a_root():
    for skeleton in SKELETONS.values():
        assert [skeleton.mirror[i] for i in skeleton.mirror] == list(range(len(skeleton.joints)))
        assert 0 <= skeleton.root < len(skeleton.joints)
    assert BODY17.joints[BODY17.root] == "pelvis"
