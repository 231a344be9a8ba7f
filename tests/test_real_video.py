"""Real video through the whole system; needs the recordings beside the project."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_video import PROJECT, compare

RECORDING = PROJECT.parent / "shared" / "data" / "pose2sim" / "videos_single"

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.live]


@pytest.mark.skipif(not RECORDING.is_dir(), reason=f"the recording {Path(*RECORDING.parts[-4:])} is not here")
def test_all_ticks_are_fused_and_reproject_no_worse_than_plain_dlt():
    counts, ours_px, plain_px = compare(PROJECT / "configs" / "pose2sim_single.yaml")
    assert counts["ticks of the overlap"] == 100
    assert counts["fused"] == 100
    both = np.isfinite(ours_px) & np.isfinite(plain_px)
    assert np.median(ours_px[both]) <= np.median(plain_px[both])
    assert np.isfinite(ours_px).mean() > 0.95 * np.isfinite(plain_px).mean()
