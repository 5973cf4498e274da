"""A program that starts receivers and waits to be killed: python -m tests.node.receivers_program FOLDER PORT."""

import signal
import sys
from pathlib import Path

from dicomnode.node.receivers import Receivers
from dicomnode.node.settings import Settings

if __name__ == "__main__":
    Receivers(Settings(data=Path(sys.argv[1]), dicom_port=int(sys.argv[2]))).start()
    print("listening", flush=True)
    signal.pause()
