"""Jobs with rules that the device does not know: the plain check decides, nothing mismatches."""

from typing import Any

from tests.server.engine.harness import Scripted, make_harness


def count_violations(tokens: Any) -> int:
    return int(tokens[0]) - 5


def accepts_five(tokens: Any) -> bool:
    return bool(tokens[0] == 5)


def test_an_answer_that_only_the_verifier_accepts_is_no_solution() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=5 + trajectory, step=2))
    harness.submit("job", width=3, depth=6, check=accepts_five, count_violations=count_violations)
    harness.run()
    end = harness.finished["job"]
    assert [(found.tokens[0], found.step, found.votes) for found in end.solutions] == [(5, 2, 1)]
    assert end.verify_mismatches == 0
    assert end.supervision_steps == 2 + 6 + 6
    assert harness.metric("gram_verify_mismatch_total") == 0


def test_the_best_attempt_is_the_one_with_the_fewest_broken_rules_of_all() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=9 - trajectory, step=1))
    harness.submit("job", width=3, depth=2, check=accepts_five, count_violations=count_violations)
    harness.run()
    end = harness.finished["job"]
    assert end.solutions == ()
    assert end.best_attempt is not None
    assert end.best_attempt[0] == 7


def test_without_other_rules_the_same_disagreement_is_a_mismatch() -> None:
    harness = make_harness(lambda seed, trajectory: Scripted(answer=6, step=1))
    harness.submit("job", width=1, depth=4, check=accepts_five)
    harness.run()
    assert harness.finished["job"].verify_mismatches == 1
