"""Server-sent events, wherever their bytes are cut."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gram_client._errors import ResponseInvalid
from gram_client._events import EventDecoder, RawEvent
from tests.clients.standard_events import BOM, read_all

kinds = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1)
values = st.dictionaries(st.text(), st.integers() | st.text(), max_size=3)
events = st.lists(
    st.builds(RawEvent, st.integers(0, 2**53), kinds, values.map(json.dumps)), max_size=6
)


@pytest.mark.slow
@given(events, st.lists(st.integers(1, 40), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]))
def test_events_come_out_as_they_went_in(
    told: list[RawEvent], cuts: list[int], newline: str
) -> None:
    lines = [": comment", ""]
    for event in told:
        lines += [f"id: {event.id}", f"event: {event.kind}", f"data: {event.data}", "", ": x", ""]
    text = newline.join(lines).encode()
    decoder, read, start = EventDecoder(), list[RawEvent](), 0
    while start < len(text):
        size = cuts[start % len(cuts)]
        read += decoder.feed(text[start : start + size])
        start += size
    assert read + list(decoder.feed(newline.encode())) == told


letters = st.text(st.sampled_from("ab:{}\"' é€\u0085\u2028\x0b\x0c\0\ufeff\U0001f600"), max_size=8)
names = st.sampled_from(["data", "data", "data", "event", "id", "retry", "", "other"])
fields = st.builds("{}{}{}".format, names, st.sampled_from([":", ": ", ":  "]), letters)
numbers = st.builds("id: {}".format, st.integers(1, 99))
bare = st.sampled_from([b"data", b"event", b"id", b":", b"", b"", b"\xff\xfe", b"data:\xe2\x82"])
lines = st.lists(st.tuples((fields | numbers).map(str.encode) | bare, st.integers(0, 2)))


@pytest.mark.slow
@given(st.sampled_from([b"", BOM]), lines, st.lists(st.integers(1, 40), min_size=1))
@example(BOM, [(b"data: x", 1), (b"", 1)], [2])
@example(b"", [(b"id: 7", 0), (b"id: 8\0", 0), (b"data", 0), (b"data: y", 2), (b"", 0)], [1])
def test_what_is_read_is_what_the_standard_says(
    head: bytes, told: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    text = head + b"".join(line + (b"\n", b"\r\n", b"\r")[end] for line, end in told) + b"\n"
    decoder, read, start = EventDecoder(), list[RawEvent](), 0
    expected = read_all(text)
    while start < len(text):
        chunk = text[start : start + cuts[start % len(cuts)]]
        read += decoder.feed(chunk)
        start += len(chunk)
        # Told at once; after a CR it may wait for the LF that may follow, while more is to come.
        is_open = start < len(text) and chunk.endswith(b"\r")
        assert 0 <= sum(event.end <= start for event in expected) - len(read) <= is_open
    assert [(event.kind, event.data) for event in read] == [
        (event.kind, event.data) for event in expected
    ]
    for event, known in zip(read, expected, strict=True):
        number = int(known.last_id) if known.last_id.isdecimal() else 0
        assert event.id in ({number} if known.has_id else {number, 0})


@pytest.mark.parametrize("number", ["9" * 5000, "\u0663", "-1", "1_0", " 1", ""])
def test_an_id_that_is_no_number_counts_as_none(number: str) -> None:
    raw = f"id: {number}\ndata\n\n".encode()
    assert list(EventDecoder().feed(raw)) == [RawEvent(0, "message", "")]


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"data: ", b": ", b"nothing", b"data: x\ndata: "])
def test_the_time_is_linear_in_the_bytes_of_an_event(line: bytes) -> None:
    def seconds(num_bytes: int) -> float:
        decoder, start_s = EventDecoder(), time.process_time()
        list(decoder.feed(line))
        for _ in range(num_bytes // 4096):
            list(decoder.feed(b"x" * 4096))
        list(decoder.feed(b"\n\n"))
        return time.process_time() - start_s

    small_s = min(seconds(2**19) for _ in range(3))
    large_s = min(seconds(2**23) for _ in range(2))
    # 16 times the bytes: 256 times the time where it grows with the square.
    assert large_s < 0.02 + 80 * small_s


@pytest.mark.parametrize("chunk", [b"data: 12345678\n", b"data: 12345678"])
def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch, chunk: bytes) -> None:
    monkeypatch.setattr("gram_client._events.MAX_EVENT_BYTES", 100)
    decoder = EventDecoder()
    read = (list(decoder.feed(chunk)) for _ in range(20))
    with pytest.raises(ResponseInvalid, match="more than 100 bytes"):
        list(read)


def test_comments_do_not_count_against_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram_client._events.MAX_EVENT_BYTES", 100)
    decoder = EventDecoder()
    for _ in range(50):
        assert not list(decoder.feed(b": still here\n"))
    assert list(decoder.feed(b"data: x\n\n")) == [RawEvent(0, "message", "x")]
