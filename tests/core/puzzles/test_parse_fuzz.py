"""Whatever JSON comes in, an instance or ``PuzzleInvalid`` comes out."""

import json
from itertools import combinations

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import BLANK, FIRST_VALUE, AnyFamily, families, family

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-1, 10)
    | st.sampled_from([10**4000, -(10**4000)])
    | st.floats()
    | st.text(max_size=20)
    | st.text(alphabet="0123456789.*_Qq|+- \n", max_size=90)
    # Lone surrogates, which no encoder takes, come out of JSON too.
    | st.text(st.characters(codec=None), max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=30,
)
PAIRS = st.lists(st.lists(st.integers(-1, 9) | SCALARS, min_size=2, max_size=2), max_size=6)
GRIDS = (
    st.text(alphabet="12345.", min_size=16, max_size=16)
    | st.text(alphabet="123456789.x", min_size=80, max_size=82)
    | st.text(alphabet=".123< ^v\n", max_size=11)
    | st.text(alphabet="0123:URDL,jx_aB", max_size=20)
    | st.lists(st.text(alphabet="Q.", min_size=4, max_size=4), min_size=4, max_size=4)
    | st.lists(st.text(alphabet="SG#. ", min_size=3, max_size=3), min_size=1, max_size=2)
    | st.lists(st.lists(st.integers(-1, 5), min_size=4, max_size=4), min_size=4, max_size=4)
    | st.lists(st.integers(0, 4) | st.none(), min_size=16, max_size=16)
    | st.lists(st.lists(st.sampled_from("Q.SG#1*"), min_size=4, max_size=4), min_size=4, max_size=4)
)
COLORS = st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3) | GRIDS
NAMES = st.sampled_from(["a", "b", "c", 0, 1, "1", None])
DIMACS = st.lists(
    st.sampled_from(["p edge 3 2", "p col 0 0", "e 1 2", "e 2 2", "e 9 1", "c x", "e 1", "?"])
).map("\n".join)
DRAWINGS = (
    st.text(alphabet="1.", min_size=16, max_size=16)
    | st.lists(st.text(alphabet="Q.", min_size=3, max_size=3), max_size=4).map("\n".join)
    | st.lists(st.text(alphabet="SG. ", min_size=2, max_size=2), max_size=2).map("\n".join)
    | DIMACS
)
LIKELY = {
    "puzzle": st.sampled_from(list(families())),
    "grid": GRIDS,
    "n": st.integers(0, 66),
    "queens": PAIRS,
    "vertices": st.integers(-1, 9),
    "edges": PAIRS,
    "colors": st.integers(-1, 5),
    "fixed": st.dictionaries(st.integers(-1, 9).map(str) | st.text(), st.integers(-1, 4)),
    "dimacs": DIMACS,
    "less": st.lists(PAIRS, max_size=3),
    "regions": GRIDS,
    "train": st.lists(st.fixed_dictionaries({"input": COLORS, "output": COLORS}), max_size=4),
    "test": st.lists(st.fixed_dictionaries({"input": COLORS}), max_size=2),
    "test_index": st.integers(-1, 2),
}
FIELDS = st.sampled_from([*LIKELY, "adjacency"])
BODIES = (
    VALUES
    | st.dictionaries(FIELDS | st.text(max_size=5), VALUES, max_size=4)
    | st.fixed_dictionaries({}, optional=dict(LIKELY.items()))
    | st.fixed_dictionaries({}, optional={name: LIKELY[name] for name in ("grid", "puzzle")})
    | st.fixed_dictionaries({"n": LIKELY["n"]}, optional={"queens": PAIRS})
    | st.fixed_dictionaries({"grid": GRIDS}, optional={"less": LIKELY["less"]})
    | st.fixed_dictionaries({"grid": GRIDS, "regions": GRIDS})
    | st.fixed_dictionaries(
        {"train": LIKELY["train"], "test": LIKELY["test"]},
        optional={"test_index": LIKELY["test_index"]},
    )
    | st.fixed_dictionaries(
        {"vertices": LIKELY["vertices"], "edges": PAIRS},
        optional={"colors": LIKELY["colors"], "fixed": LIKELY["fixed"]},
    )
    | st.fixed_dictionaries(
        {"vertices": st.lists(NAMES, max_size=4), "edges": st.lists(st.lists(NAMES, max_size=3))},
        optional={"fixed": st.dictionaries(NAMES, st.integers(0, 2))},
    )
    | st.fixed_dictionaries(
        {
            "adjacency": st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=4)
            | st.dictionaries(NAMES, st.lists(NAMES, max_size=3))
        }
    )
    | st.fixed_dictionaries({"queens": st.lists(st.integers(-1, 4) | st.none(), max_size=5)})
)


