"""Loopable motions as functions of time: a path of the root, a list of steps, and keyed gestures.

A foot stands still between two steps, at the place where the root is in the middle of that stance; so feet are planted
by construction. Everything in between follows minimum-jerk curves, whose speed and acceleration are continuous.
Lengths are metres at the reference stature, angles radians, times seconds within the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lifter.synthetic_body import SIDES, Body, Floats, Posture

STANCE_HALF_WIDTH_M = 0.092
TOE_AHEAD_OF_ROOT_M = 0.135  # so that the ankle stands below the hip
STEP_HEIGHT_M = 0.07
ROLL_S = 0.16  # the heel lifts this long before the foot leaves the floor
ROLL_ANGLE = 0.55
TOE_OUT = 0.1
HANGING = (0.06, 0.15, -0.955)  # a wrist beside the body: forward, outward, up, in arm lengths from the shoulder
FOLD = 0.09  # how much shorter, per radian, the arm is halfway
LOOK_AHEAD_S = 0.25  # the head turns before the body does

Keys = tuple[tuple[float, object], ...]  # ((time, value), ...): value a number or a 3-tuple


@dataclass(frozen=True)
class Step:
    """One swing of a foot (0 left, 1 right)."""

    foot: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Motion:
    """A loop. `root(t (T,)) -> (T,3)` gives x, y, yaw, periodic up to whole turns; `gestures` name -> keys."""

    name: str
    period_s: float
    root: Callable[[Floats], Floats]
    steps: tuple[Step, ...] = ()
    gestures: Mapping[str, Keys] = field(default_factory=dict)
    arm_swing: float = 0.75  # wrist excursion per distance between the feet


def minimum_jerk(u: Floats) -> Floats:
    """0 to 1 with zero speed and acceleration at both ends; constant outside."""
    v = np.clip(u, 0.0, 1.0)
    smooth: Floats = v * v * v * (10.0 + v * (6.0 * v - 15.0))
    return smooth


def keyed(keys: Keys, t_s: Floats, period_s: float) -> Floats:
    """Keys joined by minimum-jerk moves, closing the loop: numbers -> (T,), wrist targets (3,) -> (T,3)."""
    at = np.array([k for k, _ in keys])
    values = np.array([v for _, v in keys], dtype=np.float64)
    at = np.append(at, at[0] + period_s)
    values = np.concatenate([values, values[:1]])
    t = at[0] + np.mod(t_s - at[0], period_s)
    i = np.clip(np.searchsorted(at, t, side="right") - 1, 0, len(at) - 2)
    share = minimum_jerk((t - at[i]) / (at[i + 1] - at[i]))
    if values.ndim == 2:
        return _arc(values[i], values[i + 1], share[:, None])
    return values[i] + (values[i + 1] - values[i]) * share


def _arc(begin: Floats, end: Floats, share: Floats) -> Floats:
    """From begin to end (T,3) round the shoulder, never straight past it; the arm folds a little on a long way."""
    begin_m, end_m = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (begin, end))
    cosine = np.sum(begin * end, axis=-1, keepdims=True) / (begin_m * end_m)
    angle = np.maximum(np.arccos(np.clip(cosine, -1.0, 1.0)), 1e-6)
    direction = np.sin((1 - share) * angle) * begin / begin_m + np.sin(share * angle) * end / end_m
    fold = 1.0 - FOLD * angle * (share * (1.0 - share)) ** 2 * 16.0
    return np.asarray(direction / np.sin(angle) * (begin_m + (end_m - begin_m) * share) * fold)


def keyed_root(
    keys: tuple[tuple[float, tuple[float, float, float]], ...], period_s: float
) -> Callable[[Floats], Floats]:
    """A root path through keys (t, (x, y, yaw)); the first and last key may differ by whole turns of yaw."""
    at = np.array([k for k, _ in keys])
    values = np.array([v for _, v in keys], dtype=np.float64)

    def root(t_s: Floats) -> Floats:
        t = np.mod(t_s, period_s)
        shares = minimum_jerk((t[:, None] - at[:-1]) / np.diff(at))
        return np.asarray(values[0] + shares @ np.diff(values, axis=0))

    return root


def alternating_steps(
    first_foot: int, start_s: float, count: int, step_s: float, swing_share: float = 0.82
) -> tuple[Step, ...]:
    """`count` steps, one every step_s; each foot is in the air for swing_share of it."""
    starts = [start_s + i * step_s for i in range(count)]
    return tuple(Step((first_foot + i) % 2, s, s + swing_share * step_s) for i, s in enumerate(starts))


def posture_at(motion: Motion, t_s: npt.NDArray[np.float64], body: Body) -> Posture:
    """The posture at times t_s (T,) seconds, any real number: the motion repeats."""
    t = np.mod(np.asarray(t_s, dtype=np.float64), motion.period_s)
    scale = body.scale
    root = motion.root(t)
    feet = [_foot_at(motion, foot, t) for foot in range(2)]
    toe_m = np.stack([f[0] for f in feet], axis=1) * scale
    toe_m[:, :, 2] += body.toe_height
    stride = _stride(root, toe_m / scale)
    breath = 2 * np.pi * np.round(motion.period_s / 3.4) * t / motion.period_s
    raised = toe_m[:, 1, 2] - toe_m[:, 0, 2]  # right foot up: lean over the left one
    sideways = 0.28 * raised[:, None] * np.stack([-np.sin(root[:, 2]), np.cos(root[:, 2])], axis=-1)
    gesture = {name: keyed(keys, t, motion.period_s) for name, keys in motion.gestures.items()}
    still = np.zeros_like(t)
    look = _wrapped(motion.root(t + LOOK_AHEAD_S)[:, 2] - root[:, 2])
    return Posture(
        root_m=scale * root[:, :2] + sideways,
        yaw=root[:, 2],
        pelvis_drop_m=scale * gesture.get("drop", still),
        pelvis_shift_m=scale * gesture.get("shift", still),
        pelvis_twist=-0.18 * stride,
        lean=0.05 + gesture.get("lean", still) + 0.008 * np.sin(breath),
        side_lean=gesture.get("side_lean", still) - 0.5 * raised,
        chest_twist=gesture.get("twist", still) + 0.16 * stride,
        head_yaw=gesture.get("head_yaw", still) + 0.6 * look,
        head_pitch=gesture.get("head_pitch", still) + 0.01 * np.sin(breath),
        wrist=_wrists(motion, gesture, stride, t),
        toe_m=toe_m,
        foot_yaw=np.stack([f[1] for f in feet], axis=1),
        foot_pitch=np.stack([f[2] for f in feet], axis=1),
    )


def _wrapped(angle: Floats) -> Floats:
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi


def _stride(root: Floats, toe_m: Floats) -> Floats:
    """How far the left foot is ahead of the right one, metres (T,): arms and trunk counter it."""
    forward = np.stack([np.cos(root[:, 2]), np.sin(root[:, 2])], axis=-1)
    return np.asarray(np.sum((toe_m[:, 0, :2] - toe_m[:, 1, :2]) * forward, axis=-1))


def _wrists(motion: Motion, gesture: Mapping[str, Floats], stride: Floats, t: Floats) -> Floats:
    wrists = []
    for side, sign in SIDES:
        wrist = gesture.get(f"{side}_wrist", np.broadcast_to(np.array(HANGING), (len(t), 3)))
        hangs = np.clip(-wrist[:, 2], 0.0, 1.0) ** 2  # an arm that is busy does not swing
        swing = -sign * 0.5 * motion.arm_swing * stride * hangs
        bent = np.abs(stride) ** 2 * hangs * 0.12
        wrists.append(wrist + np.stack([swing + 0.5 * bent, 0 * t, bent + 0.35 * np.maximum(swing, 0.0) ** 2], axis=-1))
    return np.stack(wrists, axis=1)


def _plants(motion: Motion, foot: int, mid_stance_s: Floats) -> Floats:
    """Where the foot stands in the middle of its stances (S,): x, y of the toe and yaw (S,3)."""
    x, y, yaw = motion.root(np.mod(mid_stance_s, motion.period_s)).T
    sign = SIDES[foot][1]
    ahead, aside = TOE_AHEAD_OF_ROOT_M, sign * STANCE_HALF_WIDTH_M
    toe_x = x + ahead * np.cos(yaw) - aside * np.sin(yaw)
    toe_y = y + ahead * np.sin(yaw) + aside * np.cos(yaw)
    return np.stack([toe_x, toe_y, yaw + sign * TOE_OUT], axis=-1)


def _foot_at(motion: Motion, foot: int, t: Floats) -> tuple[Floats, Floats, Floats]:
    """(toe (T,3) above its resting height, yaw (T,), pitch (T,)) of one foot."""
    steps = [step for step in motion.steps if step.foot == foot] or [Step(foot, 0.0, 0.5 * motion.period_s)]
    moves = bool(motion.steps)  # who never steps is taken through a step on the spot, without lifting the foot
    start, end = np.array([s.start_s for s in steps]), np.array([s.end_s for s in steps])
    stands_since = np.append(end[-1] - motion.period_s, end[:-1])
    begin_plant = _plants(motion, foot, 0.5 * (stands_since + start))
    move = np.roll(begin_plant, -1, axis=0) - begin_plant
    move[:, 2] = _wrapped(move[:, 2])
    length_m = np.hypot(move[:, 0], move[:, 1])

    since_first = np.mod(t - start[0], motion.period_s) + start[0]
    i = np.searchsorted(start, since_first, side="right") - 1
    u = np.clip((since_first - start[i]) / (end[i] - start[i]), 0.0, 1.0)
    place = begin_plant[i] + minimum_jerk(u)[:, None] * move[i]
    lift = moves * STEP_HEIGHT_M * _bump(u)
    # The heel lifts before the foot does, more for a longer step, and is down again when the foot lands.
    rolling = np.mod(t[:, None] - (start - ROLL_S), motion.period_s) / (end - start + ROLL_S)
    pitch = moves * ROLL_ANGLE * _bump(np.clip(rolling, 0.0, 1.0)) @ np.clip(length_m / 0.8, 0.15, 1.0)
    return np.concatenate([place[:, :2], lift[:, None]], axis=-1), place[:, 2], pitch


def _bump(u: Floats) -> Floats:
    """0 at 0 and 1, 1 in the middle, smooth to the second derivative."""
    return np.asarray(64.0 * (u * (1.0 - u)) ** 3)
