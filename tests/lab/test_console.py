"""What a long command says on standard error where that is no terminal."""

import pytest

from gram_lab.console import progress_bar


def test_a_percent_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        for share in (0.0, 0.001, 1.0, 1.0, 1.0):
            show(share, "maze-30x30: ours")
    assert capsys.readouterr().err == "0% maze-30x30: ours\n100% maze-30x30: ours\n"
