"""How a node is configured: one typed model, read once from a TOML file and the environment, then passed in."""

import json
from enum import StrEnum
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dicomnode.domain.completion import CompletionPolicies
from dicomnode.domain.door import UnknownPeers
from dicomnode.domain.errors import InvalidSettings, InvalidValue
from dicomnode.domain.tls import ClientCertificate, KeyPair, ListeningTls
from dicomnode.domain.tls_document import CallingTlsDocument
from dicomnode.domain.uids import AETitle
from dicomnode.node.completion_settings import CompletionSettings, completion_policies
from dicomnode.node.web_settings import WebSettings

DEFAULT_FILE = Path("dicomnode.toml")


class Role(StrEnum):
    """What one process of a node does."""

    RECEIVE = "receive"
    """Listens for associations."""
    WORK = "work"
    """Completes, decides and delivers."""
    GPU = "gpu"
    """Runs the models, in a child process."""
    WEB = "web"
    """Serves the pages and DICOMweb."""


def _ae_title(value: str) -> str:
    """Check an AE title in the way pydantic reports."""
    try:
        return AETitle(value)
    except InvalidValue as error:
        raise ValueError(error.reason) from error


AETitleText = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=0, le=65535)]


class ListenerTlsSettings(BaseModel):
    """How a listener shows who it is, and whom it believes; every file in PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path = Field(description="The certificate of this node, followed by those between it and its root.")
    key: Path = Field(description="Its private key, without a passphrase.")
    trusted: Path | None = Field(default=None, description="The authorities whose certificates are believed.")
    client_certificate: ClientCertificate = Field(
        default=ClientCertificate.REQUIRED, description="Whether peers must, may or need not show a certificate."
    )

    @model_validator(mode="after")
    def _knows_whom_to_believe(self) -> Self:
        if self.trusted is None and self.client_certificate is not ClientCertificate.NONE:
            raise ValueError('peers show certificates, but `trusted` is left out (or set client_certificate = "none")')
        return self

    @property
    def value(self) -> ListeningTls:
        """The same in the domain's terms."""
        return ListeningTls(
            pair=KeyPair(certificate=self.certificate, key=self.key),
            trusted=self.trusted,
            client_certificate=self.client_certificate,
        )


class ListenerSettings(BaseModel):
    """One address to listen on for DICOM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: Port = Field(description="2762 is registered for DICOM under TLS, 104 and 11112 for plain DICOM.")
    tls: ListenerTlsSettings | None = Field(default=None, description="Left out: connections are plain.")

    @property
    def name(self) -> str:
        """How an operator recognises it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class DestinationTlsSettings(CallingTlsDocument):
    """How a destination is reached under TLS; every file in PEM."""


