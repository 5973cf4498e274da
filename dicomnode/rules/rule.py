"""One rule: when it fires, and what is done then."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Field, StrictBool, Tag, ValidationInfo, field_validator

from dicomnode.rules.actions import Consequence, Ignoring, Step, Synthesis, unless
from dicomnode.rules.conditions import NotEmpty, Part, SizeChecked, StudyGroup, reading
from dicomnode.rules.names import Sentence, Slug
from dicomnode.rules.problems import problem
from dicomnode.rules.window import Window


def _form(written: object) -> str | None:
    """Tell one synthesis, written as a mapping, from a list of actions."""
    if isinstance(written, list | tuple):
        return "<several>"
    return "<one>" if isinstance(written, Mapping | Synthesis) else None


Then = Annotated[
    Annotated[Synthesis, Tag("<one>")] | Annotated[tuple[Step, ...], NotEmpty, Tag("<several>")],
    Discriminator(
        _form,
        custom_error_type="rule",
        custom_error_message="must be a mapping (key: value) for one synthesis, or a list of actions",
    ),
]


class Rule(Part):
    """One rule of a rule set."""

    name: Slug
    description: Sentence
    enabled: StrictBool = True
    shadow: StrictBool = Field(default=False, exclude_if=unless(False))
    """On trial: what it asks for is made and measured, and never sent; for other rules it has not fired."""
    fallback: StrictBool = Field(default=False, exclude_if=unless(False))
    """Has no conditions: it fires exactly when no other rule that is enabled, and not on trial, did."""
    window: Window | None = Field(default=None, exclude_if=unless(None))
    """Outside of it the rule does not fire."""
    when: Annotated[StudyGroup | None, SizeChecked] = Field(
        default=None, validate_default=True, exclude_if=unless(None)
    )
    """None for a fallback alone."""
    then: Then

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str, info: ValidationInfo) -> str:
        names = reading(info).rule_names
        if name in names:
            raise problem("an earlier rule has the same name")
        names.add(name)
        return name

    @field_validator("fallback")
    @classmethod
    def _check_fallback(cls, fallback: bool, info: ValidationInfo) -> bool:
        if not (fallback and info.data.get("enabled") and info.data.get("shadow") is False):
            return fallback
        known = reading(info)
        if known.fallback is not None:
            raise problem(f"rule '{known.fallback}' is the fallback already; disable one, or give this one conditions")
        known.fallback = info.data.get("name", "")
        return fallback

    @field_validator("window")
    @classmethod
    def _check_window(cls, window: Window | None, info: ValidationInfo) -> Window | None:
        if window is not None and info.data.get("fallback"):
            raise problem("a fallback has no window: it fires whenever no other rule did")
        return window

    @field_validator("when", mode="before")
    @classmethod
    def _check_when(cls, written: object, info: ValidationInfo) -> object:
        if written is None and info.data.get("fallback") is False:
            raise problem("is missing; a rule without conditions is a fallback (fallback: true)")
        if written is not None and info.data.get("fallback"):
            raise problem("a fallback has no conditions: it fires whenever no other rule did")
        return written

    @field_validator("then", mode="before")
    @classmethod
    def _list_action(cls, written: object) -> object:
        """Take one action under its key for a list of one."""
        is_step = isinstance(written, Mapping) and len(written) == 1 and not set(written) - set(Step.model_fields)
        return (written,) if is_step else written

    @field_validator("then")
    @classmethod
    def _check_then(cls, then: Synthesis | tuple[Step, ...]) -> Synthesis | tuple[Step, ...]:
        if isinstance(then, Synthesis):
            return then
        asked = [one.asked for one in then]
        models = [one.model for one in asked if isinstance(one, Synthesis)]
        twice = next((model for model in models if models.count(model) > 1), None)
        if twice is not None:
            raise problem(f"asks for the model {twice} twice; write a second rule for it")
        if len(asked) > 1 and any(isinstance(one, Ignoring) for one in asked):
            raise problem("to ignore a study means to do nothing else; take the other actions away")
        # One synthesis is the same rule in either form.
        return asked[0] if len(asked) == 1 and isinstance(asked[0], Synthesis) else then

    @property
    def consequences(self) -> tuple[Consequence, ...]:
        """All that the rule asks for, in its order."""
        return (self.then,) if isinstance(self.then, Synthesis) else tuple(one.asked for one in self.then)

    @property
    def destinations(self) -> frozenset[str]:
        """All destinations that the rule names."""
        return frozenset(name for one in self.consequences for name in getattr(one, "destinations", ()))
