from gram_server.worker.search_pool import FairQueue


def _queue(text: str, *, max_items: int = 100) -> FairQueue[str]:
    """Return a queue of items such as ``a1``, each of the client that it starts with."""
    queue: FairQueue[str] = FairQueue(max_items=max_items)
    for item in text.split():
        queue.push(item[0], item)
    return queue


def _drained(queue: FairQueue[str]) -> str:
    return " ".join(iter(queue.pop, None))


def test_clients_take_turns() -> None:
    assert _drained(_queue("a1 a2 a3 a4 b1 c1 c2")) == "a1 b1 c1 a2 c2 a3 a4"


def test_a_client_that_was_served_waits_for_all_others() -> None:
    queue = _queue("a1 b1 b2")
    assert queue.pop() == "a1"
    queue.push("a", "a2")
    assert _drained(queue) == "b1 a2 b2"


def test_the_last_of_whoever_has_most_is_turned_away() -> None:
    queue = _queue("a1 a2 a3 b1", max_items=4)
    assert queue.push("b", "b2") == "a3"
    assert queue.push("b", "b3") == "b3"
    assert queue.push("c", "c1") in ("a2", "b2")
    assert len(queue) == 4


def test_what_is_put_back_is_next() -> None:
    queue = _queue("a1 a2 b1")
    assert queue.pop() == "a1"
    queue.push_first("a", "a1")
    assert _drained(queue) == "a1 b1 a2"


def test_what_is_removed_is_never_taken() -> None:
    queue = _queue("a1 b1 a2")
    queue.remove("b", "b1")
    queue.remove("b", "b1")
    queue.remove("a", "a1")
    assert (_drained(queue), len(queue)) == ("a2", 0)
