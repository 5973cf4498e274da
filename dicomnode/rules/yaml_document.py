"""YAML and plain values: read strictly, where a key that stands twice is an error, and written as a person would."""

from pathlib import Path

import yaml

from dicomnode.domain.errors import InvalidRule

_LINE_WIDTH = 120
_LINE_BREAKS = "\n\r\x85\u2028\u2029"


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses repeated keys and takes =, dates and times of day for the text they are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Read a mapping; raises ConstructorError where a key stands twice."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen and key is not None:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _PlainDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which writes a value out at each place where it stands."""

    def ignore_aliases(self, data: object) -> bool:
        """Write no anchors: they mean nothing to whoever edits the file."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Write a text; one with breaks of lines is escaped, because folding would make one of Unicode's into a space."""
    has_breaks = any(one in text for one in _LINE_BREAKS)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if has_breaks else None)


_PlainDumper.add_representer(str, _text)


def _plain_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    """Take a bare = or a date, to which YAML 1.1 gives types of their own that JSON lacks, for the text it is."""
    return loader.construct_yaml_str(node)


def _number(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    """Read a number, but leave a time of day as text: 19:00 is 1140 to YAML 1.1, which counts in sixties."""
    if not isinstance(node, yaml.ScalarNode) or ":" in node.value:
        return loader.construct_yaml_str(node)
    is_whole = node.tag.endswith(":int")
    return loader.construct_yaml_int(node) if is_whole else loader.construct_yaml_float(node)


for _tag, _reader in (("value", _plain_text), ("timestamp", _plain_text), ("int", _number), ("float", _number)):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _reader)


def read_yaml(path: Path) -> object:
    """Read a YAML file; raises InvalidRule when it is missing, is no YAML, or has a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRule(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRule(f"{path} is no text file in UTF-8") from error
    return read_yaml_text(text, str(path))


def read_yaml_text(text: str, source: str) -> object:
    """Read YAML; raises InvalidRule, in which `source` says where the text came from."""
    try:
        loader = _StrictLoader(text)
    except yaml.YAMLError as error:
        raise InvalidRule(f"{source} is no text file in UTF-8") from error
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise InvalidRule(f"{source}:{place} {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRule(f"{source} is no YAML file: a value cannot be read, or is nested too deep") from error
    finally:
        loader.dispose()


def write_yaml(document: object) -> str:
    """Write plain values as YAML that `read_yaml_text` reads back to the same; short lists and mappings on one line."""
    return yaml.dump(
        document, Dumper=_PlainDumper, allow_unicode=True, default_flow_style=None, sort_keys=False, width=_LINE_WIDTH
    )
