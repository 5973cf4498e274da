"""What the timing of a pulse sequence says of its weighting: spin echo, gradient echo and their inversions.

Long and short are meant as PS3.16 defines the weightings (codes DCM 110803 to 110805): against the T1 and T2 of tissue.
White and grey matter have a T1 of about 900 and 1100 ms at 1.5 T, 1100 and 1800 ms at 3 T, and a T2 of about 70 and
95 ms (Stanisz et al., Magn Reson Med 2005;54:507); fluid has a T1 of about 4000 ms, fat of about 110 ms at 0.2 T to
370 ms at 3 T.
"""

import math
import re
from collections.abc import Sequence

from dicomnode.imaging.acquisition import Acquisition
from dicomnode.imaging.weighting import Classified, Weighting, choose, found, named_in_description

SHORT_GRADIENT_ECHO_MS = 10
"""Up to here a gradient echo shows little of T2*."""
LONG_ECHO_MS = 60
"""From here T2 rules a spin echo: two thirds of the T2 of grey matter; intermediate echoes lie before it."""

_SHORT_ECHO_MS = 30
"""Up to here tissue keeps most of its signal (a third of its T2); the usual clinical limit for T1 and PD."""
_SHORT_REPETITION_MS = 1000
"""Up to here a spin echo with a short echo shows T1: no tissue but fat has recovered."""
_LONG_REPETITION_MS = 1500
"""From here T1 no longer rules a spin echo; the usual clinical limit."""
_SINGLE_SHOT_ECHOES = 64
"""With so many echoes one excitation makes a whole slice, and the repetition time says nothing about recovery."""
_FLUID_NULL_MS = (1400, 3200)
"""Inversion times that null fluid: T1 (ln 2 - ln(1 + exp(-TR / T1))) for a T1 of 4000 ms and TR from 3.5 s up."""
_FAT_NULL_MS = (80, 300)
"""Inversion times that null fat: T1 ln 2, with a margin for the repetition and the scanner's rounding."""
_FLUID_NULL_REPETITION_MS = 6000
"""A long echo after an inversion of untold time is taken to null fluid from here on; fat needs no such wait."""
_PREPARED_ECHO_MS = 15
"""Up to here a prepared gradient echo shows the T1 of its preparation rather than T2*."""
_LONG_GRADIENT_ECHO_MS = 15
"""From here iron and deoxygenated blood have lost their signal; T2* of brain tissue is about 50 ms."""
_TISSUE_T1_MS = 1000
"""For the Ernst angle: above it a spoiled gradient echo shows T1, below it less and less."""
_BALANCED_REPETITION_MS, _BALANCED_FLIP_DEGREES = 15, 30
"""A steady state that is not spoiled is balanced when it is fast and steep (TrueFISP, FIESTA, bFFE)."""

_INVERSION_NAME = re.compile(r"(?<![a-z])ir(?![a-z])|tir|spcir|flair")
_FLAIR_NAME = re.compile(r"flair")


def is_within(value: float | None, low: float, high: float) -> bool:
    """Tell whether a value is told and lies between two limits, which belong to it."""
    return value is not None and low <= value <= high


def inverted_spin_echo(acquisition: Acquisition) -> Classified | None:
    """Part FLAIR, STIR and T1 by what the inversion nulls."""
    is_gradient_echo = "GR" in acquisition.sequence and "SE" not in acquisition.sequence
    if is_gradient_echo or not _is_inverted(acquisition):
        return None
    inversion = acquisition.inversion_time
    if inversion is None:
        return _untold_inversion(acquisition)
    if is_within(inversion, *_FAT_NULL_MS):
        return found(Weighting.STIR, acquisition, "inversion recovery that nulls fat")
    is_long_echo = is_within(acquisition.echo_time, LONG_ECHO_MS, math.inf)
    if is_within(inversion, *_FLUID_NULL_MS) and is_long_echo:
        return found(Weighting.FLAIR, acquisition, "inversion recovery that nulls fluid")
    if _FAT_NULL_MS[1] < inversion < _FLUID_NULL_MS[0] and not is_long_echo:
        return found(Weighting.T1, acquisition, "inversion recovery with a short echo")
    return choose((Weighting.FLAIR, Weighting.STIR, Weighting.T1), acquisition, "inversion recovery")


def _untold_inversion(acquisition: Acquisition) -> Classified:
    """Judge an inversion recovery whose inversion time is not told."""
    is_long_echo = is_within(acquisition.echo_time, LONG_ECHO_MS, math.inf)
    if is_long_echo and _FLAIR_NAME.search(acquisition.sequence_name):
        return found(Weighting.FLAIR, acquisition, "inversion recovery that the sequence names FLAIR")
    if is_long_echo and is_within(acquisition.repetition_time, _FLUID_NULL_REPETITION_MS, math.inf):
        return found(Weighting.FLAIR, acquisition, "inversion recovery with a repetition that nulls fluid")
    allowed = (Weighting.FLAIR, Weighting.STIR) if is_long_echo else (Weighting.STIR, Weighting.T1)
    return choose(allowed, acquisition, "inversion recovery of untold inversion time")


