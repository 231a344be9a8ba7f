"""Settings of adapting a lifter to a user's own cameras: what `python -m lifter.adapt --set` may change."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from configs.errors import ConfigError
from configs.load_training import parse_change
from configs.training import Share, Strict


class Adaptation(Strict):
    """How long and how boldly to adapt, and when to stop."""

    learning_rate: PositiveFloat = Field(4e-5, description="of Adam, as published")
    steps: PositiveInt = Field(3000, description="at most")
    frames_per_step: PositiveInt = Field(
        128, description="frames, each seen by all cameras; a window of L frames counts L"
    )
    window: PositiveInt = Field(32, description="consecutive frames per sample, for a sequence model")
    judge_every: PositiveInt = Field(50, description="steps between looks at what was withheld")
    patience: PositiveInt = Field(8, description="looks without a new best after which to stop")
    least_gain: NonNegativeFloat = Field(0.005, description="share of the miss below which adaptation did not help")
    block_s: PositiveFloat = Field(2.0, description="each camera in turn is withheld for so long")
    mirrored: Share = 0.5
    level: bool = Field(True, description="the rig's z axis points up; false where the calibration does not know")
    seed: NonNegativeInt = 0


def adaptation_of(changes: list[str]) -> Adaptation:
    """The settings with `key=value` changes from the command line. Raises ConfigError."""
    given = dict(parse_change(change, "learning_rate=1e-4") for change in changes)
    try:
        return Adaptation.model_validate(given)
    except ValidationError as error:
        known = ", ".join(Adaptation.model_fields)
        lines = (f"--set {'.'.join(map(str, e['loc']))}: {e['msg']} (known: {known})" for e in error.errors())
        raise ConfigError("\n".join(lines)) from None