def queens_body(squares: set[tuple[int, int]]) -> tuple[dict[str, object], list[int]]:
    tokens = [BLANK] * 36
    for row, column in squares:
        tokens[6 * row + column] = FIRST_VALUE
    return {"n": 6, "queens": [list(square) for square in squares]}, tokens


def graph_body(
    edges: set[tuple[int, int]], fixed: dict[int, int]
) -> tuple[dict[str, object], list[int]]:
    tokens = [fixed.get(vertex, -1) + FIRST_VALUE for vertex in range(5)]
    named = {str(vertex): color for vertex, color in fixed.items()}
    return {"vertices": 5, "edges": [list(edge) for edge in edges], "fixed": named}, tokens


PLAUSIBLE: dict[str, st.SearchStrategy[tuple[dict[str, object], list[int]]]] = {
    "sudoku": st.lists(st.sampled_from([0] * 12 + [1, 2, 3, 4]), min_size=16, max_size=16).map(
        lambda cells: ({"grid": "".join(map(str, cells))}, [digit + BLANK for digit in cells])
    ),
    "nqueens": st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=3).map(
        queens_body
    ),
    "graph-coloring": st.builds(
        graph_body,
        st.sets(st.sampled_from(list(combinations(range(5), 2))), max_size=6),
        st.dictionaries(st.integers(0, 4), st.integers(0, 2), max_size=4),
    ),
}
EMPTIED: dict[str, dict[str, object]] = {
    "sudoku": {"grid": "." * 16},
    "nqueens": {"queens": []},
    "graph-coloring": {"fixed": {}},
}


def read(rules: AnyFamily, body: object) -> object:
    """Return the instance, or the refusal itself; any other exception escapes."""
    try:
        return rules.parse(body)  # type: ignore[arg-type]  # hostile on purpose
    except PuzzleInvalid as refusal:
        return refusal


@pytest.mark.slow
@given(body=BODIES)
@settings(max_examples=400)
def test_only_puzzle_invalid_comes_out_of_parse(body: object) -> None:
    # Every family reads every body: drawing them takes longer than reading them.
    for name, rules in families().items():
        note(name)
        outcome = read(rules, body)
        if isinstance(outcome, PuzzleInvalid):
            assert all(issue.field and issue.detail for issue in outcome.issues)
            # It can be shown: no half of a surrogate pair is left in it.
            assert str(outcome).encode()
            continue
        assert rules.parse(json.loads(json.dumps(rules.dump(outcome)))) == outcome
        assert rules.encode(outcome).tokens.shape == (rules.task_of(outcome).length,)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PLAUSIBLE))
@given(data=st.data())
@settings(max_examples=200)
def test_plausible_boards_are_read_exactly_when_no_given_values_clash(
    name: str, data: st.DataObject
) -> None:
    body, tokens = data.draw(PLAUSIBLE[name])
    rules = family(name)
    outcome = read(rules, body)
    # The rules of the same puzzle without its given values.
    empty = rules.parse({**body, **EMPTIED[name]})
    clashes = set()
    for unit in rules.units(empty):
        given = [tokens[cell] for cell in unit.cells if tokens[cell] > BLANK]
        if len(set(given)) < len(given):
            clashes.add(unit.name)
    if isinstance(outcome, PuzzleInvalid):
        assert {issue.rule for issue in outcome.issues} == clashes
    else:
        assert not clashes
        assert rules.encode(outcome).tokens.tolist() == tokens


@pytest.mark.slow
@given(text=st.text() | st.text(alphabet="pe 0123456789.Qq|+-\n", max_size=200) | DRAWINGS)
@settings(max_examples=200)
def test_only_puzzle_invalid_comes_out_of_text(text: str) -> None:
    for name, rules in families().items():
        note(name)
        try:
            instance = rules.parse_text(text)
        except PuzzleInvalid:
            continue
        assert rules.parse(rules.dump(instance)) == instance
