"""Begin and end a recording from the page, and see what is recorded."""

import re
from functools import partial
from pathlib import Path

from nodes.page import html
from nodes.page.countdown import Countdown
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.verdict import counted
from nodes.watching.words import LEVEL_RGB, Level
from nodes.wire.messages import RecorderHealth, RecordRequest
from nodes.wire.requests import SystemState

DELAYS_S = {"at once": 0, "in 3 s": 3, "in 5 s": 5, "in 10 s": 10}
NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{0,60}")
WRONG_NAME = "A name has letters, digits, . - and _ only, 60 at most."
NO_RECORDER = "Nobody here records: this system was started without a recorder, or it plays a recording."
NO_SYSTEM = "There is no system now that could be recorded."
WAITS = "Fusion is just starting with other settings: record when it runs."
LOST = "Nothing was recorded: {} while the seconds were counted."
BEGIN, END, CANCEL = "Record", "Stop recording", "Cancel"


class Recording:
    """The folder with its controls."""

    def __init__(self, page: Page) -> None:
        self._asks = page.asks
        self._countdown = Countdown()
        self._runs = False
        self._lost = ""  # why the last countdown led to nothing
        gui = page.server.gui
        self._folder = gui.add_folder("Record")
        with self._folder:
            self._state = Written(gui.add_html(""))
            self._name = gui.add_text("Name", "", hint="letters, digits, . - and _; empty: the time of day")
            self._delay = gui.add_dropdown("Begins", tuple(DELAYS_S), initial_value="in 3 s")
            self._video = gui.add_checkbox("With video", False, hint="the cameras' pictures, too: they show people")
            self._button = gui.add_button(BEGIN, color="red")
        self._button.on_click(lambda _: self._click())

    @property
    def counts(self) -> int:
        """Seconds until a recording begins; 0 when none is about to."""
        return self._countdown.left

    def _click(self) -> None:
        """On a thread of the server's."""
        self._lost = ""
        if self._countdown.cancel():
            return
        name, video = self._name.value.strip(), self._video.value
        if self._runs:
            self._asks.put(RecordRequest, action="stop")
        elif NAME.fullmatch(name):
            begin = partial(self._asks.put, RecordRequest, action="start", name=name, video=video)
            self._countdown.begin(DELAYS_S[self._delay.value], begin)

    def show(self, seen: Seen) -> None:
        """Bring it up to date."""
        recorder = seen.recorder
        speaks = seen.judged is not None and seen.judged.heard is True
        heard = recorder is not None and speaks
        self._runs = heard and recorder is not None and recorder.runs
        waits = _fusion_is_on_trial(seen.system)
        if (waits or not heard) and self._countdown.cancel():
            self._lost = LOST.format("fusion began anew" if heard else "the system went away")
        name_is_wrong = NAME.fullmatch(self._name.value.strip()) is None
        for control in (self._name, self._delay, self._video):
            change(control, disabled=self._runs or not heard or bool(self.counts), visible=heard)
        label = CANCEL if self.counts else END if self._runs else BEGIN
        cannot = not self._runs and (name_is_wrong or waits)
        change(self._button, label=label, disabled=not heard or cannot, visible=heard)
        wrong = [html.line(Level.WARN, WRONG_NAME)] if name_is_wrong and not self._runs else []
        wrong += [html.line(Level.CALM, WAITS)] if waits and heard and not self._runs else []
        wrong += [html.line(Level.WARN, self._lost)] if self._lost else []
        told = _told(recorder) if heard and recorder is not None else [html.dim(NO_RECORDER if speaks else NO_SYSTEM)]
        self._state.write(html.block(*told, *wrong))


def _fusion_is_on_trial(system: SystemState | None) -> bool:
    """Whether it is starting with settings that may be taken back: a recording is made with one setting throughout."""
    return system is not None and "fusion" in system.processes and system.processes["fusion"].state == "waiting"


def _told(recorder: RecorderHealth) -> list[str]:
    """What is recorded, or became of the last recording."""
    name = html.escaped(Path(recorder.path).name)
    amount = f"{recorder.bytes / 1e6:.1f} MB"
    lost = [html.line(Level.WARN, f"{counted(recorder.lost, 'message')} lost on the way")] if recorder.lost else []
    note = [html.line(Level.WARN, recorder.note)] if recorder.note else []
    if recorder.runs:
        seconds = max(0.0, (recorder.captured_ns - recorder.began_ns) * 1e-9)
        clock = f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
        red = f'<b style="color:{LEVEL_RGB[Level.BAD].hex}">● {clock}</b>'
        video = html.dim("with video") if recorder.video else ""
        return [f'<div class="row">{red}<span class="grow">{name}</span>{amount}</div>', video, *lost, *note]
    if not recorder.path:
        return [html.dim("Nothing is being recorded."), *note]
    failed = recorder.state == "failed"
    became = f"{Path(recorder.path).name} {'ended early' if failed else 'is whole'}: {amount}"
    return [
        html.line(Level.WARN if failed else Level.GOOD, became),
        html.dim(f"{recorder.path} · {counted(recorder.messages, 'message')}"),
        *lost,
        *note,
    ]
