"""Skeletons: trees of named joints with two sides that mirror each other."""

import pytest

from lifter.skeleton import (
    BODY25,
    BODY25B,
    COCO17,
    HALPE26,
    LIMB_JOINTS,
    MEDIAPIPE33,
    MPII16,
    PARENTS,
    SKELETONS,
    skeleton_among,
)

EVERY_SKELETON = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


def test_the_skeletons_go_by_their_names_and_have_as_many_joints():
    sizes = {"mediapipe33": 33, "coco17": 17, "halpe26": 26, "body25": 25, "body25b": 25, "mpii16": 16, "h36m17": 17}
    sizes |= {"humaneva15": 15, "body17": 17, "cmu22": 22}
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
    assert [BODY25.index(j) for j in ("neck", "right_wrist", "pelvis", "left_ankle", "left_ear", "right_heel")] == [
        *(1, 4, 8, 14, 18, 24)
    ]
    assert BODY25B.joints[:17] == COCO17.joints
    assert [BODY25B.index(j) for j in ("neck", "head", "left_heel", "right_big_toe")] == [17, 18, 21, 22]
    assert [MPII16.index(j) for j in ("right_ankle", "pelvis", "head_top", "left_wrist")] == [0, 6, 9, 15]


def test_the_mediapipe_order_is_that_of_the_installed_library():
    landmarks = pytest.importorskip("mediapipe").solutions.pose.PoseLandmark
    theirs = [mark.name.lower() for mark in landmarks]
    ours = [f"mouth_{joint.partition('_')[0]}" if joint.endswith("mouth") else joint for joint in MEDIAPIPE33.joints]
    assert ours == theirs


def test_an_unknown_joint_is_named_with_its_skeleton():
    with pytest.raises(ValueError, match="skeleton coco17 has no joint 'pelvis'; it has nose, left_eye"):
        COCO17.index("pelvis")


def test_any_joints_hang_together_by_what_is_there():
    some = skeleton_among("some", ("left_wrist", "left_shoulder", "neck", "tail", "left_elbow", "right_hip"))
    named = {(some.joints[parent], some.joints[child]) for parent, child in some.bones}
    assert named == {
        ("left_elbow", "left_wrist"),
        ("left_shoulder", "left_elbow"),
        ("neck", "left_shoulder"),
        ("neck", "right_hip"),
    }
    assert some.root == some.index("right_hip")
    assert [some.mirror[some.index(joint)] for joint in ("left_wrist", "neck")] == [0, 2], "themselves"


def test_whatever_joints_are_there_no_bone_leads_back():
    everything = tuple(joint.replace("*", side) for joint in PARENTS for side in ("left", "right") if "*" in joint)
    everything += tuple(joint for joint in PARENTS if "*" not in joint)
    for left_out in everything:
        skeleton = skeleton_among("some", tuple(joint for joint in everything if joint != left_out))
        parent_of = {child: parent for parent, child in skeleton.bones}
        for joint in range(len(skeleton.joints)):
            above = joint
            for _ in skeleton.joints:
                above = parent_of.get(above, above)
            assert above not in parent_of
