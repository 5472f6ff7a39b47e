"""Training of GRAM and its deterministic relatives under a time or step budget."""

__all__: list[str] = []
