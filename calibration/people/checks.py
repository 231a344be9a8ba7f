"""What tracks must be like for a calibration: each message names the camera and what to do."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.people.beginning import body_size
from calibration.people.body import LEAST_JOINTS, body_of
from calibration.people.track import PersonTrack, Views
from calibration.rig import Camera

Array = npt.NDArray[np.float64]

LEAST_INSTANTS = 20
LEAST_IN_ONE = 15  # instants at which a camera sees the person
STILL = 0.08  # of the person's height in the picture: spread of the trunk over the recording, in all cameras
IDENTICAL = 1e-9


def refuse_wrong_tracks(tracks: Sequence[PersonTrack], cameras: Sequence[Camera]) -> None:
    """Raises CalibrationError for what can be told without looking at geometry."""
    if len(tracks) < 2:
        raise CalibrationError("calibrating from people needs two cameras at least: nothing is told by one")
    if [track.camera for track in tracks] != [camera.name for camera in cameras]:
        raise CalibrationError(
            f"the tracks are of {', '.join(track.camera for track in tracks)}, the cameras are "
            f"{', '.join(camera.name for camera in cameras)}: they must be the same, in the same order"
        )
    if len({track.joints for track in tracks}) > 1:
        raise CalibrationError("the cameras' tracks have different joints: detect with one skeleton in all of them")
    body = body_of(tracks[0].joints)
    if len(body.joints) < LEAST_JOINTS:
        raise CalibrationError(
            f"of the joints {', '.join(tracks[0].joints)} only {', '.join(body.joints) or 'none'} are known: at least "
            f"{LEAST_JOINTS} joints such as left_shoulder, right_knee are needed"
        )
    for track in tracks:
        n = int((track.seen.sum(1) >= 4).sum())
        if n < LEAST_IN_ONE:
            raise CalibrationError(
                f"camera {track.camera!r} sees a person in {n} of {len(track.captured_s)} frames, and {LEAST_IN_ONE} "
                "are needed: let somebody walk through its picture, or leave the camera out"
            )


def refuse_wrong_views(views: Views, instants_s: Array) -> float:
    """How far the person walks, in own heights, in the picture where it is most. Raises CalibrationError when nothing
    can be learnt of the views."""
    together = (views.seen.sum(-1) >= 4).sum(0) >= 2
    if together.sum() < LEAST_INSTANTS:
        span_s = float(instants_s[-1] - instants_s[0])
        raise CalibrationError(
            f"two cameras or more see the person at only {int(together.sum())} instants within {span_s:.1f} s, and "
            f"{LEAST_INSTANTS} are needed: record half a minute of somebody walking where the pictures overlap"
        )
    sizes = body_size(views)
    most = float(np.nan_to_num(_walked(views, sizes)).max())
    if most < STILL:
        raise CalibrationError(
            f"the person stands still: in no picture does the trunk move by more than {100 * most:.0f} % of "
            "the person's height, and without walking distances cannot be told from errors of the detector: record "
            "somebody who walks through the whole room"
        )
    return most


def _walked(views: Views, sizes: Array) -> Array:
    """(C,) how far the middle of the person moves in each picture, over the person's height in it: 5th to 95th."""
    middle = np.where(views.seen[..., None], views.xy, np.nan)
    whole = views.seen.sum(-1) >= 4
    spans = np.full(len(sizes), np.nan)
    for c in range(len(sizes)):
        if whole[c].sum() >= LEAST_IN_ONE:
            low, high = np.percentile(np.nanmedian(middle[c, whole[c]], axis=1), (5, 95), axis=0)
            spans[c] = np.linalg.norm(high - low) / sizes[c]
    return spans
