"""The benchmark of the what-if measures what it says: every study of the ledger, read and replayed."""

import json

import pytest

from deploy.bench.what_if_speed import main


def test_it_measures_every_study_and_finds_what_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--studies", "40", "--repetitions", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    waiting = told["waiting"]
    assert (waiting["rules"], waiting["studies"]) == (200, 40)
    assert waiting["changes_told"] > 0
    assert waiting["facts_kb_per_study"] > 1
    assert 0 < waiting["best_seconds"] <= waiting["first_seconds"] < told["target_seconds"]
