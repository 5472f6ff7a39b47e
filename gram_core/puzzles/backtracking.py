"""Backtracking search over small domains held as bit masks: counts and samples solutions.

Families state their rules as exclusions between variables; the search knows no puzzle. It is used
by ``generate``, whose thousands of small searches need a cheap start.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

Exclusions = Sequence[Sequence[Sequence[tuple[int, int]]]]
"""``exclusions[variable][value]``: pairs (other variable, mask of the values it loses)."""


MAX_NODES = 20_000
"""Limit on assignments tried per search in generation."""


class SearchTooLong(Exception):
    """The search visited more nodes than it was allowed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A board's rules: values per variable, and what each choice excludes."""

    num_values: int
    exclusions: Exclusions

    def domains(self, givens: Mapping[int, int]) -> list[int]:
        """Return each variable's mask of values that ``givens`` (variable -> value) allow."""
        domains = [(1 << self.num_values) - 1] * len(self.exclusions)
        for variable, value in givens.items():
            domains[variable] &= 1 << value
            for other, mask in self.exclusions[variable][value]:
                domains[other] &= ~mask
        return domains

    def solutions(
        self, givens: Mapping[int, int], *, max_nodes: int = 1_000_000
    ) -> Iterator[list[int]]:
        """Yield the assignments that complete the givens."""
        domains = self.domains(givens)
        if not all(domains):
            return iter(())
        return solutions(domains, self.exclusions, max_nodes=max_nodes)

    def random_solution(self, rng: np.random.Generator) -> list[int] | None:
        """Return a random assignment, or None if ``MAX_NODES`` tries found none."""
        found = solutions(self.domains({}), self.exclusions, rng=rng, max_nodes=MAX_NODES)
        try:
            return next(found, None)
        except SearchTooLong:
            return None


def all_different(
    groups: Sequence[Sequence[int]], num_values: int
) -> list[list[list[tuple[int, int]]]]:
    """Return exclusions by which variables differ that share a group.

    ``groups`` has the numbers of each variable's groups, such as its row and its column.
    """
    peers = [
        [
            other
            for other, theirs in enumerate(groups)
            if other != variable and any(one == two for one, two in zip(own, theirs, strict=True))
        ]
        for variable, own in enumerate(groups)
    ]
    return [
        [[(other, 1 << value) for other in near] for value in range(num_values)] for near in peers
    ]


def reduce_givens(
    rules: Rules,
    givens: dict[int, int],
    order: Iterable[int],
    *,
    num_solutions: int = 1,
    num_kept: int | None = None,
) -> int:
    """Remove givens in place while at most ``num_solutions`` exist; return how many then exist.

    ``givens`` (variable -> value) must have one solution. Trying every variable of ``order`` once
    makes a puzzle with one solution minimal: a given that was needed among more givens is needed
    among fewer. Stops at ``num_kept`` givens, which may be out of reach.
    """
    reached = 1
    for variable in order:
        if len(givens) == num_kept:
            break
        value = givens.pop(variable)
        try:
            left = rules.solutions(givens, max_nodes=MAX_NODES)
            found = sum(1 for _ in islice(left, num_solutions + 1))
        except SearchTooLong:
            # An undecided board counts as one with too many solutions: the given stays.
            found = num_solutions + 1
        if found > num_solutions:
            givens[variable] = value
        else:
            reached = found
    return reached


def count_solutions(
    domains: Sequence[int],
    exclusions: Exclusions,
    *,
    limit: int,
    interchangeable: int = 0,
    max_nodes: int = 1_000_000,
) -> int:
    """Return the number of solutions, at most ``limit``."""
    found = solutions(domains, exclusions, interchangeable=interchangeable, max_nodes=max_nodes)
    return sum(1 for _ in islice(found, limit))


def solutions(
    domains: Sequence[int],
    exclusions: Exclusions,
    *,
    interchangeable: int = 0,
    rng: np.random.Generator | None = None,
    max_nodes: int = 1_000_000,
) -> Iterator[list[int]]:
    """Yield assignments, one value per variable, within ``domains``: masks of values by variable.

    Values in the mask ``interchangeable`` may be renamed into one another; of solutions that differ
    only by such a renaming, one is yielded. ``rng`` tries values in random order, not ascending.
    Raises ``SearchTooLong`` after ``max_nodes`` assignments.
    """
    stack = [_Node(list(domains), [-1] * len(domains), len(domains), 0)]
    num_nodes = 0
    while stack:
        node = stack.pop()
        if node.num_open == 0:
            yield node.values
            continue
        variable = _most_constrained(node)
        for value in _choices(node, variable, interchangeable, rng):
            num_nodes += 1
            if num_nodes > max_nodes:
                raise SearchTooLong
            child = _assign(node, variable, value, exclusions[variable][value])
            if child is not None:
                stack.append(child)


class _Node:
    __slots__ = ("domains", "num_open", "used", "values")

    def __init__(self, domains: list[int], values: list[int], num_open: int, used: int) -> None:
        self.domains = domains
        self.values = values
        self.num_open = num_open
        self.used = used


def _most_constrained(node: _Node) -> int:
    best, fewest = -1, 1 << 30
    for variable, value in enumerate(node.values):
        if value < 0:
            size = node.domains[variable].bit_count()
            if size < fewest:
                best, fewest = variable, size
                if size <= 1:
                    break
    return best


def _choices(
    node: _Node, variable: int, interchangeable: int, rng: np.random.Generator | None
) -> list[int]:
    mask = node.domains[variable]
    fresh = mask & interchangeable & ~node.used
    # Unused interchangeable values are equivalent: only the lowest is tried.
    mask &= ~fresh | (fresh & -fresh)
    values = [value for value in range(mask.bit_length()) if mask >> value & 1]
    if rng is not None:
        rng.shuffle(values)
    # The stack pops from its end.
    return values[::-1]


def _assign(
    node: _Node, variable: int, value: int, excluded: Sequence[tuple[int, int]]
) -> _Node | None:
    domains = node.domains.copy()
    for other, mask in excluded:
        if domains[other] & mask and node.values[other] < 0:
            domains[other] &= ~mask
            if not domains[other]:
                return None
    values = node.values.copy()
    values[variable] = value
    domains[variable] = 1 << value
    return _Node(domains, values, node.num_open - 1, node.used | 1 << value)
