"""How the system is, in a line, and what happened; who is there, and the lifter, in plain words."""

import time
from collections.abc import Sequence

import numpy as np

from nodes.drawing import side_by_side
from nodes.page import html
from nodes.page.judged import Judged
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.written import Written
from nodes.watching.events import Told
from nodes.watching.verdict import counted
from nodes.watching.words import ORIGIN_RGB, ORIGIN_WORDS, Level, person_rgb
from nodes.wire.messages import Person3D, Pose3D

MOST_PEOPLE = 6  # that are listed
NEWEST = 3  # so that Record is seen without scrolling
MOST_TOLD = 60
MOST_TROUBLES = 4
MOST_NOTES = 3
LAST = 1000.0  # the order of what stands at the foot of the tab
ORIGINS = tuple(ORIGIN_WORDS)
KNOWS_NOTHING = ("waiting", "gone", "unreadable", "trouble")
NOTHING_YET = "nothing yet"


class Status:
    """See `Part`."""

    every_s = 0.25

    def __init__(self, page: Page) -> None:
        with page.tabs.live:
            self._whole = Written(page.server.gui.add_html(""))
            self._newest = Written(page.server.gui.add_html(""))
            self._people = Written(page.server.gui.add_html("", order=LAST))
            with page.server.gui.add_folder("All that happened", expand_by_default=False, order=LAST + 1):
                self._told = Written(page.server.gui.add_html(""))

    def show(self, seen: Seen, now_ns: int) -> None:
        if seen.judged is None:
            return
        self._whole.write(html.block(*_whole(seen, seen.judged)))
        self._people.write(html.block(*_people(seen)))
        told = list(seen.told)
        self._newest.write(html.block(html.heading("What happened"), *_told(told[-NEWEST:])))
        self._told.write(html.block(*_told(told[-MOST_TOLD:])))


def _whole(seen: Seen, judged: Judged) -> list[str]:
    """The headline, what else is wrong, and what runs."""
    troubles = [
        html.line(verdict.level, f"{name}: {verdict.words}")
        for name, verdict in judged.cameras.items()
        if verdict.level >= Level.WARN and verdict.words not in judged.whole.words
    ]
    more = len(troubles) - MOST_TROUBLES
    rest = [html.dim(f"and {counted(more, 'camera')} more: see Cameras")] if more > 0 else []
    return [
        html.headline(judged.whole.level, judged.whole.words),
        *([html.headline(Level.CALM, "The picture is held; the system goes on")] if seen.held else []),
        *troubles[:MOST_TROUBLES],
        *rest,
        *_notes(judged),
        *_hints(seen, judged),
    ]


def _notes(judged: Judged) -> list[str]:
    """What fusion and recorder have to say that is not about a camera of ours, which is judged."""
    ours = tuple(f"{name}: " for name in judged.cameras)
    notes = [note for note in judged.status.notes if not note.startswith((*ours, *(f"camera {o[:-2]} " for o in ours)))]
    quiet = judged.status.standing or judged.whole.kind in KNOWS_NOTHING
    return [] if quiet else [html.line(Level.WARN, note) for note in notes[:MOST_NOTES]]


def _hints(seen: Seen, judged: Judged) -> list[str]:
    if judged.whole.kind == "waiting":
        return [
            html.dim("Start one on this machine: python run_system.py"),
            html.dim("This page goes on by itself as soon as one speaks."),
        ]
    if judged.whole.kind in KNOWS_NOTHING:
        return [html.dim("The page goes on by itself when that is mended.")]
    unread = "" if not seen.undecodable else f"{counted(seen.undecodable, 'message')} could not be read: {seen.refusal}"
    return [html.line(Level.WARN, unread)] if unread else []


def _people(seen: Seen) -> list[str]:
    """Who is there, and how well each is seen; the legend of the colours in 3D."""
    pose = seen.pose
    if pose is None or seen.judged is None or not seen.judged.heard:
        return []
    told = [html.heading(counted(len(pose.people), "person", "people") if pose.people else "Nobody in view")]
    told += [_person(person) for person in pose.people[:MOST_PEOPLE]]
    if len(pose.people) > MOST_PEOPLE:
        told.append(html.dim(f"and {len(pose.people) - MOST_PEOPLE} more"))
    if pose.people:
        told.append(_legend(pose.people))
    return [*told, *_frame(pose), *_lifter(seen)]


def _person(person: Person3D) -> str:
    n_joints = len(person.origin)
    reported = int(np.isfinite(person.joints_m).all(axis=-1).sum())
    parts = [(float((person.origin == origin).sum()) / max(n_joints, 1), ORIGIN_RGB[origin]) for origin in ORIGINS]
    name = html.swatch(person_rgb(person.id), f"Person {person.id}")
    joints = f'<span class="right dim">{reported} of {n_joints} joints</span>'
    return f'<div class="row"><span class="grow">{name}</span>{joints}</div>{html.bar(parts)}'


def _legend(people: Sequence[Person3D]) -> str:
    origins = np.concatenate([person.origin for person in people])
    rows = []
    for origin in ORIGINS:
        count = int((origins == origin).sum())
        words = html.swatch(ORIGIN_RGB[origin], ORIGIN_WORDS[origin])
        rows.append(f'<div class="row dim"><small class="grow">{words}</small><small>{count}</small></div>')
    return f'<div style="margin-top:6px">{"".join(rows)}</div>'


def _frame(pose: Pose3D) -> list[str]:
    if pose.frame != "root_relative":
        return []
    return [html.dim(side_by_side.WORDS)]


def _lifter(seen: Seen) -> list[str]:
    """Which runtime and device the lifter runs on, and why on nothing faster."""
    told = seen.fusion.lifter if seen.fusion is not None else ""
    runs_on, _, why = (told or str(seen.facts.get("lifter", ""))).partition(": ")
    if not runs_on:
        return []
    if runs_on == "off":
        return [html.heading("Lifter off"), html.dim("Only what two cameras see is shown.")]
    return [
        html.heading(f"Lifter: {runs_on.partition(' sha256')[0]}", f"nothing faster, because: {why}" if why else "")
    ]


def _told(told: Sequence[Told]) -> list[str]:
    """The newest first."""
    lines = [
        html.line(each.level, each.words, time.strftime("%H:%M:%S", time.localtime(each.at_ns * 1e-9)))
        for each in reversed(told)
    ]
    return lines or [html.dim(NOTHING_YET)]
