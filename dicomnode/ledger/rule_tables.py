"""The tables of the rules as people keep them: versions in force, the draft, and the facts of studies."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.ledger.tables import JSON, UID, Base


class RulePublicationRow(Base):
    """One time that a version of the rules came into force; the highest number is in force."""

    __tablename__ = "rule_publication"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[str] = mapped_column(sa.String(64), index=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    approved_by: Mapped[str | None] = mapped_column(sa.Text)


class RuleDraftRow(Base):
    """The one draft of the rules; the row stays when there is none, so that its number never counts back."""

    __tablename__ = "rule_draft"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    document: Mapped[JSON | None] = mapped_column(sa.JSON(none_as_null=True))
    """The rules as they were written; null where no draft is open."""
    base: Mapped[str] = mapped_column(sa.String(64))
    editors: Mapped[list[Any]]
    """Everybody who changed this draft: none of them may be the second person."""
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(sa.Text)
    proposed_by: Mapped[str | None] = mapped_column(sa.Text)
    proposal: Mapped[str] = mapped_column(sa.Text)


class StudyFactsRow(Base):
    """What the rules saw of one revision of a study; it goes when the study's instances go."""

    __tablename__ = "study_facts"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    """The instant of the decision, for rules that ask what day or time it is."""
    document: Mapped[bytes] = mapped_column(sa.LargeBinary)
    """The facts, and which series were kept from the rules, as JSON that is compressed with zlib."""
    nested: Mapped[bytes] = mapped_column(sa.LargeBinary)
    """The facts whose names have paths, in the same form; few rules ask for them, so they are seldom read."""
