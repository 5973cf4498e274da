"""Parts of the body: which lie in which, their codes, and how people write them in six languages."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache

from pydicom.sr._snomed_dict import mapping as snomed_mapping
from pydicom.sr.codedict import codes


class BodyPart(StrEnum):
    """What an image shows, in the terms of Body Part Examined where it has one (PS3.16 Annex L)."""

    HEAD = "HEAD"
    BRAIN = "BRAIN"
    PITUITARY = "PITUITARY"
    ORBIT = "ORBIT"
    EAR = "EAR"
    NECK = "NECK"
    SPINE = "SPINE"
    CSPINE = "CSPINE"
    TSPINE = "TSPINE"
    LSPINE = "LSPINE"
    SACRUM = "SACRUM"
    CHEST = "CHEST"
    BREAST = "BREAST"
    HEART = "HEART"
    ABDOMEN = "ABDOMEN"
    LIVER = "LIVER"
    KIDNEY = "KIDNEY"
    PANCREAS = "PANCREAS"
    PELVIS = "PELVIS"
    PROSTATE = "PROSTATE"
    UTERUS = "UTERUS"
    ARM = "ARM"
    """The upper limb, or several of its parts."""
    SHOULDER = "SHOULDER"
    UPPERARM = "UPPERARM"
    ELBOW = "ELBOW"
    FOREARM = "FOREARM"
    WRIST = "WRIST"
    HAND = "HAND"
    LEG = "LEG"
    """The lower limb, or several of its parts."""
    HIP = "HIP"
    THIGH = "THIGH"
    KNEE = "KNEE"
    LOWERLEG = "LOWERLEG"
    ANKLE = "ANKLE"
    FOOT = "FOOT"
    WHOLEBODY = "WHOLEBODY"
    PHANTOM = "PHANTOM"
    SEVERAL = "SEVERAL"
    """Parts that do not lie in one other, such as chest and abdomen."""
    UNKNOWN = "UNKNOWN"


_P = BodyPart
_WITHIN: Mapping[BodyPart, BodyPart] = {
    _P.BRAIN: _P.HEAD,
    _P.PITUITARY: _P.BRAIN,
    _P.ORBIT: _P.HEAD,
    _P.EAR: _P.HEAD,
    **dict.fromkeys((_P.CSPINE, _P.TSPINE, _P.LSPINE, _P.SACRUM), _P.SPINE),
    **dict.fromkeys((_P.BREAST, _P.HEART), _P.CHEST),
    **dict.fromkeys((_P.LIVER, _P.KIDNEY, _P.PANCREAS), _P.ABDOMEN),
    **dict.fromkeys((_P.PROSTATE, _P.UTERUS), _P.PELVIS),
    **dict.fromkeys((_P.SHOULDER, _P.UPPERARM, _P.ELBOW, _P.FOREARM, _P.WRIST, _P.HAND), _P.ARM),
    **dict.fromkeys((_P.HIP, _P.THIGH, _P.KNEE, _P.LOWERLEG, _P.ANKLE, _P.FOOT), _P.LEG),
}

_CONCEPTS: Mapping[BodyPart, str] = {
    _P.HEAD: "Head Skull Face ParanasalSinus TemporomandibularJoint JawRegion Mandible Maxilla FacialBones",
    _P.BRAIN: "Brain Cerebellum CircleOfWillis CranialVenousSystem",
    _P.PITUITARY: "Pituitary SellaTurcica",
    _P.ORBIT: "OrbitalStructure Eye EyeRegion OpticCanal",
    _P.EAR: "Ear InternalAuditoryCanal MastoidBone",
    _P.NECK: "Neck Larynx Thyroid Parathyroid ParotidGland SubmandibularGland CarotidArtery",
    _P.SPINE: "Spine CervicoThoracicSpine ThoracoLumbarSpine",
    _P.CSPINE: "CervicalSpine",
    _P.TSPINE: "ThoracicSpine",
    _P.LSPINE: "LumbarSpine LumboSacralSpine",
    _P.SACRUM: "Sacrum Coccyx SacroCoccygealSpine SacroiliacJoint",
    _P.CHEST: "Chest Thorax Lung Mediastinum Sternum Rib",
    _P.BREAST: "Breast",
    _P.HEART: "Heart CoronaryArtery",
    _P.ABDOMEN: "Abdomen Spleen Stomach Gallbladder BileDuct BiliaryTract AdrenalGland SmallIntestine Colon",
    _P.LIVER: "Liver LiverAndBiliaryStructure",
    _P.KIDNEY: "Kidney",
    _P.PANCREAS: "Pancreas PancreaticDuct",
    _P.PELVIS: "Pelvis Bladder Rectum Anus",
    _P.PROSTATE: "Prostate",
    _P.UTERUS: "Uterus UterusAndFallopianTubes",
    _P.ARM: "UpperLimb BoneOfUpperLimb MuscleOfUpperLimb",
    _P.SHOULDER: "Shoulder AcromioclavicularJoint Scapula Clavicle",
    _P.UPPERARM: "UpperArm Humerus",
    _P.ELBOW: "ElbowJoint",
    _P.FOREARM: "Forearm",
    _P.WRIST: "WristJoint",
    _P.HAND: "Hand Finger Thumb",
    _P.LEG: "LowerLimb BoneOfLowerLimb MuscleOfLowerLimb",
    _P.HIP: "Hip HipJoint",
    _P.THIGH: "Thigh Femur",
    _P.KNEE: "Knee KneeJoint Patella",
    _P.LOWERLEG: "LowerLeg Fibula",
    _P.ANKLE: "AnkleJoint",
    _P.FOOT: "Foot Toe TarsalJoint Calcaneus",
    _P.WHOLEBODY: "EntireBody",
    _P.PHANTOM: "Phantom",
    _P.SEVERAL: "HeadAndNeck NeckAndChest ChestAndAbdomen AbdomenAndPelvis ChestAbdomenAndPelvis NeckChestAndAbdomen"
    " NeckChestAbdomenAndPelvis PelvisAndLowerExtremities VertebralColumnAndCranium",
}
"""Concepts of PS3.16 CID 4, 4030 and 4031, by the keywords that pydicom gives them."""

_EXACT: Mapping[str, BodyPart] = {
    "headneck": _P.SEVERAL,
    "neckchest": _P.SEVERAL,
    "chestabdomen": _P.SEVERAL,
    "abdomenpelvis": _P.SEVERAL,
    "chestabdpelvis": _P.SEVERAL,
    "neckchestabdpelv": _P.SEVERAL,
    "neckchestabdomen": _P.SEVERAL,
    "ctspine": _P.SPINE,
    "tlspine": _P.SPINE,
    "lsspine": _P.LSPINE,
    "sspine": _P.SACRUM,
    "iac": _P.EAR,
    "arm": _P.ARM,
    "leg": _P.LEG,
    "calf": _P.LOWERLEG,
    "body": _P.UNKNOWN,
}
"""Terms of Body Part Examined that the words below do not find or would mistake (PS3.16 Table L-1)."""

_LATIN: Mapping[BodyPart, str] = {
    _P.HEAD: r"head|skull|crani[a-z]*|kopf|schadel|tete|crane|hoofd|schedel|cabeza|craneo",
    _P.BRAIN: r"brain|cerebr[a-z]*|cerveau|encephal[a-z]*|gehirn|hirn|schadel-?hirn|hersenen|brein|encefalo",
    _P.PITUITARY: r"pituitar[a-z]*|sella|hypophys[a-z]*|hipofisis|hypofyse",
    _P.ORBIT: r"orbita?s?|orbites?|auge|augen|augenhohle|yeux|oog|ogen|ojos?|eyes?",
    _P.EAR: r"iacs?|internal auditory [a-z]*|felsenbeine?|innenohr|rochers?|oidos?|binnenoor|inner ear",
    _P.NECK: r"neck|hals|cou|cuello|nek",
    _P.SPINE: r"spine|spinal|rachis|columna|wirbelsaule|wervelkolom|myelon|moelle epiniere|medula espinal",
    _P.CSPINE: r"c[ -]?spine|cervical spine|hws|halswirbel[a-z]*|rachis cervical|columna cervical|cwk"
    r"|cervicale wervelkolom|nekwervels?",
    _P.TSPINE: r"t[ -]?spine|thoracic spine|dorsal spine|bws|brustwirbel[a-z]*|rachis (?:dorsal|thoracique)"
    r"|columna (?:dorsal|toracica)|twk|thoracale wervelkolom",
    _P.LSPINE: r"l[ -]?spine|lumbar|lumbal[a-z]*|lumbosacr[a-z]*|lws|lendenwirbel[a-z]*|(?:rachis )?lombaire|lwk",
    _P.SACRUM: r"sacrum|sacr[ou]-?ili[a-z]*|isg|iliosa[ck]ral[a-z]*|kreuzbein|heiligbeen",
    _P.CHEST: r"chest|thorax|thorac(?:ic|ique)|torax|lungs?|lunge|poumons?|longen|pulmones",
    _P.BREAST: r"breasts?|mamm[a-z]*|brustdruse|seins|mamas?|borst(?:en)?",
    _P.HEART: r"heart|cardiac|cardiaque|cardio[a-z]*|herz|kardio[a-z]*|coeur|hart|corazon|cardiaca",
    _P.ABDOMEN: r"abdom[a-z]*|bauch|oberbauch|buik|vientre",
    _P.LIVER: r"liver|hepat[a-z]*|leber|foie|lever|higado",
    _P.KIDNEY: r"kidneys?|renal|nieren?|reins|rinon(?:es)?",
    _P.PANCREAS: r"pan[ck]reas",
    _P.PELVIS: r"pelvis|pelvic|pelvien(?:ne)?|becken|bassin|bekken",
    _P.PROSTATE: r"prostat[a-z]*",
    _P.UTERUS: r"uterus|utero|uterine?|gebarmutter|baarmoeder",
    _P.SHOULDER: r"shoulder|schulter|epaule|schouder|hombro",
    _P.UPPERARM: r"upper ?arm|oberarm|humerus|bovenarm",
    _P.ELBOW: r"elbow|ell?enbogen|coude|elleboog|codo",
    _P.FOREARM: r"forearm|unterarm|avant-?bras|onderarm|antebrazo",
    _P.WRIST: r"wrist|handgelenk|poignet|pols|muneca",
    _P.HAND: r"hand|hande|fingers?|main (?:droite|gauche)|mano",
    _P.HIP: r"hips?|hufte?|hufgelenk|huftgelenk|hanches?|heup(?:en)?|caderas?",
    _P.THIGH: r"thigh|oberschenkel|cuisse|bovenbeen|muslo|femur",
    _P.KNEE: r"knees?|knie|kniegelenk|genoux?|rodillas?",
    _P.LOWERLEG: r"lower ?leg|unterschenkel|jambe|mollet|onderbeen|tibia",
    _P.ANKLE: r"ankle|sprunggelenk|osg|cheville|enkel|tobillo",
    _P.FOOT: r"foot|fuss|vorfuss|pied|voet|pie",
    _P.WHOLEBODY: r"whole[ -]?body|ganzkorper|corps entier|cuerpo entero",
    _P.PHANTOM: r"phantom|fantome?",
}
"""English, German, French, Dutch and Spanish, folded; whole words."""

_JAPANESE: Mapping[BodyPart, str] = {
    _P.HEAD: "頭部|頭蓋",
    _P.BRAIN: "脳(?!脊)",
    _P.PITUITARY: "下垂体",
    _P.ORBIT: "眼窩|眼球",
    _P.EAR: "内耳|内聴道|側頭骨",
    _P.NECK: "頸部|頚部",
    _P.SPINE: "脊椎|脊髄|全脊",
    _P.CSPINE: "頸椎|頚椎",
    _P.TSPINE: "胸椎",
    _P.LSPINE: "腰椎|腰仙",
    _P.SACRUM: "仙骨|仙腸",
    _P.CHEST: "胸部|肺",
    _P.BREAST: "乳房|乳腺",
    _P.HEART: "心臓",
    _P.ABDOMEN: "腹部",
    _P.LIVER: "肝",
    _P.KIDNEY: "腎",
    _P.PANCREAS: "膵",
    _P.PELVIS: "骨盤",
    _P.PROSTATE: "前立腺",
    _P.UTERUS: "子宮",
    _P.SHOULDER: "肩",
    _P.UPPERARM: "上腕",
    _P.ELBOW: "肘",
    _P.FOREARM: "前腕",
    _P.WRIST: "手関節|手首",
    _P.HAND: "手指|手部",
    _P.HIP: "股関節",
    _P.THIGH: "大腿",
    _P.KNEE: "膝",
    _P.LOWERLEG: "下腿",
    _P.ANKLE: "足関節",
    _P.FOOT: "足部|足趾",
    _P.WHOLEBODY: "全身",
    _P.PHANTOM: "ファントム",
}
_WORDS = {
    part: re.compile(rf"(?<![a-z])(?:{words})(?![a-z])|{_JAPANESE.get(part, '(?!)')}") for part, words in _LATIN.items()
}


def joined(parts: Iterable[BodyPart]) -> BodyPart | None:
    """Say in one word what several parts are: the innermost of those that lie in each other, else what holds all."""
    found = set(parts)
    inner = {one for one in found if not any(one in _around(other) for other in found)}
    if len(inner) <= 1:
        return next(iter(inner), None)
    common = set.intersection(*({one, *_around(one)} for one in inner))
    return max(common, key=lambda one: len(_around(one))) if common else BodyPart.SEVERAL


def is_akin(one: BodyPart, other: BodyPart) -> bool:
    """Tell whether two parts are the same or one lies in the other."""
    return one is other or one in _around(other) or other in _around(one)


def is_within(inner: BodyPart, outer: BodyPart) -> bool:
    """Tell whether a part lies in another."""
    return outer in _around(inner)


def part_of_code(scheme: str, value: str) -> BodyPart | None:
    """Find a part by its code, in SNOMED CT or in the older SNOMED RT (PS3.16 section 8.1)."""
    return _by_code().get((scheme, value))


def part_of_term(term: str) -> BodyPart | None:
    """Find the part that a folded term of Body Part Examined names, in the standard's words or in others."""
    exact = _EXACT.get("".join(term.replace("_", " ").split()))
    if exact is not None:
        return None if exact is BodyPart.UNKNOWN else exact
    return joined(parts_in_words(term))


def parts_in_words(words: str) -> set[BodyPart]:
    """List the parts that a folded description names; an underscore parts words."""
    spaced = words.replace("_", " ")
    return {part for part, pattern in _WORDS.items() if pattern.search(spaced)}


def _around(part: BodyPart) -> tuple[BodyPart, ...]:
    """List what a part lies in, from the nearest outwards."""
    outer = _WITHIN.get(part)
    return () if outer is None else (outer, *_around(outer))


@cache
def _by_code() -> Mapping[tuple[str, str], BodyPart]:
    """Look the codes up once; an older code means what its successor means."""
    current = {
        getattr(codes.SCT, keyword).value: part for part, keywords in _CONCEPTS.items() for keyword in keywords.split()
    }
    older = {old: current[new] for new, old in snomed_mapping["SCT"].items() if new in current}
    return {
        **{("SCT", value): part for value, part in current.items()},
        **{(scheme, value): part for value, part in older.items() for scheme in ("SRT", "SNM3", "99SDM")},
    }
