"""Graphs whose vertices have names: ``vertices`` lists them, or they are the keys of ``adjacency``.

Knows names and their places; edges and colours are read elsewhere.
"""

from collections.abc import Mapping, Sequence

from gram_core.puzzles.body import describe, is_integer, read_list, refuse

_MAX_NAMES = 256


def numbered(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields of a graph with its vertices numbered, in the order of their names."""
    vertices, neighbours = fields.get("vertices"), fields.get("adjacency")
    if isinstance(vertices, list | tuple):
        numbers = _numbers(vertices, "vertices")
        changed: dict[str, object] = {"vertices": len(numbers)}
    elif isinstance(neighbours, Mapping):
        numbers = _numbers([*neighbours], "adjacency")
        changed = {"adjacency": _number_all([*neighbours.values()], "adjacency", numbers)}
    else:
        return fields
    if "edges" in fields:
        edges = read_list(fields["edges"], "edges", max_items=_MAX_NAMES**2)
        changed["edges"] = _number_all(edges, "edges", numbers)
    if isinstance(fixed := fields.get("fixed"), Mapping):
        changed["fixed"] = {
            str(_number(name, "fixed", numbers)): color for name, color in fixed.items()
        }
    return {**fields, **changed}


def _numbers(names: Sequence[object], field: str) -> Mapping[str, int]:
    numbers: dict[str, int] = {}
    for index, name in enumerate(read_list(names, field, max_items=_MAX_NAMES)):
        if not (isinstance(name, str) or is_integer(name)) or numbers.get(str(name)) is not None:
            refuse(f"{field}[{index}]", f"must be a name of its own, not {describe(name)}")
        numbers[str(name)] = index
    return numbers


def _number_all(
    groups: Sequence[object], field: str, numbers: Mapping[str, int]
) -> list[list[int]]:
    return [
        [
            _number(name, f"{field}[{index}][{place}]", numbers)
            for place, name in enumerate(
                read_list(group, f"{field}[{index}]", max_items=_MAX_NAMES)
            )
        ]
        for index, group in enumerate(groups)
    ]


def _number(name: object, field: str, numbers: Mapping[str, int]) -> int:
    # Only these are printed: a nested value may be deeper than str can follow.
    number = numbers.get(str(name)) if isinstance(name, str) or is_integer(name) else None
    if number is None:
        refuse(field, f"names no vertex: {describe(name)}")
    return number
