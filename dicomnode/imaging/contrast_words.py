"""How people write that a contrast agent was given, or was not: English, French, German, Dutch, Spanish, Japanese."""

import re

from dicomnode.imaging.description import folded

_AGENT = (
    r"(?:contrast(?:e|mittel|middel|vloeistof)?|kontrast(?:mittel)?|gd|gado[a-z]*|gad|km|kv|ce|c|inj(?:ectee?|ection)?"
    r"|injizier[a-z]*|iv|civ|pdc)"
)
_BEFORE = r"(?:without|w/?o|non?|pre|before|sans|avant|ohne|vor|kein[a-z]*|zonder|voor|geen|sin|antes(?: de)?)"
_PLAIN = r"(?:un-?enhanced|plain|nativ[a-z]*|blanco|pre-?contrast[a-z]*|non-?contrast[a-z]*)"
_DENIED = re.compile(
    rf"(?<![a-z])(?:{_BEFORE}[ _-]*{_AGENT}|{_PLAIN}|non injecte[a-z]*)(?![a-z])|造影(?:剤)?(?:前|なし|無)|非造影|単純"
)
_SPOKEN_OF = re.compile(
    r"(?<![a-z])(?:post|gd|gad[a-z]*|km|ce|inj|injecte?e?|injection|civ)(?![a-z])"
    r"|(?<![a-z])(?:contrast|kontrast)|(?<![a-z])(?:nach|apres|despues(?: de)?|con|mit|met|avec|na)[ _-]*"
    + _AGENT
    + r"(?![a-z])|\+ ?(?:c|gd|km|iv)(?![a-z])|c\+|造影"
)
_NO_AGENT = frozenset(
    {"off", "no", "none", "n", "nil", "0", "-", "false", "n/a", "na", "without", "plain", "unenhanced", "not used"}
    | {"ohne", "kein", "keine", "keines", "nein", "nativ", "native", "sans", "non", "aucun", "geen", "zonder", "nee"}
    | {"sin", "ninguno", "ninguna", "なし", "無し", "無", "使用せず"}
)
"""What scanners and technologists write into Contrast/Bolus Agent when there was none (Hitachi: off, GE: NONE)."""


def names_no_agent(agent: str) -> bool:
    """Tell whether what stands in the place of an agent says that there was none."""
    words = folded(agent)
    return words in _NO_AGENT or (bool(_DENIED.search(words)) and not _DENIED.sub("", words).strip(" .,;_-"))


def denies_contrast(description: str) -> bool:
    """Tell whether a folded description says that no contrast agent had been given."""
    return _DENIED.search(description) is not None


def speaks_of_contrast(description: str) -> bool:
    """Tell whether a folded description speaks of a contrast agent in another way than denying it."""
    return _SPOKEN_OF.search(_DENIED.sub("", description)) is not None
