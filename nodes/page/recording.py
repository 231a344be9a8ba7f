"""Begin and end a recording from the page, and see what is recorded."""

import re
from pathlib import Path

from nodes.page import html
from nodes.page.countdown import Countdown
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written, change
from nodes.watching.verdict import counted
from nodes.watching.words import LEVEL_RGB, Level
from nodes.wire.messages import RecorderHealth, RecordRequest

DELAYS_S = {"at once": 0, "in 3 s": 3, "in 5 s": 5, "in 10 s": 10}
FRESH_NS = 5_000_000_000  # the recorder speaks twice a second, and less often when the machine is overloaded
NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{0,60}")
WRONG_NAME = "A name has letters, digits, . - and _ only, 60 at most."
NO_RECORDER = "Nobody here records: this system was started without a recorder, or it plays a recording."
NO_SYSTEM = "There is no system now that could be recorded."
RUNS = ("starting", "recording")
BEGIN, END, CANCEL = "Record", "Stop recording", "Cancel"


class Recording:
    """The folder with its controls."""

    def __init__(self, page: Page) -> None:
        self._asks = page.asks
        self._countdown = Countdown()
        self._runs = False
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
        if self._countdown.cancel():
            return
        if self._runs:
            self._asks.put(RecordRequest, action="stop")
        elif NAME.fullmatch(self._name.value.strip()):
            self._countdown.begin(DELAYS_S[self._delay.value], self._begin)

    def _begin(self) -> None:
        self._asks.put(RecordRequest, action="start", name=self._name.value.strip(), video=self._video.value)

    def show(self, seen: Seen, now_ns: int) -> None:
        """Bring it up to date."""
        recorder = seen.recorder
        heard = recorder is not None and now_ns - seen.arrived_ns.get((RecorderHealth, recorder.source), 0) < FRESH_NS
        self._runs = heard and recorder is not None and recorder.state in RUNS
        name_is_wrong = NAME.fullmatch(self._name.value.strip()) is None
        for control in (self._name, self._delay, self._video):
            change(control, disabled=self._runs or not heard, visible=heard)
        label = CANCEL if self.counts else END if self._runs else BEGIN
        change(self._button, label=label, disabled=not heard or (name_is_wrong and not self._runs), visible=heard)
        wrong = [html.line(Level.WARN, WRONG_NAME)] if name_is_wrong and not self._runs else []
        nobody = NO_RECORDER if seen.judged is not None and seen.judged.heard else NO_SYSTEM
        told = _told(recorder) if heard and recorder is not None else [html.dim(nobody)]
        self._state.write(html.block(*told, *wrong))


def _told(recorder: RecorderHealth) -> list[str]:
    """What is recorded, or became of the last recording."""
    name = html.escaped(Path(recorder.path).name)
    amount = f"{recorder.bytes / 1e6:.1f} MB"
    lost = [html.line(Level.WARN, f"{counted(recorder.lost, 'message')} lost on the way")] if recorder.lost else []
    note = [html.line(Level.WARN, recorder.note)] if recorder.note else []
    if recorder.state in RUNS:
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
