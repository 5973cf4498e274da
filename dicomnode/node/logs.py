"""What the node writes to its log: one JSON line an event, ids only."""

import logging
import sys
import warnings

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def write_logs(level: int) -> None:
    """Send every log record to standard error as one JSON line with a UTC time stamp."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Without the frames' variables: they hold bytes of data sets.
                structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These libraries write identifiers or values of data sets into their messages; pydicom even into warnings.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    # Stopping abandons the children's semaphores on purpose; the process that clears them up would complain.
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    for name in ("pynetdicom", "highdicom", "dbos", "httpx", "httpcore", "uvicorn.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
