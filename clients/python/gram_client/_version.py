"""The version of the package: pyproject.toml reads it here, and every call names it."""

__version__ = "0.1.0"
