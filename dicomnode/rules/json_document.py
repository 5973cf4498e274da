"""JSON and plain values: read as strictly as YAML, where a key that stands twice is an error."""

import json

from dicomnode.domain.errors import InvalidRule


def read_json_text(text: str, source: str) -> object:
    """Read JSON (RFC 8259); raises InvalidRule, in which `source` says where the text came from."""
    try:
        return json.loads(text, object_pairs_hook=_mapping, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise InvalidRule(f"{source}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except InvalidRule as error:
        raise InvalidRule(f"{source}: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRule(f"{source} is no JSON: a value cannot be read, or is nested too deep") from error


def write_json(document: object) -> str:
    """Write plain values as JSON that `read_json_text` reads back to the same."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise InvalidRule(f"the key '{key}' stands twice")
        seen[key] = value
    return seen


def _no_number(written: str) -> object:
    raise InvalidRule(f"{written} is no number of JSON")
