"""Rules made ready to decide fast: each distinct condition once, answered for all series of a study in one go.

An answer is a whole number: bit n of it says whether a condition holds for the n-th series; of a study it is 0 or 1.
And, or and not are operations on bits, and quantifiers count them. What a value answers is remembered from one study
to the next, because scanners and protocols repeat themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import final

from dicomnode.domain.facts import FactField
from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.study import FactValue, SeriesFacts, StudyFacts
from dicomnode.rules.actions import Preference, Routing, Synthesis
from dicomnode.rules.conditions import ACCEPTS, Condition, Group, Quantifier, SeriesGroup, StudyCondition, StudyGroup
from dicomnode.rules.explain import Wording, have_to_hold
from dicomnode.rules.operators import Operator, Test, found_of, test_of
from dicomnode.rules.rule import Rule

_REMEMBERED = 4096
"""Values of one fact; the next one makes room for itself and others."""


class Answers:
    """What was answered of one study so far, by the places of the conditions; None stands for not asked yet."""

    __slots__ = ("answers", "everything", "study", "today", "values")

    def __init__(self, size: int, facts: StudyFacts, series: Sequence[SeriesFacts], today: date | None) -> None:
        self.answers: list[int | None] = [None] * size
        self.study = facts.values
        self.values = [one.values for one in series]
        self.everything = (1 << len(series)) - 1
        """The answer that holds for every series."""
        self.today = today


@final
class Leaf:
    """One distinct test of one fact."""

    __slots__ = ("column", "place", "wording")

    def __init__(self, place: int, condition: Condition, column: "Column") -> None:
        self.place = place
        self.column = column
        self.wording = Wording(condition)

    def answer(self, seen: Answers) -> int:
        """Say for which series it holds."""
        found = seen.answers[self.place]
        if found is None:
            self.column.fill(seen)
            found = seen.answers[self.place] or 0
        return found


class Column:
    """All tests of one fact: a value is looked at once for all of them."""

    __slots__ = ("fact", "holding", "is_relative", "of_study", "place", "tests")

    def __init__(self, place: int, fact: FactField, *, of_study: bool) -> None:
        self.place = place
        self.fact = fact
        self.of_study = of_study
        self.tests: dict[int, Test] = {}
        """By the places of the leaves."""
        self.is_relative = False
        """Whether a test depends on the day of the decision."""
        self.holding: dict[object, tuple[int, ...]] = {}

    def fill(self, seen: Answers) -> None:
        """Answer all tests of the fact for one study."""
        name, passed = self.fact.name, dict.fromkeys(self.tests, 0)
        bit = 1
        for values in (seen.study,) if self.of_study else seen.values:
            for place in self._places(values.get(name), seen.today):
                passed[place] |= bit
            bit <<= 1
        for place, answer in passed.items():
            seen.answers[place] = answer

    def _places(self, raw: FactValue, today: date | None) -> tuple[int, ...]:
        """List the places of the tests that a value passes."""
        key = _remembered_as(raw, today if self.is_relative else None)
        try:
            return self.holding[key]
        except KeyError:
            found = self._passed(raw, today)
            if len(self.holding) >= _REMEMBERED:
                self.holding.clear()
            self.holding[key] = found
            return found
        except TypeError:
            # A list, which nobody remembers: facts come as tuples.
            return self._passed(raw, today)

    def _passed(self, raw: FactValue, today: date | None) -> tuple[int, ...]:
        found = found_of(self.fact.type, raw)
        return tuple([place for place, test in self.tests.items() if test(found, today)])


@final
class Joined:
    """Conditions joined by and or or."""

    __slots__ = ("children", "is_and", "is_flat", "negated", "of_study", "place", "wording")

    def __init__(self, place: int, children: tuple["Tree", ...], part: Group) -> None:
        self.place = place
        self.children = children
        self.is_and = part.combinator == "and"
        self.negated = part.negated
        self.of_study = isinstance(part, StudyGroup)
        self.is_flat = all(_is_single(child) for child in children)
        """Whether each child counts as one test, which is passed or not."""
        self.wording = have_to_hold(len(children), is_and=self.is_and, negated=self.negated)

    def answer(self, seen: Answers) -> int:
        """Say for which series it holds, asking no more than that takes."""
        found = seen.answers[self.place]
        if found is not None:
            return found
        whole = 1 if self.of_study else seen.everything
        found = self._all_of(seen, whole) if self.is_and else self._any_of(seen, whole)
        if self.negated:
            found ^= whole
        seen.answers[self.place] = found
        return found

    def _all_of(self, seen: Answers, whole: int) -> int:
        for child in self.children:
            whole &= child.answer(seen)
            if not whole:
                break
        return whole

    def _any_of(self, seen: Answers, whole: int) -> int:
        found = 0
        for child in self.children:
            found |= child.answer(seen)
            if found == whole:
                break
        return found


@final
class Counted:
    """A condition on how many series match a group."""

    __slots__ = ("accepts", "group", "mode", "part", "phrase", "place", "threshold")

    def __init__(self, place: int, group: Joined, part: Quantifier) -> None:
        self.place = place
        self.group = group
        self.part = part
        self.mode = part.match.mode
        self.accepts = ACCEPTS[self.mode]
        self.threshold = part.match.threshold or 0
        self.phrase: str | None = None
        """What it asks, in words, once somebody wanted to know."""

    def answer(self, seen: Answers) -> int:
        """Say whether it holds."""
        found = seen.answers[self.place]
        if found is None:
            matching = self.group.answer(seen).bit_count()
            found = int(self.accepts(matching, len(seen.values), self.threshold))
            seen.answers[self.place] = found
        return found


Tree = Leaf | Joined | Counted


def _is_single(node: Tree) -> bool:
    """Tell what counts as one test: of alternatives the best counts, and what is turned round is one."""
    if not isinstance(node, Joined) or node.negated:
        return True
    return node.is_flat and (not node.is_and or len(node.children) == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRole:
    """A role, the series that may play it, and which of them is preferred."""

    name: str
    group: Joined
    prefer: tuple[Preference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """A rule with its trees: the conditions, the roles of each synthesis, the series of each routing."""

    rule: Rule
    when: Joined | None
    roles: Mapping[int, tuple[CompiledRole, ...]]
    """By the place of the synthesis among the rule's consequences."""
    routed: Mapping[int, Joined]
    """By the place of the routing."""
    said: dict[str, Decision]
    """By the version of the rule set: what it says without reasons when it does not fire, which is always the same."""

    def silence(self, version: str) -> Decision:
        """Give the decision of the rule when it does not fire and nobody asks why."""
        if version not in self.said:
            self.said[version] = Decision(
                rule=self.rule.name,
                rule_set_version=version,
                fired=False,
                explanation=Explanation(holds=False, text=""),
                shadow=self.rule.shadow,
            )
        return self.said[version]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRules:
    """All enabled rules of a set, in its order, over one list of distinct conditions."""

    rules: tuple[CompiledRule, ...]
    size: int
    """How many distinct conditions there are."""
    relative: str | None
    """A fact that some rule compares with the day of the decision; None when no rule needs that day."""


