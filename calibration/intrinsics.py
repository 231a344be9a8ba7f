"""A camera's focal length, principal point and distortion from pictures of a board, starting from nothing.

The maths is the bundle adjustment of one camera (Zhang 2000) from several guesses of the focal length; which pictures
count is chosen for coverage, and pictures that do not fit (blurred, wrongly read) are left out and counted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import arrow, lens
from calibration.board import CharucoBoard
from calibration.board_bundle import INTRINSICS, N_UNKNOWNS, BoardProblem, BoardState
from calibration.coverage import chosen, coverage_share
from calibration.errors import CalibrationError
from calibration.lens import Lens
from calibration.lens_jacobian import N_INTRINSICS
from calibration.planar import board_poses
from calibration.sightings import CameraSightings

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]

LEAST_CORNERS = 6  # in a picture
LEAST_PICTURES = 5
MOST_PICTURES = 80
LEAST_MOVED = 0.02  # of the picture's width, that the board must have moved in it, or changed in size
FOCAL_GUESSES = {"pinhole": (0.45, 0.7, 1.1, 1.8), "fisheye": (0.25, 0.4, 0.6)}  # of the picture's width
TRIAL_STEPS, STEPS = 12, 60
SIGMA_PX = 0.3  # of a corner, to begin with
LEAST_SIGMA_PX = 0.1  # corners of one picture err alike, which their own residuals do not show
RAYLEIGH_MEDIAN = 1.1774  # of the length of a 2D error with unit sigma per axis
BAD_PICTURE = 4.0  # times the usual error of a picture
LEAST_BAD_PX = 0.5
OTHER_FOCAL = (0.8, 1.25)
LEAST_RISE = 10.0  # sigmas squared; of a board that is tilted it is hundreds
FOCAL = [6, 7]  # among a camera's unknowns
MOST_SIGMA_FOCAL = 0.05  # of the focal length: beyond, the pictures do not tell it

# What lenses are like, where the pictures tell little: one standard deviation.
SIGMA_CENTRE = 0.03  # of the picture's width
SIGMA_SQUARE = 0.002  # fx over fy: pixels are square
SIGMA_DISTORTION = {"pinhole": (0.3, 0.3, 0.001, 0.001, 0.1), "fisheye": (0.1, 0.1, 0.1, 0.1)}  # in OpenCV's order


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """One camera's lens: vector (12,) as lens_jacobian orders it, for pictures of size_wh."""

    camera: str
    size_wh: tuple[int, int]
    lens: Lens
    vector: Array

    @property
    def K(self) -> Array:
        fx, fy, cx, cy = self.vector[:4]
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def dist(self) -> Array:
        """As `Camera` has it: five coefficients, or the eight of the rational model, or a fisheye's four."""
        if self.lens == "fisheye":
            return self.vector[4:8]
        return self.vector[4:12] if self.vector[9:].any() else self.vector[4:9]

    def rays(self, pixels: Array) -> Array:
        """Ideal normalised coordinates (..., 2) of pixels."""
        return lens.undistort(self.lens, self.K, lens.pad_distortion(self.lens, self.dist), pixels)


@dataclass(frozen=True, eq=False)
class IntrinsicsSolution:
    """intrinsics and, of the pictures: usable (enough corners), used (chosen for coverage), dropped (did not fit).

    pictures: (used,) their rows in the sightings; residual_px: (used, K, 2), NaN where not seen. sigma_focal: of the
    focal length, as a share of it. coverage_share: of the picture, by all usable ones.
    """

    intrinsics: Intrinsics
    usable: int
    dropped: int
    pictures: I64
    residual_px: Array
    sigma_focal: float
    coverage_share: float


