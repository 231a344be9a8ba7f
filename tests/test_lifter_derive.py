import numpy as np
import pytest

from lifter.derive import DeriveError, derive
from lifter.skeleton import BODY17, COCO17, H36M17, HALPE26, HUMANEVA15, MEDIAPIPE33, SKELETONS, Skeleton


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
    torso = Skeleton("torso", ("left_hip", "right_hip", "left_shoulder", "right_shoulder"), ())
    with pytest.raises(
        DeriveError, match=r"body17 cannot be had from torso, which has no left_knee, right_knee, .*wrist"
    ):
        derived(torso)


def test_wrong_joint_counts_are_told():
    x, c = positions(COCO17)
    with pytest.raises(ValueError, match=r"mediapipe33 has 33 joints; given: \(2, 17, 3\) and \(2, 17\)"):
        derive(x, c, MEDIAPIPE33, BODY17)


def test_every_skeleton_mirrors_onto_itself_and_has_a_root():
    for skeleton in SKELETONS.values():
        assert [skeleton.mirror[i] for i in skeleton.mirror] == list(range(len(skeleton.joints)))
        assert 0 <= skeleton.root < len(skeleton.joints)
    assert BODY17.joints[BODY17.root] == "pelvis"
