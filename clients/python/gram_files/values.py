"""Values written in JSON, or in Python by whoever printed a list; knows no puzzles."""

import ast
import json
import warnings

MAX_LITERAL = 1 << 20
"""Characters: Python's parser takes much memory for each."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object names a field twice")
    return fields


# A number that JSON does not have is none for the server either.
DECODER = json.JSONDecoder(parse_constant=str, object_pairs_hook=_unique)


def loads(text: str) -> object:
    """Return a value, lists for tuples and sets; raise ``ValueError`` or ``RecursionError``."""
    try:
        return DECODER.decode(text.strip())
    except json.JSONDecodeError:
        if len(text) > MAX_LITERAL:
            raise
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text.strip(), mode="eval")
                return _plain(ast.literal_eval(_Lists().visit(tree)))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            # What JSON says of it is of more use.
            pass
        raise


class _Lists(ast.NodeTransformer):
    """Makes lists of sets, which other languages write their rows as."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        return self.generic_visit(ast.copy_location(ast.List(node.elts, ast.Load()), node))

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        names = [name.value for name in node.keys if isinstance(name, ast.Constant)]
        _unique([(str(name), None) for name in names])
        return self.generic_visit(node)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)
