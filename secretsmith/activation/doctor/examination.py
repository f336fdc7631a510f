"""The examination of a host behind ``secretsmith doctor``: all that activation relies on; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from secretsmith.activation.accounts import Accounts, Caller, SystemAccounts
from secretsmith.activation.doctor.facts import Examination, Fact, Said
from secretsmith.activation.doctor.host import host_facts
from secretsmith.activation.doctor.manifest import manifest_facts, owner_facts, read_declared, source_facts
from secretsmith.activation.doctor.sshd import sshd_facts
from secretsmith.activation.doctor.units import own_unit_facts
from secretsmith.activation.inspection.facts import finding_of
from secretsmith.activation.inspection.units import AskUnits
from secretsmith.activation.scope import settled
from secretsmith.activation.units.telling import unit_facts, unit_options
from secretsmith.errors import SecretsmithError
from secretsmith.findings import Finding
from secretsmith.manifest import Manifest, Scope


def examine(
    source: str,
    environ: Mapping[str, str],
    *,
    accounts: Accounts | None = None,
    shield: Callable[[], None] = lambda: None,
    ask_units: AskUnits = unit_facts,
) -> Examination:
    """Examine this host for the manifest at the path ``source``; whatever is wrong is in the result.

    ``environ`` has HOME and XDG_RUNTIME_DIR for manifests of users; ``shield`` is called before a private key is read.
    """
    caller = Caller.current()
    manifest, findings = read_declared(source, caller)
    said: list[Said] = [*findings]
    said += host_facts(caller, Scope.SYSTEM if manifest is None else manifest.scope)
    if manifest is not None:
        said += manifest_facts(source, manifest)
        try:
            here = settled(manifest, environ, caller)
        except SecretsmithError as error:
            # Whose files those are is as it should be for that user: no advice to take them away from him.
            said = [item for item in said if item not in findings]
            said.append(finding_of(error, "error"))
        else:
            shield()
            said += _declared(here, caller, accounts or SystemAccounts())
            options = unit_options(environ, manifest.scope, None)
            said += own_unit_facts(here, manifest, source, options, ask_units)
    return Examination(
        source,
        tuple(item for item in said if isinstance(item, Fact)),
        tuple(item for item in said if isinstance(item, Finding)),
    )


def _declared(manifest: Manifest, caller: Caller, accounts: Accounts) -> Iterator[Said]:
    # Here, not above: it imports cryptography.
    from secretsmith.activation.doctor.keys import key_facts

    yield from source_facts(manifest, caller)
    yield from key_facts(manifest, caller)
    if manifest.scope is Scope.SYSTEM:
        yield from owner_facts(manifest, caller, accounts)
        yield from sshd_facts(manifest)


__all__ = ["examine"]
