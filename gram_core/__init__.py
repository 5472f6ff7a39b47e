"""The model and the puzzles. Importing this package imports neither torch nor any submodule."""

__all__: list[str] = []
