"""Server-sent events, wherever their bytes are cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gram_client._events import EventDecoder, RawEvent

kinds = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1)
values = st.dictionaries(st.text(), st.integers() | st.text())
events = st.lists(st.builds(RawEvent, st.integers(0, 2**53), kinds, values.map(json.dumps)))


@given(events, st.lists(st.integers(1, 40), min_size=1), st.sampled_from(["\n", "\r\n"]))
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


def test_fields_without_a_space_many_lines_and_missing_names_are_read() -> None:
    raw = b"data:one\ndata: two\n\nevent: empty\n\nid: many\ndata\n\n"
    assert list(EventDecoder().feed(raw)) == [
        RawEvent(0, "message", "one\ntwo"),
        RawEvent(0, "message", ""),
    ]
