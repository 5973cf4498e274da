"""The demo as a newcomer runs it, with a real Orthanc as PACS."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dicomnode.node.demo_pacs import orthanc_obstacle
from tests.absence import absent
from tests.nodes import ROOT

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]


def _demo(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dicomnode.node.cli", "demo", "--once", "--folder", str(folder)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )


def _told(demo: subprocess.CompletedProcess[str]) -> str:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for words in (
        "230 instances",
        "t1-t2-to-flair fired",
        "SYNTH FLAIR from T1+T2 (AI, RESEARCH)",
        "0 errors",
        "✓ same Study Instance UID",
        "✓ same Frame of Reference",
        "✓ geometry equal",
        "✓ Synthetic Data (0008,001C) is YES",
    ):
        assert words in demo.stdout, demo.stdout
    return demo.stdout


def test_the_demo_with_orthanc(tmp_path: Path) -> None:
    obstacle = orthanc_obstacle()
    if obstacle:
        absent(f"Orthanc for the demo: {obstacle}")
    told = _told(_demo(tmp_path / "demo", {}))
    assert "Read back from Orthanc" in told
    assert "Left out" not in told


def test_the_demo_without_orthanc_says_what_is_left_out(tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    told = _told(_demo(tmp_path / "demo", {"PATH": str(bare)}))
    assert "dicomnode as archive" in told
    assert re.search(r"Left out: Orthanc .*not installed: Orthanc", told)
