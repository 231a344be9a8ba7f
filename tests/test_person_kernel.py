"""The solver on the body's tree against slow twins: a general solver, dense matrices, numeric derivatives."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from calibration.synthetic import ring_rig
from calibration.triangulate import RigArrays
from nodes.stages import person_kernel as kernel
from nodes.stages import person_problem as arrays
from nodes.stages import person_views

PARENT = np.array([-1, 0, 1, 0, 3, 3])
N = len(PARENT)
TREE = arrays.Tree(PARENT, np.arange(N), np.full((N, 2), -1))
SIGMA = 3e-3  # of a ray: 3 px at 1000 px
GATE = 3.5 * SIGMA


class Scene:
    """One body of six joints before some cameras; what is known of it is added piece by piece."""

    def __init__(self, n_cameras=3, people=1, seed=0):
        self.rng = np.random.default_rng(seed)
        self.rig = ring_rig(n_cameras, 4.0, 2.0, (1280, 720), 900.0)
        arrays = RigArrays.of(self.rig)
        self.T = arrays.Ts_cam_world
        self.centre_m = -np.einsum("cji,cj->ci", self.T[:, :, :3], self.T[:, :, 3])
        steps = self.rng.normal((0, 0, 0.1), 0.2, (people, N, 3))
        self.truth_m = np.zeros((people, N, 3))
        for j, up in enumerate(PARENT):
            self.truth_m[:, j] = (steps[:, j] + [0, 0, 1.0]) if up < 0 else self.truth_m[:, up] + steps[:, j]
        self.shape = (people, N, n_cameras)
        self.rays = np.array([self.see(x) for x in self.truth_m.reshape(-1, 3)]).reshape(people, N, n_cameras, 2)
        self.weight = np.zeros(self.shape)
        self.expected = [np.zeros((people, N, 3, *more)) for more in ((), (3,), (3,), (), (3,))]
        self.lifted = [np.zeros((people, n_cameras, N, *more)) for more in ((3,), (), ())]
        self.lengths = [np.zeros((people, N)), np.zeros((people, N))]

    def see(self, x):
        """Rays (C, 2) of a point."""
        cam = self.T[:, :, :3] @ x + self.T[:, :, 3]
        return cam[:, :2] / cam[:, 2:]

    def bones(self, joints_m):
        return np.where(PARENT[:, None] >= 0, joints_m - joints_m[..., PARENT, :], 0.0)

    def views(self, noise=0.5, sigma=SIGMA):
        """Everything is seen by everybody, with noise (in sigmas)."""
        self.weight[:] = sigma**-2
        self.rays += self.rng.normal(0, noise * sigma, self.rays.shape)
        return self

    def expect(self, sigma_m=0.02, off_m=0.01):
        """The root and all bones are expected somewhere near the truth, with full matrices."""
        joints_m, witness, information, bone_m, bone_information = self.expected
        joints_m[:] = self.truth_m + self.rng.normal(0, off_m, self.truth_m.shape)
        bone_m[:] = self.bones(self.truth_m) + self.rng.normal(0, off_m, self.truth_m.shape)
        half = self.rng.normal(size=witness.shape)
        full = sigma_m**-2 * (np.eye(3) + 0.1 * half @ half.swapaxes(-1, -2))
        witness[:] = full / 4
        information[:, PARENT < 0] = full[:, PARENT < 0]
        bone_information[:, PARENT >= 0] = full[:, PARENT >= 0]
        return self

    def lift(self, sigma_m=0.06, off_m=0.02):
        """Each view's lift tells all bones, worse along the line of sight than across."""
        bone_m, along, across = self.lifted
        bone_m[:] = self.bones(self.truth_m)[:, None] + self.rng.normal(0, off_m, bone_m.shape)
        along[..., PARENT >= 0] = sigma_m**-2
        across[..., PARENT >= 0] = 9 * sigma_m**-2
        return self

    def know_lengths(self, sigma_m=0.02, off_m=0.005):
        self.lengths[0][:] = np.linalg.norm(self.bones(self.truth_m), axis=-1) + self.rng.normal(0, off_m, N)
        self.lengths[1][:, PARENT >= 0] = sigma_m**-2
        return self

    def problem(self, gate=1.0, tree=TREE):
        """gate: so wide that no error is an outlier, nor counts less, unless it is told."""
        views = arrays.Views(self.T, self.centre_m, self.rays, self.weight, gate)
        bone_m, along, across = self.lifted
        lifted = arrays.Lifted(bone_m, along, across, news=np.ones(self.shape[0]))
        return arrays.Problem(views, arrays.Expected(*self.expected), lifted, arrays.Lengths(*self.lengths), tree)


