"""The person who walks, as each camera of a recording saw them: the one who moves, where there are several."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.people.track import PersonTrack
from calibration.rig import CameraRig
from lifter.datasets.errors import DatasetError
from lifter.skeleton import SKELETONS
from nodes.offline.sequence import Sequence, load_sequence
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Keypoints2D

F64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32 | np.float64]

LEAST_JOINTS = 4  # of a detection, to be somebody
SAME_PLACE = 0.5  # of a person's height in the picture: nobody goes farther from frame to frame
FORGET_S = 0.5  # who comes back later counts as somebody new
FLICKER = 5  # frames; shorter appearances beside somebody else are false
MOVES_MORE = 3.0  # times: beside somebody who moves so much more, one is furniture, a picture on the wall, a spectator
MOST_CROWDED = 0.2  # share of a camera's frames with two who move: beyond, who is who is not known


@dataclass(frozen=True, eq=False)
class Walk:
    """Tracks of the cameras that saw somebody, with the sizes of their pictures.

    rig: the recording's own calibration, None where it has none. unseen: cameras that saw nobody.
    """

    tracks: tuple[PersonTrack, ...]
    sizes_wh: tuple[tuple[int, int], ...]
    rig: CameraRig | None
    unseen: tuple[str, ...]


@dataclass
class _Seen:
    """One camera's detections, frame by frame: px (P, J, 2), sure (P, J)."""

    size_wh: tuple[int, int]
    joints: tuple[str, ...]
    captured_s: list[float] = field(default_factory=list)
    px: list[F64] = field(default_factory=list)
    sure: list[F64] = field(default_factory=list)

    def add(self, captured_s: float, px: Floats, sure: Floats) -> None:
        if not np.isfinite(captured_s) or (self.captured_s and captured_s <= self.captured_s[-1]):
            return
        known = np.isfinite(px).all(-1) & (sure > 0)
        whole = known.sum(-1) >= LEAST_JOINTS
        self.captured_s.append(captured_s)
        self.px.append(np.where(known[..., None], px, np.nan)[whole].astype(np.float64))
        self.sure.append(np.where(known, sure, 0.0)[whole].astype(np.float64))


@dataclass
class _Chain:
    """One person in one camera over consecutive frames: (frame, which detection), and where, with sizes in pixels."""

    at: list[tuple[int, int]]
    places: list[F64]
    sizes: list[float]

    @property
    def way(self) -> float:
        """How far it went, in its own heights: from the 5th to the 95th of a hundred places."""
        low, high = np.percentile(np.stack(self.places), (5, 95), axis=0)
        return float(np.linalg.norm(high - low) / max(float(np.median(self.sizes)), 1e-9))


def walk_of(path: Path) -> Walk:
    """Of a session or a neutral .npz. Raises SessionError, CalibrationError."""
    seen, rig = _of_sequence(path) if path.suffix.lower() == ".npz" else _of_session(path)
    tracks, sizes, unseen = [], [], []
    for camera, each in seen.items():
        if not any(len(px) for px in each.px):
            unseen.append(camera)
            continue
        tracks.append(_tracked(camera, each))
        sizes.append(each.size_wh)
    if not tracks:
        raise CalibrationError(f"{path}: nobody is in it: record somebody who walks about in front of the cameras")
    return Walk(tuple(tracks), tuple(sizes), rig, tuple(unseen))


def rig_of_sequence(path: Path) -> CameraRig:
    """The calibration of a neutral .npz. Raises SessionError."""
    return _sequence(path).rig


def _sequence(path: Path) -> Sequence:
    try:
        return load_sequence(path)
    except DatasetError as error:
        raise SessionError(str(error)) from error


def _of_sequence(path: Path) -> tuple[dict[str, _Seen], CameraRig | None]:
    sequence = _sequence(path)
    seen = {}
    begin_s = float(sequence.times_ns[0]) * 1e-9
    for c, camera in enumerate(sequence.rig.cameras):
        captured_s = sequence.times_ns * 1e-9 if sequence.captured_s is None else sequence.captured_s[:, c]
        each = seen[camera.name] = _Seen(camera.size_wh, sequence.skeleton.joints)
        for at_s, people in zip(captured_s, sequence.keypoints[:, c][:, :, sequence.order], strict=True):
            each.add(float(at_s) - begin_s, people[..., :2], np.nan_to_num(people[..., 2]))
    return seen, sequence.rig


