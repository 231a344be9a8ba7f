"""The report as one HTML page that needs nothing else: text, tables, pictures inside."""

import base64
import html
from collections.abc import Iterable, Sequence

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ccc; }
h3 { font-size: 1em; margin-bottom: 0; }
table { border-collapse: collapse; margin: 0.7em 0; font-size: 0.9em; }
th, td { border-bottom: 1px solid #ddd; padding: 0.2em 0.8em; text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.text { text-align: left; }
img { max-width: 100%; display: block; margin: 0.7em 0; }
p.note { background: #fff3d6; padding: 0.4em 0.8em; }
p.small { color: #666; font-size: 0.9em; }
p.good, p.usable, p.redo, p.unknown { font-size: 1.15em; padding: 0.5em 0.8em; border-left: 6px solid; }
p.good { background: #e3f4ec; border-color: #009e73; }
p.usable { background: #fff3d6; border-color: #e69f00; }
p.redo { background: #fbe3d8; border-color: #d55e00; }
p.unknown { background: #eeeeee; border-color: #777777; }
"""


class Page:
    """Grows section by section; `text` is the whole of it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = [f"<h1>{html.escape(title)}</h1>"]

    def section(self, heading: str, said: str = "") -> None:
        """A heading, and what it is about in a sentence or two."""
        self._parts.append(f"<h2>{html.escape(heading)}</h2>")
        if said:
            self.say(said)

    def heading(self, text: str) -> None:
        """A smaller one."""
        self._parts.append(f"<h3>{html.escape(text)}</h3>")

    def say(self, text: str, kind: str = "") -> None:
        """A paragraph. kind: note, small, or a verdict's name."""
        self._parts.append(f'<p class="{kind}">{html.escape(text)}</p>' if kind else f"<p>{html.escape(text)}</p>")

    def items(self, texts: Iterable[str]) -> None:
        """A list with a point before each."""
        self._parts.append("<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Cells are text; numbers come formatted."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        """What is told of the whole."""
        body = "".join(
            f'<tr><td>{html.escape(name)}</td><td class="text">{html.escape(said)}</td></tr>' for name, said in rows
        )
        self._parts.append(f"<table><tbody>{body}</tbody></table>")

    def picture(self, png: bytes, what: str) -> None:
        """what: for those who cannot see it."""
        data = base64.b64encode(png).decode("ascii")
        self._parts.append(f'<img alt="{html.escape(what)}" src="data:image/png;base64,{data}">')

    @property
    def text(self) -> str:
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self._title)}</title>'
            f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )


def _cell(text: str) -> str:
    is_number = text[:1].isdigit() or text[:1] in "-–<"
    return f"<td>{html.escape(text)}</td>" if is_number else f'<td class="text">{html.escape(text)}</td>'
