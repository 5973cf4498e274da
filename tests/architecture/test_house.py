"""The shape of the house, measured: rooms, sizes, light imports and documented entry points."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "dicomnode", *(ROOT / "plugins").glob("*/dicomnode_*")]
TOP_LEVEL = {"pyproject.toml", "dicomnode", "plugins", "tests", "orthanc", "deploy", "README.md", "LICENSE"}
ROOMS = {path.name for path in (ROOT / "dicomnode").iterdir() if (path / "__init__.py").is_file()}

LONGEST_FUNCTION_P90 = 31
LONGEST_MODULE = 400


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in package.rglob("*.py") if "versions" not in path.parts)


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_top_level_is_fixed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if not tracked:
        pytest.fail("these tests run in a git checkout")
    top = {line.split("/")[0] for line in tracked.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_functions_and_modules_stay_small() -> None:
    functions = []
    for path in _modules():
        source = path.read_text(encoding="utf-8")
        assert source.count("\n") <= LONGEST_MODULE, f"{path} is longer than {LONGEST_MODULE} lines"
        functions += [
            _body_lines(node)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    functions.sort()
    assert functions[int(0.9 * len(functions))] <= LONGEST_FUNCTION_P90


def test_room_files_are_empty_and_names_say_something() -> None:
    for room in ROOMS:
        assert not (ROOT / "dicomnode" / room / "__init__.py").read_text()
    empty_words = re.compile(r"(^|_)(utils?|helpers?|common|managers?|base|misc)(_|$)")
    assert [path for path in _modules() if empty_words.search(path.stem)] == []


def test_architecture_names_every_room_and_entry_point_group() -> None:
    text = (ROOT / "dicomnode" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room in ROOMS:
        assert f"`{room}/`" in text, f"ARCHITECTURE.md does not know the room {room}"
    groups = {
        group
        for project in (ROOT / "plugins").glob("*/pyproject.toml")
        for group in tomllib.loads(project.read_text())["project"].get("entry-points", {})
    }
    assert groups
    for group in groups:
        assert f"`{group}`" in text, f"ARCHITECTURE.md does not say what {group} is"


@pytest.mark.parametrize("module", ["dicomnode.node.wiring", "dicomnode.node.cli", "dicomnode.dimse.storage_scp"])
def test_no_process_of_the_node_loads_torch_by_itself(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
    )
    assert told.stdout.strip() == "False"


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("sh deploy/demo.sh", "sh deploy/test.sh"):
        assert command in readme
        assert (ROOT / command.split()[1]).is_file()
    assert "deploy/test.sh" in (ROOT / ".ci" / "run").read_text()
    assert "not a medical device" in readme.lower()


def test_tests_mirror_the_rooms() -> None:
    for room in ROOMS - {"evaluation"}:
        assert list((ROOT / "tests" / room).glob("test_*.py")), f"no tests for the room {room}"
