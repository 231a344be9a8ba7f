"""The lifter as the live system uses it: one camera's 2D poses in, metric 3D out, without torch.

    lifter = load()                                           # the weights that come with livepose3d
    lifts = lifter.lift(rays, confidence, up_cam)             # all views and people of a tick: one row each
    lifts, state = lifter.lift_stream(rays, confidence, up_cam, state)    # sequence weights: state = lifter.start(rows)

Rays are `calibration.pinhole.undistort(K, dist8, keypoints_px)`; results are in each row's own camera.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifter.derive import derive_known
from lifter.errors import LifterError
from lifter.normalise import Views, normalise
from lifter.onnx_file import Card, is_whole, read_card
from lifter.providers import INSTALL_CUDA, MAX_ROWS, Shapes, open_fastest, open_on_cpu
from lifter.skeleton import LIMB_JOINTS, SKELETONS, Skeleton

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MAX_RAY = 30.0  # 88 degrees off the axis
MAX_CONFIDENCE = 1.5  # above it is a percentage; OpenPose's goes a little beyond 1
MIN_LIMB_JOINTS = 6  # of twelve: detectors of upper bodies have six; with fewer there is hardly a pose to lift

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = WEIGHTS / "body17_frame.onnx"
SEQUENCE = WEIGHTS / "body17_sequence.onnx"


@dataclass(frozen=True)
class Lifts:
    """N lifted poses in the axes of each row's camera; a row that could not be lifted is NaN and not valid."""

    joints_cam_m: F64  # (N, J, 3), relative to the root joint
    sigma_m: F64  # (N, J): one standard deviation per axis
    root_cam_m: F64  # (N, 3): where the pose meets its own 2D best; its depth is as good as the body's size is guessed
    valid: npt.NDArray[np.bool_]  # (N,)


