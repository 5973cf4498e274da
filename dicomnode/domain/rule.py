"""What a rule decides, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dicomnode.domain.derivation import LabelLanguage, Preparation, SupersedePolicy
from dicomnode.domain.uids import SeriesInstanceUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One node of the tree that says why a condition holds or not; made for reading, storing and replaying."""

    holds: bool
    text: str
    """The condition in words, with the value that was found."""
    children: tuple["Explanation", ...] = ()

    def to_json(self) -> dict[str, object]:
        """Turn into plain values for the ledger."""
        return {"holds": self.holds, "text": self.text, "children": [child.to_json() for child in self.children]}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Explanation":
        """Read back what `to_json` wrote."""
        children = value.get("children")
        nested = children if isinstance(children, list) else []
        return cls(
            holds=bool(value["holds"]),
            text=str(value["text"]),
            children=tuple(cls.from_json(child) for child in nested),
        )

    def lines(self, depth: int = 0) -> list[str]:
        """Write the tree as indented lines marked with a tick or a cross."""
        own = f"{'  ' * depth}{'✓' if self.holds else '✗'} {self.text}"
        return [own, *(line for child in self.children for line in child.lines(depth + 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBinding:
    """Which series became a named input of the model, and why the other candidates did not."""

    role: str
    series_instance_uid: SeriesInstanceUID
    why: str
    lost: tuple[str, ...] = ()
    """Every other candidate with what it lost by: those that fit as well, and those that miss by one test."""


class LatePolicy(StrEnum):
    """What is done when a study that was synthesised from comes again with other content."""

    RERUN = "rerun"
    """Make a series of the new revision at once."""
    HOLD = "hold"
    """Ask a person first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a rule asks for when it fires: a model, the grid its output lies on, and where the result goes."""

    model: str
    target_role: str
    destinations: tuple[str, ...]
    priority: int = 10
    """1 is served first (STAT), 10 is routine."""
    preparation: Preparation = field(default_factory=Preparation)
    label_language: LabelLanguage = LabelLanguage.ENGLISH
    late: LatePolicy = LatePolicy.RERUN
    superseded: SupersedePolicy = SupersedePolicy.RETAIN
    bindings: tuple[RoleBinding, ...] = ()
    """Which series play the roles of the model; none while no study was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAction:
    """Series that go to destinations as they were received."""

    destinations: tuple[str, ...]
    series: tuple[SeriesInstanceUID, ...] = ()
    priority: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldAction:
    """No synthesis of this revision of the study begins before a person releases it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreAction:
    """Nothing is to be done for this kind of study; it says so, and no fallback fires."""

    reason: str


RuleAction = Action | RouteAction | HoldAction | IgnoreAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one rule of one rule-set version said about one study, with its reasons."""

    rule: str
    rule_set_version: str
    fired: bool
    explanation: Explanation
    actions: tuple[RuleAction, ...] = ()
    """What is to be done, in the order of the rule; an action whose inputs cannot be bound is not among them."""
    bindings: tuple[RoleBinding, ...] = ()
    """The inputs of all its syntheses together."""
    problem: str | None = None
    """Set when the conditions hold but the inputs cannot be bound: a person has to look (never "no match")."""
    excluded: tuple[str, ...] = field(default=())
    """Series that were not looked at, with the reason (own outputs coming back)."""
    shadow: bool = False
    """Whether the rule is on trial: what it asks for is made and measured, and never sent."""

    @property
    def action(self) -> Action | None:
        """The first synthesis that it asks for."""
        return next((one for one in self.actions if isinstance(one, Action)), None)
