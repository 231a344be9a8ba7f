"""Calibration from a person who walks: the mathematics, on projections of the virtual actor with wrong clocks."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.calibrate_people_scenes import walker
from calibration import rigid
from calibration.errors import CalibrationError
from calibration.people import essential, world
from calibration.people.adjust import sides_wrong
from calibration.people.body import body_of
from calibration.people.bundle import Problem, State
from calibration.people.held_out import parted
from calibration.people.points import points_of
from calibration.people.solve import Options, PeopleSolution, solve_from_people
from calibration.people.track import PersonTrack, Straightened, between_frames
from calibration.rig import CameraRig
from calibration.synthetic import ring_rig
from lifter.skeleton import MEDIAPIPE33
from lifter.synthetic import joints_at
from lifter.synthetic_body import Body

F64 = npt.NDArray[np.float64]

OFFSETS_S = np.array([0.0, 0.061, -0.093])
FPS, SECONDS, NOISE_PX = 20.0, 12.0, 2.0
QUICK = Options(most_offset_s=0.15, most_instants=60)


def rig_of_three() -> CameraRig:
    return ring_rig(3, 4.0, 2.0, (640, 480), 620.0, dist=(-0.1, 0.02, 0.0, 0.0, 0.0))


def seen_by(rig: CameraRig, seed: int = 0, noise_px: float = NOISE_PX, seconds: float = SECONDS) -> list[PersonTrack]:
    """Tracks whose clocks are wrong by OFFSETS_S, frames not simultaneous."""
    rng = np.random.default_rng(seed)
    tracks = []
    for c, camera in enumerate(rig.cameras):
        said_s = np.arange(round(seconds * FPS)) / FPS + 0.013 * c
        joints_m = joints_at(walker(), said_s + OFFSETS_S[c], Body())[:, : len(MEDIAPIPE33.joints)]
        px = camera.project(joints_m)
        px += rng.normal(0, noise_px, px.shape)
        tracks.append(PersonTrack(camera.name, said_s, px, np.ones(px.shape[:2]), MEDIAPIPE33.joints))
    return tracks


@cache
def solved() -> PeopleSolution:
    return solve_from_people(seen_by(rig_of_three()), rig_of_three().cameras, replace(QUICK, stature_m=1.75))


def poses(rig: CameraRig) -> F64:
    return np.stack([camera.T_cam_world for camera in rig.cameras])


def errors(found: CameraRig, truth: CameraRig) -> tuple[F64, F64]:
    """Degrees, and shares of the rig's size, of each camera, the rigs laid over each other."""
    T = world.aligned(poses(found), poses(truth)).poses(poses(found))
    turned = [rigid.rotvec_from_rotation(R) for R in T[:, :3, :3] @ poses(truth)[:, :3, :3].swapaxes(1, 2)]
    moved = np.linalg.norm(world.centres(T) - world.centres(poses(truth)), axis=1) / world.size_of(poses(truth))
    return np.degrees(np.linalg.norm(turned, axis=1)), moved


def test_five_points_give_the_essential_matrix():
    rng = np.random.default_rng(3)
    R, t = rigid.rotation_from_rotvec([0.1, 1.2, -0.3]), np.array([-0.7, 0.05, 0.7])
    X = rng.uniform(-1, 1, (5, 3)) + np.array([0.0, 0.0, 4.0])
    Xb = X @ R.T + 4 * t
    a, b = X[:, :2] / X[:, 2:], Xb[:, :2] / Xb[:, 2:]
    solutions = essential.five_point(a[None], b[None])
    T = [essential.relative(E, 0.0, a, b, 1e-3).T_b_a for E in solutions]
    assert min(np.abs(each[:3, :3] - R).max() for each in T) < 1e-6


