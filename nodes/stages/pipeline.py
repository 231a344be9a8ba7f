"""Fusion as a whole: messages in, poses out. Pure: no socket, no clock, no file; so a recording gives the same again.

synchroniser → (lifter, per view: to come) → association → fusion → smoothing
"""

import numpy as np

from calibration.rig import CameraRig
from configs.schema import Fusion as Settings
from lifter.skeleton import SKELETONS
from nodes.stages.association import associate
from nodes.stages.fuse import Fused, Fuser
from nodes.stages.health import HealthLedger
from nodes.stages.smoothing import Smoothed, Smoother, make_smoother
from nodes.stages.synchroniser import Synchroniser, Tick
from nodes.wire.messages import CameraHealth, FusionHealth, Keypoints2D, Origin, Person3D, Pose3D

SOURCE = "fusion"
FORGET_PERSON_NS = 1_000_000_000  # whoever comes back later than this gets a new id
MIN_JOINTS = 6  # fewer joints are no person


class FusionPipeline:
    """One per rig. `push` every message of the cameras, in the order of the hub."""

    def __init__(
        self,
        rig: CameraRig,
        cameras: tuple[str, ...],
        settings: Settings,
        crop_offset_px: dict[str, tuple[float, float]] | None = None,
    ) -> None:
        """`cameras`: those in use, each one in the rig (CalibrationError names the one that is not)."""
        self._cameras = cameras
        self._settings = settings
        self._synchroniser = Synchroniser(cameras, settings.synchroniser)
        self._fuser = Fuser(rig.select(cameras), settings.triangulation, crop_offset_px or {})
        self._ledger = HealthLedger()
        self._skeleton: str | None = None
        self._smoother: Smoother | None = None
        self._person_id = 0
        self._person_seen_ns: int | None = None
        self._strangers: dict[str, str] = {}

    def push(self, message: Keypoints2D | CameraHealth) -> list[Pose3D]:
        """Take a message in; the poses, one a tick, that it completed. published_ns is left for the sender to stamp."""
        if message.source not in self._cameras:
            self._strangers[message.source[:60]] = "is not in the configuration"
            return []
        if isinstance(message, CameraHealth):
            ticks = self._synchroniser.end(message.source) if message.state == "ended" else []
        elif not self._speaks_our_skeleton(message):
            return []
        else:
            ticks = self._synchroniser.push(message)
        return [self._pose(tick) for tick in ticks]

    def warm_up(self) -> None:
        """Compile the kernels (seconds on the first start, then cached), so that the first pose does not wait."""
        self._fuser.warm_up()

    def health(self, now_ns: int, undecodable: int = 0, seq: int = 0) -> FusionHealth:
        """The state of fusion and of its inputs at now_ns."""
        inputs = {
            name: self._ledger.camera(name, inbox, now_ns, self._fuser.misfits.get(name, ""))
            for name, inbox in self._synchroniser.inboxes.items()
        }
        notes = [f"{name}: {status.note}" for name, status in inputs.items() if status.note]
        notes += [f"{name}: {what}" for name, what in list(self._strangers.items())[:8]]
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
        """The first camera decides on the skeleton; one that speaks another is left out and named."""
        skeleton = SKELETONS.get(message.skeleton)
        if skeleton is None or message.keypoints_px.shape[1] != len(skeleton.joints):
            self._strangers[message.source] = f"sends unknown skeleton {message.skeleton!r}"
            return False
        if self._skeleton is None:
            self._skeleton = message.skeleton
        if message.skeleton != self._skeleton:
            self._strangers[message.source] = f"sends skeleton {message.skeleton}, the others {self._skeleton}"
            return False
        return True

    def _pose(self, tick: Tick) -> Pose3D:
        assert self._skeleton is not None  # a tick needs a frame, a frame was let in with its skeleton
        n_joints = len(SKELETONS[self._skeleton].joints)
        self._fuser.adapt(tick.views)
        people = [self._fuser.fuse(seen) for seen in associate(tick, self._cameras, n_joints)]
        frame = tick.completed_by
        queue_ns = frame.stages_ns.get("queue", 0)
        pose = Pose3D(
            captured_ns=tick.captured_ns,
            published_ns=0,
            source=SOURCE,
            seq=self._ledger.ticks,
            skeleton=self._skeleton,
            people=self._follow(tick.captured_ns, people, n_joints),
            cameras=self._cameras,
            valid=len(tick.views) - len(self._fuser.misfits) >= 2,
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
