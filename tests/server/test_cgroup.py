from pathlib import Path

import pytest

from gram_server.doctor import read_limits


def read(tmp_path: Path, membership: str, files: dict[str, str]) -> tuple[float | None, int | None]:
    """Return the limits where these files are."""
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (tmp_path / "membership").write_text(membership)
    limits = read_limits(root=tmp_path / "cgroup", membership=tmp_path / "membership")
    return limits.processors, limits.memory_bytes


def test_a_container_of_version_two_sees_its_own_limits(tmp_path: Path) -> None:
    files = {"cpu.max": "150000 100000", "memory.max": "536870912"}
    assert read(tmp_path, "0::/\n", files) == (1.5, 512 << 20)


def test_a_service_has_the_narrowest_limit_of_the_groups_around_it(tmp_path: Path) -> None:
    files = {
        "system.slice/memory.max": "1000",
        "system.slice/gram.service/memory.max": "2000",
        "system.slice/gram.service/cpu.max": "max 100000",
    }
    assert read(tmp_path, "0::/system.slice/gram.service\n", files) == (None, 1000)


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("inner", ["docker/abc/", ""])
def test_version_one_has_a_folder_for_each_controller(
    tmp_path: Path, folder: str, inner: str
) -> None:
    # Inside a container the group may be mounted as the root, whatever its path outside.
    files = {
        f"{folder}/{inner}cpu.cfs_quota_us": "200000",
        f"{folder}/{inner}cpu.cfs_period_us": "100000",
        f"memory/{inner}memory.limit_in_bytes": "1073741824",
        "memory/memory.limit_in_bytes": "9223372036854771712" if inner else "1073741824",
    }
    membership = "9:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n"
    assert read(tmp_path, membership, files) == (2.0, 1 << 30)


def test_without_limits_there_is_none(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert read(tmp_path, "3:cpu:/\n2:name=systemd:/\n", files) == (None, None)
    absent = tmp_path / "absent"
    assert read_limits(root=absent, membership=absent) == (None, None)
