"""Association from tick to tick, with a plain filter in place of fusion and smoothing; for tests."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from calibration.triangulate import triangulate
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.evidence import weigh
from nodes.stages.lives import Arrival, Lives, State
from nodes.stages.matching import Predicted, match_tracks
from nodes.stages.newcomers import find_newcomers
from nodes.stages.reunion import reunite
from tests.crowd import Seen, look

F64 = npt.NDArray[np.float64]

NOWHERE = np.full((33, 3), np.nan)


@dataclass
class Track:
    """A joint-wise alpha-beta filter. joints_m, velocity_m_s: (J, 3); sigma_m: (J,)."""

    joints_m: F64
    velocity_m_s: F64 = field(default_factory=lambda: np.zeros((33, 3)))
    sigma_m: F64 = field(default_factory=lambda: np.full(33, 0.05))

    def predict(self, dt_s):
        self.joints_m = self.joints_m + dt_s * self.velocity_m_s
        self.sigma_m = self.sigma_m + 0.5 * dt_s

    def correct(self, measured_m, dt_s):
        known, new = np.isfinite(measured_m).all(-1), np.isnan(self.joints_m).any(-1)
        begun, seen = known & new, known & ~new
        off = measured_m[seen] - self.joints_m[seen]
        self.joints_m[seen] += 0.6 * off
        self.velocity_m_s[seen] = 0.9 * (self.velocity_m_s[seen] + 0.2 / dt_s * off)
        self.joints_m[begun] = measured_m[begun]
        self.sigma_m[known] = 0.03


class Follower:
    """Detections in, tick after tick; `shown`: person id → where."""

    def __init__(self, max_gap_ns=250_000_000, forget_ns=2_000_000_000):
        self.lives = Lives(max_gap_ns, forget_ns)
        self.tracks: dict[int, Track] = {}
        self.last_ns = None

    def tick(self, captured_ns, seen: Seen, present=None):
        dt_s = 1 / 30 if self.last_ns is None else (captured_ns - self.last_ns) * 1e-9
        self.last_ns = captured_ns
        for key, track in self.tracks.items():
            if self.lives[key].state is not State.DORMANT:
                track.predict(dt_s)
        keys = self.lives.followed
        tracks = [self.tracks[key] for key in keys]
        joints_m = np.array([track.joints_m for track in tracks]).reshape(-1, 33, 3)
        sigma_m = np.array([track.sigma_m for track in tracks]).reshape(-1, 33)
        ids = np.array([self.lives[key].person_id or -1 for key in keys], dtype=int)
        matched = match_tracks(seen.arrays, seen.detected, Predicted(joints_m, sigma_m, ids), MEDIAPIPE33)
        for track, who in zip(tracks, matched.who, strict=True):
            track.correct(measured(seen, who), dt_s)
        newcomers = find_newcomers(seen.arrays, seen.detected, matched.free, MEDIAPIPE33, present)
        dormant = self.lives.keys(State.DORMANT)
        expected = np.array([self.tracks[key].joints_m for key in dormant]).reshape(-1, 33, 3)
        unseen_s = np.array([(captured_ns - self.lives[key].seen_ns) * 1e-9 for key in dormant])
        again = reunite(seen.arrays, seen.detected, newcomers, expected, unseen_s, MEDIAPIPE33)
        arrivals = [
            Arrival(int(n), bool(crowd <= 1), float(misfit), dormant[old] if old >= 0 else None, float(crowd))
            for n, crowd, misfit, old in zip(newcomers.n_views, newcomers.crowd, newcomers.misfit, again, strict=True)
        ]
        n_views = dict(zip(keys, (matched.who >= 0).sum(axis=1).tolist(), strict=True))
        rays, confidence = given(seen, matched.who)
        evidence = weigh(seen.arrays, rays, confidence, matched.free, MEDIAPIPE33)
        doubted = {key for key, doubt in zip(keys, evidence.doubted, strict=True) if doubt}
        changes = self.lives.update(captured_ns, n_views, arrivals, doubted)
        for key, place, sigma, who in zip(
            changes.arrived, newcomers.joints_m, newcomers.sigma_m, newcomers.who, strict=True
        ):
            begun = place if np.isfinite(place).any() else in_front(seen, who)
            self.tracks[key] = Track(begun.copy(), sigma_m=np.minimum(np.where(np.isfinite(sigma), sigma, 0.1), 0.2))
        self.lives.part_doubles(captured_ns, {key: self.tracks[key].joints_m for key in self.lives.followed})
        self.tracks = {key: self.tracks[key] for key in self.lives.keys()}  # noqa: SIM118

    @property
    def shown(self):
        keys = self.lives.keys(State.PRESENT)
        return {self.lives[key].person_id: self.tracks[key].joints_m for key in keys}


def given(seen, who):
    """Rays (K, C, J, 2) and confidence (K, C, J) of the detections who (K, C)."""
    cameras, slots = np.arange(who.shape[1]), np.maximum(who, 0)
    there = who >= 0
    if not there.any():
        return np.full((*who.shape, 33, 2), np.nan), np.zeros((*who.shape, 33))
    rays = np.where(there[..., None, None], seen.detected.rays[cameras, slots], np.nan)
    return rays, np.where(there[..., None], seen.detected.confidence[cameras, slots], 0.0)


def measured(seen, who):
    """Joints (J, 3) of one person's detections; of a lone view, none: the prediction stands."""
    views = who >= 0
    if views.sum() < 2:
        return NOWHERE
    slots = np.maximum(who, 0)
    keypoints_px = seen.keypoints_px[np.arange(len(who)), slots]
    sure = np.where(views[:, None], seen.detected.confidence[np.arange(len(who)), slots], 0.0)
    return triangulate(seen.arrays, keypoints_px, sure).points_m


