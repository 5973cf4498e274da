"""What the file meta information says, whatever the data set behind it is."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from dicomnode.imaging.file_meta import FileMeta, read_file_meta
from dicomnode.imaging.headers import encode_file_meta
from tests.builders import a_series, uid, write_series

OFFERED = OfferedInstance(
    sop_class_uid=SOPClassUID("1.2.840.10008.5.1.4.1.1.4"),
    sop_instance_uid=SOPInstanceUID(uid("one")),
    transfer_syntax_uid=TransferSyntaxUID("1.2.840.10008.1.2.4.90"),
    association=Association(calling_ae=AETitle("MR 1"), called_ae=AETitle("NODE"), peer_address="10.1.2.3"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=200))
def test_what_the_node_wrote_is_read_back_before_any_bytes(tmp_path: Path, behind: bytes) -> None:
    file = tmp_path / "one.dcm"
    file.write_bytes(encode_file_meta(OFFERED) + behind)
    assert read_file_meta(file) == FileMeta(
        sop_class_uid=OFFERED.sop_class_uid,
        sop_instance_uid=OFFERED.sop_instance_uid,
        transfer_syntax_uid=OFFERED.transfer_syntax_uid,
        source_ae=None,
    )


def test_a_file_that_names_no_sender_has_none(tmp_path: Path) -> None:
    (file,) = write_series(tmp_path, a_series(slices=1))
    assert read_file_meta(file).source_ae is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=400) | st.integers(0, 330).map(lambda cut: encode_file_meta(OFFERED)[:cut]))
def test_other_bytes_are_said_to_name_no_instance_or_name_one(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "any.dcm"
    file.write_bytes(data)
    try:
        meta = read_file_meta(file)
    except MalformedInstance:
        return
    assert len(data) > 144
    assert meta.sop_instance_uid


def test_a_file_that_is_gone_names_no_instance(tmp_path: Path) -> None:
    with pytest.raises(MalformedInstance, match="names no instance"):
        read_file_meta(tmp_path / "gone.dcm")
