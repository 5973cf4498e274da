"""Peers on the command line: added, changed, asked and removed, with or without a running node beside."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.domain.door import Cause, Visitor
from dicomnode.domain.peer import Peer
from dicomnode.domain.tls import CallingTls, ListeningTls
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.peers import PeerRecord, list_peers, note_heard
from dicomnode.ledger.refusals import RefusalRecord, record_refusals
from dicomnode.ledger.transaction import Ledger
from dicomnode.node import cli, peer_commands
from dicomnode.node.clock import SystemClock
from tests.certificates import Authority
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf

NOW = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """How a command ended and what it printed."""

    returncode: int
    output: str


Run = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command as `dicomnode` would, in a folder of its own."""

    def run(*words: str) -> Told:
        screen, console = StringIO(), Console(width=250)
        with (
            contextlib.chdir(tmp_path),
            patch.object(cli, "_console", console),
            patch.object(peer_commands, "_console", console),
            patch.object(sys, "argv", ["dicomnode", *words]),
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            try:
                cli.main()
            except SystemExit as ended:
                return Told(int(ended.code or 0), screen.getvalue())
        return Told(0, screen.getvalue())

    return run


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of that folder, as the commands leave it."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'var' / 'ledger.db'}")
    yield ledger
    ledger.close()


@pytest.fixture
def scp() -> Iterator[StorageSCP]:
    scp = StorageSCP(listening_at("MR1"), Shelf())
    scp.start()
    yield scp
    scp.stop()


def _peers(ledger: Ledger) -> list[PeerRecord]:
    with ledger.transaction() as tx:
        return list(list_peers(tx))


def test_before_any_node_ran_there_are_no_peers_and_one_can_be_added(run: Run, ledger: Ledger) -> None:
    assert "peer add" in run("peer", "list").output
    assert "Nobody was turned away" in run("refusals").output
    words = ("--network", "10.1.0.0/16", "--network", "2001:db8::/32", "--at", "[::1]:104", "--at-most", "3")
    assert run("peer", "add", "MR1", *words, "--description", "3T").returncode == 0
    (record,) = _peers(ledger)
    assert record.peer == Peer(
        ae_title=AETitle("MR1"),
        networks=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")),
        host="::1",
        port=104,
        maximum_associations=3,
        description="3T",
    )


def test_the_list_tells_each_condition_and_each_echo(run: Run, ledger: Ledger) -> None:
    run("peer", "add", "MR1", "--network", "10.1.0.0/16", "--at", "mr1.example:104", "--at-most", "3")
    run("peer", "add", "CT1")
    with ledger.transaction() as tx:
        note_heard(tx, AETitle("MR1"), "10.1.2.3", NOW)
    listed = run("peer", "list").output
    for word in ("MR1", "10.1.0.0/16", "mr1.example:104", "3", "from 10.1.2.3", "CT1", "anywhere", "never"):
        assert word in listed


def test_only_what_is_said_is_changed(run: Run, ledger: Ledger) -> None:
    run("peer", "add", "MR1", "--network", "10.1.0.0/16", "--at", "mr1.example:104", "--at-most", "3")
    assert run("peer", "change", "MR1", "--network", "10.2.0.0/16", "--description", "moved").returncode == 0
    peer = _peers(ledger)[0].peer
    assert (peer.networks, peer.host, peer.maximum_associations) == ((ip_network("10.2.0.0/16"),), "mr1.example", 3)
    assert peer.description == "moved"

    run("peer", "change", "MR1", "--network", "any", "--at", "none", "--at-most", "0")
    assert _peers(ledger)[0].peer == Peer(ae_title=AETitle("MR1"), description="moved")


def test_a_removed_peer_is_gone(run: Run, ledger: Ledger) -> None:
    run("peer", "add", "MR1")
    assert run("peer", "remove", "MR1").returncode == 0
    assert _peers(ledger) == []
    for verb in ("remove", "change", "echo"):
        told = run("peer", verb, "MR1")
        assert told.returncode == 1
        assert "MR1 is no peer of this node" in told.output


