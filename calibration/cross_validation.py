"""How well rigs fit frames that took no part in their fit, and whether the cameras' clocks are worth correcting.

Instants are cut into blocks of time, since neighbours in time say nearly the same; each fold leaves every fifth block
out, solves the rest, and is held against what it left out. So every instant is left out once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard
from calibration.board_path import follow
from calibration.errors import CalibrationError
from calibration.measure import Measures, measured, told_of
from calibration.rig import CameraRig
from calibration.rig_solution import RigOptions, RigSolution, focal_of, solve_rig
from calibration.sightings import BoardSightings

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Progress = Callable[[str, float], None]

FOLDS, BLOCKS = 5, 25
MOST_INSTANTS = 500  # in all folds: more tell nothing new of the error, and cost a solution each
BETTER = 0.95  # of the error without, that correcting the clocks must leave at most


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Each instant measured with a fit that it took no part in, its corners brought to one moment.

    instants: (T,) which were. measures: arrays over all T instants, NaN at the others. plain: with the frames of an
    instant taken as simultaneous. offsets: whether the fits corrected clocks. px_p50_other: with the other choice, NaN
    where it was not tried. faults: why folds had no solution. rigs, offsets_s: of each fold that had one, (C,) each.
    """

    instants: Bools
    measures: Measures
    plain: Measures
    offsets: bool
    px_p50_other: float
    faults: tuple[str, ...]
    rigs: tuple[CameraRig, ...]
    offsets_s: tuple[Array, ...]

    def sigma_offset_s(self, offset_s: Array) -> Array:
        """(C,) one standard deviation of offsets (C,) found from all frames, by the folds' own (jackknife)."""
        if len(self.offsets_s) < 2:
            return np.zeros_like(offset_s)
        off_s = np.stack(self.offsets_s) - offset_s
        return np.asarray(np.sqrt((len(off_s) - 1) * np.mean(np.square(off_s), axis=0)))


def cross_validated(
    board: CharucoBoard,
    sightings: BoardSightings,
    options: RigOptions,
    may_correct_clocks: bool = True,
    progress: Progress = lambda _what, _share: None,
) -> HeldOut | None:
    """Held-out measures with the better of corrected and uncorrected clocks; None when no fold has a solution."""
    fold = _folds(sightings.frame.shape[1])
    has_times = bool(np.isfinite(sightings.captured_s).any())
    modes = (False, True) if may_correct_clocks and has_times else (options.offsets,)
    timed = {mode: _Table(board, sightings) for mode in modes}
    plain = {mode: _Table(board, sightings) for mode in modes}
    rigs: dict[bool, list[CameraRig]] = {mode: [] for mode in modes}
    clocks: dict[bool, list[Array]] = {mode: [] for mode in modes}
    faults = []
    for f in range(FOLDS):
        progress("frames left out", f / FOLDS)
        start = options
        for mode in modes:
            try:
                solution = solve_rig(board, sightings.at((fold >= 0) & (fold != f)), replace(start, offsets=mode))
            except CalibrationError as error:
                faults.append(str(error))
                break
            start = _started(options, solution)
            path = follow(solution.rig, board, sightings.at(fold >= 0), solution.offset_s)
            shift_px = np.zeros(sightings.corners_px.shape)
            shift_px[:, fold >= 0] = path.shift_px
            rigs[mode].append(solution.rig)
            clocks[mode].append(solution.offset_s)
            timed[mode].fill(solution.rig, fold == f, shift_px[:, fold == f])
            plain[mode].fill(solution.rig, fold == f, None)
    px = {mode: table.told().whole.px_p50 for mode, table in timed.items() if table.instants.any()}
    if not px:
        return None
    offsets = True in px and not px.get(False, np.inf) * BETTER < px[True]
    return HeldOut(
        instants=timed[offsets].instants,
        measures=timed[offsets].told(),
        plain=plain[offsets].told(),
        offsets=offsets,
        px_p50_other=px.get(not offsets, np.nan),
        faults=tuple(dict.fromkeys(faults)),
        rigs=tuple(rigs[offsets]),
        offsets_s=tuple(clocks[offsets]),
    )


class _Table:
    """Points and residuals of all instants, fold by fold."""

    def __init__(self, board: CharucoBoard, sightings: BoardSightings) -> None:
        C, T, K, _ = sightings.corners_px.shape
        self._board, self._sightings = board, sightings
        self._points_m, self._residual_px = np.full((T, K, 3), np.nan), np.full((C, T, K, 2), np.nan)
        self.instants = np.zeros(T, dtype=bool)

    def fill(self, rig: CameraRig, instants: Bools, shift_px: Array | None) -> None:
        found = measured(rig, self._board, self._sightings.at(instants), shift_px)
        self._points_m[instants], self._residual_px[:, instants] = found.points_m, found.residual_px
        self.instants |= instants
        self._rig = rig

    def told(self) -> Measures:
        return told_of(self._rig, self._board, self._points_m, self._residual_px)


def _folds(T: int) -> npt.NDArray[np.int64]:
    """(T,) the fold of each instant, -1 for those that are passed over because there are many."""
    fold = np.full(T, -1)
    few = np.linspace(0, T - 1, min(T, MOST_INSTANTS)).round().astype(int)
    fold[few] = (np.arange(len(few)) * BLOCKS // max(len(few), 1)) % FOLDS
    return fold


def _started(options: RigOptions, solution: RigSolution) -> RigOptions:
    """The same task, begun where the other choice of clocks has ended, on the same frames."""
    if options.intrinsics and not options.refine:
        return options
    return replace(options, intrinsics=solution.intrinsics, refine=True, focal=focal_of(solution.lenses))
