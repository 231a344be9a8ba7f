"""What figures say of a calibration: good, usable or redo, why, and what to do next."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from calibration.limits import (
    BOARD_P95_PX,
    BOARD_PX,
    CHECKS,
    CULPRIT_SHARE,
    NOWHERE,
    RANK,
    SPACING_SHARE,
    STATURE_M,
    Limit,
    Verdict,
)

SHARPER = (
    "fix the cameras so that nothing can move them, switch autofocus off, add light so that the board is sharp while "
    "it moves, keep the board stiff and flat, and calibrate again: {names}"
)
ELSE = (
    "the calibration is of another set-up, or most cameras were moved since: give the one that was made for this, or "
    "calibrate again"
)
SOME_PICTURES = (
    "some of its pictures do not fit: see in the report where; carry the board more slowly and turned towards the "
    "cameras, add light, let nothing cover its rim or mirror it, and record again: {names}"
)
MANY = 3  # cameras of which the same is said
UNITS_M = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254, "feet": 0.3048}


@dataclass(frozen=True)
class CameraEvidence:
    """What is known of one camera; None where nothing is.

    px: median reprojection error on frames left out of the fit, at 1000 px focal length; NaN when it saw nothing
    together with others. px_p95: what 95 of 100 are below, likewise, of boards. frames: with a board. instants: seen
    together with another camera. coverage_share: of its picture. angle_deg: median of the widest angle to another
    camera at what both saw. px_without: of the other cameras when this one is left out.
    """

    px: float | None = None
    px_p95: float | None = None
    frames: int | None = None
    instants: int | None = None
    coverage_share: float | None = None
    angle_deg: float | None = None
    sigma_aim_mm: float | None = None
    px_without: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Of the whole. px: as of a camera. pairs: instants that two cameras share.

    what: was looked at, in words. px_advice: against a large px, with {names}.
    """

    cameras: Mapping[str, CameraEvidence]
    px: float | None = None
    px_limit: Limit = BOARD_PX
    square_mm: float | None = None
    spacing_mm: float | None = None
    pairs: Mapping[tuple[str, str], int] | None = None
    stature_m: float | None = None
    what: str = "the board"
    px_advice: str = SHARPER


@dataclass(frozen=True)
class Finding:
    """One thing found. advice: with {names} where the cameras are to be named that it holds for.

    explains_px: it is why pixels do not fit, so that no camera is blamed for them.
    """

    verdict: Verdict
    reason: str
    advice: str
    name: str = ""
    explains_px: bool = False


@dataclass(frozen=True)
class Judged:
    """reasons: what speaks against it, with values. advice: what to do. The worst comes first."""

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


def judged(evidence: Evidence, found: Iterable[Finding] = ()) -> Judgement:
    """The whole is as bad as its worst camera, its scale, and what else was `found`. A finding may name a camera."""
    found = list(found)
    explained = any(finding.explains_px for finding in found)
    wrong = None if explained else culprit(evidence)
    islands = _islands(evidence)
    cameras = {
        name: [
            *(finding for finding in found if finding.name == name),
            *_camera(name, camera, evidence, wrong, name in islands, explained),
        ]
        for name, camera in evidence.cameras.items()
    }
    of_all = [finding for finding in found if finding.name not in cameras]
    if not found and wrong is None and _fits_nowhere(evidence):
        of_all.append(
            Finding("redo", f"nothing fits: what cameras see lies {_px(evidence.px)} from where it should", ELSE)
        )
    of_all += _scale(evidence)
    whole = _summed([*of_all, *(finding for findings in cameras.values() for finding in findings)])
    each = {name: _summed(findings) for name, findings in cameras.items()}
    if whole.verdict == "unknown" and any(camera.verdict != "unknown" for camera in each.values()):
        whole = Judged("usable", whole.reasons, whole.advice)
    return Judgement(whole, each)


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


def _camera(
    name: str, camera: CameraEvidence, evidence: Evidence, wrong: str | None, alone: bool, explained: bool
) -> list[Finding]:
    what = evidence.what
    if alone:
        told = f"{name} never sees {what} together with the other cameras"
        todo = f"for 20 seconds, have {what} at many places where another camera sees it together with {{names}}"
        return [Finding("redo", told, todo, name)]
    if camera.px is not None and np.isnan(camera.px):
        told = f"{name} saw too little together with another camera to be judged"
        return [Finding("unknown", told, "record again, also in front of {names}", name)]
    if name == wrong:
        verdict = evidence.px_limit.verdict(max(evidence.px or 0.0, camera.px or 0.0))
        told = (
            f"{name} disagrees with all others: what it sees lies {_px(camera.px)} from where it should, and without "
            f"it the others agree to {_px(camera.px_without)}"
        )
        todo = "it was moved, or its zoom, focus or picture size was changed: calibrate it again: {names}"
        return [Finding(verdict, told, todo, name)]
    px = camera.px if wrong is None else evidence.cameras[wrong].px_without  # not blamed for the one that is wrong
    if explained or (_fits_nowhere(evidence) and wrong is None):
        verdict = "good" if camera.px is None else evidence.px_limit.verdict(camera.px)
        return [Finding(verdict, "", "", name), *_checked(name, camera, what)]
    tail = _tail(name, camera, evidence) if wrong is None else []
    return [*_pixels(name, px, evidence), *tail, *_checked(name, camera, what)]


