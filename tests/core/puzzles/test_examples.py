"""What the families say of themselves for others to draw."""

import pytest

from gram_core.puzzles import families


@pytest.mark.parametrize("name", ["futoshiki", "light-up", "jigsaw"])
def test_the_example_of_a_family_that_the_page_draws_is_drawn_and_of_its_first_task(
    name: str,
) -> None:
    family = families()[name]
    instance = family.parse(family.example())
    assert isinstance(family.example()["grid"], str)
    assert family.task_of(instance).name == family.tasks()[0]
    (solution,) = family.enumerate(instance, limit=2)
    # The page finds each cell of an answer at the place of the blank that it fills.
    drawn = family.decode(instance, solution)
    assert isinstance(drawn, str)
    posted = family.example()["grid"].split("\n")
    for line, answer in zip(posted, drawn.split("\n"), strict=True):
        for sign, found in zip(line, answer.ljust(len(line)), strict=True):
            assert sign in (".", found)
