"""Everybody at one instant: who is who in the views, where each one is, who comes and who goes. Pure.

match → newcomers → left and right → fusion (views, lifts, bones, expectation) → lives
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from configs.schema import Fusion as Settings
from lifter.skeleton import Skeleton
from nodes.stages.body_tree import BodyTree
from nodes.stages.crowding import crowding
from nodes.stages.evidence import doubles, weigh
from nodes.stages.fuse import MAX_NOISE_SCALE, MIN_SEEN, Fused, Fuser, Seen
from nodes.stages.lives import Arrival, Lives, State
from nodes.stages.lone import LONE_S, Regrouped, regroup
from nodes.stages.matching import Detected, Predicted, match_tracks
from nodes.stages.newcomers import Newcomers, find_newcomers
from nodes.stages.people import Estimate, Person, known_of
from nodes.stages.reunion import reunite
from nodes.stages.sides import sides_of
from nodes.stages.swaps import Repaired, repair_swaps
from nodes.stages.warming import warm_up, warm_up_solver
from nodes.wire.messages import MAX_PEOPLE

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NS = 1e-9
PROVEN_NS = 1_000_000_000  # whoever has been followed for so long was not born the wrong way round …
MOST_DOUBT_M = 0.2  # sigma in the search for somebody; with more, anybody would be taken for him
CONTRADICTED = 15  # … unless most views say so at so many ticks running
ASTRAY_GAIN = 1 / 8  # a tick's say when half the views are out-voted: in a quarter of a second they are heard again
ODD = "what it sees is nobody whom the other cameras see: somebody else, or it was moved"


@dataclass(frozen=True)
class Shown:
    """One person at one instant. used (C, J): views that count, all False where only predicted.

    lifted: whether lifts took part. is_predicted: no view saw the person. velocity_m_s: (J, 3).
    """

    person_id: int
    estimate: Estimate
    velocity_m_s: F64
    used: Bools
    reprojection_px: F64
    lifted: bool
    is_predicted: bool


@dataclass(frozen=True)
class _Cast:
    """Who is looked at in a tick: M rows, those followed first, then the newcomers.

    who: (M, C), -1 for no detection. free: (C, P) detections that nobody followed has. reunited: per newcomer the key
    of somebody remembered, or of somebody whose place was a guess, -1 for somebody new.
    """

    keys: tuple[int, ...]
    predicted: Predicted
    free: Bools
    newcomers: Newcomers
    who: Ints
    reunited: Ints


class Crowd:
    """Follows everybody from tick to tick."""

    def __init__(self, fuser: Fuser, settings: Settings, skeleton: Skeleton, tree: BodyTree) -> None:
        self._fuser = fuser
        self._settings = settings
        self._skeleton = skeleton
        self._tree = tree
        self._people: dict[int, Person] = {}
        gaps = settings.people
        self._lives = Lives(round(settings.smoothing.max_gap_ms * 1e6), round(gaps.forget_ms * 1e6))
        self._misplaced: set[int] = set()  # keys of those whose double was found at the last tick
        self.left_out: dict[int, str] = {}  # camera's index → why nobody was fused with what it saw in the last tick

    def begin_anew(self) -> None:
        """What comes stands on another time axis."""
        self._people.clear()
        self._misplaced.clear()
        self._lives.begin_anew()

    def warm_up(self) -> None:
        """Run the compiled kernels once, on nobody."""
        warm_up(self._fuser.arrays, self._skeleton)
        warm_up_solver(self._fuser, self._settings.smoothing, self._tree)

    def tick(self, captured_ns: int, detected: Detected, present: Bools) -> list[Shown]:
        """Everybody who is to be shown at this instant. present: (C,) cameras that have a picture of it."""
        cast = self._cast(captured_ns, detected, present)
        seen = self._seen(captured_ns, detected, cast)
        fused, to_show = self._fuse(captured_ns, cast, seen)
        return self._live_on(captured_ns, cast, seen, fused, to_show)

    def _cast(self, captured_ns: int, detected: Detected, present: Bools) -> _Cast:
        """Find those followed in the views, and group what is left into new people."""
        keys, rig = self._lives.followed, self._fuser.arrays
        sure = self._settings.triangulation.min_confidence
        predicted = self._predicted(keys, captured_ns)
        matched = match_tracks(rig, detected, predicted, self._skeleton, sure)
        free = matched.free & (len(keys) < MAX_PEOPLE)  # more than can be told are not followed
        grouped = self._regrouped(detected, present, keys, predicted, matched.who, free)
        who, new = grouped.who, grouped.newcomers
        heirs = np.array([*keys, -1])[grouped.heir_of]
        reunited = np.where(heirs >= 0, heirs, self._reunited(captured_ns, detected, new))
        stay = ~np.isin(keys, heirs)
        predicted = Predicted(predicted.joints_m[stay], predicted.sigma_m[stay], predicted.ids[stay])
        followed = tuple(key for key, stays in zip(keys, stay, strict=True) if stays)
        return _Cast(followed, predicted, matched.free, new, np.concatenate([who[stay], new.who]), reunited)

    def _regrouped(
        self, detected: Detected, present: Bools, keys: tuple[int, ...], predicted: Predicted, who: Ints, free: Bools
    ) -> Regrouped:
        """The newcomers, and those followed who are seen by one view and are really one of them. who: (K, C)."""
        sure = self._settings.triangulation.min_confidence
        alone_s = np.array([self._people[key].alone_s for key in keys])

        def find(lent: Ints) -> Newcomers:
            borrowed = (lent[:, :, None] == np.arange(free.shape[1])).any(axis=0)
            looked_at = free | (borrowed & (present.sum() > 1))  # with one view, each detection is somebody
            return find_newcomers(self._fuser.arrays, detected, looked_at, self._skeleton, present, sure)

        def is_near(newcomer: Newcomers, k: int) -> bool:
            return bool(self._back(detected, newcomer, predicted.joints_m[[k]], alone_s[[k]])[0] >= 0)

        is_shown = np.array([self._lives[key].state is State.PRESENT for key in keys], dtype=np.bool_)
        is_misplaced = np.isin(keys, list(self._misplaced))
        grouped = regroup(who, alone_s, is_misplaced, is_shown, find, is_near)
        return self._joined(detected, grouped, predicted, alone_s)

    def _back(self, detected: Detected, new: Newcomers, expected_m: F64, alone_s: F64) -> Ints:
        """Per newcomer the one of those whom one view has shown for so long, -1 for none."""
        return reunite(self._fuser.arrays, detected, new, expected_m, np.minimum(alone_s, 1.0), self._skeleton)

    def _joined(self, detected: Detected, grouped: Regrouped, predicted: Predicted, alone_s: F64) -> Regrouped:
        """Newcomers of other views who are somebody whom one view alone has shown for a while, farther off than was
        thought."""
        who, new, heir_of = grouped.who, grouped.newcomers, grouped.heir_of
        is_lone = ((who >= 0).sum(axis=1) <= 1) & (alone_s > LONE_S) & np.isfinite(alone_s)
        is_lone[heir_of[heir_of >= 0]] = False
        lone = np.flatnonzero(is_lone)
        if not len(lone) or not len(new.who):
            return grouped
        back = self._back(detected, new, predicted.joints_m[lone], alone_s[lone])
        joined = (back >= 0) & ~new.mirrored.any(axis=1) & (heir_of < 0)
        who = who.copy()
        for n in np.flatnonzero(joined):
            k = lone[back[n]]
            who[k] = np.where(new.who[n] >= 0, new.who[n], who[k])
        return Regrouped(who, new.only(~joined), heir_of[~joined])

    def _reunited(self, captured_ns: int, detected: Detected, new: Newcomers) -> Ints:
        """Per newcomer the key of somebody remembered, -1 for somebody new."""
        dormant = self._lives.keys(State.DORMANT)
        if not dormant or not len(new.who):
            return np.full(len(new.who), -1)
        gone_m = self._predicted(dormant, captured_ns).joints_m
        unseen_s = np.array([(captured_ns - self._lives[key].seen_ns) * NS for key in dormant])
        back = reunite(self._fuser.arrays, detected, new, gone_m, unseen_s, self._skeleton)
        return np.array([dormant[i] if i >= 0 else -1 for i in back], dtype=np.int64)

    def _predicted(self, keys: tuple[int, ...], captured_ns: int) -> Predicted:
        n = self._tree.n_shown
        foreseen = [self._people[key].foresee(captured_ns) for key in keys]
        joints_m = np.array([f.joints_m[:n] for f in foreseen]).reshape(-1, n, 3)
        variance = np.einsum("kjii->kj", np.array([f.covariance[:n] for f in foreseen]).reshape(-1, n, 3, 3)) / 3
        ids = np.array([self._lives[key].person_id or -1 for key in keys], dtype=np.int64)
        return Predicted(joints_m, np.clip(np.sqrt(np.maximum(variance, 0.0)), 0.0, MOST_DOUBT_M), ids)

    def _seen(self, captured_ns: int, detected: Detected, cast: _Cast) -> Repaired:
        """Each one's rays, left and right put right."""
        there, cameras, k = cast.who >= 0, np.arange(cast.who.shape[1]), len(cast.keys)
        index = np.maximum(cast.who, 0)
        rays = np.where(there[..., None, None], detected.rays[cameras, index], np.nan)
        confidence = np.where(there[..., None], detected.confidence[cameras, index], 0.0)
        if cast.newcomers.mirrored.any():
            turned = np.concatenate([np.zeros((k, len(cameras)), dtype=np.bool_), cast.newcomers.mirrored])
            mirror = sides_of(self._skeleton).mirror
            rays = np.where(turned[..., None, None], rays[:, :, mirror], rays)
            confidence = np.where(turned[..., None], confidence[:, :, mirror], confidence)
        proven = [self._is_proven(key, captured_ns) for key in cast.keys]
        return repair_swaps(
            self._fuser.arrays,
            rays,
            confidence,
            np.concatenate([cast.predicted.joints_m, cast.newcomers.joints_m]),
            np.concatenate([cast.predicted.sigma_m, cast.newcomers.sigma_m]),
            self._skeleton,
            np.array([*proven, *[False] * len(cast.newcomers.who)], dtype=np.bool_),
        )

    def _is_proven(self, key: int, captured_ns: int) -> bool:
        """Whether a view that has somebody the other way round is wrong: all cameras may take a back for a front for a
        moment, but not for long."""
        is_old = captured_ns - self._lives[key].born_ns > PROVEN_NS
        return is_old and self._people[key].n_contradicted < CONTRADICTED

    def _doubted(self, cast: _Cast, seen: Repaired) -> set[int]:
        """Keys of those whose views may be theirs by chance; nobody's, where there is nothing else to choose from."""
        k = len(cast.keys)
        if not k or not cast.free.any():
            return set()
        sure = self._settings.triangulation.min_confidence
        evidence = weigh(self._fuser.arrays, seen.rays[:k], seen.confidence[:k], cast.free, self._skeleton, sure)
        return {key for key, doubted in zip(cast.keys, evidence.doubted, strict=True) if doubted}

    def _doubles(self, cast: _Cast, seen: Repaired) -> set[tuple[int, int]]:
        """Pairs of keys, older and younger, of those followed whose views are one person's."""
        k = len(cast.keys)
        if k < 2:
            return set()
        sure = self._settings.triangulation.min_confidence
        pairs = doubles(self._fuser.arrays, seen.rays[:k], seen.confidence[:k], self._skeleton, sure)
        return {(cast.keys[older], cast.keys[younger]) for older, younger in pairs}

    def _fuse(self, captured_ns: int, cast: _Cast, seen: Repaired) -> tuple[Fused, Fused]:
        """Solve for all: to follow them, with what is expected; and to show them, as it is asked for."""
        for m, key in enumerate(cast.keys):
            person = self._people[key]
            if seen.contradicted[m] and not self._is_proven(key, captured_ns):
                person.begin_anew()  # who was born the wrong way round
            person.n_contradicted = person.n_contradicted + 1 if seen.contradicted[m] else 0
        back = [int(key) for key in cast.reunited]
        for key in back:
            if key >= 0:
                self._people[key].begin_anew()
        people = [self._people.get(key) for key in (*cast.keys, *back)]
        places_m = np.concatenate([cast.predicted.joints_m, cast.newcomers.joints_m])
        rays = Seen(seen.rays, seen.confidence, crowding(self._fuser.arrays, places_m))
        fused = self._fuser.fuse(rays, known_of(people, captured_ns, self._tree))
        self._admit_noise(rays, fused)
        if self._settings.smoothing.kind == "kalman":
            return fused, fused
        return fused, self._fuser.fuse(rays, known_of(people, captured_ns, self._tree, expects=False), learns=False)

    def _admit_noise(self, seen: Seen, fused: Fused) -> None:
        """Where half of somebody's views are out-voted, it is not they that are wrong, but the noise that is assumed.

        Fusion learns it from views that agree, so it would never find out. Beyond the gate it is the most that may be.
        """
        n_views = ((seen.confidence > self._settings.triangulation.min_confidence).sum(-1) >= MIN_SEEN).sum(1)
        astray = fused.odd.any(1) & (2 * fused.odd.sum(1) >= n_views) & (seen.noise <= 1.0).all(1)
        if astray.any():
            self._fuser.noise_scale += ASTRAY_GAIN * (MAX_NOISE_SCALE - self._fuser.noise_scale)

    def _live_on(self, captured_ns: int, cast: _Cast, seen: Repaired, fused: Fused, to_show: Fused) -> list[Shown]:
        """Births, deaths, and what to show of those who live."""
        fused_with = (fused.used.any(-1) & ~fused.odd).any(0)
        passed_over = ~fused_with & fused_with.any() & (fused.odd.any(0) | cast.free.any(1))
        self.left_out = {int(c): ODD for c in np.flatnonzero(passed_over)}
        supporting = ((fused.used.sum(-1) >= MIN_SEEN) & ~fused.odd).sum(1)
        k = len(cast.keys)
        arrivals = self._arrivals(cast, supporting[k:])
        were_shown = set(self._lives.keys(State.PRESENT)) - {int(key) for key in cast.reunited}
        n_views = dict(zip(cast.keys, supporting[:k].tolist(), strict=True))
        changes = self._lives.update(captured_ns, n_views, arrivals, self._doubted(cast, seen))
        rows = {key: m for m, key in enumerate((*cast.keys, *changes.arrived))}
        for key in changes.arrived:
            if key not in self._people:
                self._people[key] = Person(self._settings.smoothing, self._tree)
        estimates = {
            key: self._people[key].take(captured_ns, fused, to_show, m, key in were_shown)
            for key, m in rows.items()
            if supporting[m]
        }
        n = self._tree.n_shown
        places = {key: fused.joints_m[rows[key], :n] for key in self._lives.followed if key in rows}
        self._part_doubles(captured_ns, places, self._doubles(cast, seen))
        for key in self._people.keys() - set(self._lives.keys()):
            del self._people[key]
        shown = [
            self._shown(key, captured_ns, to_show, rows.get(key), estimates.get(key))
            for key in self._lives.keys(State.PRESENT)
        ]
        return sorted(shown, key=lambda each: each.is_predicted)[:MAX_PEOPLE]

    def _part_doubles(self, captured_ns: int, places: dict[int, F64], doubled: set[tuple[int, int]]) -> None:
        """Drop who is there twice; the other one is placed anew at the next tick, by the views of both."""
        gone = set(self._lives.part_doubles(captured_ns, places, doubled))
        parted = [pair for pair in doubled if len(gone & {*pair}) == 1]
        self._misplaced = {key for pair in parted for key in pair} - gone

    @staticmethod
    def _arrivals(cast: _Cast, supporting: Ints) -> list[Arrival]:
        """The newcomers; supporting: (N,) views that agree with what was fused."""
        new = cast.newcomers
        return [
            Arrival(
                n_views=int(min(supporting[n], new.n_views[n])),
                unrivalled=bool(new.crowd[n] <= 1),
                misfit=float(new.misfit[n]),
                crowd=float(new.crowd[n]),
                reunited=int(cast.reunited[n]) if cast.reunited[n] >= 0 else None,
            )
            for n in range(len(new.who))
        ]

    def _shown(self, key: int, captured_ns: int, fused: Fused, m: int | None, estimate: Estimate | None) -> Shown:
        if m is None or estimate is None:
            return self._carried(key, captured_ns)
        velocity_m_s = self._people[key].velocity_m_s(captured_ns)
        person_id = self._lives[key].person_id or 0
        return Shown(
            person_id, estimate, velocity_m_s, fused.used[m], fused.reprojection_px[m], bool(fused.lifted[m]), False
        )

    def _carried(self, key: int, captured_ns: int) -> Shown:
        """Somebody as foreseen."""
        n, n_cameras = self._tree.n_shown, len(self._fuser.arrays.K)
        person = self._people[key]
        return Shown(
            person_id=self._lives[key].person_id or 0,
            estimate=person.carry_on(captured_ns),
            velocity_m_s=person.velocity_m_s(captured_ns),
            used=np.zeros((n_cameras, n), dtype=np.bool_),
            reprojection_px=np.full(n, np.nan),
            lifted=False,
            is_predicted=True,
        )
