"""How far each part of a calibration is: a bar for each, as they come; lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]

STEP = "… "  # before what is being done, in a line
AGAIN_AFTER_S = 2.0  # the same step is told of again, with how much of it is done


@contextmanager
def steps() -> Iterator[Progress]:
    """Called with what is being done and the share of it that is."""
    if not sys.stderr.isatty():
        told_s: dict[str, float] = {}

        def told(what: str, share: float) -> None:
            now_s = time.monotonic()
            if what not in told_s:
                print(f"{STEP}{what}", file=sys.stderr, flush=True)
            elif share < 1 and now_s - told_s[what] > AGAIN_AFTER_S:
                print(f"{STEP}{what}, {share:.0%}", file=sys.stderr, flush=True)
            else:
                return
            told_s[what] = now_s

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
