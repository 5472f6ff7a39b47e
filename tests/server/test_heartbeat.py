import os
import time
from pathlib import Path

from gram_server.supervisor import read_heartbeat
from gram_server.worker.engine_loop import Heartbeat


def test_a_beat_is_read_as_it_was_written(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "beat")
    heartbeat.beat(num_ticks=7, num_live=3)
    beat = read_heartbeat(tmp_path / "beat")
    assert beat is not None
    assert (beat.pid, beat.num_ticks, beat.num_live) == (os.getpid(), 7, 3)
    assert 0.0 <= beat.age_s < 5.0


def test_the_age_grows_while_nothing_is_written(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "beat")
    time.sleep(0.05)
    beat = read_heartbeat(tmp_path / "beat")
    assert beat is not None
    assert beat.age_s >= 0.05


def test_a_missing_or_foreign_file_is_no_beat(tmp_path: Path) -> None:
    assert read_heartbeat(tmp_path / "none") is None
    (tmp_path / "short").write_bytes(b"x")
    assert read_heartbeat(tmp_path / "short") is None
    (tmp_path / "empty").write_bytes(bytes(32))
    assert read_heartbeat(tmp_path / "empty") is None


def test_a_new_worker_takes_the_file_over(tmp_path: Path) -> None:
    first = Heartbeat(tmp_path / "beat")
    first.beat(num_ticks=99, num_live=5)
    Heartbeat(tmp_path / "beat")
    beat = read_heartbeat(tmp_path / "beat")
    assert beat is not None
    assert (beat.num_ticks, beat.num_live) == (0, 0)