def solve_intrinsics(
    board: CharucoBoard, sightings: CameraSightings, lens_model: Lens = "pinhole", most: int = MOST_PICTURES
) -> IntrinsicsSolution:
    """The camera's intrinsics. Raises CalibrationError with the camera and the remedy when they cannot be told."""
    usable = usable_pictures(board, sightings)
    _refuse_standstill(sightings, usable)
    plane = board.corners_m()[:, :2]
    pictures = usable[chosen(sightings.corners_px[usable], sightings.size_wh, plane, most)]
    if not len(pictures):
        raise CalibrationError(
            f"camera {sightings.camera!r}: all corners lie outside of pictures of "
            f"{sightings.size_wh[0]}x{sightings.size_wh[1]}: they are of another size; look for the board again"
        )
    vector = _from_nothing(board, sightings, pictures, lens_model)
    kept, vector, sigma_px = _that_fit(board, sightings, pictures, lens_model, vector)
    solution, problem = _solved(board, sightings, kept, lens_model, vector, STEPS, sigma_px)
    state = solution.state
    sigma_focal = float(
        np.sqrt(arrow.covariance(problem.linearised(state))[:2, :2].diagonal().max()) / state.intrinsics[0, 0]
    )
    vector = state.intrinsics[0]
    rise = _rise(board, sightings, kept, lens_model, vector, sigma_px, solution.cost)
    _refuse_unknown(sightings, vector, sigma_focal, rise)
    return IntrinsicsSolution(
        Intrinsics(sightings.camera, sightings.size_wh, lens_model, vector),
        usable=len(usable),
        dropped=len(pictures) - len(kept),
        pictures=kept,
        residual_px=problem.residual_px(state)[0],
        sigma_focal=sigma_focal,
        coverage_share=coverage_share(sightings.corners_px[usable], sightings.size_wh),
    )


def usable_pictures(board: CharucoBoard, sightings: CameraSightings) -> I64:
    """Rows with enough corners, not all on a line. Raises CalibrationError when they are too few."""
    enough = sightings.seen.sum(1) >= min(LEAST_CORNERS, board.corner_count)
    centred = board.corners_m()[:, :2] - board.corners_m()[:, :2].mean(0)
    spread = np.array([np.linalg.matrix_rank(centred[seen] - centred[seen].mean(0), tol=1e-6) if seen.any() else 0
                       for seen in sightings.seen])  # fmt: skip
    usable = np.flatnonzero(enough & (spread == 2))
    if len(usable) < LEAST_PICTURES:
        raise CalibrationError(
            f"camera {sightings.camera!r} saw the board well (6 corners or more) in {len(usable)} of "
            f"{len(sightings.frame)} pictures; {LEAST_PICTURES} are needed and 20 are good: hold it closer, move it "
            "slowly, with light on it, and check that the board file describes the board in the picture"
        )
    return usable


def free_intrinsics(lens_model: Lens) -> Bools:
    """(12,) which of them are solved for: all that SIGMA_DISTORTION knows."""
    free = np.zeros(N_INTRINSICS, dtype=bool)
    free[: 4 + len(SIGMA_DISTORTION[lens_model])] = True
    return free


def prior_of(size_wh: tuple[int, int], lens_model: Lens) -> tuple[Array, Array]:
    """What is expected of any camera, and how surely: (12,) and (12,); inf where nothing is known."""
    width, height = size_wh
    mean, sigma = np.zeros(N_INTRINSICS), np.full(N_INTRINSICS, np.inf)
    mean[2:4] = (width - 1) / 2, (height - 1) / 2
    sigma[2:4] = SIGMA_CENTRE * width
    known = SIGMA_DISTORTION[lens_model]
    sigma[4 : 4 + len(known)] = known
    return mean, sigma


def _refuse_standstill(sightings: CameraSightings, usable: I64) -> None:
    corners = sightings.corners_px[usable]
    low, high = np.fmin.reduce(corners, axis=0), np.fmax.reduce(corners, axis=0)  # NaN only where all are
    moved_px = float(np.nanmax(np.linalg.norm(high - low, axis=-1)))
    if moved_px < LEAST_MOVED * sightings.size_wh[0]:
        raise CalibrationError(
            f"camera {sightings.camera!r}: the board is at the same place in all {len(usable)} pictures (it moved by "
            f"{moved_px:.1f} px): carry it through the picture, near and far, tilted to all sides"
        )


