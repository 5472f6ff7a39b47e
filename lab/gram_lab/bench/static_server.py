"""The command line of ``gram-server``, with workers that batch statically.

python -m gram_lab.bench.static_server serve --port N --model NAME
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from gram_server import child, cli

worker_command = child.worker_command


def static_worker_command(*, link: Path, heartbeat: Path) -> Sequence[str]:
    """Return the product's command line with this module in place of its own."""
    python, option, _, *words = worker_command(link=link, heartbeat=heartbeat)
    return [python, option, "gram_lab.bench.static_server", *words]


def main() -> None:
    child.worker_command = static_worker_command
    if sys.argv[1:2] == ["worker"]:
        # The API process needs no torch.
        from gram_lab.bench.static_batching import StaticEngine
        from gram_server.worker import loading

        # Replaces the product's engine.
        loading.Engine = StaticEngine  # type: ignore[assignment, attr-defined]
    cli.main()


if __name__ == "__main__":
    main()
