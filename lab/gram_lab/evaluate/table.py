"""A table of figures with what each cost, as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gram_lab.evaluate.intervals import Figure

Unit = Literal["percent", "number"]


class Column(NamedTuple):
    """A measured quantity."""

    key: str
    title: str
    unit: Unit = "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a reader needs to repeat a measurement."""

    command: str
    model: str
    """Name and fingerprint."""
    parameters: int
    inference_parameters: int
    """Without the posterior, which only training uses."""
    flop_per_step: int
    """Of one supervision step of one trajectory."""
    data: str
    puzzles: int
    seeds: tuple[int, ...]
    precision: str
    hardware: str

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"seeds": list(self.seeds)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Facts":
        """Read what ``to_json`` wrote."""
        facts = {name: values[name] for name in cls.__slots__}
        return cls(**{**facts, "seeds": tuple(facts["seeds"])})

    def sentence(self) -> str:
        """Return them in words."""
        seeds = "seed" if len(self.seeds) == 1 else "seeds"
        return (
            f"`{self.model}`: {self.parameters:,} parameters, {self.inference_parameters:,} of "
            f"them at inference, {self.flop_per_step / 1e6:.1f} MFLOP a supervision step. "
            f"{self.puzzles:,} puzzles ({self.data}), {seeds} {', '.join(map(str, self.seeds))}, "
            f"{self.precision}, {self.hardware}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method's figures."""

    name: str
    figures: dict[str, Figure | float]
    """By column key; a bare number where no interval is known."""
    steps: float | None = None
    """Mean supervision steps per puzzle."""
    flops: float | None = None
    """Mean FLOP per puzzle."""
    is_measured: bool = True
    """False for what others published, and for bounds."""
    num_mismatches: int = 0
    """Answers that device verifier and plain checker judged differently; must be 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under one heading."""

    name: str
    """Of its files."""
    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    facts: Facts
    notes: tuple[str, ...] = ()
    """Sentences that say how to read it."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "table": self.name,
            "title": self.title,
            **self.facts.to_json(),
            "columns": [column._asdict() for column in self.columns],
            "rows": [_row_json(row) for row in self.rows],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Table":
        """Read what ``to_json`` wrote."""
        return cls(
            name=values["table"],
            title=values["title"],
            columns=tuple(Column(**column) for column in values["columns"]),
            rows=[_row(row) for row in values["rows"]],
            facts=Facts.from_json(values),
            notes=tuple(values["notes"]),
        )

    def to_markdown(self) -> str:
        """Return the section of a page."""
        titles = ["", *(column.title for column in self.columns), "steps", "GFLOP"]
        lines = [f"## {self.title}", "", self.facts.sentence(), "", *self.notes, ""]
        lines += [f"    {self.facts.command}", ""]
        lines += [_line(titles), _line(["---"] * len(titles))]
        lines += [_line(self._cells(row)) for row in self.rows]
        return "\n".join(lines) + "\n"

    def _cells(self, row: Row) -> list[str]:
        name = f"**{row.name}**" if row.is_measured else row.name
        figures = [_shown(row.figures.get(column.key), column.unit) for column in self.columns]
        gigaflops = None if row.flops is None else row.flops / 1e9
        return [name, *figures, _count(row.steps), _count(gigaflops)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: Figure | float | None, unit: Unit) -> str:
    if value is None:
        return "-"
    if not isinstance(value, Figure):
        return _one(value, unit)
    scale = 100 if unit == "percent" else 1
    span = f"{scale * value.low:.1f}-{scale * value.high:.1f}"
    return f"{_one(value.value, unit)} ({span})"


def _one(value: float, unit: Unit) -> str:
    return f"{100 * value:.2f} %" if unit == "percent" else f"{value:.1f}"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _row_json(row: Row) -> dict[str, object]:
    figures = {
        key: value._asdict() if isinstance(value, Figure) else value
        for key, value in row.figures.items()
    }
    return {
        "name": row.name,
        "measured": row.is_measured,
        "mismatches": row.num_mismatches,
        "steps_per_puzzle": row.steps,
        "flop_per_puzzle": row.flops,
        "figures": figures,
    }


def _row(values: Mapping[str, Any]) -> Row:
    figures = {
        key: Figure(**value) if isinstance(value, dict) else value
        for key, value in values["figures"].items()
    }
    return Row(
        name=values["name"],
        figures=figures,
        steps=values["steps_per_puzzle"],
        flops=values["flop_per_puzzle"],
        is_measured=values["measured"],
        num_mismatches=values["mismatches"],
    )
