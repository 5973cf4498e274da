from pathlib import Path

import pytest

from dicomnode.domain.errors import MalformedInstance
from dicomnode.node.files import instance_files
from tests.builders import a_series, write_series


def test_folders_are_searched_and_other_files_passed_over(tmp_path: Path) -> None:
    written = write_series(tmp_path / "a" / "b", a_series(slices=3))
    (tmp_path / "a" / "notes.txt").write_text("not DICOM")
    assert instance_files([tmp_path / "a"]) == tuple(written)
    assert instance_files([written[1]]) == (written[1],)


def test_a_named_file_must_be_dicom(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(MalformedInstance, match=r"notes\.txt is no DICOM file"):
        instance_files([tmp_path / "notes.txt"])


def test_folders_without_dicom_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(MalformedInstance, match="no DICOM file"):
        instance_files([tmp_path])
