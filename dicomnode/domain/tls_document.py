"""How a system is reached under TLS, as settings and the interface for programs write it."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dicomnode.domain.tls import CallingTls, KeyPair


class CallingTlsDocument(BaseModel):
    """How a system is reached under TLS; every file in PEM, on the machine of the node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trusted: Path = Field(description="The authorities that the other side's certificate may come from.")
    certificate: Path | None = Field(default=None, description="What this node shows where it is asked.")
    key: Path | None = None
    check_host_name: bool = Field(default=True, description="Whether the certificate must name the host.")

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate needs its key: give both, or neither")
        return self

    @property
    def value(self) -> CallingTls:
        """The same in the domain's terms."""
        pair = None
        if self.certificate is not None and self.key is not None:
            pair = KeyPair(certificate=self.certificate, key=self.key)
        return CallingTls(trusted=self.trusted, pair=pair, check_host_name=self.check_host_name)

    @classmethod
    def of(cls, tls: CallingTls) -> Self:
        """Write what is known."""
        return cls(
            trusted=tls.trusted,
            certificate=tls.pair.certificate if tls.pair else None,
            key=tls.pair.key if tls.pair else None,
            check_host_name=tls.check_host_name,
        )
