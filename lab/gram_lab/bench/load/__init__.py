"""Open-loop load on a server: what is asked, when, and how it was answered."""

__all__: list[str] = []
