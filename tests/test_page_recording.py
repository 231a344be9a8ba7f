"""The page's recordings where something comes between asking and recording; no browser here."""

import time

import pytest

from nodes.wire.requests import ProcessState
from tests import messages as make
from tests.test_page_panels import Panels, all_well, panels, server_page, wait_for

__all__ = ["panels", "server_page"]


@pytest.fixture
def counting(panels) -> Panels:
    """Somebody wants to record in three seconds."""
    panels.control("Name").value = "walk-1"
    panels.control("With video").value = False
    panels.control("Begins").value = "in 3 s"
    panels.hear(*all_well(), idle())
    panels.click("Record")
    return panels


def idle():
    return make.recorder_health(state="idle", path="", note="", lost=0)


def fusion(state: str):
    return make.system_state(processes={"fusion": ProcessState(state=state)}, note="")


def test_what_was_asked_for_is_recorded_whatever_is_typed_meanwhile(panels):
    panels.hear(*all_well(), idle())
    panels.control("Begins").value = "at once"
    panels.control("Name").value = "walk-1"
    panels.control("With video").value = False
    begin = panels.parts[1]._recording._countdown.begin

    def later(seconds, then):
        panels.control("Name").value = "other"
        panels.control("With video").value = True
        begin(seconds, then)

    panels.parts[1]._recording._countdown.begin = later
    panels.click("Record")
    assert [(each.name, each.video) for each in wait_for(panels)] == [("walk-1", False)]


def test_nothing_can_be_changed_while_it_is_counted(counting):
    counting.hear()
    assert [counting.control(label).disabled for label in ("Name", "Begins", "With video")] == [True] * 3
    counting.click("Cancel")
    counting.hear()
    assert not counting.control("Name").disabled


def test_a_system_that_goes_away_while_it_is_counted_is_told(counting):
    words = counting.hear(after_s=10.0)
    assert "Nothing was recorded: the system went away" in words
    assert "recording begins" not in words
    time.sleep(0.05)
    assert counting.asked() == []


def test_nothing_is_recorded_while_fusion_tries_other_settings(counting):
    words = counting.hear(fusion("waiting"))
    assert "Nothing was recorded: fusion began anew" in words
    assert "record when it runs" in words
    assert counting.control("Record").disabled
    words = counting.hear(fusion("running"), idle())
    assert "record when it runs" not in words
    assert not counting.control("Record").disabled
