"""Figures of rigid bones: built for every skeleton, measured, and posed so that they meet the joints."""

from pathlib import Path

import numpy as np
import pytest

from lifter.datasets.motion_file import read_clips
from lifter.skeleton import BODY17, CMU22, MEDIAPIPE33, SKELETONS, Skeleton, skeleton_among
from nodes.exporting.bodies import measure, with_middles
from nodes.exporting.bvh_file import continuous_angles
from nodes.exporting.figure import figure_of
from nodes.exporting.gltf_file import continuous_quaternions
from nodes.exporting.inverse_kinematics import Solver, places, shortest_turn
from nodes.exporting.plan import Axes, turned
from tests.export_sessions import walker

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
SURE_M = 0.01


def posed(skeleton, joints_m, sigma_m=SURE_M, block=256):
    """The joints (T, J, 3) of the figure that was put on joints (T, J, 3) of the world, its turns, its offsets."""
    figure = figure_of(skeleton)
    x = with_middles(figure, turned(joints_m, Axes.Y_UP))
    offset_m = measure(figure, x)
    solver = Solver(figure, offset_m)
    sigma = np.full(joints_m.shape[:2], sigma_m)
    turns = [solver.solve(x[at : at + block], sigma[at : at + block]) for at in range(0, len(x), block)]
    p = np.concatenate([places(figure, offset_m, each) for each in turns])
    return p[:, : len(skeleton.joints)], x[:, : len(skeleton.joints)], np.concatenate([t.local for t in turns]), figure


def rotations(seed, *shape):
    q = np.random.default_rng(seed).normal(size=(*shape, 4))
    x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_skeleton_has_a_whole_figure(skeleton):
    figure = figure_of(skeleton)
    assert figure.left_out == ()
    assert figure.words[figure.root] == "pelvis"
    assert sorted(figure.below(figure.root)) == list(range(len(figure.joints)))
    names = [node.name for node in figure.nodes]
    assert len(set(names)) == len(names)
    assert all(node.parent < number for number, node in enumerate(figure.nodes))
    ends = [end for node in figure.nodes for end in node.ends]
    assert sorted([*ends, figure.root]) == list(range(len(figure.joints)))
    assert set(names) >= {f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "elbow", "wrist")}


