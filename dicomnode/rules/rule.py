"""One rule: when it fires, and what is done then."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from dicomnode.domain.derivation import Alignment, Preparation
from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.rule import Action
from dicomnode.rules.conditions import (
    NotEmpty,
    Part,
    Reading,
    SeriesGroup,
    SizeChecked,
    StudyGroup,
    check_fact,
    reading,
)
from dicomnode.rules.operators import Operator, read_value
from dicomnode.rules.problems import problem

_SLUG = r"[a-z0-9][a-z0-9-]{0,63}"
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,63}"


def _named(pattern: str, words: str) -> AfterValidator:
    """Check the form of a name."""

    def check(name: str) -> str:
        if not re.fullmatch(pattern, name):
            raise problem(f"must be {words}")
        return name

    return AfterValidator(check)


Slug = Annotated[str, _named(_SLUG, "lower case letters, digits and hyphens, such as 't1-t2-to-flair'")]
Name = Annotated[str, _named(_NAME, "a letter followed by letters, digits, hyphens or underscores")]
Sentence = Annotated[str, _named(r".*\S.*", "a sentence on one line")]


class Preference(Part):
    """Which of several series to take: the one with the highest or lowest value of a fact, or with a certain value."""

    field: str
    order: Literal["highest", "lowest"] | None = None
    value: object = Field(default=None, validate_default=True)
    _fact: FactField = PrivateAttr()

    @property
    def fact(self) -> FactField:
        """What the catalogue says of the fact that is compared."""
        return self._fact

    @property
    def operator(self) -> Operator:
        """How a value is looked for: lists have to contain it, all else has to be equal."""
        return _looked_for(self._fact)

    def model_post_init(self, context: object, /) -> None:
        """Keep the fact at hand, so that ranking needs no catalogue."""
        if isinstance(context, Reading):
            self._fact = context.catalogue.series[self.field]

    @field_validator("field")
    @classmethod
    def _check_field(cls, name: str, info: ValidationInfo) -> str:
        check_fact(reading(info).catalogue, "series", name)
        return name

    @field_validator("order")
    @classmethod
    def _check_order(cls, order: str | None, info: ValidationInfo) -> str | None:
        fact = reading(info).catalogue.series.get(info.data.get("field", ""))
        if order and fact and fact.type not in (FactType.NUMBER, FactType.DATE):
            raise problem(f"{fact.name} is a {fact.type}, which has no order; give a value instead")
        return order

    @field_validator("value", mode="before")
    @classmethod
    def _read_value(cls, written: object, info: ValidationInfo) -> object:
        if "field" not in info.data or "order" not in info.data:
            return None
        if (written is None) is (info.data["order"] is None):
            raise problem("a preference has either an order (highest, lowest) or a value")
        fact = reading(info).catalogue.series[info.data["field"]]
        return None if written is None else read_value(fact, _looked_for(fact), written)


class InputSelection(SeriesGroup):
    """Which series may play a role, and which of them is preferred; the first preference counts most."""

    prefer: tuple[Preference, ...] = ()


class AllowedPreparation(Part):
    """What may be done to the inputs before the model sees them."""

    alignment: Literal["header", "rigid"] = "header"
    missing_slices: StrictInt = Field(default=0, ge=0)


def _keep_roles(written: object, info: ValidationInfo) -> object:
    """Remember the roles even where an input is wrong, so that a wrong target is told in the same go."""
    reading(info).roles = tuple(str(role) for role in written) if isinstance(written, Mapping) else ()
    return written


def _freeze(inputs: Mapping[str, InputSelection]) -> Mapping[str, InputSelection]:
    return MappingProxyType(dict(inputs))


def _dump(inputs: Mapping[str, InputSelection]) -> dict[str, object]:
    return {role: selection.model_dump(mode="json") for role, selection in inputs.items()}


class Consequence(Part):
    """What a rule asks for when it fires."""

    model: Slug
    inputs: Annotated[
        Mapping[Name, Annotated[InputSelection, SizeChecked]],
        NotEmpty,
        AfterValidator(_freeze),
        BeforeValidator(_keep_roles),
        PlainSerializer(_dump),
    ]
    """Role -> which series plays it; an earlier role chooses first."""
    target: str
    """The role on whose grid the output lies."""
    destinations: tuple[Name, ...]
    priority: StrictInt = Field(default=10, ge=1, le=10)
    preparation: AllowedPreparation = AllowedPreparation()

    @field_validator("target")
    @classmethod
    def _check_target(cls, target: str, info: ValidationInfo) -> str:
        roles = reading(info).roles
        if roles and target not in roles:
            raise problem(f"'{target[:64]}' is no role of this rule; its roles are {', '.join(roles)}")
        return target

    @field_validator("destinations")
    @classmethod
    def _check_destinations(cls, destinations: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(destinations)) < len(destinations):
            raise problem("names a destination twice")
        return destinations

    def action(self) -> Action:
        """Give the action in the domain's words."""
        return Action(
            model=self.model,
            target_role=self.target,
            destinations=self.destinations,
            priority=self.priority,
            preparation=Preparation(
                alignment=Alignment(self.preparation.alignment), missing_slices=self.preparation.missing_slices
            ),
        )


class Rule(Part):
    """One rule of a rule set."""

    name: Slug
    description: Sentence
    enabled: StrictBool = True
    when: Annotated[StudyGroup, SizeChecked]
    then: Consequence

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str, info: ValidationInfo) -> str:
        names = reading(info).rule_names
        if name in names:
            raise problem("an earlier rule has the same name")
        names.add(name)
        return name


def _looked_for(fact: FactField) -> Operator:
    listed = fact.type in (FactType.TEXT_LIST, FactType.NUMBER_LIST)
    return Operator.CONTAINS if listed else Operator.EQUAL
