"""The board that is shown to the cameras: its numbers, as they were printed and measured."""

from dataclasses import replace

from calibration.board import CharucoBoard, board_of_text, text_of_board
from calibration.errors import CalibrationError
from nodes.page import html
from nodes.page.part import Page
from nodes.page.written import Written, change
from nodes.watching.words import Level
from nodes.wire.requests import CalibrationState

PRINT = (
    "No board yet? <code>run_system.py calibrate board --out board.pdf</code> makes one to print. "
    "Glue it to something flat and stiff, and measure its squares."
)


class BoardNumbers:
    """The folder with its controls."""

    def __init__(self, page: Page) -> None:
        self._told = ""  # the calibrator's board that the controls were last set to
        self._base: CharucoBoard | None = None
        gui = page.server.gui
        self._folder = gui.add_folder("1 · The board")
        with self._folder:
            self._about = Written(gui.add_html(html.block(f'<div class="dim"><small>{PRINT}</small></div>')))
            self._columns = gui.add_number("Squares across", 5, min=3, max=64, step=1)
            self._rows = gui.add_number("Squares down", 7, min=3, max=64, step=1)
            self._square = gui.add_number(
                "Square, mm", 30.0, min=1.0, max=2000.0, step=0.01, hint="side of one square, as measured on the print"
            )
            self._marker = gui.add_number(
                "Marker, mm", 22.5, min=0.5, max=2000.0, step=0.01, hint="side of the small pattern within a square"
            )
            self._two_sided = gui.add_checkbox(
                "Printed on both sides", False, hint="corner behind corner, by `calibrate board --two-sided`"
            )
            self._wrong = Written(gui.add_html(""))

    def board(self) -> CharucoBoard:
        """As the numbers say. Raises CalibrationError for an impossible one."""
        base = self._base or CharucoBoard(5, 7, 0.03, 0.0225)
        return replace(
            base,
            columns=round(self._columns.value),
            rows=round(self._rows.value),
            square_m=round(float(self._square.value) / 1000, 6),
            marker_m=round(float(self._marker.value) / 1000, 6),
            two_sided=bool(self._two_sided.value),
        )

    def text(self) -> str:
        """The board for a request; "" (the usual one) where the numbers are impossible."""
        try:
            return text_of_board(self.board())
        except CalibrationError:
            return ""

    def told(self) -> str:
        """The board in a line; "" before it is known."""
        board = self._base
        if board is None:
            return ""
        sides = ", on both sides" if board.two_sided else ""
        return f"The board has {board.columns} × {board.rows} squares of {1000 * board.square_m:g} mm{sides}."

    @property
    def is_possible(self) -> bool:
        return self.text() != ""

    def show(self, state: CalibrationState | None) -> None:
        """Bring it up to date. While a board is shown to the cameras the numbers make room for what they see of it."""
        change(self._folder, visible=state is None or not state.cameras)
        if state is not None and state.board_toml != self._told:
            self._told = state.board_toml
            self._follow(state.board_toml)
        self._wrong.write(self._what_is_wrong())

    def _follow(self, board_toml: str) -> None:
        try:
            self._base = board = board_of_text(board_toml)
        except CalibrationError:
            return
        change(self._columns, value=board.columns)
        change(self._rows, value=board.rows)
        change(self._square, value=round(1000 * board.square_m, 3))
        change(self._marker, value=round(1000 * board.marker_m, 3))
        change(self._two_sided, value=board.two_sided)

    def _what_is_wrong(self) -> str:
        try:
            self.board()
        except CalibrationError as error:
            return html.block(html.line(Level.BAD, str(error)))
        return ""
