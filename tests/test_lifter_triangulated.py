import numpy as np
import pytest

from configs.training import Triangulated
from configs.training_data import Recordings
from lifter.datasets.errors import DatasetError
from lifter.datasets.neutral import save_neutral
from lifter.datasets.opening import open_source
from lifter.datasets.triangulated import clips_of
from lifter.skeleton import BODY17, COCO17, H36M17
from tests.multiview_files import actor_recording
from tests.test_lifter_recorded import a_recording


def test_motion_comes_back_from_its_views():
    recording = a_recording(cameras=4, frames=9)
    (clip,) = clips_of([recording], BODY17)
    floor_m = np.percentile(recording.joints_m[..., 2].min(axis=1), 5)
    np.testing.assert_allclose(clip.joints_m, recording.joints_m - [0, 0, floor_m], atol=1e-4)


def test_a_clip_ends_where_a_joint_is_not_seen_or_a_chunk_ends():
    recording = a_recording(cameras=4, frames=12, chunk=np.repeat([0, 1], 6))
    recording.confidence[8, :, 3] = 0.0
    assert [len(clip.joints_m) for clip in clips_of([recording], BODY17)] == [6, 2, 3]


def test_one_camera_has_no_motion_to_give():
    with pytest.raises(DatasetError, match="no frame in which two views agree"):
        clips_of([a_recording(cameras=2).select_cameras(["cam_0"])], BODY17)


def test_the_floor_is_at_zero_wherever_the_calibration_puts_it():
    recording, raised = a_recording(cameras=4, frames=9), a_recording(cameras=4, frames=9, height_m=0.7)
    low, high = (clip.joints_m for clip in clips_of([recording, raised], BODY17))
    assert np.abs(raised.joints_m - recording.joints_m).max() > 0.6
    np.testing.assert_allclose(low, high, atol=1e-4)


@pytest.mark.parametrize(
    ("skeleton", "told"),
    [
        (H36M17, "left_toe, right_toe, head of body17; set skeleton: h36m17"),
        (COCO17, "left_toe, right_toe of body17; use kind: recordings"),
    ],
)
def test_joints_that_the_2d_lacks_are_named_with_what_to_set(skeleton, told):
    with pytest.raises(DatasetError, match=told):
        clips_of([actor_recording(skeleton)], BODY17)


def test_a_recording_that_shows_nothing_gives_no_clip():
    empty = a_recording(cameras=4, frames=5)
    empty.confidence[:] = 0.0
    assert len(clips_of([empty, a_recording(cameras=4, frames=5)], BODY17)) == 1


def test_a_rig_that_is_not_level_is_refused(tmp_path):
    save_neutral(actor_recording(), tmp_path / "a.npz")
    settings = Triangulated(recordings=Recordings(files=["a.npz"], level=False))
    with pytest.raises(DatasetError, match="needs a rig whose z axis points up; use kind: recordings"):
        open_source(settings, tmp_path, H36M17, 1)
