"""The TLS files that the settings name: for the listeners, for the log and for the pages."""

import logging

from dicomnode.dimse.certificates import CertificateFiles
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import CertificateLevel, KeyPair
from dicomnode.node.settings import ListenerSettings, Settings

_logger = logging.getLogger(__name__)


def listener_credentials(listener: ListenerSettings, clock: Clock) -> ListenerCredentials | None:
    """Read what a listener shows and believes; None for a plain one. Raises InvalidSettings."""
    if listener.tls is None:
        return None
    try:
        return ListenerCredentials(listener.tls.value, clock)
    except InvalidSettings as error:
        raise InvalidSettings(f"listener {listener.name}: {error.reason}") from error


def certificate_files(settings: Settings, clock: Clock) -> CertificateFiles:
    """Look at the certificates that this node shows, as listener and to its destinations."""
    used: dict[str, KeyPair] = {}
    for listener in settings.all_listeners:
        if listener.tls is not None:
            used[f"listener {listener.name}"] = listener.tls.value.pair
    for place in settings.destinations:
        pair = place.tls.value.pair if place.tls else None
        if pair is not None:
            used[f"destination {place.name}"] = pair
    return CertificateFiles(used, clock)


def log_certificates(settings: Settings, clock: Clock) -> None:
    """Write into the log how long each certificate is valid, as a warning where that is not long."""
    now = clock.now()
    for state in certificate_files(settings, clock).states():
        level = logging.INFO if state.level(now) is CertificateLevel.OK else logging.WARNING
        _logger.log(level, "certificate of %s: %s", state.used_by, state.in_words(now))
