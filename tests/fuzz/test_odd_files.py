"""What becomes of each odd file that is known: sent by C-STORE and by STOW-RS, every one has its expected outcome."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

from tests.fuzz.bodies import request_of_files
from tests.fuzz.campaign import ONLY, assert_agreement, assert_at_rest, cases, damaged_offers, try_all
from tests.fuzz.conftest import Defects
from tests.fuzz.data_sets import EXPLICIT, IMPLICIT, Offer
from tests.fuzz.speaking import Associations, is_context_accepted
from tests.fuzz.trials import Outcome, Target, try_offer, try_request

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

_NO_DICOM = ("*.md", "*.txt", "README", "*.gz")
_WITHOUT_STUDY = (
    *("JPEGLSNearLossless_08.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "UN_sequence.dcm"),
    *("no_meta_group_length.dcm", "priv_SQ.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm", "JLSL_16_15_1_1F.dcm"),
)
_NAMED_OTHERWISE_INSIDE = ("rtdose*.dcm", "rtplan.dcm", "chrJapMulti.dcm")
"""Their file meta information names another instance than their data set: but not all of the rtdose files do."""
_THE_SAME_INSIDE = ("rtdose_rle.dcm", "rtdose_rle_1frame.dcm")
_UID_OF_LETTERS = ("bad_sequence.dcm",)
_WITHOUT_INSTANCE = ("empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm")
_DIRECTORIES = ("DICOMDIR*",)
_RETIRED_SYNTAXES = ("*_1.2.840.10008.1.2.4.53.dcm", "*_1.2.840.10008.1.2.4.55.dcm")
_WITHOUT_META = ("ExplVR_LitEndNoMeta.dcm", "rtstruct.dcm")


def expected(path: Path) -> Outcome:
    """Say what must become of a file by C-STORE, whose sender names what the file itself does not."""
    if _is_one_of(path, _WITHOUT_INSTANCE, _DIRECTORIES, _RETIRED_SYNTAXES):
        return Outcome.REFUSED
    if _is_one_of(path, _WITHOUT_STUDY, _UID_OF_LETTERS):
        return Outcome.QUARANTINED
    if _is_one_of(path, _NAMED_OTHERWISE_INSIDE) and not _is_one_of(path, _THE_SAME_INSIDE):
        return Outcome.QUARANTINED
    return Outcome.ACCEPTED


def expected_over_http(path: Path) -> Outcome:
    """Say what must become of a file that is sent as it is: without file meta information it is no Part 10 file."""
    return Outcome.REFUSED if _is_one_of(path, _WITHOUT_META) else expected(path)


def _is_one_of(path: Path, *patterns: tuple[str, ...]) -> bool:
    return any(path.match(pattern) for group in patterns for pattern in group)


def odd_files(shared_data: Path) -> list[Path]:
    folders = (shared_data / "dicom" / name for name in ("odd", "derived-objects", "codec-matrix"))
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not any(path.match(pattern) for pattern in _NO_DICOM)]


def as_offered(path: Path) -> Offer:
    """Announce a file as a lenient sender does: what its meta information lacks is taken from its data set."""
    try:
        found, start = split_dataset(path)
        meta = Dataset(found)
    except InvalidDicomError:
        meta, start = Dataset(), 0
    dataset = dcmread(path, force=True, stop_before_pixels=True)
    return Offer(
        what=path.name,
        sop_class=str(meta.get("MediaStorageSOPClassUID", dataset.get("SOPClassUID", ""))).encode(),
        sop_instance=str(meta.get("MediaStorageSOPInstanceUID", dataset.get("SOPInstanceUID", ""))).encode(),
        transfer_syntax=str(meta.get("TransferSyntaxUID", IMPLICIT if dataset.is_implicit_VR else EXPLICIT)),
        data_set=path.read_bytes()[start:],
    )


def may_be_sent(target: Target, offer: Offer) -> bool:
    return is_context_accepted(target.dicom_port, target.title, offer.sop_class.decode(), offer.transfer_syntax)


def test_each_by_c_store(target: Target, defects: Defects, associations: Associations, shared_data: Path) -> None:
    outcomes = {}
    for path in odd_files(shared_data):
        offer = as_offered(path)
        # Where the node does not take the context, a sender has no way to send it.
        outcomes[path] = Outcome.REFUSED
        if may_be_sent(target, offer):
            outcomes[path] = try_offer(target, associations, offer, offer.sop_class.decode())
    assert outcomes == {path: expected(path) for path in outcomes}
    assert len(outcomes) > 200
    assert defects.found == []


def test_each_by_store_request(target: Target, defects: Defects, shared_data: Path) -> None:
    files = odd_files(shared_data)
    outcomes = {path: try_request(target, request_of_files([path.read_bytes()])) for path in files}
    assert outcomes == {path: expected_over_http(path) for path in outcomes}
    assert defects.found == []


def test_more_damage(target: Target, defects: Defects, associations: Associations, shared_data: Path) -> None:
    start = target.opened()
    odd = [offer for path in odd_files(shared_data) if may_be_sent(target, offer := as_offered(path))]
    tally = try_all(cases("odd", 100), damaged_offers(target, associations, odd), defects.take)
    associations.close()
    assert_at_rest(target, start)
    assert_agreement(target)
    assert ONLY or Outcome.ACCEPTED in tally
