"""The architecture of a GRAM as data, and the named presets.

One config describes every relative the paper compares (its letters stand beside the fields). Knows
no torch: an API process may read it.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from gram_core.errors import ConfigError
from gram_core.puzzles import Task

Mixer = Literal["attention", "token", "relational"]
Rotary = Literal["none", "1d", "2d"]
Guidance = Literal["learned", "noise", "mean", "none", "input"]
InitialState = Literal["fixed", "random"]
Recursion = Literal["hierarchical", "flat"]
Readout = Literal["first", "mean"]
Gate = Literal["silu", "norm"]
MixerNorm = Literal["channels", "tokens"]
BlockNorm = Literal["post", "pre"]
Positions = Literal["none", "units"]

UNRESTRICTED = "any"
"""Kind of a relational head that attends to every cell."""
ADJACENCY = "edge"
"""Kind of a relational head that follows the instance's own graph."""
NEAR = "near"
"""Kind of a relational head that attends to the cell and the four beside it on the board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GramConfig:
    """Sizes and choices of one model; validated on construction."""

    vocabulary: int
    """Tokens, pad and blank included."""
    length: int
    """Cells of an instance (S), without prefix tokens."""
    rows: int
    columns: int
    """Layout of the cells for 2-D rotary positions."""
    dim: int
    """Width of every latent vector (D)."""
    num_heads: int
    ffn_dim: int
    """Hidden width of the SwiGLU (F)."""
    guidance_dim: int
    """Hidden width of the guidance heads."""
    num_low_blocks: int = 1
    """Blocks of f_L."""
    num_high_blocks: int = 1
    """Blocks of f_H."""
    num_inner_steps: int = 3
    """Passes of f_L in one transition (K)."""
    num_transitions: int = 1
    """Transitions in one supervision step (T)."""
    num_supervision_steps: int = 16
    """Supervision steps in training (N_sup); inference may go deeper."""
    mixer: Mixer = "relational"
    head_kinds: tuple[str, ...] = ()
    """Unit kind each relational head stays within; ``any`` for no restriction."""
    token_ffn_dim: int | None = None
    """Hidden width of the SwiGLU over tokens of mixer ``token``; None for ``ffn_dim``."""
    mixer_norm: MixerNorm = "channels"
    """What the norm after mixer ``token`` runs along; ``tokens`` as in TRM's code."""
    block_norm: BlockNorm = "post"
    """``pre``: parts of a block read a normed copy, and only the last pass of a transition is
    normed; e_x is added once, before the first pass. Needs recursion ``flat``."""
    normed_queries: bool = False
    """RMS-norm queries and keys of every attention head."""
    positions: Positions = "none"
    """``units``: a learned vector for every row, column or box of the restricted heads is part of
    e_x in its cells."""
    rotary: Rotary = "2d"
    """Positions of unrestricted heads; a restricted head knows its cells by their unit."""
    rotary_base: float = 10000.0
    guidance: Guidance = "learned"
    """``noise`` is mu = 0, ``mean`` is sigma = 0, ``none`` the deterministic twin. ``input`` leaves
    h alone: in the input, every unknown cell holds standard normals in place of a one-hot value
    (arXiv 2609.01449)."""
    sigma_min: float = 1e-3
    sigma_max: float = 1.0
    sigma_init: float = 0.1
    """Standard deviation before training; bounds of the sigmoid that makes sigma."""
    initial_state: InitialState = "fixed"
    """z_0: one stored draw, or fresh noise for every trajectory."""
    recursion: Recursion = "hierarchical"
    """``flat`` drops l: h passes K + 1 times through f_L (a looped transformer)."""
    num_prefix_tokens: int = 0
    """Learned vectors put before the cells."""
    gate: Gate = "silu"
    """Gate of the blocks' MLPs: ``silu(g) * u``, or ``norm``: ``sigmoid(g) * rms_norm(g * u)``."""
    readout: Readout = "mean"
    """What the halt and value heads read: the first token of h, or the mean over tokens."""

    def __post_init__(self) -> None:
        """Refuse what no model can be built from."""
        for name in ("vocabulary", "length", "dim", "num_heads", "ffn_dim", "guidance_dim"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("num_inner_steps", "num_transitions", "num_supervision_steps"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        _require(self.dim % self.num_heads == 0, "num_heads", self.num_heads, "must divide dim")
        _require(self.head_dim % 4 == 0, "num_heads", self.num_heads, "dim / num_heads must be 4n")
        _require(
            self.rows * self.columns == self.length, "rows", self.rows, "rows * columns != length"
        )
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            _require(value in choices, name, value, f"must be one of {', '.join(choices)}")
        self._check_heads()
        self._check_token_mixing()

    def _check_heads(self) -> None:
        expected = self.num_heads if self.mixer == "relational" else 0
        _require(
            len(self.head_kinds) == expected,
            "head_kinds",
            self.head_kinds,
            f"needs {expected} kinds",
        )
        if self.mixer != "attention":
            _require(
                self.num_prefix_tokens == 0,
                "num_prefix_tokens",
                self.num_prefix_tokens,
                "prefix tokens need mixer=attention",
            )

    def _check_token_mixing(self) -> None:
        size, is_token = self.token_ffn_dim, self.mixer == "token"
        is_right = size is None or (is_token and size >= 1)
        _require(is_right, "token_ffn_dim", size, "must be at least 1, and needs mixer=token")
        is_right = is_token or self.mixer_norm == "channels"
        _require(is_right, "mixer_norm", self.mixer_norm, "needs mixer=token")
        is_right = self.block_norm == "post" or self.recursion == "flat"
        _require(is_right, "block_norm", self.block_norm, "pre needs recursion=flat")

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @property
    def num_tokens(self) -> int:
        """Tokens the model works on: prefix and cells."""
        return self.num_prefix_tokens + self.length

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "GramConfig":
        """Read what ``to_json`` wrote; raise ``ConfigError`` on an unknown or missing field."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        _require(not unknown, "architecture", unknown, "unknown fields")
        kinds = values.get("head_kinds", ())
        heads = tuple(kinds) if isinstance(kinds, list | tuple) else ()
        try:
            return cls(**{**values, "head_kinds": heads})  # type: ignore[arg-type]  # JSON values
        except TypeError as error:
            raise ConfigError("architecture", sorted(values), str(error)) from error


_CHOICES = {
    "mixer": get_args(Mixer),
    "rotary": get_args(Rotary),
    "guidance": get_args(Guidance),
    "initial_state": get_args(InitialState),
    "recursion": get_args(Recursion),
    "readout": get_args(Readout),
    "gate": get_args(Gate),
    "mixer_norm": get_args(MixerNorm),
    "block_norm": get_args(BlockNorm),
    "positions": get_args(Positions),
}


def _require(is_met: bool, name: str, value: object, why: str) -> None:
    if not is_met:
        raise ConfigError(name, value, why)


PRESETS = ("paper", "small", "tiny")


def preset(name: str, task: Task) -> GramConfig:
    """Return a named architecture for a task.

    ``paper`` has exactly the published sizes (D 512, two blocks each, T 3, 16 steps); ``small`` is
    what is shipped; ``tiny`` is for tests.
    """
    if name == "paper":
        return _paper(task)
    if name == "small":
        return _small(task)
    if name == "tiny":
        return replace(
            _small(task),
            dim=32,
            ffn_dim=32,
            guidance_dim=16,
            num_inner_steps=2,
        )
    raise ConfigError("preset", name, f"must be one of {', '.join(PRESETS)}")


def _paper(task: Task) -> GramConfig:
    return GramConfig(
        vocabulary=task.vocabulary,
        length=task.length,
        rows=task.rows,
        columns=task.columns,
        dim=512,
        num_heads=8,
        ffn_dim=512,
        guidance_dim=512,
        num_low_blocks=2,
        num_high_blocks=2,
        num_inner_steps=task.paper_inner_steps,
        num_transitions=3,
        num_supervision_steps=16,
        mixer="attention",
        rotary="1d",
        readout="first",
    )


def _small(task: Task) -> GramConfig:
    kinds = _head_kinds(task)
    return GramConfig(
        vocabulary=task.vocabulary,
        length=task.length,
        rows=task.rows,
        columns=task.columns,
        dim=128,
        num_heads=len(kinds),
        ffn_dim=256,
        guidance_dim=64,
        mixer="relational",
        head_kinds=kinds,
        rotary="none" if task.has_adjacency else "2d",
        rotary_base=10.0,
    )


def _head_kinds(task: Task) -> tuple[str, ...]:
    """One head for each kind of unit, and unrestricted ones up to a multiple of four.

    A board without units has heads for neighbours alone: nothing in them knows how large it is, so
    weights of one size begin another.
    """
    if not task.units and not task.has_adjacency:
        return (NEAR,) * 4
    kinds = (
        (ADJACENCY,) * 2
        if task.has_adjacency
        else tuple(dict.fromkeys(unit.kind for unit in task.units))
    )
    return kinds + (UNRESTRICTED,) * (-len(kinds) % 4)
