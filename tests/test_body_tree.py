"""The tree that fusion solves on: of every detector's skeleton, whole, and the body's own joints under one name."""

import numpy as np
import pytest

from lifter.skeleton import BODY17, LIMB_JOINTS, SKELETONS, Skeleton, skeleton_among
from nodes.stages.body_tree import tree_of

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())


def ancestors(tree, joint):
    """From the parent up; AssertionError when there is no end to it."""
    above = []
    while (joint := int(tree.parent[joint])) >= 0:
        assert joint not in above, "a cycle"
        above.append(joint)
    return above


@every_skeleton
def test_parents_come_before_their_children(skeleton):
    tree = tree_of(skeleton)
    assert sorted(tree.order) == list(range(len(tree.names)))
    place = np.argsort(tree.order)
    for joint, above in enumerate(tree.parent):
        assert above < 0 or place[above] < place[joint]


@every_skeleton
def test_each_joint_is_reached_from_the_pelvis_alone(skeleton):
    tree = tree_of(skeleton)
    pelvis = int(np.flatnonzero(tree.lifted == BODY17.index("pelvis"))[0])
    for joint in range(len(tree.names)):
        assert [joint, *ancestors(tree, joint)][-1] == pelvis, tree.names[joint]


@every_skeleton
def test_the_detectors_joints_come_first_and_no_name_comes_twice(skeleton):
    tree = tree_of(skeleton)
    assert tree.names[: tree.n_shown] == skeleton.joints
    assert len(set(tree.names)) == len(tree.names)


@every_skeleton
def test_each_joint_of_the_lifter_stands_for_one_of_the_tree_and_the_limbs_share_theirs(skeleton):
    tree = tree_of(skeleton)
    assert sorted(tree.lifted[tree.core]) == list(range(len(BODY17.joints)))
    for joint in LIMB_JOINTS:
        index = tree.names.index(joint)
        assert index < tree.n_shown
        assert tree.lifted[index] == BODY17.index(joint)


@every_skeleton
def test_bones_of_the_body_are_the_lifters(skeleton):
    tree = tree_of(skeleton)
    bones = {(int(tree.lifted[tree.parent[j]]), int(tree.lifted[j])) for j in np.flatnonzero(tree.core)}
    assert {bone for bone in bones if bone[1] != BODY17.index("pelvis")} == set(BODY17.bones)


@every_skeleton
def test_what_only_the_detector_knows_hangs_on_its_own_side(skeleton):
    tree = tree_of(skeleton)
    for joint in np.flatnonzero(~tree.core):
        name, holder = tree.names[joint], tree.names[tree.parent[joint]]
        sides = {name.split("_")[0], holder.split("_")[0]} & {"left", "right"}
        assert len(sides) <= 1, f"{name} hangs on {holder}"


@every_skeleton
def test_a_middle_lies_between_two_of_the_detectors_joints_and_is_none_of_them(skeleton):
    tree = tree_of(skeleton)
    for joint in np.flatnonzero(tree.middle[:, 0] >= 0):
        assert joint >= tree.n_shown
        left, right = (tree.names[i] for i in tree.middle[joint])
        assert max(tree.middle[joint]) < tree.n_shown
        assert left.replace("left", "right") == right or right.replace("left", "right") == left


def test_names_that_nobody_knows_stand_alone():
    skeleton = Skeleton("odd", (*LIMB_JOINTS, "ball", "left_thumb"), ())
    tree = tree_of(skeleton)
    assert tree.parent[tree.names.index("ball")] == -1
    assert tree.names[tree.parent[tree.names.index("left_thumb")]] == "left_wrist"


def test_a_list_of_some_joints_only_gets_the_rest_from_the_lifter():
    joints = ("nose", *(joint for joint in LIMB_JOINTS if joint != "left_elbow"))
    tree = tree_of(skeleton_among("some", joints))
    elbow = tree.names.index("lifted left_elbow")
    assert elbow >= tree.n_shown
    assert tree.names[tree.parent[tree.names.index("left_wrist")]] == "lifted left_elbow"
    assert tree.names[tree.parent[elbow]] == "left_shoulder"
