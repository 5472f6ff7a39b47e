"""What torch, Triton and the system say where a worker cannot start, by the words they use."""

import subprocess
from typing import Any

import pytest
import torch

from gram_core.errors import CheckpointError
from gram_server.errors import ConfigError, StartFailed, StartRefused
from gram_server.worker.loading import check_device, explained

PYTHON_H = b"main.c:2:10: fatal error: Python.h: No such file or directory"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            RuntimeError(
                "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU "
                "and installed a driver from http://www.nvidia.com/Download/index.aspx"
            ),
            ConfigError,
            "no NVIDIA driver",
        ),
        (
            RuntimeError(
                "The NVIDIA driver on your system is too old (found version 12020). Please update "
                "your GPU driver by downloading and installing a new version"
            ),
            ConfigError,
            "driver is too old",
        ),
        (AssertionError("Torch not compiled with CUDA enabled"), ConfigError, "for processors"),
        (RuntimeError("No CUDA GPUs are available"), ConfigError, "sees no GPU"),
        (
            torch.AcceleratorError("CUDA error: invalid device ordinal", 101),
            ConfigError,
            "no GPU of this number",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
            StartFailed,
            "not enough memory",
        ),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 99 bytes. Error code 12"
            ),
            StartFailed,
            "not enough memory",
        ),
        (MemoryError(), StartFailed, "not enough memory"),
        (
            torch.AcceleratorError(
                "CUDA error: all CUDA-capable devices are busy or unavailable", 46
            ),
            StartFailed,
            "MIG",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            ConfigError,
            "not built for a GPU of this kind",
        ),
        (
            RuntimeError("CUDA error: system not yet initialized"),
            StartFailed,
            "nvidia-fabricmanager",
        ),
        (
            RuntimeError("Failed to find C compiler. Please specify via CC environment variable"),
            ConfigError,
            "a C compiler",
        ),
        (
            subprocess.CalledProcessError(1, ["gcc", "main.c"], stderr=PYTHON_H),
            ConfigError,
            "headers of Python",
        ),
        (AssertionError("libcuda.so cannot found!"), ConfigError, "no NVIDIA driver"),
        (RuntimeError("CUDA unknown error - this may be due to"), StartFailed, "nvidia-smi"),
        (PermissionError(13, "Permission denied", "/weights/w"), StartRefused, "/weights/w cannot"),
        (CheckpointError("x is damaged: copy it again"), StartRefused, "x is damaged"),
    ],
)
def test_each_way_of_failing_is_one_sentence(
    error: Exception, kind: type[Exception], words: str
) -> None:
    told = explained(error, "cuda:0")
    assert type(told) is kind
    assert words in str(told)
    assert "\n" not in str(told)


def test_an_error_is_known_by_what_led_to_it_too() -> None:
    error = ValueError("the step cannot be compiled")
    error.__cause__ = RuntimeError("Found no NVIDIA driver on your system.")
    assert "no NVIDIA driver" in str(explained(error, "cuda"))


def test_an_unforeseen_error_stays_what_it_is() -> None:
    error = ValueError("a bug of ours")
    assert explained(error, "cpu") is error


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:1", "cuda:-1", ""])
def test_a_device_that_cannot_be_meant_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="must be auto, cpu, cuda or cuda:N"):
        check_device(name)


def test_a_gpu_beyond_those_that_are_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device("cuda")
    check_device("cuda:1")
    with pytest.raises(ConfigError, match=r"device='cuda:7': .*: cuda:0, cuda:1$"):
        check_device("cuda:7")


def test_why_there_is_no_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "init", fail)
    with pytest.raises(ConfigError, match="device='cuda': the NVIDIA driver is too old"):
        check_device("cuda")