def test_joints_that_nothing_is_known_of_are_left_out_and_named():
    joints = ("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "tail", "left_wing")
    figure = figure_of(skeleton_among("dragon", joints))
    assert figure.left_out == ("tail", "left_wing")
    assert [figure.joints[end] for end in figure.nodes[0].ends] == ["left_hip", "right_hip"]
    with pytest.raises(ValueError, match="dots"):
        figure_of(Skeleton("dots", ("a", "b"), ()))


@pytest.mark.parametrize("name", ["demo", "walk", "reach", "crouch"])
def test_the_virtual_actor_is_met(name):
    p, x, _, _ = posed(MEDIAPIPE33, walker(8.0, motion=name))
    error_mm = np.linalg.norm(p - x, axis=-1) * 1000
    assert error_mm.mean() < 6.0
    assert np.percentile(error_mm, 95) < 20.0


def test_noise_of_a_centimetre_is_not_made_worse():
    exact = walker(8.0)
    p, x, _, _ = posed(MEDIAPIPE33, walker(8.0, noise_m=0.01))
    truth = turned(exact, Axes.Y_UP)
    assert np.linalg.norm(p - x, axis=-1).mean() < 0.015
    assert np.linalg.norm(p - truth, axis=-1).mean() < np.linalg.norm(x - truth, axis=-1).mean()


def test_bones_are_constant_and_the_medians():
    p, x, _, figure = posed(MEDIAPIPE33, walker(8.0, noise_m=0.01))
    for node in figure.nodes:
        for end in node.ends:
            if max(end, node.at) < len(MEDIAPIPE33.joints):
                lengths = np.linalg.norm(p[:, end] - p[:, node.at], axis=-1)
                assert np.ptp(lengths) < 1e-9
                assert lengths[0] == pytest.approx(
                    np.median(np.linalg.norm(x[:, end] - x[:, node.at], axis=-1)), abs=1e-3
                )


def test_somebody_as_at_rest_is_not_turned():
    figure = figure_of(MEDIAPIPE33)
    still = np.tile(figure.rest_m[: len(MEDIAPIPE33.joints)], (20, 1, 1))
    world = np.stack([still[..., 0], -still[..., 2], still[..., 1]], axis=-1)
    _, _, local, _ = posed(MEDIAPIPE33, world)
    angle = np.arccos(np.clip((np.trace(local[0], axis1=-2, axis2=-1) - 1) / 2, -1, 1))
    assert np.rad2deg(angle).max() < 8.0  # the shape of a hand is found as it is; only its stand is told by REST


def test_a_bent_elbow_turns_like_a_hinge():
    """The upper arm hangs, the forearm bends forward: it turns about the elbow's axis alone."""
    figure = figure_of(BODY17)
    rest = figure.rest_m.copy()
    body = np.tile(rest, (30, 1, 1))
    shoulder, elbow, wrist = (BODY17.index(f"left_{part}") for part in ("shoulder", "elbow", "wrist"))
    bend = np.deg2rad(np.linspace(30, 120, 30))
    body[:, elbow] = body[:, shoulder] + [0, -0.28, 0]
    body[:, wrist] = body[:, elbow] + 0.25 * np.stack([0 * bend, -np.cos(bend), np.sin(bend)], axis=-1)
    world = np.stack([body[..., 0], -body[..., 2], body[..., 1]], axis=-1)
    _, _, local, figure = posed(BODY17, world)
    node = next(number for number, each in enumerate(figure.nodes) if each.name == "left_elbow")
    axis = np.stack([local[:, node, 2, 1] - local[:, node, 1, 2], local[:, node, 0, 2] - local[:, node, 2, 0],
                     local[:, node, 1, 0] - local[:, node, 0, 1]], axis=-1)  # fmt: skip
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    assert np.allclose(axis, [0, -1, 0], atol=0.02)


def test_what_is_not_seen_is_held_and_blocks_do_not_show():
    x = walker(10.0)
    holes = x.copy()
    holes[100:150, [15, 17, 19, 21]] = np.nan  # the left wrist and hand
    holes[200:230] = np.nan
    p, _, local, figure = posed(MEDIAPIPE33, holes)
    small, _, _, _ = posed(MEDIAPIPE33, holes, block=37)
    assert np.allclose(p, small, atol=1e-3)
    elbow = next(number for number, each in enumerate(figure.nodes) if each.name == "left_elbow")
    assert np.allclose(local[100:150, elbow], local[99, elbow])
    assert np.isfinite(p).all()
    assert np.allclose(p[200:230], p[199])
    others = [j for j in range(33) if j not in (13, 15, 17, 19, 21)]
    assert np.linalg.norm(p[100:150, others] - turned(x, Axes.Y_UP)[100:150, others], axis=-1).mean() < 0.01


def test_a_joint_that_is_unsure_pulls_less():
    x = walker(4.0)
    wrong = x.copy()
    wrong[60:, 16] += [0.4, 0.0, 0.0]
    figure = figure_of(MEDIAPIPE33)
    y, offset_m = (
        with_middles(figure, turned(wrong, Axes.Y_UP)),
        measure(figure, with_middles(figure, turned(x, Axes.Y_UP))),
    )
    sigma = np.full(wrong.shape[:2], 0.005)
    naive = places(figure, offset_m, Solver(figure, offset_m).solve(y, sigma))
    sigma[60:, 16] = 0.3
    knowing = places(figure, offset_m, Solver(figure, offset_m).solve(y, sigma))
    elbow = turned(x[60:, 14], Axes.Y_UP)
    assert np.linalg.norm(knowing[60:, 14] - elbow, axis=-1).mean() < 0.01
    assert np.linalg.norm(naive[60:, 14] - elbow, axis=-1).mean() > 0.02


def test_bones_never_seen_are_of_usual_length():
    x = walker(2.0)
    x[:, 25:] = np.nan  # a table hides the legs
    p, _, _, _ = posed(MEDIAPIPE33, x)
    thigh = np.linalg.norm(p[:, 25] - p[:, 23], axis=-1)
    assert 0.3 < thigh[0] < 0.55
    assert np.ptp(thigh) < 1e-9


def test_nothing_flips_from_one_moment_to_the_next():
    for motion in ("demo", "walk", "turn", "crouch"):
        _, _, local, _ = posed(MEDIAPIPE33, walker(10.0, motion=motion))
        step = np.einsum("tnij,tnij->tn", local[1:], local[:-1])
        angle = np.rad2deg(np.arccos(np.clip((step - 1) / 2, -1, 1)))
        assert angle.max() < 45.0


def test_turns_the_shortest_way():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 3))
    b[:3] = -a[0], -2 * a[1], a[2]
    a[1], b[1] = (0, 0, 1), (0, 0, -2)
    a[4] = 0
    R = shortest_turn(a, b)
    assert np.allclose(R @ np.swapaxes(R, -1, -2), np.eye(3), atol=1e-6)
    unit = [v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12) for v in (a, b)]
    turned_ = np.einsum("bij,bj->bi", R, unit[0])
    assert np.allclose(np.delete(turned_, 4, axis=0), np.delete(unit[1], 4, axis=0), atol=1e-6)
    assert np.allclose(R[4], np.eye(3))


