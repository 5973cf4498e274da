"""Which type a fact has, by the VR and multiplicity of its attribute (PS3.5 section 6.2)."""

from collections.abc import Mapping

from dicomnode.domain.facts import FactType

_ONE_VALUE: Mapping[FactType, tuple[str, ...]] = {
    FactType.TEXT: ("LO", "SH", "PN", "ST", "LT", "UT", "UC", "UR", "TM", "DT"),
    FactType.CODE: ("CS", "UI", "AE"),
    FactType.NUMBER: ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV", "US or SS", "AS"),
    FactType.DATE: ("DA",),
}
"""VRs a rule can compare; the others hold sequences, bytes or tags."""
_TYPE_OF_VR = {vr: fact_type for fact_type, vrs in _ONE_VALUE.items() for vr in vrs}


def fact_type(vr: str, multiplicity: str) -> FactType | None:
    """Choose the type of an attribute; None for what a rule cannot compare."""
    one_value = _TYPE_OF_VR.get(vr)
    if one_value is None or multiplicity == "1":
        return one_value
    return FactType.NUMBER_LIST if one_value is FactType.NUMBER else FactType.TEXT_LIST


def type_of_all(vr: str) -> FactType | None:
    """Choose the type of all values of an attribute together; None for what a rule cannot compare."""
    one_value = _TYPE_OF_VR.get(vr)
    if one_value is None:
        return None
    return FactType.NUMBER_LIST if one_value is FactType.NUMBER else FactType.TEXT_LIST
