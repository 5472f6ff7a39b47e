"""Recognises the form of a file by its content, and reads it in that form."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gram_files import arrays
from gram_files.drawings import FIELD, other_rules, read_drawings
from gram_files.edges import graph_of_lines
from gram_files.entries import Entry, Item, Unread
from gram_files.graphs import is_dimacs, read_dimacs, read_graph_file
from gram_files.mazes import BLOCKS
from gram_files.objects import read_json
from gram_files.opensudoku import is_opensudoku, read_opensudoku
from gram_files.rows import is_section
from gram_files.tables import header_line, read_table

ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    # That of UTF-16 is its beginning.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
UNPACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
"""By how packed files begin."""
DOCUMENTS = {"[Content_Types].xml", "mimetype"}
"""Files in spreadsheets and the like, which are archives."""
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""What colours the output of a program."""
NO_TEXTS = (b"%PDF-", b"\x89HDF")
PACKED = (b"\x28\xb5\x2f\xfd", b"PAR1")
"""Beginnings of zstd and Parquet files."""
ASSIGNED = re.compile(
    r"\A\s*(?:[A-Za-z_][\w<>.,:*&\[\]]*[ \t]+)*[A-Za-z_][\w.!]*(?:\s*\[\d*\])*\s*"
    r"(?:=\s*(?:new [\w\[\] ]+|[\w.]+\()?(?=[\[{(])|\(?(?:\d+,\s*)?(?=[\[{(]\s*[\[{(]))"
)
"""How a program gives a board its name."""
FOREIGN = (
    (re.compile(r"\A\s*<"), "is XML or HTML of a form that is not read: save its boards as text"),
    (
        re.compile(r"^[ \t]*(EDGE_(WEIGHT|DATA)_|NODE_COORD_SECTION)", re.MULTILINE),
        "is TSPLIB: write its edges as two ends a line",
    ),
    (re.compile(r"\Atype octile\b"), "is a map with diagonal moves, which mazes do not have"),
)
"""What is known not to be read, and what to do with it."""
CALL = re.compile(r"(?:,\s*(?:dtype\s*=\s*)?[A-Za-z_][\w.]*)?\s*\)[.;\s]*\Z")
"""How a call that holds a board ends."""
FORMS = str.maketrans(
    {chr(0xFF01 + at): chr(0x21 + at) for at in range(0x5E)}
    | {chr(0x2460 + at): str(at + 1) for at in range(9)}
    | {"…": "..."}
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\ufe0f\u20e3\xad\x1a", None)
)
"""Wide and circled signs, and such as are not seen."""
LIST = re.compile(r"\s*(?:[{\[]|\(\s*[\[({])")
RICH = re.compile(r"\s*\{\\rtf")
BRACKETS = re.compile(r"[]})]\s*,|[][(){}]")
WHITE = frozenset("\t\n\v\f\r\x1a\x1c\x1d\x1e\x85")


def read_file(path: str | Path) -> Iterator[Item]:
    """Yield the puzzles of a file, or of ``all__inputs.npy`` in a folder, and what is none."""
    path = Path(path)
    if path.is_dir() and (path / arrays.INPUTS).is_file():
        path = path / arrays.INPUTS
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        yield Unread(str(path), reason)
        return
    yield from read(str(path), content)


def read(name: str, content: bytes | str) -> Iterator[Item]:
    """Yield the puzzles in the content of a file, and what is none, in their order."""
    if isinstance(content, bytes):
        unpack = next((UNPACKED[mark] for mark in UNPACKED if content.startswith(mark)), None)
        try:
            content = content if unpack is None else unpack(content)
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
            yield Unread(name, f"cannot be unpacked: {error}")
            return
    if isinstance(content, bytes) and (members := _members(content)):
        for member, part in members:
            if _members(part):
                # One may hold itself, without end.
                yield Unread(f"{name}/{member}", "is an archive in an archive: unpack it")
            else:
                yield from read(f"{name}/{member}", part)
        return
    if isinstance(content, bytes) and content.startswith(arrays.SIGNATURES):
        yield from arrays.read_arrays(name, content)
        return
    try:
        text = decode(content) if isinstance(content, bytes) else content
    except ValueError as error:
        yield Unread(name, str(error))
        return
    yield from _read_text(name, _without_program(text.translate(FORMS).translate(BLOCKS)))


