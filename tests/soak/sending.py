"""Senders that go on for minutes at a steady rate: small instances, many studies, one association for each study."""

import random
import threading
import time
from dataclasses import dataclass, field

from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE
from tests.fuzz.data_sets import EXPLICIT, Offer, data_set_of_size
from tests.fuzz.speaking import associate, hear, release, store_message

_ROOT = "1.2.826.0.1.3680043.8.498.78"
INSTANCES_A_STUDY = 500
ROWS = 64


@dataclass
class Answers:
    """What the senders were answered: how long each waited, in seconds, since the last look; and all that is stored."""

    waited: list[float] = field(default_factory=list)
    stored: int = 0
    sent_bytes: int = 0
    refused: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, seconds: float, size: int, status: int | None) -> None:
        with self._lock:
            self.waited.append(seconds)
            self.sent_bytes += size
            if status == 0:
                self.stored += 1
            else:
                self.refused.append(-1 if status is None else status)

    def take(self) -> list[float]:
        """Give the waiting times since the last look."""
        with self._lock:
            taken, self.waited = self.waited, []
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One of the senders: its number, where it sends to, and how many instances a second."""

    number: int
    port: int
    title: bytes
    rate: float

    def run(self, answers: Answers, end: threading.Event) -> None:
        """Send study after study until the end."""
        study = 0
        try:
            while not end.is_set():
                study += 1
                self._send_study(f"{_ROOT}.{self.number}.{study}", answers, end)
        except (OSError, AssertionError) as error:
            answers.failures.append(f"sender {self.number}: {error!r}")

    def _send_study(self, study: str, answers: Answers, end: threading.Event) -> None:
        connection = associate(self.port, self.title, MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN)
        try:
            for number in range(1, INSTANCES_A_STUDY + 1):
                offer = _offer(study, number)
                begun = time.monotonic()
                connection.sendall(b"".join(store_message(offer)))
                heard = hear(connection, 1)
                seconds = time.monotonic() - begun
                answers.note(seconds, len(offer.data_set), heard[0].status if heard else None)
                if end.wait(max(0.0, random.uniform(0.5, 1.5) / self.rate - seconds)):
                    break
        finally:
            release(connection)


def _offer(study: str, number: int) -> Offer:
    instance = f"{study}.1.{number}"
    return Offer(
        what="plain",
        sop_class=MR_IMAGE_STORAGE.encode(),
        sop_instance=instance.encode(),
        transfer_syntax=EXPLICIT,
        data_set=data_set_of_size(ROWS, study=study, series=f"{study}.1", instance=instance, number=number),
    )
