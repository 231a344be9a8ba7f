import numpy as np
import numpy.typing as npt

from calibration.coverage import GRID_WH, chosen, coverage, coverage_share
from tests.board_scene import BOARD, SIZE_WH, of_camera, scene

PLANE = BOARD.corners_m()[:, :2]


def _boards(at_px: npt.NDArray[np.float64], size_px: float = 200.0) -> npt.NDArray[np.float64]:
    """Boards seen straight on, (N, K, 2), with their top-left corners at (N, 2)."""
    return at_px[:, None] + PLANE / np.ptp(PLANE) * size_px


def test_nothing_seen_covers_nothing():
    nothing = np.full((3, BOARD.corner_count, 2), np.nan)
    assert coverage(nothing, SIZE_WH).sum() == 0
    assert coverage_share(nothing, SIZE_WH) == 0.0


def test_each_picture_counts_once_in_a_cell():
    same = np.repeat(_boards(np.array([[100.0, 100.0]])), 7, axis=0)
    assert set(np.unique(coverage(same, SIZE_WH))) == {0, 7}


def test_the_map_lies_as_the_picture_does():
    """A board in the top right corner is in the first rows and last columns."""
    counts = coverage(_boards(np.array([[1050.0, 0.0]]), 180.0), SIZE_WH)
    assert counts.shape == (GRID_WH[1], GRID_WH[0])
    rows, columns = np.nonzero(counts)
    assert rows.max() < 4
    assert columns.min() > 8


def test_boards_everywhere_cover_everything():
    at = np.stack(np.meshgrid(np.arange(-50, 1200, 60.0), np.arange(-50, 700, 60.0)), axis=-1).reshape(-1, 2)
    assert coverage_share(_boards(at), SIZE_WH) == 1.0


def test_more_pictures_never_cover_less():
    boards = _boards(np.random.default_rng(0).uniform(-100, 1200, (30, 2)))
    shares = [coverage_share(boards[:n], SIZE_WH) for n in range(1, 30)]
    assert (np.diff(shares) >= 0).all()


def test_pictures_are_chosen_for_what_is_new():
    """A hundred times the same, and five others: the others are taken."""
    same = np.repeat(_boards(np.array([[100.0, 100.0]])), 100, axis=0)
    others = _boards(np.array([[400.0, 100.0], [700.0, 100.0], [1000.0, 100.0], [100.0, 500.0], [900.0, 500.0]]))
    boards = np.concatenate([same[:50], others, same[50:]])
    taken = chosen(boards, SIZE_WH, PLANE, 6)
    assert set(range(50, 55)) <= set(taken)
    assert (np.diff(taken) > 0).all()


def test_never_more_than_asked_for_nor_twice_the_same():
    seen = of_camera(scene(2, 80).seen, 0).corners_px
    for most in (1, 10, 200):
        taken = chosen(seen, SIZE_WH, PLANE, most)
        assert len(taken) <= most
        assert len(set(taken)) == len(taken)
    usable = np.isfinite(seen).all(-1).any(1)
    assert usable[chosen(seen, SIZE_WH, PLANE, 200)].all()


def test_a_part_of_the_pictures_covers_nearly_as_much_as_all():
    seen = of_camera(scene(2, 200).seen, 0).corners_px
    taken = chosen(seen, SIZE_WH, PLANE, 40)
    assert coverage_share(seen[taken], SIZE_WH) > 0.95 * coverage_share(seen, SIZE_WH)
