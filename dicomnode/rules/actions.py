"""What a rule asks for when it fires: to synthesise, to route as it is, to hold the study, or to ignore it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dicomnode.domain.derivation import Alignment, LabelLanguage, Preparation, SupersedePolicy
from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.rule import (
    Action,
    HoldAction,
    IgnoreAction,
    LatePolicy,
    RoleBinding,
)
from dicomnode.rules.conditions import (
    NotEmpty,
    Part,
    Reading,
    SeriesGroup,
    SizeChecked,
    check_fact,
    reading,
)
from dicomnode.rules.names import Name, Sentence, Slug
from dicomnode.rules.nearness import has_distance
from dicomnode.rules.operators import Operator, read_value
from dicomnode.rules.problems import problem, suggestion

_NEAREST_BY = "AcquisitionTime"
KINDS = ("synthesise", "route", "hold", "ignore")


def unless(default: object) -> Callable[[object], bool]:
    """Leave a key out of what is written where it says the default: rule sets that lack the key keep their version."""
    return lambda value: value == default


class Preference(Part):
    """Which of several series to take: by the highest or lowest value of a fact, a certain one, or the nearest one."""

    field: str
    order: Literal["highest", "lowest"] | None = None
    nearest: Name | None = Field(default=None, exclude_if=unless(None))
    """An earlier role: the series whose value is nearest to that of the series which plays it comes first."""
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

    @model_validator(mode="before")
    @classmethod
    def _name_field(cls, written: Mapping[str, object]) -> Mapping[str, object]:
        """Take nearest without a field to mean the nearest in time."""
        return {"field": _NEAREST_BY, **written} if written.get("nearest") is not None else written

    @field_validator("field")
    @classmethod
    def _check_field(cls, name: str, info: ValidationInfo) -> str:
        check_fact(reading(info).catalogue, "series", name)
        return name

    @field_validator("order", "nearest")
    @classmethod
    def _check_order(cls, asked: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("field")
        fact = reading(info).catalogue.series[name] if name else None
        if asked and fact and info.field_name == "order" and fact.type not in (FactType.NUMBER, FactType.DATE):
            raise problem(f"{fact.name} is a {fact.type}, which has no order; give a value instead")
        if asked and fact and info.field_name == "nearest" and not has_distance(fact):
            raise problem(
                f"{fact.name} is no number, date or time, of which one could be nearest; give a value instead"
            )
        return asked

    @field_validator("value", mode="before")
    @classmethod
    def _read_value(cls, written: object, info: ValidationInfo) -> object:
        if not {"field", "order", "nearest"} <= info.data.keys():
            return None
        given = (written, info.data["order"], info.data["nearest"])
        if sum(one is not None for one in given) != 1:
            raise problem("a preference has either an order (highest, lowest) or a value, or a role to be nearest to")
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


def _check_nearest(inputs: Mapping[str, InputSelection]) -> Mapping[str, InputSelection]:
    """Refuse to be near to a role that has not chosen yet."""
    earlier: list[str] = []
    for role, selection in inputs.items():
        for preference in selection.prefer:
            if preference.nearest is not None and preference.nearest not in earlier:
                known = f"the earlier ones are {', '.join(earlier)}" if earlier else "this role chooses first"
                raise problem(
                    f"role {role} cannot be nearest to '{preference.nearest}', which is no earlier role; {known}"
                )
        earlier.append(role)
    return inputs


def _freeze(inputs: Mapping[str, InputSelection]) -> Mapping[str, InputSelection]:
    return MappingProxyType(dict(inputs))


def _dump(inputs: Mapping[str, InputSelection]) -> dict[str, object]:
    return {role: selection.model_dump(mode="json") for role, selection in inputs.items()}


def _check_once(destinations: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(destinations)) < len(destinations):
        raise problem("names a destination twice")
    return destinations


Destinations = Annotated[tuple[Name, ...], AfterValidator(_check_once)]
Priority = Annotated[StrictInt, Field(ge=1, le=10)]
"""1 is served first (STAT), 10 is routine."""


class Synthesis(Part):
    """A series to be made by a model."""

    model: Slug
    inputs: Annotated[
        Mapping[Name, Annotated[InputSelection, SizeChecked]],
        NotEmpty,
        AfterValidator(_check_nearest),
        AfterValidator(_freeze),
        BeforeValidator(_keep_roles),
        PlainSerializer(_dump),
    ]
    """Role -> which series plays it; an earlier role chooses first."""
    target: str
    """The role on whose grid the output lies."""
    destinations: Destinations
    priority: Priority = 10
    preparation: AllowedPreparation = AllowedPreparation()
    label_language: Literal["en", "de", "fr"] = Field(default="en", exclude_if=unless("en"))
    late: Literal["rerun", "hold"] = Field(default="rerun", exclude_if=unless("rerun"))
    superseded: Literal["withdraw", "retain"] = Field(default="retain", exclude_if=unless("retain"))

    @model_validator(mode="before")
    @classmethod
    def _forget_roles(cls, written: Mapping[str, object], info: ValidationInfo) -> Mapping[str, object]:
        """Know no role yet: those of another synthesis are not of this one."""
        reading(info).roles = ()
        return written

    @field_validator("target")
    @classmethod
    def _check_target(cls, target: str, info: ValidationInfo) -> str:
        roles = reading(info).roles
        if roles and target not in roles:
            raise problem(f"'{target[:64]}' is no role of this rule; its roles are {', '.join(roles)}")
        return target

    def action(self, bindings: tuple[RoleBinding, ...] = ()) -> Action:
        """Give the action in the domain's words."""
        return Action(
            model=self.model,
            target_role=self.target,
            destinations=self.destinations,
            priority=self.priority,
            preparation=Preparation(
                alignment=Alignment(self.preparation.alignment), missing_slices=self.preparation.missing_slices
            ),
            label_language=LabelLanguage(self.label_language),
            late=LatePolicy(self.late),
            superseded=SupersedePolicy(self.superseded),
            bindings=bindings,
        )


