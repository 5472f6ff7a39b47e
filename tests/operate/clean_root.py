"""Builds the stages of the Dockerfile in clean Debian roots, and runs them as containers would be.

Every step is carried out as it stands, apt-get included, below a root of debootstrap's, and what
comes out runs without rights on a root that cannot be written to. Debian and its Python stand in
for the base images. Needs root, debootstrap and the network.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.operate.dockerfile import Stage

SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = "${PYTHON_IMAGE}"
PACKAGES = ("ca-certificates", "python3-dev", "python3-pip", "python3-venv")
"""What the base image has beyond Debian's least."""
OURS = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files of this machine without which its network cannot be used."""
SOMEBODY = 23456
"""A user that no image knows."""

ISOLATED = """
for place in proc dev; do mount --rbind "/$place" "$0/$place"; done
if [ -n "$WHEELS" ]; then mkdir -p "$0$WHEELS"; mount --bind "$WHEELS" "$0$WHEELS"; fi
exec chroot "$0" "$@"
"""
READ_ONLY = """
mount --bind "$0" "$0"
mount -o remount,ro,bind "$0"
for place in proc dev; do mount --rbind "/$place" "$0/$place"; done
mount -t tmpfs tmpfs "$0/tmp"
for volume in $VOLUMES; do mount --bind "$VOLUME_FOLDER$volume" "$0$volume"; done
exec chroot "$0" "$@"
"""


@dataclass(slots=True)
class CleanRoots:
    """Carries stages out, each in a root of its own."""

    stages: Mapping[str, Stage]
    context: Path
    folder: Path
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    def build(self, name: str) -> Path:
        """Return the root of a finished stage."""
        root = self.folder / name
        if name in self.environments:
            return root
        stage = self.stages[name]
        assert stage.base == BASE
        _copy_tree(self._base(), root)
        environment = {"PATH": PATH}
        arguments: dict[str, str] = {}
        for word, text in stage.steps:
            if word == "ENV":
                pairs = (part.split("=", 1) for part in shlex.split(text))
                environment |= {key: value.replace("${PATH}", PATH) for key, value in pairs}
            elif word == "ARG":
                key, _, default = text.partition("=")
                arguments[key] = os.environ.get(key, default)
            elif word == "COPY":
                self._copy(text, root)
            elif word == "RUN":
                _run(root, text, environment | arguments)
        self.environments[name] = environment
        return root

    def command(self, name: str, words: Sequence[str], volumes: Path, **settings: str) -> list[str]:
        """Return what runs words in a built stage as a container's runtime would.

        Args:
            name: the stage.
            words: the command and its arguments.
            volumes: folder for the volumes of the image, which begin as they are in the image.
            settings: environment beside the image's.
        """
        root, stage = self.build(name), self.stages[name]
        places = json.loads(stage.last("VOLUME") or "[]")
        for place in places:
            if not (target := volumes / place.lstrip("/")).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy_tree(root / place.lstrip("/"), target)
        pairs = self.environments[name] | settings
        return [
            *("env", f"VOLUMES={' '.join(places)}", f"VOLUME_FOLDER={volumes}"),
            *("unshare", "--mount", "--propagation", "private", "sh", "-euc", READ_ONLY, str(root)),
            *("setpriv", f"--reuid={SOMEBODY}", "--regid=0", "--clear-groups", "--no-new-privs"),
            *("--bounding-set=-all", "--inh-caps=-all"),
            *("env", "--ignore-environment", f"--chdir={stage.last('WORKDIR')}"),
            *(f"{key}={value}" for key, value in pairs.items()),
            *words,
        ]

    def _base(self) -> Path:
        root = self.folder / SUITE
        if not root.exists():
            unfinished = root.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            include = f"--include={','.join(PACKAGES)}"
            _call(["debootstrap", "--variant=minbase", include, SUITE, str(unfinished)])
            for path in OURS:
                shutil.copy(path, f"{unfinished}{path}")
            unfinished.rename(root)
        return root

    def _copy(self, text: str, root: Path) -> None:
        if text.startswith("--from="):
            option, source, target = shlex.split(text)
            other = self.build(option.removeprefix("--from="))
            _copy_tree(other / source.lstrip("/"), root / target.lstrip("/"))
            return
        *sources, target = shlex.split(text)
        place = root / target.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if source == ".":
                copy_context(self.context, place)
            else:
                shutil.copy2(self.context / source, place)


def copy_context(context: Path, place: Path) -> None:
    """Copy what .dockerignore lets through."""
    for line in (context / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            _copy_tree(context / line[1:], place / line[1:])


def _run(root: Path, text: str, environment: Mapping[str, str]) -> None:
    # Builds reach the packages as this machine does: its settings of pip, and its wheels of torch
    # for a stage that is told where torch is.
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
    wheels = kept.pop("PIP_FIND_LINKS", "") if "TORCH_INDEX" in environment else ""
    kept.pop("PIP_FIND_LINKS", None)
    given = {**kept, **environment} | ({"PIP_FIND_LINKS": wheels} if wheels else {})
    pairs = [f"{key}={value}" for key, value in given.items()]
    _call(
        [
            *("env", f"WHEELS={wheels}"),
            *("unshare", "--mount", "--propagation", "private", "sh", "-euc", ISOLATED, str(root)),
            *("env", "--ignore-environment", *pairs, "sh", "-euc", text),
        ]
    )


def _copy_tree(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    _call(["cp", "--archive", "--reflink=auto", str(source), str(target)])


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
