"""All parts of the page, in the order in which they stand on it."""

from nodes.page.actions_part import Actions
from nodes.page.calibrate_part import Calibrate
from nodes.page.cameras_part import Cameras
from nodes.page.part import Page, Part
from nodes.page.people_part import PeopleInRoom
from nodes.page.replay_part import Replay
from nodes.page.rig_part import RigInRoom
from nodes.page.status_part import Status
from nodes.page.timing_part import Timing
from nodes.page.views import Views

KINDS: tuple[type[Part], ...] = (
    *(Status, Actions, Cameras, Timing, Calibrate, Replay),
    *(RigInRoom, PeopleInRoom, Views),
)


def parts_of(page: Page) -> tuple[Part, ...]:
    """The parts, made on the page."""
    return tuple(kind(page) for kind in KINDS)
