"""The facts that the editor of a rule offers before anything is typed, and while somebody types."""

import re
from collections.abc import Mapping, Sequence

from dicomnode.domain.facts import FactCatalogue, FactField
from dicomnode.journey.fact_search import search_facts
from dicomnode.rules.conditions import facts_in
from dicomnode.rules.operators import operators_of
from dicomnode.web.rule_form import Scope

_MOST = 30
_USUAL = (
    *("Modality", "SeriesDescription", "BodyPartExamined", "ImageType", "MRAcquisitionType", "SliceThickness"),
    *("EchoTime", "RepetitionTime", "Manufacturer", "MagneticFieldStrength", "ProtocolName", "ConvolutionKernel"),
    *("PatientAge", "PatientSex", "StudyDescription", "StudyDate"),
)
"""Attributes that rules ask for most."""
_TAG = re.compile(r"\([0-9A-Fa-fx]{4},[0-9A-Fa-fx]{4}\)$")
"""The meaning of a DICOM attribute ends with its tag; that of a conclusion does not."""


def facts_for(catalogue: FactCatalogue, scope: Scope, search: str = "") -> Sequence[FactField]:
    """List the facts for what was typed; before that, what the node concludes and what is asked for most."""
    if search.strip():
        return [found.field for found in search_facts(catalogue, search, _MOST, scope)]
    facts = facts_in(catalogue, scope)
    concluded = [facts[name] for name in facts if not _TAG.search(facts[name].description)]
    return [*concluded, *(facts[name] for name in _USUAL if name in facts)]


def fact_document(fact: FactField) -> Mapping[str, object]:
    """Give what the editor shows of a fact."""
    return {
        "name": fact.name,
        "type": fact.type,
        "description": fact.description,
        "operators": [str(one) for one in operators_of(fact)],
        "values": list(fact.values),
    }
