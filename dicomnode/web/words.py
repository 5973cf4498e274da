"""How times, ages, sizes and states are written on the pages."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from markupsafe import Markup

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_DATE_LENGTH = 8


class Tone(StrEnum):
    """How a state word is coloured."""

    GOOD = "good"
    BUSY = "busy"
    WAIT = "wait"
    BAD = "bad"
    QUIET = "quiet"


_WORDS = {
    "queued": "waiting",
    "stored": "sent",
}
"""Words of the ledger that a page writes otherwise: `sent` means that the destination answered with success."""

_TONES = {
    "ok": Tone.GOOD,
    "done": Tone.GOOD,
    "derived": Tone.GOOD,
    "sent": Tone.GOOD,
    "verified": Tone.GOOD,
    "committed": Tone.GOOD,
    "in force": Tone.GOOD,
    "running": Tone.BUSY,
    "receiving": Tone.BUSY,
    "waiting": Tone.WAIT,
    "held": Tone.WAIT,
    "paused": Tone.WAIT,
    "conflict": Tone.WAIT,
    "low": Tone.WAIT,
    "expires soon": Tone.WAIT,
    "refused": Tone.BAD,
    "failed": Tone.BAD,
    "down": Tone.BAD,
    "full": Tone.BAD,
    "alarm": Tone.BAD,
    "missing": Tone.BAD,
    "damaged": Tone.BAD,
    "needs operator": Tone.BAD,
}


def word_for(state: str) -> str:
    """Give the word that a page shows for a state of the ledger."""
    return _WORDS.get(state, state)


def tone_of(state: str) -> Tone:
    """Choose the colour of a state word; one that is not known is not coloured."""
    return _TONES.get(word_for(state), Tone.QUIET)


def age(at: datetime, now: datetime) -> str:
    """Write how long ago something was: `8 s`, `3 min`, `2 h`, `5 d`."""
    return span(max((now - at) / timedelta(seconds=1), 0.0))


def span(seconds: float) -> str:
    """Write a duration in its largest whole unit."""
    for seconds_each, unit in _UNITS:
        if seconds >= seconds_each:
            return f"{seconds // seconds_each:.0f} {unit}"
    return f"{seconds:.0f} s"


def measured(seconds: float) -> str:
    """Write a measured duration: `under 0.1 s`, `2.4 s`, `21 s`, `1 min 35 s`."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def local_time(at: datetime, now: datetime) -> Markup:
    """Write an instant in this site's time, with the day where it is not today's and UTC on hover."""
    here, today = at.astimezone(), now.astimezone().date()
    form = "%H:%M:%S" if here.date() == today else "%d %b %H:%M" if here.year == today.year else "%d %b %Y %H:%M"
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S"), here.strftime(form)
    )


def study_date(text: str) -> str:
    """Write a DICOM date (VR DA) as people read it; what is no date stays as it came."""
    if len(text) == _DATE_LENGTH and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def person(name: str) -> str:
    """Write a DICOM person name (VR PN) as family name, given names; its first representation."""
    family, *others = name.partition("=")[0].split("^")
    given = " ".join(part for part in others[:2] if part)
    return f"{family}, {given}" if family and given else family or given


def sentence(text: str) -> Markup:
    """Write a reason or advice as a sentence, its commands (between backticks) set apart."""
    whole = text[:1].upper() + text[1:]
    if whole and whole[-1] not in ".!?":
        whole += "."
    pieces = whole.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if index % 2 else piece for index, piece in enumerate(pieces)
    )


def plural(count: int, one: str, many: str = "") -> str:
    """Write a number with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Write a number of bytes in its largest unit."""
    for step, unit in _SIZES:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count:.0f} B"
