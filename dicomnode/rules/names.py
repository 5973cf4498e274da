"""The forms of names in a rule set, and the words for a name that has another one."""

import re
from typing import Annotated

from pydantic import AfterValidator

from dicomnode.rules.problems import problem

_SLUG = r"[a-z0-9][a-z0-9-]{0,63}"
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,63}"


def _named(pattern: str, words: str) -> AfterValidator:
    """Check the form of a name."""

    def check(name: str) -> str:
        if not re.fullmatch(pattern, name):
            raise problem(f"must be {words}")
        return name

    return AfterValidator(check)


Slug = Annotated[str, _named(_SLUG, "lower case letters, digits and hyphens, such as 't1-t2-to-flair'")]
Name = Annotated[str, _named(_NAME, "a letter followed by letters, digits, hyphens or underscores")]
Sentence = Annotated[str, _named(r".*\S.*", "a sentence on one line")]
