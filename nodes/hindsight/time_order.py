"""A recording's detections by time of capture, for fusion that waits for every camera, forward and backward. Pure."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace

from nodes.wire.messages import CameraHealth, Keypoints2D

REACH_NS = 3_000_000_000  # no frame was logged later than this after one that was captured after it
NO_LIVE_ID = 1_000_000  # added to ids of those who were asked for live: they stay apart, and mean nobody followed

Timed = tuple[Keypoints2D, int]  # a message and when it was logged
Event = tuple[Keypoints2D | CameraHealth, int]


def by_capture(messages: Iterable[Timed]) -> Iterator[Timed]:
    """Messages in about the order of capture, brought into it; the time with each is the latest of those so far."""
    waiting: list[tuple[int, int, Timed]] = []
    newest_ns = log_ns = 0
    for number, timed in enumerate(messages):
        newest_ns = max(newest_ns, timed[0].captured_ns)
        heapq.heappush(waiting, (timed[0].captured_ns, number, timed))
        while waiting[0][0] < newest_ns - REACH_NS:
            message, logged_ns = heapq.heappop(waiting)[2]
            log_ns = max(log_ns, logged_ns)
            yield message, log_ns
    while waiting:
        message, logged_ns = heapq.heappop(waiting)[2]
        log_ns = max(log_ns, logged_ns)
        yield message, log_ns


def with_silences(messages: Iterable[Timed], cameras: tuple[str, ...], max_gap_ns: int) -> Iterator[Event]:
    """Messages by capture, and after each camera's last one before it falls silent for longer than max_gap_ns the word
    that it has ended, so that nobody waits for it."""
    last_ns: dict[str, int] = {}
    for message, log_ns in messages:
        last_ns = last_ns or dict.fromkeys(cameras, message.captured_ns)
        for camera, spoke_ns in list(last_ns.items()):
            if message.captured_ns - spoke_ns > max_gap_ns:
                yield _ended(camera, spoke_ns), log_ns
                last_ns[camera] = 2**62  # said once
        if message.source in cameras:
            last_ns[message.source] = message.captured_ns
        yield message, log_ns


def mirrored(message: Keypoints2D, pivot_ns: int) -> Keypoints2D:
    """The same at pivot_ns minus its time: a recording played backward is one of people who move backward."""
    captured_ns = pivot_ns - message.captured_ns
    return replace(
        message,
        captured_ns=captured_ns,
        published_ns=captured_ns + max(0, message.published_ns - message.captured_ns),
        asked_ids=tuple(each if each < 0 else each + NO_LIVE_ID for each in message.asked_ids),
    )


def _ended(camera: str, at_ns: int) -> CameraHealth:
    return CameraHealth(captured_ns=at_ns, published_ns=at_ns, source=camera, seq=0, state="ended")
