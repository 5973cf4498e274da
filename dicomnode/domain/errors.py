"""Everything that can go wrong, in one tree.

DicomnodeError
├── InvalidValue            a value breaks the standard's own form (UID, AE title, date)
├── ReceptionError
│   ├── MalformedInstance   the data set cannot be read or lacks an identifier
│   │   └── DataSetMismatch the data set is not the instance that was announced
│   ├── SpoolFull           no room left to keep an instance durably
│   ├── InstanceTooLarge    more bytes than this node takes of one instance
│   └── LedgerUnavailable   the ledger did not take the row
├── GeometryError           instances do not form one regular volume
├── UnreadablePixels        the pixel data of an instance cannot be decoded
├── ContractViolation       an input lies outside what the model was made for
├── InvalidRule             a rule, field or operator that cannot be evaluated
├── ModelError
│   ├── ModelNotFound       no plug-in of that name is installed
│   ├── ModelUnavailable    installed, but this host lacks something it needs
│   ├── WeightsChanged      the weights are not the ones that were pinned
│   ├── ModelFailed         the model raised, hung or was killed
│   └── ModelOutputInvalid  what the model returned is not what its card declares
├── OutputRefused           a derived instance did not pass the output gate
├── DeliveryError
│   ├── DestinationUnreachable   nothing is known to be stored; try again
│   ├── DestinationRefused       the peer answered and said no
│   └── DestinationUnknown       a rule names a destination that is not configured
├── RequestRefused          a request of storage commitment or of a performed procedure step
│   ├── DuplicateTransaction     its Transaction UID is in use
│   ├── PeerUnknown              nobody knows where its report should go
│   ├── DuplicateStep            a step of that UID was begun already
│   ├── MissingAttribute         an attribute that it must have is not there
│   ├── EmptyAttribute           an attribute that it must have has no value
│   └── StepIsFinal              the step was completed or discontinued
├── PeerExists              a peer is added whose AE title is taken
├── AccountConflict         an account cannot become what was asked for, as things stand
│   ├── AccountExists       an account is added whose name is taken
│   └── LastAdministrator   nobody would be left who may administer
├── InvalidSettings         the node cannot start as configured
├── NotInLedger             asked for something the node has never seen
├── NothingNew              a study is to be taken as complete that received nothing since it was
├── NotLoggedIn             a request without a login or a valid token
│   └── TooManyAttempts     too many wrong passwords from one address
├── IdentityProviderFailed  the identity provider does not answer as OpenID Connect asks
├── NotAllowed              a visitor asks for what the account's roles do not allow
│   └── SecondPersonNeeded  who edited or proposed the rules may not publish them here
├── DraftChanged            somebody else changed the draft of the rules meanwhile
├── NotAcceptable           asked for in a form that this node does not give
├── UnsupportedMedia        sent in a form that this node does not take
└── ContentTooLarge         sent more than this node takes at once

Each class says whether trying again can help, which DIMSE and HTTP status answers it, and what the operator should do.
"""

from typing import ClassVar


class DicomnodeError(Exception):
    """Root of the tree; every refusal of the node is one of its children."""

    retryable: ClassVar[bool] = False
    dimse_status: ClassVar[int] = 0xC000
    http_status: ClassVar[int] = 500
    help: ClassVar[str] = "Look at the study's timeline; report this as a defect of the node if it says nothing."

    @property
    def reason(self) -> str:
        """What happened, in one sentence without patient data."""
        return str(self) or type(self).__name__


class InvalidValue(DicomnodeError):
    """A value that does not have the form the standard asks for."""

    http_status = 400
    help = "Correct the value at the system that sent it."


class ReceptionError(DicomnodeError):
    """An instance was offered and could not be accepted; the sender still has it."""


class MalformedInstance(ReceptionError):
    """The data set cannot be read, or a UID that places it is missing."""

    dimse_status = 0xC001
    http_status = 400
    help = "The instance is kept in quarantine; ask the sending system to repair and resend it."


class DataSetMismatch(MalformedInstance):
    """The data set names another SOP class or instance than the C-STORE request (PS3.4 Table B.2-1, A9xx)."""

    dimse_status = 0xA900