def in_front(seen, who):
    """A flat person 5 m before the only camera that sees it."""
    c = int(np.flatnonzero(who >= 0)[0])
    T = seen.arrays.Ts_cam_world[c]
    cam_m = 5.0 * np.concatenate([seen.detected.rays[c, who[c]], np.ones((33, 1))], axis=-1)
    return (cam_m - T[:, 3]) @ T[:, :3]


@dataclass
class Score:
    """switches: how often a person's id changed. ghosts: ticks in which somebody is shown who is not there."""

    found: int = 0
    expected: int = 0
    switches: int = 0
    ghost_ticks: Counter[int] = field(default_factory=Counter)  # by id
    ids: dict[int, list[int]] = field(default_factory=dict)


def follow(rig, cast, seconds, *, seed=0, hz=30.0, away=None, see=None, **options) -> Score:
    """Run actors past cameras. away(k, t_s): nobody can see actor k then; see(seen, t_s): may change it."""
    rng = np.random.default_rng(seed)
    follower, score = Follower(), Score()
    for i in range(round(seconds * hz)):
        t_s = i / hz
        there = [k for k in range(len(cast)) if not (away and away(k, t_s))]
        joints_m = np.array([cast[k].joints_m(t_s)[0] for k in there]).reshape(-1, 33, 3)
        seen = look(rig, joints_m, rng, **options)
        if see:
            see(seen, t_s)
        follower.tick(round(t_s * 1e9), seen)
        _judge(score, follower.shown, there, joints_m)
    return score


def _judge(score, shown, there, joints_m):
    left = dict(shown)
    for k, truth in zip(there, joints_m, strict=True):
        score.expected += 1
        near = {i: float(np.nanmean(np.linalg.norm(x - truth, axis=-1))) for i, x in left.items()}
        if near and min(near.values()) < 0.2:
            person = min(near, key=near.__getitem__)
            score.found += 1
            del left[person]
            known = score.ids.setdefault(k, [])
            if not known or known[-1] != person:
                score.switches += bool(known)
                known.append(person)
    score.ghost_ticks.update(left.keys())
