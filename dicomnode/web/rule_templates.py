"""Rules to begin with, so that nobody starts before an empty page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dicomnode.web.rule_editing import Document, Roles, fill_roles, new_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A rule that is offered to begin with."""

    title: str
    about: str
    make: Callable[[Roles, Sequence[str]], Document]


def rule_from(name: str, roles: Roles, destinations: Sequence[str]) -> Document:
    """Make the rule of a template; an empty one where there is no such template."""
    rule = TEMPLATES[name].make(roles, destinations) if name in TEMPLATES else new_rule()
    fill_roles(rule, roles)
    return rule


def _of_series(mode: str, *conditions: Document) -> Document:
    return {"field": "series", "match": {"mode": mode}, "value": {"rules": list(conditions)}}


def _weighted(weighting: str) -> Document:
    return {"field": "Weighting", "value": weighting}


def _without_flair(roles: Roles, destinations: Sequence[str]) -> Document:
    model = next((name for name, wanted in sorted(roles.items()) if {"t1", "t2"} <= set(wanted)), "")
    return {
        "name": "t1-t2-without-flair",
        "description": "An MR with a native T1 and a T2 but without a FLAIR gets a synthetic one.",
        "when": {
            "rules": [
                _of_series("some", _weighted("T1"), {"field": "ContrastEnhanced", "value": "NO"}),
                _of_series("some", _weighted("T2")),
                _of_series("none", _weighted("FLAIR")),
            ]
        },
        "then": [_synthesis(model, destinations)],
    }


def _hold_the_rest(_roles: Roles, _destinations: Sequence[str]) -> Document:
    return {
        "name": "hold-the-rest",
        "description": "What no other rule is made for waits for a person.",
        "fallback": True,
        "then": [{"hold": {"reason": "No rule is made for a study of this kind."}}],
    }


def _route_modality(_roles: Roles, destinations: Sequence[str]) -> Document:
    series: Mapping[str, object] = {"rules": [{"field": "Modality", "value": "CT"}]}
    return {
        "name": "route-ct",
        "description": "CT series go on as they were received.",
        "when": {"rules": [{"field": "Modalities", "operator": "contains", "value": "CT"}]},
        "then": [{"route": {"series": series, "destinations": list(destinations[:1])}}],
    }


def _synthesis(model: str, destinations: Sequence[str]) -> Document:
    return {"synthesise": {"model": model, "inputs": {}, "target": "", "destinations": list(destinations[:1])}}


TEMPLATES: Mapping[str, Template] = {
    "t1-t2-without-flair": Template(
        title="T1 + T2 without FLAIR", about="synthesise what was not acquired", make=_without_flair
    ),
    "route-ct": Template(title="Route CT as it is", about="send series on unchanged", make=_route_modality),
    "hold-the-rest": Template(title="Hold the rest", about="a fallback for what no rule expects", make=_hold_the_rest),
}
