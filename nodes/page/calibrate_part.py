"""A calibration from nothing to its verdict: the board, what the cameras see of it, the calculation, its use."""

from pathlib import Path

from nodes.page import html
from nodes.page.calibrate_board import BoardNumbers
from nodes.page.calibrate_floor import Floor
from nodes.page.calibrate_told import STYLE, cards, next_thing, outcome, under_way
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.words import Level
from nodes.wire.requests import CALIBRATOR, CalibrationRequest, CalibrationState

INTRO = (
    "Where your cameras stand, and what their lenses do. It takes a printed board, somebody who carries it about for "
    "two minutes, and cameras that stay where they are from then on."
)
PLAYS = "A recording is played. To calibrate, start the cameras: run_system.py live."
NOBODY = "The calibrator does not run here: start the system with run_system.py live, and without --headless."
SILENT = "The calibrator is silent; it is started again by itself."
REFUSED = "The calibrator refused to start: {}. Mend that, then start the system again."
ONE = "A single camera needs no calibration: it says how several cameras stand to each other."
START, STOP, GO_ON, ANEW = "Start", "Stop", "Go on", "Begin anew"
GIVE_UP = "Give up"
CARRY = "Carry the board slowly through the whole room, and follow the words that appear here."
NOTHING_SEEN = "The board has to be shown to two cameras or more first."
SOONER = "More would be better, as said above; you can try at any time."
SOLVES = "It takes from half a minute to a few; the system goes on meanwhile."
FIRST = "Comes when a calibration was made."


class Calibrate:
    """See `Part`."""

    every_s = 0.25

    def __init__(self, page: Page) -> None:
        self._asks = page.asks
        self._state: CalibrationState | None = None
        gui = page.server.gui
        with page.tabs.calibrate:
            gui.add_html(html.STYLE + STYLE)
            self._head = Written(gui.add_html(html.block(html.dim(INTRO))))
            self._board = BoardNumbers(page)
            with gui.add_folder("2 · Show it to the cameras"):
                self._todo = Written(gui.add_html(""))
                self._start = gui.add_button(START, color="blue")
                self._cards = Written(gui.add_html(""))
                self._anew = gui.add_button(ANEW, color="gray", hint="forgets what was seen; the files stay")
            with gui.add_folder("3 · Calibrate"):
                self._solve = gui.add_button("Calibrate")
                self._progress = gui.add_progress_bar(0.0, visible=False)
                self._doing = Written(gui.add_html(""))
                self._outcome = Written(gui.add_html(""))
                self._use = gui.add_button("Use it", color="green", hint="fusion starts again with it: a few seconds")
                self._used = Written(gui.add_html(""))
            self._floor = Floor(page, self._board.text)
        self._start.on_click(lambda _: self._click_start())
        self._solve.on_click(lambda _: self._click_solve())
        self._anew.on_click(lambda _: self._ask("discard"))
        self._use.on_click(lambda _: self._ask("use"))

    def _ask(self, action: str, board_toml: str = "") -> None:
        self._asks.put(CalibrationRequest, action=action, board_toml=board_toml)

    def _click_start(self) -> None:
        if self._state is not None and self._state.state == "looking":
            self._ask("stop")
        elif self._board.is_possible:
            self._ask("look", self._board.text())

    def _click_solve(self) -> None:
        solves = self._state is not None and self._state.state == "solving"
        self._ask("stop" if solves else "solve")

    def show(self, seen: Seen, now_ns: int) -> None:
        self._state = state = seen.calibration
        self._head.write(html.block(*self._heading(seen, state)))
        self._board.show(state)
        self._show_take(state)
        self._show_solving(seen, state)
        self._floor.show(seen, state)

    def _heading(self, seen: Seen, state: CalibrationState | None) -> list[str]:
        if state is None:
            return [html.dim(INTRO), html.line(Level.WARN, _why_not(seen))]
        alone = [html.line(Level.WARN, ONE)] if len(seen.cameras) == 1 else []
        note = [html.line(Level.CALM, state.note)] if state.note and state.state != "failed" else []
        return [html.dim(self._board.told() if state.cameras else INTRO), *alone, *note]

    def _show_take(self, state: CalibrationState | None) -> None:
        at = "" if state is None else state.state
        label = {"looking": STOP, "idle": START, "": START}.get(at, GO_ON)
        change(self._start, label=label, disabled=at in {"", "solving"} or not self._board.is_possible)
        change(self._anew, visible=state is not None and bool(state.cameras), disabled=at == "solving")
        if state is None or not state.cameras:
            self._todo.write(html.block(html.dim(CARRY)))
            self._cards.write("")
            return
        next_words = next_thing(state) if at == "looking" else html.dim(_seen(state))
        self._todo.write(html.block(next_words))
        self._cards.write(html.block(cards(state)) if at not in {"solved", "failed"} else "")  # room for the verdict

    def _show_solving(self, seen: Seen, state: CalibrationState | None) -> None:
        at = "" if state is None else state.state
        solves = at == "solving"
        ready = state is not None and sum(each.useful > 0 for each in state.cameras.values()) >= 2
        change(self._solve, label=GIVE_UP if solves else "Calibrate", disabled=not (solves or ready))
        share = state.share if state is not None and state.share == state.share else 0.0
        change(self._progress, visible=solves, value=round(100 * share))
        why = SOLVES if solves else NOTHING_SEEN if not ready else SOONER if state and state.todo else ""
        doing = under_way(state) if state is not None and solves else ""
        self._doing.write(html.block(doing, html.dim(why)))
        in_use = state is not None and _is_in_use(state, seen)
        self._outcome.write("" if state is None or solves else html.block(outcome(state, in_use)))
        can_use = state is not None and at == "solved" and bool(state.calibration)
        change(self._use, visible=can_use, disabled=in_use)
        note = seen.system.note if seen.system is not None else ""
        self._used.write(html.block(html.line(Level.CALM, note)) if can_use and note else "")


def _why_not(seen: Seen) -> str:
    """Why no calibrator speaks."""
    if seen.play is not None:
        return PLAYS
    process = None if seen.system is None else seen.system.processes.get(CALIBRATOR)
    if seen.system is not None and process is not None and process.state == "refused":
        said = [line.removeprefix(f"{CALIBRATOR}: ") for line in seen.system.said if line.startswith(f"{CALIBRATOR}: ")]
        reasons = [line for line in said if not line.startswith("refused to start")]
        return REFUSED.format(reasons[-1].rstrip(".") if reasons else "the terminal tells why")
    return SILENT if seen.spoke(CalibrationState) else NOBODY


def _seen(state: CalibrationState) -> str:
    """While nobody looks."""
    if state.state == "solving":
        return "What was seen:"
    return "Enough was seen." if not state.todo else "The cameras look no longer. More can be shown to them: go on."


def _is_in_use(state: CalibrationState, seen: Seen) -> bool:
    system = seen.system
    return bool(system and state.calibration and Path(system.calibration).name == Path(state.calibration).name)
