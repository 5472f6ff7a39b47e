"""One answer for all that count as the same solution, whichever of them was found."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_core.puzzles import FIRST_VALUE, Renaming, family

PAIRS = list(combinations(range(5), 2))


@pytest.mark.slow
@given(
    edges=st.lists(st.sampled_from(PAIRS), unique=True),
    colors=st.integers(2, 4),
    fixed=st.dictionaries(st.integers(0, 4), st.integers(0, 1), max_size=2),
)
def test_colourings_have_one_representative_exactly_when_they_are_one_solution(
    edges: list[tuple[int, int]], colors: int, fixed: dict[int, int]
) -> None:
    coloring = family("graph-coloring")
    assert isinstance(coloring, Renaming)
    instance = coloring.parse(
        {
            "vertices": 5,
            "edges": [pair for pair in edges if not {*pair} <= {*fixed}],
            "colors": colors,
            "fixed": {str(vertex): color for vertex, color in fixed.items()},
        }
    )
    by_key: dict[bytes, set[bytes]] = {}
    for values in product(range(colors), repeat=5):
        tokens = np.array(values, dtype=np.uint8) + FIRST_VALUE
        if not coloring.check(instance, tokens):
            continue
        shown = coloring.representative(instance, tokens)
        key = coloring.canonical(instance, tokens)
        assert coloring.check(instance, shown)
        assert coloring.canonical(instance, shown) == key
        assert shown.dtype == tokens.dtype
        by_key.setdefault(key, set()).add(shown.tobytes())
    assert all(len(shown) == 1 for shown in by_key.values())


def test_only_families_whose_values_can_be_renamed_have_representatives() -> None:
    assert not any(isinstance(family(name), Renaming) for name in ("sudoku", "nqueens", "maze"))