def _of_session(path: Path) -> tuple[dict[str, _Seen], CameraRig | None]:
    with SessionReader(path) as session:
        rig, skeleton, begin_ns = session.rig(), session.skeleton(), session.start_ns
        seen: dict[str, _Seen] = {}
        for message in session.messages(Keypoints2D):
            if message.source not in seen:
                known = skeleton if skeleton is not None and skeleton.name == message.skeleton else None
                joints = (known or SKELETONS[message.skeleton]).joints
                seen[message.source] = _Seen((message.size_wh[0], message.size_wh[1]), joints)
            at_s = (message.captured_ns - begin_ns) * 1e-9
            seen[message.source].add(at_s, message.keypoints_px, message.confidence)
        order = [camera for camera in session.cameras if camera in seen]
    return {camera: seen[camera] for camera in order}, rig


def _tracked(camera: str, seen: _Seen) -> PersonTrack:
    """The track of the one who moves most."""
    chosen = _chosen(camera, seen)
    J = len(seen.joints)
    px, sure = np.full((len(chosen), J, 2), np.nan), np.zeros((len(chosen), J))
    for n, which in enumerate(chosen):
        if which >= 0:
            px[n], sure[n] = seen.px[n][which], seen.sure[n][which]
    return PersonTrack(camera, np.array(seen.captured_s), px, sure, seen.joints)


def _chosen(camera: str, seen: _Seen) -> list[int]:
    """Which detection of each frame, -1 for none. Raises CalibrationError when several people walk."""
    chains = _without_bystanders(_chains(seen))
    of_frame: dict[int, list[_Chain]] = {}
    for chain in chains:
        for frame, _ in chain.at:
            of_frame.setdefault(frame, []).append(chain)
    crowded = sum(len(there) > 1 for there in of_frame.values())
    if crowded > MOST_CROWDED * len(of_frame):
        raise CalibrationError(
            f"camera {camera!r} sees several people who move in {crowded / len(of_frame):.0%} of its frames, and who "
            "is who in the other cameras is not known: record one person who walks about alone"
        )
    best = {frame: max(there, key=lambda chain: len(chain.at) * chain.way) for frame, there in of_frame.items()}
    return [dict(best[n].at)[n] if n in best else -1 for n in range(len(seen.px))]


def _chains(seen: _Seen) -> list[_Chain]:
    """Detections that follow each other in place, the nearest first."""
    done: list[_Chain] = []
    open_: list[_Chain] = []
    for n, people in enumerate(seen.px):
        now_s = seen.captured_s[n]
        done += [chain for chain in open_ if now_s - seen.captured_s[chain.at[-1][0]] > FORGET_S]
        open_ = [chain for chain in open_ if now_s - seen.captured_s[chain.at[-1][0]] <= FORGET_S]
        free = list(open_)
        for which, px in enumerate(people):
            place = np.nanmedian(px, axis=0)
            size = float(np.linalg.norm(np.nanmax(px, axis=0) - np.nanmin(px, axis=0)))
            near = min(free, key=lambda chain: float(np.linalg.norm(chain.places[-1] - place)), default=None)
            if near is None or np.linalg.norm(near.places[-1] - place) > SAME_PLACE * max(size, near.sizes[-1]):
                open_.append(_Chain([(n, which)], [place], [size]))
                continue
            free = [chain for chain in free if chain is not near]
            near.at.append((n, which))
            near.places.append(place)
            near.sizes.append(size)
    return done + open_


def _without_bystanders(chains: list[_Chain]) -> list[_Chain]:
    """Those beside whom nobody moves far more."""
    ways = {id(chain): chain.way for chain in chains}
    frames = {id(chain): {frame for frame, _ in chain.at} for chain in chains}

    def outdone(chain: _Chain) -> bool:
        beside = [other for other in chains if other is not chain and frames[id(chain)] & frames[id(other)]]
        return any(
            (len(chain.at) < FLICKER <= len(other.at)) or ways[id(other)] > MOVES_MORE * ways[id(chain)]
            for other in beside
        )

    return [chain for chain in chains if not outdone(chain)]
