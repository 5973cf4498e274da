"""What a peer says when it rejects or aborts an association, in plain words (PS3.8 Tables 9-21 and 9-26)."""

from collections.abc import Mapping

_RESULTS: Mapping[int, str] = {1: "rejected for good", 2: "rejected for now"}
_SOURCES: Mapping[int, str] = {
    1: "by the application",
    2: "by its upper layer (association control)",
    3: "by its upper layer (presentation)",
}
_REJECTION_REASONS: Mapping[tuple[int, int], str] = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_ABORT_SOURCES: Mapping[int, str] = {0: "by the application", 2: "by its upper layer"}
_ABORT_REASONS: Mapping[int, str] = {
    0: "no reason given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def rejection(result: int | None, source: int | None, reason: int | None) -> str:
    """Say in words what an A-ASSOCIATE-RJ means, numbers that the standard does not know included."""
    said = _REJECTION_REASONS.get((source or 0, reason or 0), f"reason {reason}")
    return f"{_RESULTS.get(result or 0, f'result {result}')} {_SOURCES.get(source or 0, f'by source {source}')}: {said}"


def abortion(source: int | None, reason: int | None) -> str:
    """Say in words what an A-ABORT means; only an upper layer gives a reason (PS3.8 Table 9-26)."""
    who = _ABORT_SOURCES.get(-1 if source is None else source, f"by source {source}")
    if source == 0:
        return who
    return f"{who}: {_ABORT_REASONS.get(-1 if reason is None else reason, f'reason {reason}')}"
