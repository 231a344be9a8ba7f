"""From where each browser looks: freely, following a person, or through a camera."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import viser

from calibration.rig import Camera
from nodes.page.bodies import middle, placed, plan_of, skeleton_named
from nodes.page.eye_picture import EyePicture, aspect_of
from nodes.page.part import Page
from nodes.page.room import FOV_RAD, Array, Eye, facing_wall, overview, through
from nodes.page.seen import Seen

ROOM, FREE = "the whole room", "freely"
FOLLOW, THROUGH = "following person ", "through camera "
NEAR_M, BEYOND_PICTURE_M = 0.01, 0.9  # a camera's own frustum is nearer than the second, so that it is not seen
FOLLOW_M = 4.5  # from a person when they begin to be followed, or nearer
EASE = 0.12  # of the way to a followed person, thirty times a second
RESHAPED = 0.05  # a change of a picture's aspect: its panel was opened, its window is another
TURNED = 0.02  # of a direction
TURNED_M = 0.01  # a change of the offset that is the user's doing
MOVED_M = 0.05  # away from a place that the page has chosen
HANDS_OFF_NS = 300_000_000  # so long the page keeps off a camera that the user turns
SETTLED_NS = 1_200_000_000  # a browser answers where it looks from within that
LOST_NS = 5_000_000_000  # a followed person who was not seen for so long is given up
OPTIONS_NS = 500_000_000


class Views:
    """See `Part`."""

    every_s = 0.0

    def __init__(self, page: Page) -> None:
        self._page = page
        self._views: dict[int, _View] = {}
        self._built = -1
        self._options_due_ns = 0

    def show(self, seen: Seen, now_ns: int) -> None:
        clients = self._page.server.get_clients()
        self._views = {key: view for key, view in self._views.items() if key in clients}
        came = [key for key in clients if key not in self._views]
        for key in came:
            self._views[key] = _View(clients[key])
        rebuilt = self._built != seen.changed
        self._built = seen.changed
        if rebuilt or came or now_ns >= self._options_due_ns:
            self._options_due_ns = now_ns + OPTIONS_NS
            people = {person.id for person in seen.pose.people} if seen.pose is not None else set()
            for view in self._views.values():
                view.offer(sorted(people), list(seen.standing))
        failed: Exception | None = None
        for view in self._views.values():
            try:
                if rebuilt:
                    view.begin_anew(now_ns)
                view.show(seen, now_ns)
            except Exception as error:  # one browser's, which the others should not notice
                failed = error
        if failed is not None:
            raise failed


class _View:
    """Of one browser. The callback of its control only notes what was chosen."""

    def __init__(self, client: viser.ClientHandle) -> None:
        self._client = client
        self._look = ROOM
        self._chosen: deque[str] = deque([ROOM], maxlen=1)  # also by the callback, on another thread
        self._since_ns = 0
        self._before = np.full(3, np.inf)  # where the camera was when the page put it elsewhere
        self._aspect = 0.0  # that the view of the room was made for
        self._eye: Eye | None = None  # where the page has put the camera; None: where the user has
        self._target: Array | None = None
        self._offset = np.zeros(3)
        self._turned_ns = 0
        self._last_seen_ns = 0
        self._picture: EyePicture | None = None
        self._dropdown = client.gui.add_dropdown(
            "Look",
            (ROOM, FREE),
            initial_value=ROOM,
            order=-1.0,
            hint="from where this browser looks; others do not move",
        )
        self._dropdown.on_update(self._choose)

    def _choose(self, event: viser.GuiEvent[viser.GuiDropdownHandle[str]]) -> None:
        if event.client is not None:
            self._chosen.append(event.target.value)

    def offer(self, people: Sequence[int], cameras: Sequence[str]) -> None:
        """Bring the choices up to date; the one that is taken stays among them."""
        options = [ROOM, FREE, *(f"{FOLLOW}{one}" for one in people), *(f"{THROUGH}{one}" for one in cameras)]
        if self._look not in options:
            options.append(self._look)
        if tuple(options) != self._dropdown.options:
            self._dropdown.options = tuple(options)

    def begin_anew(self, now_ns: int) -> None:
        """Another configuration: the room is another, too."""
        if self._look != FREE or self._eye is not None:
            self._take(ROOM, now_ns)
            self._chosen.append(ROOM)

    def show(self, seen: Seen, now_ns: int) -> None:
        if self._chosen:
            self._take(self._chosen.pop(), now_ns)
            self._go(seen)
        elif self._look == ROOM and self._eye is not None and abs(aspect_of(self._client) - self._aspect) > RESHAPED:
            self._since_ns = now_ns
            self._go(seen)
        if self._look.startswith(FOLLOW):
            self._follow(seen, now_ns)
        elif self._eye is not None and now_ns - self._since_ns > SETTLED_NS and self._has_left(self._eye):
            self._settle(self._eye, now_ns)
        if self._picture is not None:
            self._picture.show(seen)

    def _take(self, look: str, now_ns: int) -> None:
        """Begin to look so, and leave what was."""
        if self._look.startswith(THROUGH) and look != self._look:
            self._leave_camera()
        self._look, self._since_ns, self._last_seen_ns = look, now_ns, now_ns
        self._eye, self._target = None, None
        self._dropdown.value = look  # type: ignore[misc]  # its setter is hidden from mypy

    def _go(self, seen: Seen) -> None:
        """Put the camera where the look asks for."""
        if self._look == ROOM:
            self._aspect = aspect_of(self._client)
            self._put(first_eye(seen, self._aspect))
        elif self._look.startswith(THROUGH):
            camera = seen.standing.get(self._look.removeprefix(THROUGH))
            if camera is None:
                self._chosen.append(ROOM)
                return
            self._look_through(camera)

    def _look_through(self, camera: Camera) -> None:
        self._put(through(camera))
        self._client.camera.near = BEYOND_PICTURE_M
        self._picture = EyePicture(self._client, camera)

    def _leave_camera(self) -> None:
        if self._picture is not None:
            self._picture.remove()
            self._picture = None
        self._client.camera.near = NEAR_M
        self._client.camera.up_direction = (0.0, 0.0, 1.0)
        self._client.camera.fov = float(FOV_RAD)

    def _put(self, eye: Eye) -> None:
        camera = self._client.camera
        self._before = camera.position.copy()
        with self._client.atomic():
            camera.up_direction = eye.up
            camera.position = eye.position_m
            camera.look_at = eye.look_at_m
            camera.fov = eye.fov_rad
        self._eye = eye

    def _settle(self, eye: Eye, now_ns: int) -> None:
        """The camera is elsewhere: where it was before, when a browser that opens the page has overheard; else the user
        has moved it."""
        if np.linalg.norm(self._client.camera.position - self._before) < MOVED_M:
            self._since_ns = now_ns
            self._put(eye)
        else:
            self._take(FREE, now_ns)

    def _has_left(self, eye: Eye) -> bool:
        """Whether the user has moved the camera from where the page had put it."""
        camera = self._client.camera
        wanted, way = eye.look_at_m - eye.position_m, camera.look_at - camera.position
        turned = wanted / np.linalg.norm(wanted) - way / max(float(np.linalg.norm(way)), 1e-6)
        moved_m = float(np.linalg.norm(camera.position - eye.position_m))
        return moved_m > MOVED_M or float(np.linalg.norm(turned)) > TURNED

    def _follow(self, seen: Seen, now_ns: int) -> None:
        place = _place_of(seen, int(self._look.removeprefix(FOLLOW)))
        if place is None:
            if now_ns - self._last_seen_ns > LOST_NS:
                self._take(FREE, now_ns)
            return
        self._last_seen_ns = now_ns
        camera = self._client.camera
        offset = camera.position - camera.look_at
        if self._target is None:
            near = min(1.0, FOLLOW_M / max(float(np.linalg.norm(offset)), 1e-6))
            self._target, self._offset = camera.look_at.copy(), offset * near
        elif now_ns - self._since_ns < SETTLED_NS:
            pass  # it answers still from where it was
        elif np.linalg.norm(offset - self._offset) > TURNED_M:
            self._offset, self._turned_ns = offset, now_ns
        if now_ns - self._turned_ns < HANDS_OFF_NS:
            return
        self._target = self._target + EASE * (place - self._target)
        with self._client.atomic():
            camera.position = self._target + self._offset
            camera.look_at = self._target


def first_eye(seen: Seen, aspect: float) -> Eye:
    """From where all there is is seen. aspect: of the browser's picture."""
    if seen.standing or not seen.cameras:
        return overview(seen.rig, aspect)
    return facing_wall(len(seen.cameras), aspect)


def _place_of(seen: Seen, person_id: int) -> Array | None:
    """Where the followed person is; None while nobody knows."""
    pose = seen.pose
    if pose is None:
        return None
    for person, joints_m in zip(pose.people, placed(pose), strict=True):
        if person.id == person_id:
            place = middle(joints_m, plan_of(skeleton_named(pose.skeleton, None), len(joints_m)))
            return None if place is None else place.astype(np.float64)
    return None
