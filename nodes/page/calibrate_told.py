"""What the calibrator says of itself, in HTML: coverage of each camera, what to do next, the verdict. Pure."""

import math
import re

import numpy as np

from nodes.page import html
from nodes.watching.words import LEVEL_RGB, Level
from nodes.wire.requests import BoardCoverage, CalibrationState

STYLE = """<style>
.lp .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(158px,1fr));gap:8px;margin:6px 0}
.lp .card{background:#ffffff0d;border-radius:6px;padding:7px 8px}
.lp .card svg{display:block;width:100%;background:#00000055;border-radius:3px;margin:5px 0}
.lp .todo{font-size:19px;line-height:1.3;color:#fff;padding:10px;border-radius:6px;background:#ffffff0d}
.lp .todo+ul{margin:6px 0 2px;padding-left:20px;color:#b5bdc6}
.lp .path{font:12px monospace;color:#98a2ad}
.lp ul.said{margin:4px 0;padding-left:18px;font-size:13px;color:#b5bdc6}
</style>"""
FEWEST_CORNERS = 6  # what makes a picture useful
COVERED = 0.7
STEPS = {
    "reads what was seen": "Reads what was seen",
    "frames left out": "Calibrates without a part of the pictures, and holds it against them",
    "cameras in pairs": "Where two cameras stand to each other",
    "lenses": "The lenses",
    "the bundle": "All cameras and all pictures together",
    "mirrored pictures": "Looks whether a picture is mirrored",
}
VERDICTS = {
    "good": (Level.GOOD, "Good: use it."),
    "usable": (Level.WARN, "Usable. A better one is possible."),
    "redo": (Level.BAD, "Not good enough: show the board for longer, and calibrate again."),
}


def with_names(words: str) -> str:
    """Names of cameras stand in backquotes."""
    return re.sub(r"`([^`]*)`", r"<b>\1</b>", html.escaped(words))


def next_thing(state: CalibrationState) -> str:
    """What the person with the board should do now, in big words."""
    if not state.todo:
        return f'<div class="todo">{html.light(Level.GOOD)} Enough was seen: calibrate.</div>'
    first, *others = [with_names(word[:1].upper() + word[1:]) for word in state.todo]
    rest = "".join(f"<li>{word}</li>" for word in others)
    return f'<div class="todo">{first}</div>{f"<ul>{rest}</ul>" if rest else ""}'


def cards(state: CalibrationState) -> str:
    """A card for each camera."""
    looks = state.state == "looking"
    told = "".join(_card(name, each, looks) for name, each in state.cameras.items())
    return f'<div class="cards">{told}</div>' if told else ""


def _card(name: str, each: BoardCoverage, looks: bool) -> str:
    share = float((each.covered > 0).mean()) if each.covered.size else 0.0
    enough = share >= COVERED and each.useful >= each.wanted
    level = Level.WARN if each.note else Level.GOOD if enough else Level.CALM
    sees = each.in_sight >= FEWEST_CORNERS
    now = "sees the board" if sees else "sees a part of it" if each.in_sight else "does not see it"
    lamp = html.light(Level.GOOD if sees else Level.WARN if each.in_sight else Level.CALM)
    wanted = max(each.wanted, 1)
    count = f"{each.useful} of {wanted} pictures" if each.useful < wanted else f"{each.useful} pictures"
    together = ", ".join(f"{html.escaped(other)} {times}" for other, times in each.together.items())
    return (
        f'<div class="card" data-camera="{html.escaped(name)}"><div class="row">{html.light(level)}'
        f'<b class="grow">{html.escaped(name)}</b></div>{_grid(each)}'
        f"{html.bar([(min(each.useful / wanted, 1.0), LEVEL_RGB[level])])}"
        f"<small>{count}{f'<div>{lamp} {now}</div>' if looks else ''}"
        f'<div class="dim">{f"together with {together}" if together else "not yet together with another"}</div>'
        f"{html.line(Level.WARN, each.note) if each.note else ''}</small></div>"
    )


def _grid(each: BoardCoverage) -> str:
    """The picture in cells; those where the board was are filled."""
    rows, columns = each.covered.shape if each.covered.size else (4, 6)
    filled = "".join(f"M{x + 0.04} {y + 0.04}h.92v.92h-.92z" for y, x in np.argwhere(each.covered > 0))
    empty = "".join(f"M{x + 0.04} {y + 0.04}h.92v.92h-.92z" for y, x in np.argwhere(each.covered == 0))
    return (
        f'<svg viewBox="0 0 {columns} {rows}" role="img" aria-label="where in the picture the board was">'
        f'<path d="{empty}" fill="#ffffff12"/><path d="{filled}" fill="{LEVEL_RGB[Level.GOOD].hex}"/></svg>'
    )


def under_way(state: CalibrationState) -> str:
    """What is being computed."""
    share = f" · {state.share:.0%}" if math.isfinite(state.share) else ""
    return html.line(Level.CALM, f"{STEPS.get(state.doing, state.doing)}{share}") if state.doing else ""


def outcome(state: CalibrationState, in_use: bool) -> str:
    """The last calibration: a light, what it means, the figures, where it lies."""
    if state.state == "failed" and not state.verdict:
        return html.headline(Level.BAD, "No calibration came of it.") + _said(state.note.splitlines())
    if state.verdict not in VERDICTS:
        return ""
    level, words = VERDICTS[state.verdict]
    words = "It is in use." if in_use else words
    first, *rest = state.headline.splitlines() or [""]
    figures = html.escaped(first.partition(": ")[2])
    places = [("calibration", state.calibration), ("report, for a browser", state.report)]
    paths = "".join(
        f'<div class="dim"><small>{what}</small></div><div class="path">{html.escaped(path)}</div>'
        for what, path in places
        if path
    )
    return f"{html.headline(level, words)}<p style='margin:6px 0 0'>{figures}</p>{_said(rest)}{paths}"


def _said(lines: list[str]) -> str:
    """What the command printed further."""
    items = "".join(f"<li>{with_names(line.strip().removeprefix('- '))}</li>" for line in lines if line.strip())
    return f'<ul class="said">{items}</ul>' if items else ""
