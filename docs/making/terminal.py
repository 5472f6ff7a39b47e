"""The picture of a terminal in the documentation: real commands on a real server, as an SVG.

python docs/making/terminal.py [file]
"""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gram_client.cli.local import local_server

COMMANDS = (
    "gram solve 53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
    " --seed 1",
    """gram solve '{"puzzle": "nqueens", "n": 8}' --max-solutions 1 --seed 1""",
    "gram solve 11..............",
)
COLUMNS = 96


def main(path: Path) -> None:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    with local_server() as url:
        for command in COMMANDS:
            console.print(Text(f"$ {command}", style="bold"))
            console.print(Text.from_ansi(shown(command, url)))
    svg = console.export_svg(title="gram")
    # The picture must not load fonts from the network.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def shown(command: str, url: str) -> str:
    """Return a command's output on a terminal."""
    master, slave = pty.openpty()
    gram = f"{sys.executable} -m gram_client.cli"
    process = subprocess.Popen(
        command.replace("gram", gram, 1),
        shell=True,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "GRAM_BASE_URL": url, "COLUMNS": str(COLUMNS)},
    )
    os.close(slave)
    chunks: list[bytes] = []
    # Reading fails once the other end has closed.
    with os.fdopen(master, "rb", buffering=0) as terminal, suppress(OSError):
        while chunk := terminal.read(4096):
            chunks.append(chunk)
    process.wait()
    return b"".join(chunks).decode().replace("\r\n", "\n")


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "pictures/terminal.svg"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
