"""Values for the ledger's tests, each complete, each with the parts that a test cares about to be named."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dicomnode.domain.association import Association
from dicomnode.domain.delivery import StoreOutcome
from dicomnode.domain.derivation import (
    Alignment,
    Derivation,
    DerivationInput,
    DerivationReport,
    DerivedInstance,
    ModelIdentity,
    Preparation,
)
from dicomnode.domain.door import Cause, Visitor
from dicomnode.domain.study import InstanceHeader, ReceivedInstance
from dicomnode.domain.uids import (
    AETitle,
    SeriesInstanceUID,
    SOPClassUID,
    SOPInstanceUID,
    StudyInstanceUID,
    TransferSyntaxUID,
)
from dicomnode.ledger.refusals import RefusalRecord

NOW = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
STUDY = StudyInstanceUID("1.2.826.1")
SERIES = SeriesInstanceUID("1.2.826.1.1")
DERIVED_SERIES = SeriesInstanceUID("2.25.77")
MR_IMAGE_STORAGE = SOPClassUID("1.2.840.10008.5.1.4.1.1.4")
EXPLICIT_LITTLE_ENDIAN = TransferSyntaxUID("1.2.840.10008.1.2.1")
SENDER = Association(calling_ae=AETitle("SCANNER"), called_ae=AETitle("NODE"), peer_address="10.1.2.3")
MODEL = ModelIdentity(name="mr-flair", version="1.0.0", weights_digest="ab" * 32)


def later(seconds: float) -> datetime:
    """Give the instant so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def received(
    number: int = 1,
    *,
    study: str = STUDY,
    series: str = SERIES,
    digest: str | None = None,
    at: datetime = NOW,
    header: dict[str, object] | None = None,
) -> ReceivedInstance:
    """Build the receipt of the instance of a number."""
    placed = InstanceHeader(
        study_instance_uid=StudyInstanceUID(study),
        series_instance_uid=SeriesInstanceUID(series),
        sop_instance_uid=SOPInstanceUID(f"{series}.{number}"),
        sop_class_uid=MR_IMAGE_STORAGE,
        modality="MR",
        patient_id="T-0001",
        patient_name="Testperson^Tilda",
        accession_number="ACC-1",
        study_date="20260301",
        study_description="MR head",
        series_description="t1 se tra",
        series_number=1,
        instance_number=number,
    )
    content = digest or f"{number:064x}"
    return ReceivedInstance(
        header=replace(placed, **(header or {})),  # type: ignore[arg-type]
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        digest=content,
        size=1000 + number,
        path=f"instances/{content[:2]}/{content}.dcm",
        association=SENDER,
        received_at=at,
    )


def a_refusal(
    calling: str = "SCANNER",
    cause: Cause = Cause.CALLED_AE,
    *,
    said: str = "called AE title OTHER is not one of this node's",
    times: int = 1,
    at: datetime = NOW,
) -> RefusalRecord:
    """Build a refusal that came so often at one instant."""
    visitor = Visitor(peer_address="10.1.2.3", calling_ae=calling, called_ae="OTHER")
    return RefusalRecord(visitor=visitor, cause=cause, said=said, times=times, first_at=at, last_at=at)


def a_derivation(key: str = "derive:content:rule:model", *, revision: int = 1, rule: str = "FLAIR") -> Derivation:
    """Build a derivation with two inputs and two destinations."""
    return Derivation(
        key=key,
        study_instance_uid=STUDY,
        revision=revision,
        rule=rule,
        model=MODEL,
        target_role="t1",
        inputs=(
            DerivationInput(
                role="t1",
                series_instance_uid=SERIES,
                sop_instance_uids=(SOPInstanceUID(f"{SERIES}.1"), SOPInstanceUID(f"{SERIES}.2")),
            ),
            DerivationInput(
                role="t2",
                series_instance_uid=SeriesInstanceUID("1.2.826.1.2"),
                sop_instance_uids=(SOPInstanceUID("1.2.826.1.2.1"),),
            ),
        ),
        destinations=("pacs", "archive"),
        priority=1,
        decided_at=NOW,
        preparation=Preparation(alignment=Alignment.RIGID, missing_slices=2),
    )


def derived(count: int = 3, *, series: SeriesInstanceUID = DERIVED_SERIES) -> tuple[DerivedInstance, ...]:
    """Build the instances of a derived series."""
    return tuple(
        DerivedInstance(
            sop_instance_uid=SOPInstanceUID(f"{series}.{number}"),
            series_instance_uid=series,
            sop_class_uid=MR_IMAGE_STORAGE,
            transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
            digest=f"{number:064d}",
            size=2000 + number,
            path=f"instances/00/{number:064d}.dcm",
            instance_number=number,
        )
        for number in range(1, count + 1)
    )


REPORT = DerivationReport(
    durations={"model": 2.5, "write": 0.5},
    alignment={"t2": {"method": "rigid", "shift_mm": 0.4}},
    labels={"Modality": "MR", "SeriesNumber": "9001"},
    checks={"dciodvfy": "no errors"},
    series_description="SYNTH FLAIR",
)


def outcomes(instances: Sequence[DerivedInstance], status: int = 0, **answer: bool) -> tuple[StoreOutcome, ...]:
    """Build one equal answer for each instance; success unless said otherwise."""
    said = {"stored": True, "retryable": False, **answer}
    return tuple(
        StoreOutcome(
            sop_instance_uid=instance.sop_instance_uid,
            status=status,
            stored=said["stored"],
            retryable=said["retryable"],
            comment="" if said["stored"] else "said no",
        )
        for instance in instances
    )
