"""The JSON forms of the rules: versions, the draft, what is wrong, what was decided and what would change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.domain.facts import FactType
from dicomnode.domain.rule import Action, Decision, Explanation, HoldAction, IgnoreAction, RouteAction, RuleAction
from dicomnode.domain.rule_book import Change, ChangedDecision, Draft, Publication, PublicationKind, RuleChange, WhatIf
from dicomnode.journey.fact_search import FoundFact, Scope

LONGEST_DAYS = 36_500
MOST_STUDIES = 10_000

RulesJson = Annotated[
    dict[str, Any],
    Field(
        description="A document of rules in the form of the YAML file.",
        examples=[{"rules": [{"name": "t2-to-pacs", "description": "…", "when": {}, "then": {}}]}],
    ),
]
Reason = Annotated[
    str, Field(min_length=1, max_length=1000, description="Why; kept with the version for good.", examples=["New MR"])
]
Expected = Annotated[
    int,
    Field(ge=0, le=2**31 - 1, description="Number of the draft that was looked at; another one now: 409."),
]
VersionName = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{1,64}$", description="Name of a version, made of its content.", examples=["0f3a…"]),
]
StudyText = Annotated[str, Field(max_length=64, description="Study Instance UID.", examples=["1.2.840.1"])]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RulesDocument(_Document):
    """Rules to be looked at."""

    document: RulesJson


class DraftChange(_Document):
    """What the draft is to become."""

    document: RulesJson
    expected: Expected


class ReasonedChange(_Document):
    """What is to be done with the draft, and why."""

    reason: Reason
    expected: Expected


class Rollback(_Document):
    """Which version is to come into force again, and why."""

    version: VersionName
    reason: Reason


class Trial(_Document):
    """A stored study that rules are tried on."""

    study: StudyText
    document: RulesJson | None = Field(default=None, description="Left out: the rules in force.")


class WhatIfRequest(_Document):
    """Which rules meet which stored studies."""

    document: RulesJson | None = Field(default=None, description="Left out: the draft.")
    days: float | None = Field(
        default=30, gt=0, le=LONGEST_DAYS, allow_inf_nan=False, description="The studies of so many days; null: all."
    )
    studies: tuple[StudyText, ...] = Field(
        default=(), max_length=MOST_STUDIES, description="These studies alone, whatever their age."
    )


class PublicationDocument(BaseModel):
    """One time that a version came into force."""

    number: int
    version: str
    kind: PublicationKind
    at: datetime
    by: str
    reason: str
    approved_by: str | None

    @classmethod
    def of(cls, publication: Publication) -> Self:
        """Write a publication."""
        return cls(
            number=publication.number,
            version=publication.version,
            kind=publication.kind,
            at=publication.at,
            by=publication.by,
            reason=publication.reason,
            approved_by=publication.approved_by,
        )


class InForce(PublicationDocument):
    """The rules that studies are decided by now."""

    document: RulesJson
    problems: Sequence[str] = Field(description="What is wrong with them on this node; empty: nothing.")


class DraftDocument(BaseModel):
    """The rules as they are being edited."""

    document: RulesJson
    number: int
    base: str = Field(description="The version that it began as.")
    changed_at: datetime
    changed_by: str
    editors: Sequence[str]
    proposed_by: str | None
    proposal: str

    @classmethod
    def of(cls, draft: Draft) -> Self:
        """Write a draft."""
        return cls(
            document=dict(draft.document),
            number=draft.number,
            base=draft.base,
            changed_at=draft.changed_at,
            changed_by=draft.changed_by,
            editors=tuple(draft.editors),
            proposed_by=draft.proposed_by,
            proposal=draft.proposal,
        )


class Verdict(BaseModel):
    """What is wrong with rules."""

    problems: Sequence[str] = Field(description="A sentence for each; empty: they could be published.")


class RuleChangeDocument(BaseModel):
    """One rule that differs, with both forms as YAML."""

    rule: str
    change: Change
    before: str
    after: str

    @classmethod
    def of(cls, change: RuleChange) -> Self:
        """Write a change."""
        return cls(rule=change.rule, change=change.change, before=change.before, after=change.after)


class ExplanationDocument(BaseModel):
    """One condition: whether it holds, and what was found."""

    holds: bool
    text: str
    children: Sequence["ExplanationDocument"]

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """Write a tree."""
        children = tuple(cls.of(child) for child in explanation.children)
        return cls(holds=explanation.holds, text=explanation.text, children=children)


class BindingDocument(BaseModel):
    """Which series plays a role of a model, and why."""

    role: str
    series: str
    why: str
    lost: Sequence[str] = Field(description="The other candidates, each with what it lost by.")


class ActionDocument(BaseModel):
    """One thing that a rule asks for."""

    kind: str = Field(description="synthesise, route, hold or ignore")
    model: str = ""
    series: Sequence[str] = Field(default=(), description="The series that go out as they are.")
    destinations: Sequence[str] = ()
    reason: str = ""

    @classmethod
    def of(cls, action: RuleAction) -> Self:
        """Write an action."""
        match action:
            case Action():
                return cls(kind="synthesise", model=action.model, destinations=action.destinations)
            case RouteAction():
                return cls(kind="route", series=action.series, destinations=action.destinations)
            case HoldAction():
                return cls(kind="hold", reason=action.reason)
            case IgnoreAction():
                return cls(kind="ignore", reason=action.reason)


class DecisionDocument(BaseModel):
    """What one rule says about a study."""

    rule: str
    fired: bool
    shadow: bool
    problem: str | None = Field(description="Why a person would have to look.")
    actions: Sequence[ActionDocument]
    bindings: Sequence[BindingDocument]
    explanation: ExplanationDocument
    excluded: Sequence[str] = Field(description="Series that were not looked at, with the reason.")

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Write a decision."""
        return cls(
            rule=decision.rule,
            fired=decision.fired,
            shadow=decision.shadow,
            problem=decision.problem,
            actions=tuple(ActionDocument.of(action) for action in decision.actions),
            bindings=tuple(
                BindingDocument(role=one.role, series=one.series_instance_uid, why=one.why, lost=one.lost)
                for one in decision.bindings
            ),
            explanation=ExplanationDocument.of(decision.explanation),
            excluded=decision.excluded,
        )


