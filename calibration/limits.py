"""Which figures of a calibration are good, and which are still of use, with the reasons. In words for a newcomer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "usable", "redo", "unknown"]
RANK: Mapping[Verdict, int] = {"good": 0, "unknown": 1, "usable": 2, "redo": 3}


@dataclass(frozen=True)
class Limit:
    """Up to `good` (from it on, where more is better) nothing is said; beyond `usable` it must be done again."""

    good: float
    usable: float
    more_is_better: bool = False

    def verdict(self, value: float) -> Verdict:
        sign = -1.0 if self.more_is_better else 1.0
        if sign * value <= sign * self.good:
            return "good"
        return "usable" if sign * value <= sign * self.usable else "redo"

    def times(self, factor: float) -> "Limit":
        return Limit(self.good * factor, self.usable * factor, self.more_is_better)


@dataclass(frozen=True)
class Check:
    """A figure of a camera, its limit, what is said of it, and what is to be done. {what}: the board, the person."""

    figure: str
    limit: Limit
    said: str
    advice: str


# At 1000 px focal length and 3 m, 1 px is 3 mm. Detectors of joints are about 3 px off: below a third of that a
# calibration adds nothing to their error, above it the calibration is the larger part (0.2 degrees, which is 3.5 px,
# make 12.7 mm of triangulation error 21.4 mm).
BOARD_PX = Limit(1.0, 3.0)
# Of recordings that were fine, 95 of 100 views are below 3 to 5 times the median (blur, the motion between frames, lens
# borders). Beyond five times the median's limits, some pictures were misread, which a median alone hides.
BOARD_P95_PX = BOARD_PX.times(5.0)
# Held against people, what counts is how far beside the joint a line of sight passes: detectors see joints at the
# body's surface, not inside, and miss by 10 to 20 mm of it from near or far. Real rigs give 20 mm where they are right,
# 29 where they are known to be 10 px off. At a distance of d metres, 1 mm is 1/d px at a focal length of 1000 px.
PEOPLE_MM = Limit(25.0, 60.0)
SPACING_SHARE = Limit(0.005, 0.02)  # 0.5 % of a person of 1.75 m is 9 mm, as a ruler held to the board may err; 2 % 35
STATURE_M = (1.0, 2.2)  # of somebody who stands upright in the room: outside, the unit or the scale is wrong
NOWHERE = 10.0  # times what is still usable: it is no use to look at cameras one by one
CULPRIT_SHARE = 0.5  # without a camera that is wrong, the others agree at least so much better

CHECKS = (
    Check(  # Zhang (2000), figure 3: errors fall until about 10 views; 5 fix the nine numbers of a lens, hardly more
        "frames",
        Limit(15, 5, more_is_better=True),
        "{name} saw {what} in {value:.0f} frames (good: from {good:g})",
        "show {what} longer to {names}",
    ),
    Check(  # each fixes the camera's pose once, 15 average what is wrong with one
        "instants",
        Limit(15, 5, more_is_better=True),
        "{name} saw {what} at {value:.0f} moments together with another camera (good: from {good:g})",
        "show {what} longer where others see it together with {names}",
    ),
    Check(  # a lens is known where something was seen; too little alone never makes it useless
        "coverage_share",
        Limit(0.3, 0.0, more_is_better=True),
        "{name} saw {what} in {value:.0%} of its picture (good: from {good:.0%})",
        "carry {what} through the whole picture, also along its borders and into its corners, of {names}",
    ),
    Check(  # depth errs by 1 / sin of it: 3 times what the pixels are worth, 7 times
        "angle_deg",
        Limit(20.0, 8.0, more_is_better=True),
        "{name} looks from nearly the same side as the others, {value:.0f} degrees apart (good: from {good:g})",
        "depth is known from the angle between cameras: move farther from the others {names}",
    ),
    Check(  # what a detector of joints errs by is 10 mm and more: a fifth of that adds nothing to it
        "sigma_aim_mm",
        Limit(2.0, 10.0),
        "{name} points {value:.1f} mm beside what it sees, as far as chance can tell (good: up to {good:g})",
        "bring {what} nearer, turn and tilt it more, before {names}",
    ),
)
