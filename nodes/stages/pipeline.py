"""Fusion as a whole: messages in, poses out. Pure: no socket, no clock, no file; so a recording gives the same again.

synchroniser → crowd (who is who, left and right, lifts, fusion with what is expected, births and deaths) → Pose3D
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError
from calibration.nominal import nominal_camera
from calibration.rig import CameraRig
from configs.schema import Fusion as Settings
from lifter.runtime import Lifter
from lifter.skeleton import Skeleton
from nodes.stages.body_tree import tree_of
from nodes.stages.camera_fit import CameraFit
from nodes.stages.crowd import Crowd, Shown
from nodes.stages.delivered import DeliveredRig
from nodes.stages.expectation import expect
from nodes.stages.foresight import MOST_AHEAD_NS, carried_on
from nodes.stages.fuse import Fuser
from nodes.stages.health import HealthLedger
from nodes.stages.matching import Detected
from nodes.stages.rig_watch import RigWatch
from nodes.stages.root_relative import root_relative
from nodes.stages.synchroniser import Synchroniser, Tick
from nodes.wire.messages import (
    CameraHealth,
    Expected,
    FusionHealth,
    Keypoints2D,
    Origin,
    Person3D,
    Pose3D,
    PoseNow,
)

SOURCE = "fusion"
MAX_STRANGERS = 16  # foreign cameras that are named
MIN_JOINTS = 6  # fewer joints are no person
USUAL_SIZE_WH = (1280, 720)  # of a camera without calibration, until its first picture tells


class FusionPipeline:
    """One per rig. `push` every message of the cameras, in the order of the hub."""

    def __init__(
        self,
        rig: CameraRig | None,
        cameras: tuple[str, ...],
        settings: Settings,
        skeleton: Skeleton,
        crop_offset_px: dict[str, tuple[float, float]] | None = None,
        *,
        lifter: Lifter | None = None,
        ticks_ns: Sequence[int] = (),
    ) -> None:
        """`cameras`: those in use, each one in the rig (CalibrationError names the one that is not). rig: None with one
        camera that is not calibrated, whose poses are relative to the hips.

        skeleton: the one that the detectors speak; a camera that speaks another is left out and named. ticks_ns:
        instants to fuse, in rising order, in place of the even grid: for recordings.
        """
        self._cameras = cameras
        self._settings = settings
        self._skeleton = skeleton
        self._synchroniser = Synchroniser(cameras, settings.synchroniser, ticks_ns)
        self._crop_offset_px = crop_offset_px or {}
        self._lifter = lifter
        self._is_nominal = rig is None
        self._set_up(_nominal_rig(cameras, USUAL_SIZE_WH) if rig is None else rig.select(cameras))
        self._watch = RigWatch(cameras, settings.drift)
        self._fit = CameraFit(len(cameras))
        self._ledger = HealthLedger()
        self._shown: list[Shown] = []
        self._shown_ns = 0
        self._pose_told: Pose3D | None = None
        self._strangers: dict[str, str] = {}
        self._stream_restarts = 0
        self._began: tuple[str, int] = ("", 0)  # camera and captured_ns of the first keypoints

    def push(self, message: Keypoints2D | CameraHealth) -> list[Pose3D]:
        """Take a message in; the poses, one a tick, that it completed. published_ns is left for the sender to stamp."""
        if message.source not in self._cameras:
            if len(self._strangers) < MAX_STRANGERS:
                self._strangers[message.source] = "is not in the configuration"
            return []
        if isinstance(message, Keypoints2D) and not self._began[0]:
            self._began = (message.source, message.captured_ns)
        if isinstance(message, CameraHealth):
            ticks = self._synchroniser.end(message.source) if message.state == "ended" else []
        elif self._speaks_our_skeleton(message):
            ticks = self._synchroniser.push(message)
            self._begin_anew_with_the_stream()
        else:
            ticks = []
        return [self._pose(tick) for tick in ticks]

    def finish(self) -> list[Pose3D]:
        """The poses that were still waited for, at the end of a recording."""
        return [self._pose(tick) for camera in self._cameras for tick in self._synchroniser.end(camera)]

    def expected(self) -> Expected:
        """Where the cameras will see those who were shown at the last tick, for the detectors to look there."""
        n = len(self._skeleton.joints)
        return expect(
            self._shown_ns,
            [each.person_id for each in self._shown],
            np.array([each.estimate.joints_m for each in self._shown]).reshape(-1, n, 3),
            np.array([each.velocity_m_s for each in self._shown]).reshape(-1, n, 3),
            np.array([each.estimate.sigma_m for each in self._shown]).reshape(-1, n),
            self._delivered.rig,
            self._skeleton,
            seq=self._ledger.ticks,
        )

    def pose_at(self, now_ns: int, seq: int = 0) -> PoseNow | None:
        """The people of the last pose carried on to a time, by MOST_AHEAD_NS at most; None before the first pose."""
        last = self._pose_told
        if last is None:
            return None
        ahead_ns = min(max(now_ns - last.captured_ns, 0), MOST_AHEAD_NS)
        ahead = [carried_on(each, ahead_ns * 1e-9) for each in self._shown]
        return PoseNow(
            captured_ns=last.captured_ns + ahead_ns,
            published_ns=0,
            source=SOURCE,
            seq=seq,
            skeleton=last.skeleton,
            people=self._people(ahead),
            cameras=last.cameras,
            valid=last.valid,
            left_out=last.left_out,
            frame=last.frame,
            rests_on_ns=last.captured_ns,
        )

    def warm_up(self) -> None:
        """Compile the kernels (seconds on the first start, then cached), so that the first pose does not wait."""
        self._crowd.warm_up()

    def health(
        self, now_ns: int, idle_ns: int = 0, undecodable: int = 0, refusal: str = "", seq: int = 0
    ) -> FusionHealth:
        """The state of fusion and of its inputs at now_ns.

        idle_ns: since the last message of a camera came, by the caller's clock; ages are told by the bus's clock from
        there, so that the cameras' clocks need not agree with the caller's. undecodable, refusal: how many messages
        were dropped unread, and why the last one was.
        """
        bus_ns = self._synchroniser.clock.now_ns + idle_ns
        odd, moved = self._watch.notes, self._watch.moved
        inputs = {}
        for c, (name, inbox) in enumerate(self._synchroniser.inboxes.items()):
            misfit = self._delivered.misfits.get(name) or odd.get(name, "")
            inputs[name] = self._ledger.camera(name, inbox, bus_ns, misfit, moved.get(name), self._fit.px(c))
        notes = [f"{name}: {status.note}" for name, status in inputs.items() if status.note]
        notes += [f"{name}: {what}" for name, what in self._strangers.items()]
        notes += [f"{undecodable} messages dropped unread, the last one because: {refusal}"] if refusal else []
        return FusionHealth(
            captured_ns=now_ns,
            published_ns=0,
            source=SOURCE,
            seq=seq,
            cameras=inputs,
            ticks=self._ledger.ticks,
            rate_hz=self._ledger.rate_hz(),
            people=self._ledger.people,
            reprojection_px_p50=self._ledger.reprojection_px_p50(),
            fused_until_ns=self._ledger.fused_until_ns,
            undecodable=undecodable,
            notes=tuple(note[:500] for note in notes[:64]),
            began_source=self._began[0],
            began_ns=self._began[1],
            lifter=self._lifter_told(),
        )

    @property
    def repairs(self) -> int:
        """How often the calibration was put right so far (`fusion: drift: self_repair`)."""
        return self._watch.repairs

    @property
    def rig(self) -> CameraRig:
        """The calibration as it is believed now."""
        return self._delivered.calibrated

    def _lifter_told(self) -> str:
        if self._lifter is None:
            return "off"
        return f"{self._lifter.runs_on}{f': {self._lifter.why}' if self._lifter.why else ''}"[:1000]

    def _speaks_our_skeleton(self, message: Keypoints2D) -> bool:
        """Whether the joints are those that are fused; a camera that sends others is named."""
        if message.skeleton == self._skeleton.name and message.keypoints_px.shape[1] == len(self._skeleton.joints):
            self._strangers.pop(message.source, None)
            return True
        sent = f"{message.skeleton[:60]!r} with {message.keypoints_px.shape[1]} joints"
        self._strangers[message.source] = f"sends skeleton {sent}, not {self._skeleton.name}: use the same detector"
        return False

    def _begin_anew_with_the_stream(self) -> None:
        """After an outage, or when the clock was set, nobody is carried on from before: time has no meaning across."""
        restarts = self._synchroniser.clock.restarts
        if restarts != self._stream_restarts:
            self._stream_restarts = restarts
            self._crowd.begin_anew()
            self._watch.begin_anew()
            self._fit.begin_anew()
            self._ledger.begin_anew()

    def _set_up(self, rig: CameraRig) -> None:
        """Begin to fuse with a rig, that is of the cameras in use."""
        tree = tree_of(self._skeleton)
        self._delivered = DeliveredRig(rig, self._crop_offset_px)
        fuser = Fuser(self._delivered, self._settings.triangulation, tree, self._lifter)
        self._crowd = Crowd(fuser, self._settings, self._skeleton, tree)

    def _suit_picture(self, tick: Tick) -> None:
        """A camera without calibration is as wide as its pictures."""
        size_wh = tick.views[self._cameras[0]].size_wh
        if size_wh != self._delivered.rig.cameras[0].size_wh:
            self._set_up(_nominal_rig(self._cameras, size_wh))

    def _pose(self, tick: Tick) -> Pose3D:
        if self._is_nominal:
            self._suit_picture(tick)
        self._delivered.adapt(tick.views)
        sees = np.array([name in tick.views and name not in self._delivered.misfits for name in self._cameras])
        present = sees & [name not in self._watch.wrong for name in self._cameras]
        detected = self._detected(tick, sees)
        self._shown = self._crowd.tick(tick.captured_ns, _only(detected, present), present)
        self._shown_ns = tick.captured_ns
        if self._watch.due(tick.captured_ns):
            joints_m, velocity_m_s = self._seen()
            self._fit.take(self._delivered.arrays, detected, joints_m)
            self._watch.take(tick.captured_ns, self._delivered, detected, joints_m, velocity_m_s)
        frame = tick.completed_by
        queue_ns = frame.stages_ns.get("queue", 0)
        odd = {self._cameras[c]: why for c, why in self._crowd.left_out.items()}
        moved = {name: why for name, why in self._watch.notes.items() if name in self._watch.wrong}
        misfits = {name: why[:500] for name, why in self._delivered.misfits.items()}
        pose = Pose3D(
            captured_ns=tick.captured_ns,
            published_ns=0,
            source=SOURCE,
            seq=self._ledger.ticks,
            skeleton=self._skeleton.name,
            people=self._people(self._shown),
            cameras=self._cameras,
            valid=int(present.sum()) >= 2,
            left_out={**odd, **moved, **tick.left_out, **misfits},
            stages_ns={
                "interpolate": frame.captured_ns - tick.captured_ns,
                "queue": queue_ns,
                "detect": frame.published_ns - frame.captured_ns - queue_ns,
            },
            frame="root_relative" if self._is_nominal else "world",
        )
        self._pose_told = pose
        self._ledger.record(tick, pose)
        return pose

    def _detected(self, tick: Tick, present: npt.NDArray[np.bool_]) -> Detected:
        """All detections of the tick, as rays."""
        views = [tick.views[name] if present[c] else None for c, name in enumerate(self._cameras)]
        most = max((len(view.confidence) for view in views if view), default=0)
        shape = (len(views), max(most, 1), len(self._skeleton.joints))
        keypoints_px, confidence = np.full((*shape, 2), np.nan), np.zeros(shape)
        asked_ids, size_wh = np.full(shape[:2], -1), np.ones((len(views), 1, 1, 2))
        for c, view in enumerate(views):
            if view is None:
                continue
            count = len(view.confidence)
            keypoints_px[c, :count], confidence[c, :count], size_wh[c] = (
                view.keypoints_px,
                view.confidence,
                view.size_wh,
            )
            if len(view.asked_ids) == count:
                asked_ids[c, :count] = view.asked_ids
        # Detectors guess a little beyond the border, no more than a picture's size; NaN compares false.
        believed = ((keypoints_px >= -size_wh) & (keypoints_px <= 2 * size_wh)).all(axis=-1) & np.isfinite(confidence)
        keypoints_px[~believed], confidence[~believed] = np.nan, 0.0
        return Detected(self._delivered.rays(keypoints_px), confidence, asked_ids)

    def _seen(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Joints and their velocities (K, J, 3) of who was seen at the last tick."""
        seen = [each for each in self._shown if not each.is_predicted]
        shape = (-1, len(self._skeleton.joints), 3)
        joints_m = np.array([each.estimate.joints_m for each in seen]).reshape(shape)
        return joints_m, np.array([each.velocity_m_s for each in seen]).reshape(shape)

    def _people(self, shown: Sequence[Shown]) -> tuple[Person3D, ...]:
        return tuple(person for each in shown if (person := self._person(each)) is not None)

    def _person(self, shown: Shown) -> Person3D | None:
        """In the words of the message; None for somebody of whom too little is known."""
        estimate = root_relative(shown.estimate, self._skeleton) if self._is_nominal else shown.estimate
        joints_m, sigma_m = estimate.joints_m, estimate.sigma_m
        known_m = np.sqrt(np.maximum(sigma_m**2 - estimate.off_m**2 / 3, 0.0))  # a joint that glides is known, too
        there = np.isfinite(joints_m).all(axis=1) & (known_m <= self._settings.people.max_sigma_m)
        if there.sum() < MIN_JOINTS:
            return None
        n_views = shown.used.sum(axis=0)
        by_views = Origin.FUSED if shown.lifted else Origin.TRIANGULATED
        else_by = Origin.LIFTED if shown.lifted else Origin.PREDICTED
        origin = np.where(n_views >= 2, by_views, else_by)
        bits = np.uint32(1) << np.arange(len(shown.used), dtype=np.uint32)
        views = np.bitwise_or.reduce(np.where(shown.used, bits[:, None], np.uint32(0)), axis=0)
        return Person3D(
            id=shown.person_id,
            joints_m=np.where(there[:, None], joints_m, np.nan).astype(np.float32),
            sigma_m=np.where(there, sigma_m, np.nan).astype(np.float32),
            reprojection_px=np.where(there, shown.reprojection_px, np.nan).astype(np.float32),
            views=np.where(there, views, 0).astype(np.uint32),
            origin=np.where(there, origin, Origin.ABSENT).astype(np.uint8),
        )


def _nominal_rig(cameras: tuple[str, ...], size_wh: tuple[int, ...]) -> CameraRig:
    """Of the only camera. Raises CalibrationError when there are more."""
    if len(cameras) != 1:
        raise CalibrationError(
            f"{len(cameras)} cameras ({', '.join(cameras)}) and no calibration: only one camera can do without"
        )
    return CameraRig((nominal_camera(cameras[0], (size_wh[0], size_wh[1])),))


def _only(detected: Detected, cameras: npt.NDArray[np.bool_]) -> Detected:
    """What some of the cameras (C,) see."""
    sees = cameras[:, None, None] | (detected.confidence <= 0)
    if sees.all():
        return detected
    rays = np.where(sees[..., None], detected.rays, np.nan)
    return Detected(rays, np.where(sees, detected.confidence, 0.0), detected.asked_ids)
