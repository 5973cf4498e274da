"""One study as compiled rules see it: what holds, for which series, and why, each worked out at most once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.compiled import Answers, Counted, Joined, Leaf, Tree
from dicomnode.rules.explain import found_in_words, how_many, in_words, listed, named
from dicomnode.rules.values import is_absent

_SHOWN_SERIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was told of one series, by the places of the conditions: as it is, and with the name of the series."""

    told: list[Explanation | None]
    named: list[Explanation | None]


class Sight(Answers):
    """What was asked of one study so far; a person's explanation and the decision come from the same answers."""

    __slots__ = ("_found", "_lists", "_names", "_passed", "_told", "_told_of_series", "facts", "series")

    def __init__(self, size: int, facts: StudyFacts, series: Sequence[SeriesFacts], today: date | None) -> None:
        super().__init__(size, facts, series, today)
        self.facts = facts
        self.series = series
        self._names: list[str] | None = None
        self._lists: dict[int, str] = {}
        self._told: list[Explanation | None] = []
        """By the places of the conditions on the study."""
        self._told_of_series: list[_Told] = []
        self._found: dict[int, tuple[str, bool]] = {}
        self._passed: dict[int, list[int]] = {}

    @property
    def names(self) -> list[str]:
        """What each series is called."""
        if self._names is None:
            self._names = [named(one) for one in self.series]
        return self._names

    def explain(self, node: Tree) -> Explanation:
        """Tell why a condition on the study holds or not."""
        if not self._told:
            self._told = [None] * len(self.answers)
        told = self._told[node.place]
        if told is None:
            told = self._told[node.place] = self._explain(node)
        return told

    def explain_series(self, node: Tree, place: int) -> Explanation:
        """Tell why a condition on a series holds or not."""
        told = self._of_series(place).told
        return told[node.place] or self._explain_at(node, place, told)

    def nearest(self, group: Joined, among: int) -> int | None:
        """Find the series that passes most tests, for telling why none matched.

        Of equals it is the one that passes the earlier tests, which are those that people write first.
        """
        if not among:
            return None
        if not group.is_flat or group.negated:
            return self._nearest_by_count(group, among)
        answers = [child.answer(self) for child in group.children]
        best = _most(answers, among) if group.is_and else among
        for answer in answers:
            best = best & answer or best
        return (best & -best).bit_length() - 1

    def near_misses(self, group: Joined, among: int) -> list[tuple[int, Tree]]:
        """List the series that fail just one of the tests that all have to hold, each with the test."""
        if not group.is_and or group.negated or len(group.children) == 1:
            return []
        failing = [(child, self.everything & ~child.answer(self)) for child in group.children]
        missed: list[tuple[int, Tree]] = []
        for place in places(among):
            failed = [child for child, mask in failing if mask >> place & 1]
            if len(failed) == 1:
                missed.append((place, failed[0]))
        return missed

    def _explain(self, node: Tree) -> Explanation:
        if type(node) is Counted:
            return self._explain_counted(node)
        holds = bool(node.answer(self))
        if type(node) is Joined:
            told = self._told
            return _join(node, tuple([told[one.place] or self.explain(one) for one in node.children]), holds=holds)
        return self._explain_leaf(node, 0, holds=holds)

    def _explain_at(self, node: Tree, place: int, told: list[Explanation | None]) -> Explanation:
        """Tell of one series what was not told yet; `told` is all that was."""
        holds = bool(node.answer(self) >> place & 1)
        if type(node) is Joined:
            children = [told[one.place] or self._explain_at(one, place, told) for one in node.children]
            found = _join(node, tuple(children), holds=holds)
        else:
            found = self._explain_leaf(node, place, holds=holds)  # type: ignore[arg-type]  # no series in a series
        told[node.place] = found
        return found

    def _of_series(self, place: int) -> "_Told":
        if not self._told_of_series:
            size = len(self.answers)
            self._told_of_series = [_Told(told=[None] * size, named=[None] * size) for _ in self.series]
        return self._told_of_series[place]

    def _explain_leaf(self, leaf: Leaf, place: int, *, holds: bool) -> Explanation:
        """Tell of a test; what was found is put in words once for all tests of the fact."""
        column = leaf.column
        key = column.place * (len(self.series) + 1) + place
        found = self._found.get(key)
        if found is None:
            owner = self.facts if column.of_study else self.series[place]
            words = found_in_words(column.fact, owner)
            found = self._found[key] = (words, is_absent(owner.values.get(column.fact.name)))
        return Explanation(holds=holds, text=leaf.wording.tell(found[0], self.today, absent=found[1], holds=holds))

    def _explain_counted(self, node: Counted) -> Explanation:
        matched, total = node.group.answer(self), len(self.series)
        holds = bool(node.answer(self))
        wanted = node.phrase or self._wanted(node)
        if not total:
            return Explanation(holds=holds, text=f"{wanted}: there is no series to look at")
        text = f"{wanted}: {matched.bit_count()} of {total} match{self._lists.get(matched) or self._list(matched)}"
        shown = matched
        if not holds and _is_too_few(node, matched):
            others = self.everything & ~matched
            if node.mode == "all":
                shown, text = others, f"{text}; not{self._list(others)}"
            else:
                closest = self.nearest(node.group, others)
                shown = 0 if closest is None else 1 << closest
                text = text if closest is None else f"{text}; nearest is {self.names[closest]}"
        children = [self._explain_one(node.group, one) for one in places(shown)[:_SHOWN_SERIES]]
        return Explanation(holds=holds, text=text, children=tuple(children))

    def _explain_one(self, group: Joined, place: int) -> Explanation:
        """Tell of one series by its name."""
        known = self._of_series(place)
        told = known.named[group.place]
        if told is None:
            inner = known.told[group.place] or self._explain_at(group, place, known.told)
            text = f"{self.names[place]}: {inner.text}"
            told = known.named[group.place] = Explanation(holds=inner.holds, text=text, children=inner.children)
        return told

    def _wanted(self, node: Counted) -> str:
        """Say what a quantifier asks; the words stay the same from study to study, but for those with a day in them."""
        phrase = f"{how_many(node.part)} “{in_words(node.part.value, self.today)}”"
        if phrase == f"{how_many(node.part)} “{in_words(node.part.value, None)}”":
            node.phrase = phrase
        return phrase

    def _list(self, mask: int) -> str:
        found = self._lists[mask] = listed([self.names[place] for place in places(mask)])
        return found

    def _nearest_by_count(self, group: Joined, among: int) -> int:
        """Find the nearest series where the parts of a group count for several tests."""
        counts = [self._passed_by(group), *(self._passed_by(child) for child in group.children)]
        return max(places(among), key=lambda place: [count[place] for count in counts])

    def _passed_by(self, node: Tree) -> list[int]:
        """Count the tests each series passes; of alternatives the best counts, and what is turned round is one."""
        found = self._passed.get(node.place)
        if found is None:
            if isinstance(node, Joined) and not node.negated:
                columns = zip(*(self._passed_by(child) for child in node.children), strict=True)
                found = [sum(one) for one in columns] if node.is_and else [max(one) for one in columns]
            else:
                answer = node.answer(self)
                found = [answer >> place & 1 for place in range(len(self.series))]
            self._passed[node.place] = found
        return found


@lru_cache(maxsize=4096)
def places(mask: int) -> tuple[int, ...]:
    """List the series that an answer holds for."""
    return tuple(place for place in range(mask.bit_length()) if mask >> place & 1)


def _most(answers: Sequence[int], among: int) -> int:
    """Find the series for which most of the answers hold: their number is counted in binary, for all at once."""
    digits: list[int] = []
    for answer in answers:
        carry = answer
        for place, digit in enumerate(digits):
            digits[place], carry = digit ^ carry, digit & carry
        if carry:
            digits.append(carry)
    for digit in reversed(digits):
        among = among & digit or among
    return among


def _join(node: Joined, children: tuple[Explanation, ...], *, holds: bool) -> Explanation:
    if len(children) == 1 and not node.negated:
        return children[0]
    count = [child.holds for child in children].count(True)
    return Explanation(holds=holds, text=f"{count}{node.wording}", children=children)


def _is_too_few(node: Counted, matched: int) -> bool:
    return node.mode == "all" or matched.bit_count() < (1 if node.mode == "some" else node.threshold)
