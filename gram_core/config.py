"""The architecture of a GRAM as data, and the named presets.

One config describes every model variant of the paper, whose symbols are given in parentheses.
Imports no torch, so API processes may read it.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from gram_core.errors import ConfigError
from gram_core.puzzles import Task

Mixer = Literal["attention", "token", "relational"]
Rotary = Literal["none", "1d", "2d"]
Guidance = Literal["learned", "noise", "mean", "none", "input", "step-l", "step-h"]
InitialState = Literal["fixed", "random"]
Recursion = Literal["hierarchical", "flat"]
Readout = Literal["first", "mean"]
Gate = Literal["silu", "norm", "conv"]
MixerNorm = Literal["channels", "tokens"]
BlockNorm = Literal["post", "pre"]
Positions = Literal["none", "units"]

UNRESTRICTED = "any"
"""Kind of a relational head that attends to every cell."""
ADJACENCY = "edge"
"""Kind of a relational head that follows the instance's own graph."""
NEAR = "near"
"""Kind of a relational head that attends to a cell and its four neighbours on the board."""


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
    """``pre``: mixer and MLP read a normed copy, and h is normed only after the last pass of a
    transition; e_x is added once, before the first pass. Needs recursion ``flat``."""
    normed_queries: bool = False
    """RMS-norm queries and keys of every attention head."""
    positions: Positions = "none"
    """``units``: e_x of a cell includes a learned vector for each row, column or box of the
    restricted heads that contains it."""
    rotary: Rotary = "2d"
    """Positions of unrestricted heads, and of row and column heads in tasks without units."""
    rotary_base: float = 10000.0
    guidance: Guidance = "learned"
    """``noise`` is mu = 0, ``mean`` is sigma = 0, ``none`` is deterministic. ``input`` adds no
    noise to h: in the input, every unknown cell holds standard normals in place of a one-hot value
    (arXiv 2609.01449). ``step-l`` and ``step-h`` add normals of deviation ``sigma_init`` to l or to
    h before each supervision step, so that no answer is read from noise (arXiv 2605.19943); in
    training they are ``none``."""
    sigma_min: float = 1e-3
    sigma_max: float = 1.0
    sigma_init: float = 0.1
    """Initial sigma, and the bounds of the sigmoid that yields sigma."""
    initial_state: InitialState = "fixed"
    """z_0: one stored draw, or fresh noise for every trajectory."""
    damping: float = 0.0
    """Share of the state before a pass of f_L or f_H that it keeps (EqR, arXiv 2605.21488)."""
    recursion: Recursion = "hierarchical"
    """``flat`` drops l: h passes K + 1 times through f_L (a looped transformer)."""
    num_prefix_tokens: int = 0
    """Learned vectors put before the cells."""
    num_known: int = 0
    """Learned vectors of a table, each of a view of a task that was trained on. With any, tokens
    are a question of ``length`` cells, its answer, and a row whose digits are the number of the
    vector that the first prefix token includes (TRM, arXiv 2510.04871)."""
    gate: Gate = "silu"
    """Gate of the blocks' MLPs: ``silu(g) * u``, or ``norm``: ``sigmoid(g) * rms_norm(g * u)``, or
    ``conv``: ``silu(c)``, c a convolution of ``silu(g) * u`` over each token and the one before
    (arXiv 2512.14693)."""
    readout: Readout = "mean"
    """What the halt and value heads read: the first token of h, or the mean over tokens."""

    def __post_init__(self) -> None:
        for name in _COUNTS:
            self._require(getattr(self, name) >= 1, name, "must be at least 1")
        for name, choices in _CHOICES.items():
            is_one = getattr(self, name) in choices
            self._require(is_one, name, f"must be one of {', '.join(choices)}")
        num_kinds = self.num_heads if self.mixer == "relational" else 0
        size, is_token = self.token_ffn_dim, self.mixer == "token"
        is_flat = self.recursion == "flat"
        for is_met, name, why in (
            (self.dim % self.num_heads == 0, "num_heads", "must divide dim"),
            (self.head_dim % 4 == 0, "num_heads", "dim / num_heads must be 4n"),
            (self.rows * self.columns == self.length, "rows", "rows * columns != length"),
            (len(self.head_kinds) == num_kinds, "head_kinds", f"needs {num_kinds} kinds"),
            (
                self.num_prefix_tokens == 0 or self.mixer != "relational",
                "num_prefix_tokens",
                "prefix tokens need mixer=attention or mixer=token",
            ),
            (not self.num_known or self.num_prefix_tokens > 0, "num_known", "needs a prefix token"),
            (
                size is None or (is_token and size >= 1),
                "token_ffn_dim",
                "must be at least 1, and needs mixer=token",
            ),
            (is_token or self.mixer_norm == "channels", "mixer_norm", "needs mixer=token"),
            (
                self.positions == "none"
                or not {UNRESTRICTED, ADJACENCY, NEAR}.issuperset(self.head_kinds),
                "positions",
                "units needs head_kinds that are rows, columns or boxes",
            ),
            (
                self.damping == 0.0 or (0.0 < self.damping < 1.0 and not is_flat),
                "damping",
                "must be at least 0 and below 1, and needs recursion=hierarchical",
            ),
            (self.block_norm == "post" or is_flat, "block_norm", "pre needs recursion=flat"),
            (self.guidance != "step-l" or not is_flat, "guidance", "recursion=flat has no l"),
        ):
            self._require(is_met, name, why)

    def _require(self, is_met: bool, name: str, why: str) -> None:
        if not is_met:
            raise ConfigError(name, getattr(self, name), why)

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @property
    def has_guidance_heads(self) -> bool:
        """Whether the model has a prior and a posterior."""
        return self.guidance in ("learned", "noise", "mean")

    @property
    def num_tokens(self) -> int:
        """Tokens the model works on: prefix and cells."""
        return self.num_prefix_tokens + self.length

    @property
    def num_cells(self) -> int:
        """Tokens of an instance and its answer."""
        return 2 * self.length + self.columns if self.num_known else self.length

    def check_task(self, task: Task) -> None:
        """Raise ``ConfigError`` where no head follows the graph of a task, or one would in vain."""
        has_edges = ADJACENCY in self.head_kinds
        if task.has_adjacency and not has_edges:
            name = "head_kinds" if self.mixer == "relational" else "mixer"
            detail = f"{task.name} has a graph, which only heads of the kind {ADJACENCY} see: "
            detail += f"choose mixer=relational with {ADJACENCY} among its head_kinds"
            raise ConfigError(name, getattr(self, name), detail)
        is_met = task.has_adjacency or not has_edges
        self._require(is_met, "head_kinds", f"{task.name} has no graph for {ADJACENCY} to follow")

    def resized(self, task: Task) -> "GramConfig":
        """Return the same architecture for another size of its puzzle.

        Raises:
            ConfigError: the weights fit one size only.
        """
        is_free = self.mixer != "token" and self.positions == "none"
        if not is_free or task.vocabulary != self.vocabulary:
            raise ConfigError("task", task.name, "is of a size that these weights cannot have")
        return replace(self, length=task.length, rows=task.rows, columns=task.columns)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "GramConfig":
        """Read what ``to_json`` wrote; raise ``ConfigError`` on an unknown or missing field."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError("architecture", unknown, "unknown fields")
        kinds = values.get("head_kinds", ())
        heads = tuple(kinds) if isinstance(kinds, list | tuple) else ()
        try:
            return cls(**{**values, "head_kinds": heads})  # type: ignore[arg-type]  # JSON values
        except TypeError as error:
            raise ConfigError("architecture", sorted(values), str(error)) from error


_COUNTS = (
    *("vocabulary", "length", "dim", "num_heads", "ffn_dim", "guidance_dim"),
    *("num_inner_steps", "num_transitions", "num_supervision_steps"),
)
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


PRESETS = ("paper", "small", "tiny")


def preset(name: str, task: Task) -> GramConfig:
    """Return a named architecture for a task.

    ``paper`` has exactly the published sizes (D 512, two blocks each, T 3, 16 steps); ``small`` is
    what is shipped; ``tiny`` is for tests.
    """
    if name == "paper":
        # In place of the paper's tokens for pairs of vertices, half of the heads follow the edges.
        kinds: tuple[str, ...] = (
            (ADJACENCY,) * 4 + (UNRESTRICTED,) * 4 if task.has_adjacency else ()
        )
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
            mixer="relational" if kinds else "attention",
            head_kinds=kinds,
            rotary="1d",
            readout="first",
        )
    if name == "small":
        return _small(task)
    if name == "tiny":
        return replace(_small(task), dim=32, ffn_dim=32, guidance_dim=16, num_inner_steps=2)
    raise ConfigError("preset", name, f"must be one of {', '.join(PRESETS)}")


def _small(task: Task) -> GramConfig:
    kinds: tuple[str, ...] = (ADJACENCY,) * 2 if task.has_adjacency else ()
    kinds = kinds or tuple(dict.fromkeys(unit.kind for unit in task.units))
    # One head per kind of unit, and unrestricted ones up to a multiple of four. A board without
    # units has neighbour heads only: they do not depend on its size, so weights of one size can
    # initialise another.
    kinds = kinds + (UNRESTRICTED,) * (-len(kinds) % 4) if kinds else (NEAR,) * 4
    kinds = task.relations or kinds
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
