"""The report about a take: `run_system.py plot S.mcap --out report.html`."""

import math
from pathlib import Path

import numpy as np

from calibration.rig import CameraRig
from nodes.report import pictures
from nodes.report.gather import STAGES, Gathered, Progress, gather
from nodes.report.page import Page
from nodes.report.people_seen import GAP_S, MOST_FOLLOWED, longest_first
from nodes.sessions.about import facts_of
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Origin

MOST_SAID = 4  # different notes or reasons told of a camera
LIMBS = (
    *("nose", "head", "neck", "thorax", "spine", "pelvis", "shoulder", "elbow", "wrist"),
    *("hip", "knee", "ankle", "heel", "foot", "toe"),
)
MOST_JOINTS = 20
LEAST_SHOWN = 0.05  # of the poses, for a picture of one's own


def write_report(path: Path, out: Path, progress: Progress = lambda _: None) -> Gathered:
    """Read the session, write the page. Raises SessionError, and OSError of `out`."""
    with SessionReader(path) as session:
        gathered = gather(session, progress)
        text = report(session, gathered)
    partial = out.with_name(out.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return gathered


def report(session: SessionReader, gathered: Gathered) -> str:
    """The page."""
    page = Page(f"Take {session.path.name}")
    rig = session.rig() if session.about is not None else None
    _tell_take(page, session, gathered)
    _tell_marks(page, gathered)
    if gathered.people.seen:
        _tell_places(page, gathered, rig)
    _tell_gaps(page, gathered)
    if gathered.people.seen:
        _tell_errors(page, gathered)
        _tell_sureness(page, gathered)
    _tell_latency(page, gathered)
    _tell_cameras(page, gathered)
    return page.text


def _tell_take(page: Page, session: SessionReader, gathered: Gathered) -> None:
    rhythm, people = gathered.rhythm, gathered.people
    if session.is_cut:
        page.say("The recorder was ended by force: the file has no index. Everything up to there is in it.", "note")
    for damage in session.damaged:
        page.say(damage, "note")
    facts = facts_of(session.about) if session.about is not None else {}
    occupied = 1 - people.people_in_poses.get(0, 0) / rhythm.poses if rhythm.poses else math.nan
    usual_hz = f", usually {1 / rhythm.usual_s:.1f} a second" if rhythm.usual_s > 0 else ""
    rows = [
        ("length", _seconds(gathered.end_s)),
        ("cameras", ", ".join(session.cameras) or "none"),
        ("poses", f"{rhythm.poses}{usual_hz}"),
        ("of these, from two cameras or more", _share(rhythm.valid, rhythm.poses)),
        ("of these, with somebody in them", _percent(occupied)),
        (
            "people",
            f"{_counted(len(people.seen), 'id')}, at most {max(people.people_in_poses, default=0)} at a time",
        ),
        ("skeleton", f"{gathered.skeleton.name}, {len(gathered.skeleton.joints)} joints"),
        ("lifter", str(facts.get("lifter", "not told"))),
        ("messages", ", ".join(f"{topic} {count}" for topic, count in sorted(session.counts.items())) or "none"),
    ]
    if session.undecodable:
        rows.append(("messages that could not be read", str(session.undecodable)))
    page.facts(rows)
    if gathered.frame == "root_relative":
        page.say(
            "One camera without calibration: places are relative to the middle of each person's hips, not of the room.",
            "note",
        )
    if not rhythm.poses:
        page.say("There are no poses in it: `run_system.py reprocess` makes them from the keypoints.", "note")
    elif not people.seen:
        page.say("Nobody was seen in the whole take.", "note")


def _tell_marks(page: Page, gathered: Gathered) -> None:
    if gathered.marks:
        page.section("Marks", "Instants that somebody marked while the take was made; broken lines in what follows.")
        page.table(("at", "mark"), [(_seconds(at_s), text) for at_s, text in sorted(gathered.marks)])


def _tell_places(page: Page, gathered: Gathered, rig: CameraRig | None) -> None:
    page.section("Where people were", "Seen from above: circle, where somebody appeared; square, where last seen; "
                 "arrows, the cameras and where they look. Below, the middle of the hips over time.")  # fmt: skip
    page.picture(pictures.top_view(gathered, rig), "ways of all people seen from above")
    page.picture(pictures.places_over_time(gathered), "x, y and z of everybody's hips over time")
    _, _, width_s = next(iter(gathered.people.paths.values())).places.told(pictures.MOST_POINTS)
    page.say(
        f"Heights of the main joints. A point stands for {width_s:.2g} s; where that is longer than a pose, the shade "
        "goes from the lowest to the highest.",
        "small",
    )
    least = LEAST_SHOWN * gathered.rhythm.poses
    most_seen = longest_first(gathered.people)[: pictures.MOST_SHOWN]
    shown = [number for number in most_seen if gathered.people.seen[number].poses >= least] or most_seen[:1]
    for number in shown:
        page.heading(f"person {number}")
        page.picture(pictures.heights(gathered, number), f"heights of the joints of person {number} over time")
    others = len(gathered.people.seen) - len(shown)
    if others > 0:
        page.say(f"{others} more {'id was' if others == 1 else 'ids were'} seen for less time than these.", "small")


def _tell_gaps(page: Page, gathered: Gathered) -> None:
    page.section("Gaps", "When each person was seen, and where the stream of poses itself stood still.")
    people = gathered.people
    if people.seen:
        page.picture(pictures.presence(gathered), "when each person was seen")
        n_joints = len(gathered.skeleton.joints)
        page.table(
            ("person", "from", "to", "poses", f"gaps over {GAP_S:g} s", "longest gap", "joints reported"),
            [
                (str(number), _seconds(seen.first_s), _seconds(seen.last_s), str(seen.poses), str(seen.gaps),
                 _seconds(seen.longest_gap_s) if seen.gaps else "–", _share(seen.joints, seen.poses * n_joints))
                for number, seen in ((number, people.seen[number]) for number in longest_first(people))
            ],
        )  # fmt: skip
        if len(people.seen) > MOST_FOLLOWED or people.unknown:
            page.say(f"Told are the {MOST_FOLLOWED} ids that were seen the most.", "small")
    gaps = gathered.rhythm.gaps_s
    if gaps:
        page.heading("longest gaps between two poses")
        page.table(("after", "length"), [(_seconds(start_s), _seconds(gap_s)) for start_s, gap_s in gaps])
    elif gathered.rhythm.poses:
        page.say("No two poses that follow each other are farther apart than two and a half times the usual step.")


def _tell_errors(page: Page, gathered: Gathered) -> None:
    found = gathered.reprojection
    if found is None:
        return
    page.section("How well the cameras agree", "Distance, in the picture, of what a camera's detector found from where "
                 "the fused joint is seen by that camera. A camera whose whole row stands out was moved or is badly "
                 "calibrated; a joint whose whole column does is hard for the detector.")  # fmt: skip
    if not any(spread.counts.any() for spread in found.spread.values()):
        page.say("There are no keypoints in the take that a pose could be held against.")
        return
    rows = _chosen_joints(gathered)
    page.picture(pictures.errors_by_camera(gathered, rows), "median reprojection error by camera and joint")
    page.picture(pictures.errors_over_time(gathered), "mean reprojection error of each camera over time")
    page.table(
        ("camera", "median, px", "95 of 100 below, px"),
        [
            (name, _number(spread.quantile_of_all(0.5)), _number(spread.quantile_of_all(0.95)))
            for name, spread in found.spread.items()
        ],
    )


def _tell_sureness(page: Page, gathered: Gathered) -> None:
    page.section(
        "How sure the joints are",
        "Where they came from: triangulated by two views or more, fused from views and the lifter, lifted from one "
        "view, predicted by their motion, or absent. And their doubt (sigma).",
    )
    page.picture(pictures.origins(gathered), "shares of the joints' origins over time")
    rows = _chosen_joints(gathered)
    page.picture(pictures.doubts(gathered, rows), "sigma of each joint")
    counts = gathered.people.origin_of.sum(axis=0)
    page.table(
        ("origin", "share of all joints"),
        [(kind.name.lower(), _share(int(counts[kind]), int(counts.sum()))) for kind in Origin],
    )


def _tell_latency(page: Page, gathered: Gathered) -> None:
    spread = gathered.ledger.spread
    if not spread.counts[-1].any():
        if gathered.rhythm.poses:
            page.section("Latency", "These poses were not made live: there is no latency to tell.")
        return
    page.section(
        "Latency",
        "From the instant that a pose speaks of until it was sent: interpolate, until the frame that completed the "
        "tick was captured; queue, until its detector began; detect; send, to fusion; fuse.",
    )
    page.picture(pictures.latency(gathered), "latency by stage over time")
    half, most, nearly_all = (spread.quantile(share) for share in (0.5, 0.95, 0.99))
    page.table(
        ("stage", "median, ms", "95 of 100 below, ms", "99 of 100 below, ms"),
        [
            (stage, _number(half[k]), _number(most[k]), _number(nearly_all[k]))
            for k, stage in enumerate((*STAGES, "total"))
        ],
    )


def _tell_cameras(page: Page, gathered: Gathered) -> None:
    cameras = gathered.cameras.cameras
    if not cameras or not any(seen.ticks or seen.frames.total for seen in cameras.values()):
        return
    page.section(
        "Cameras over the take",
        "Detected frames per second; frames lost per second (line: dropped before the detector, dots: too late for "
        "fusion); and how many of the ticks each camera contributed to.",
    )
    page.picture(pictures.cameras_over_time(gathered), "rates, losses and contribution of each camera over time")
    page.table(
        ("camera", "frames", "dropped", "late", "reconnects", "left out", "why, and what it said", "video"),
        [
            (
                name,
                *(str(count.total) for count in (seen.frames, seen.dropped, seen.late, seen.reconnects)),
                _share(seen.left_out, seen.ticks),
                _said([*seen.reasons.most_said()[:MOST_SAID], *seen.notes.most_said()[:MOST_SAID]]) or "–",
                f"{video.total} frames, {seen.video_dropped.total} dropped"
                if (video := seen.video_frames).total
                else "–",
            )
            for name, seen in cameras.items()
        ],
    )
    said = gathered.cameras.fusion_notes.most_said()[: 2 * MOST_SAID]
    if said:
        page.say(f"Fusion said: {_said(said)}", "small")


def _chosen_joints(gathered: Gathered) -> list[int]:
    """Rows of the joints that pictures show: all of few, else those of limbs and head."""
    joints = gathered.skeleton.joints
    if len(joints) <= MOST_JOINTS:
        return list(range(len(joints)))
    chosen = [row for row, joint in enumerate(joints) if any(joint.endswith(limb) for limb in LIMBS)]
    return chosen[:MOST_JOINTS] or list(range(MOST_JOINTS))


def _said(texts: list[tuple[str, int]]) -> str:
    return "; ".join(f"{text} ({count}×)" for text, count in texts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _seconds(value: float) -> str:
    if value >= 3600:
        return f"{int(value // 3600)}:{int(value % 3600 // 60):02d}:{value % 60:04.1f}"
    return f"{int(value // 60)}:{value % 60:05.2f}" if value >= 60 else f"{value:.2f} s"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole) if whole else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def _number(value: float | np.float64) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
