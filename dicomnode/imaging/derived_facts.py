"""The facts that are no attributes: what the node concludes, measures and counts, and where a study came from."""

from dicomnode.domain.facts import FactField, FactType
from dicomnode.imaging.acquisition_type import AcquisitionType
from dicomnode.imaging.body_region import BodyPart
from dicomnode.imaging.contrast_agent import ContrastEnhanced, ContrastPhase
from dicomnode.imaging.orientation import Orientation
from dicomnode.imaging.primary import IsPrimary
from dicomnode.imaging.weighting import Weighting

_OF_SOURCE = (
    FactField(
        name="SourceAE",
        type=FactType.TEXT_LIST,
        description="the AE titles that sent it; STOW-RS clients by their name",
    ),
    FactField(name="CalledAE", type=FactType.TEXT_LIST, description="the AE titles of this node that were called"),
    FactField(name="SourceAddress", type=FactType.TEXT_LIST, description="the network addresses it came from"),
)
_OF_TIME = (
    FactField(name="ReceivedDate", type=FactType.DATE, description="the day its first instance came in, local time"),
    FactField(
        name="ReceivedHour",
        type=FactType.NUMBER,
        description="the hour of the day (0 to 23, local time) in which its first instance came in",
    ),
)
DERIVED_OF_STUDY = (
    FactField(
        name="NumberOfSeries",
        type=FactType.NUMBER,
        description="how many series the study has, without outputs of this node that came back",
    ),
    FactField(
        name="NumberOfInstances",
        type=FactType.NUMBER,
        description="how many images the study has, without outputs of this node that came back",
    ),
    FactField(
        name="Modalities",
        type=FactType.TEXT_LIST,
        description="the modalities in the study, without outputs of this node that came back",
    ),
    *_OF_SOURCE,
    *_OF_TIME,
)
_CONCLUDED = (
    FactField(
        name="Weighting",
        type=FactType.CODE,
        description="what an MR series is weighted by, concluded from its acquisition; OTHER for other modalities",
        values=tuple(weighting.value for weighting in Weighting),
    ),
    FactField(
        name="BodyPart",
        type=FactType.CODE,
        description="the part of the body, from codes, Body Part Examined or else words in six languages",
        values=tuple(part.value for part in BodyPart),
    ),
    FactField(
        name="ContrastEnhanced",
        type=FactType.CODE,
        description="whether a contrast agent was given; UNKNOWN where only the description speaks of one",
        values=tuple(contrast.value for contrast in ContrastEnhanced),
    ),
    FactField(
        name="ContrastPhase",
        type=FactType.CODE,
        description="whether the images show a contrast agent; UNKNOWN where attributes and description disagree",
        values=tuple(phase.value for phase in ContrastPhase),
    ),
    FactField(
        name="Orientation",
        type=FactType.CODE,
        description="the body plane nearest to the slices; OBLIQUE from 30 degrees off, MIXED when slices cross",
        values=tuple(orientation.value for orientation in Orientation),
    ),
    FactField(
        name="Plane",
        type=FactType.CODE,
        description="the same as Orientation",
        values=tuple(orientation.value for orientation in Orientation),
    ),
    FactField(
        name="AcquisitionType",
        type=FactType.CODE,
        description="whether an MR series was acquired slice by slice or as a volume; UNKNOWN for other modalities",
        values=tuple(kind.value for kind in AcquisitionType),
    ),
    FactField(
        name="IsPrimary",
        type=FactType.CODE,
        description="whether a series was acquired for reading; NO for localizers, maps, and what was made from others",
        values=tuple(answer.value for answer in IsPrimary),
    ),
)
_MEASURED = (
    FactField(
        name="NumberOfInstances",
        type=FactType.NUMBER,
        description="how many images the series has: instances, or frames of multi-frame instances",
    ),
    FactField(name="NumberOfStacks", type=FactType.NUMBER, description="how many groups of parallel slices there are"),
    FactField(
        name="SliceSpacing",
        type=FactType.NUMBER,
        description="mm between neighbouring slices, centre to centre; absent where they are unevenly spaced",
    ),
    FactField(
        name="MissingSlices",
        type=FactType.NUMBER,
        description="how many slices are lacking between others; absent where the spacing cannot be told",
    ),
    FactField(name="Coverage", type=FactType.NUMBER, description="mm that the longest stack covers, across its slices"),
    FactField(name="InPlaneSpacing", type=FactType.NUMBER, description="the greater pixel spacing in mm"),
    FactField(
        name="ImagesPerPosition", type=FactType.NUMBER, description="how often a slice position was acquired, at most"
    ),
    FactField(name="NumberOfEchoes", type=FactType.NUMBER, description="how many different echo times there are"),
    FactField(
        name="NumberOfTimePoints",
        type=FactType.NUMBER,
        description="how many temporal positions the series names; absent where it names none",
    ),
)
DERIVED_OF_SERIES = (*_CONCLUDED, *_MEASURED, *_OF_SOURCE, *_OF_TIME)
