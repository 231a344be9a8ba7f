"""Set the floor, the origin and the x axis of the world from the page."""

from collections.abc import Callable

from nodes.page import html
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.words import Level
from nodes.wire.requests import CalibrationRequest, CalibrationState

ONLY = "the only one there"
ABOUT = (
    "Where height 0 and the middle of the room are. By the board: it lies flat on the floor. By a person: origin below "
    "the feet, forwards is where they look."
)
NO_RIG = "There is no calibration in use yet whose floor could be set."
SOLVES = "Not while a calibration is computed."
NOBODY = "Nobody is seen now, so only the board can tell."


class Floor:
    """The folder with its controls."""

    def __init__(self, page: Page, board_text: Callable[[], str]) -> None:
        self._asks = page.asks
        gui = page.server.gui
        with gui.add_folder("Set the floor", expand_by_default=False):
            gui.add_html(html.block(html.dim(ABOUT)))
            self._board = gui.add_button("By the board that lies there")
            self._who = gui.add_dropdown("Person", (ONLY,), hint="their number stands above them in the room")
            self._person = gui.add_button("By the person who stands there")
            self._why = Written(gui.add_html(""))
        self._board.on_click(
            lambda _: self._asks.put(CalibrationRequest, action="floor_board", board_toml=board_text())
        )
        self._person.on_click(
            lambda _: self._asks.put(CalibrationRequest, action="floor_person", person=_id_of(self._who.value))
        )

    def show(self, seen: Seen, state: CalibrationState | None) -> None:
        """Bring it up to date. state: None while the calibrator is silent."""
        ids = [] if seen.pose is None else [person.id for person in seen.pose.people]
        options = (ONLY, *(f"person {each}" for each in sorted(ids)))
        if self._who.value not in options:
            options = (*options, self._who.value)
        change(self._who, options=options)
        solves = state is not None and state.state == "solving"
        why = "" if state is None else NO_RIG if seen.rig is None else SOLVES if solves else ""
        change(self._board, disabled=state is None or bool(why))
        change(self._person, disabled=state is None or bool(why) or not ids)
        told = html.dim(why or ("" if ids else NOBODY))
        busy = state is not None and state.doing.startswith("looks where")
        self._why.write(html.block(html.line(Level.CALM, state.doing) if busy and state is not None else told))


def _id_of(option: str) -> int:
    return -1 if option == ONLY else int(option.removeprefix("person "))