class Lifter:
    """A network that is ready to run. Made by `load`."""

    def __init__(self, session: Any, card: Card, skeleton: Skeleton, given: Skeleton, runs_on: str, why: str) -> None:
        self.card = card
        self.skeleton = skeleton  # of the results
        self.given = given  # of the 2D poses that the calls take
        self.runs_on = runs_on  # such as "TensorRT on NVIDIA RTX A4000" or "ONNX Runtime CPU"
        self.why = why  # what is missing for the faster ways to run; empty when there is no faster one
        self._session = session

    @property
    def kind(self) -> str:
        """`frame` (use `lift`) or `sequence` (use `lift_stream`)."""
        return self.card.kind

    def lift(self, rays: npt.ArrayLike, confidence: npt.ArrayLike, up_cam: npt.ArrayLike | None = None) -> Lifts:
        """Lift N rows, each a person in a view; rows do not influence each other.

        rays: (N, J, 2) ideal normalised coordinates (x/z, y/z), NaN where a joint is absent. confidence: (N, J).
        up_cam: (3,) or (N, 3), the direction against gravity in the camera; None or NaN where it is not known.
        Raises LifterError on other shapes, and for sequence weights.
        """
        self._must_be("frame", "lift_stream(rays, confidence, up_cam, state) with state = start(rows)")
        return self.lift_own(*self.own(rays, confidence), up_cam)

    def own(self, rays: npt.ArrayLike, confidence: npt.ArrayLike) -> tuple[F64, F64]:
        """The 2D of the lifter's own joints, `skeleton`: rays and confidence as `lift` takes them, for `lift_own`.

        Raises LifterError on wrong shapes and on other units.
        """
        x, c = np.asarray(rays, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
        n_joints = len(self.given.joints)
        told = f"{self.given.name} has {n_joints} joints"
        if x.ndim != 3 or x.shape[1:] != (n_joints, 2):
            raise LifterError(f"rays has the shape {x.shape}, expected (N, {n_joints}, 2): {told}")
        if c.shape != x.shape[:2]:
            raise LifterError(f"confidence has the shape {c.shape}, expected {x.shape[:2]}, as rays has: {told}")
        _must_be_rays(x)
        largest = c.max(initial=0.0, where=c > 1.0)  # NaN compares false
        if largest > MAX_CONFIDENCE:
            raise LifterError(f"confidence is {largest:.3g}; it is 0 to 1")
        return derive_known(x, np.minimum(c, 1.0), self.given, self.skeleton)

    def lift_own(self, rays: F64, confidence: F64, up_cam: npt.ArrayLike | None = None) -> Lifts:
        """As `lift`, of what `own` gave, or some rows of it."""
        self._must_be("frame", "lift_stream(rays, confidence, up_cam, state) with state = start(rows)")
        views = _views(rays, confidence, up_cam)
        return _lifts(views, *self._run({"keypoints": views.keypoints, "context": views.context}))

    def start(self, rows: int) -> F32:
        """The state (rows, S, W) of streams that have not begun. A row set back to zero begins anew."""
        self._must_be("sequence", "lift(rays, confidence, up_cam)")
        return np.zeros((rows, *(self.card.state_shape or ())), dtype=np.float32)

    def lift_stream(
        self, rays: npt.ArrayLike, confidence: npt.ArrayLike, up_cam: npt.ArrayLike | None, state: F32
    ) -> tuple[Lifts, F32]:
        """Lift the next frame of N streams (a person in a view over time); the state goes into the next call.

        As `lift`, and state: (N, S, W), not changed here. A row that could not be lifted keeps its state as it was, as
        if the frame had not been; after a long gap begin the row anew. Frames should follow at `card.rate_hz`.
        """
        self._must_be("sequence", "lift(rays, confidence, up_cam)")
        views = _views(*self.own(rays, confidence), up_cam)
        wanted = (len(views.valid), *(self.card.state_shape or ()))
        if np.shape(state) != wanted:
            raise LifterError(
                f"state has the shape {np.shape(state)}, expected {wanted}: begin with start({wanted[0]})"
            )
        before = np.asarray(state, dtype=np.float32)
        *lift, after = self._run({"keypoints": views.keypoints, "context": views.context, "state": before})
        lifts = _lifts(views, *lift)
        return lifts, after if lifts.valid.all() else np.where(lifts.valid[:, None, None], after, before)

    def _must_be(self, kind: str, instead: str) -> None:
        if self.kind != kind:
            raise LifterError(f"these weights are a {self.kind} model: use {instead}")

    def _run(self, inputs: dict[str, F32]) -> list[F32]:
        """All outputs, in at most MAX_ROWS rows at a time: TensorRT's engines are built for no more."""
        n = len(inputs["keypoints"])
        if 0 < n <= MAX_ROWS:
            return self._session.run(None, inputs)
        starts = range(0, max(n, 1), MAX_ROWS)  # no rows at all: one call with none, for the shapes
        parts = [self._session.run(None, {k: x[i : i + MAX_ROWS] for k, x in inputs.items()}) for i in starts]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _views(rays: F64, confidence: F64, up_cam: npt.ArrayLike | None) -> Views:
    """What the network is given. Raises LifterError on another shape of up_cam."""
    if up_cam is not None and np.shape(up_cam) not in ((3,), (len(rays), 3)):
        raise LifterError(f"up_cam has the shape {np.shape(up_cam)}, expected (3,) or ({len(rays)}, 3)")
    return normalise(rays, confidence, up_cam)


def _must_be_rays(rays: F64) -> None:
    """Raises LifterError for pixels: most coordinates are large. A few are where a lens's distortion has no inverse."""
    size = np.abs(rays)
    beyond = (size > MAX_RAY) & (size < np.inf)
    if beyond.any() and 2 * beyond.sum() > np.isfinite(size).sum():
        raise LifterError(
            f"rays of more than {MAX_RAY:.0f} look like pixels: give calibration.pinhole.undistort(K, dist8, "
            "keypoints_px)"
        )


def _lifts(views: Views, joints_m: F32, sigma_m: F32, root_m: F32) -> Lifts:
    """From the view frame to each row's camera."""
    R_view_cam = views.R_cam_view.transpose(0, 2, 1)  # from the right, on rows of coordinates
    joints_cam_m = joints_m.astype(np.float64) @ R_view_cam
    root_cam_m = (root_m[:, None].astype(np.float64) @ R_view_cam)[:, 0]
    sigma = sigma_m.astype(np.float64)
    valid = views.valid & np.isfinite(joints_cam_m.sum((1, 2)) + sigma.sum(1) + root_cam_m.sum(1))
    valid &= root_cam_m[:, 2] > 0  # nobody is seen from behind the camera
    if not valid.all():
        for result in (joints_cam_m, sigma, root_cam_m):
            result[~valid] = np.nan
    return Lifts(joints_cam_m, sigma, root_cam_m, valid)


def load(
    path: str | Path | None = None,
    skeleton: Skeleton | None = None,
    require_gpu: bool = False,
    threads: int = 1,
    fp16: bool = False,
) -> Lifter:
    """A lifter from a weight file, by default the one that comes with livepose3d, on the fastest way to run there is.

    skeleton: of the 2D poses that will be given, by default the model's own; any other that has MIN_LIMB_JOINTS of its
    limb joints does too, and what it lacks is lifted unseen. require_gpu refuses the CPU. threads: on the CPU; one is
    fastest for a few rows. fp16: TensorRT may compute in half precision, which costs millimetres. Raises LifterError
    when the file or the machine does not serve.
    """
    path = DEFAULT if path is None else Path(path)
    content = _read(path)
    on_cpu = _open(path, content, threads)
    card = read_card(_metadata(path, on_cpu), path)
    model_skeleton = _check(path, content, card)
    given = model_skeleton if skeleton is None else skeleton
    _must_have_limbs(path, given, model_skeleton)
    shapes: Shapes = {each.name: tuple(each.shape[1:]) for each in on_cpu.get_inputs()}
    choice = open_fastest(content, on_cpu, shapes, fp16)
    why = "; ".join(choice.why_not)
    if require_gpu and choice.session is on_cpu:
        raise LifterError(f"a GPU is required, and the lifter would run on the CPU. {why}. For a GPU: {INSTALL_CUDA}")
    return Lifter(choice.session, card, model_skeleton, given, choice.runs_on, why)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        known = ", ".join(sorted(file.name for file in WEIGHTS.glob("*.onnx"))) or "none"
        raise LifterError(
            f"weight file {path} does not exist. With livepose3d come: {known} (in {WEIGHTS}); others are made by: "
            "python -m lifter.export CHECKPOINT"
        ) from None
    except OSError as error:
        raise LifterError(f"weight file {path} cannot be read: {error.strerror}") from None


def _open(path: Path, content: bytes, threads: int) -> Any:
    """A session on the CPU, which also shows whether the file is a model at all."""
    try:
        return open_on_cpu(content, threads)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        reason = str(error).rpartition(" : ")[2].strip()
        raise LifterError(f"{path} is damaged or is no ONNX file: {reason} Get it again, or export it again") from None


def _metadata(path: Path, session: Any) -> dict[str, str]:
    try:
        return session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError:
        raise LifterError(f"{path} is damaged: its metadata are not text. Get it again, or export it again") from None


def _check(path: Path, content: bytes, card: Card) -> Skeleton:
    """The skeleton of a weight file that is whole. Raises LifterError."""
    if not is_whole(content):
        raise LifterError(
            f"{path} is damaged: its content does not match its checksum. Get it again, or export it again"
        )
    skeleton = SKELETONS.get(card.skeleton)
    if skeleton is None or skeleton.joints != card.joints:
        raise LifterError(
            f"{path} is for the skeleton {card.skeleton} with the joints {', '.join(card.joints)}; this version of "
            f"livepose3d knows {', '.join(SKELETONS)}, and none is the same"
        )
    return skeleton


def _must_have_limbs(path: Path, given: Skeleton, wanted: Skeleton) -> None:
    """Raises LifterError unless enough of the model's limb joints can be had from those that will be given."""
    known, _ = derive_known(np.zeros((len(given.joints), 2)), np.zeros(len(given.joints)), given, wanted)
    limbs = [joint for joint in wanted.joints if joint in LIMB_JOINTS]
    lacking = [joint for joint in limbs if np.isnan(known[wanted.index(joint), 0])]
    had = len(limbs) - len(lacking)
    if had < min(MIN_LIMB_JOINTS, len(limbs)):
        raise LifterError(
            f"{path} lifts the skeleton {wanted.name}, and the 2D poses are {given.name}, which has {had} of its "
            f"{len(limbs)} limb joints: at least {MIN_LIMB_JOINTS} are needed. It lacks {', '.join(lacking)}; joints "
            f"go by their names. Or train a lifter for {given.name}: python -m lifter.train --help"
        )
