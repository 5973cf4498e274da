"""How a node is configured: one typed model, read once from a TOML file and the environment, then passed in."""

import json
from enum import StrEnum
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dicomnode.domain.errors import InvalidSettings, InvalidValue
from dicomnode.domain.uids import AETitle

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


class PeerSettings(BaseModel):
    """One system that may ask for storage commitment, and where it listens for the reports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ae_title: AETitleText
    host: str
    port: Port


class Settings(BaseSettings):
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
    calling_ae: tuple[AETitleText, ...] = Field(default=(), description="Who may send; empty lets anyone in.")
    networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="From where senders may come; empty lets any address in."
    )
    maximum_associations: int = Field(default=64, ge=1)
    peers: tuple[PeerSettings, ...] = Field(
        default=(), description="Who may ask for storage commitment, and where each listens for the report."
    )

    quiet_seconds: float = Field(
        default=10, gt=0, description="A study that received nothing for so long is taken to be complete."
    )
    rules: Path | None = Field(default=None, description="YAML file of the rules; left out: the rules that ship.")
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

    web_host: IPv4Address | IPv6Address = Field(
        default=IPv4Address("127.0.0.1"), description="Loopback only: the pages have no login yet."
    )
    web_port: Port = 8080

    warn_free_percent: float = Field(
        default=10, ge=0, le=100, description="The first page warns when less of the spool's disk is free than this …"
    )
    warn_free_gib: float = Field(default=5, ge=0, description="… or than this, whichever is less.")
    refuse_free_percent: float = Field(
        default=2, ge=0, le=100, description="No new instance is taken when less of the disk is free than this …"
    )
    refuse_free_gib: float = Field(default=1, ge=0, description="… or than this, whichever is less.")

    device: str = Field(default="cpu", description="Where models run: cpu, cuda:0, …")
    model_seconds: float = Field(default=900, gt=0, description="Longest time for one derivation.")
    lease_seconds: float = Field(default=30, gt=1, description="A worker silent for so long is taken to be dead.")
    history_days: float = Field(default=30, gt=0, description="How long the engine keeps rows of finished jobs.")

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
        """The rules in force."""
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


def read_settings(file: Path | None = None, **overrides: object) -> Settings:
    """Read the settings from a file (default: `dicomnode.toml` here, if there is one) and the environment.

    Raises InvalidSettings with every problem, by the name of the setting and without its value.
    """
    if file is not None and not file.is_file():
        raise InvalidSettings(f"there is no settings file {file}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file or DEFAULT_FILE)

    try:
        settings = FromFile(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
        raise InvalidSettings(problems) from error
    except ValueError as error:
        raise InvalidSettings(f"the settings file cannot be read: {error}") from error
    if not settings.web_host.is_loopback:
        raise InvalidSettings("web_host: the pages have no login yet, so they may only be served on loopback")
    return settings


def as_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment variables that another process reads them from."""
    plain = settings.model_dump(mode="json", exclude_none=True)
    return {
        f"DICOMNODE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in plain.items()
    }
