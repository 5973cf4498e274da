"""The log tells what broke and where, and nothing of what was being worked on."""

import json
import subprocess
import sys

from tests.builders import PATIENT_NAME

# A process of its own: the node sets the log of its whole process up.
_BREAKS = """
import logging, sys
from dicomnode.node.logs import write_logs

def work(data_set):
    raise RuntimeError(f"a defect after {len(data_set)} characters")

write_logs(logging.INFO)
try:
    work(sys.argv[1])
except RuntimeError:
    logging.getLogger("dicomnode").exception("it broke")
"""


def test_a_traceback_leaves_out_what_its_frames_held() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _BREAKS, PATIENT_NAME], capture_output=True, text=True, timeout=60, check=True
    )
    line = json.loads(told.stderr)
    assert line["event"] == "it broke"
    assert line["exception"][0]["frames"][-1]["name"] == "work"
    assert PATIENT_NAME not in told.stderr
