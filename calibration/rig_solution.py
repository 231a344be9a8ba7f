"""The whole rig from one recording of a board: cameras, lenses, clocks and the board's way through the room."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from calibration import arrow, rigid
from calibration.board import CharucoBoard
from calibration.board_bundle import INTRINSICS, N_UNKNOWNS, OFFSET, POSE, BoardProblem, BoardState
from calibration.board_path import board_motion, instant_times, vector_of
from calibration.certainty import Certainty, certainty, places
from calibration.clean_corners import clean
from calibration.errors import CalibrationError
from calibration.extrinsics import BoardViews, Pair, board_start, board_views, brought_together, chained, pairs_of
from calibration.intrinsics import (
    LEAST_SIGMA_PX,
    RAYLEIGH_MEDIAN,
    SIGMA_SQUARE,
    Intrinsics,
    IntrinsicsSolution,
    free_intrinsics,
    prior_of,
    solve_intrinsics,
)
from calibration.lens import Lens
from calibration.rig import Camera, CameraRig
from calibration.sightings import BoardSightings, CameraSightings

Array = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]

ROUNDS = 4  # of adjustment, each with the board's motion and the noise as the last one found them
STEPS = 40
FIRST_SIGMA_PX = 1.0
LEAST_SIGMA_FOCAL = 0.003  # of what one camera's pictures tell of it
LENIENCE = 4.0  # of what counts as one place, where a board is carried and clocks are off


@dataclass(frozen=True)
class RigOptions:
    """lens: of each camera, pinhole where not named. intrinsics: of cameras whose lens is known already; they stay,
    unless `refine` lets them move with the rest. offsets: let each camera's clock be off by a constant. focal: of each
    camera, mean and standard deviation in pixels, as its own pictures tell it; of lenses that are found here, it is
    found, too.
    """

    lens: Mapping[str, Lens] = field(default_factory=dict)
    intrinsics: Mapping[str, Intrinsics] = field(default_factory=dict)
    refine: bool = False
    offsets: bool = False
    focal: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RigSolution:
    """What was found; arrays follow sightings.cameras, the world is the first camera's frame.

    rig: with T_cam_world in metres. offset_s: (C,) to be added to the times of each camera's frames. Ts_world_board:
    (T, 4, 4) at instant_times; known: (T,) where the board was seen. problem, state: as solved. sigma_px: of a
    corner, per axis. lenses: how each camera's intrinsics were found, where they were. dropped: corners read wrongly.
    """

    rig: CameraRig
    offset_s: Array
    Ts_world_board: Array
    known: npt.NDArray[np.bool_]
    problem: BoardProblem
    state: BoardState
    sigma_px: float
    pairs: tuple[Pair, ...]
    lenses: Mapping[str, IntrinsicsSolution]
    dropped: int

    @cached_property
    def certainty(self) -> Certainty:
        """How surely it measures where the board was, as far as corners err at random."""
        lenses = tuple(self.intrinsics.values())
        return certainty(self.problem, self.state, lambda drawn: _rig_of(self.rig.names, lenses, drawn))

    @property
    def places_m(self) -> Array:
        """(N, 3) where the board was, world."""
        return places(self.problem, self.state)

    @cached_property
    def sigma_offset_s(self) -> Array:
        """(C,) one standard deviation of the clocks' offsets; 0 of those that were not solved for."""
        sigma = np.zeros(self.problem.free.shape)
        variance = arrow.covariance(self.problem.linearised(self.state)).diagonal()
        sigma[self.problem.free] = np.sqrt(np.maximum(variance, 0.0))
        return np.asarray(sigma[:, OFFSET])

    @property
    def intrinsics(self) -> dict[str, Intrinsics]:
        """Of each camera, as found."""
        return {c.name: Intrinsics(c.name, c.size_wh, c.lens, vector_of(c)) for c in self.rig.cameras}


def solve_rig(
    board: CharucoBoard,
    sightings: BoardSightings,
    options: RigOptions = RigOptions(),
    progress: Progress = lambda _what, _share: None,
) -> RigSolution:
    """All of it, starting from nothing. Raises CalibrationError that names cameras and remedies."""
    corners_px, dropped = clean(board.corners_m()[:, :2], sightings.corners_px)
    sightings = replace(sightings, corners_px=corners_px)
    lenses, solved = _lenses(board, sightings, options, progress)
    progress("cameras in pairs", 0.0)
    views = board_views(board.corners_m(), [each.rays(px) for each, px in zip(lenses, corners_px, strict=True)])
    views = brought_together(views, sightings.captured_s, instant_times(sightings))
    pairs, Ts_cam_world = _placed(sightings.cameras, views)
    Ts_world_board, known = board_start(views, Ts_cam_world)
    start = BoardState(
        Ts_cam_world, np.stack([each.vector for each in lenses]), np.zeros(len(lenses)), Ts_world_board[known]
    )
    options = replace(options, focal={**options.focal, **focal_of(solved)})
    problem = _problem(board, sightings.at(known), lenses, options)
    state, problem = _adjusted(problem, start, instant_times(sightings)[known], progress)
    Ts_world_board[known] = state.Ts_world_board
    return RigSolution(
        rig=_rig_of(sightings.cameras, lenses, state),
        offset_s=state.offset_s,
        Ts_world_board=Ts_world_board,
        known=known,
        problem=problem,
        state=state,
        sigma_px=problem.sigma_px,
        pairs=tuple(pairs),
        lenses=solved,
        dropped=dropped,
    )


