"""Skeletons: trees of named joints with two sides that mirror each other."""

import pytest

from lifter.skeleton import COCO17, HALPE26, LIMB_JOINTS, MEDIAPIPE33, SKELETONS

EVERY_SKELETON = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


def test_the_skeletons_go_by_their_names_and_have_as_many_joints():
    sizes = {"mediapipe33": 33, "coco17": 17, "halpe26": 26, "h36m17": 17, "humaneva15": 15, "body17": 17}
    assert {name: len(skeleton.joints) for name, skeleton in SKELETONS.items()} == sizes
    assert all(name == skeleton.name for name, skeleton in SKELETONS.items())


@EVERY_SKELETON
def test_joints_have_names_of_their_own_and_bones_form_a_forest(skeleton):
    assert len(set(skeleton.joints)) == len(skeleton.joints)
    children = [child for _, child in skeleton.bones]
    assert len(set(children)) == len(children), "no joint has two parents"
    parent_of = {child: parent for parent, child in skeleton.bones}
    for joint in range(len(skeleton.joints)):
        for _ in skeleton.joints:
            joint = parent_of.get(joint, joint)  # noqa: PLW2901
        assert joint not in parent_of, "every joint leads up to a root: there is no circle"
    connected = {joint for bone in skeleton.bones for joint in bone}
    assert connected == set(range(len(skeleton.joints))), "no joint hangs in the air"


@EVERY_SKELETON
def test_the_mirror_swaps_sides_and_twice_is_nothing(skeleton):
    mirror = skeleton.mirror
    assert [mirror[other] for other in mirror] == list(range(len(skeleton.joints)))
    for joint, other in enumerate(mirror):
        left, right = skeleton.joints[joint], skeleton.joints[other]
        assert (left.replace("left", "right") if "left" in left else left.replace("right", "left")) == right


@EVERY_SKELETON
def test_bones_are_the_same_on_both_sides(skeleton):
    mirror = skeleton.mirror
    bones = {frozenset(bone) for bone in skeleton.bones}
    assert {frozenset(mirror[joint] for joint in bone) for bone in bones} == bones


@EVERY_SKELETON
def test_the_twelve_limb_joints_are_there(skeleton):
    assert [skeleton.joints[index] for index in skeleton.limb_indices()] == list(LIMB_JOINTS)
    for limb in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
        for side in ("left", "right"):
            a, b, c = (skeleton.index(f"{side}_{joint}") for joint in limb)
            assert {(a, b), (b, c)} <= set(skeleton.bones)


def test_orders_are_those_of_their_sources():
    """MediaPipe Pose, COCO and Halpe number these joints so."""
    assert [MEDIAPIPE33.index(j) for j in ("nose", "left_shoulder", "right_wrist", "left_hip", "right_foot_index")] == [
        *(0, 11, 16, 23, 32)
    ]
    assert [COCO17.index(j) for j in ("nose", "left_ear", "left_shoulder", "right_ankle")] == [0, 3, 5, 16]
    assert HALPE26.joints[:17] == COCO17.joints
    assert [HALPE26.index(j) for j in ("head", "neck", "hip", "right_heel")] == [17, 18, 19, 25]


def test_the_mediapipe_order_is_that_of_the_installed_library():
    landmarks = pytest.importorskip("mediapipe").solutions.pose.PoseLandmark
    theirs = [mark.name.lower() for mark in landmarks]
    ours = [f"mouth_{joint.partition('_')[0]}" if joint.endswith("mouth") else joint for joint in MEDIAPIPE33.joints]
    assert ours == theirs


def test_an_unknown_joint_is_named_with_its_skeleton():
    with pytest.raises(ValueError, match="skeleton coco17 has no joint 'pelvis'; it has nose, left_eye"):
        COCO17.index("pelvis")
