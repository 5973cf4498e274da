"""The benchmark of the rules measures what it says: rules of which no two are the same, on studies that differ."""

import json

from deploy.bench.rules_material import SERIES, rules_document, studies
from deploy.bench.rules_speed import measure
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.rules.ruleset import load_rule_set


def test_there_are_two_hundred_rules_of_which_no_two_ask_the_same() -> None:
    rules = load_rule_set(rules_document(), fact_catalogue())
    assert len(rules.rules) == 200
    assert len({json.dumps(rule["when"], sort_keys=True) for rule in rules_document()["rules"]}) == 200
    assert rules.compiled.size > 900


def test_the_studies_are_always_the_same_and_differ_from_each_other() -> None:
    made = tuple(studies(40))
    assert made == tuple(studies(40))
    assert {len(one.series) for one in made} == {SERIES}
    seen = {tuple(series.values["SeriesDescription"] for series in one.series) for one in made}
    assert len(seen) == len(made)


def test_a_small_measurement_counts_what_fired_and_what_changed() -> None:
    speed = measure(tuple(studies(100)), repetitions=1)
    assert (speed.rules, speed.studies) == (200, 100)
    assert 1 <= speed.fired_per_study <= 20
    assert speed.changes_told > 0
    assert min(speed.silent_per_second, speed.explained_per_second, speed.what_if_seconds) > 0
