"""What the rules saw of a study, written down with its decision and read again when a change of the rules is tried."""

import json
import zlib

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.study_document import NESTED, facts_from_json, facts_to_json
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.ledger.study_facts import KeptFacts
from dicomnode.rules.replay import StudyAsDecided

_FAST = 1
"""zlib's level: the others take twice the time to save a tenth of the room."""


def encode_study(study: StudyAsDecided) -> KeptFacts:
    """Write what the rules saw as it is kept."""
    facts = facts_to_json(study.facts)
    nested = facts.pop(NESTED)
    document = {"facts": facts, "excluded": dict(study.excluded)}
    return KeptFacts(at=study.at, document=_packed(document), nested=_packed(nested))


def decode_study(kept: KeptFacts) -> StudyAsDecided:
    """Read what was kept; raises InvalidValue where another version of the node wrote it in another form."""
    try:
        document = json.loads(zlib.decompress(kept.document))
        facts = document["facts"]
        if kept.nested:
            facts[NESTED] = json.loads(zlib.decompress(kept.nested))
        excluded = {SeriesInstanceUID(uid): str(why) for uid, why in document["excluded"].items()}
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidValue(f"the stored facts of the study cannot be read ({type(error).__name__})") from None
    return StudyAsDecided(facts=facts_from_json(facts), excluded=excluded, at=kept.at.astimezone())


def _packed(values: object) -> bytes:
    return zlib.compress(json.dumps(values, separators=(",", ":")).encode("ascii"), _FAST)
