"""Jobs with rules that the device does not know: the plain check decides, nothing mismatches."""

from typing import Any

from tests.server.engine.harness import Scripted, finds, run_alone, votes

RULES: dict[str, Any] = {
    "check": lambda tokens: bool(tokens[0] == 5),
    "count_violations": lambda tokens: int(tokens[0]) - 5,
}


def test_an_answer_that_only_the_verifier_accepts_is_no_solution() -> None:
    plan = {index: Scripted(answer=5 + index, step=2) for index in range(3)}
    harness, end = run_alone(plan, width=3, depth=6, **RULES)
    assert (votes(end), finds(end)) == ([(5, 1)], [(0, 2)])
    assert end.verify_mismatches == 0
    assert end.supervision_steps == 2 + 6 + 6
    assert harness.metric("gram_verify_mismatch_total") == 0


def test_the_best_attempt_is_the_one_with_the_fewest_broken_rules_of_all() -> None:
    plan = {index: Scripted(answer=9 - index) for index in range(3)}
    _, end = run_alone(plan, width=3, depth=2, **RULES)
    assert end.solutions == ()
    assert end.best_attempt is not None
    assert end.best_attempt[0] == 7


def test_without_other_rules_the_same_disagreement_is_a_mismatch() -> None:
    _, end = run_alone(Scripted(answer=6), depth=4, check=RULES["check"])
    assert end.verify_mismatches == 1


def test_what_nothing_verifies_is_answered_and_counts_as_no_solution() -> None:
    plan = {0: Scripted(answer=5), 1: Scripted(answer=6)}
    harness, end = run_alone(plan, width=2, depth=3, is_verified=False, **RULES)
    assert votes(end) == [(5, 1)]
    ended = {
        result: harness.metric("gram_trajectories_total", result=result)
        for result in ("solved", "answered", "exhausted")
    }
    assert ended == {"solved": 0, "answered": 1, "exhausted": 1}
    assert harness.metric("gram_solutions_total", kind="distinct") == 0
    assert harness.metric("gram_trajectories_per_solution_count") == 0
