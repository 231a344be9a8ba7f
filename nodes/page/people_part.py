"""The people in the room: joints, bones, names, trails, how sure each joint is and where it came from."""

import numpy as np
import viser

from lifter.skeleton import Skeleton
from nodes.page.bodies import Drawn, above, drawn, middle, placed, plan_of, skeleton_named
from nodes.page.part import Page
from nodes.page.seen import Seen
from nodes.page.shapes import F32, ball, bone
from nodes.page.trails import EVERY_S, Trails
from nodes.wire.messages import Message, Pose3D

GROUND_RGB = (26, 28, 32)  # what is far and what is past fades into this
HALO_OPACITY = 0.22
TRAIL_M = 0.03


class PeopleInRoom:
    """See `Part`."""

    every_s = 0.0

    def __init__(self, page: Page) -> None:
        self._scene = page.server.scene
        self._bodies = Bodies(page.server.scene, "/people", beside=False)
        self._beside = Bodies(page.server.scene, "/beside", beside=True)
        self._names: list[viser.LabelHandle] = []
        self._trails = Trails()
        self._trail: viser.LineSegmentsHandle | None = None
        self._trail_due_ns = 0
        self._drawn: tuple[Message | None, ...] = ()

    def show(self, seen: Seen, now_ns: int) -> None:
        pose, beside = seen.pose, seen.beside
        changed, self._drawn = (pose, beside) != self._drawn, (pose, beside)
        if not changed:
            return
        skeleton = seen.skeleton
        here = placed(pose) if pose is not None else []
        self._bodies.show(pose, here, skeleton)
        self._beside.show(beside, placed(beside) if beside is not None else [], skeleton)
        self._show_names(pose, here)
        self._show_trails(pose, here, skeleton, now_ns)

    def _show_names(self, pose: Pose3D | None, here: list[F32]) -> None:
        people = pose.people if pose is not None else ()
        tops = [above(joints_m) for joints_m in here]
        while len(self._names) < len(people):
            name = f"/people/name{len(self._names)}"
            self._names.append(self._scene.add_label(name, "", anchor="bottom-center", visible=False))
        for index, label in enumerate(self._names):
            top = tops[index] if index < len(tops) else None
            label.visible = top is not None
            if top is not None:
                label.text = f"person {people[index].id}"
                label.position = top

    def _show_trails(self, pose: Pose3D | None, here: list[F32], skeleton: Skeleton | None, now_ns: int) -> None:
        if pose is None or pose.frame != "world":
            self._trails.clear()
        elif now_ns < self._trail_due_ns:
            return
        else:
            self._trails.feed(pose.captured_ns, _places(pose, here, skeleton))
        self._trail_due_ns = now_ns + round(EVERY_S * 1e9)
        points, colours = self._trails.lines(pose.captured_ns if pose is not None else 0, GROUND_RGB)
        if self._trail is None and len(points):
            self._trail = self._scene.add_line_segments("/trail", points, colours, thickness=TRAIL_M)
        elif self._trail is not None:
            self._trail.visible = bool(len(points))
            if len(points):
                self._trail.points, self._trail.colors = points, colours


def _places(pose: Pose3D, here: list[F32], skeleton: Skeleton | None) -> dict[int, F32]:
    places = {}
    for person, joints_m in zip(pose.people, here, strict=True):
        plan = plan_of(skeleton_named(pose.skeleton, skeleton), len(joints_m))
        place = middle(joints_m, plan)
        if place is not None:
            places[person.id] = place
    return places


class Bodies:
    """The solids of one result, made anew only when there are more people than before, or another skeleton."""

    def __init__(self, scene: viser.SceneApi, name: str, beside: bool) -> None:
        self._scene = scene
        self._name = name
        self._is_beside = beside
        self._drawn: Drawn | None = None
        self._form: tuple[str, int, int] | None = None  # skeleton, joints, people there is room for
        self._balls: viser.BatchedMeshHandle | None = None
        self._halos: viser.BatchedMeshHandle | None = None
        self._rods: viser.BatchedMeshHandle | None = None

    def show(self, pose: Pose3D | None, here: list[F32], told: Skeleton | None) -> None:
        """Draw everybody; None: nobody. here: where their joints are drawn."""
        if pose is None or not pose.people:
            for mesh in (self._balls, self._halos, self._rods):
                if mesh is not None:
                    mesh.visible = False
            return
        n_joints = max(len(person.joints_m) for person in pose.people)
        plan = plan_of(skeleton_named(pose.skeleton, told), n_joints)
        had = self._form[2] if self._form is not None and self._form[:2] == (pose.skeleton, n_joints) else 0
        slots = max(had, 1 << (len(pose.people) - 1).bit_length())
        now = drawn(pose, here, plan, slots, self._is_beside)
        if had < slots:
            self._make(now)
            self._drawn = now
            self._form = (pose.skeleton, n_joints, slots)
        else:
            self._update(now)

    def _make(self, now: Drawn) -> None:
        for mesh in (self._balls, self._halos, self._rods):
            if mesh is not None:
                mesh.remove()
        upright = np.tile(np.array([1, 0, 0, 0], np.float32), (len(now.joints_m), 1))
        self._balls = self._scene.add_batched_meshes_simple(
            f"{self._name}/joints",
            *ball(),
            upright,
            now.joints_m,
            batched_scales=now.radius_m,
            batched_colors=now.joint_rgb,
            lod="off",
        )
        self._halos = None
        if not self._is_beside:
            self._halos = self._scene.add_batched_meshes_simple(
                f"{self._name}/halos",
                *ball(),
                upright,
                now.joints_m,
                batched_scales=now.halo_m,
                batched_colors=now.joint_rgb,
                lod="off",
                opacity=HALO_OPACITY,
                cast_shadow=False,
                receive_shadow=False,
            )
        self._rods = None
        if len(now.bones_m):
            self._rods = self._scene.add_batched_meshes_simple(
                f"{self._name}/bones",
                *bone(),
                now.bones_wxyz,
                now.bones_m,
                batched_scales=now.bones_scale,
                batched_colors=now.bone_rgb,
                lod="off",
            )

    def _update(self, now: Drawn) -> None:
        """Set what is another than before: looking costs less than viser's setting of it, even in vain."""
        before, self._drawn = self._drawn, now
        for mesh, prop, what in (
            (self._balls, "batched_positions", "joints_m"),
            (self._balls, "batched_scales", "radius_m"),
            (self._balls, "batched_colors", "joint_rgb"),
            (self._halos, "batched_scales", "halo_m"),
            (self._rods, "batched_wxyzs", "bones_wxyz"),
            (self._rods, "batched_positions", "bones_m"),
            (self._rods, "batched_scales", "bones_scale"),
            (self._rods, "batched_colors", "bone_rgb"),
        ):
            value = getattr(now, what)
            if mesh is not None and (before is None or not np.array_equal(value, getattr(before, what))):
                setattr(mesh, prop, value)
        if self._halos is not None and now.halo_m.any():
            self._halos.batched_positions = now.joints_m
            self._halos.batched_colors = now.joint_rgb
        for mesh in (self._balls, self._halos, self._rods):
            if mesh is not None:
                mesh.visible = True
