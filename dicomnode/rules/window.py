"""When a rule is asked at all: on some days of the week, between two times of the day, in the site's own time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from dicomnode.domain.rule import Explanation
from dicomnode.rules.conditions import NotEmpty, Part
from dicomnode.rules.problems import problem

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_NO_TIME = 'must be a time of day such as "07:00", in quotes'
_HOURS, _MINUTES = 24, 60


def _check_time(written: object) -> object:
    """Check a time of day; the end of the day may be written 24:00."""
    hours, colon, minutes = str(written).partition(":")
    is_written = isinstance(written, str) and colon and written.isascii() and len(written) == len("00:00")
    if not (is_written and hours.isdecimal() and minutes.isdecimal()):
        raise problem(_NO_TIME)
    if int(minutes) >= _MINUTES or int(hours) * _MINUTES + int(minutes) > _HOURS * _MINUTES:
        raise problem(_NO_TIME)
    return written


def _in_order(days: tuple[Day, ...]) -> tuple[Day, ...]:
    """Write each day once, in the order of the week: the same days are the same window."""
    return tuple(one for one in DAYS if one in days)


TimeOfDay = Annotated[str, BeforeValidator(_check_time)]


class Window(Part):
    """The days and hours in which a rule is asked; a window over midnight belongs to the day on which it begins."""

    days: Annotated[tuple[Day, ...], NotEmpty, AfterValidator(_in_order)] = DAYS
    begin: TimeOfDay = Field(default="00:00", alias="from")
    end: TimeOfDay = Field(default="24:00", alias="to", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _check_both_ends(cls, written: dict[str, object]) -> dict[str, object]:
        if ("from" in written) is not ("to" in written):
            raise problem("has both from and to, or neither")
        if not written:
            raise problem("must say on which days, or from when to when")
        return written

    @field_validator("end")
    @classmethod
    def _check_end(cls, end: str, info: ValidationInfo) -> str:
        if info.data.get("begin") == end:
            raise problem("must differ from the time it begins")
        return end

    def contains(self, at: datetime) -> bool:
        """Say whether an instant, in local time, lies inside; the end itself does not."""
        now, today = f"{at.hour:02d}:{at.minute:02d}", at.weekday()
        if self.begin < self.end:
            return self.begin <= now < self.end and DAYS[today] in self.days
        began_yesterday = now < self.end and DAYS[today - 1] in self.days
        return began_yesterday or (now >= self.begin and DAYS[today] in self.days)

    def explain(self, at: datetime) -> Explanation:
        """Tell whether an instant lies inside, and where it would."""
        text = f"it is {DAYS[at.weekday()]} {at.hour:02d}:{at.minute:02d}; asked whether it is {self.in_words()}"
        return Explanation(holds=self.contains(at), text=text)

    def in_words(self) -> str:
        """Write the window as a phrase."""
        hours = "" if (self.begin, self.end) == ("00:00", "24:00") else f"{self.begin} to {self.end}"
        days = "" if self.days == DAYS else _ranges(self.days)
        return ", ".join(part for part in (days, hours) if part) or "any day"


def _ranges(days: Sequence[Day]) -> str:
    """Write days that follow each other as one range: mon to fri."""
    runs: list[list[int]] = []
    for place in (DAYS.index(one) for one in days):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ", ".join(f"{DAYS[run[0]]} to {DAYS[run[-1]]}" if len(run) > 2 else _listed(run) for run in runs)


def _listed(run: Sequence[int]) -> str:
    return ", ".join(DAYS[place] for place in run)