def _without_program(text: str) -> str:
    """Return a list without the name that a program gives it, and what it makes of it."""
    name = ASSIGNED.match(text)
    if name is None:
        return text
    rest = text[name.end() :].rstrip("; \t\r\n")
    return CALL.sub("", rest) if "(" in name[0] else rest


def _members(content: bytes) -> list[tuple[str, bytes]]:
    """Return the files of a zip archive, unless it is a document or one of arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if any(name.endswith(".npy") or name in DOCUMENTS for name in names):
                return []
            return [(name, archive.read(name)) for name in names]
    # A broken archive raises whatever its reader came upon.
    except Exception:
        return []


def decode(content: bytes) -> str:
    """Return the text of a file; raise ``ValueError`` where it is none."""
    if content.startswith(PACKED):
        raise ValueError("is packed: unpack it, or save it as text")
    if content.startswith(NO_TEXTS):
        raise ValueError("is not text")
    for mark, encoding in ENCODINGS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(encoding, errors="replace")
            break
    else:
        text = _decode_unmarked(content)
    text = ESCAPE.sub("", text)
    controls = {sign for sign in text if sign < " "} - WHITE
    if sum(map(text.count, controls)) > len(text) / 100:
        raise ValueError("is not text")
    # What has a few of them has broken lines.
    return text.translate(dict.fromkeys(map(ord, controls), "\N{REPLACEMENT CHARACTER}"))


def _decode_unmarked(content: bytes) -> str:
    half = len(content) // 2
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        # Every second byte of such digits is zero.
        if half and content[offset::2].count(0) > 0.9 * half:
            return content.decode(encoding, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        # An author's name in an older encoding; the cells are ASCII.
        return content.decode("cp1252", errors="replace")


def _read_text(name: str, text: str) -> Iterator[Item]:
    filled = text.strip().splitlines()
    if not filled:
        yield Unread(name, "holds no puzzle")
    elif LIST.match(text) and not is_section(filled[0]):
        yield from _read_list(name, text)
    elif is_opensudoku(text):
        yield from read_opensudoku(name, text)
    elif graphs := read_graph_file(name, text):
        yield from graphs
    elif not is_dimacs(text) and (graph := graph_of_lines(name, text)):
        yield graph
    elif header_line(text.splitlines()) is not None:
        yield from read_table(name, text)
    else:
        yield from _read_lines(name, text)


def _read_list(name: str, text: str) -> Iterator[Item]:
    """Yield the puzzles of JSON, or of lists of another language."""
    if RICH.match(text):
        yield Unread(name, "is rich text: save it as plain text")
        return
    found = list(read_json(name, text))
    # Or some of its lines are JSON.
    for other in (text, "" if FIELD.search(text) else BRACKETS.sub(" ", text)):
        if not _has_puzzle(found):
            # A list of numbers is no edge.
            is_long = other is not text and text.count("\n") > 1
            graph = graph_of_lines(name, other) if is_long else None
            drawn = [graph] if graph else list(read_drawings(name, other, is_json=True))
            found = _placed(name, drawn) if _has_puzzle(drawn) else found
    yield from found


def _read_lines(name: str, text: str) -> Iterator[Item]:
    foreign = next((reason for known, reason in FOREIGN if known.search(text)), None)
    if foreign is not None:
        yield Unread(name, foreign)
    elif other := other_rules(name, text):
        yield other
    else:
        found = list((read_dimacs if is_dimacs(text) else read_drawings)(name, text))
        # Without a puzzle it is a form that only the puzzle's family knows.
        whole: Item = Entry(name, text.strip("\r\n"))
        yield from _placed(name, found) if _has_puzzle(found) else [whole]


def _placed(name: str, found: list[Item]) -> list[Item]:
    """Return what is found; the only puzzle of a file needs no line."""
    return [found[0]._replace(source=name)] if len(found) == 1 else found


def _has_puzzle(found: list[Item]) -> bool:
    return any(isinstance(each, Entry) for each in found)