def test_angles_are_those_of_the_turns_and_continuous():
    smooth = rotations(1, 1, 3) @ np.stack([[_about_y(angle)] * 3 for angle in np.linspace(0, 9, 300)])
    for turns in (rotations(2, 100, 4), smooth, np.tile(_about_x(np.pi / 2), (5, 2, 1, 1))):
        angles = continuous_angles(turns, np.zeros((turns.shape[1], 3)))
        z, x, y = np.moveaxis(angles, -1, 0)
        again = np.array([[_about_z(z[b, n]) @ _about_x(x[b, n]) @ _about_y(y[b, n]) for n in range(turns.shape[1])]
                          for b in range(len(turns))])  # fmt: skip
        assert np.allclose(again, turns, atol=1e-6)
    steps = np.abs(np.diff(continuous_angles(smooth, np.zeros((3, 3))), axis=0))
    assert steps.max() < np.pi / 2


def test_quaternions_are_those_of_the_turns_and_continuous():
    turns = rotations(4, 500, 2)
    turns[:4, 0] = np.diag([1, -1, -1]), np.diag([-1, 1, -1]), np.diag([-1, -1, 1]), np.eye(3)
    q = continuous_quaternions(turns, None)
    x, y, z, w = np.moveaxis(q, -1, 0)
    assert np.allclose(np.linalg.norm(q, axis=-1), 1)
    assert np.allclose(2 * (x * y - z * w), turns[..., 0, 1], atol=1e-9)
    assert np.allclose(2 * (x * z + y * w), turns[..., 0, 2], atol=1e-9)
    assert np.allclose(1 - 2 * (x * x + z * z), turns[..., 1, 1], atol=1e-9)
    assert (np.einsum("bni,bni->bn", q[1:], q[:-1]) >= 0).all()
    assert np.allclose(np.concatenate([q[:250], continuous_quaternions(turns[250:], q[249])]), q)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared are not here")
@pytest.mark.parametrize("skeleton", [BODY17, CMU22], ids=lambda each: each.name)
def test_captured_motion_is_met(skeleton):
    read = read_clips(SHARED / "cmu" / "cmu_motion.npz", BODY17, "test")[:10]
    clips = [clip.joints_m for clip in read] if skeleton is BODY17 else whole_clips()
    errors = []
    for joints_m in clips:
        p, x, _, _ = posed(skeleton, joints_m.astype(float))
        errors.append(np.linalg.norm(p - x, axis=-1).ravel() * 1000)
    assert np.concatenate(errors).mean() < 2.0
    assert np.percentile(np.concatenate(errors), 95) < 6.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared are not here")
def test_fused_joints_of_a_recording_are_met():
    """Of real detections, fused without the lifter: 15 mm are asked for."""
    from configs.schema import Fusion, Synchroniser
    from nodes.offline.messages import messages_of, stream_of
    from nodes.offline.sequence import load_sequence
    from nodes.stages.pipeline import FusionPipeline

    sequence = load_sequence(SHARED / "pose2sim" / "pose2sim_single.npz")
    stream = stream_of(sequence)
    settings = Fusion(synchroniser=Synchroniser(deadline_ms=None, rate_hz=sequence.fps))
    ticks_ns = tuple(stream.ticks_ns.tolist())
    pipeline = FusionPipeline(
        sequence.rig, sequence.rig.names, settings, sequence.skeleton, lifter=None, ticks_ns=ticks_ns
    )
    poses = [pose for message in messages_of(sequence, stream, 10**8) for pose in pipeline.push(message)]
    people = [pose.people[0] for pose in [*poses, *pipeline.finish()] if pose.people]
    joints_m = np.stack([person.joints_m for person in people]).astype(float)
    p, x, _, _ = posed(sequence.skeleton, joints_m)
    error_mm = np.linalg.norm(p - x, axis=-1) * 1000
    assert len(joints_m) > 90
    assert np.nanmean(error_mm) < 15.0


def whole_clips():
    """Ten clips that have all of the 22 joints."""
    with np.load(SHARED / "cmu" / "cmu_motion.npz") as arrays:
        start, delta, present = arrays["start"], arrays["delta"], arrays["present"]
        order = [list(arrays["joints"]).index(name) for name in joint_names(arrays["joints"])]
    whole = np.flatnonzero(present.all(axis=1))[:10]
    return [np.cumsum(delta[start[i] : start[i + 1]].astype(np.int32), axis=0)[:, order] / 1000.0 for i in whole]


def joint_names(names):
    from lifter.datasets.joint_names import recognise

    skeleton, order = recognise([str(name) for name in names])
    assert skeleton is CMU22
    return [names[place] for place in order]


def _about_x(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
