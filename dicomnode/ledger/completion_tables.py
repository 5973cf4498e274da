"""The tables of what tells that a study is complete; all but the links to commitments go when a revision begins."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.ledger.tables import UID, Base


class SendingRow(Base):
    """The associations of one receiver over which instances of one study came."""

    __tablename__ = "sending"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    receiver: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """One process, from its start to its end; one that was killed leaves associations open for ever here."""
    open_associations: Mapped[int]
    calling_ae: Mapped[str] = mapped_column(sa.String(16))
    """Who used the last of them."""
    is_released: Mapped[bool]
    """Whether every one that ended was released, and none broken off."""
    changed_at: Mapped[datetime] = mapped_column(index=True)


class CommitmentStudyRow(Base):
    """One study that a request for storage commitment is about."""

    __tablename__ = "commitment_study"

    transaction_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True, index=True)


class CompletionRequestRow(Base):
    """A person's word that a study is to be taken as complete."""

    __tablename__ = "completion_request"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    asked_by: Mapped[str] = mapped_column(sa.Text)
    at: Mapped[datetime]


class ArchiveCountRow(Base):
    """How many instances of a study an archive says it has, and how often in a row it said so."""

    __tablename__ = "archive_count"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    archive: Mapped[str] = mapped_column(sa.String(64))
    instances: Mapped[int]
    times: Mapped[int]
    at: Mapped[datetime]


class WaitingRow(Base):
    """What the node waits for before it takes a study to be complete."""

    __tablename__ = "waiting"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    until: Mapped[datetime]
    why: Mapped[list[Any]]
