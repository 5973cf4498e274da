"""The log tells what broke and where, and nothing of what was being worked on."""

import json
import logging
from collections.abc import Iterator

import pytest

from dicomnode.node.logs import write_logs
from tests.builders import PATIENT_NAME


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_traceback_leaves_out_what_its_frames_held(capsys: pytest.CaptureFixture[str]) -> None:
    write_logs(logging.INFO)

    def work(data_set: str) -> None:
        raise RuntimeError(f"a defect after {len(data_set)} characters")

    try:
        work(PATIENT_NAME)
    except RuntimeError:
        logging.getLogger("dicomnode").exception("it broke")
    written = capsys.readouterr().err
    line = json.loads(written)
    assert line["event"] == "it broke"
    assert line["exception"][0]["frames"][-1]["name"] == "work"
    assert PATIENT_NAME not in written
