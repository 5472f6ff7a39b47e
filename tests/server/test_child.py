import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gram_server.child import MAX_SOCKET_PATH, PrivateFolder
from gram_server.errors import ConfigError

HOLDER = """
import sys, tempfile, time
from gram_server.child import PrivateFolder
tempfile.tempdir = sys.argv[1]
folder = PrivateFolder.open()
(folder.path / "link.sock").touch()
print(folder.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The path of a test is long; that of the folder is to fit.
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def hold(place: Path) -> tuple["subprocess.Popen[str]", Path]:
    command = [sys.executable, "-c", HOLDER, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_only_its_user_may_enter_and_nothing_is_left(place: Path) -> None:
    folder = PrivateFolder.open()
    assert folder.path.parent == place
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.remove()
    assert list(place.iterdir()) == []


def test_what_a_killed_server_left_is_removed_by_the_next_one(place: Path) -> None:
    process, left = hold(place)
    end(process)
    assert (left / "link.sock").exists()
    folder = PrivateFolder.open()
    assert list(place.iterdir()) == [folder.path]
    folder.remove()


def test_the_folder_of_a_living_server_stays(place: Path) -> None:
    process, kept = hold(place)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        PrivateFolder.open().remove()
        assert (kept / "link.sock").exists()
    finally:
        end(process)


def test_what_others_made_stays(place: Path) -> None:
    theirs = [place / "gram-other", place / "gram-file", place / "lock"]
    theirs[0].mkdir()
    (theirs[0] / "data").touch()
    for path in theirs[1:]:
        path.touch()
    PrivateFolder.open().remove()
    assert all(path.exists() for path in theirs)
    assert (theirs[0] / "data").exists()


def test_a_long_path_is_not_used_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = PrivateFolder.open()
    assert len(str(folder.path / "link.sock")) <= MAX_SOCKET_PATH
    assert list(deep.iterdir()) == []
    folder.remove()


def test_no_place_at_all_is_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram_server.child.SHORT_PLACES", ())
    monkeypatch.setattr(tempfile, "tempdir", str(place / "absent"))
    with pytest.raises(ConfigError, match=r"TMPDIR.*no place for the link.*No such file"):
        PrivateFolder.open()