def prepared_gradient_echo(acquisition: Acquisition) -> Classified | None:
    """Recognise the T1 of MPRAGE and its like, also where the inversion time is not told."""
    is_prepared = "MP" in acquisition.variant or _is_inverted(acquisition)
    if "GR" not in acquisition.sequence or not is_prepared:
        return None
    inversion = acquisition.inversion_time or 0
    if inversion < _FLUID_NULL_MS[0] and is_within(acquisition.echo_time, 0, _PREPARED_ECHO_MS):
        return found(Weighting.T1, acquisition, "magnetization-prepared gradient echo")
    return None


def spin_echo(acquisition: Acquisition) -> Classified | None:
    """Part T1, PD and T2 by repetition and echo time."""
    if "SE" not in acquisition.sequence or acquisition.repetition_time is None or not acquisition.echo_times:
        return None
    repetition = acquisition.repetition_time
    if (acquisition.echo_train_length or 1) >= _SINGLE_SHOT_ECHOES:
        repetition = max(repetition, _LONG_REPETITION_MS)
    kind = "fat-saturated spin echo" if acquisition.is_fat_saturated else "spin echo"
    inverted = named_in_description((Weighting.FLAIR, Weighting.STIR), acquisition)
    if inverted and repetition >= _LONG_REPETITION_MS:
        # Taking a FLAIR for a T2 is the worst of mistakes here: where header and description disagree, neither counts.
        return found(Weighting.UNKNOWN, acquisition, f"{kind} without inversion, but the description says {inverted}")
    return _agree([_spin_echo_weightings(repetition, echo) for echo in acquisition.echo_times], acquisition, kind)


def _spin_echo_weightings(repetition: float, echo: float) -> tuple[Weighting, ...]:
    """List what a spin echo can be weighted by; times in ms."""
    if echo >= LONG_ECHO_MS:
        return (Weighting.T2,) if repetition > _SHORT_REPETITION_MS else ()
    is_short_echo = echo <= _SHORT_ECHO_MS
    is_possible = {
        Weighting.T1: repetition < _LONG_REPETITION_MS,
        Weighting.PD: repetition > _SHORT_REPETITION_MS or not is_short_echo,
        Weighting.T2: repetition > _SHORT_REPETITION_MS and not is_short_echo,
    }
    return tuple(weighting for weighting, possible in is_possible.items() if possible)


def gradient_echo(acquisition: Acquisition) -> Classified | None:
    """Part T1, T2* and balanced gradient echoes by echo time and flip angle."""
    if "GR" not in acquisition.sequence or not acquisition.echo_times:
        return None
    if _is_balanced(acquisition):
        return found(Weighting.OTHER, acquisition, "balanced steady-state gradient echo")
    possible = [_gradient_echo_weightings(acquisition, echo) for echo in acquisition.echo_times]
    return _agree(possible, acquisition, "gradient echo")


def _gradient_echo_weightings(acquisition: Acquisition, echo: float) -> tuple[Weighting, ...]:
    """List what a spoiled gradient echo can be weighted by at this echo time (ms)."""
    is_steep = _is_above_ernst_angle(acquisition)
    if echo <= SHORT_GRADIENT_ECHO_MS:
        return (Weighting.T1,) if is_steep else (Weighting.T1, Weighting.PD, Weighting.T2STAR)
    if echo < _LONG_GRADIENT_ECHO_MS or is_steep:
        return (Weighting.T1, Weighting.T2STAR)
    return (named_in_description((Weighting.SWI,), acquisition) or Weighting.T2STAR,)


def _is_above_ernst_angle(acquisition: Acquisition) -> bool:
    """Tell whether the flip angle is above arccos(exp(-TR / T1)), the Ernst angle of tissue."""
    if acquisition.flip_angle is None or acquisition.repetition_time is None:
        return False
    ernst_angle = math.degrees(math.acos(math.exp(-acquisition.repetition_time / _TISSUE_T1_MS)))
    return acquisition.flip_angle >= ernst_angle


def _is_balanced(acquisition: Acquisition) -> bool:
    return (
        "SS" in acquisition.variant
        and "SP" not in acquisition.variant
        and is_within(acquisition.repetition_time, 0, _BALANCED_REPETITION_MS)
        and is_within(acquisition.flip_angle, _BALANCED_FLIP_DEGREES, 180)
    )


def _is_inverted(acquisition: Acquisition) -> bool:
    """Tell whether an inversion precedes the sequence; a very short one only saturates fat."""
    if acquisition.inversion_time is not None:
        return acquisition.inversion_time >= _FAT_NULL_MS[0]
    return "IR" in acquisition.sequence or _INVERSION_NAME.search(acquisition.sequence_name) is not None


def _agree(possible: Sequence[tuple[Weighting, ...]], acquisition: Acquisition, kind: str) -> Classified:
    """Choose where all echoes of a series allow the same; a series of PD and T2 echoes is neither."""
    if len(set(possible)) > 1:
        return found(Weighting.UNKNOWN, acquisition, f"{kind}: its echoes differ in weighting")
    return choose(possible[0], acquisition, kind)
