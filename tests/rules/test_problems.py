from dicomnode.rules.problems import problem, suggestion


def test_a_close_name_is_suggested_without_regard_to_case() -> None:
    known = ["Modality", "Modalities", "Weighting"]
    assert suggestion("modality", known) == ", did you mean 'Modality'?"
    assert suggestion("MODALTY", known) == ", did you mean 'Modality'?"
    assert suggestion("Wieghting", known) == ", did you mean 'Weighting'?"


def test_nothing_is_suggested_where_nothing_is_close() -> None:
    assert suggestion("Manufacturer", ["Modality"]) == ""
    assert suggestion("", ["Modality"]) == ""


def test_braces_in_a_problem_stay_as_they_are() -> None:
    assert problem("no {place} for {0}").message() == "no {place} for {0}"
