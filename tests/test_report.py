"""The report about a take: what is gathered, in how much memory, and the page that tells it."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the report's pictures need matplotlib: pip install -e .[dev]")

from nodes.commands import plot as plot_command
from nodes.report.cameras_seen import Counter, Words
from nodes.report.gather import gather
from nodes.report.people_seen import MOST_FOLLOWED
from nodes.report.report import write_report
from nodes.report.timeline import STRETCHES, Spread, Timeline
from nodes.sessions.errors import SessionError
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Message
from nodes.wire.requests import Mark
from tests import messages as make
from tests.crowd import STRAIGHT, Actor, actors
from tests.session_files import saved
from tests.takes import Part, Take

STANDING, OTHER = actors(2)
TWO = (Part(1, STANDING), Part(4, OTHER, 2.0, 8.0, away=((4.0, 5.5),)))


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """Two people, of whom one goes and comes back; one camera was moved; poses pause for a second."""
    take = Take(10.0, TWO, still=(6.0, 7.0), moved_px={"right": 9.0})
    return take.write(tmp_path_factory.mktemp("take") / "two.mcap")


@pytest.fixture(scope="module")
def gathered(two):
    with SessionReader(two) as session:
        return gather(session)


@dataclass
class Told:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def plot(capsys) -> Callable[..., Told]:
    """The command, in this process."""

    def run(*arguments: str) -> Told:
        parser = argparse.ArgumentParser()
        plot_command.add(parser.add_subparsers())
        options = parser.parse_args(["plot", *arguments])
        code = options.run(options)
        return Told(code, *capsys.readouterr())

    return run


def text_of(page: Path) -> str:
    """What a reader reads: no pictures, no marks."""
    without = re.sub(r'src="data:[^"]*"', "", page.read_text())
    return " ".join(re.sub(r"<[^>]+>", " ", without.partition("<body>")[2]).split())


def test_a_timeline_keeps_its_sums_however_long_the_take():
    line = Timeline(1)
    for tick in range(36_000):
        line.add(tick * 0.1, (1.0,))
    times_s, rows, width_s = line.told(STRETCHES)
    assert len(rows) <= STRETCHES
    assert rows.sum() == 36_000
    assert times_s[-1] == pytest.approx(3600, abs=width_s)
    assert np.allclose(rows[:-1] / width_s, 10, rtol=0.05)
    assert len(line.told(100)[1]) <= 100
    assert line.told(100)[1].sum() == 36_000


def test_least_and_most_stay_when_stretches_are_joined():
    low, high = Timeline(1, combine=np.minimum), Timeline(1, combine=np.maximum)
    for tick in range(10_000):
        for line in (low, high):
            line.add(tick * 0.1, (np.sin(tick / 7),))
    assert low.told(50)[1].min() == pytest.approx(-1, abs=0.01)
    assert high.told(50)[1].max() == pytest.approx(1, abs=0.01)
    assert np.isinf(Timeline(2, combine=np.minimum).told(10)[1]).all()


def test_a_spread_tells_quantiles_to_three_percent():
    rng = np.random.default_rng(0)
    values = rng.lognormal(1.0, 0.8, (5000, 2)) * (1, 10)
    values[rng.random(values.shape) < 0.1] = np.nan
    spread = Spread(3, 1e-3, 1e3)
    spread.add(np.column_stack([values, np.full(5000, np.nan)]))
    for share in (0.05, 0.5, 0.95):
        assert spread.quantile(share)[:2] == pytest.approx(np.nanquantile(values, share, axis=0), rel=0.03)
    assert np.isnan(spread.quantile(0.5)[2])


def test_counts_go_on_after_a_restart_and_words_are_gathered_without_their_numbers():
    counter = Counter()
    assert [counter.step(count) for count in (3, 3, 10, 2, 4)] == [3, 0, 7, 2, 2]
    assert counter.total == 14
    words = Words()
    for text in ("lost 3 frames", "lost 12 frames", "moved", *(f"kind {chr(65 + k)}" for k in range(90))):
        words.add(text)
    assert words.most_said()[0] == ("lost 3 frames", 2)
    assert len(words.most_said()) <= 30


def test_who_was_there_when_and_the_gaps(gathered):
    one, other = (gathered.people.seen[number] for number in (1, 4))
    assert (one.poses, other.poses) == (270, 105)
    assert one.gaps == 1
    assert one.longest_gap_s == pytest.approx(1.03, abs=0.01)
    assert (other.gaps, other.longest_gap_s) == (2, pytest.approx(1.53, abs=0.01))
    assert other.last_s - other.first_s == pytest.approx(5.97, abs=0.01)
    assert [gap for _, gap in gathered.rhythm.gaps_s] == [pytest.approx(1.03, abs=0.01)]
    assert 1 / gathered.rhythm.usual_s == pytest.approx(30, rel=0.01)


def test_where_they_were(gathered):
    times_s, sums, _ = gathered.people.paths[1].places.told(STRETCHES)
    known = sums[:, 0, 3] > 0
    hips_m = STANDING.joints_m(times_s[known])[:, 23:25].mean(axis=1)
    assert np.abs(sums[known, 0, :3] / sums[known, 0, 3:] - hips_m).max() < 0.05


def test_the_camera_that_was_moved_stands_out(gathered):
    spread = gathered.reprojection.spread
    assert spread["right"].quantile_of_all(0.5) == pytest.approx(9.0, rel=0.03)
    assert max(spread[name].quantile_of_all(0.95) for name in ("left", "back")) < 0.2


def test_latency_and_cameras(gathered):
    assert gathered.ledger.spread.quantile(0.5) == pytest.approx([10, 5, 25, 2, 18, 60], rel=0.03)
    back, left = (gathered.cameras.cameras[name] for name in ("back", "left"))
    assert (back.left_out, left.left_out) == (29, 0)
    ((reason, count),) = back.reasons.most_said()
    assert (reason.startswith("last frame"), count) == (True, 29)
    assert left.ticks == 270


def test_memory_does_not_grow_with_people(tmp_path):
    ghosts = tuple(Part(10 + k, STANDING, k * 0.1, k * 0.1 + 0.1) for k in range(2 * MOST_FOLLOWED))
    path = Take(6.0, (Part(1, STANDING), *ghosts), keypoints=False).write(tmp_path / "ghosts.mcap")
    with SessionReader(path) as session:
        people = gather(session).people
    assert len(people.seen) == 2 * MOST_FOLLOWED + 1
    assert len(people.paths) == MOST_FOLLOWED
    assert 1 in people.paths


def test_the_page_stands_alone_and_says_it_all(plot, two, tmp_path):
    out = tmp_path / "two.html"
    told = plot(str(two), "--out", str(out))
    assert (told.returncode, told.stderr) == (0, "")
    assert "2 people" in told.stdout
    page = out.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', page), "it needs something that is not in it"
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)
    assert len(re.findall("data:image/png;base64,", page)) >= 10
    text = text_of(out)
    for words in ("person 4", "left, right, back", "Gaps", "Latency", "median", "last frame"):
        assert words in text


def test_marks_stand_at_their_instants(tmp_path):
    def mark(at_s: float, text: str) -> tuple[Message, int]:
        """Heard 50 ms later; the first one before any pose."""
        at_ns = make.START_NS + round(at_s * 1e9)
        return Mark(captured_ns=at_ns, published_ns=at_ns, source="mark", seq=0, text=text), at_ns + 50_000_000

    content = sorted(
        [*Take(3.0, TWO).messages(), mark(2.0, "foot <b>lands"), mark(0.0, "go")], key=lambda each: each[1]
    )
    gathered = write_report(saved(tmp_path / "take.mcap", content), tmp_path / "out.html")
    assert [text for _, text in gathered.marks] == ["go", "foot <b>lands"]
    assert [at_s for at_s, _ in gathered.marks] == pytest.approx([0.0, 2.0], abs=0.06)
    assert '<td class="text">foot &lt;b&gt;lands</td>' in (tmp_path / "out.html").read_text()


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (Take(3.0, ()), "Nobody was seen"),
        (Take(3.0, TWO, still=(0.0, 9.0)), "no poses"),
        (Take(3.0, (Part(1, Actor(STRAIGHT)),), keypoints=False), "no keypoints"),
        (Take(1 / 30, (Part(1, STANDING),)), "1 id,"),
        (Take(4.0, tuple(Part(k, actor) for k, actor in enumerate(actors(12))), keypoints=False), "4 more ids"),
    ],
)
def test_takes_that_lack_something_are_told_of_as_well(tmp_path, take, words):
    out = tmp_path / "out.html"
    write_report(take.write(tmp_path / "take.mcap"), out)
    assert words in text_of(out)


def test_a_take_that_was_cut(two, tmp_path):
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(two.read_bytes()[: two.stat().st_size // 2])
    gathered = write_report(cut, tmp_path / "cut.html")
    assert 0 < gathered.rhythm.poses < 270
    assert "ended by force" in text_of(tmp_path / "cut.html")


def test_what_is_wrong_is_said_and_nothing_is_overwritten(plot, two, tmp_path):
    there = tmp_path / "there.html"
    there.write_text("mine")
    for arguments, words in (
        ((str(two), "--out", str(there)), "--force"),
        ((str(two), "--out", str(two)), "is what is read"),
        ((str(two), "--out", str(tmp_path / "no" / "folder.html")), "no folder"),
        ((str(tmp_path / "missing.mcap"), "--out", str(tmp_path / "x.html")), "does not exist"),
    ):
        told = plot(*arguments)
        assert told.returncode == 2, arguments
        assert words in told.stderr
    assert there.read_text() == "mine"
    foreign = tmp_path / "foreign.mcap"
    foreign.write_text("no session")
    with pytest.raises(SessionError, match=re.escape("foreign.mcap")):
        write_report(foreign, tmp_path / "x.html")
    assert not list(tmp_path.glob("x.html*"))


def test_names_from_a_take_are_no_marks_of_the_page(tmp_path):
    path = Take(1.0, TWO).write(tmp_path / "<b>take.mcap")
    write_report(path, tmp_path / "out.html")
    assert "<b>take" not in (tmp_path / "out.html").read_text()


def test_seconds_are_those_of_the_take(gathered):
    assert gathered.people.seen[1].first_s == pytest.approx(0, abs=0.05)
    assert gathered.end_s == pytest.approx(10, abs=0.1)
