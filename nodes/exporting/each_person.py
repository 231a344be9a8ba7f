"""One file for each person: opened when the person comes, and ended when the person has gone for good."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodes.exporting.moments import Block, Rows, absent
from nodes.exporting.part_file import written_whole
from nodes.exporting.plan import Person, Plan, Write, file_of

OpenOne = Callable[[Plan, Person, Path], AbstractContextManager[Write[Rows]]]


@dataclass(frozen=True)
class _Open:
    person: Person
    stack: ExitStack
    write: Write[Rows]


@contextmanager
def each_person(plan: Plan, people: list[Person], open_one: OpenOne) -> Iterator[Write[Block]]:
    """Deals out blocks to the files of those who are there; in between, somebody is absent. Raises OSError."""
    coming = sorted(people, key=lambda person: person.first)
    here: list[_Open] = []
    with ExitStack() as after_fault:

        def write(block: Block) -> None:
            behind = block.first + len(block.captured_ns)
            while coming and coming[0].first < behind:
                person = coming.pop(0)
                stack = after_fault.enter_context(ExitStack())
                part = stack.enter_context(written_whole(file_of(plan, person)))
                here.append(_Open(person, stack, stack.enter_context(open_one(plan, person, part))))
            for each in list(here):
                each.write(_own(block, each.person, len(plan.skeleton.joints)))
                if each.person.behind <= behind:
                    each.stack.close()
                    here.remove(each)

        yield write


def _own(block: Block, person: Person, n_joints: int) -> Rows:
    """Somebody's rows of a block, from the first to the last moment that is to be written."""
    rows = block.people.get(person.id) or absent(len(block.captured_ns), n_joints)
    return rows[slice(max(person.first - block.first, 0), max(person.behind - block.first, 0))]
