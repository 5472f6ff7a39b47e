"""The laboratory: makes data, trains, evaluates and measures; nothing of the product imports it."""

__all__: list[str] = []

__version__ = "0.2.0"