def test_between_frames_a_parabola_is_exact_and_noise_is_the_same_everywhere():
    at_s = np.arange(60) / 30
    xy = np.stack([at_s**2, 1 - at_s], axis=-1)[:, None]
    middle = np.array([0.5, 0.5 + 1 / 60, 1.013])
    position, velocity, _ = between_frames(at_s, xy, np.ones((60, 1)), middle)
    np.testing.assert_allclose(position[:, 0], np.stack([middle**2, 1 - middle], axis=-1), atol=1e-6)
    np.testing.assert_allclose(velocity[:, 0, 0], 2 * middle, atol=1e-5)
    noise = np.random.default_rng(0).normal(size=(60, 4000, 2))
    spread = between_frames(at_s, noise, np.ones((60, 4000)), middle[:2])[0].std((1, 2))
    assert abs(spread[1] / spread[0] - 1) < 0.08  # plain interpolation: 0.29


def test_what_is_long_unseen_or_not_yet_seen_is_unknown():
    at_s = np.arange(60) / 30
    sure = np.ones((60, 1))
    sure[20:40] = 0.0
    known = between_frames(at_s, np.ones((60, 1, 2)), sure, np.array([-0.01, 0.3, 1.0, 1.5, 3.0]))[2][:, 0] > 0
    assert known.tolist() == [False, True, False, True, False]


def test_the_normal_equations_are_the_derivatives_of_the_cost():
    rig, body = rig_of_three(), body_of(MEDIAPIPE33.joints)
    tracks = [track.of_joints(body.joints) for track in seen_by(rig, seconds=3.0)]
    views = Straightened.of(tracks, rig.cameras).views(
        np.array([1.0, 1.7, 2.1]), OFFSETS_S + np.array([0.0, 0.02, -0.01])
    )
    problem = Problem(views, np.full(3, 620.0), np.full((3, len(body.joints)), 2.0), body, 0, True, True)
    joints = points_of(poses(rig), views.xy, views.confidence)
    joints[1, 3] = np.nan  # a joint that nobody placed
    state = State(poses(rig), np.array([1.0, 1.02, 0.99]), np.zeros(3), np.full(len(body.names), -1.0), joints)
    normal = problem.linearised(state)
    assert normal.cost == pytest.approx(problem.cost(state))
    rng = np.random.default_rng(0)
    for _ in range(12):
        step_g, steps_l = rng.normal(size=normal.g_g.shape), rng.normal(size=normal.g_l.shape)
        step_g[:7] = 0.0  # the first camera stays
        h = 1e-6
        ahead = problem.cost(problem.moved(state, h * step_g, h * steps_l))
        back = problem.cost(problem.moved(state, -h * step_g, -h * steps_l))
        slope = normal.g_g @ step_g + (normal.g_l * steps_l).sum()
        assert (ahead - back) / (2 * h) == pytest.approx(slope, rel=1e-4)


def test_held_out_stretches_are_not_learnt_from():
    instants_s = np.arange(0, 30, 0.1)
    learnt, measured = parted(instants_s, 0)
    assert 0.15 < measured.mean() < 0.25
    assert not (learnt & measured).any()
    apart = np.abs(instants_s[learnt][:, None] - instants_s[measured][None])
    assert apart.min() > 0.09
    assert (parted(instants_s, 1)[1] != measured).any()


@pytest.mark.slow
def test_from_nothing_cameras_clocks_and_world():
    found, truth = solved(), rig_of_three()
    degrees, shares = errors(found.rig, truth)
    assert degrees.max() < 0.3
    assert shares.max() < 0.01
    np.testing.assert_allclose(found.offsets_s, OFFSETS_S, atol=0.003)
    assert found.held_out.whole.p50 < 2.5 * NOISE_PX
    heights = [camera.T_world_cam[2, 3] for camera in found.rig.cameras]
    np.testing.assert_allclose(heights, [camera.T_world_cam[2, 3] for camera in truth.cameras], atol=0.12)
    assert world.size_of(poses(found.rig)) == pytest.approx(world.size_of(poses(truth)), rel=0.03)
    x, y, _ = found.rig.cameras[0].T_world_cam[:3, 3]
    assert abs(y) < 1e-6 < x  # x points to the first camera
    assert (found.sigma_position_m < 0.05).all()