def off_in_views(scene, m, joints_m):
    """(N, C, 2) in sigmas, times the trust in each joint's views, which follows from their own agreement."""
    residual = np.array([scene.see(x) for x in joints_m]) - scene.rays[m]
    return np.sqrt(scene.weight[m])[..., None] * residual


def trusts(scene, m, solved_m):
    """(N,) what the kernel makes of how well the views of a joint agree; of joints that two views or more saw."""
    out = np.ones(N)
    for j in range(N):
        seen = scene.weight[m, j] > 0
        if seen.sum() >= 2:
            off = lambda x, j=j: (np.sqrt(scene.weight[m, j])[:, None] * (scene.see(x) - scene.rays[m, j])).ravel()  # noqa: E731
            chi2 = 2 * least_squares(off, solved_m[j], xtol=1e-12).cost
            freedom = person_views.SPREAD_FREEDOM
            trust = (freedom + 2 * seen.sum() - 3) / (freedom + chi2)
            out[j] = np.clip(trust, person_views.LEAST_TRUST, person_views.MOST_TRUST)
    return out


def twin(scene, near_m, m=0):
    """The same cost, term by term, minimised by somebody else; joints (N, 3).

    near_m: (N, 3) where joints are seen from the cameras when lifts are told along and across the line of sight.
    """
    joints_m, _, information, bone_m, bone_information = (part[m] for part in scene.expected)
    lift_m, along, across = (part[m] for part in scene.lifted)
    length_m, length_information = (part[m] for part in scene.lengths)
    trust = trusts(scene, m, scene.truth_m[m])
    has_bone = np.flatnonzero(PARENT >= 0)
    sight = near_m[None] - scene.centre_m[:, None]
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    known = np.where(length_information > 0, length_m, arrays.UNKNOWN_LENGTH_M)
    held = PARENT >= 0  # weakly: bones of which nothing is expected
    held &= ~bone_information.any((-1, -2))
    root_L, bone_L = (np.zeros((N, 3, 3)) for _ in range(2))
    for j in range(N):
        root_L[j] = np.linalg.cholesky(information[j]).T if information[j].any() else 0.0
        bone_L[j] = np.linalg.cholesky(bone_information[j]).T if bone_information[j].any() else 0.0

    def residuals(flat):
        x = flat.reshape(N, 3)
        bones = scene.bones(x)
        off = (bones - lift_m)[:, has_bone]
        far = (off * sight[:, has_bone]).sum(-1, keepdims=True)
        size = np.linalg.norm(bones, axis=-1)
        return np.concatenate(
            [
                (np.sqrt(trust)[:, None, None] * off_in_views(scene, m, x)).ravel(),
                np.einsum("jab,jb->ja", root_L, x - joints_m).ravel(),
                np.einsum("jab,jb->ja", bone_L, bones - bone_m).ravel(),
                (np.sqrt(along[:, has_bone])[..., None] * far).ravel(),
                (np.sqrt(across[:, has_bone])[..., None] * (off - far * sight[:, has_bone])).ravel(),
                (np.sqrt(length_information) * (size - length_m))[has_bone],
                (0.5 * bones / known[:, None])[held].ravel(),
            ]
        )

    return least_squares(residuals, scene.truth_m[m].ravel(), xtol=1e-12, ftol=1e-12, gtol=1e-12).x.reshape(N, 3)


