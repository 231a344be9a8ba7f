from dataclasses import replace

import numpy as np
import pytest

from calibration.synthetic import ring_rig
from lifter.datasets.errors import DatasetError
from lifter.datasets.recorded import RecordingSource
from lifter.datasets.recording import Recording, projected
from lifter.skeleton import BODY17
from tests.lifter_data import body17_motion_m


def a_recording(cameras=3, frames=12, chunk=None, name="r", height_m=0.0):
    joints_m = (body17_motion_m("reach", frames) + np.array([0, 0, height_m])).astype(np.float32)
    rig = ring_rig(cameras, 4.0, 1.5, (1920, 1080), 1100.0)
    nothing = np.full((frames, cameras, 17, 2), np.nan, dtype=np.float32)
    chunk = np.zeros(frames, dtype=int) if chunk is None else chunk
    action = np.full(frames, "reach")
    empty = Recording(name, BODY17, rig, nothing, nothing[..., 0], joints_m, action, chunk, 30.0)
    return projected(empty)


def reprojection(batch):
    """Largest distance between rays and the truth seen from the cameras, where there is weight."""
    from_cam = batch.joints_m[:, None] - batch.centre_m[:, :, None, None]
    in_cam = np.einsum("bcij,bclkj->bclki", batch.R_cam_world, from_cam)
    return np.abs(in_cam[..., :2] / in_cam[..., 2:] - batch.rays)[batch.weight > 0].max()


@pytest.mark.parametrize("mirrored", [0.0, 1.0])
def test_cameras_rays_and_truth_belong_together_also_in_the_mirror(mirrored):
    source = RecordingSource([a_recording()], BODY17, 4, mirrored, level=True)
    batch = source.draw(6, np.random.default_rng(0))
    assert batch.keypoints.shape == (6, 3, 4, 17, 3)
    assert reprojection(batch) < 1e-5
    np.testing.assert_allclose(np.linalg.det(batch.R_cam_world), 1.0, atol=1e-5)


def test_rigs_of_different_size_share_a_batch():
    source = RecordingSource([a_recording(2), a_recording(4)], BODY17, 1, 0.5, level=True)
    batch = source.draw(40, np.random.default_rng(1))
    assert (source.fewest_cameras, source.cameras) == (2, 4)
    assert source.frames == 24
    assert reprojection(batch) < 1e-5
    lacking = (batch.weight == 0).all((2, 3))
    assert set(lacking.sum(1)) == {0, 2}


def test_windows_stay_within_chunks_and_recordings():
    chunked = a_recording(frames=12, chunk=np.repeat([0, 1], 6))
    source = RecordingSource([chunked, a_recording(frames=4)], BODY17, 5, 0.0, level=True)
    assert source._starts.tolist() == [0, 1, 6, 7]
    with pytest.raises(DatasetError, match="no recording has 7 consecutive frames"):
        RecordingSource([chunked], BODY17, 7, 0.0, level=True)


def test_a_rig_that_is_not_level_tells_no_tilt():
    batch = RecordingSource([a_recording()], BODY17, 1, 0.0, level=False).draw(2, np.random.default_rng(2))
    assert (batch.context[..., 1:] == 0).all()


def test_a_source_tells_whether_any_frame_has_a_truth():
    known = a_recording()
    unknown = replace(known, joints_m=None)
    assert RecordingSource([unknown, known], BODY17, 1, 0.0, level=True).labelled
    assert not RecordingSource([unknown, unknown], BODY17, 1, 0.0, level=True).labelled


def test_no_recording_is_refused():
    with pytest.raises(DatasetError, match="the files hold no person"):
        RecordingSource([], BODY17, 1, 0.0, level=True)
