"""Rules of the tree that no linter checks: names, sizes, package files, nothing pickled."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = (
    ROOT / "gram_core",
    ROOT / "kernels/gram_kernels",
    ROOT / "server/gram_server",
    ROOT / "clients/python/gram_client",
    ROOT / "clients/python/gram_files",
    ROOT / "lab/gram_lab",
)
PRODUCT = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_FILE_LINES = 350
MAX_OTHER_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_KERNEL_LINES = 80
MAX_DOCSTRING_LINES = 6
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
# A CUDA build of torch fixes the version of its own triton.
PINNED_BY_TORCH = {"triton"}
OURS = {"gram-server", "gram-client"}
# Folders that may hold files which are no text, and of which kind.
BINARY_PLACES = {
    "gram_core/weights": {".safetensors"},
    "lab/checkpoints": {".safetensors"},
    "docs": {".png", ".webp"},
    "server/gram_server/page": {".png"},
}
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(module: ast.Module) -> set[str]:
    imports = (node for node in module.body if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def defined_names(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def used_names(module: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}


def declared_names(module: ast.Module) -> list[str]:
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == "__all__":
                return list(ast.literal_eval(node.value))
    return []


def functions(module: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(module) if isinstance(node, Function))


def num_body_lines(function: Function) -> int:
    """Lines after the signature and the docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def unsafe_uses(module: ast.Module) -> Iterator[str]:
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    # Builds tensors alone, whatever a pickle names.
    safe = {call.func for call in calls if "weights_only=True" in map(ast.unparse, call.keywords)}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in UNSAFE_MODULES:
            if [alias.name for alias in node.names] != ["UnpicklingError"]:
                yield str(node.module)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "torch.save"):
            if node not in safe:
                yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()]


def is_text(path: Path) -> bool:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def may_be_binary(name: str) -> bool:
    return any(
        name.startswith(f"{folder}/") and Path(name).suffix in kinds
        for folder, kinds in BINARY_PLACES.items()
    )


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_is_there_and_says_that_it_is_typed(package: Path) -> None:
    assert (package / "__init__.py").is_file()
    assert (package / "py.typed").is_file()


@pytest.mark.parametrize(
    "path", [path for path in PRODUCT if path.name == "__init__.py"], ids=relative
)
def test_a_package_file_declares_all_it_offers_and_nothing_else(path: Path) -> None:
    module = tree(path)
    declared = declared_names(module)
    assert len(declared) == len(set(declared))
    # An import that the file itself needs is no promise to others.
    offered = defined_names(module) | (imported_names(module) - used_names(module))
    assert offered - set(declared) == set()
    assert set(declared) - defined_names(module) - imported_names(module) == set()


def test_folders_that_are_no_packages_hold_no_package_file() -> None:
    bare = ("server", "kernels", "clients", "clients/python", "lab")
    found = [folder for folder in bare if (ROOT / folder / "__init__.py").exists()]
    assert found + list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_folder_of_a_package_is_a_package() -> None:
    folders = {path.parent for path in PRODUCT}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_a_module_opens_by_saying_what_it_holds() -> None:
    lengths = {path: len((ast.get_docstring(tree(path)) or "").splitlines()) for path in PRODUCT}
    # The tree of a package's errors stands in the docstring, however long.
    wrong = [
        relative(path)
        for path, length in lengths.items()
        if not length or (length > MAX_DOCSTRING_LINES and not path.stem.endswith("errors"))
    ]
    assert wrong == []


def test_nothing_is_pickled() -> None:
    uses = {relative(path): list(unsafe_uses(tree(path))) for path in PRODUCT}
    assert {path: found for path, found in uses.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "x = torch.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_a_pickle_would_be_found(source: str) -> None:
    assert len(list(unsafe_uses(ast.parse(source)))) == 1


def test_files_stay_short() -> None:
    limits = dict.fromkeys(PRODUCT, MAX_FILE_LINES) | dict.fromkeys(TESTS, MAX_OTHER_FILE_LINES)
    for kind in ("*.js", "*.css", "*.lua"):
        limits |= dict.fromkeys((ROOT / "server").rglob(kind), MAX_OTHER_FILE_LINES)
    assert [path for path, limit in limits.items() if num_lines(path) > limit] == []


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_functions_stay_short() -> None:
    long = {
        f"{relative(path)}:{function.name}"
        for path in PRODUCT
        for function in functions(tree(path))
        if num_body_lines(function)
        > (MAX_KERNEL_LINES if path.name == "kernel.py" else MAX_FUNCTION_LINES)
    }
    assert long == set()


def test_files_are_named_for_what_they_define() -> None:
    names = {path.stem for path in PRODUCT if path.stem != "__init__"}
    names |= {path.parent.name for path in PRODUCT}
    assert names & VAGUE_NAMES == set()
    assert names & set(sys.stdlib_module_names) == set()
    assert {path.stem for path in TESTS} & VAGUE_NAMES == set()


def test_every_dependency_is_pinned_to_a_version_it_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for project in (ROOT, ROOT / "clients/python", ROOT / "lab"):
        metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        extras = metadata["project"].get("optional-dependencies", {}).values()
        for line in chain(metadata["project"]["dependencies"], *extras):
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) in PINNED_BY_TORCH | OURS:
                continue
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_only_weights_and_pictures_are_no_text() -> None:
    names = tracked_files()
    assert "tests/test_repository.py" in names
    binary = [name for name in names if not may_be_binary(name) and not is_text(ROOT / name)]
    assert binary == []


@pytest.mark.parametrize("name", ["tool.whl", "weights/model.safetensors", "docs/paper.pdf"])
def test_a_binary_file_in_another_place_would_be_found(name: str) -> None:
    assert not may_be_binary(name)