@pytest.mark.slow
def test_a_given_rig_is_refined_in_its_own_world():
    truth = rig_of_three()
    bumped = rigid.from_rotation(rigid.rotation_from_rotvec([0.0, np.radians(2.0), 0.0]), [0.03, 0.0, 0.0])
    given = CameraRig(
        (*truth.cameras[:2], replace(truth.cameras[2], T_cam_world=bumped @ truth.cameras[2].T_cam_world))
    )
    found = solve_from_people(seen_by(truth), given.cameras, replace(QUICK, start="given"))
    assert found.before is not None
    assert found.held_out.whole.p50 < 0.5 * found.before.whole.p50
    centres = world.centres(poses(found.rig)) - world.centres(poses(truth))
    assert np.linalg.norm(centres, axis=1).max() < 0.06


@pytest.mark.slow
def test_a_camera_that_hangs_upside_down_is_no_matter():
    truth = rig_of_three()
    half_turn = rigid.from_rotation(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))
    hung = replace(truth.cameras[1], T_cam_world=half_turn @ truth.cameras[1].T_cam_world)
    rig = CameraRig((truth.cameras[0], hung, truth.cameras[2]))
    found = solve_from_people(seen_by(rig), rig.cameras, QUICK)
    assert errors(found.rig, rig)[0].max() < 0.5
    assert found.rig.cameras[1].T_world_cam[2, 1] > 0.5  # its own down points up


def test_exchanged_cameras_are_named():
    a, b, c = rig_of_three().cameras
    given = (a, replace(b, T_cam_world=c.T_cam_world), replace(c, T_cam_world=b.T_cam_world))
    with pytest.raises(CalibrationError, match=r"cam_1 and cam_2 are exchanged.*exchange their names"):
        solve_from_people(seen_by(rig_of_three()), given, replace(QUICK, start="given"))


@pytest.mark.parametrize("of", ["cam_0", "cam_1"])
@pytest.mark.parametrize(
    ("turned", "sides", "words"),
    [
        ((True, False), False, "is mirrored.*selfie"),
        ((True, False), True, "is mirrored.*selfie"),
        ((True, True), False, "is upside down.*turn camera or picture"),
    ],
    ids=["keypoints mirrored", "pictures mirrored", "upside down"],
)
def test_a_picture_that_is_turned_over_is_named(of: str, turned: tuple[bool, bool], sides: bool, words: str):
    """A detector takes left for right in a mirrored picture."""
    rig = rig_of_three()
    far = np.array(rig[of].size_wh) - 1.0
    tracks = []
    body = body_of(MEDIAPIPE33.joints)
    for track in (track.of_joints(body.joints) for track in seen_by(rig, seconds=6.0)):
        px = np.where(turned, far - track.keypoints_px, track.keypoints_px)
        wrong = replace(track, keypoints_px=px[:, body.swapped] if sides else px)
        tracks.append(wrong if track.camera == of else track)
    with pytest.raises(CalibrationError, match=f"the given poses do not fit: the picture of {of} {words}"):
        solve_from_people(tracks, rig.cameras, replace(QUICK, start="given"))


