"""Random graphs: their colourings against brute force, and which of them are drawn."""

from itertools import islice, product

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.puzzles import FIRST_VALUE
from gram_lab.data.graphs import coloring_classes, graph_key, random_graphs
from gram_lab.data.pools import is_held_out, make_pool


@pytest.mark.slow
@pytest.mark.parametrize("num_colors", [2, 3, 4])
def test_colourings_are_those_of_brute_force(num_colors: int) -> None:
    task = puzzles.task(f"graph-coloring-6-{num_colors}" if num_colors != 3 else "graph-coloring-6")
    draws = random_graphs(
        task,
        np.random.default_rng(1),
        edge_probabilities=(0.0, 0.6),
        is_wanted=lambda key: True,
    )
    sizes = set()
    for drawn in filter(None, islice(draws, 40)):
        edges = np.argwhere(np.triu(drawn.adjacency))
        proper = [
            colors
            for colors in product(range(num_colors), repeat=6)
            if all(colors[one] != colors[other] for one, other in edges)
        ]
        assert [tuple(row) for row in drawn.colorings - FIRST_VALUE] == proper
        family = puzzles.family("graph-coloring")
        graph = family.parse({"vertices": 6, "edges": edges.tolist(), "colors": num_colors})
        names = {family.canonical(graph, row) for row in drawn.colorings}
        assert len(coloring_classes(drawn.adjacency, num_colors)) == len(names)
        sizes.add(len(names))
    assert len(sizes) > 3


def test_renamed_vertices_share_the_key() -> None:
    rng = np.random.default_rng(0)
    edges = np.triu(rng.random((9, 9)) < 0.5, 1)
    adjacency = edges | edges.T
    order = rng.permutation(9)
    assert graph_key(adjacency) == graph_key(adjacency[np.ix_(order, order)])
    adjacency[0, 1] = adjacency[1, 0] = not adjacency[0, 1]
    assert graph_key(adjacency) != graph_key(edges | edges.T)


@pytest.mark.slow
def test_a_pool_of_one_edge_probability_has_the_wanted_number_of_graphs() -> None:
    task = puzzles.task("graph-coloring-8")
    sparse = make_pool(task, "held_out", edge_probabilities=(0.3, 0.3), num_graphs=60)
    dense = make_pool(task, "held_out", edge_probabilities=(0.5, 0.5), num_graphs=60)
    densities = []
    for pool in (sparse, dense):
        assert pool.adjacency is not None
        assert len(pool.givens) == 60
        assert all(is_held_out(graph_key(graph)) for graph in pool.adjacency)
        densities.append(pool.adjacency.mean())
    # Graphs that three colours suffice for have fewer edges than a random one.
    assert densities[0] < densities[1] < 0.5
    assert sparse.num_solutions.mean() > dense.num_solutions.mean()
