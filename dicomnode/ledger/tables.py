"""The ledger's tables: what is true of every study, instance, decision, derivation and delivery."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UID = sa.String(64)
JSON = dict[str, Any]


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware instant, kept as naive UTC because SQLite has no time zones."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware instant into naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give back an aware instant."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables of the ledger."""

    type_annotation_map = {datetime: UtcDateTime(), JSON: sa.JSON(), list[Any]: sa.JSON()}  # noqa: RUF012  SQLAlchemy's own hook


class StudyRow(Base):
    """One study: how many received instances are in use, and how many of them the last revision saw."""

    __tablename__ = "study"
    # Hashed, because PostgreSQL refuses a row whose text is too long for an ordered index.
    __table_args__ = (
        sa.Index("ix_study_patient_id", "patient_id", postgresql_using="hash"),
        sa.Index("ix_study_accession_number", "accession_number", postgresql_using="hash"),
        # Few studies have news at a time, among all that were ever received.
        sa.Index(
            "ix_study_with_news",
            "study_instance_uid",
            sqlite_where=sa.text("instances > complete_instances"),
            postgresql_where=sa.text("instances > complete_instances"),
        ),
    )

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    patient_id: Mapped[str] = mapped_column(sa.Text, default="")
    patient_name: Mapped[str] = mapped_column(sa.Text, default="")
    accession_number: Mapped[str] = mapped_column(sa.Text, default="")
    study_date: Mapped[str] = mapped_column(sa.Text, default="")
    description: Mapped[str] = mapped_column(sa.Text, default="")
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime] = mapped_column(index=True)
    instances: Mapped[int]
    complete_instances: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)
    held: Mapped[str | None] = mapped_column(sa.Text)
    """Why a person wants it kept; null where retention may decide."""


class SeriesRow(Base):
    """One series of a study."""

    __tablename__ = "series"

    series_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    modality: Mapped[str] = mapped_column(sa.Text, default="")
    series_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    description: Mapped[str] = mapped_column(sa.Text, default="")
    origin: Mapped[str] = mapped_column(sa.String(16))


