"""The table of motions: walk, turn, reach, crouch, and demo, a seamless loop of all of them."""

from __future__ import annotations

import numpy as np

from lifter.synthetic_body import Floats
from lifter.synthetic_motions import HANGING, Keys, Motion, alternating_steps, keyed_root

# Wrist targets: forward, outward, up, in arm lengths from the shoulder.
FRONT = (0.93, -0.05, 0.05)
ASIDE = (0.18, 0.92, 0.05)
OVERHEAD = (0.30, 0.22, 0.86)
ACROSS = (0.72, -0.42, 0.0)
LOW_FRONT = (0.66, 0.05, -0.60)
ON_KNEE = (0.62, 0.06, -0.42)
WAVE_IN = (0.30, 0.42, 0.62)
WAVE_OUT = (0.26, 0.72, 0.46)

CIRCLE_RADIUS_M = 0.85


def _circle(period_s: float, radius_m: float) -> Motion:
    def root(t_s: Floats) -> Floats:
        angle = 2 * np.pi * t_s / period_s
        return np.stack([radius_m * np.sin(angle), -radius_m * np.cos(angle), angle], axis=-1)

    steps = alternating_steps(0, 0.05, count=12, step_s=period_s / 12)
    return Motion("walk", period_s, root, steps, {"side_lean": ((0.0, -0.03), (period_s / 2, -0.03))})


def _turn() -> Motion:
    period_s = 8.0
    path = ((0.4, (0.0, 0.0, 0.0)), (3.6, (0.0, 0.0, np.pi)), (4.4, (0.0, 0.0, np.pi)), (7.6, (0.0, 0.0, 2 * np.pi)))
    steps = alternating_steps(0, 0.5, 7, 0.44) + alternating_steps(0, 4.5, 7, 0.44)
    return Motion("turn", period_s, keyed_root(path, period_s), steps)


def _reach() -> Motion:
    period_s = 10.0
    left: Keys = (
        (0.0, HANGING), (0.9, FRONT), (1.3, FRONT), (2.3, OVERHEAD), (2.7, OVERHEAD), (3.7, ASIDE), (4.4, ASIDE),
        (5.4, HANGING), (6.6, HANGING), (7.6, LOW_FRONT), (8.2, ACROSS), (8.6, ACROSS), (9.6, HANGING),
    )  # fmt: skip
    right: Keys = (
        (0.0, HANGING), (1.2, HANGING), (2.2, ASIDE), (2.8, ASIDE), (3.9, OVERHEAD), (4.3, OVERHEAD), (5.2, FRONT),
        (5.7, FRONT), (6.5, ACROSS), (7.0, ACROSS), (7.9, LOW_FRONT), (8.9, HANGING),
    )  # fmt: skip
    gestures = {
        "left_wrist": left,
        "right_wrist": right,
        "twist": ((0.0, 0.0), (1.0, -0.18), (2.4, 0.1), (4.0, 0.0), (5.4, 0.2), (6.7, 0.35), (8.3, -0.35), (9.6, 0.0)),
        "lean": ((0.0, 0.0), (6.2, 0.0), (7.6, 0.22), (8.4, 0.12), (9.6, 0.0)),
        "head_pitch": ((0.0, 0.0), (2.4, -0.2), (4.2, -0.15), (5.4, 0.0), (7.7, 0.15), (9.6, 0.0)),
    }
    return Motion("reach", period_s, _stand_still, (), gestures)


def _stand_still(t_s: Floats) -> Floats:
    return np.zeros((len(t_s), 3))


def _crouch() -> Motion:
    period_s = 6.0
    gestures = {
        "drop": ((0.0, 0.0), (0.3, 0.0), (1.9, 0.34), (2.5, 0.34), (3.9, 0.0), (4.2, 0.0), (4.9, 0.16), (5.2, 0.16)),
        "shift": ((0.3, 0.0), (1.9, -0.10), (2.5, -0.10), (3.9, 0.0), (4.2, 0.0), (4.9, -0.05), (5.2, -0.05)),
        "lean": ((0.3, 0.0), (1.9, 0.62), (2.5, 0.62), (3.9, 0.0), (4.2, 0.0), (4.9, 0.3), (5.2, 0.3)),
        "left_wrist": ((0.3, HANGING), (1.9, ON_KNEE), (2.5, ON_KNEE), (3.9, HANGING)),
        "right_wrist": ((0.3, HANGING), (1.9, LOW_FRONT), (2.5, LOW_FRONT), (3.9, HANGING)),
    }
    return Motion("crouch", period_s, _stand_still, (), gestures)


def _demo() -> Motion:
    """Walk forward, turn round, reach, crouch, walk back, turn, wave: 14 s."""
    period_s = 14.0
    far, near, half_turn = 0.45, -0.45, np.pi
    path = ((0.2, (near, 0.0, 0.0)), (2.2, (far, 0.0, 0.0)), (2.5, (far, 0.0, 0.0)), (4.3, (far, 0.0, half_turn)),
            (9.3, (far, 0.0, half_turn)), (11.3, (near, 0.0, half_turn)), (11.6, (near, 0.0, half_turn)),
            (13.4, (near, 0.0, 2 * half_turn)))  # fmt: skip
    steps = (*alternating_steps(1, 0.3, 5, 0.43), *alternating_steps(0, 2.6, 5, 0.38),
             *alternating_steps(1, 9.4, 5, 0.43), *alternating_steps(0, 11.7, 5, 0.38))  # fmt: skip
    left: Keys = (
        (0.0, HANGING), (4.0, HANGING), (5.1, OVERHEAD), (5.3, OVERHEAD), (6.2, FRONT), (6.4, FRONT), (7.3, ON_KNEE),
        (8.2, ON_KNEE), (9.2, HANGING),
    )  # fmt: skip
    right: Keys = (
        (0.0, HANGING), (4.4, HANGING), (5.2, ASIDE), (5.6, ASIDE), (6.6, HANGING), (7.0, HANGING), (7.7, LOW_FRONT),
        (8.1, LOW_FRONT), (9.2, HANGING), (11.2, HANGING), (12.15, WAVE_OUT), (12.5, WAVE_IN), (12.85, WAVE_OUT),
        (13.15, WAVE_IN),
    )  # fmt: skip
    gestures = {
        "left_wrist": left,
        "right_wrist": right,
        "drop": ((6.5, 0.0), (7.7, 0.30), (8.1, 0.30), (9.2, 0.0)),
        "shift": ((6.5, 0.0), (7.7, -0.10), (8.1, -0.10), (9.2, 0.0)),
        "lean": ((6.5, 0.0), (7.7, 0.58), (8.1, 0.58), (9.2, 0.0)),
        "twist": ((4.3, 0.0), (5.1, -0.12), (6.2, -0.2), (7.0, 0.0)),
        "head_pitch": ((4.3, 0.0), (5.1, -0.15), (6.2, 0.0), (13.9, 0.0)),
    }
    return Motion("demo", period_s, keyed_root(path, period_s), steps, gestures)


MOTIONS: dict[str, Motion] = {m.name: m for m in (_demo(), _circle(6.0, CIRCLE_RADIUS_M), _turn(), _reach(), _crouch())}
