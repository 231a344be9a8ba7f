"""Motion for the lifter's tests: the virtual actor in the lifter's skeleton, as arrays and as a motion file."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lifter.datasets.motion_file import FORMAT
from lifter.derive import derive
from lifter.skeleton import BODY17, MEDIAPIPE33
from lifter.synthetic import MOTIONS, SYNTHETIC_JOINTS, joints_at

LANDMARKS = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]


def body17_motion_m(motion: str, frames: int, fps: float = 30.0) -> npt.NDArray[np.float64]:
    """Joints (frames, 17, 3) of the virtual actor, world metres, above the origin at the first frame."""
    landmarks_m = joints_at(MOTIONS[motion], np.arange(frames) / fps)[:, LANDMARKS]
    joints_m, _ = derive(landmarks_m, np.ones(landmarks_m.shape[:2]), MEDIAPIPE33, BODY17)
    return joints_m - joints_m[0, BODY17.root] * [1.0, 1.0, 0.0]


def write_motion_file(folder: Path, clips: dict[str, npt.NDArray[np.float64]]) -> Path:
    """A motion file with one clip (T, 17, 3) per subject, and splits: the last subject tests, the others train."""
    millimetres = [np.round(clip * 1000).astype(np.int16) for clip in clips.values()]
    neck = [m[:, [BODY17.index("thorax")]] for m in millimetres]
    whole = [np.concatenate([m, n], axis=1) for m, n in zip(millimetres, neck, strict=True)]
    delta = [np.concatenate([m[:1], np.diff(m, axis=0)]) for m in whole]
    subjects = list(clips)
    short = [joint.replace("left_", "l_").replace("right_", "r_") for joint in BODY17.joints]
    path = folder / "motion.npz"
    np.savez_compressed(
        path, format=FORMAT, joints=np.array([*short, "neck"]), delta=np.concatenate(delta),
        start=np.cumsum([0, *map(len, delta)]), present=np.ones((len(clips), 18), dtype=bool),
        fps=np.full(len(clips), 30.0, dtype=np.float32), subject=np.array(subjects), trial=np.array(["1"] * len(clips)),
        action=np.array(["walk"] * len(clips)), source=np.array(["test"] * len(clips)),
    )  # fmt: skip
    splits = {"train": {"subjects": subjects[:-1]}, "test": {"subjects": subjects[-1:]}}
    (folder / "splits.json").write_text(json.dumps(splits))
    return path