class ChangedDecisionDocument(BaseModel):
    """One study that would be decided otherwise by one rule."""

    study: str
    rule: str
    in_words: str
    before: DecisionDocument | None = Field(description="null: the rule was not asked.")
    after: DecisionDocument | None

    @classmethod
    def of(cls, change: ChangedDecision) -> Self:
        """Write a change."""
        return cls(
            study=change.study_instance_uid,
            rule=change.rule,
            in_words=change.in_words,
            before=None if change.before is None else DecisionDocument.of(change.before),
            after=None if change.after is None else DecisionDocument.of(change.after),
        )


class WhatIfDocument(BaseModel):
    """What rules would decide otherwise than those in force."""

    studies: int = Field(description="How many were replayed.")
    skipped: Sequence[str] = Field(description="Studies whose facts are not kept or cannot be read.")
    changes: Sequence[ChangedDecisionDocument]
    seconds: float

    @classmethod
    def of(cls, result: WhatIf) -> Self:
        """Write a result."""
        return cls(
            studies=result.studies,
            skipped=tuple(result.skipped),
            changes=tuple(ChangedDecisionDocument.of(change) for change in result.changes),
            seconds=result.seconds,
        )


class FactDocument(BaseModel):
    """One fact that rules may ask for."""

    scope: Scope = Field(description="Whether it is a fact of the study or of one series.")
    name: str
    type: FactType
    description: str
    values: Sequence[str] = Field(description="All values it can have; empty: any.")

    @classmethod
    def of(cls, found: FoundFact) -> Self:
        """Write a fact."""
        field = found.field
        return cls(
            scope=found.scope, name=field.name, type=field.type, description=field.description, values=field.values
        )
