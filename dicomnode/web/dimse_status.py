"""What the status of a C-STORE response means in plain words, and what to do (PS3.4 Table B.2-1, PS3.7 Annex C)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMeaning:
    """A status as it is written, what it means, and the next step."""

    code: str
    meaning: str
    next_step: str


_SINGLE = {
    0x0000: ("success: the destination has the instance", "Nothing to do."),
    0x0105: ("no such attribute", "Report it as a defect of the node: what it sent was not complete."),
    0x0106: ("an attribute has a value that the destination does not take", "Look at the destination's log."),
    0x0110: ("processing failure", "Look at the destination's log, then send again."),
    0x0111: ("it has an instance of this UID already and keeps that one", "Look at the destination for the series."),
    0x0117: ("the instance has a UID that it does not take", "Look at the destination's log."),
    0x0122: ("it does not take this SOP class", "Allow the SOP class at the destination, then send again."),
    0x0124: ("not authorized", "Allow this node's AE title at the destination, then send again."),
    0x0210: ("a message of this number is open already", "Send again."),
    0x0211: (
        "it does not know the operation C-STORE",
        "The destination's AE title is no storage: correct the settings.",
    ),
    0x0212: ("an argument of the request is not as it expects", "Look at the destination's log."),
    0x0213: ("it lacks the resources for now", "Make room at the destination, then send again."),
    0xB000: ("stored, with attributes changed to fit its rules", "Look at the destination whether labels are kept."),
    0xB006: ("stored, without some attributes", "Look at the destination whether labels are kept."),
    0xB007: ("stored, although the data set does not match its SOP class", "Report it as a defect of the node."),
}
_RANGES = (
    (range(0x0100, 0x0300), "it could not process the request", "Look at the destination's log, then send again."),
    (range(0xA700, 0xA800), "out of resources", "Make room at the destination; the node tries again by itself."),
    (range(0xA900, 0xAA00), "the data set does not match the SOP class", "Report it as a defect of the node."),
    (range(0xB000, 0xC000), "stored, with a warning", "Look at the destination's log."),
    (range(0xC000, 0xD000), "it cannot understand the data set", "Look at the destination's log, then send again."),
    (range(0xFE00, 0xFE01), "it was cancelled there", "Send again."),
)


def meaning_of(status: int) -> StatusMeaning:
    """Explain a status; one that no table of the standard has is said to be so."""
    code = f"0x{status:04X}"
    if status in _SINGLE:
        meaning, next_step = _SINGLE[status]
        return StatusMeaning(code=code, meaning=meaning, next_step=next_step)
    for statuses, meaning, next_step in _RANGES:
        if status in statuses:
            return StatusMeaning(code=code, meaning=meaning, next_step=next_step)
    return StatusMeaning(
        code=code, meaning="a status of its own", next_step="Look at the destination's manual and log."
    )
