"""Each gate is broken on purpose: a gate that cannot fail protects nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

VIOLATIONS = {
    "Rooms are layered": ("dicomnode/rules/broken.py", "import dicomnode.ledger.tables\n"),
    "domain and rules know no file": ("dicomnode/domain/broken.py", "def f():\n    import pydicom\n"),
    "The engine knows the ledger and no DICOM": ("dicomnode/engine/broken.py", "import dicomnode.dimse.sockets\n"),
    "pynetdicom only in dimse": ("dicomnode/journey/broken.py", "import pynetdicom\n"),
    "pydicom only in imaging and dimse": ("dicomnode/web/broken.py", "import pydicom\n"),
    "highdicom and SimpleITK only in imaging": ("dicomnode/synthesis/broken.py", "import highdicom\n"),
    "SQLAlchemy and Alembic only in ledger and engine": ("dicomnode/node/broken.py", "import sqlalchemy\n"),
    "cryptography only in dimse": ("dicomnode/web/broken_too.py", "import cryptography\n"),
    "DBOS and pebble only in engine": ("dicomnode/ledger/broken.py", "import dbos\n"),
    "imports torch nowhere": ("dicomnode/imaging/broken.py", "import torch\n"),
    "The web framework only in web": ("dicomnode/spool/broken.py", "import fastapi\n"),
    "No role of the node needs the evaluation room": (
        "dicomnode/journey/broken_too.py",
        "import dicomnode.evaluation.metrics\n",
    ),
    "Plug-ins know the domain": ("plugins/identity/dicomnode_identity/broken.py", "import dicomnode.ledger.tables\n"),
    "The node never names a plug-in": ("dicomnode/node/broken_too.py", "import dicomnode_identity\n"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their configuration, to be damaged."""
    for folder in ("dicomnode", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder / part) for part in (".", "plugins/identity", "plugins/mr_flair"))
    return subprocess.run(
        [str(BIN / "lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lint_imports_passes_and_each_contract_breaks_where_it_is_violated(copy: Path) -> None:
    assert _lint_imports(copy).returncode == 0
    for place, source in VIOLATIONS.values():
        (copy / place).write_text(source)
    (copy / "dicomnode" / "attic").mkdir()
    (copy / "dicomnode" / "attic" / "__init__.py").touch()
    damaged = _lint_imports(copy)
    assert damaged.returncode != 0
    kept = [line for line in damaged.stdout.splitlines() if line.rstrip().endswith("KEPT")]
    for name in VIOLATIONS:
        assert name in damaged.stdout, f"no contract is called {name}"
        assert not any(name in line for line in kept), f"the contract {name} was kept although it was violated"


def test_an_unplaced_room_breaks_the_layers(copy: Path) -> None:
    (copy / "dicomnode" / "attic").mkdir()
    (copy / "dicomnode" / "attic" / "__init__.py").touch()
    damaged = _lint_imports(copy)
    assert damaged.returncode != 0
    assert "attic" in damaged.stdout


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("try:\n    pass\nexcept Exception:\n    pass\n", "BLE001"),
        ("from datetime import datetime\n\nNOW = datetime.now()\n", "TID251"),
        ("import importlib\n\nMODULE = importlib.import_module('torch')\n", "TID251"),
        ('print("hello")\n', "T201"),
        ("from . import tables\n", "TID252"),
        ("def run(x):\n" + "".join(f"    x += {n}\n" for n in range(40)) + "    return x\n", "PLR0915"),
        ("# x = 1\n", "ERA001"),
    ],
)
def test_ruff_refuses(source: str, rule: str) -> None:
    checked = subprocess.run(
        [str(BIN / "ruff"), "check", "--stdin-filename", "dicomnode/ledger/broken.py", "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert rule in checked.stdout


def test_mypy_is_strict_about_code_and_tests(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def f(x):\n    return x\n\ny: int = 'text'\n")
    checked = subprocess.run(
        [
            str(BIN / "mypy"),
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--cache-dir",
            str(tmp_path / "cache"),
            str(broken),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert "no-untyped-def" in checked.stdout
    assert "assignment" in checked.stdout
