"""What the live page knows of a made-up system, without a bus."""

from benchmarks.acting_people import Cast
from configs.schema import Config
from nodes.page.seen import Seen
from nodes.sessions.about import about_of
from nodes.wire.topics import envelope
from tests import messages as sample


def acting(cast: Cast, calibrated: bool = True) -> Seen:
    """What the page knows of a made-up system."""
    cameras = {name: {"source": "device", "device": 0} for name in cast.names}
    calibration = {"calibration": "rig.toml"} if calibrated else {"keypoints_only": len(cast.names) > 1}
    config = Config.model_validate({"cameras": cameras, **calibration})
    seen = Seen()
    seen.feed(about_of(config, cast.rig if calibrated else None, "CPU", skeleton=cast.skeleton), 0)
    for name in cast.names:
        seen.hear(envelope(cast.seen(name, 1.0, sample.stamps(name))), 0)
        seen.feed(cast.preview(name, 1.0, sample.stamps(name)), 0)
    seen.feed(cast.pose(1.0, sample.stamps("fusion"), {}), 0)
    return seen