class Compiler:
    """Gives each distinct condition one place, whichever rules it stands in."""

    def __init__(self) -> None:
        self.relative: str | None = None
        self._known: dict[object, Tree] = {}
        self._columns: dict[tuple[bool, str], Column] = {}

    @property
    def size(self) -> int:
        """How many distinct conditions there are so far."""
        return len(self._known)

    def group(self, part: StudyGroup | SeriesGroup) -> Joined:
        """Place a group, and all that is in it."""
        children = tuple(self._node(child) for child in part.rules)
        scope = isinstance(part, StudyGroup)
        key = ("group", scope, part.combinator, part.negated, tuple(child.place for child in children))
        known = self._known.get(key)
        if not isinstance(known, Joined):
            known = self._known[key] = Joined(len(self._known), children, part)
        return known

    def _node(self, part: Condition | Quantifier | StudyGroup | SeriesGroup) -> Tree:
        if isinstance(part, Condition):
            return self._leaf(part)
        if isinstance(part, Quantifier):
            group = self.group(part.value)
            key = ("series", part.match.mode, part.match.threshold, group.place)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = Counted(len(self._known), group, part)
            return known
        return self.group(part)

    def _leaf(self, part: Condition) -> Leaf:
        of_study = isinstance(part, StudyCondition)
        key = ("leaf", of_study, part.field, part.operator, repr(part.value))
        known = self._known.get(key)
        if not isinstance(known, Leaf):
            column = self._column(part, of_study=of_study)
            known = self._known[key] = Leaf(len(self._known), part, column)
            column.tests[known.place] = test_of(part.fact, part.operator, part.value)
            if part.operator is Operator.WITHIN_DAYS:
                column.is_relative = True
                self.relative = self.relative or part.field
        return known

    def _column(self, part: Condition, *, of_study: bool) -> Column:
        key = (of_study, part.field)
        if key not in self._columns:
            self._columns[key] = Column(len(self._columns), part.fact, of_study=of_study)
        return self._columns[key]


def compile_rules(rules: Iterable[Rule]) -> CompiledRules:
    """Compile the rules that are enabled."""
    compiler = Compiler()
    compiled = tuple(_compile(rule, compiler) for rule in rules if rule.enabled)
    return CompiledRules(rules=compiled, size=compiler.size, relative=compiler.relative)


def _compile(rule: Rule, compiler: Compiler) -> CompiledRule:
    roles: dict[int, tuple[CompiledRole, ...]] = {}
    routed: dict[int, Joined] = {}
    for place, asked in enumerate(rule.consequences):
        if isinstance(asked, Synthesis):
            roles[place] = compile_roles(asked, compiler)
        elif isinstance(asked, Routing):
            routed[place] = compiler.group(asked.series)
    when = None if rule.when is None else compiler.group(rule.when)
    return CompiledRule(rule=rule, when=when, roles=roles, routed=routed, said={})


def compile_roles(asked: Synthesis, compiler: Compiler) -> tuple[CompiledRole, ...]:
    """Compile the selections of a synthesis, in the order in which the roles choose."""
    return tuple(
        CompiledRole(name=role, group=compiler.group(selection), prefer=selection.prefer)
        for role, selection in asked.inputs.items()
    )


def _remembered_as(raw: FactValue, today: date | None) -> object:
    """Name a value so that only the same one of the same type has the name: 1, 1.0 and true are three values."""
    return (raw, today, *map(type, raw)) if isinstance(raw, tuple) else (raw, today, raw.__class__)