def _placed(names: Sequence[str], views: BoardViews) -> tuple[list[Pair], Array]:
    """Pairs, and Ts_cam_world (C, 4, 4). Where a clock is off, a moving board is nowhere quite in one place for two
    cameras: so it is tried leniently before cameras are called apart. Raises CalibrationError that names them."""
    pairs = pairs_of(views)
    try:
        return pairs, chained(names, pairs)
    except CalibrationError as apart:
        lenient = pairs_of(views, LENIENCE)
        try:
            return lenient, chained(names, lenient)
        except CalibrationError:
            raise apart from None


def focal_of(solved: Mapping[str, IntrinsicsSolution]) -> dict[str, tuple[float, float]]:
    """What a camera's own pictures tell of its focal length, for RigOptions.focal.

    In the bundle that is lost where frames' times jitter: errors between cameras are then ten times those within a
    picture, and a focal length that is 4 % off makes good for some of them.
    """
    found = {}
    for name, each in solved.items():
        focal_px = float(each.intrinsics.vector[:2].mean())
        found[name] = focal_px, max(each.sigma_focal, LEAST_SIGMA_FOCAL) * focal_px
    return found


def _lenses(
    board: CharucoBoard, sightings: BoardSightings, options: RigOptions, progress: Progress
) -> tuple[list[Intrinsics], dict[str, IntrinsicsSolution]]:
    """Of each camera, given or solved for; all that fail are told of at once."""
    lenses, solved, faults = [], {}, []
    for c, name in enumerate(sightings.cameras):
        progress("lenses", c / len(sightings.cameras))
        if name in options.intrinsics:
            lenses.append(_of_size(options.intrinsics[name], sightings.sizes_wh[c]))
            continue
        try:
            solved[name] = solve_intrinsics(board, _of_one(sightings, c), options.lens.get(name, "pinhole"))
            lenses.append(solved[name].intrinsics)
        except CalibrationError as error:
            faults.append(str(error))
    if faults:
        raise CalibrationError("\n".join(faults))
    return lenses, solved


def _of_size(known: Intrinsics, size_wh: tuple[int, int]) -> Intrinsics:
    if known.size_wh != size_wh:
        raise CalibrationError(
            f"camera {known.camera!r} delivers {size_wh[0]}x{size_wh[1]}, but its intrinsics are for "
            f"{known.size_wh[0]}x{known.size_wh[1]}: record at that size, or leave --intrinsics away"
        )
    return known


def _of_one(sightings: BoardSightings, c: int) -> CameraSightings:
    there = sightings.frame[c] >= 0
    return CameraSightings(
        camera=sightings.cameras[c],
        size_wh=sightings.sizes_wh[c],
        captured_s=sightings.captured_s[c, there],
        frame=sightings.frame[c, there],
        corners_px=sightings.corners_px[c, there],
        mirrored=sightings.mirrored[c, there],
        sync=np.flatnonzero(there),
    )


def _problem(
    board: CharucoBoard, sightings: BoardSightings, lenses: list[Intrinsics], options: RigOptions
) -> BoardProblem:
    C, T = sightings.captured_s.shape
    free = np.zeros((C, N_UNKNOWNS), dtype=bool)
    free[1:, POSE] = True
    free[1:, OFFSET] = options.offsets
    prior, sigma = np.zeros((C, 12)), np.full((C, 12), np.inf)
    for c, each in enumerate(lenses):
        if each.camera not in options.intrinsics or options.refine:
            free[c, INTRINSICS] = free_intrinsics(each.lens) | (each.vector != 0)
        prior[c], sigma[c] = prior_of(each.size_wh, each.lens)
        if each.camera in options.focal:
            prior[c, :2], sigma[c, :2] = options.focal[each.camera]
    return BoardProblem(
        board_m=board.corners_m(),
        corners_px=sightings.corners_px,
        lenses=tuple(each.lens for each in lenses),
        free=free,
        prior=prior,
        prior_sigma=sigma,
        time_s=sightings.captured_s - instant_times(sightings),
        velocity=np.zeros((T, 6)),
        sigma_px=FIRST_SIGMA_PX,
        square_sigma=SIGMA_SQUARE,
    )


def _adjusted(
    problem: BoardProblem, state: BoardState, time_s: Array, progress: Progress
) -> tuple[BoardState, BoardProblem]:
    """Rounds of adjustment; without times (NaN) the board is taken to stand still within an instant."""
    for turn in range(ROUNDS):
        progress("the bundle", turn / ROUNDS)
        if turn:
            off_px = np.linalg.norm(problem.residual_px(state), axis=-1)
            sigma_px = max(float(np.nanmedian(off_px)) / RAYLEIGH_MEDIAN, LEAST_SIGMA_PX)
            velocity = board_motion(state.Ts_world_board, time_s)
            problem = replace(problem, sigma_px=sigma_px, velocity=velocity)
        state = arrow.minimise(problem, state, iterations=STEPS).state
    progress("the bundle", 1.0)
    return state, problem


def _rig_of(names: Sequence[str], lenses: Sequence[Intrinsics], state: BoardState) -> CameraRig:
    cameras = []
    for c, (name, each) in enumerate(zip(names, lenses, strict=True)):
        found = replace(each, vector=state.intrinsics[c])
        T = rigid.from_rotation(_orthonormal(state.Ts_cam_world[c, :3, :3]), state.Ts_cam_world[c, :3, 3])
        cameras.append(Camera(name, each.size_wh, found.K, found.dist, T, lens=each.lens))
    return CameraRig(tuple(cameras))


def _orthonormal(R: Array) -> Array:
    U, _, Vt = np.linalg.svd(R)
    return np.asarray(U @ Vt)