class SpoolFull(ReceptionError):
    """The disk refused the bytes."""

    retryable = True
    dimse_status = 0xA700
    http_status = 507
    help = "Free space on the spool's disk; the sender will offer the instance again."


class InstanceTooLarge(ReceptionError):
    """The data set is longer than the largest that this node is set to take.

    Not A7xx (out of resources): a sender that offers such instances again would offer the same bytes for ever.
    """

    dimse_status = 0xC002
    http_status = 413
    help = "Raise `maximum_instance_gib` if such instances are expected from the sender."


class LedgerUnavailable(ReceptionError):
    """The row could not be committed, so the instance is not acknowledged."""

    retryable = True
    dimse_status = 0xA700
    http_status = 503
    help = "Check the database; the sender will offer the instance again."


class GeometryError(DicomnodeError):
    """The instances of a series do not form one regular volume (PS3.3 C.7.6.2)."""

    http_status = 422
    help = "The series cannot be used as an input as it is; check for missing or repeated slices at the scanner."


class UnreadablePixels(DicomnodeError):
    """The pixel data of an instance is damaged or in an encoding this host cannot decode."""

    http_status = 422
    help = "Check the instance at its source; `dicomnode doctor` lists the decoders of this host."


class ContractViolation(DicomnodeError):
    """An input lies outside what the model's card allows; no image is made."""

    http_status = 422
    help = "The model must not be used on this input; see its card for what it accepts."


class InvalidRule(DicomnodeError):
    """A rule that cannot be evaluated; it is refused when it is loaded, never skipped."""

    http_status = 422
    help = "Correct the rule; `dicomnode rules lint` says where."


class ModelError(DicomnodeError):
    """A model plug-in could not do its work."""


class ModelNotFound(ModelError):
    """A rule names a model that is not installed here."""

    http_status = 404
    help = "Install the plug-in, or correct the model's name in the rule; `dicomnode model list` shows what is here."


class ModelUnavailable(ModelError):
    """The plug-in is installed but this host lacks something it needs."""

    http_status = 503
    help = "`dicomnode model list` says what is missing."


class WeightsChanged(ModelError):
    """The weights on disk are not the ones that were pinned when the work was decided."""

    help = "Restore the pinned weights, or publish the new model version and decide the study again."


class ModelFailed(ModelError):
    """The model raised, ran out of time or memory, or its process was killed."""

    retryable = True
    help = "Retry from the study's page; if it fails again, report it to the model's author with the derivation id."


class ModelOutputInvalid(ModelError):
    """The model returned something else than its card declares: another grid, other units, numbers that are none."""

    help = "Report it to the model's author with the derivation id; the same inputs would give the same answer again."


class OutputRefused(DicomnodeError):
    """A derived instance lacks a label, differs in geometry or is not valid; it does not leave the node."""

    help = "Nothing was sent. Report this as a defect with the derivation id: an output must never fail its own gate."


class DeliveryError(DicomnodeError):
    """A destination did not take an instance."""

    http_status = 502


class DestinationUnreachable(DeliveryError):
    """No association, no answer, or a temporary refusal: the next attempt may succeed."""

    retryable = True
    help = "Check that the destination is up and reachable; the node tries again by itself."


class DestinationRefused(DeliveryError):
    """The destination answered and refused for good."""

    help = "Check at the destination whether it allows this node's AE title and this SOP class."


class DestinationUnknown(DeliveryError):
    """A rule in force sends to a destination that the settings do not name any more."""

    http_status = 422
    help = "Configure the destination again, or publish rules that do not name it."


class RequestRefused(DicomnodeError):
    """A peer asked for something that this node cannot do as it is asked (DIMSE-N, PS3.7 Annex C)."""

    http_status = 409
    help = "Correct the request at the system that sent it."


class DuplicateTransaction(RequestRefused):
    """A request for storage commitment under a Transaction UID that is in use (PS3.3 section C.14.1.1)."""


class PeerUnknown(RequestRefused):
    """A request for storage commitment whose report would have nowhere to go."""

    help = "Give the address where the system listens: `dicomnode peer add` or `dicomnode peer change`, with --at."


