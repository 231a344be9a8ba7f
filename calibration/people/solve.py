"""Cameras, clocks and a metric world from one person who walks, no board: `solve_from_people`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.people import given, world
from calibration.people.adjust import Adjusted, Poses, adjust
from calibration.people.beginning import begin
from calibration.people.body import Body, body_of
from calibration.people.checks import refuse_wrong_tracks, refuse_wrong_views
from calibration.people.held_out import Fit, fit_of, parted
from calibration.people.track import PersonTrack, Straightened
from calibration.rig import Camera, CameraRig

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Progress = Callable[[str, float], None]

MOST_BEGINNING = 300  # instants for pairs of cameras
DISAGREES = 0.4  # cost of the given poses, 1 being no agreement: beyond, the beginning is made from nothing
ROUNDS = 12  # at most
GOLDEN = (np.sqrt(5.0) - 1) / 2
AGAIN = 5  # steps of an adjustment that begins where another ended
GROUPS = 5  # of the jackknife
DEFAULT_STATURE_M = 1.7
WELL_UPRIGHT = np.radians(1.5)
LONGEST_M = 200.0  # between two cameras
PEOPLE_DIFFER = 0.06  # share by which statures differ among adults, one standard deviation


@dataclass(frozen=True)
class Options:
    """start: from nothing, or from the cameras' given poses, whose world and scale are then kept.

    stature_m, or distance: (camera, camera, metres) between their centres; with neither, the given scale is kept, or an
    average stature taken. towards: the camera that x points to, default the first. seed: of samples, and of the
    instants that are held out. most_offset_s: how far clocks may be apart.
    """

    start: Literal["nothing", "given"] = "nothing"
    stature_m: float | None = None
    distance: tuple[str, str, float] | None = None
    towards: str | None = None
    free_focal: bool = False
    free_time: bool = True
    most_offset_s: float = 0.5
    most_instants: int = 300
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PeopleSolution:
    """What was found. C cameras in the order of the rig.

    offsets_s: (C,) true time minus what the camera's clock says, the first camera's being 0. sigma_position_m,
    sigma_rotation_deg, sigma_offset_s: (C,) by leaving out parts of the recording in turn (jackknife), relative to the
    other cameras; what detectors always see wrongly is not in them. held_out: at instants that nothing was learnt from;
    train: at the others. before, before_train: the same of the given poses with clocks as told, None without. bones_m:
    length by name. stature_m: of the person.
    size_m: of the rig. instants_s: (T,) looked at. notes: what the user should know, one line each. walked: how far the
    person moved in a picture, in own heights. turned_deg: (C,) against the given poses, None without.
    """

    rig: CameraRig
    offsets_s: Array
    sigma_position_m: Array
    sigma_rotation_deg: Array
    sigma_offset_s: Array
    held_out: Fit
    train: Fit
    before: Fit | None
    before_train: Fit | None
    bones_m: Mapping[str, float]
    stature_m: float
    scale_from: str
    size_m: float
    instants_s: Array
    notes: tuple[str, ...]
    walked: float = np.nan
    turned_deg: Array | None = None


def solve_from_people(
    tracks: Sequence[PersonTrack],
    cameras: Sequence[Camera],
    options: Options = Options(),
    progress: Progress = lambda _what, _share: None,
) -> PeopleSolution:
    """The rig of C cameras whose intrinsics are given, from one person's tracks, one for each camera in the same order.

    Raises CalibrationError, naming the camera and what to do.
    """
    refuse_wrong_tracks(tracks, cameras)
    _refuse_wrong_options(cameras, options)
    body = body_of(tracks[0].joints)
    tracks = [track.of_joints(body.joints) for track in tracks]
    work = _Work(
        names=tuple(camera.name for camera in cameras),
        tracks=tracks,
        cameras=cameras,
        body=body,
        straight=Straightened.of(tracks, cameras),
        focal_px=np.array([(camera.K[0, 0] + camera.K[1, 1]) / 2 for camera in cameras]),
        given=np.stack([camera.T_cam_world for camera in cameras]),
        instants_s=instants_of(tracks, options.most_instants),
        options=options,
        progress=progress,
    )
    poses, notes = work.begun()
    learnt, measured = parted(work.instants_s, options.seed)
    walked = refuse_wrong_views(work.straight.views(work.instants_s, poses.offsets_s), work.instants_s)
    found = work.adjusted(work.instants_s[learnt], poses, ROUNDS)
    return replace(_told(work, cameras, found, learnt, measured, notes), walked=walked)


def instants_of(tracks: Sequence[PersonTrack], most: int) -> Array:
    """Instants (T,) while any camera runs, about as far apart as the frames of the slowest, or farther.

    Within their steps they are spread by the golden section: at instants that all lie alike between frames, the noise
    of what is interpolated would depend on the clocks' offsets, and draw them.
    """
    begin_s, end_s = min(track.captured_s[0] for track in tracks), max(track.captured_s[-1] for track in tracks)
    step_s = max(*(track.period_s for track in tracks), (end_s - begin_s) / most)
    number = np.arange(int((end_s - begin_s) / step_s))
    return np.asarray(begin_s + step_s * (number + np.mod(number * GOLDEN, 1.0)))


@dataclass(frozen=True, eq=False)
class _Work:
    """What stays the same all along."""

    names: tuple[str, ...]
    tracks: Sequence[PersonTrack]
    cameras: Sequence[Camera]
    body: Body
    straight: Straightened
    focal_px: Array
    given: Array
    instants_s: Array
    options: Options
    progress: Progress

    def begun(self) -> tuple[Poses, list[str]]:
        """Where to begin, and what there is to say of it."""
        if self.options.start == "nothing":
            return self._from_nothing(), []
        instants_s = self._fewer()
        offsets_s, costs = given.clocks(self.straight, self.given, instants_s, self._most_offset_s)
        unseen = [name for name, of in zip(self.names, costs, strict=True) if not np.isfinite(of).any()]
        if unseen:
            raise CalibrationError(
                f"camera {unseen[0]!r} never sees the person at the same time as another one: let the person walk "
                "where its picture and a neighbour's overlap, or leave it out"
            )
        if np.nanmedian(costs, axis=1).max() >= DISAGREES:
            views = self.straight.views(instants_s, offsets_s)
            given.refuse_suspects(self.tracks, self.cameras, self.body, views, offsets_s, instants_s)
        if np.nanmean(costs) < DISAGREES:
            return Poses(self.given, offsets_s, np.ones(len(self.names))), []
        return self._instead_of_given(float(np.nanmean(costs)))

    def adjusted(self, instants_s: Array, poses: Poses, rounds: int) -> Adjusted:
        """Of these instants."""
        return adjust(
            self.straight,
            self.focal_px,
            self.body,
            instants_s,
            poses,
            rounds=rounds,
            free_time=self.options.free_time,
            free_focal=self.options.free_focal,
            progress=lambda share: self.progress("adjust", share),
        )

    def again(self, instants_s: Array, found: Adjusted) -> Poses:
        """Of other instants, from what was found of nearly the same ones."""
        return adjust(
            self.straight,
            self.focal_px,
            self.body,
            instants_s,
            found.poses,
            rounds=1,
            iterations=AGAIN,
            free_time=self.options.free_time,
            free_focal=self.options.free_focal,
            after=found,
        ).poses

    def fit(self, poses: Poses, instants_s: Array) -> Fit:
        views = self.straight.views(instants_s, poses.offsets_s)
        return fit_of(poses.T_cam_world, poses.zoom, self.focal_px, views, self.names)

    @property
    def _most_offset_s(self) -> float:
        return self.options.most_offset_s if self.options.free_time else 0.0

    def _fewer(self) -> Array:
        return self.instants_s[:: max(1, len(self.instants_s) // MOST_BEGINNING)]

    def _from_nothing(self) -> Poses:
        rng = np.random.default_rng(self.options.seed)
        found = begin(self.straight, self.names, self._fewer(), self._most_offset_s, rng,
                      lambda share: self.progress("pairs", share))  # fmt: skip
        return Poses(found.T_cam_world, found.offsets_s - found.offsets_s[0], np.ones(len(self.names)))

    def _instead_of_given(self, cost: float) -> tuple[Poses, list[str]]:
        """A beginning from nothing, as the given poses are too wrong; and what is wrong with them."""
        poses = self.adjusted(self._fewer(), self._from_nothing(), 3).poses
        swapped = given.exchanged(poses.T_cam_world, self.given, self.names)
        if swapped is not None:
            raise CalibrationError(
                f"cameras {swapped[0]!r} and {swapped[1]!r} are exchanged: what they see of the person fits when each "
                "has the other's pose. Exchange their names in the calibration, or their videos or cables"
            )
        turned_deg, moved = given.turned_and_moved(poses.T_cam_world, self.given)
        notes = [f"the given poses do not fit (cost {cost:.2f} of 1), so the beginning was made from nothing"]
        for name, degrees, share in zip(self.names, turned_deg, moved, strict=True):
            if degrees > 3 or share > 0.05:
                notes.append(f"camera {name!r} is not where the calibration has it: turned by {degrees:.1f}°")
        return poses, notes


def _refuse_wrong_options(cameras: Sequence[Camera], options: Options) -> None:
    names = [camera.name for camera in cameras]
    named = [*(options.distance or ())[:2], *([options.towards] if options.towards else [])]
    unknown = next((name for name in named if name not in names), None)
    if unknown is not None:
        raise CalibrationError(f"there is no camera {unknown!r}; the cameras are {', '.join(names)}")
    if options.distance is not None and options.stature_m is not None:
        raise CalibrationError("give a stature or a distance, not both: each sets the scale")
    if options.distance is not None:
        one, other, apart_m = options.distance
        if one == other or not 0 < apart_m < LONGEST_M:  # NaN compares false
            raise CalibrationError(f"a distance is between two cameras and positive metres, not {options.distance}")
    if options.stature_m is not None and not 0.5 < options.stature_m < 2.6:
        raise CalibrationError(f"a stature of {options.stature_m} m is nobody's: give metres, such as 1.75")


def _told(
    work: _Work, cameras: Sequence[Camera], found: Adjusted, learnt: Bools, measured: Bools, notes: list[str]
) -> PeopleSolution:
    """The solution in the world, with how well it fits and how sure it is."""
    options, poses = work.options, found.poses
    given_too = options.start == "given"
    to_world, scale_from, more = _to_world(work, found)
    T = to_world.poses(poses.T_cam_world)
    size_m = world.size_of(T)
    sigma = _jackknife(work, found, work.instants_s[learnt], T)
    joints = to_world.points(found.state.joints)
    told = Poses(work.given, np.zeros(len(cameras)), np.ones(len(cameras)))
    held_s, train_s = work.instants_s[measured], work.instants_s[learnt]
    return PeopleSolution(
        rig=CameraRig(tuple(_placed(camera, pose, zoom) for camera, pose, zoom in
                            zip(cameras, T, poses.zoom, strict=True))),
        offsets_s=poses.offsets_s - poses.offsets_s[0],
        sigma_position_m=sigma[0],
        sigma_rotation_deg=sigma[1],
        sigma_offset_s=sigma[2],
        held_out=work.fit(poses, held_s),
        train=work.fit(poses, train_s),
        before=work.fit(told, held_s) if given_too else None,
        before_train=work.fit(told, train_s) if given_too else None,
        bones_m={name: float(np.exp(log) * to_world.scale) for name, log in
                 zip(work.body.names, found.state.log_bone, strict=True)},
        stature_m=world.stature_of(joints, work.body),
        scale_from=scale_from,
        size_m=size_m,
        instants_s=work.instants_s,
        notes=(*notes, *more),
        turned_deg=given.turned_and_moved(T, work.given)[0] if given_too else None,
    )  # fmt: skip


def _to_world(work: _Work, found: Adjusted) -> tuple[world.Similarity, str, list[str]]:
    """From the frame of the first camera, where the scale came from, and notes."""
    options, T, joints = work.options, found.poses.T_cam_world, found.state.joints
    scale: float | None = None
    told = "the given calibration's scale"
    notes: list[str] = []
    stature = world.stature_of(joints, work.body)
    if options.distance is not None:
        one, other, metres = options.distance
        apart = np.linalg.norm(np.subtract(*world.centres(T)[[work.names.index(one), work.names.index(other)]]))
        scale, told = metres / float(apart), f"the distance of {metres:g} m between {one} and {other}"
    elif options.stature_m is not None:
        scale, told = options.stature_m / stature, f"a stature of {options.stature_m:g} m"
    elif options.start == "nothing":
        scale, told = DEFAULT_STATURE_M / stature, f"a stature of {DEFAULT_STATURE_M:g} m, which nobody told"
        notes.append(f"the scale is a guess, wrong by {100 * PEOPLE_DIFFER:.0f} % or so: give --stature or --distance")
    if scale is not None and not np.isfinite(scale):
        raise CalibrationError("neither legs nor trunk were seen whole, so a stature says nothing: give --distance")
    if options.start == "given":
        return world.aligned(T, work.given, scale), told, notes
    assert scale is not None
    towards = work.names.index(options.towards) if options.towards else 0
    found_world, sigma = world.person_world(T, joints, work.body, scale, towards)
    if sigma > WELL_UPRIGHT:
        notes.append(
            f"up is known to {np.degrees(sigma):.1f}° only, from how the body is held: walk on more of the floor, with "
            "the feet in the pictures, or set the world from a board on the floor"
        )
    return found_world, told, notes


def _jackknife(work: _Work, found: Adjusted, instants_s: Array, T_world: Array) -> tuple[Array, Array, Array]:
    """Standard deviations (C,) of position in m, rotation in degrees, offset in s: parts are left out in turn."""
    group = np.minimum((np.arange(len(instants_s)) * GROUPS * 2 // len(instants_s)), GROUPS * 2 - 1) % GROUPS
    places, turns, clocks = [], [], []
    for n in range(GROUPS):
        poses = work.again(instants_s[group != n], found)
        T = world.aligned(poses.T_cam_world, T_world).poses(poses.T_cam_world)
        places.append(world.centres(T))
        turns.append(given.turned_and_moved(T, T_world)[0])
        clocks.append(poses.offsets_s - poses.offsets_s.mean())
        work.progress("sureness", (n + 1) / GROUPS)
    factor = np.sqrt((GROUPS - 1) / GROUPS * GROUPS)
    place = np.stack(places)
    spread = np.sqrt(((place - place.mean(0)) ** 2).sum(-1).mean(0))
    return factor * spread, factor * np.sqrt((np.stack(turns) ** 2).mean(0)), factor * np.stack(clocks).std(0)


def _placed(camera: Camera, T_cam_world: Array, zoom: float) -> Camera:
    K = camera.K.copy()
    K[:2, :2] *= zoom
    return replace(camera, K=K, T_cam_world=T_cam_world)
