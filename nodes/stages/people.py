"""What is known of each person who is followed: motion, bones, and what was shown last. Pure; times are arguments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from configs.schema import Smoothing as Settings
from nodes.stages.body_tree import BodyTree
from nodes.stages.bones import Bones
from nodes.stages.fuse import Fused, Known
from nodes.stages.person_problem import Expected
from nodes.stages.smoothing import Foreseen, Kalman, OneEuro, Settling

F64 = npt.NDArray[np.float64]

NS = 1e-9
DEPTH_SHARE = 0.03  # of the distance: how wrong it is by the size of a person alone, measured on captured motion …
DEPTH_SHARE_UNLIFTED = 0.1  # … or by the lengths of its bones without a lifter …
DEPTH_FADES_S = 0.4  # … and how fast it gets there, when the other views are lost
GUESS_SIGMA_M = 0.025  # per axis, of a joint that one view or none sees: lifts err alike from tick to tick, too


@dataclass(frozen=True)
class Estimate:
    """One person as shown: joints_m (J, 3), NaN where absent, and sigma_m (J,), the root of the mean variance.

    off_m: (J,) how far what is shown still glides beside what is known; part of sigma_m.
    """

    joints_m: F64
    sigma_m: F64
    off_m: F64


class Person:
    """The state of one person, who was seen at `seen_ns` last."""

    def __init__(self, settings: Settings, tree: BodyTree) -> None:
        self._settings = settings
        self._tree = tree
        self.bones = Bones(len(tree.names))
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the motion, but not the body: the person was away."""
        self._kalman = Kalman(self._settings, self._tree)
        self._one_euro = OneEuro(self._settings, self._tree.n_shown) if self._settings.kind == "one_euro" else None
        self._settling = Settling(self._tree.n_shown)
        self.seen_ns: int | None = None
        self.alone_s = np.inf  # seen by one camera for so long
        self._guessed_s = np.zeros(self._tree.n_shown)  # since two views saw each joint
        self.n_contradicted = 0  # ticks running in which most views had the body the other way round
        self._foreseen: tuple[int, Foreseen] | None = None

    def foresee(self, captured_ns: int) -> Foreseen:
        """Where everything will be; several ask at each tick."""
        if self._foreseen is None or self._foreseen[0] != captured_ns:
            self._foreseen = captured_ns, self._kalman.foresee(captured_ns)
        return self._foreseen[1]

    def take(self, captured_ns: int, fused: Fused, to_show: Fused, m: int, was_shown: bool) -> Estimate:
        """Follow row m of what was fused, and say what to show of `to_show`.

        was_shown: somebody may have seen where the person was at the tick before.
        """
        foreseen = self.foresee(captured_ns)
        self._foreseen = None
        n, n_views = self._tree.n_shown, fused.used[m].sum(0)
        self._follow(captured_ns, fused, m, n_views)
        since_s = 0.0 if self.seen_ns is None else (captured_ns - self.seen_ns) * NS
        self.seen_ns = captured_ns
        joints_m, sigma_m = to_show.joints_m[m, :n], _sigma(to_show.covariance[m, :n])
        sigma_m = np.hypot(sigma_m, self._depth_sigma_m(since_s, fused.only_from_m[m], bool(fused.lifted[m])))
        self._guessed_s = np.where(n_views >= 2, 0.0, self._guessed_s + since_s)
        sigma_m = np.hypot(sigma_m, GUESS_SIGMA_M * (1.0 - np.exp(-self._guessed_s / DEPTH_FADES_S)))
        off_m = np.zeros(n)
        if self._settings.kind == "kalman" and was_shown:
            joints_m, off_m = self._settling.settle(since_s, foreseen.joints_m[:n], joints_m, n_views)
            sigma_m = np.sqrt(sigma_m**2 + off_m**2 / 3)
        elif self._one_euro is not None:
            joints_m = self._one_euro.smooth(captured_ns, joints_m)
        return Estimate(joints_m, sigma_m, off_m)

    def _follow(self, captured_ns: int, fused: Fused, m: int, n_views: npt.NDArray[np.int64]) -> None:
        """Let motion and bones take over row m; n_views: (J,) that count."""
        of_tree = np.zeros(len(self._tree.names), dtype=np.int64)
        of_tree[: self._tree.n_shown] = n_views
        middle = np.flatnonzero(self._tree.middle[:, 0] >= 0)
        of_tree[middle] = of_tree[self._tree.middle[middle]].min(axis=1)
        alone = (self._tree.lifted < 0) | ~fused.lifted[m]  # no lift speaks for it
        # What one view sees and neither lift nor length holds must not be carried on: its distance would run away.
        loose = alone & (of_tree < 2) & (self.bones.information == 0) & (self._tree.parent >= 0)
        joints_m = np.where(loose[:, None], np.nan, fused.joints_m[m])
        self._kalman.correct(captured_ns, joints_m, fused.bone_covariance[m], fused.surprise[m], alone & (of_tree == 0))
        self.bones.learn(fused.bone_m[m], fused.bone_variance[m])

    def _depth_sigma_m(self, since_s: float, only_from_m: float, lifted: bool) -> float:
        """What the covariance does not know, per axis: by size the distance is wrong in the same way at every tick."""
        self.alone_s = self.alone_s + since_s if only_from_m > 0 else 0.0
        share = DEPTH_SHARE if lifted else DEPTH_SHARE_UNLIFTED
        return float(share * only_from_m * (1.0 - np.exp(-self.alone_s / DEPTH_FADES_S)) / np.sqrt(3.0))

    def velocity_m_s(self, captured_ns: int) -> F64:
        """(J, 3) of the joints that are shown."""
        return self.foresee(captured_ns).velocity_m_s[: self._tree.n_shown]

    def carry_on(self, captured_ns: int) -> Estimate:
        """What to show of somebody who is not seen."""
        foreseen, n = self.foresee(captured_ns), self._tree.n_shown
        return Estimate(self._settling.keep(foreseen.joints_m[:n]), _sigma(foreseen.covariance[:n]), np.zeros(n))


def known_of(people: Sequence[Person | None], captured_ns: int, tree: BodyTree, expects: bool = True) -> Known:
    """What is known of M people before looking; None: somebody new. expects: whether the past may speak for places."""
    known = Known.nothing(len(people), len(tree.names))
    for m, person in enumerate(people):
        if person is None:
            continue
        known.length_m[m], known.length_information[m] = person.bones.length_m, person.bones.information
        if expects and person.seen_ns is not None:
            known.since_s[m] = (captured_ns - person.seen_ns) * NS
            _expect(known.expected, m, person.foresee(captured_ns), tree)
    return known


def _expect(expected: Expected, m: int, foreseen: Foreseen, tree: BodyTree) -> None:
    """Fill in row m."""
    there = np.isfinite(foreseen.joints_m[:, :1])
    is_root = (tree.parent < 0)[:, None, None]
    expected.joints_m[m] = np.where(there, foreseen.joints_m, 0.0)
    expected.bone_m[m] = np.where(there, foreseen.bone_m, 0.0)
    expected.witness[m] = foreseen.information
    expected.information[m] = np.where(is_root, foreseen.bone_information, 0.0)
    expected.bone_information[m] = np.where(is_root, 0.0, foreseen.bone_information)


def _sigma(covariance: F64) -> F64:
    """(N,) of (N, 3, 3): standard deviation per axis, inf where nothing is known."""
    variance = (covariance[:, 0, 0] + covariance[:, 1, 1] + covariance[:, 2, 2]) / 3
    return np.where(np.isfinite(variance) & (variance > 0), np.sqrt(np.maximum(variance, 0.0)), np.inf)