def test_a_title_is_added_once(run: Run) -> None:
    run("peer", "add", "MR1")
    again = run("peer", "add", "MR1")
    assert again.returncode == 1
    assert "peer change" in again.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MUCH-TOO-LONG-A-TITLE",), "not an AE title"),
        (("MR1", "--network", "10.1.0.7/16"), "has host bits set"),
        (("MR1", "--network", "mr1.example"), "does not appear to be an IPv4 or IPv6 network"),
        (("MR1", "--at", "mr1.example"), "give host:port"),
        (("MR1", "--at", ":104"), "give host:port"),
        (("MR1", "--at", "mr1.example:70000"), "between 1 and 65535"),
        (("MR1", "--at-most", "-1"), "at least one association"),
        (("MR1", "--tls", "authority.pem"), "give its host and port"),
        (("MR1", "--at", "mr1.example:104", "--tls-any-name"), "all of TLS with --tls"),
        (("MR1", "--at", "mr1.example:104", "--tls", "a.pem", "--tls-key", "b.key"), "go together"),
    ],
)
def test_what_is_no_peer_is_refused_with_what_is_wrong(
    run: Run, ledger: Ledger, words: tuple[str, ...], said: str
) -> None:
    run("peer", "list")
    told = run("peer", "add", *words)
    assert told.returncode == 2
    assert said in " ".join(told.output.replace("│", " ").split())
    assert _peers(ledger) == []


def test_an_echo_tells_whether_the_peer_is_there_and_stays_on_the_list(run: Run, scp: StorageSCP) -> None:
    run("peer", "add", "MR1", "--at", f"127.0.0.1:{scp.port}")
    told = run("peer", "echo", "MR1")
    assert told.returncode == 0
    assert " ms" in told.output
    assert "✓" in run("peer", "list").output


def test_an_echo_tells_why_not_in_the_peers_own_words(run: Run, scp: StorageSCP) -> None:
    run("peer", "add", "OTHER", "--at", f"127.0.0.1:{scp.port}")
    told = run("peer", "echo", "OTHER")
    assert told.returncode == 1
    said = "OTHER did not let DICOMNODE in: rejected for good by the application: called AE title not recognized"
    assert said in told.output
    run("peer", "change", "OTHER", "--at", "none")
    nowhere = run("peer", "echo", "OTHER")
    assert nowhere.returncode == 1
    assert "--at" in nowhere.output


def test_a_peer_under_tls_is_asked_under_tls(run: Run, tmp_path: Path, ledger: Ledger) -> None:
    authority, stranger = Authority(tmp_path / "known"), Authority(tmp_path / "unknown", "somebody")
    tls = ListeningTls(pair=authority.pair("mr1"), trusted=authority.trusted)
    own = authority.pair("node")
    listening = replace(listening_at("MR1"), credentials=ListenerCredentials(tls, SystemClock()))
    scp = StorageSCP(listening, Shelf())
    scp.start()
    try:
        run("peer", "add", "MR1", "--at", f"127.0.0.1:{scp.port}")
        assert run("peer", "echo", "MR1").returncode == 1
        shown = ("--tls-certificate", str(own.certificate), "--tls-key", str(own.key))
        run("peer", "change", "MR1", "--tls", "known/authority.pem", *shown)
        assert _peers(ledger)[0].peer.tls == CallingTls(trusted=authority.trusted, pair=own)
        assert run("peer", "echo", "MR1").returncode == 0
        assert f"127.0.0.1:{scp.port} under TLS" in run("peer", "list").output
        run("peer", "change", "MR1", "--tls", str(stranger.trusted), *shown)
        told = run("peer", "echo", "MR1")
        assert (told.returncode, "no connection under TLS" in told.output) == (1, True)
        run("peer", "change", "MR1", "--tls", "none")
        assert _peers(ledger)[0].peer.tls is None
    finally:
        scp.stop()


def test_who_was_turned_away_is_listed_with_its_cause_and_how_often(run: Run, ledger: Ledger) -> None:
    run("refusals")
    visitor = Visitor(peer_address="10.1.2.3", calling_ae="MR9", called_ae="NODE")
    refusal = RefusalRecord(
        visitor=visitor, cause=Cause.CALLING_AE, said="MR9 is no peer", times=4711, first_at=NOW, last_at=NOW
    )
    with ledger.transaction() as tx:
        record_refusals(tx, [refusal])
    told = run("refusals").output
    for word in ("10.1.2.3", "MR9", "NODE", "calling AE title", "4711", "MR9 is no peer"):
        assert word in told
