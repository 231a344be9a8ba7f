from dataclasses import replace

import numpy as np
import pytest

from calibration.board_path import vector_of
from calibration.cross_validation import BLOCKS, FOLDS, MOST_INSTANTS, HeldOut, _folds, cross_validated
from calibration.intrinsics import Intrinsics
from calibration.rig_solution import RigOptions
from tests.board_scene import scene


def _known(rig) -> RigOptions:
    lenses = {each.name: Intrinsics(each.name, each.size_wh, each.lens, vector_of(each)) for each in rig.cameras}
    return RigOptions(intrinsics=lenses)


def _held_out(*arguments, **options) -> HeldOut:
    found = cross_validated(*arguments, **options)
    assert found is not None
    return found


@pytest.mark.parametrize("T", [1, 7, 48, 111, 500, 2000])
def test_every_instant_is_left_out_once_with_its_neighbours(T):
    fold = _folds(T)
    taken = fold[fold >= 0]
    assert len(taken) == min(T, MOST_INSTANTS)
    if T >= BLOCKS:
        assert set(taken) == set(range(FOLDS))
        assert np.count_nonzero(np.diff(taken)) == BLOCKS - 1


def test_what_is_held_out_shows_the_noise_that_is_there():
    """0.3 px in x and y: a median distance of 1.18 times that, of which points take 3 in 4 (two views) or 6 parts."""
    made = scene(3, 36, seed=1)
    held_out = _held_out(made.board, made.seen, _known(made.rig))
    assert held_out.instants.all()
    assert 0.15 < held_out.measures.whole.px_p50 < 0.30
    assert held_out.measures.spacing.mm == pytest.approx(1000 * made.board.square_m, abs=0.1)
    assert not held_out.faults


def test_clocks_that_are_off_are_corrected_and_told():
    made = scene(3, 26, seed=2, late_s=[0.0, 0.1, 0.0])
    held_out = _held_out(made.board, made.seen, _known(made.rig))
    assert held_out.offsets
    assert held_out.measures.whole.px_p50 < 0.5 * held_out.px_p50_other
    trusted = _held_out(made.board, made.seen, _known(made.rig), may_correct_clocks=False)
    assert not trusted.offsets
    assert trusted.measures.whole.px_p50 > 2 * held_out.measures.whole.px_p50


def test_clocks_that_are_right_stay_as_they_are():
    made = scene(3, 26, seed=3)
    held_out = _held_out(made.board, made.seen, _known(made.rig))
    assert not held_out.offsets


def test_without_times_frames_are_taken_as_simultaneous():
    made = scene(3, 26, seed=4)
    nameless = replace(made.seen, captured_s=np.full_like(made.seen.captured_s, np.nan))
    held_out = _held_out(made.board, nameless, _known(made.rig))
    assert not held_out.offsets
    assert np.isnan(held_out.px_p50_other)
    assert held_out.measures.whole.px_p50 < 0.4


def test_no_fold_with_a_solution_is_none():
    made = scene(3, 26)
    corners_px = made.seen.corners_px.copy()
    corners_px[1] = np.nan
    assert cross_validated(made.board, replace(made.seen, corners_px=corners_px), RigOptions()) is None
