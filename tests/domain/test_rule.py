"""An explanation survives the ledger, and reads as a tree."""

import json

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.rule import Explanation

_EXPLANATIONS = st.recursive(
    st.builds(Explanation, holds=st.booleans(), text=st.text(max_size=20)),
    lambda children: st.builds(
        Explanation,
        holds=st.booleans(),
        text=st.text(max_size=20),
        children=st.lists(children, max_size=3).map(tuple),
    ),
    max_leaves=8,
)


@given(_EXPLANATIONS)
def test_an_explanation_comes_back_from_json_as_it_was(explanation: Explanation) -> None:
    assert Explanation.from_json(json.loads(json.dumps(explanation.to_json()))) == explanation


@given(_EXPLANATIONS)
def test_every_node_of_an_explanation_has_a_line(explanation: Explanation) -> None:
    def count(node: Explanation) -> int:
        return 1 + sum(count(child) for child in node.children)

    assert len(explanation.lines()) == count(explanation)


def test_an_explanation_reads_as_an_indented_tree() -> None:
    explanation = Explanation(
        holds=False,
        text="all of",
        children=(
            Explanation(holds=True, text="Modality is MR"),
            Explanation(holds=False, text="BodyPartExamined is BRAIN, found KNEE"),
        ),
    )
    assert explanation.lines() == ["✗ all of", "  ✓ Modality is MR", "  ✗ BodyPartExamined is BRAIN, found KNEE"]
