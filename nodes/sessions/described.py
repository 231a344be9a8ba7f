"""A running system as it describes itself on the bus. Pure but for the calibration, which is read as a file."""

from dataclasses import dataclass
from typing import Any

from calibration.errors import CalibrationError
from calibration.rig import CameraRig
from configs.errors import ConfigError
from configs.schema import Config
from nodes.sessions.about import config_of, facts_of, rig_of
from nodes.sessions.errors import SessionError
from nodes.watching.monitor import Monitor
from nodes.wire.messages import About


@dataclass(frozen=True, eq=False)
class Described:
    """config: with all defaults. rig: None without a calibration. facts: {} where they are not told."""

    config: Config
    rig: CameraRig | None
    facts: dict[str, Any]

    @property
    def by_hand(self) -> tuple[str, ...]:
        """Cameras whose nodes the user starts."""
        return tuple(name for name, source in self.config.cameras.items() if not source.start)

    def monitor(self) -> Monitor:
        """What keeps its figures from now on."""
        return Monitor(tuple(self.config.cameras), by_hand=self.by_hand, fuses=not self.config.keypoints_only)

    def is_watched_alike(self, other: "Described | None") -> bool:
        """Whether what keeps the figures of one can go on with those of the other."""
        if other is None:
            return False
        mine, its = self.config, other.config
        return (tuple(mine.cameras), self.by_hand, mine.keypoints_only) == (
            *(tuple(its.cameras), other.by_hand, its.keypoints_only),
        )


def described(about: About) -> Described:
    """What is said in it. Raises SessionError with words for people."""
    try:
        return Described(config_of(about), rig_of(about), facts_of(about))
    except (SessionError, ConfigError, CalibrationError, ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise SessionError(f"what the system says about itself cannot be read: {why}") from None


def says_the_same(one: About, other: About) -> bool:
    """Whether nothing has to be read anew."""
    return (one.config_yaml, one.rig_text, one.facts_json) == (other.config_yaml, other.rig_text, other.facts_json)