class DuplicateStep(RequestRefused):
    """A performed procedure step is begun a second time."""


class MissingAttribute(RequestRefused):
    """An attribute that the standard asks for is not there."""


class EmptyAttribute(RequestRefused):
    """An attribute that the standard asks for has no value."""


class StepIsFinal(RequestRefused):
    """A performed procedure step that was completed or discontinued cannot change (PS3.4 section F.7.2.2.3)."""


class PeerExists(DicomnodeError):
    """A peer is added under a title that another one has."""

    http_status = 409
    help = "Change the one that is there (`dicomnode peer change`), or remove it first."


class AccountConflict(DicomnodeError):
    """An account cannot become what was asked for, as things stand."""

    http_status = 409
    help = "Look at the accounts first: page Accounts, or `dicomnode account list`."


class AccountExists(AccountConflict):
    """An account is added under a name that another one has."""

    help = "Choose another name, or change the account that is there."


class LastAdministrator(AccountConflict):
    """Nobody would be left who may administer the node."""

    help = "Make somebody else an administrator first."


class InvalidSettings(DicomnodeError):
    """The node cannot start as configured."""

    help = "Correct the settings file or the environment; `dicomnode doctor` says what is missing."


class NotInLedger(DicomnodeError):
    """Asked for a study, series, instance or derivation that this node has never recorded."""

    http_status = 404
    help = "Check the identifier: `dicomnode studies` and `dicomnode peer list` show what is here."


class NothingNew(DicomnodeError):
    """A study is to be taken as complete, and every instance of it was seen by its last revision."""

    http_status = 409
    help = "Its timeline says what became of the last revision; the next one begins when more comes."


class NotLoggedIn(DicomnodeError):
    """A request by nobody whom the node knows: no session, no token, or one that is over (RFC 9110 section 15.5.2)."""

    http_status = 401
    help = "Log in at /login, or send a token of this node as `Authorization: Bearer`."


class TooManyAttempts(NotLoggedIn):
    """Too many wrong passwords from one address, for one name or for many (RFC 6585 section 4)."""

    http_status = 429
    help = "Wait a quarter of an hour, or ask an administrator to give you a new password."


class IdentityProviderFailed(DicomnodeError):
    """The identity provider cannot be reached, or does not answer as OpenID Connect asks."""

    http_status = 502
    help = "Check the settings below `oidc` and the identity provider; an account with a password still gets in."


class NotAllowed(DicomnodeError):
    """A visitor asks for something that the account's roles, or the token's scopes, do not allow."""

    http_status = 403
    help = "Ask an administrator of the node for the role that it takes."


class SecondPersonNeeded(NotAllowed):
    """Rules are published by somebody who had no part in the draft, and only once it was proposed."""

    help = "Propose the draft with a reason; then somebody who neither edited nor proposed it can publish it."


class DraftChanged(DicomnodeError):
    """The draft of the rules is no longer the one that was edited, or that was looked at before publishing."""

    http_status = 409
    help = "Open the draft again, look at what changed, and repeat the change."


class NotAcceptable(DicomnodeError):
    """A client accepts only media types or transfer syntaxes that this node does not give (PS3.18 section 8.7)."""

    http_status = 406
    help = "Ask with an Accept header of PS3.18: application/dicom+json, or multipart/related with transfer-syntax=*."


class UnsupportedMedia(DicomnodeError):
    """A client sends a media type or content encoding that this node does not take (RFC 9110 section 15.5.16)."""

    http_status = 415
    help = 'Send multipart/related; type="application/dicom", as it is or with Content-Encoding gzip.'


class ContentTooLarge(DicomnodeError):
    """A client sends more than the node takes at once (RFC 9110 section 15.5.14)."""

    http_status = 413
    help = "Send fewer instances in one request; Part 10 files that are not compressed once more may be of any size."


def error_named(name: str) -> type[DicomnodeError]:
    """Find an error class by its name, so that a stored failure keeps its advice; the root when unknown."""
    pending: list[type[DicomnodeError]] = [DicomnodeError]
    while pending:
        candidate = pending.pop()
        if candidate.__name__ == name:
            return candidate
        pending.extend(candidate.__subclasses__())
    return DicomnodeError
