"""The house's rules, held on every file: which way imports run, how long a file is, what no text says."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {"__pycache__", "build", "node_modules", "vendor", "logs", "bin"}  # made by machines, or by others

# A room may import itself and the rooms named here: a whole part of the house, or one room of lib.
MAY_IMPORT = {
    "lib.pet": set(),
    "lib.network": {"lib.pet"},
    "lib.interaction": {"lib.pet", "lib.network"},
    "lib.store": {"lib.pet"},
    "lib.export": {"lib.pet"},
    "lib.learning": {"lib.pet", "lib.network", "lib.interaction", "lib.store"},
    "lib.report": {"lib.pet", "lib.store", "lib.learning"},
    "infer_tasks": {"lib"},
    "trainers": {"lib"},
    "apps": {"lib", "infer_tasks", "trainers"},
    "scripts": {"lib", "infer_tasks", "trainers", "apps"},
}
OURS = {"lib", "infer_tasks", "trainers", "apps", "scripts", "tests"}
ONLY_IN = {
    "monailabel": {"apps", "infer_tasks", "trainers"},
    "fastapi": {"apps"},
    "starlette": {"apps"},
    "uvicorn": {"apps", "scripts"},
}

# Written in pieces, so that this file does not find itself.
MACHINE_PATH = re.compile(
    "|".join(["/wor" + "k/", "/far" + "m/", "/op" + "t/", "/roo" + "t/", "/tm" + "p/bash"])
)
REGISTRY = re.compile(
    "|".join(["pypi" + r"\.org", "python" + "hosted", "download" + r"\.pytorch", "npm" + r"js\."])
)


def files(*endings: str, below: Path = ROOT) -> Iterator[Path]:
    """The house's files with these endings (any, if none is given), whether committed or not."""
    for folder, subfolders, names in os.walk(below):
        subfolders[:] = [name for name in subfolders if not hidden(name) and name not in NOT_OURS]
        yield from (Path(folder, name) for name in names if name.endswith(endings or ""))


def hidden(folder: str) -> bool:
    return (folder.startswith(".") and folder != ".ci") or folder.endswith(".egg-info")


def imported(source: str, package: str) -> set[str]:
    """Every module or member that a source file of a package imports, anywhere in it, by its dotted name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            names |= {".".join([*parents, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return names


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def violations(source: str, package: str) -> list[str]:
    """What a file of this package must not import."""
    part = package.split(".")[0]
    room = ".".join(package.split(".")[:2]) if part == "lib" else part
    allowed = {room} | MAY_IMPORT.get(room, set())
    return sorted(
        name
        for name in imported(source, package)
        if (within(name, OURS) and not within(name, allowed))
        or any(within(name, {outside}) and part not in parts for outside, parts in ONLY_IN.items())
    )


@pytest.mark.parametrize("part", ["lib", "infer_tasks", "trainers", "apps", "scripts"])
def test_imports_run_one_way(part):
    found = {
        str(path.relative_to(ROOT)): names
        for path in files(".py", below=ROOT / part)
        if (names := violations(path.read_text(), ".".join(path.parent.relative_to(ROOT).parts)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        ("lib.pet", "from lib.network import load_network", ["lib.network.load_network"]),
        ("lib.pet", "def f():\n    import lib.store.journal", ["lib.store.journal"]),
        ("lib.pet", "from ..network import config", ["lib.network.config"]),
        ("lib.pet", "from lib import network, pet", ["lib.network"]),
        ("lib.network.parts", "from lib.interaction import Engine", ["lib.interaction.Engine"]),
        ("lib.store", "import monailabel.config", ["monailabel.config"]),
        ("lib.store", "from scripts import app", ["scripts.app"]),
        ("lib", "import infer_tasks", ["infer_tasks"]),
        ("lib.unheard_of", "import lib.pet", ["lib.pet"]),
        ("infer_tasks", "import fastapi, trainers", ["fastapi", "trainers"]),
        ("trainers", "from apps.segpet import main", ["apps.segpet.main"]),
        ("scripts", "from monailabel.config import settings", ["monailabel.config.settings"]),
        ("apps.segpet", "from scripts.serve import serve", ["scripts.serve.serve"]),
        (
            "lib.interaction",
            "from lib.network import x\nfrom lib.pet import y\nfrom . import z\nimport math",
            [],
        ),
        ("infer_tasks", "import monailabel\nfrom lib.store import Journal", []),
        ("lib.pet", "import library, monailabelled", []),
    ],
)
def test_an_import_in_the_wrong_direction_is_found(package, source, found):
    assert violations(source, package) == found


def test_every_room_of_lib_has_a_rule():
    rooms = {f"lib.{path.parent.name}" for path in (ROOT / "lib").glob("*/__init__.py")}
    assert rooms <= MAY_IMPORT.keys()


def test_every_folder_with_python_in_it_is_a_package():
    # An implicit package would not be installed, and MONAI Label's own `lib` folder would shadow it.
    bare = {
        path.parent
        for part in ("lib", "infer_tasks", "trainers", "scripts")
        for path in files(".py", below=ROOT / part)
    }
    assert [str(folder) for folder in bare if not (folder / "__init__.py").exists()] == []


def test_no_source_file_is_longer_than_400_lines():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in files(".py", ".js", ".sh", "segpet")
    }
    assert {path: count for path, count in lines.items() if count > 400} == {}


def texts() -> Iterator[tuple[str, str]]:
    for path in files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


def test_no_text_names_a_path_of_one_machine_or_the_host_of_a_registry():
    found = {
        (path, match.group())
        for path, text in texts()
        for pattern in (MACHINE_PATH, REGISTRY)
        if (match := pattern.search(text))
    }
    assert found == set()