class DestinationSettings(BaseModel):
    """One place that derived series are sent to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="The name that rules use.")
    ae_title: AETitleText
    host: str
    port: Port
    dicomweb_url: str | None = Field(
        default=None, description="Where to ask by QIDO-RS whether everything arrived; left out: nobody asks."
    )
    tls: DestinationTlsSettings | None = Field(
        default=None, description="Left out: C-STORE goes over a plain connection."
    )


class Settings(WebSettings):
    """All settings of a node, with defaults that fit a first try on one machine beside an Orthanc."""

    model_config = SettingsConfigDict(env_prefix="DICOMNODE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    data: Path = Field(default=Path("var"), description="Folder of the spool and the embedded database.")
    database: str | None = Field(
        default=None, description="PostgreSQL URL (postgresql+psycopg://…); left out: SQLite in the data folder."
    )
    roles: tuple[Role, ...] = Field(default=tuple(Role), description="What this process does.")

    ae_title: AETitleText = Field(default="DICOMNODE", description="Called AE title of this node.")
    dicom_host: str = Field(default="127.0.0.1", description="Address to listen on for DICOM.")
    dicom_port: Port = 11112
    plain_listener: bool = Field(
        default=True, description="Whether this node listens at dicom_host and dicom_port; false: at `listeners` alone."
    )
    listeners: tuple[ListenerSettings, ...] = Field(
        default=(), description="Further addresses to listen on for DICOM, plain or under TLS."
    )
    unknown_peers: UnknownPeers | None = Field(
        default=None,
        description="Whether calling AE titles that are no peer (`dicomnode peer list`) come in: admit or refuse; "
        "left out: only as long as this node listens on loopback alone.",
    )
    maximum_associations: int = Field(
        default=64, ge=1, description="So many associations are open at a time, over all receivers of this host."
    )
    receivers: int = Field(default=2, ge=1, le=64, description="So many processes receive, at the same addresses.")
    maximum_instance_gib: float = Field(
        default=8, gt=0, description="No instance is taken that is larger; Pixel Data alone can have 4 GiB."
    )

    quiet_seconds: float = Field(
        default=10, gt=0, description="A study that received nothing for so long is taken to be complete."
    )
    completion: CompletionSettings = Field(
        default=CompletionSettings(), description="How other evidence makes that time shorter or longer."
    )
    completion_by_ae: dict[AETitleText, CompletionSettings] = Field(
        default={}, description="The same for single senders, by their calling AE titles (STOW-RS: over HTTP)."
    )
    rules: Path | None = Field(
        default=None,
        description="YAML file of the rules that a node begins with at its first start, and that `dicomnode rules` "
        "and the pages change after that; left out: the rules that ship.",
    )
    rules_second_person: bool = Field(
        default=False, description="Whether rules are published by somebody who neither edited nor proposed them."
    )
    destinations: tuple[DestinationSettings, ...] = (
        DestinationSettings(
            name="pacs",
            ae_title="ORTHANC",
            host="127.0.0.1",
            port=4242,
            dicomweb_url="http://127.0.0.1:8042/dicom-web",
        ),
    )
    delivery_attempts: int = Field(
        default=100, ge=1, description="After so many failed attempts (about four days) a person has to look."
    )

    warn_free_percent: float = Field(
        default=10, ge=0, le=100, description="The first page warns when less of the spool's disk is free than this …"
    )
    warn_free_gib: float = Field(default=5, ge=0, description="… or than this, whichever is less.")
    refuse_free_percent: float = Field(
        default=2, ge=0, le=100, description="No new instance is taken when less of the disk is free than this …"
    )
    refuse_free_gib: float = Field(default=1, ge=0, description="… or than this, whichever is less.")

    keep_days: float | None = Field(
        default=None,
        gt=0,
        description="The images of a study leave this node so many days after the last of them came, when all that was "
        "made of them is delivered; left out: nothing is removed by age.",
    )
    make_room: bool = Field(
        default=False,
        description="Whether they may leave sooner, the oldest first, while the first page warns about the disk.",
    )

    device: str = Field(default="cpu", description="Where models run: cpu, cuda:0, …")
    model_seconds: float = Field(default=900, gt=0, description="Longest time for one derivation.")
    lease_seconds: float = Field(default=30, gt=1, description="A worker silent for so long is taken to be dead.")
    history_days: float = Field(default=30, gt=0, description="How long the engine keeps rows of finished jobs.")

    @model_validator(mode="after")
    def _listen_once(self) -> Self:
        """Refuse the same address twice: the kernel would share the connections out between plain and TLS."""
        taken = [listener.name for listener in self.all_listeners if listener.port]
        if len(set(taken)) < len(taken):
            raise ValueError("two listeners on one address")
        if not self.all_listeners:
            raise ValueError("no listener: plain_listener is off, and `listeners` names none")
        return self

    @model_validator(mode="after")
    def _ask_an_archive_that_is_there(self) -> Self:
        """Refuse an archive that is no destination: nobody would know where to ask."""
        asked = {one.archive for one in (self.completion, *self.completion_by_ae.values())} - {None}
        if asked - {place.name for place in self.destinations}:
            raise ValueError("completion: `archive` names no destination")
        return self

    @property
    def completion_policies(self) -> CompletionPolicies:
        """How long a study is waited for, by its senders."""
        return completion_policies(self.quiet_seconds, self.completion, self.completion_by_ae)

    @property
    def strangers(self) -> UnknownPeers:
        """What becomes of titles that are no peer."""
        if self.unknown_peers is not None:
            return self.unknown_peers
        is_reached_from_outside = not all(_is_loopback(listener.host) for listener in self.all_listeners)
        return UnknownPeers.REFUSE if is_reached_from_outside else UnknownPeers.ADMIT

    @property
    def all_listeners(self) -> tuple[ListenerSettings, ...]:
        """All addresses that this node listens on for DICOM, the plain one first."""
        if not self.plain_listener:
            return self.listeners
        return (ListenerSettings(host=self.dicom_host, port=self.dicom_port), *self.listeners)

    @property
    def database_url(self) -> str:
        """The database in SQLAlchemy's form."""
        return self.database or f"sqlite:///{(self.data / 'ledger.db').resolve()}"

    @property
    def spool(self) -> Path:
        """The folder of the instance files."""
        return self.data / "spool"

    @property
    def rules_file(self) -> Path:
        """The rules that a node begins with."""
        return self.rules or Path(str(files("dicomnode.node") / "rules.yaml"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments win over the environment, the environment over the file."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_settings(file: Path | None = None, **overrides: object) -> Settings:
    """Read the settings from a file (default: `dicomnode.toml` here, if there is one) and the environment.

    Raises InvalidSettings with every problem, by the name of the setting and without its value.
    """
    if file is not None and not file.is_file():
        raise InvalidSettings(f"there is no settings file {file}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file or DEFAULT_FILE)

    try:
        return FromFile(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(": ".join([*_place(found["loc"]), found["msg"]]) for found in error.errors())
        raise InvalidSettings(problems) from error
    except ValueError as error:
        raise InvalidSettings(f"the settings file cannot be read: {error}") from error


def _place(location: tuple[int | str, ...]) -> list[str]:
    """Name the setting that is wrong, where it is a single one."""
    return [".".join(map(str, location))] if location else []


def as_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment variables that another process reads them from."""
    plain = settings.model_dump(mode="json", exclude_none=True)
    return {
        f"DICOMNODE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in plain.items()
    }