def seen_by_few(scene):
    """Joint 2 by one camera, joint 5 by none, joint 4 by two."""
    scene.weight[:, 2, 1:] = 0
    scene.weight[:, 5] = 0
    scene.weight[:, 4, 2:] = 0
    return scene


SCENES = {
    "views and lengths": lambda seed: Scene(seed=seed).views().know_lengths(),
    "two views and an expectation": lambda seed: Scene(2, seed=seed).views().expect(),
    "four views, lifts and lengths": lambda seed: Scene(4, seed=seed).views().lift().know_lengths(),
    "everything": lambda seed: Scene(3, seed=seed).views().expect().lift().know_lengths(),
    "some joints seen by few": lambda seed: seen_by_few(Scene(3, seed=seed).views().expect().lift().know_lengths()),
    "one view": lambda seed: Scene(1, seed=seed).views().expect().lift().know_lengths(),
    "no view": lambda seed: Scene(2, seed=seed).expect().lift().know_lengths(),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", SCENES)
def test_a_general_solver_finds_the_same_joints(kind, seed):
    scene = SCENES[kind](seed)
    solved = kernel.solve(scene.problem())
    np.testing.assert_allclose(solved.joints_m[0], twin(scene, solved.joints_m[0]), atol=1e-3)


def dense(scene, root, bone):
    """(3N, 3N) normal matrix and right-hand side of quadratic terms; root, bone: (N, 3, 3) information."""
    joints_m, _, _, bone_m, _ = (part[0] for part in scene.expected)
    H, h = np.zeros((N, 3, N, 3)), np.zeros((N, 3))
    for j, up in enumerate(PARENT):
        H[j, :, j] += root[j] + bone[j]
        h[j] += root[j] @ joints_m[j] + (bone[j] @ bone_m[j] if up >= 0 else 0.0)
        if up >= 0:
            H[up, :, up] += bone[j]
            H[j, :, up] -= bone[j]
            H[up, :, j] -= bone[j]
            h[up] -= bone[j] @ bone_m[j]
    return H.reshape(3 * N, 3 * N), h.ravel()


@pytest.mark.parametrize("seed", range(3))
def test_elimination_on_the_tree_is_the_inverse_of_the_dense_matrix(seed):
    scene = Scene(2, seed=seed).expect(sigma_m=0.003, off_m=0.001)  # next to which a bone's weak hold is nothing
    scene.expected[2][:, 2] = scene.expected[1][:, 2]  # a leaf's own place is expected, too
    solved = kernel.solve(scene.problem())
    H, h = dense(scene, scene.expected[2][0], scene.expected[4][0])
    covariance = np.linalg.inv(H).reshape(N, 3, N, 3)
    np.testing.assert_allclose(solved.joints_m[0].ravel(), np.linalg.solve(H, h), atol=2e-5)
    for j, up in enumerate(PARENT):
        np.testing.assert_allclose(solved.covariance[0, j], covariance[j, :, j], rtol=1e-3, atol=1e-9)
        of_bone = covariance[j, :, j]
        if up >= 0:
            of_bone = of_bone + covariance[up, :, up] - covariance[j, :, up] - covariance[up, :, j]
        np.testing.assert_allclose(solved.bone_covariance[0, j], of_bone, rtol=1e-3, atol=1e-9)


def test_the_order_in_which_joints_are_listed_does_not_matter():
    scene = Scene(3).views().expect().lift().know_lengths()
    straight = kernel.solve(scene.problem())
    place = np.array([5, 3, 1, 4, 0, 2])  # where each joint goes
    back = np.argsort(place)
    parent = np.where(PARENT[back] >= 0, place[PARENT[back]], -1)
    scene.rays, scene.weight = (np.ascontiguousarray(part[:, back]) for part in (scene.rays, scene.weight))
    scene.expected = [np.ascontiguousarray(part[:, back]) for part in scene.expected]
    scene.lifted = [np.ascontiguousarray(part[:, :, back]) for part in scene.lifted]
    scene.lengths = [np.ascontiguousarray(part[:, back]) for part in scene.lengths]
    other = kernel.solve(scene.problem(tree=arrays.Tree(parent, place.copy(), np.full((N, 2), -1))))
    np.testing.assert_allclose(other.joints_m[:, place], straight.joints_m, atol=1e-9)
    np.testing.assert_allclose(other.covariance[:, place], straight.covariance, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("n_cameras", [2, 3, 5])
def test_the_covariance_of_a_lone_joint_is_that_of_numeric_derivatives(n_cameras):
    scene = Scene(n_cameras).views(noise=0.0)
    alone = arrays.Tree(np.full(N, -1), np.arange(N), np.full((N, 2), -1))
    solved = kernel.solve(scene.problem(tree=alone))
    eps_m = 1e-6
    for j in range(N):
        x = scene.truth_m[0, j]
        J = np.array([(scene.see(x + d) - scene.see(x - d)).ravel() / (2 * eps_m) for d in eps_m * np.eye(3)]).T
        shape = solved.covariance[0, j] @ (J.T @ J) * SIGMA**-2
        np.testing.assert_allclose(shape, shape[0, 0] * np.eye(3), atol=1e-5)  # up to the trust in views that agree
        assert 0.6 < shape[0, 0] <= 1.0


def test_exact_views_give_exact_joints():
    scene = Scene(4, people=3).views(noise=0.0, sigma=1e-4)
    solved = kernel.solve(scene.problem(gate=0.01))
    np.testing.assert_allclose(solved.joints_m, scene.truth_m, atol=1e-5)
    assert solved.used.all()
    np.testing.assert_allclose(solved.residual2, 0.0, atol=1e-12)


def test_the_covariance_is_honest():
    off2 = []
    for seed in range(60):
        scene = Scene(3, seed=seed).views(noise=1.0)
        solved = kernel.solve(scene.problem(gate=GATE))
        off = solved.joints_m[0] - scene.truth_m[0]
        off2.append(np.einsum("ji,jik,jk->j", off, np.linalg.inv(solved.covariance[0]), off) / 3)
    assert 0.8 < np.mean(off2) < 1.6


def test_an_outlier_among_four_views_changes_next_to_nothing():
    scene = Scene(4).views().know_lengths()
    clean = kernel.solve(scene.problem(gate=GATE))
    scene.rays[0, 2, 1] += 0.2
    scene.rays[0, 4, 3] -= 0.05
    solved = kernel.solve(scene.problem(gate=GATE))
    assert not solved.used[0, 2, 1]
    assert not solved.used[0, 4, 3]
    assert np.abs(solved.joints_m - clean.joints_m).max() < 0.01


def test_a_joint_that_one_view_sees_lies_on_its_ray_at_the_lifted_depth():
    scene = Scene(3).views(noise=0.0).lift(off_m=0.0).know_lengths(off_m=0.0)
    scene.weight[0, 2, 1:] = 0
    scene.rays[0, 2, 1:] = np.nan
    solved = kernel.solve(scene.problem(gate=GATE))
    np.testing.assert_allclose(solved.joints_m[0], scene.truth_m[0], atol=0.02)
    assert solved.used[0, 2].tolist() == [True, False, False]
    assert np.trace(solved.covariance[0, 2]) > 2 * np.trace(solved.covariance[0, 1])


def test_an_expectation_that_is_wildly_wrong_is_left_by_views_that_agree():
    scene = Scene(3).views().expect(sigma_m=0.02)
    scene.expected[0] += 0.5
    scene.expected[3][:, PARENT >= 0] += 0.3
    solved = kernel.solve(scene.problem(gate=GATE))
    np.testing.assert_allclose(solved.joints_m, scene.truth_m, atol=0.05)
    assert (solved.surprise[np.isfinite(solved.surprise)] > 3).all()


def test_a_right_expectation_is_no_surprise():
    surprises = []
    for seed in range(30):
        scene = Scene(3, seed=seed).views(noise=1.0)
        scene.expect(sigma_m=0.05, off_m=0.05)
        surprises.append(kernel.solve(scene.problem(gate=GATE)).surprise[0])
    assert 0.6 < np.nanmean(surprises) < 1.6


def test_what_nobody_places_is_nan_and_everything_else_is_finite():
    scene = Scene(3, people=2).views()
    scene.weight[0] = 0.0
    scene.rays[0] = np.nan
    solved = kernel.solve(scene.problem(gate=GATE))
    assert np.isnan(solved.joints_m[0]).all()
    assert np.isnan(solved.covariance[0]).all()
    assert not solved.used[0].any()
    assert np.isfinite(solved.joints_m[1]).all()
    assert np.isfinite(solved.covariance[1]).all()
    assert np.isfinite(solved.bone_covariance[1]).all()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_missing_joints_and_covariances_are_absent_together_or_sound(seed):
    scene = Scene(3, people=4, seed=seed).views()
    scene.weight *= scene.rng.random(scene.shape) < scene.rng.random((4, 1, 1))
    scene.rays[scene.weight == 0] = np.nan
    if seed % 2:
        scene.lift()
    solved = kernel.solve(scene.problem(gate=GATE))
    there = np.isfinite(solved.joints_m).all(-1)
    assert (np.isnan(solved.joints_m).any(-1) == ~there).all()
    assert (np.isfinite(solved.covariance).all((-1, -2)) == there).all()
    assert (np.isfinite(solved.bone_covariance).all((-1, -2)) == there).all()
    assert (np.linalg.eigvalsh(solved.covariance[there]) > 0).all()
    assert (there | ~solved.used.any(-1)).all()
    seen = scene.weight > 0
    assert not (solved.used & ~seen).any()
    assert there[(seen.sum(-1) >= 2) & seen.any((1, 2))[:, None]].all()


def test_each_person_is_solved_as_if_alone():
    scene = Scene(3, people=3).views().expect().lift().know_lengths()
    together = kernel.solve(scene.problem(gate=GATE))
    p = scene.problem(gate=GATE)
    for m in range(3):
        row = slice(m, m + 1)
        alone = kernel.solve(
            arrays.Problem(
                p.views._replace(rays=p.views.rays[row], weight=p.views.weight[row]),
                arrays.Expected(*(part[row] for part in p.expected)),
                arrays.Lifted(*(part[row] for part in p.lifted)),
                arrays.Lengths(*(part[row] for part in p.lengths)),
                TREE,
            )
        )
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[m])


def test_the_order_of_the_cameras_does_not_matter():
    scene = Scene(5).views().lift().know_lengths()
    straight = kernel.solve(scene.problem(gate=GATE))
    order = [3, 1, 4, 0, 2]
    scene.T, scene.centre_m = scene.T[order], scene.centre_m[order]
    scene.rays, scene.weight = (np.ascontiguousarray(part[:, :, order]) for part in (scene.rays, scene.weight))
    scene.lifted = [np.ascontiguousarray(part[:, order]) for part in scene.lifted]
    other = kernel.solve(scene.problem(gate=GATE))
    np.testing.assert_allclose(other.joints_m, straight.joints_m, atol=1e-6)
    np.testing.assert_array_equal(other.used, straight.used[:, :, order])


def test_bones_are_measured_by_the_views_alone():
    measured = []
    for seed in range(60):
        scene = Scene(3, seed=seed).views(noise=1.0).know_lengths()
        scene.lengths[0] *= 1.3  # what is believed of them so far
        solved = kernel.solve(scene.problem(gate=GATE))
        true_m = np.linalg.norm(scene.bones(scene.truth_m[0]), axis=-1)
        off = (solved.bone_m[0] - true_m) / np.sqrt(solved.bone_variance[0])
        measured.append(np.where(np.isfinite(solved.bone_m[0]), off, np.nan)[1:])
    off = np.array(measured)
    assert np.isfinite(off).mean() > 0.9
    assert abs(np.nanmean(off)) < 0.25
    assert 0.6 < np.nanstd(off) < 1.5
