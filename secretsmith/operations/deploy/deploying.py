"""The whole of ``secretsmith deploy``: look before, connect, install secretsmith if asked, send, and hear what the host says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from secretsmith import __version__
from secretsmith.crypto.publickey import PublicKey
from secretsmith.errors import Code, ExitCode, RefusedInput, SecretsmithError
from secretsmith.findings import Finding
from secretsmith.operations.buildcheck import TryTemplate
from secretsmith.operations.deploy.connection import Connection, Hear
from secretsmith.operations.deploy.facts import Facts
from secretsmith.operations.deploy.live import LiveFiles, LiveValue, gather_live, without_lacking
from secretsmith.operations.deploy.remote.trees import tree_digest
from secretsmith.operations.deploy.sshdoor import connected
from secretsmith.operations.deploy.tree import Prepared, prepare, tree_files
from secretsmith.operations.deploy.wheels import environment_name, gather_wheels, modules_of
from secretsmith.operations.hosts import known_host
from secretsmith.policy.principals import Host
from secretsmith.project import Project
from secretsmith.record import record

# What secretsmith-activate ends with (docs/reference/exit-codes.md).
_ACTIVATION: Final = frozenset(
    {
        ExitCode.OK,
        ExitCode.ERROR,
        ExitCode.USAGE,
        ExitCode.NOT_FOUND,
        ExitCode.CANNOT_DECRYPT,
        ExitCode.INTEGRITY,
        ExitCode.CONFLICT,
    }
)


@record
class Wish:
    """What a person asks for. ``wheels`` is a folder that has them; ``address`` is another than the registered one.

    ``approve`` are references whose values may go to this host, or "all".
    """

    host: str
    builder: str | None = None
    address: str | None = None
    dry_run: bool = False
    rollback: bool = False
    bootstrap: bool = False
    wheels: Path | None = None
    approve: tuple[str, ...] = ()


@record
class Deployed:
    """What came of it: the host's own exit code, or FINDINGS: nothing was sent because of ``findings``, or a live value is an old one.

    ``fetched`` are the live values that were fetched, or would be.
    """

    exit_code: ExitCode
    findings: tuple[Finding, ...] = ()
    sent: bool = True
    fetched: tuple[LiveValue, ...] = ()


def deploy(project: Project, wish: Wish, try_template: TryTemplate, hear: Hear) -> Deployed:
    """Bring a host's secrets to it, or go back to what it had before, and have it install them.

    ``try_template`` is as for ``build check``; ``hear`` gets the host's own report while it is made.

    Raises:
        RefusedInput: USAGE, options that exclude each other; what the builder refuses.
        NotFound: no such host; nothing to go back to.
        HostKeyChanged: HOST_KEY, another key than the registered one answers.
        RemoteFailure: SSH, it cannot be reached.
        IntegrityFailure: SOURCE_APPROVAL, nobody approved that this host gets a live value.
        SecretsmithError: SKEW, another secretsmith there, or none; REMOTE and others, the host's own refusals.
    """
    _check_wish(wish)
    host = known_host(project.registry, wish.host)
    prepared = None if wish.rollback else prepare(project, wish.host, wish.builder, try_template)
    findings = () if prepared is None else _attention(prepared)
    if prepared is not None and prepared.refused:
        return Deployed(ExitCode.FINDINGS, findings, sent=False)
    address = wish.address or host.address or host.name
    asks = project.interaction.available
    with connected(host.name, address, _keys(host), project.environ, asks=asks) as connection:
        facts = connection.start()
        _require_root(host, address, facts)
        if not wish.bootstrap:
            _refuse_skew(wish, facts.version)
        live = _live(project, host, wish, prepared, facts)
        if wish.bootstrap:
            _bootstrap(project, connection, wish, facts, hear)
        status = _send(project, connection, wish, prepared, live, facts, hear)
    # Not FINDINGS, SSH …: those are said by this side alone.
    code = ExitCode(status) if status in _ACTIVATION else ExitCode.ERROR
    if code is ExitCode.OK and live.findings:
        code = ExitCode.FINDINGS
    return Deployed(code, (*findings, *live.findings), fetched=live.values)


def _live(project: Project, host: Host, wish: Wish, prepared: Prepared | None, facts: Facts) -> LiveFiles:
    if prepared is None:
        return LiveFiles()
    return gather_live(
        project, host, prepared.manifest, facts.live, approve=wish.approve, dry_run=wish.dry_run
    )


def _check_wish(wish: Wish) -> None:
    if wish.dry_run and wish.bootstrap:
        raise RefusedInput(
            Code.USAGE,
            "--dry-run leaves nothing behind on the host, so it excludes --bootstrap",
            hints=(f"without it: secretsmith deploy {wish.host} --dry-run",),
        )
    if wish.wheels is not None and not wish.bootstrap:
        raise RefusedInput(Code.USAGE, "--wheels goes with --bootstrap")
    if wish.approve and (wish.dry_run or wish.rollback):
        raise RefusedInput(
            Code.USAGE, "--dry-run and --rollback fetch nothing: --approve does not go with them"
        )


def _keys(host: Host) -> tuple[PublicKey, ...]:
    if host.keys:
        return host.keys
    raise RefusedInput(
        Code.PENDING,
        f"{host.name} has no registered key, so nobody can tell it from another host",
        hints=(f"secretsmith host reprovision {host.name} --scan",),
    )


def _attention(prepared: Prepared) -> tuple[Finding, ...]:
    return tuple(finding for finding in prepared.report.findings if finding.severity != "info")


def _require_root(host: Host, address: str, facts: Facts) -> None:
    if facts.root:
        return
    place = address.removeprefix("ssh://").rpartition("@")[2]
    raise SecretsmithError(
        Code.ACCESS,
        f"{host.name}: ssh logs in, but not as root, who alone may install secrets",
        hints=(f"in ~/.ssh/config, for this host: User root; or once: --address root@{place}",),
    )


def _refuse_skew(wish: Wish, version: str | None) -> None:
    if version == __version__:
        return
    there = "no secretsmith yet" if version is None else f"secretsmith {version}, and this is {__version__}"
    hints = [f"secretsmith deploy {wish.host} --bootstrap"]
    if version is not None and _release(version) > _release(__version__):
        hints = [
            "bring yours up to it: pip install --upgrade secretsmith",
            f"or put this older version there: {hints[0]}",
        ]
    raise SecretsmithError(Code.SKEW, f"{wish.host} has {there}", hints=hints)


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, to compare."""
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9}){0,9}", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _bootstrap(project: Project, connection: Connection, wish: Wish, facts: Facts, hear: Hear) -> None:
    wheels = gather_wheels(facts, wish.wheels, project.environ)
    name = environment_name(wheels)
    sent = () if name in facts.venvs else wheels
    connection.order("bootstrap", sent, hear, name=name, version=__version__, imports=modules_of(wheels))


def _send(
    project: Project,
    connection: Connection,
    wish: Wish,
    prepared: Prepared | None,
    live: LiveFiles,
    facts: Facts,
    hear: Hear,
) -> int:
    if prepared is None:
        return connection.order("rollback", (), hear, dry_run=wish.dry_run, seen=facts.current)
    manifest = without_lacking(prepared.manifest, live.lacking)
    files = {**tree_files(project, manifest, facts.following), **live.files}
    if facts.digest == tree_digest(files, facts.following):
        return connection.order("again", (), hear, dry_run=wish.dry_run, seen=facts.current)
    return connection.order(
        "deploy",
        files.items(),
        hear,
        dry_run=wish.dry_run,
        tree=facts.following,
        seen=facts.current,
        kept=list(live.kept.items()),
    )


__all__ = ["Deployed", "Wish", "deploy"]
