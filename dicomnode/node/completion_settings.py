"""How long a node waits before it takes a study to be complete: for all senders, and for single ones."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.domain.completion import CompletionPolicies, CompletionPolicy


class CompletionSettings(BaseModel):
    """Waiting times in seconds after the last instance; for a single sender, what is left out is as for all others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_quiet_seconds: float | None = Field(
        default=None, gt=0, description="Without any evidence; left out: `quiet_seconds`."
    )
    series_quiet_seconds: float | None = Field(
        default=None,
        ge=0,
        description="Without any evidence, for each series that its headers do not count; left out: as for the study.",
    )
    after_release_seconds: float | None = Field(
        default=None, ge=0, description="When everyone who brought the study has released the association; 5."
    )
    after_counts_seconds: float | None = Field(
        default=None, ge=0, description="When the headers say that every series is whole; 5."
    )
    settled_seconds: float | None = Field(
        default=None,
        ge=0,
        description="With proof: a completed performed procedure step of which all is here, a request for storage "
        "commitment that names all, the same count at an archive; 0.3.",
    )
    missing_seconds: float | None = Field(
        default=None, gt=0, description="At the longest, while something tells that something is missing; 600."
    )
    archive: str | None = Field(
        default=None,
        description="A destination that is asked how many instances of the study it has: by QIDO-RS where it has a "
        "dicomweb_url, else by C-FIND.",
    )

    def policy(self, otherwise: CompletionPolicy) -> CompletionPolicy:
        """Give the policy, with another one for what is left out."""
        return CompletionPolicy(
            study_quiet=_seconds(self.study_quiet_seconds, otherwise.study_quiet),
            series_quiet=_seconds(self.series_quiet_seconds, otherwise.series_quiet),
            after_release=_seconds(self.after_release_seconds, otherwise.after_release),
            after_counts=_seconds(self.after_counts_seconds, otherwise.after_counts),
            settled=_seconds(self.settled_seconds, otherwise.settled),
            missing=_seconds(self.missing_seconds, otherwise.missing),
            archive=self.archive or otherwise.archive,
        )


def completion_policies(
    quiet_seconds: float, everyone: CompletionSettings, by_ae: Mapping[str, CompletionSettings]
) -> CompletionPolicies:
    """Build the policies of a node; `quiet_seconds` is what a study waits where no setting says otherwise."""
    default = everyone.policy(CompletionPolicy(study_quiet=timedelta(seconds=quiet_seconds)))
    return CompletionPolicies(default=default, by_ae={title: one.policy(default) for title, one in by_ae.items()})


def _seconds(given: float | None, otherwise: timedelta) -> timedelta:
    return otherwise if given is None else timedelta(seconds=given)
