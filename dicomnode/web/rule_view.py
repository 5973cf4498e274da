"""What the editor of a rule shows: rows of fields, with the operators and the kind of value that suit each fact."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dicomnode.domain.facts import FactCatalogue, FactField, FactType
from dicomnode.rules.conditions import SERIES
from dicomnode.rules.nearness import has_distance
from dicomnode.rules.operators import PRESENCE, Operator, operators_of
from dicomnode.web.rule_editing import Roles
from dicomnode.web.rule_faults import Fault
from dicomnode.web.rule_form import (
    KINDS,
    NEAREST,
    Scope,
    actions_of,
    fact_named,
    joined,
    mapping,
    order_of,
    preferred_field,
    sequence,
    takes_several,
    texts_of,
)

Widget = Literal["none", "choice", "choices", "text", "number", "date"]
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENDS = 2

_IN_WORDS: Mapping[str, str] = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
    "between": "is between",
    "in": "is one of",
    "notIn": "is none of",
    "contains": "contains",
    "doesNotContain": "does not contain",
    "beginsWith": "begins with",
    "endsWith": "ends with",
    "matches": "matches the pattern",
    "containsAny": "contains one of",
    "containsAll": "contains all of",
    "withinDays": "is within days of today",
    "null": "is absent",
    "notNull": "is present",
}
_OF_DATES: Mapping[str, str] = {"<": "is before", "<=": "is not after", ">": "is after", ">=": "is not before"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a list."""

    value: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRow:
    """One test of one fact, or one preference among series."""

    path: str
    scope: Scope
    field: str
    meaning: str
    operator: str
    operators: tuple[Option, ...]
    widget: Widget
    texts: tuple[str, ...]
    """The values as written; one field is shown for each."""
    choices: tuple[str, ...] = ()
    is_list: bool = False
    """Whether there may be more values, so that an empty field waits for the next."""
    kind: str = "condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """Conditions that hang together."""

    path: str
    scope: Scope
    joined: str
    rows: tuple["Row", ...]
    kind: str = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """Conditions on the series of a study, and how many have to meet them."""

    path: str
    mode: str
    threshold: str
    group: GroupRow
    kind: str = "series"

    @property
    def counts(self) -> bool:
        """Whether the mode goes with a number of series."""
        return self.mode in ("atLeast", "atMost", "exactly")


Row = ConditionRow | GroupRow | SeriesRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """One input of a model: which series may be it, and which is preferred."""

    name: str
    path: str
    group: GroupRow
    prefer: tuple[ConditionRow, ...]
    is_known: bool
    """Whether the model that is chosen has an input of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """One thing that a rule asks for."""

    path: str
    kind: str
    asked: Mapping[str, object]
    roles: tuple[RoleView, ...] = ()
    series: GroupRow | None = None
    destinations: tuple[Option, ...] = ()
    """What can be chosen; the text of one that is not in the settings says so."""
    chosen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """The form of one rule."""

    rule: Mapping[str, object]
    when: GroupRow
    actions: tuple[ActionView, ...]
    models: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    focus: str = ""
    places: frozenset[str] = field(default_factory=frozenset)
    """The places of the form at which problems can be shown."""

    def at(self, place: str) -> tuple[Fault, ...]:
        """List the problems to show at a place: those of the fields that have no nearer one; all others at ``."""
        return tuple(fault for fault in self.faults if self.place_of(fault.path) == place)

    def is_wrong(self, name: str) -> bool:
        """Whether a field has a problem of its own."""
        return any(fault.path == name for fault in self.faults)

    def place_of(self, path: str) -> str:
        """Find the place of the form at which a problem of a field is shown; empty for none."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return path


def view_of(
    rule: Mapping[str, object],
    catalogue: FactCatalogue,
    roles: Roles,
    destinations: Sequence[str],
) -> RuleView:
    """Lay a rule out as a form, whether it is right or not."""
    actions = tuple(
        _with_destinations(_action(f"then[{index}]", action, catalogue, roles), destinations)
        for index, action in enumerate(actions_of(rule))
    )
    when = _group("when", mapping(rule.get("when")), "study", catalogue)
    return RuleView(
        rule=rule,
        when=when,
        actions=actions,
        models=tuple(sorted(roles)),
        places=frozenset(["name", "description", "window", "then", *_places(when), *_places_of(actions)]),
    )


def _group(path: str, group: Mapping[str, object], scope: Scope, catalogue: FactCatalogue) -> GroupRow:
    rows = (
        _row(f"{path}.rules[{index}]", mapping(one), scope, catalogue)
        for index, one in enumerate(sequence(group.get("rules")))
    )
    return GroupRow(path=path, scope=scope, joined=joined(group), rows=tuple(rows))


def _row(path: str, node: Mapping[str, object], scope: Scope, catalogue: FactCatalogue) -> Row:
    if "field" not in node:
        return _group(path, node, scope, catalogue)
    if node["field"] == SERIES and scope == "study":
        match = mapping(node.get("match"))
        return SeriesRow(
            path=path,
            mode=str(match.get("mode", "some")),
            threshold="".join(texts_of(match.get("threshold"))),
            group=_group(f"{path}.value", mapping(node.get("value")), "series", catalogue),
        )
    return _condition(path, node, scope, catalogue)


def _condition(path: str, node: Mapping[str, object], scope: Scope, catalogue: FactCatalogue) -> ConditionRow:
    name, operator = str(node["field"]), str(node.get("operator", Operator.EQUAL))
    fact = fact_named(catalogue, scope, name)
    if fact is not None and "operator" not in node and Operator.EQUAL not in operators_of(fact):
        operator = str(operators_of(fact)[0])
    several = takes_several(operator)
    return ConditionRow(
        path=path,
        scope=scope,
        field=name,
        meaning=fact.description if fact else "",
        operator=operator,
        operators=_operators(fact, operator),
        widget=_widget(fact, operator, texts_of(node.get("value"))),
        texts=_shown(texts_of(node.get("value")), operator),
        choices=fact.values if fact else (),
        is_list=several and operator != Operator.BETWEEN,
    )


def _operators(fact: FactField | None, chosen: str) -> tuple[Option, ...]:
    """List what can be asked of a fact; what was chosen stays to be seen even where it does not suit."""
    fitting = [str(one) for one in (operators_of(fact) if fact else tuple(Operator))]
    words = {**_IN_WORDS, **(_OF_DATES if fact is not None and fact.type is FactType.DATE else {})}
    shown = fitting if chosen in fitting else [*fitting, chosen]
    return tuple(Option(value=one, text=words.get(one, one)) for one in shown)


def _widget(fact: FactField | None, operator: str, texts: Sequence[str]) -> Widget:
    if operator in PRESENCE:
        return "none"
    if operator == Operator.WITHIN_DAYS:
        return "number"
    if fact is None:
        return "text"
    if fact.values:
        return "choices" if takes_several(operator) else "choice"
    if fact.type in (FactType.NUMBER, FactType.NUMBER_LIST):
        return "number"
    # A date field of a browser shows nothing where the text is no date, and what was typed would be lost.
    are_dates = all(_ISO_DATE.fullmatch(text) for text in texts)
    return "date" if fact.type is FactType.DATE and are_dates else "text"


def _shown(texts: Sequence[str], operator: str) -> tuple[str, ...]:
    if operator == Operator.BETWEEN:
        return (*texts, "", "")[: max(_ENDS, len(texts))]
    if takes_several(operator):
        return (*texts, "")
    return tuple(texts[:1]) or ("",)


def _action(path: str, action: Mapping[str, object], catalogue: FactCatalogue, roles: Roles) -> ActionView:
    kind = next((kind for kind in KINDS if kind in action), "")
    asked, path = mapping(action.get(kind)), f"{path}.{kind}"
    if kind == "route":
        series = _group(f"{path}.series", mapping(asked.get("series")), "series", catalogue)
        return ActionView(path=path, kind=kind, asked=asked, series=series)
    known = roles.get(str(asked.get("model", "")), {})
    chosen = mapping(asked.get("inputs"))
    inputs = (
        _role(f"{path}.inputs.{name}", mapping(selection), catalogue, known, tuple(chosen)[:place])
        for place, (name, selection) in enumerate(chosen.items())
    )
    return ActionView(path=path, kind=kind, asked=asked, roles=tuple(inputs))


def _with_destinations(action: ActionView, known: Sequence[str]) -> ActionView:
    """List the destinations in the order of the settings, unless the rule has chosen them in another one."""
    chosen = [str(name) for name in sequence(action.asked.get("destinations"))]
    is_in_order = chosen == [name for name in known if name in chosen]
    names = known if is_in_order else dict.fromkeys((*chosen, *known))
    options = tuple(Option(value=name, text="" if name in known else "not in the settings") for name in names)
    return replace(action, destinations=options, chosen=frozenset(chosen))


def _role(
    path: str,
    selection: Mapping[str, object],
    catalogue: FactCatalogue,
    known: Collection[str],
    earlier: Sequence[str],
) -> RoleView:
    """Lay out an input; those before it have chosen already, so that its series may be nearest to one of theirs."""
    name = path.rpartition(".")[2]
    prefer = (
        _preference(f"{path}.prefer[{index}]", mapping(one), catalogue, earlier)
        for index, one in enumerate(sequence(selection.get("prefer")))
    )
    group = _group(path, selection, "series", catalogue)
    return RoleView(name=name, path=path, group=group, prefer=tuple(prefer), is_known=name in known)


def _preference(
    path: str, wanted: Mapping[str, object], catalogue: FactCatalogue, earlier: Sequence[str]
) -> ConditionRow:
    """Show a preference as a row whose operator says highest, lowest, nearest, or that it is a certain value."""
    name, order = preferred_field(wanted), order_of(wanted)
    fact = fact_named(catalogue, "series", name)
    texts = texts_of(wanted.get("value"))
    return ConditionRow(
        path=path,
        scope="series",
        field=name,
        meaning=fact.description if fact else "",
        operator=order,
        operators=tuple(_orders(fact, order, earlier)),
        widget="none" if order else _widget(fact, Operator.EQUAL, texts),
        texts=_shown(texts, Operator.EQUAL),
        choices=fact.values if fact else (),
        kind="preference",
    )


def _orders(fact: FactField | None, chosen: str, earlier: Sequence[str]) -> Iterator[Option]:
    """List what may be preferred of a fact; what was chosen stays to be seen even where it does not suit."""
    if fact is None or fact.type in (FactType.NUMBER, FactType.DATE) or chosen in ("highest", "lowest"):
        yield Option(value="highest", text="the highest")
        yield Option(value="lowest", text="the lowest")
    is_list = fact is not None and fact.type in (FactType.TEXT_LIST, FactType.NUMBER_LIST)
    yield Option(value="", text="contains" if is_list else "is")
    near = earlier if fact is None or has_distance(fact) else ()
    asked = [chosen.removeprefix(NEAREST)] if chosen.startswith(NEAREST) else []
    for role in dict.fromkeys((*near, *asked)):
        yield Option(value=f"{NEAREST}{role}", text=f"nearest to that of {role}")


def _places(row: Row) -> Iterator[str]:
    """List where problems of a row can be shown."""
    yield row.path
    if isinstance(row, GroupRow):
        for child in row.rows:
            yield from _places(child)
    elif isinstance(row, SeriesRow):
        yield from _places(row.group)


def _places_of(actions: Sequence[ActionView]) -> Iterator[str]:
    for action in actions:
        yield action.path
        for role in action.roles:
            yield from _places(role.group)
            yield from (one.path for one in role.prefer)
        if action.series is not None:
            yield from _places(action.series)
