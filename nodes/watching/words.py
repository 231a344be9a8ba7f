"""The words and colours for the state of a system, the same on the page, in the terminal and in pictures."""

from enum import IntEnum
from typing import NamedTuple

from nodes.wire.messages import Origin


class Level(IntEnum):
    """How well something goes; the worst of several is their maximum."""

    GOOD = 0
    CALM = 1  # neither good nor bad: not begun, ended, switched off
    WARN = 2
    BAD = 3


class Rgb(NamedTuple):
    """A colour, 0 to 255."""

    r: int
    g: int
    b: int

    @property
    def hex(self) -> str:
        return f"#{self.r:02x}{self.g:02x}{self.b:02x}"


LEVEL_OF_STATE = {
    "streaming": Level.GOOD,
    "running": Level.GOOD,
    "ready": Level.CALM,
    "ended": Level.CALM,
    "off": Level.CALM,
    "starting": Level.WARN,
    "awaited": Level.WARN,
    "reconnecting": Level.WARN,
    "restarting": Level.BAD,
    "silent": Level.BAD,
}
LEVEL_RGB = {
    Level.GOOD: Rgb(46, 200, 112),
    Level.CALM: Rgb(110, 160, 230),
    Level.WARN: Rgb(245, 185, 60),
    Level.BAD: Rgb(240, 80, 80),
}
LEVEL_STYLE = {Level.GOOD: "green", Level.CALM: "blue", Level.WARN: "yellow", Level.BAD: "bold red"}  # of rich
ORIGIN_RGB = {
    Origin.TRIANGULATED: Rgb(46, 200, 112),
    Origin.FUSED: Rgb(80, 190, 255),
    Origin.LIFTED: Rgb(245, 185, 60),
    Origin.PREDICTED: Rgb(240, 80, 80),
    Origin.ABSENT: Rgb(130, 130, 130),
}
ORIGIN_WORDS = {
    Origin.TRIANGULATED: "seen by two cameras or more",
    Origin.FUSED: "cameras and lifter together",
    Origin.LIFTED: "one camera and the lifter",
    Origin.PREDICTED: "carried on by its motion",
}
# People are told apart by these, in the order of their ids; readable on dark ground and apart for the colour-blind
# (after Okabe and Ito, 2008).
PERSON_RGB = (
    Rgb(86, 180, 233),
    Rgb(230, 159, 0),
    Rgb(0, 200, 150),
    Rgb(240, 228, 66),
    Rgb(204, 121, 167),
    Rgb(213, 94, 0),
    Rgb(160, 160, 255),
    Rgb(190, 220, 120),
)
BESIDE_RGB = Rgb(235, 235, 235)  # a second result, laid over the first


def person_rgb(person_id: int) -> Rgb:
    """Of the person with this id."""
    return PERSON_RGB[person_id % len(PERSON_RGB)]


def level_of(state: str) -> Level:
    """Of a state that a process tells of itself; one that nobody knows is bad news."""
    return LEVEL_OF_STATE.get(state, Level.BAD)
