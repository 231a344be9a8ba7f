"""One person as seen forward and backward in time, brought together. Pure.

Both saw the same pictures, but each with what came before, or after, as its expectation: each is late on its own side,
and each loses people and joints at other instants.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nodes.wire.messages import Origin, Person3D

F64 = npt.NDArray[np.float64]

SAME_M = 0.5  # mean over joints: farther apart, they are two
APART = 1e3  # above all distances, so that as many as can be are paired
# Of the surer one's sigma: detectors err alike in both passes and for longer than a few ticks, lifts and sizes always.
ALIKE, ALIKE_LIFTED = 0.8, 1.0


@dataclass(frozen=True)
class Pair:
    """Somebody at one instant, by one pass or by both; `is_seen`: not only carried on."""

    forward: Person3D | None
    backward: Person3D | None

    @property
    def people(self) -> tuple[Person3D, ...]:
        return tuple(each for each in (self.forward, self.backward) if each is not None)

    @property
    def is_seen(self) -> bool:
        return any(is_seen(each) for each in self.people)


@dataclass(frozen=True)
class Known:
    """What both know of a person at one instant. sigma_m: as if they erred apart. alike_m: of what they err alike."""

    joints_m: F64
    sigma_m: F64
    alike_m: F64
    reprojection_px: npt.NDArray[np.float32]
    views: npt.NDArray[np.uint32]
    origin: npt.NDArray[np.uint8]


def is_seen(person: Person3D) -> bool:
    """By any view; else carried on."""
    return bool(person.views.any())


def pairs_of(forward: Sequence[Person3D], backward: Sequence[Person3D]) -> list[Pair]:
    """Who is who: as many pairs as are near, with the least distance in all; the others alone."""
    distance = np.array([[distance_m(f, b) for b in backward] for f in forward]).reshape(len(forward), len(backward))
    rows, columns = linear_sum_assignment(np.where(distance < SAME_M, distance, APART))
    both = {int(f): int(b) for f, b in zip(rows, columns, strict=True) if distance[f, b] < SAME_M}
    pairs = [Pair(person, backward[both[i]] if i in both else None) for i, person in enumerate(forward)]
    return pairs + [Pair(None, person) for i, person in enumerate(backward) if i not in both.values()]


def distance_m(one: Person3D, other: Person3D) -> float:
    """Mean over the joints that both have; inf without any."""
    apart = np.linalg.norm(one.joints_m - other.joints_m, axis=-1)
    known = np.isfinite(apart)
    return float(apart[known].mean()) if known.any() else float("inf")


def known_of(people: Sequence[Person3D]) -> Known:
    """Of the estimates of one person at one instant, by their information."""
    joints_m = np.array([each.joints_m for each in people], dtype=np.float64)
    sigma_m = np.array([each.sigma_m for each in people], dtype=np.float64)
    there = np.isfinite(joints_m).all(-1) & (sigma_m > 0)  # NaN compares false
    information = np.where(there, sigma_m, np.inf) ** -2
    total = information.sum(0)
    known = total > 0
    weight = information / np.where(known, total, 1.0)
    together_m = (weight[..., None] * np.where(there[..., None], joints_m, 0.0)).sum(0)
    best = np.where(there, sigma_m, np.inf).argmin(0), np.arange(joints_m.shape[1])
    origin = np.array([each.origin for each in people])
    least = np.where(origin == Origin.ABSENT, 255, origin).min(0)
    alike = np.where(least >= Origin.LIFTED, ALIKE_LIFTED, ALIKE)
    views = np.bitwise_or.reduce(np.array([each.views for each in people]), axis=0)
    return Known(
        joints_m=np.where(known[:, None], together_m, np.nan),
        sigma_m=np.where(known, 1.0 / np.sqrt(np.where(known, total, 1.0)), np.nan),
        alike_m=np.where(known, alike * sigma_m[best], 0.0),
        reprojection_px=np.array([each.reprojection_px for each in people])[best],
        views=np.where(known, views, 0).astype(np.uint32),
        origin=np.where(known, least, Origin.ABSENT).astype(np.uint8),
    )