class InstanceRow(Base):
    """One content of one SOP Instance UID; a second content of the same UID is kept with `in_use` false."""

    __tablename__ = "instance"
    __table_args__ = (
        sa.UniqueConstraint("sop_instance_uid", "digest"),
        # Lists count the instances of each series of many studies: with all three columns no row has to be read for it.
        sa.Index("ix_instance_place", "study_instance_uid", "series_instance_uid", "in_use"),
        sa.Index(
            "one_in_use",
            "sop_instance_uid",
            unique=True,
            sqlite_where=sa.text("in_use"),
            postgresql_where=sa.text("in_use"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    study_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(UID)
    instance_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    origin: Mapped[str] = mapped_column(sa.String(16))
    in_use: Mapped[bool] = mapped_column(default=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    path: Mapped[str] = mapped_column(sa.Text)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    calling_ae: Mapped[str] = mapped_column(sa.String(16), default="")
    called_ae: Mapped[str] = mapped_column(sa.String(16), default="")
    peer_address: Mapped[str] = mapped_column(sa.String(64), default="")
    received_at: Mapped[datetime] = mapped_column(index=True)


class HeaderRow(Base):
    """The header of one instance in the DICOM JSON Model, read once; it goes when the instance's row goes."""

    __tablename__ = "header"

    instance_id: Mapped[int] = mapped_column(
        sa.ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    problem: Mapped[str] = mapped_column(sa.Text, default="")
    """Why there is no header: its file could not be read."""
    summary: Mapped[str | None] = mapped_column(sa.Text)
    """What searches answer with, as JSON; it stands in front of the document, so that lists need not read that."""
    document: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """The whole header, as JSON that is compressed with zlib."""


class RevisionRow(Base):
    """A study at a moment when it was taken to be complete."""

    __tablename__ = "revision"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    instances: Mapped[int]
    evidence: Mapped[list[Any]]
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class RuleSetRow(Base):
    """An immutable version of the rules, kept so that every decision can be replayed."""

    __tablename__ = "rule_set"

    version: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    document: Mapped[JSON]
    at: Mapped[datetime]


class DecisionRow(Base):
    """What one rule said about one revision of a study, and why."""

    __tablename__ = "decision"
    __table_args__ = (sa.UniqueConstraint("study_instance_uid", "revision", "rule"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    revision: Mapped[int]
    rule: Mapped[str] = mapped_column(sa.Text)
    rule_set_version: Mapped[str] = mapped_column(sa.String(64))
    fired: Mapped[bool]
    problem: Mapped[str | None] = mapped_column(sa.Text)
    explanation: Mapped[JSON]
    bindings: Mapped[list[Any]]
    excluded: Mapped[list[Any]]
    shadow: Mapped[bool] = mapped_column(default=False)
    actions: Mapped[list[Any]] = mapped_column(default=list)
    """What was asked for, each with the key of the work that follows from it."""
    derivation_key: Mapped[str | None] = mapped_column(sa.String(160))
    """The first of these keys."""
    at: Mapped[datetime]


class DerivationRow(Base):
    """One piece of synthesis work; the key makes the same work impossible to do twice."""

    __tablename__ = "derivation"

    key: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    revision: Mapped[int]
    rule: Mapped[str] = mapped_column(sa.Text)
    model_name: Mapped[str] = mapped_column(sa.String(64))
    model_version: Mapped[str] = mapped_column(sa.String(32))
    weights_digest: Mapped[str] = mapped_column(sa.String(64))
    target_role: Mapped[str] = mapped_column(sa.String(64))
    inputs: Mapped[list[Any]]
    preparation: Mapped[JSON]
    destinations: Mapped[list[Any]]
    priority: Mapped[int]
    shadow: Mapped[bool] = mapped_column(default=False)
    label_language: Mapped[str] = mapped_column(sa.String(8), default="en")
    superseded: Mapped[str] = mapped_column(sa.String(16), default="retain")
    """What becomes of the series of an earlier revision when this one is made."""
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    round: Mapped[int] = mapped_column(default=1)
    error: Mapped[str] = mapped_column(sa.String(64), default="")
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    series_instance_uid: Mapped[str | None] = mapped_column(UID)
    report: Mapped[JSON | None]
    decided_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class DeliveryRow(Base):
    """One derived instance on its way to one destination."""

    __tablename__ = "delivery"

    derivation_key: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    destination: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    status: Mapped[int | None]
    comment: Mapped[str] = mapped_column(sa.Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    round: Mapped[int] = mapped_column(default=1)
    at: Mapped[datetime]


class EventRow(Base):
    """One line of a study's timeline, in the words an operator reads."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    step: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16))
    text: Mapped[str] = mapped_column(sa.Text)
    seconds: Mapped[float | None]
    detail: Mapped[JSON | None]


class RefusalRow(Base):
    """Who was turned away for which cause: one row however often it comes again, with its last words."""

    __tablename__ = "refusal"

    calling_ae: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    called_ae: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    peer_address: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    cause: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    said: Mapped[str] = mapped_column(sa.Text)
    times: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)


class PeerRow(Base):
    """A system that this node knows by its title, and how C-ECHO last went, from here and from there."""

    __tablename__ = "peer"

    ae_title: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    networks: Mapped[list[Any]]
    host: Mapped[str | None] = mapped_column(sa.Text)
    port: Mapped[int | None]
    tls_trusted: Mapped[str | None] = mapped_column(sa.Text)
    """The file of the authorities that its certificate may come from; none: it is reached over plain connections."""
    tls_certificate: Mapped[str | None] = mapped_column(sa.Text)
    tls_key: Mapped[str | None] = mapped_column(sa.Text)
    tls_check_host_name: Mapped[bool | None]
    maximum_associations: Mapped[int | None]
    description: Mapped[str] = mapped_column(sa.Text)
    changed_at: Mapped[datetime]
    echoed_at: Mapped[datetime | None]
    echo_milliseconds: Mapped[float | None]
    echo_failure: Mapped[str] = mapped_column(sa.Text, default="")
    heard_at: Mapped[datetime | None]
    heard_from: Mapped[str] = mapped_column(sa.String(64), default="")


class QuarantineRow(Base):
    """Bytes that were refused but kept, for a person to look at."""

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    path: Mapped[str] = mapped_column(sa.Text)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    calling_ae: Mapped[str] = mapped_column(sa.String(16))
    peer_address: Mapped[str] = mapped_column(sa.String(64))
    sop_instance_uid: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.Text)


class CommitmentRow(Base):
    """A request for storage commitment: each instance as [class, UID], and of the failed ones also the reason."""

    __tablename__ = "commitment"

    transaction_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    calling_ae: Mapped[str] = mapped_column(sa.String(16))
    called_ae: Mapped[str] = mapped_column(sa.String(16))
    peer_address: Mapped[str] = mapped_column(sa.String(64))
    instances: Mapped[list[Any]]
    failed: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(sa.String(16))
    attempts: Mapped[int]
    reason: Mapped[str] = mapped_column(sa.Text)
    requested_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class PerformedStepRow(Base):
    """What a modality said of one performed procedure step: its series, each as [UID, instances], and all the rest."""

    __tablename__ = "performed_step"

    sop_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(16))
    series: Mapped[list[Any]]
    attributes: Mapped[JSON]
    calling_ae: Mapped[str] = mapped_column(sa.String(16))
    called_ae: Mapped[str] = mapped_column(sa.String(16))
    peer_address: Mapped[str] = mapped_column(sa.String(64))
    begun_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class PerformedStepStudyRow(Base):
    """One study that a performed procedure step belongs to, at its place among them."""

    __tablename__ = "performed_step_study"

    sop_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True, index=True)
    place: Mapped[int]


class RemovalRow(Base):
    """A file of the spool that no row names any more because retention decided so; it is still to be unlinked."""

    __tablename__ = "removal"

    path: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID)
    at: Mapped[datetime]


class ExecutorRow(Base):
    """A running worker and when it last said that it lives."""

    __tablename__ = "executor"

    executor_id: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    beat_at: Mapped[datetime]


class TakeOverRow(Base):
    """How often a job was taken over from a dead worker; the third time it is parked."""

    __tablename__ = "take_over"

    workflow_id: Mapped[str] = mapped_column(sa.String(256), primary_key=True)
    times: Mapped[int]
    parked: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]
