"""One person as all cameras saw him at the same moments, and whose clock is late, by how well a rig fits that."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from calibration.measure import spread_of, triangulated
from calibration.people.track import PersonTrack, between_frames
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from nodes.calibrating.person_input import PersonSeen

F64 = npt.NDArray[np.float64]

INSTANTS_PER_S, MOST_INSTANTS = 10.0, 600  # a step takes half a second; more tell nothing new
INSTANTS_FOR_CLOCKS = 150
LATENESS_S = np.arange(-12, 13) / 60  # tried: half a frame of 30 Hz apart, up to 200 ms
CLOCKS_PAY = 0.6  # of the error that is left when clocks are corrected: two cameras alone can always be shifted to fit


def at_instants(
    person: PersonSeen, late_s: Mapping[str, float] | None = None, most: int = MOST_INSTANTS
) -> BoardSightings:
    """What all cameras saw at the same moments, between their frames, with joints as corners.

    late_s: by camera, how much later than the moment its clock says.
    """
    begin_s = min(track.captured_s[0] for track in person.tracks)
    end_s = max(track.captured_s[-1] for track in person.tracks)
    count = int(np.clip((end_s - begin_s) * INSTANTS_PER_S, 2, most))
    at_s = np.linspace(begin_s, end_s, count)
    px = np.stack([_seen_at(track, at_s + (late_s or {}).get(track.camera, 0.0)) for track in person.tracks])
    shape = px.shape[:2]
    return BoardSightings(
        cameras=tuple(track.camera for track in person.tracks),
        sizes_wh=person.sizes_wh,
        captured_s=np.broadcast_to(at_s, shape),
        frame=np.broadcast_to(np.arange(count), shape),
        corners_px=px,
        mirrored=np.zeros(shape, dtype=bool),
    )


def lateness_s(rig: CameraRig, person: PersonSeen, seen: BoardSightings) -> dict[str, float]:
    """By camera, how late its clock is against the first one's, where that tells of most of what does not fit; else {}.

    Camera by camera, all of LATENESS_S are tried, twice round.
    """
    few = at_instants(person, most=INSTANTS_FOR_CLOCKS)
    at_s = few.captured_s[0]
    tracks = [next(track for track in person.tracks if track.camera == name) for name in seen.cameras]
    px = np.stack([few.corners_px[few.cameras.index(name)] for name in seen.cameras])
    first = best = _px(rig, px)
    late = np.zeros(len(tracks))
    for c in (*range(1, len(tracks)), *range(1, len(tracks))):
        for late_s in LATENESS_S:
            shifted = px.copy()
            shifted[c] = _seen_at(tracks[c], at_s + late_s)
            tried = _px(rig, shifted)
            if tried < best:
                best, late[c], px = tried, late_s, shifted
    if not best <= CLOCKS_PAY * first:
        return {}
    return dict(zip(seen.cameras, late.tolist(), strict=True))


def _seen_at(track: PersonTrack, at_s: F64) -> F64:
    return between_frames(track.captured_s, track.keypoints_px, track.confidence, at_s)[0]


def _px(rig: CameraRig, px: F64) -> float:
    return spread_of(rig, px - rig.project(triangulated(rig, px))).px_p50_at_1000
