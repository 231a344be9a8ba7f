import numpy as np
import pytest

from lifter.datasets.errors import DatasetError
from lifter.datasets.triangulated import clips_of
from tests.test_lifter_recorded import a_recording


def test_motion_comes_back_from_its_views():
    recording = a_recording(cameras=4, frames=9)
    (clip,) = clips_of([recording])
    np.testing.assert_allclose(clip.joints_m, recording.joints_m, atol=1e-4)


def test_a_clip_ends_where_a_joint_is_not_seen_or_a_chunk_ends():
    recording = a_recording(cameras=4, frames=12, chunk=np.repeat([0, 1], 6))
    recording.confidence[8, :, 3] = 0.0
    assert [len(clip.joints_m) for clip in clips_of([recording])] == [6, 2, 3]


def test_one_camera_has_no_motion_to_give():
    with pytest.raises(DatasetError, match="no frame in which two views agree"):
        clips_of([a_recording(cameras=2).select_cameras(["cam_0"])])
