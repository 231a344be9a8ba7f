"""Left and right mixed up in a view: undone when it is clear, left alone when it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.triangulate import RigArrays
from lifter.skeleton import COCO17, H36M17, MEDIAPIPE33, SKELETONS
from nodes.stages.sides import sides_of
from nodes.stages.swaps import repair_swaps
from tests.crowd import actors, look, rig_of

NOTHING, ARMS, LEGS, UPPER, LOWER, WHOLE = range(6)


def swapped_rays(rays, part):
    """Rays (…, J, 2) with a part's labels mixed up."""
    sides = sides_of(MEDIAPIPE33)
    return np.where(sides.parts[part][:, None], rays[..., sides.mirror, :], rays)


def scene(n_people=2, n_cameras=4, t_s=0.0, seed=0, noise_px=3.0):
    rng = np.random.default_rng(seed)
    joints_m = np.stack([actor.joints_m(t_s)[0] for actor in actors(n_people, seed=seed)])
    seen = look(rig_of(n_cameras), joints_m, rng, noise_px=noise_px, keep_order=True)
    rays = seen.detected.rays.transpose(1, 0, 2, 3).copy()
    confidence = seen.detected.confidence.transpose(1, 0, 2).copy()
    reference_m = joints_m + rng.normal(0, 0.02, (n_people, 1, 3))
    return seen.arrays, rays, confidence, reference_m, np.full(joints_m.shape[:2], 0.03), rng


@pytest.mark.parametrize("part", [ARMS, LEGS, UPPER, LOWER, WHOLE])
def test_a_mix_up_in_one_view_is_undone(part):
    """Of joints that are apart in the picture, hardly one stays under the wrong name."""
    n_wrong = n_apart = 0
    for seed in range(20):
        arrays, rays, confidence, reference_m, sigma_m, rng = scene(seed=seed, t_s=0.3 * seed)
        mixed, where = rays.copy(), int(rng.integers(4))
        mixed[:, where] = swapped_rays(rays[:, where], part)
        repaired = repair_swaps(arrays, mixed, confidence, reference_m, sigma_m, MEDIAPIPE33)
        assert not np.delete(repaired.swapped, where, axis=1).any()
        assert not repaired.contradicted.any()
        apart = np.linalg.norm(rays - rays[:, :, list(MEDIAPIPE33.mirror)], axis=-1)[:, where] * 5.0 > 0.25  # metres
        n_apart += int(apart.sum())
        n_wrong += int((apart & (repaired.rays != rays).any(axis=-1)[:, where]).sum())
    assert n_wrong < 0.02 * n_apart


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), noise_px=st.floats(0, 6), error_m=st.floats(0, 0.06))
def test_what_is_right_stays_as_detected(seed, noise_px, error_m):
    arrays, rays, confidence, reference_m, _, rng = scene(3, 4, 0.1, seed, noise_px)
    reference_m = reference_m + rng.normal(0, error_m, (3, 1, 3))
    sigma_m = np.full(reference_m.shape[:2], max(error_m, 0.02))
    repaired = repair_swaps(arrays, rays, confidence, reference_m, sigma_m, MEDIAPIPE33)
    assert not repaired.swapped.any()
    np.testing.assert_array_equal(repaired.rays, rays)


def test_a_reference_that_most_views_contradict_is_not_believed():
    arrays, rays, confidence, reference_m, sigma_m, _ = scene()
    turned = reference_m[:, list(MEDIAPIPE33.mirror)]
    repaired = repair_swaps(arrays, rays, confidence, turned, sigma_m, MEDIAPIPE33)
    assert repaired.contradicted.all()
    assert not repaired.swapped.any()
    np.testing.assert_array_equal(repaired.rays, rays)


def test_confidences_go_with_their_joints_and_absent_ones_stay_absent():
    arrays, rays, confidence, reference_m, sigma_m, _ = scene(1)
    wrist = MEDIAPIPE33.index("left_wrist")
    confidence[0, 1] = np.linspace(0.5, 1.0, 33)
    confidence[0, 1, wrist], rays[0, 1, wrist] = 0.0, np.nan
    mixed, unsure = rays.copy(), confidence.copy()
    mixed[:, 1] = swapped_rays(rays[:, 1], WHOLE)
    unsure[:, 1] = confidence[:, 1, list(MEDIAPIPE33.mirror)]
    repaired = repair_swaps(arrays, mixed, unsure, reference_m, sigma_m, MEDIAPIPE33)
    assert repaired.swapped.tolist() == [[False, True, False, False]]
    np.testing.assert_array_equal(repaired.rays, rays)
    np.testing.assert_array_equal(repaired.confidence, confidence)


@pytest.mark.parametrize("what", ["reference", "sigma", "rays", "confidence"])
def test_nothing_known_is_nothing_changed(what):
    arrays, rays, confidence, reference_m, sigma_m, _ = scene()
    rays = swapped_rays(rays, WHOLE)
    if what == "reference":
        reference_m[:] = np.nan
    elif what == "sigma":
        sigma_m[:] = np.inf
    elif what == "rays":
        rays[:] = np.nan
    else:
        confidence[:] = 0.0
    repaired = repair_swaps(arrays, rays, confidence, reference_m, sigma_m, MEDIAPIPE33)
    assert not repaired.swapped.any()
    np.testing.assert_array_equal(repaired.rays, rays)


def test_nobody_is_repaired_to_nobody():
    rig = RigArrays.of(rig_of(3))
    nobody = np.zeros((0, 3, 33, 2))
    repaired = repair_swaps(rig, nobody, nobody[..., 0], np.zeros((0, 33, 3)), np.zeros((0, 33)), MEDIAPIPE33)
    assert repaired.rays.shape == nobody.shape


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_every_skeleton_has_sides(skeleton):
    sides = sides_of(skeleton)
    assert not sides.parts[0].any()
    np.testing.assert_array_equal(sides.parts, sides.parts[:, sides.mirror])
    assert (sides.parts[-1] >= sides.parts).all()
    assert (sides.parts[1] & sides.parts[2]).sum() == 0


def test_sides_of_the_body_are_named_rightly():
    names = np.array(H36M17.joints)
    arms, legs = sides_of(H36M17).parts[1:3]
    assert set(names[arms]) == {"left_elbow", "right_elbow", "left_wrist", "right_wrist"}
    assert set(names[legs]) == {"left_knee", "right_knee", "left_ankle", "right_ankle"}
    feet = np.array(MEDIAPIPE33.joints)[sides_of(MEDIAPIPE33).parts[2]]
    assert "left_foot_index" in feet
    assert "left_index" not in feet
    assert "nose" not in np.array(COCO17.joints)[sides_of(COCO17).parts[-1]]
