"""Pieces of HTML for the page's panels. Whatever comes from outside goes through `escaped`."""

import html
import math
from collections.abc import Iterable, Sequence

from nodes.watching.words import LEVEL_RGB, Level, Rgb

# On a phone viser's own panel, which has no class to be named by, leaves a third of the screen unused.
STYLE = """<style>
.lp{font-size:14px;line-height:1.4;color:#dfe3e8;font-variant-numeric:tabular-nums;
 overflow-wrap:anywhere;padding:0 14px 4px 10px}
.lp h4{font-size:14px;margin:10px 0 3px;color:#fff;font-weight:600}
.lp .dim{color:#98a2ad}.lp small{font-size:12.5px}
.lp .head{display:flex;gap:9px;align-items:flex-start;padding:8px 10px;border-radius:6px;background:#ffffff0d;
 margin-bottom:6px;font-size:15.5px;line-height:1.35;color:#fff}
.lp .head .light{margin-top:4px;width:12px;height:12px}
.lp .light{display:inline-block;flex:none;width:9px;height:9px;border-radius:50%;margin-right:2px}
.lp .swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.lp .row{display:flex;gap:8px;align-items:baseline}.lp .row .light{align-self:flex-start;margin-top:5px}
.lp .grow{flex:1}.lp .right{text-align:right;white-space:nowrap}
.lp .bar{display:flex;height:9px;border-radius:3px;overflow:hidden;background:#ffffff14}
.lp table{border-collapse:collapse;width:100%}
.lp th{font-weight:500;font-size:12.5px;color:#98a2ad;text-align:right;padding:2px 0 2px 8px;vertical-align:bottom;
 white-space:nowrap}
.lp td{text-align:right;padding:2px 0 2px 8px;vertical-align:baseline;white-space:nowrap}
.lp th:first-child,.lp td:first-child{text-align:left;padding-left:0}
.lp td.words{white-space:normal;text-align:left;padding:0 0 5px 14px;font-size:12.5px;color:#98a2ad}
.lp tr.line td,.lp tr.line th{border-top:1px solid #ffffff1a}
.lp [title]{text-decoration:underline dotted #ffffff40;text-underline-offset:3px;cursor:help}
.lp details summary{cursor:pointer;color:#98a2ad}
@media(max-width:600px){[style*="width: 20em"]{width:100vw!important}}
.lp dt{color:#fff;margin-top:5px}.lp dd{margin:0;color:#b5bdc6}
</style>"""


def escaped(text: str) -> str:
    """Text from outside, harmless in HTML."""
    return html.escape(text)


def block(*pieces: str) -> str:
    """What one element of the panel shows."""
    return f'<div class="lp">{"".join(pieces)}</div>'


def light(level: Level) -> str:
    """A small lamp in the colour of a level."""
    return f'<span class="light" style="background:{LEVEL_RGB[level].hex}" role="img" aria-label="{level.name}"></span>'


def heading(words: str, hint: str = "") -> str:
    """Above what belongs together. hint: shown to whoever points at it."""
    return f"<h4>{_hinted(words, hint)}</h4>"


def line(level: Level, words: str, at: str = "") -> str:
    """A lamp and words, with a time before them."""
    when = f'<span class="dim">{at}</span>' if at else ""
    return f'<div class="row">{light(level)}{when}<span class="grow">{escaped(words)}</span></div>'


def headline(level: Level, words: str) -> str:
    """What is said first, in the largest words."""
    edge = LEVEL_RGB[level].hex
    return f'<div class="head" style="border-left:4px solid {edge}">{light(level)}<span>{escaped(words)}</span></div>'


def dim(words: str) -> str:
    """What is good to know."""
    return f'<div class="dim"><small>{escaped(words)}</small></div>'


def swatch(rgb: Rgb, words: str) -> str:
    """A colour and what it means."""
    return f'<span class="swatch" style="background:{rgb.hex}"></span>{escaped(words)}'


def bar(parts: Iterable[tuple[float, Rgb | str]]) -> str:
    """Parts of a whole, side by side; (share 0 to 1, colour)."""
    pieces = [
        f'<span style="width:{100 * share:.1f}%;background:{colour.hex if isinstance(colour, Rgb) else colour}"></span>'
        for share, colour in parts
        if share > 0
    ]
    return f'<div class="bar">{"".join(pieces)}</div>'


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """columns: (words, hint). rows: cells that are HTML already; a row of one cell goes right across, below another."""
    head = "".join(f"<th>{_hinted(words, hint)}</th>" for words, hint in columns)
    body = "".join(_row(row, len(columns)) for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(cells: Sequence[str], width: int) -> str:
    if len(cells) == 1:
        return f'<tr><td class="words" colspan="{width}">{cells[0]}</td></tr>'
    return f'<tr class="line">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _hinted(words: str, hint: str) -> str:
    return f'<span title="{escaped(hint)}">{escaped(words)}</span>' if hint else escaped(words)


def meanings(summary: str, of: Iterable[tuple[str, str]]) -> str:
    """What words mean, to be unfolded. Stands in an element of its own: what is sent anew is folded again."""
    told = "".join(f"<dt>{escaped(word)}</dt><dd>{escaped(meaning)}</dd>" for word, meaning in of)
    return block(f"<details><summary>{escaped(summary)}</summary><dl>{told}</dl></details>")


def number(value: float, digits: int = 0) -> str:
    """`-` where it is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"
