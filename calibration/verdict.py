"""What figures say of a calibration: good, usable or redo, why, and what to do next. In words for a newcomer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

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


# At 1000 px focal length and 3 m, 1 px is 3 mm. Detectors of joints are about 3 px off: below a third of that a
# calibration adds nothing to their error, above it the calibration is the larger part (0.2 degrees, which is 3.5 px,
# make 12.7 mm of triangulation error 21.4 mm).
BOARD_PX = Limit(1.0, 3.0)
# Held against people the detector's own noise and its view-dependent idea of a joint come on top. Refined real rigs
# reach 4 to 8 px, rigs that are known to be wrong 12.
PEOPLE_PX = Limit(8.0, 14.0)
SPACING_SHARE = Limit(0.005, 0.02)  # 0.5 % of a person of 1.75 m is 9 mm, as a ruler held to the board may err; 2 % 35
STATURE_M = (1.0, 2.2)  # of somebody who stands upright in the room: outside, the unit or the scale is wrong

CULPRIT_SHARE = 0.5  # without a camera that is wrong, the others agree at least so much better


@dataclass(frozen=True)
class Check:
    """A figure of a camera (a field of CameraEvidence), its limit, what is said of it, and what is to be done."""

    figure: str
    limit: Limit
    said: str
    advice: str


CHECKS = (
    Check(  # Zhang (2000), figure 3: errors fall until about 10 views; 5 fix the nine numbers of a lens, hardly more
        "frames",
        Limit(15, 5, more_is_better=True),
        "{name} saw the board in {value:.0f} frames (good: from {good:g})",
        "show the board longer to {name}",
    ),
    Check(  # each fixes the camera's pose once, 15 average what is wrong with one
        "instants",
        Limit(15, 5, more_is_better=True),
        "{name} saw the board at {value:.0f} moments together with another camera (good: from {good:g})",
        "show the board longer where {name} and another camera see it at once",
    ),
    Check(  # a lens is known where something was seen; too little alone never makes it useless
        "coverage_share",
        Limit(0.4, 0.0, more_is_better=True),
        "{name} saw the board in {value:.0%} of its picture (good: from {good:.0%})",
        "carry the board through the whole picture of {name}, also along its borders and into its corners",
    ),
    Check(  # depth errs by 1 / sin of it: 3 times what the pixels are worth, 7 times
        "angle_deg",
        Limit(20.0, 8.0, more_is_better=True),
        "{name} looks from nearly the same side as the others, {value:.0f} degrees apart (good: from {good:g})",
        "move {name} farther from the other cameras: depth is known from the angle between them",
    ),
    Check(  # 5 mm at 3 m are 1.7 px
        "sigma_position_mm",
        Limit(5.0, 20.0),
        "the place of {name} is known to {value:.1f} mm (good: up to {good:g})",
        "bring the board nearer to {name} and tilt it more",
    ),
    Check(  # 1.7 px and 5 px
        "sigma_rotation_deg",
        Limit(0.1, 0.3),
        "the direction of {name} is known to {value:.2f} degrees (good: up to {good:g})",
        "bring the board nearer to {name} and tilt it more",
    ),
)


@dataclass(frozen=True)
class CameraEvidence:
    """What is known of one camera; None where nothing is.

    px: median reprojection error on frames left out of the fit, at 1000 px focal length; NaN when it saw nothing
    together with others. frames: with a board. instants: seen together with another camera. coverage_share: of its
    picture. angle_deg: median of the widest angle to another camera at what both saw. px_without: of the other cameras
    when this one is left out.
    """

    px: float | None = None
    frames: int | None = None
    instants: int | None = None
    coverage_share: float | None = None
    angle_deg: float | None = None
    sigma_position_mm: float | None = None
    sigma_rotation_deg: float | None = None
    px_without: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Of the whole. px: as of a camera. pairs: instants that two cameras share, by their names."""

    cameras: Mapping[str, CameraEvidence]
    px: float | None = None
    px_limit: Limit = BOARD_PX
    square_mm: float | None = None
    spacing_mm: float | None = None
    pairs: Mapping[tuple[str, str], int] | None = None
    stature_m: float | None = None


