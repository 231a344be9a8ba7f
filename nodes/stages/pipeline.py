"""Fusion as a whole: messages in, poses out. Pure: no socket, no clock, no file; so a recording gives the same again.

synchroniser → (lifter, per view: to come) → association → fusion → smoothing
"""

from collections.abc import Sequence

import numpy as np

from calibration.rig import CameraRig
from configs.schema import Fusion as Settings
from lifter.runtime import Lifter
from lifter.skeleton import Skeleton
from nodes.stages.association import associate
from nodes.stages.fuse import Fused, Fuser
from nodes.stages.health import HealthLedger
from nodes.stages.smoothing import Smoothed, Smoother, make_smoother
from nodes.stages.synchroniser import Synchroniser, Tick
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Origin, Person3D, Pose3D

SOURCE = "fusion"
FORGET_PERSON_NS = 1_000_000_000  # whoever comes back later than this gets a new id
MAX_STRANGERS = 16  # foreign cameras that are named
MIN_JOINTS = 6  # fewer joints are no person


class FusionPipeline:
    """One per rig. `push` every message of the cameras, in the order of the hub."""

    def __init__(
        self,
        rig: CameraRig,
        cameras: tuple[str, ...],
        settings: Settings,
        skeleton: Skeleton,
        crop_offset_px: dict[str, tuple[float, float]] | None = None,
        *,
        lifter: Lifter | None = None,
        ticks_ns: Sequence[int] = (),
    ) -> None:
        """`cameras`: those in use, each one in the rig (CalibrationError names the one that is not).

        skeleton: the one that the detectors speak; a camera that speaks another is left out and named. ticks_ns:
        instants to fuse, in rising order, in place of the even grid: for recordings.
        """
        self._cameras = cameras
        self._settings = settings
        self._skeleton = skeleton
        self._lifter = lifter
        self._synchroniser = Synchroniser(cameras, settings.synchroniser, ticks_ns)
        self._fuser = Fuser(rig.select(cameras), settings.triangulation, crop_offset_px or {})
        self._ledger = HealthLedger()
        self._smoother: Smoother | None = None
        self._person_id = 0
        self._person_seen_ns: int | None = None
        self._strangers: dict[str, str] = {}
        self._stream_restarts = 0

    def push(self, message: Keypoints2D | CameraHealth) -> list[Pose3D]:
        """Take a message in; the poses, one a tick, that it completed. published_ns is left for the sender to stamp."""
        if message.source not in self._cameras:
            if len(self._strangers) < MAX_STRANGERS:
                self._strangers[message.source] = "is not in the configuration"
            return []
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

    def warm_up(self) -> None:
        """Compile the kernels (seconds on the first start, then cached), so that the first pose does not wait."""
        self._fuser.warm_up()

    def health(
        self, now_ns: int, idle_ns: int = 0, undecodable: int = 0, refusal: str = "", seq: int = 0
    ) -> FusionHealth:
        """The state of fusion and of its inputs at now_ns.

        idle_ns: since the last message of a camera came, by the caller's clock; ages are told by the bus's clock from
        there, so that the cameras' clocks need not agree with the caller's. undecodable, refusal: how many messages
        were dropped unread, and why the last one was.
        """
        bus_ns = self._synchroniser.clock.now_ns + idle_ns
        inputs = {
            name: self._ledger.camera(name, inbox, bus_ns, self._fuser.misfits.get(name, ""))
            for name, inbox in self._synchroniser.inboxes.items()
        }
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
        )

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
            self._smoother = None
            self._person_seen_ns = None
            self._ledger.begin_anew()

    def _pose(self, tick: Tick) -> Pose3D:
        n_joints = len(self._skeleton.joints)
        self._fuser.adapt(tick.views)
        people = [self._fuser.fuse(seen) for seen in associate(tick, self._cameras, n_joints)]
        frame = tick.completed_by
        queue_ns = frame.stages_ns.get("queue", 0)
        pose = Pose3D(
            captured_ns=tick.captured_ns,
            published_ns=0,
            source=SOURCE,
            seq=self._ledger.ticks,
            skeleton=self._skeleton.name,
            people=self._follow(tick.captured_ns, people, n_joints),
            cameras=self._cameras,
            valid=len(tick.views.keys() - self._fuser.misfits.keys()) >= 2,
            left_out={**tick.left_out, **{name: why[:500] for name, why in self._fuser.misfits.items()}},
            stages_ns={
                "interpolate": frame.captured_ns - tick.captured_ns,
                "queue": queue_ns,
                "detect": frame.published_ns - frame.captured_ns - queue_ns,
            },
        )
        self._ledger.record(tick, pose)
        return pose

    def _follow(self, captured_ns: int, people: list[Fused], n_joints: int) -> tuple[Person3D, ...]:
        """Smooth the person over time; carry it on over a short gap, give a new id after a long one."""
        fused = people[0] if people else _nobody(n_joints)
        if np.isfinite(fused.joints_m[:, 0]).sum() >= MIN_JOINTS:
            if self._person_seen_ns is None or captured_ns - self._person_seen_ns > FORGET_PERSON_NS:
                self._person_id += 1
                self._smoother = make_smoother(self._settings.smoothing, n_joints)
            self._person_seen_ns = captured_ns
        if self._smoother is None:
            return ()
        smoothed = self._smoother.update(captured_ns, fused.joints_m, fused.sigma_m)
        if np.isfinite(smoothed.joints_m[:, 0]).sum() < MIN_JOINTS:
            return ()
        return (_person(self._person_id, fused, smoothed),)


def _nobody(n_joints: int) -> Fused:
    nowhere = np.full(n_joints, np.nan)
    return Fused(np.full((n_joints, 3), np.nan), nowhere, nowhere, np.zeros(n_joints, dtype=np.uint32))


def _person(person_id: int, fused: Fused, smoothed: Smoothed) -> Person3D:
    absent = np.isnan(smoothed.joints_m[:, 0])
    origin = np.where(smoothed.predicted, Origin.PREDICTED, Origin.TRIANGULATED)
    return Person3D(
        id=person_id,
        joints_m=smoothed.joints_m.astype(np.float32),
        sigma_m=np.where(absent, np.nan, smoothed.sigma_m).astype(np.float32),
        reprojection_px=fused.reprojection_px.astype(np.float32),
        views=np.where(absent, 0, fused.views).astype(np.uint32),
        origin=np.where(absent, Origin.ABSENT, origin).astype(np.uint8),
    )
