"""A rule set: all rules that are in force together, as one unchangeable version."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ValidationError, ValidationInfo, model_validator

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.facts import FactCatalogue
from dicomnode.rules.actions import (
    AllowedPreparation,
    Holding,
    Ignoring,
    InputSelection,
    Preference,
    Routing,
    Step,
    Synthesis,
)
from dicomnode.rules.compiled import CompiledRules, compile_rules
from dicomnode.rules.conditions import Match, Part, Quantifier, Reading, SeriesCondition, StudyGroup, reading
from dicomnode.rules.problems import in_words
from dicomnode.rules.rule import Rule
from dicomnode.rules.window import Window
from dicomnode.rules.yaml_document import read_yaml

_VERSION_LENGTH = 16


class RuleSet(Part):
    """All rules in force; only `load_rule_set` makes one, so that a rule set is always a checked one."""

    rules: tuple[Rule, ...]

    @model_validator(mode="before")
    @classmethod
    def _check_reading(cls, written: object, info: ValidationInfo) -> object:
        reading(info)
        return written

    @cached_property
    def compiled(self) -> CompiledRules:
        """The enabled rules in the form that decides fast."""
        return compile_rules(self.rules)

    @cached_property
    def version(self) -> str:
        """Name this content: the first 16 hex digits of SHA-256 over the canonical JSON of the document.

        The order of keys does not count, but for the roles of a rule: an earlier role chooses its series first.
        """
        document = self.model_dump(mode="json")
        for rule in document["rules"]:
            then = rule["then"]
            for asked in [then] if isinstance(then, dict) else [step.get("synthesise", {}) for step in then]:
                if "inputs" in asked:
                    asked["inputs"] = list(asked["inputs"].items())
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:_VERSION_LENGTH]


def load_rule_set(document: object, catalogue: FactCatalogue) -> RuleSet:
    """Check a rule set against the facts there are; raises InvalidRule that tells every problem on its own line."""
    try:
        return RuleSet.model_validate(document, context=Reading(catalogue=catalogue))
    except ValidationError as error:
        problems = in_words(error.errors(include_url=False), document, _keys())
        raise InvalidRule("\n".join(problems)) from None


def read_rule_set(path: Path, catalogue: FactCatalogue) -> RuleSet:
    """Read and check a rule set from a YAML file; raises InvalidRule, each line of which names the file."""
    document = read_yaml(path)
    try:
        return load_rule_set(document, catalogue)
    except InvalidRule as error:
        raise InvalidRule("\n".join(f"{path}: {line}" for line in error.reason.splitlines())) from error


def _keys() -> Iterator[str]:
    """List every key a rule set may have, for telling a typo from a key in the wrong place."""
    parts: tuple[type[BaseModel], ...] = (
        *(RuleSet, Rule, Window, Step, Synthesis, InputSelection, Preference, AllowedPreparation),
        *(Routing, Holding, Ignoring),
        *(StudyGroup, SeriesCondition, Quantifier, Match),
    )
    for part in parts:
        for name, field in part.model_fields.items():
            yield field.alias or name