def _rise(
    board: CharucoBoard,
    sightings: CameraSightings,
    pictures: I64,
    lens_model: Lens,
    vector: Array,
    sigma_px: float,
    cost: float,
) -> float:
    """How much worse the pictures fit with another focal length and all else solved anew, in sigmas squared.

    Of a board that is never tilted the covariance knows the focal length well, and wrongly: its tilts are noise.
    """
    others = []
    for factor in OTHER_FOCAL:
        start = vector.copy()
        start[:2] *= factor
        others.append(_solved(board, sightings, pictures, lens_model, start, TRIAL_STEPS, sigma_px, False)[0].cost)
    return min(others) - cost


def _refuse_unknown(sightings: CameraSightings, vector: Array, sigma_focal: float, rise: float) -> None:
    width = sightings.size_wh[0]
    if not sigma_focal < MOST_SIGMA_FOCAL or rise < LEAST_RISE or not 0.1 * width < vector[0] < 20 * width:
        raise CalibrationError(
            f"camera {sightings.camera!r}: the pictures do not tell the focal length ({vector[0]:.0f} px fits hardly "
            f"better than {OTHER_FOCAL[0] * vector[0]:.0f} and {OTHER_FOCAL[1] * vector[0]:.0f}): tilt the board by "
            "30° and more to all sides, near the camera"
        )


def _from_nothing(board: CharucoBoard, sightings: CameraSightings, pictures: I64, lens_model: Lens) -> Array:
    """The best of a few steps from each guess of the focal length."""
    mean, _ = prior_of(sightings.size_wh, lens_model)
    best, least = mean, np.inf
    for guess in FOCAL_GUESSES[lens_model]:
        start = mean.copy()
        start[:2] = guess * sightings.size_wh[0]
        solution, _ = _solved(board, sightings, pictures, lens_model, start, TRIAL_STEPS)
        if solution.cost < least:
            best, least = solution.state.intrinsics[0], solution.cost
    return best


def _that_fit(
    board: CharucoBoard, sightings: CameraSightings, pictures: I64, lens_model: Lens, start: Array
) -> tuple[I64, Array, float]:
    """The pictures without those whose error is far beyond the usual (blurred, or read wrongly); intrinsics; the noise
    of a corner per axis."""
    solution, problem = _solved(board, sightings, pictures, lens_model, start, STEPS)
    off_px = np.linalg.norm(problem.residual_px(solution.state)[0], axis=-1)
    known = np.isfinite(off_px)
    typical = np.sqrt(np.where(known, np.square(off_px), 0.0).sum(1) / np.maximum(known.sum(1), 1))
    typical[~known.any(1)] = np.inf
    fits = typical <= max(BAD_PICTURE * float(np.nanmedian(typical)), LEAST_BAD_PX)
    sigma_px = max(float(np.nanmedian(off_px)) / RAYLEIGH_MEDIAN, LEAST_SIGMA_PX)
    return pictures[fits] if fits.sum() >= LEAST_PICTURES else pictures, solution.state.intrinsics[0], sigma_px


def _solved(
    board: CharucoBoard,
    sightings: CameraSightings,
    pictures: I64,
    lens_model: Lens,
    start: Array,
    steps: int,
    sigma_px: float = SIGMA_PX,
    focal_too: bool = True,
) -> tuple[arrow.Solution[BoardState], BoardProblem]:
    corners_px = sightings.corners_px[pictures]
    rays = Intrinsics(sightings.camera, sightings.size_wh, lens_model, start).rays(corners_px)
    poses, _ = board_poses(board.corners_m(), rays)
    free = np.zeros((1, N_UNKNOWNS), dtype=bool)
    free[0, INTRINSICS] = free_intrinsics(lens_model)
    free[0, FOCAL] &= focal_too
    mean, sigma = prior_of(sightings.size_wh, lens_model)
    problem = BoardProblem(
        board_m=board.corners_m(),
        corners_px=corners_px[None],
        lenses=(lens_model,),
        free=free,
        prior=mean[None],
        prior_sigma=sigma[None],
        time_s=np.zeros((1, len(pictures))),
        velocity=np.zeros((len(pictures), 6)),
        sigma_px=sigma_px,
        square_sigma=SIGMA_SQUARE,
    )
    state = BoardState(np.eye(4)[None], start[None], np.zeros(1), poses[0])
    return arrow.minimise(problem, state, iterations=steps), problem
