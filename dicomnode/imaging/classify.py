"""What an MR series is weighted by, concluded from how it was acquired; words only choose where that leaves a choice.

A description never overrules physics: it is typed by people, copied between protocols and in any language.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.acquisition import Acquisition, acquisition_of
from dicomnode.imaging.orientation import Orientation
from dicomnode.imaging.pulse_timing import (
    LONG_ECHO_MS,
    SHORT_GRADIENT_ECHO_MS,
    gradient_echo,
    inverted_spin_echo,
    is_within,
    prepared_gradient_echo,
    spin_echo,
)
from dicomnode.imaging.weighting import Classified, Weighting, choose, found, named_in_description

_FEW_IMAGES = 15
_FEW_CROSSING_IMAGES = 64
"""A localizer in three planes has fewer; radial acquisitions, which cross as well, have more."""
_LOCALIZER_REPETITION_MS = 10
"""A whole-head scout is a 3D gradient echo of some seconds: many images, but a very short repetition."""
_DYNAMIC_REPEATS = 10
"""So many images of one place are a time series."""

_MR_IMAGES = (
    MRImageStorage,
    EnhancedMRImageStorage,
    EnhancedMRColorImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

_PHASE = frozenset({"P", "PHASE", "PHASE MAP"})
_FIELD_MAP = frozenset({"FIELD_MAP", "FIELD MAP", "B0 MAP", "B0"})
_ADC = frozenset({"ADC", "ADC_UNSPECIFIED"})
_PERFUSION = frozenset({"PERFUSION", "ASL", "CBF", "CBV", "MTT", "TTP", "TMAX", "RCBF", "RCBV", "RELCBF", "RELCBV"})
_TRACE = frozenset({"TRACEW", "TRACE"})
_DIFFUSION = frozenset({"DIFFUSION"})
_FLOW = frozenset({"ANGIO", "TOF", "VELOCITY", "VELOCITY MAP", "PHASE CONTRAST M", "FLOW_ENCODED"})
_OTHER_MAPS = frozenset(
    {"FA", "EADC", "TENSOR", "TENSOR_B0", "T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "R2_STAR MAP", "FAT_FRACTION"}
    | {"SUBTRACTION", "PROJECTION IMAGE", "MIP", "MIN IP", "SCREEN SAVE"}
)
"""Image Types (PS3.3 C.8.3.1.1.1, C.8.13.3.1.1) and what Siemens, Philips and GE add to them."""

_DECLARED: Mapping[str, Weighting] = {
    "T1": Weighting.T1,
    "T2": Weighting.T2,
    "T2_STAR": Weighting.T2STAR,
    "PROTON_DENSITY": Weighting.PD,
    "FLUID_ATTENUATED": Weighting.FLAIR,
    "STIR": Weighting.STIR,
    "DIFFUSION": Weighting.DWI,
    "PERFUSION": Weighting.PERFUSION,
}
"""Acquisition Contrast of enhanced objects (PS3.3 C.8.13.3.1.2)."""

_FIELD_MAP_NAME = re.compile(r"fm[23]d|field_?map|b0map")
_DIFFUSION_NAME = re.compile(r"ep_b\d|diff|dti|dwi")
_FREE_INDUCTION_NAME = re.compile(r"fid")
_SUSCEPTIBILITY_NAME = re.compile(r"swi")
_FLOW_NAME = re.compile(r"tof|fl_pc|pc[23]d")
"""In the sequence names that scanners write (Siemens: *fm2d2r, *ep_b1000, *epfid2d1_64, *swi3d1r, *fl_pc3d)."""

_OPEN = "the attributes leave it open"

_LOCALIZER_WORD = re.compile(
    r"lo[ck]ali[sz](?:er|ador|atie|ateur|ation|ator)|locator|scout|survey|(?<![a-z])(?:pilot|loc)(?![a-z])"
    r"|3[ _-]?plan|plan[ _-]?scan|(?<![a-z])(?:reperage|ubersicht|uebersicht|suchlauf|planung|overzicht)"
    r"|(?<![a-z])(?:planificacion|topogram)"
    r"|位置決め|スカウト|ロケータ"
)
_ADC_WORD = re.compile(r"apparent diffusion|(?<![a-z])adc(?![a-z])")


def classify(datasets: Sequence[Dataset]) -> Classified:
    """Say what a series is weighted by; the instances are those of one series, in the order of their numbers."""
    if not datasets:
        return Classified(weighting=Weighting.UNKNOWN, evidence="no instances", confidence=Confidence.LOW)
    acquisition = acquisition_of(datasets)
    verdicts = (test(acquisition) for test in _TESTS)
    unknown = found(Weighting.UNKNOWN, acquisition, _OPEN)
    return next((verdict for verdict in verdicts if verdict is not None), unknown)


def _other_object(acquisition: Acquisition) -> Classified | None:
    if acquisition.modality != "MR":
        return Classified(weighting=Weighting.OTHER, evidence=f"modality {acquisition.modality or 'not told'}")
    if acquisition.sop_class_uid not in _MR_IMAGES:
        return Classified(weighting=Weighting.OTHER, evidence="its SOP class is no MR image")
    return None


def _localizer(acquisition: Acquisition) -> Classified | None:
    if "LOCALIZER" in acquisition.image_type:
        return Classified(weighting=Weighting.LOCALIZER, evidence="Image Type LOCALIZER")
    images = f"{acquisition.images} image{'s' if acquisition.images > 1 else ''}"
    if acquisition.orientation is Orientation.MIXED and acquisition.images <= _FEW_CROSSING_IMAGES:
        return Classified(weighting=Weighting.LOCALIZER, evidence=f"{images} in crossing planes")
    is_quick = is_within(acquisition.repetition_time, 0, _LOCALIZER_REPETITION_MS)
    if _LOCALIZER_WORD.search(acquisition.description) and (is_quick or acquisition.images <= _FEW_IMAGES):
        told = f"{images}, and the description says localizer"
        return found(Weighting.LOCALIZER, acquisition, told, Confidence.MEDIUM)
    return None


def _derived_map(acquisition: Acquisition) -> Classified | None:
    return (
        _by_type(Weighting.ADC, acquisition, _ADC)
        or _by_type(Weighting.OTHER, acquisition, _OTHER_MAPS)
        or _by_type(Weighting.DWI, acquisition, _TRACE)
    )


def _unnamed_map(acquisition: Acquisition) -> Classified | None:
    """Recognise an ADC map whose Image Type does not name it (GE)."""
    if (
        "DERIVED" in acquisition.image_type
        and "EP" in acquisition.sequence
        and _ADC_WORD.search(acquisition.description)
    ):
        return found(Weighting.ADC, acquisition, "derived from echo planar images, and the description says ADC")
    return None


def _perfusion(acquisition: Acquisition) -> Classified | None:
    if acquisition.is_spin_labelled:
        return Classified(weighting=Weighting.PERFUSION, evidence="Arterial Spin Labeling Contrast")
    return _by_type(Weighting.PERFUSION, acquisition, _PERFUSION) or _declared(acquisition, Weighting.PERFUSION)


def _field_map(acquisition: Acquisition) -> Classified | None:
    if _FIELD_MAP_NAME.search(acquisition.sequence_name):
        return Classified(weighting=Weighting.FIELDMAP, evidence="sequence for field maps")
    is_phase = all(types & _PHASE for types in acquisition.image_types)
    if is_phase and _SUSCEPTIBILITY_NAME.search(acquisition.sequence_name):
        return Classified(weighting=Weighting.OTHER, evidence="phase images of susceptibility-weighted imaging")
    if is_phase and not _is_flow(acquisition):
        return Classified(weighting=Weighting.FIELDMAP, evidence="phase images")
    return _by_type(Weighting.FIELDMAP, acquisition, _FIELD_MAP)


def _diffusion(acquisition: Acquisition) -> Classified | None:
    strongest = max(acquisition.b_values, default=None)
    if strongest:
        return found(Weighting.DWI, acquisition, f"b-values up to {strongest:g} s/mm²")
    # Some scanners write a b-value of 0 where nothing is diffusion-weighted; only with this sequence does it tell.
    if strongest == 0 and {"SE", "EP"} <= acquisition.sequence:
        return found(Weighting.DWI, acquisition, "echo planar spin echo with b-value 0 s/mm²")
    if "EP" in acquisition.sequence and _DIFFUSION_NAME.search(acquisition.sequence_name):
        return found(Weighting.DWI, acquisition, "echo planar sequence for diffusion")
    return _by_type(Weighting.DWI, acquisition, _DIFFUSION) or _declared(acquisition, Weighting.DWI)


def _echo_planar(acquisition: Acquisition) -> Classified | None:
    if "FMRI" in acquisition.image_type:
        return Classified(weighting=Weighting.FMRI, evidence="Image Type FMRI")
    if "EP" not in acquisition.sequence:
        return None
    if "SE" in acquisition.sequence:
        return choose((Weighting.DWI, Weighting.FIELDMAP, Weighting.PERFUSION), acquisition, "echo planar spin echo")
    if "GR" in acquisition.sequence or _FREE_INDUCTION_NAME.search(acquisition.sequence_name):
        return _gradient_echo_planar(acquisition)
    return choose((Weighting.DWI, Weighting.PERFUSION, Weighting.FMRI), acquisition, "echo planar")


def _gradient_echo_planar(acquisition: Acquisition) -> Classified:
    """Part the uses of T2* echo planar imaging: a bolus passing, brain activity, or one look at T2*."""
    kind = "echo planar gradient echo"
    if acquisition.has_contrast_agent:
        return found(Weighting.PERFUSION, acquisition, f"{kind} with contrast agent")
    named = named_in_description((Weighting.PERFUSION, Weighting.FMRI), acquisition)
    if named:
        return found(named, acquisition, f"{kind}, and the description says {named}", Confidence.MEDIUM)
    if acquisition.repeats >= _DYNAMIC_REPEATS:
        return found(Weighting.FMRI, acquisition, f"{kind}, {acquisition.repeats} times at one place")
    return found(Weighting.T2STAR, acquisition, kind)


def _angiography(acquisition: Acquisition) -> Classified | None:
    if _is_flow(acquisition):
        return found(Weighting.MRA, acquisition, "time of flight or phase contrast")
    if "GR" not in acquisition.sequence or "IR" in acquisition.sequence:
        return None
    if "AngioFlag" in acquisition.flags:
        return found(Weighting.MRA, acquisition, "gradient echo, flagged as angiography")
    is_short_echo = is_within(acquisition.echo_time, 0, SHORT_GRADIENT_ECHO_MS)
    if is_short_echo and named_in_description((Weighting.MRA,), acquisition):
        return found(Weighting.MRA, acquisition, "gradient echo, and the description says MRA", Confidence.MEDIUM)
    return None


def _is_flow(acquisition: Acquisition) -> bool:
    return bool(
        acquisition.flags & {"TimeOfFlightContrast", "PhaseContrast"}
        or acquisition.declared_contrast in ("TOF", "FLOW_ENCODED")
        or acquisition.image_type & _FLOW
        or _FLOW_NAME.search(acquisition.sequence_name)
    )


def _susceptibility(acquisition: Acquisition) -> Classified | None:
    if _SUSCEPTIBILITY_NAME.search(acquisition.sequence_name):
        return found(Weighting.SWI, acquisition, "sequence for susceptibility-weighted imaging")
    return _by_type(Weighting.SWI, acquisition, frozenset({"SWI"}))


def _declared_contrast(acquisition: Acquisition) -> Classified | None:
    return _declared(acquisition, *_DECLARED.values())


def _description(acquisition: Acquisition) -> Classified | None:
    """Let the description choose among what the echo time leaves where no attribute tells the kind of sequence."""
    allowed: tuple[Weighting, ...] = tuple(Weighting)
    if acquisition.echo_time is not None and acquisition.echo_time >= LONG_ECHO_MS:
        allowed = (Weighting.FLAIR, Weighting.STIR, Weighting.DWI, Weighting.T2)
    elif acquisition.echo_time is not None:
        allowed = (Weighting.MRA, Weighting.T2STAR, Weighting.PD, Weighting.T1)
    named = named_in_description(allowed, acquisition)
    if named is None:
        return None
    return found(named, acquisition, f"{_OPEN}; the description says {named}", Confidence.LOW)


def _by_type(weighting: Weighting, acquisition: Acquisition, types: frozenset[str]) -> Classified | None:
    matching = sorted(acquisition.image_type & types)
    return Classified(weighting=weighting, evidence=f"Image Type {' '.join(matching)}") if matching else None


def _declared(acquisition: Acquisition, *weightings: Weighting) -> Classified | None:
    declared = _DECLARED.get(acquisition.declared_contrast)
    if declared is None or declared not in weightings:
        return None
    return found(declared, acquisition, f"Acquisition Contrast {acquisition.declared_contrast}")


_TESTS: tuple[Callable[[Acquisition], Classified | None], ...] = (
    _other_object,
    _derived_map,
    _localizer,
    _perfusion,
    _field_map,
    _unnamed_map,
    _diffusion,
    _echo_planar,
    _angiography,
    _susceptibility,
    inverted_spin_echo,
    prepared_gradient_echo,
    _declared_contrast,
    spin_echo,
    gradient_echo,
    _description,
)
"""From what excludes all others to what only remains; the first that answers is right."""
