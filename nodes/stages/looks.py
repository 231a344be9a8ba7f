"""Looks at a rig, a few a second: which joints all cameras see, of whom, and how well they agree on them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.drift import NEAREST_M, Sums, look_at, total
from calibration.triangulate import RigArrays
from nodes.stages.matching import Detected

F64 = npt.NDArray[np.float64]

EVERY_NS = 190_000_000  # between looks: five a second
SPELL_NS = 1_000_000_000  # looks are summed up over so long
LOOKS_IN_A_SPELL = 3  # at least
MOST_JOINTS = 40  # of all people in a look: so it costs 1 ms for one person in 4 cameras, 5 ms for 10 in 16
TOLD_BY = 9  # joints, by which people are told apart
SAME_PERSON = 0.2  # mean distance as an angle, from where the others see somebody: 0.8 m at 4 m
WIDEST_RAY = 3.0  # 72 degrees off the axis; beyond is where a lens's distortion has no inverse


@dataclass(frozen=True)
class Spell:
    """The looks of about a second, with their times, and their sum."""

    looks: tuple[tuple[int, Sums], ...]
    sums: Sums


class Looks:
    """Takes a look when one is due, and hands out a spell when it is over."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Time has no meaning across an outage, and looks with another calibration are not to be added."""
        self._looks: list[tuple[int, Sums]] = []
        self._looked_ns = self._spell_ns = 0

    def due(self, captured_ns: int) -> bool:
        """Whether it is time for a look."""
        return captured_ns - self._looked_ns >= EVERY_NS

    def take(
        self, captured_ns: int, rig: RigArrays, detected: Detected, people_m: F64, velocity_m_s: F64
    ) -> Spell | None:
        """A spell that is over, if it has looks enough: where nobody is, nothing new is known."""
        if not self.due(captured_ns):
            return None
        self._looked_ns = captured_ns
        rays, weight, velocity = _seen(rig, detected, people_m, velocity_m_s)
        if len(rays):
            self._looks.append((captured_ns, look_at(rig.Ts_cam_world, rays, weight, velocity)))
        if captured_ns - self._spell_ns < SPELL_NS:
            return None
        self._spell_ns = captured_ns
        looks, self._looks = self._looks, []
        return spell_of(looks) if len(looks) >= LOOKS_IN_A_SPELL else None


def spell_of(looks: Sequence[tuple[int, Sums]]) -> Spell:
    """Of one look at least."""
    return Spell(tuple(looks), total([sums for _, sums in looks]))


def _seen(rig: RigArrays, detected: Detected, people_m: F64, velocity_m_s: F64) -> tuple[F64, F64, F64]:
    """Rays (S, C, 2), weights (S, C) and velocities (S, 3) of joints of people in all cameras that see them.

    Two cameras at least.
    """
    sure = (np.abs(detected.rays) < WIDEST_RAY).all(-1)  # NaN compares false
    weight = np.square(np.where(sure, np.clip(detected.confidence, 0.0, 1.0), 0.0))  # (C, P, J)
    who = whose(rig, detected.rays, weight, people_m)
    there = who >= 0
    cameras, index = np.arange(len(weight)), np.maximum(who, 0)
    w = np.where(there[..., None], weight[cameras, index], 0.0).transpose(0, 2, 1).reshape(-1, len(weight))
    rays = detected.rays[cameras, index].transpose(0, 2, 1, 3).reshape(-1, len(weight), 2)
    velocity = np.zeros((len(w), 3))
    if velocity_m_s.size == velocity.size:  # else somebody is seen whom fusion does not have
        velocity = np.nan_to_num(velocity_m_s.reshape(-1, 3))
    usable = np.flatnonzero((w > 0).sum(1) >= 2)
    usable = usable[:: max(1, -(-len(usable) // MOST_JOINTS))]
    return np.where((w > 0)[..., None], rays, 0.0)[usable], w[usable], velocity[usable]


def whose(rig: RigArrays, rays: F64, weight: F64, people_m: F64) -> npt.NDArray[np.int64]:
    """(K, C) each person's detection in each view, -1 for none: the nearest one, which nobody else is nearer to.

    One person alone is who is seen, however far off: that is what a moved camera shows.
    """
    found = (weight > 0).any(-1)  # (C, P)
    if len(people_m) <= 1 and (found.sum(1) <= 1).all():
        return np.where(found.any(1), found.argmax(1), -1)[None]
    if not len(people_m):
        return np.full((0, len(found)), -1)
    step = max(1, people_m.shape[1] // TOLD_BY)
    people_m, rays, weight = people_m[:, ::step], rays[:, :, ::step], weight[:, :, ::step]
    q = people_m @ rig.Ts_cam_world[:, None, :, :3].transpose(0, 1, 3, 2) + rig.Ts_cam_world[:, None, None, :, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        there = np.where(q[..., 2:] > NEAREST_M, q[..., :2] / q[..., 2:], np.nan)  # (C, K, J, 2)
    off = np.linalg.norm(there[:, :, None] - rays[:, None], axis=-1)  # (C, K, P, J)
    counts = np.isfinite(off) & (weight[:, None] > 0)
    mean = np.where(counts, off, 0.0).sum(-1) / np.maximum(counts.sum(-1), 1)
    mean = np.where(counts.any(-1), mean, np.inf)
    nearest, nearest_person = mean.argmin(2), mean.argmin(1)  # (C, K), (C, P)
    mutual = np.take_along_axis(nearest_person, nearest, 1) == np.arange(len(people_m))
    near = np.take_along_axis(mean, nearest[..., None], 2)[..., 0] < SAME_PERSON
    return np.where(mutual & near, nearest, -1).T
