"""How far each part of a calibration is: a bar for each, as they come; a line for each where there is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]


@contextmanager
def steps() -> Iterator[Progress]:
    """Called with what is being done and the share of it that is."""
    if not sys.stderr.isatty():
        begun: set[str] = set()

        def told(what: str, _share: float) -> None:
            if what not in begun:
                begun.add(what)
                print(f"… {what}", file=sys.stderr, flush=True)

        yield told
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as shown:
        tasks = {}

        def drawn(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=1.0)
            shown.update(tasks[what], completed=share)

        yield drawn
