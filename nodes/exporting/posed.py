"""Somebody's joints as a posed figure, block by block: what BVH and glTF write."""

import numpy as np
import numpy.typing as npt

from nodes.exporting.bodies import measure, with_middles
from nodes.exporting.figure import Figure
from nodes.exporting.inverse_kinematics import Solver, Turns
from nodes.exporting.moments import Rows
from nodes.exporting.plan import Axes, Person, turned

F64 = npt.NDArray[np.float64]


class Posed:
    """One person's figure. offset_m: (J, 3) from each joint's holder, at rest. solve: its turns at the next moments."""

    def __init__(self, figure: Figure, person: Person) -> None:
        sample = np.stack(person.stay.sample.kept)
        self.figure = figure
        self.offset_m = measure(figure, with_middles(figure, turned(sample, Axes.Y_UP)))
        self._solver = Solver(figure, self.offset_m)

    def solve(self, rows: Rows) -> Turns:
        return self._solver.solve(with_middles(self.figure, turned(rows.joints_m, Axes.Y_UP)), rows.sigma_m)

    def offset_of(self, node: int) -> F64:
        """(3,) where a node is, from the one that it hangs on; the root's is zero."""
        nodes = self.figure.nodes
        above = nodes[node].parent
        same = above < 0 or nodes[above].at == nodes[node].at
        return np.zeros(3) if same else self.offset_m[nodes[node].at]
