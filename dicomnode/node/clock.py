"""The one clock that reads the machine's time."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the machine's time (domain.ports.Clock)."""

    def now(self) -> datetime:
        """Give the present instant, aware, in UTC."""
        return datetime.now(UTC)
