"""What a rule set leans on outside itself: models with their roles, and destinations, that may not be there."""

from collections.abc import Collection, Iterator, Mapping

from dicomnode.rules.actions import Consequence, Routing, Synthesis
from dicomnode.rules.problems import suggestion
from dicomnode.rules.rule import Rule
from dicomnode.rules.ruleset import RuleSet


def broken_links(
    rule_set: RuleSet, models: Mapping[str, Collection[str]], destinations: Collection[str]
) -> tuple[str, ...]:
    """Say of every rule what it names that this node does not have, a sentence each with its place; empty is fine.

    `models` are the models that are installed, each with its roles, all of which have to be bound. Disabled rules count
    as well: somebody will enable them.
    """
    return tuple(
        f"rule '{rule.name}', {place}: {broken}"
        for rule in rule_set.rules
        for place, asked in _placed(rule)
        for broken in _broken(asked, models, destinations)
    )


def _placed(rule: Rule) -> Iterator[tuple[str, Consequence]]:
    """List what a rule asks for with the place where it stands in the document."""
    if isinstance(rule.then, Synthesis):
        yield "then", rule.then
        return
    for number, step in enumerate(rule.then):
        kind = next(kind for kind in type(step).model_fields if getattr(step, kind) is not None)
        yield f"then[{number}].{kind}", step.asked


def _broken(asked: Consequence, models: Mapping[str, Collection[str]], destinations: Collection[str]) -> Iterator[str]:
    if isinstance(asked, Synthesis):
        yield from _broken_model(asked, models)
    if isinstance(asked, Synthesis | Routing):
        for name in asked.destinations:
            if name not in destinations:
                known = ", ".join(sorted(destinations)) or "none"
                yield (
                    f"no destination '{name}' is configured{suggestion(name, destinations) or ';'}"
                    f" configured are: {known}"
                )


def _broken_model(asked: Synthesis, models: Mapping[str, Collection[str]]) -> Iterator[str]:
    roles = models.get(asked.model)
    if roles is None:
        known = ", ".join(sorted(models)) or "none"
        yield f"no model '{asked.model}' is installed{suggestion(asked.model, models) or ';'} installed are: {known}"
        return
    for role in asked.inputs:
        if role not in roles:
            meant = suggestion(role, roles) or ";"
            yield f"the model {asked.model} has no role '{role}'{meant} its roles are: {', '.join(roles)}"
    lacking = [role for role in roles if role not in asked.inputs]
    if lacking:
        roles_of_it = f"the role{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
        yield f"the model {asked.model} also needs {roles_of_it}; add to `inputs` which series can be it"
