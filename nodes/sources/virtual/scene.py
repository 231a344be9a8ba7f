"""What is to be seen: actors, occluders, a calibration board, a room. Everything is a function of time in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from configs.errors import ConfigError
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, Body, Motion, joints_at
from nodes.sources.virtual.board_plate import BoardPlate
from nodes.sources.virtual.body import WARDROBE, Clothing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Actor:
    """A person who performs a motion, moved by offset_m (2,) on the floor and yaw, phase_s ahead in the loop."""

    motion: Motion
    body: Body = field(default_factory=Body)
    clothing: Clothing = field(default_factory=Clothing)
    offset_m: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    phase_s: float = 0.0

    def joints_at(self, t_s: npt.ArrayLike) -> Floats:
        """(T, J, 3) world metres at t_s (T,) seconds."""
        joints = joints_at(self.motion, np.atleast_1d(np.asarray(t_s, dtype=np.float64)) + self.phase_s, self.body)
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        R = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return np.asarray(joints @ R.T + np.array([*self.offset_m, 0.0]))


@dataclass(frozen=True)
class Pillar:
    """A static box that hides what is behind it: centre on the floor, size along x, y, z in metres, colour."""

    centre_m: tuple[float, float]
    size_m: tuple[float, float, float] = (0.12, 0.12, 1.6)
    colour: tuple[float, float, float] = (0.45, 0.34, 0.24)


@dataclass(frozen=True)
class Scene:
    """`sensor_noise` is the standard deviation in grey levels; the seed makes every picture repeatable."""

    actors: tuple[Actor, ...] = ()
    pillars: tuple[Pillar, ...] = ()
    board: BoardPlate | None = None
    sensor_noise: float = 2.0
    seed: int = 0
    room_half_m: float = 5.5

    @property
    def joint_names(self) -> tuple[str, ...]:
        return SYNTHETIC_JOINTS

    @property
    def loop_s(self) -> float | None:
        """Seconds after which everything repeats; None when the actors' loops differ."""
        periods = {actor.motion.period_s for actor in self.actors}
        if self.board is not None:
            periods.add(self.board.period_s)
        return periods.pop() if len(periods) == 1 else None

    def joints_at(self, t_s: npt.ArrayLike) -> Floats:
        """Truth (T, P, J, 3), world metres."""
        t = np.atleast_1d(np.asarray(t_s, dtype=np.float64))
        if not self.actors:
            return np.empty((len(t), 0, len(SYNTHETIC_JOINTS), 3))
        return np.stack([actor.joints_at(t) for actor in self.actors], axis=1)


STATURES_M = (1.75, 1.66, 1.83, 1.58)
ACTOR_SPACING_M = 1.1
FREE_M = 0.9  # between two pelvises: arms may still meet, bodies do not


def cast_radius_m(n_actors: int) -> float:
    """How far from the middle the actors' own places are."""
    return float(ACTOR_SPACING_M / (2 * np.sin(np.pi / n_actors))) if n_actors > 1 else 0.0


def cast(n_actors: int, motion: str) -> tuple[Actor, ...]:
    """Actors of different stature, clothing and place; one alone stands in the middle. Raises ConfigError.

    Each starts at a point of the loop that keeps it clear of those before it.
    """
    if motion not in MOTIONS:
        raise ConfigError(f"there is no motion {motion!r}: choose one of {', '.join(MOTIONS)}")
    actors: list[Actor] = []
    for i in range(n_actors):
        azimuth = 2 * np.pi * i / n_actors + 0.5 * np.pi
        away_m = cast_radius_m(n_actors)
        actor = Actor(
            motion=MOTIONS[motion],
            body=Body.of_stature(STATURES_M[i % len(STATURES_M)]),
            clothing=WARDROBE[i % len(WARDROBE)],
            offset_m=(away_m * float(np.cos(azimuth)), away_m * float(np.sin(azimuth))),
            yaw=0.0 if i % 2 == 0 else float(np.pi),
        )
        actors.append(_out_of_the_way(actor, actors))
    return tuple(actors)


def _out_of_the_way(actor: Actor, others: list[Actor]) -> Actor:
    """The actor at a phase of its loop that keeps its pelvis far from the others', and out of step with them."""
    if not others:
        return actor
    period_s, pelvis = actor.motion.period_s, SYNTHETIC_JOINTS.index("pelvis")
    t_s = np.linspace(0.0, period_s, 40, endpoint=False)
    others_m = np.stack([other.joints_at(t_s)[:, pelvis] for other in others])
    others_share = np.array([other.phase_s / period_s for other in others])

    def merit(share: float) -> float:
        joints_m = replace(actor, phase_s=share * period_s).joints_at(t_s)
        gap_m = np.linalg.norm(others_m - joints_m[:, pelvis], axis=-1).min()
        out_of_step = np.abs((share - others_share + 0.5) % 1.0 - 0.5).min()
        return float(min(gap_m, FREE_M) + 0.2 * out_of_step)

    return replace(actor, phase_s=max(np.arange(20) / 20, key=merit) * period_s)


def pillars_between(rig: CameraRig, n_pillars: int, seed: int) -> tuple[Pillar, ...]:
    """Pillars, each between one of the cameras and the middle, a little off the line of sight."""
    rng = np.random.default_rng(seed)
    pillars = []
    for i in range(n_pillars):
        eye = rig.cameras[i % len(rig.cameras)].T_world_cam[:2, 3]
        aside = np.array([-eye[1], eye[0]]) / np.linalg.norm(eye) * rng.uniform(-0.15, 0.15)
        centre = eye * rng.uniform(0.45, 0.6) + aside
        pillars.append(Pillar((float(centre[0]), float(centre[1])), (0.12, 0.12, float(rng.uniform(1.0, 1.8)))))
    return tuple(pillars)


def stage(
    rig: CameraRig,
    motion: str = "demo",
    n_actors: int = 1,
    n_pillars: int = 0,
    board: BoardPlate | None = None,
    sensor_noise: float = 2.0,
    seed: int = 0,
) -> Scene:
    """The usual scene for a rig: the room is large enough to have all its cameras inside. Raises ConfigError."""
    furthest = max(float(np.abs(camera.T_world_cam[:2, 3]).max()) for camera in rig.cameras)
    return Scene(
        actors=cast(n_actors, motion),
        pillars=pillars_between(rig, n_pillars, seed),
        board=board,
        sensor_noise=sensor_noise,
        seed=seed,
        room_half_m=max(5.5, furthest + 1.5),
    )
