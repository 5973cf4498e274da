"""Two forms of a rule, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from dicomnode.domain.rule_book import RuleChange

_SURROUNDING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a comparison: `+` is new, `-` is gone, a space is in both, `…` stands for some that are."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRule:
    """One rule that differs, as lines."""

    change: RuleChange
    lines: tuple[Line, ...]

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(line.mark == "+" for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(line.mark == "-" for line in self.lines)


def compared(change: RuleChange) -> ComparedRule:
    """Set the two forms of a rule against each other."""
    return ComparedRule(change=change, lines=tuple(_lines(change.before.splitlines(), change.after.splitlines())))


def _lines(before: list[str], after: list[str]) -> Iterator[Line]:
    matcher = SequenceMatcher(a=before, b=after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_SURROUNDING):
        if group[0][1] > 0:
            yield Line(mark="…", text="")
        for kind, start, end, new_start, new_end in group:
            if kind == "equal":
                yield from (Line(mark=" ", text=text) for text in before[start:end])
                continue
            yield from (Line(mark="-", text=text) for text in before[start:end])
            yield from (Line(mark="+", text=text) for text in after[new_start:new_end])
