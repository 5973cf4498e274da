from dicomnode.imaging.attributes import number, text, texts
from dicomnode.imaging.functional_groups import as_classic, frame_macros, number_of_frames
from tests.builders import a_series
from tests.imaging.enhanced import an_enhanced_mr


def test_a_classic_instance_is_left_as_it_is() -> None:
    (dataset,) = a_series(slices=1)
    assert as_classic(dataset) is dataset
    assert number_of_frames(dataset) == 1
    assert list(frame_macros(dataset, "MREchoSequence")) == []


def test_an_enhanced_instance_reads_like_a_classic_one() -> None:
    dataset = an_enhanced_mr(PulseSequenceName="*tfl3d1")
    classic = as_classic(dataset)
    assert (number(classic, "RepetitionTime"), number(classic, "FlipAngle")) == (1800, 9)
    assert (number(classic, "EchoTime"), number(classic, "InversionTime")) == (2.41, 900)
    assert text(classic, "SequenceName") == "*tfl3d1"
    assert texts(classic, "ImageOrientationPatient") != ()
    assert "EchoTime" not in dataset


def test_what_the_root_says_comes_first() -> None:
    dataset = an_enhanced_mr(RepetitionTime=5, InversionTime=0)
    assert number(as_classic(dataset), "RepetitionTime") == 5
    assert number(as_classic(dataset), "InversionTime") == 0


def test_the_frames_are_walked_through_after_what_they_share() -> None:
    frames = [{"MREchoSequence": {"EffectiveEchoTime": time}} for time in (1.5, 3.0, 4.5)]
    dataset = an_enhanced_mr(shared={"MREchoSequence": {"EffectiveEchoTime": 99.0}}, frames=frames)
    echoes = [number(macro, "EffectiveEchoTime") for macro in frame_macros(dataset, "MREchoSequence")]
    assert echoes == [99, 1.5, 3, 4.5]
    assert number_of_frames(dataset) == 3


def test_a_broken_number_of_frames_is_one_frame() -> None:
    assert [number_of_frames(an_enhanced_mr(NumberOfFrames=count)) for count in (None, 0, -3)] == [1, 1, 1]
