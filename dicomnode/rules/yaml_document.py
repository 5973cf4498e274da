"""Reading a YAML file into plain values, strictly: a key that stands twice is an error, not the last one wins."""

from pathlib import Path

import yaml

from dicomnode.domain.errors import InvalidRule


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses repeated keys and takes a bare = for the text it is."""

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


def _plain_text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    """Take a bare =, which YAML 1.1 gives a type of its own that PyYAML cannot construct, for the operator it is."""
    return loader.construct_yaml_str(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:value", _plain_text)


def read_yaml(path: Path) -> object:
    """Read a YAML file; raises InvalidRule when it is missing, is no YAML, or has a key twice."""
    try:
        loader = _StrictLoader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRule(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidRule(f"{path} is no text file in UTF-8") from error
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise InvalidRule(f"{path}:{place} {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRule(f"{path} is no YAML file: a value cannot be read, or is nested too deep") from error
    finally:
        loader.dispose()
