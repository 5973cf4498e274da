"""The tables about destinations: which are paused, what waits because of it, and how C-ECHO last went."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.ledger.tables import Base


class DestinationPauseRow(Base):
    """A destination that nothing is sent to until a person resumes it."""

    __tablename__ = "destination_pause"

    destination: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at: Mapped[datetime]
    paused_by: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)


class PausedDeliveryRow(Base):
    """A derivation whose job found its destination paused; it gets a new job when the destination is resumed."""

    __tablename__ = "paused_delivery"

    destination: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    derivation_key: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    at: Mapped[datetime]


class DestinationEchoRow(Base):
    """How the last C-ECHO to a destination went."""

    __tablename__ = "destination_echo"

    destination: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at: Mapped[datetime]
    milliseconds: Mapped[float]
    failure: Mapped[str] = mapped_column(sa.Text)
