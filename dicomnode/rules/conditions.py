"""Conditions as data: fields, operators and values, joined by and, or, not, and counted over the series of a study.

The form is react-querybuilder's JSON. Every part is checked against the catalogue of facts while it is read, so that
no condition exists that could not be evaluated; a typo never becomes a silent "no match".
"""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StrictBool,
    StrictInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.facts import FactCatalogue, FactField, NamesWithPaths
from dicomnode.rules.operators import Operator, read_operator, read_value
from dicomnode.rules.problems import problem, suggestion

DEPTH_MAX = 8
LEAVES_MAX = 200
SERIES = "series"
"""The field that stands for the list of a study's series."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """What is known while one document is read: the facts, and the names met so far."""

    catalogue: FactCatalogue
    rule_names: set[str] = field(default_factory=set)
    fallback: str | None = None
    """The rule that is the fallback of the set, once it was met."""
    roles: tuple[str, ...] = ()
    """The roles of the synthesis being read."""


def reading(info: ValidationInfo) -> Reading:
    """Find what the document is read with; raises InvalidRule where somebody builds a part past `load_rule_set`."""
    if not isinstance(info.context, Reading):
        raise InvalidRule("rules are made by load_rule_set, which checks them against the catalogue of facts")
    return info.context


class Part(BaseModel):
    """A piece of a rule set: unchangeable, and without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    @model_validator(mode="wrap")
    @classmethod
    def _take_mappings_only(cls, written: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse parts that were built in another way, and so may not have been checked."""
        if not isinstance(written, Mapping):
            raise problem("must be a mapping (key: value)")
        return handler(written)


def _check_not_empty(written: object) -> object:
    if isinstance(written, Sized) and not len(written):
        raise problem("must not be empty")
    return written


NotEmpty = BeforeValidator(_check_not_empty)
"""Pydantic's own minimum also counts items that are wrong for another reason."""


class Condition(Part):
    """One test of one fact."""

    scope: ClassVar[Literal["study", "series"]]
    field: str
    operator: Operator = Field(default=Operator.EQUAL, validate_default=True)
    value: object = Field(default=None, validate_default=True)
    _fact: FactField = PrivateAttr()

    @property
    def fact(self) -> FactField:
        """What the catalogue says of the fact that is tested."""
        return self._fact

    def model_post_init(self, context: object, /) -> None:
        """Keep the fact at hand, so that evaluating needs no catalogue."""
        if isinstance(context, Reading):
            self._fact = facts_in(context.catalogue, self.scope)[self.field]

    @field_validator("field")
    @classmethod
    def _check_field(cls, name: str, info: ValidationInfo) -> str:
        check_fact(reading(info).catalogue, cls.scope, name)
        return name

    @field_validator("operator", mode="before")
    @classmethod
    def _read_operator(cls, written: object, info: ValidationInfo) -> Operator:
        name = info.data.get("field")
        return read_operator(written, facts_in(reading(info).catalogue, cls.scope)[name] if name else None)

    @field_validator("value", mode="before")
    @classmethod
    def _read_value(cls, written: object, info: ValidationInfo) -> object:
        if "field" not in info.data or "operator" not in info.data:
            return None
        fact = facts_in(reading(info).catalogue, cls.scope)[info.data["field"]]
        return read_value(fact, info.data["operator"], written)


class StudyCondition(Condition):
    """One test of a fact of the study."""

    scope = "study"


class SeriesCondition(Condition):
    """One test of a fact of a series."""

    scope = "series"


class Group(Part):
    """Conditions joined by and (all have to hold) or or (one has to); `not` turns the answer round."""

    combinator: Literal["and", "or"] = "and"
    negated: StrictBool = Field(default=False, alias="not")


def _kind(written: object) -> str | None:
    """Tell which part a mapping is meant to be, so that its errors are those of that part alone."""
    if isinstance(written, Part):
        return next((tag for tag, part in _TAGS.items() if isinstance(written, part)), None)
    if not isinstance(written, Mapping):
        return None
    if "field" not in written and ("rules" in written or "combinator" in written):
        return "<group>"
    return "<series>" if written.get("field") == SERIES else "<condition>"


def _kind_in_series(written: object) -> str | None:
    """Tell a condition on a series from a group of them; there are no series inside a series."""
    kind = _kind(written)
    return "<condition>" if kind == "<series>" else kind


_NO_PART = "must be a condition (field, operator, value) or a group (combinator, rules)"

SeriesNode = Annotated[
    Annotated[SeriesCondition, Tag("<condition>")] | Annotated["SeriesGroup", Tag("<group>")],
    Discriminator(_kind_in_series, custom_error_type="rule", custom_error_message=_NO_PART),
]


class SeriesGroup(Group):
    """Conditions on one series."""

    rules: Annotated[tuple[SeriesNode, ...], NotEmpty]


ACCEPTS: Mapping[str, Callable[[int, int, int], bool]] = {
    "some": lambda matching, _total, _threshold: matching > 0,
    "none": lambda matching, _total, _threshold: matching == 0,
    "all": lambda matching, total, _threshold: 0 < matching == total,
    "atLeast": lambda matching, _total, threshold: matching >= threshold,
    "atMost": lambda matching, _total, threshold: matching <= threshold,
    "exactly": lambda matching, _total, threshold: matching == threshold,
}
"""Mode -> whether so many matching series, of so many in all, are what is asked for with a threshold."""


class Match(Part):
    """How many of a study's series have to match."""

    mode: Literal["some", "none", "all", "atLeast", "atMost", "exactly"]
    threshold: StrictInt | None = Field(default=None, ge=0, validate_default=True)

    @field_validator("threshold")
    @classmethod
    def _check_threshold(cls, threshold: int | None, info: ValidationInfo) -> int | None:
        mode = info.data.get("mode")
        counts = mode in ("atLeast", "atMost", "exactly")
        if mode and counts and threshold is None:
            raise problem(f"is missing; '{mode}' needs a number of series")
        if mode and not counts and threshold is not None:
            raise problem(f"has no meaning with '{mode}'")
        if mode == "atLeast" and threshold == 0:
            raise problem("0 with 'atLeast' would always hold")
        return threshold

    def accepts(self, matching: int, total: int) -> bool:
        """Say whether so many matching series of so many are what is asked for; `all` of no series is not."""
        return ACCEPTS[self.mode](matching, total, self.threshold or 0)


class Quantifier(Part):
    """A condition on how many series of the study match a group of conditions."""

    field: Literal["series"]
    operator: Literal["="] = "="
    match: Match
    value: SeriesGroup


StudyNode = Annotated[
    Annotated[StudyCondition, Tag("<condition>")]
    | Annotated[Quantifier, Tag("<series>")]
    | Annotated["StudyGroup", Tag("<group>")],
    Discriminator(_kind, custom_error_type="rule", custom_error_message=_NO_PART),
]


class StudyGroup(Group):
    """Conditions on a study and on its series."""

    rules: Annotated[tuple[StudyNode, ...], NotEmpty]


_TAGS: Mapping[str, type[Part]] = {"<group>": Group, "<series>": Quantifier, "<condition>": Condition}

Node = Condition | Quantifier | StudyGroup | SeriesGroup


def _check_size(written: object) -> object:
    """Refuse a tree that is too deep or too large before it is read; YAML's aliases can make it grow without end."""
    leaves, pending = 0, [(written, 1)]
    while pending:
        node, depth = pending.pop()
        nested = _nested(node)
        if nested and depth > DEPTH_MAX:
            raise problem(f"conditions are nested more than {DEPTH_MAX} deep")
        leaves += not nested
        if leaves > LEAVES_MAX:
            raise problem(f"more than {LEAVES_MAX} conditions in one tree")
        pending.extend((one, depth + 1) for one in nested)
    return written


def _nested(node: object) -> list[object]:
    """List what lies inside a group or a quantifier as written."""
    if not isinstance(node, Mapping):
        return []
    rules, value = node.get("rules"), node.get("value")
    return [*(rules if isinstance(rules, list | tuple) else ()), *([value] if isinstance(value, Mapping) else ())]


SizeChecked = BeforeValidator(_check_size)
"""Stands beside every root of a tree of conditions."""


def facts_in(catalogue: FactCatalogue, scope: Literal["study", "series"]) -> Mapping[str, FactField]:
    """Give the facts of a study or of a series."""
    return catalogue.study if scope == "study" else catalogue.series


def check_fact(catalogue: FactCatalogue, scope: Literal["study", "series"], name: str) -> FactField:
    """Find a fact by name; raises a problem that says what was probably meant."""
    facts = facts_in(catalogue, scope)
    if name in facts:
        return facts[name]
    if scope == "study" and name in catalogue.series:
        raise problem(f"'{name}' is a fact of a series; ask for it inside a condition on the field '{SERIES}'")
    if scope == "series" and (name in catalogue.study or name == SERIES):
        raise problem(f"'{name}' is a fact of the study; a condition on one series cannot ask for it")
    raise problem(f"unknown fact '{name[:64]}'{_meant(name[:64], facts)}")


def _meant(name: str, facts: Mapping[str, FactField]) -> str:
    """Say which fact was probably meant; names with paths are known only to the facts themselves."""
    if isinstance(facts, NamesWithPaths):
        nearest = facts.nearest(name)
        return f", did you mean '{nearest}'?" if nearest else ""
    return suggestion(name, facts)