class Routing(Part):
    """Series that go on as they were received."""

    series: Annotated[SeriesGroup, SizeChecked]
    destinations: Annotated[Destinations, NotEmpty]
    priority: Priority = 10


class Holding(Part):
    """A study whose syntheses wait for a person."""

    reason: Sentence

    def action(self) -> HoldAction:
        """Give the action in the domain's words."""
        return HoldAction(reason=self.reason)


class Ignoring(Part):
    """A study for which nothing is to be done."""

    reason: Sentence

    def action(self) -> IgnoreAction:
        """Give the action in the domain's words."""
        return IgnoreAction(reason=self.reason)


Consequence = Synthesis | Routing | Holding | Ignoring


class Step(Part):
    """One of the things a rule asks for, under the key that says which kind it is."""

    synthesise: Synthesis | None = Field(default=None, exclude_if=unless(None))
    route: Routing | None = Field(default=None, exclude_if=unless(None))
    hold: Holding | None = Field(default=None, exclude_if=unless(None))
    ignore: Ignoring | None = Field(default=None, exclude_if=unless(None))

    @model_validator(mode="before")
    @classmethod
    def _check_kind(cls, written: Mapping[str, object]) -> Mapping[str, object]:
        kinds = [kind for kind in KINDS if kind in written]
        if len(kinds) == 1:
            return written
        meant = next((said for key in written if (said := suggestion(str(key)[:40], KINDS))), "")
        raise problem(f"must have exactly one of the keys {', '.join(KINDS)}{meant}")

    @field_validator("synthesise", "route", "hold", "ignore", mode="before")
    @classmethod
    def _check_asked(cls, written: object) -> object:
        if written is None:
            raise problem("must be a mapping (key: value)")
        return written

    @property
    def asked(self) -> Consequence:
        """What is asked for."""
        return next(one for one in (self.synthesise, self.route, self.hold, self.ignore) if one is not None)


def _looked_for(fact: FactField) -> Operator:
    listed = fact.type in (FactType.TEXT_LIST, FactType.NUMBER_LIST)
    return Operator.CONTAINS if listed else Operator.EQUAL