def test_left_taken_for_right_is_found():
    rig, body = rig_of_three(), body_of(MEDIAPIPE33.joints)
    tracks = [track.of_joints(body.joints) for track in seen_by(rig, seconds=3.0)]
    px = tracks[1].keypoints_px.copy()
    px[25:] = px[25:][:, body.swapped]
    tracks[1] = replace(tracks[1], keypoints_px=px)
    views = Straightened.of(tracks, rig.cameras).views(np.array([0.6, 2.0, 2.5]), OFFSETS_S)
    joints = joints_at(walker(), np.array([0.6, 2.0, 2.5]), Body())[:, [MEDIAPIPE33.index(j) for j in body.joints]]
    problem = Problem(views, np.full(3, 620.0), np.full((3, len(body.joints)), 2.0), body, 0)
    state = State(poses(rig), np.ones(3), np.zeros(3), np.zeros(len(body.names)), joints)
    wrong = sides_wrong(problem, state, 0.015)
    assert wrong[1].tolist() == [False, True, True]
    assert not wrong[[0, 2]].any()


def still(tracks: list[PersonTrack]) -> list[PersonTrack]:
    return [replace(track, keypoints_px=np.tile(track.keypoints_px[:1], (len(track.captured_s), 1, 1)))
            for track in tracks]  # fmt: skip


def blind(tracks: list[PersonTrack], camera: int) -> list[PersonTrack]:
    return [replace(track, confidence=np.zeros_like(track.confidence)) if c == camera else track
            for c, track in enumerate(tracks)]  # fmt: skip


def test_what_cannot_be_is_refused_with_the_remedy():
    rig = rig_of_three()
    tracks = seen_by(rig, seconds=6.0)
    given = replace(QUICK, start="given")
    with pytest.raises(CalibrationError, match="the person stands still"):
        solve_from_people(still(tracks), rig.cameras, given)
    with pytest.raises(CalibrationError, match="camera 'cam_1' sees a person in 0 of 120 frames"):
        solve_from_people(blind(tracks, 1), rig.cameras, QUICK)
    with pytest.raises(CalibrationError, match="two cameras at least"):
        solve_from_people(tracks[:1], rig.cameras[:1], QUICK)
    with pytest.raises(CalibrationError, match="no camera 'lft'"):
        solve_from_people(tracks, rig.cameras, replace(QUICK, distance=("lft", "cam_0", 2.0)))
    with pytest.raises(CalibrationError, match="not both"):
        solve_from_people(tracks, rig.cameras, replace(QUICK, distance=("cam_1", "cam_0", 2.0), stature_m=1.7))
    with pytest.raises(CalibrationError, match="do not rise"):
        replace(tracks[0], captured_s=np.zeros(120))


def test_a_camera_whose_person_is_never_there_at_the_same_time_is_named():
    rig = rig_of_three()
    tracks = seen_by(rig, seconds=8.0)
    late = replace(tracks[2], captured_s=tracks[2].captured_s + 100.0)
    with pytest.raises(CalibrationError, match="'cam_2' never sees the person at the same time"):
        solve_from_people([*tracks[:2], late], rig.cameras, replace(QUICK, start="given"))


@pytest.mark.slow
def test_frames_without_numbers_and_wild_ones_do_no_harm():
    rig = rig_of_three()
    rng = np.random.default_rng(5)
    tracks = []
    for track in seen_by(rig):
        px, sure = track.keypoints_px.copy(), track.confidence.copy()
        px[rng.random(px.shape[:2]) < 0.1] = np.nan
        wild = rng.random(px.shape[:2]) < 0.05
        px[wild] += rng.normal(0, 80, (int(wild.sum()), 2))
        tracks.append(replace(track, keypoints_px=px, confidence=sure))
    found = solve_from_people(tracks, rig.cameras, replace(QUICK, start="given", free_time=True))
    degrees, shares = errors(found.rig, rig)
    assert degrees.max() < 0.4
    assert shares.max() < 0.015


@pytest.mark.slow
def test_the_distance_sets_the_scale():
    truth = rig_of_three()
    options = replace(QUICK, start="given", distance=("cam_0", "cam_2", 9.0), free_time=False)
    found = solve_from_people(seen_by(truth, seconds=6.0), truth.cameras, options)
    apart = world.centres(poses(found.rig))
    assert np.linalg.norm(apart[0] - apart[2]) == pytest.approx(9.0)