def _pixels(name: str, px: float | None, evidence: Evidence) -> list[Finding]:
    if px is None or np.isnan(px):
        return []
    limit = evidence.px_limit
    told = (
        f"{name}: what it sees lies {_px(px)} from where it should "
        f"(at a focal length of 1000 px; good: up to {limit.good:.2g} px)"
    )
    return [Finding(limit.verdict(px), told, evidence.px_advice, name)]


def _tail(name: str, camera: CameraEvidence, evidence: Evidence) -> list[Finding]:
    """What half of the views hide; of views that are poor all over, nothing more is said."""
    if camera.px is None or camera.px_p95 is None or not np.isfinite(camera.px) or not np.isfinite(camera.px_p95):
        return []
    verdict = BOARD_P95_PX.verdict(camera.px_p95)
    if RANK[verdict] <= RANK[evidence.px_limit.verdict(camera.px)]:
        return []
    told = (
        f"{name}: half of what it sees lies within {_px(camera.px)} of where it should, but 5 of 100 beyond "
        f"{_px(camera.px_p95)} (at a focal length of 1000 px; good: up to {BOARD_P95_PX.good:g} px)"
    )
    return [Finding(verdict, told, SOME_PICTURES, name)]


def _checked(name: str, camera: CameraEvidence, what: str) -> list[Finding]:
    """The table's lines of one camera."""
    parts = []
    for check in CHECKS:
        value = getattr(camera, check.figure)
        if value is not None and np.isfinite(value):
            told = check.said.format(name=name, what=what, value=value, good=check.limit.good)
            todo = check.advice.format(what=what, names="{names}")
            parts.append(Finding(check.limit.verdict(value), told, todo, name))
    return parts


def _scale(evidence: Evidence) -> list[Finding]:
    """Is a metre a metre? Where nothing fits, nothing tells."""
    if evidence.px is not None and evidence.px_limit.verdict(evidence.px) == "redo":
        return []
    parts = []
    if evidence.square_mm is not None and evidence.spacing_mm is not None and np.isfinite(evidence.spacing_mm):
        ratio = evidence.spacing_mm / evidence.square_mm
        told = f"the board's squares come out at {evidence.spacing_mm:.2f} mm instead of {evidence.square_mm:.2f}"
        parts.append(Finding(SPACING_SHARE.verdict(abs(ratio - 1)), told, _scale_advice(ratio)))
    if evidence.stature_m is not None and np.isfinite(evidence.stature_m):
        low, high = STATURE_M
        if not low <= evidence.stature_m <= high:
            told = f"the person would be {evidence.stature_m:.3g} m tall"
            parts.append(Finding("redo", told, _unit_advice(1.7 / evidence.stature_m)))
    return parts


def _fits_nowhere(evidence: Evidence) -> bool:
    return evidence.px is not None and evidence.px > NOWHERE * evidence.px_limit.usable


def _scale_advice(ratio: float) -> str:
    if 1 / 1.5 < ratio < 1.5:
        return "measure the printed squares with a ruler over several of them, and give that size"
    return f"another board, or another size of its squares, was used for this calibration; {_unit_advice(1 / ratio)}"


def _unit_advice(factor: float) -> str:
    """factor: what lengths would have to be multiplied by."""
    for unit, size in UNITS_M.items():
        if 0.75 < factor / size < 1.33:
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


def _summed(findings: list[Finding]) -> Judged:
    """The worst verdict, with reasons and advice of all that are not good; what holds for several is said once."""
    bad = sorted((finding for finding in findings if finding.verdict != "good"), key=lambda part: -RANK[part.verdict])
    if not bad:
        return Judged("good")
    alike: dict[tuple[Verdict, str, str], list[Finding]] = {}
    advice: dict[str, list[str]] = {}
    for finding in bad:
        alike.setdefault((finding.verdict, finding.advice, _said(finding)), []).append(finding)
        names = advice.setdefault(finding.advice, [])
        if finding.name not in names:
            names.append(finding.name)
    reasons = dict.fromkeys(reason for group in alike.values() for reason in _reasons(group))
    lines = (text.replace("{names}", _joined(names)) for text, names in advice.items() if text)
    return Judged(bad[0].verdict, tuple(reasons), tuple(lines))


def _said(finding: Finding) -> str:
    """The reason without its camera and values: what is alike of several cameras."""
    words = re.sub(rf"\b{re.escape(finding.name)}\b", "", finding.reason) if finding.name else finding.reason
    return re.sub(r"\d+(\.\d+)?", "#", words)


def _reasons(alike: list[Finding]) -> list[str]:
    """Of many that are alike, the first in full."""
    if len(alike) < MANY:
        return [finding.reason for finding in alike if finding.reason]
    others = [name for name in dict.fromkeys(finding.name for finding in alike[1:]) if name != alike[0].name]
    return [f"{alike[0].reason}; likewise {_joined(others)}" if others else alike[0].reason] if alike[0].reason else []


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _px(value: float | None) -> str:
    return "?" if value is None or np.isnan(value) else f"{value:.1f} px" if value >= 0.95 else f"{value:.2f} px"
