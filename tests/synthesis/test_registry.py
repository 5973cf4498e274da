from hashlib import sha256
from pathlib import Path

import pytest

from dicomnode.domain.errors import InvalidValue, ModelNotFound
from dicomnode.domain.model_card import OutputDeclaration
from dicomnode.synthesis.registry import Registry, card_problems, identify
from tests.synthesis.models import DoublingModel, a_card

MODEL_SOURCE = """
from tests.synthesis.models import DoublingModel, a_card

class Tripling(DoublingModel):
    card = a_card(name="{name}")
"""


class WithWeights(DoublingModel):
    card = a_card(name="with-weights", weights="weights.bin")
    file = Path("weights.bin")

    def weights(self) -> Path | None:
        return self.file


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, as site-packages is, with one package that announces several plug-ins."""
    plugins = {
        "tripling": MODEL_SOURCE.format(name="tripling"),
        "misnamed": MODEL_SOURCE.format(name="another-name"),
        "no-import": "import a_library_that_is_not_here\n",
        "no-syntax": "class Tripling(:\n",
        "raising": "raise RuntimeError('this host\\nis too old')\n",
        "no-model": "class Tripling:\n    card = None\n",
        "no-card": "import pydantic\nfrom tests.synthesis.models import a_card\na_card(version='one')\n",
    }
    points = ["[dicomnode.models]"]
    for name, source in plugins.items():
        module = f"plugin_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        points.append(f"{name} = {module}:Tripling")
    info = tmp_path / "plugins_of_the_tests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins-of-the-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_installed_plugins_are_found_and_the_broken_ones_are_listed_with_their_reason(installed: Path) -> None:
    registry = Registry.discover()
    assert "tripling" in registry.names()
    reasons = {broken.name: broken.reason for broken in registry.broken}
    assert "a_library_that_is_not_here" in reasons["no-import"]
    assert reasons["no-syntax"].startswith("SyntaxError")
    assert reasons["raising"] == "RuntimeError: this host is too old"
    assert "does not have the form" in reasons["no-model"]
    assert "version" in reasons["no-card"]
    assert "its card another-name" in reasons["misnamed"]
    assert not set(reasons) & set(registry.names())


def test_a_broken_plugin_is_not_called_uninstalled(installed: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"installed but broken \(RuntimeError: this host is too old\)"):
        Registry.discover().entry("raising")


def test_an_unknown_name_gets_the_nearest_one() -> None:
    registry = Registry([DoublingModel()])
    with pytest.raises(ModelNotFound, match="did you mean doubling"):
        registry.entry("dubling")
    with pytest.raises(ModelNotFound, match=r"not installed here$"):
        registry.model("zebra")


def test_an_entry_tells_card_identity_and_what_is_missing() -> None:
    class Lacking(DoublingModel):
        lacking = ("There is no GPU.",)

    entry = Registry([Lacking()]).entry("doubling")
    assert (entry.identity.name, entry.identity.version) == ("doubling", "1.2.3")
    assert entry.missing == ("There is no GPU.",)
    assert entry.card == Lacking.card
    assert entry.weights is None


def test_every_model_that_is_given_out_is_new() -> None:
    registry = Registry([DoublingModel()])
    assert registry.model("doubling") is not registry.model("doubling")


def test_the_digest_is_that_of_the_weights_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"weights")
    monkeypatch.setattr(WithWeights, "file", file)
    assert identify(WithWeights()).weights_digest == sha256(b"weights").hexdigest()
    file.write_bytes(b"others!")
    assert identify(WithWeights()).weights_digest == sha256(b"others!").hexdigest()


def test_without_weights_the_digest_is_that_of_the_card() -> None:
    class Reworded(DoublingModel):
        card = a_card(summary="Doubles what it is given.")

    assert identify(DoublingModel()) == identify(DoublingModel())
    assert identify(DoublingModel()) != identify(Reworded())


def test_lost_weights_are_an_error_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WithWeights, "file", tmp_path / "weights.bin")
    with pytest.raises(OSError, match="weights"):
        identify(WithWeights())


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidValue, match="another plug-in"):
        Registry([DoublingModel(), DoublingModel()])


def test_a_card_that_contradicts_itself_is_refused() -> None:
    card = a_card(target_role="t9", weights="w.bin", output=OutputDeclaration(label="X", weighting="T2", units="HU"))
    assert len(card_problems(card, None)) == 3

    class Contradicting(DoublingModel):
        pass

    Contradicting.card = card
    with pytest.raises(InvalidValue, match="target role t9"):
        Registry([Contradicting()])