@dataclass(frozen=True)
class Judged:
    """reasons: what speaks against it, with values. advice: what to do, the most useful first."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """Of the whole, and of each camera."""

    whole: Judged
    cameras: Mapping[str, Judged]

    @property
    def verdict(self) -> Verdict:
        return self.whole.verdict


def judged(evidence: Evidence, found: tuple[Judged, ...] = ()) -> Judgement:
    """The whole is as bad as its worst camera, its scale, and what else was `found`."""
    wrong = culprit(evidence)
    islands = _islands(evidence)
    cameras = {
        name: _camera(name, camera, evidence, wrong, name in islands) for name, camera in evidence.cameras.items()
    }
    whole = _worst([*found, *_scale(evidence), *cameras.values()])
    if whole.verdict == "unknown" and any(camera.verdict != "unknown" for camera in cameras.values()):
        whole = Judged("usable", whole.reasons, whole.advice)
    return Judgement(whole, cameras)


def culprit(evidence: Evidence) -> str | None:
    """The one camera without which the others agree far better; None when all agree, or no single one is to blame."""
    without = {
        name: camera.px_without
        for name, camera in evidence.cameras.items()
        if camera.px_without is not None and np.isfinite(camera.px_without)
    }
    if len(without) < 3 or evidence.px is None or evidence.px_limit.verdict(evidence.px) == "good":
        return None
    first, second = sorted(without, key=lambda name: without[name])[:2]
    clearly = without[first] <= CULPRIT_SHARE * min(without[second], evidence.px)
    return first if clearly else None


def _camera(name: str, camera: CameraEvidence, evidence: Evidence, wrong: str | None, alone: bool) -> Judged:
    if alone:
        return Judged(
            "redo",
            (f"{name} never sees the board together with the other cameras",),
            (f"hold the board where {name} and another camera both see it, at many places, for 20 seconds",),
        )
    if camera.px is not None and np.isnan(camera.px):
        return Judged(
            "unknown", (f"{name} saw nothing together with another camera",), (f"record again, in front of {name} too",)
        )
    if name == wrong:
        return Judged(
            evidence.px_limit.verdict(max(evidence.px or 0.0, camera.px or 0.0)),
            (
                f"{name} disagrees with all others: it is {_px(camera.px)} off, and without it the others agree to "
                f"{_px(camera.px_without)}",
            ),
            (f"{name} was moved, or its zoom, focus or picture size was changed: calibrate it again",),
        )
    return _worst([*_pixels(name, camera, evidence, wrong), *_checked(name, camera)])


def _pixels(name: str, camera: CameraEvidence, evidence: Evidence, wrong: str | None) -> list[Judged]:
    """A camera is not blamed for the one that is wrong."""
    px = camera.px if wrong is None else evidence.cameras[wrong].px_without
    if px is None:
        return []
    verdict = evidence.px_limit.verdict(px)
    return [
        Judged(
            verdict,
            (f"{name}: what it sees lies {_px(px)} from where it should (good: up to {evidence.px_limit.good:g} px)",),
            (
                f"for {name}: fix the camera so that nothing can move it, switch autofocus off, add light so that the "
                "board is sharp while it moves, hold the board stiff and flat, and calibrate again",
            ),
        )
    ]


def _checked(name: str, camera: CameraEvidence) -> list[Judged]:
    """The table's lines of one camera."""
    parts = []
    for check in CHECKS:
        value = getattr(camera, check.figure)
        if value is not None and np.isfinite(value):
            said = check.said.format(name=name, value=value, good=check.limit.good)
            parts.append(Judged(check.limit.verdict(value), (said,), (check.advice.format(name=name),)))
    return parts


def _scale(evidence: Evidence) -> list[Judged]:
    """Is a metre a metre?"""
    parts = []
    if evidence.square_mm is not None and evidence.spacing_mm is not None and np.isfinite(evidence.spacing_mm):
        ratio = evidence.spacing_mm / evidence.square_mm
        told = f"the board's squares come out at {evidence.spacing_mm:.2f} mm instead of {evidence.square_mm:.2f}"
        parts.append(Judged(SPACING_SHARE.verdict(abs(ratio - 1)), (told,), (_scale_advice(ratio),)))
    if evidence.stature_m is not None and np.isfinite(evidence.stature_m):
        low, high = STATURE_M
        if not low <= evidence.stature_m <= high:
            told = f"the person would be {evidence.stature_m:.2f} m tall"
            parts.append(Judged("redo", (told,), (_unit_advice(1.7 / evidence.stature_m),)))
    return parts


def _scale_advice(ratio: float) -> str:
    if 1 / 1.5 < ratio < 1.5:
        return "measure the printed squares with a ruler over several of them, and give that size"
    return f"another board, or another size of its squares, was used for this calibration; {_unit_advice(1 / ratio)}"


def _unit_advice(factor: float) -> str:
    """factor: what lengths would have to be multiplied by."""
    for unit, size in (("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254), ("feet", 0.3048)):
        if 0.8 < factor / size < 1.25:
            return f"the calibration seems to be in {unit}: say so in the file, or convert it to metres"
    return f"if it is right but for its scale, lengths in it have to be multiplied by {factor:.4g}"


def _islands(evidence: Evidence) -> set[str]:
    """Cameras outside the largest group that is linked by seeing the board together."""
    if evidence.pairs is None or len(evidence.cameras) < 2:
        return set()
    group = {name: {name} for name in evidence.cameras}
    for (one, other), instants in evidence.pairs.items():
        if instants > 0 and group[one] is not group[other]:
            group[one] |= group[other]
            for name in group[other]:
                group[name] = group[one]
    largest = max(group.values(), key=len)
    return set(evidence.cameras) - largest


def _worst(parts: list[Judged]) -> Judged:
    """The worst verdict, with the reasons and advice of all that are not good; what is worst comes first."""
    bad = sorted((part for part in parts if part.verdict != "good"), key=lambda part: -RANK[part.verdict])
    if not bad:
        return Judged("good")
    reasons = dict.fromkeys(reason for part in bad for reason in part.reasons)
    advice = dict.fromkeys(line for part in bad for line in part.advice)
    return Judged(bad[0].verdict, tuple(reasons), tuple(advice))


def _px(value: float | None) -> str:
    return "?" if value is None or np.isnan(value) else f"{value:.1f} px" if value >= 0.95 else f"{value:.2f} px"
