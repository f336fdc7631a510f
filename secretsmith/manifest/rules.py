"""What a schema cannot say: names that clash, places that are unsafe, references to nothing."""

from __future__ import annotations

from collections.abc import Container
from typing import NoReturn

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest.members import shown
from secretsmith.manifest.model import Manifest, Method, Output, Phase, Scope, SourceFormat

MAX_ID = 0xFFFF_FFFE  # (uid_t)-1 means "leave it" to chown, so it is never an owner
OWN_UNITS = ("secretsmith-activate.service", "secretsmith-mount.service", "secretsmith-users.service")
FORBIDDEN_ROOTS = ("/nix/store", "/proc", "/sys", "/dev")  # read-only, or files that are not files


def check_rules(manifest: Manifest) -> None:
    """Raise RefusedInput (NAME_CLASH, PATH_UNSAFE, OWNER, MANIFEST) for the first thing that is wrong."""
    for check in (
        _check_places,
        _check_names,
        _check_paths,
        _check_accounts,
        _check_entries,
        _check_credentials,
    ):
        check(manifest)


def _refuse(code: Code, where: str, why: str) -> NoReturn:
    raise RefusedInput(code, f"manifest: {where}: {why}")


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it, by its text; both are clean absolute paths."""
    return path == folder or path.startswith(folder + "/")


def _check_places(manifest: Manifest) -> None:
    for name, place in (("directory", manifest.directory), ("generations", manifest.generations)):
        _check_allowed(manifest, name, place)
    places = _places(manifest)
    for number, place in enumerate(places):
        if any(is_below(place, other) or is_below(other, place) for other in places[:number]):
            why = "directory and generations, and those of the phases, must not lie in each other"
            _refuse(Code.PATH_UNSAFE, "generations", why)
    if manifest.scope is Scope.SYSTEM and any(place.startswith("$") for place in manifest.identities):
        _refuse(Code.PATH_UNSAFE, "identities", "$HOME and $XDG_RUNTIME_DIR are for scope user")


def _places(manifest: Manifest) -> list[str]:
    views = [manifest.for_phase(phase) for phase in Phase]
    return [place for view in views for place in (view.directory, view.generations)]


def _check_allowed(manifest: Manifest, where: str, place: str) -> None:
    if manifest.scope is Scope.SYSTEM and place.startswith("$"):
        _refuse(Code.PATH_UNSAFE, where, "$HOME and $XDG_RUNTIME_DIR are for scope user")
    for root in FORBIDDEN_ROOTS:
        if is_below(place, root):
            _refuse(Code.PATH_UNSAFE, where, f"{shown(place)} is below {root}")


def _check_names(manifest: Manifest) -> None:
    seen: dict[str, str] = {}
    for entry in manifest.entries():
        # Case folded: a copy to a folder that ignores case must not lay one value over another.
        folded = entry.name.lower()
        if folded in seen:
            _refuse(Code.NAME_CLASH, shown(entry.name), f"is the same name as {shown(seen[folded])}")
        seen[folded] = entry.name
    for folded, name in seen.items():
        if above := _above(folded, seen):
            _refuse(Code.NAME_CLASH, shown(name), f"needs a folder where {shown(seen[above])} is a file")


def _above(path: str, among: Container[str]) -> str | None:
    return next((path[:at] for at, char in enumerate(path) if char == "/" and path[:at] in among), None)


def _check_paths(manifest: Manifest) -> None:
    seen: dict[str, str] = {}
    ours_all = _places(manifest)
    for entry in manifest.entries():
        if entry.path is None:
            continue
        where = f"{shown(entry.name)}: path"
        _check_allowed(manifest, where, entry.path)
        for ours in ours_all:
            # Inside, it would change a finished generation; above, it would take the folder's place.
            if is_below(entry.path, ours) or is_below(ours, entry.path):
                _refuse(Code.PATH_UNSAFE, where, f"{shown(entry.path)} is in the way of {ours}")
        if entry.path in seen:
            _refuse(Code.NAME_CLASH, where, f"is also the path of {shown(seen[entry.path])}")
        seen[entry.path] = entry.name
    for path, name in seen.items():
        if above := _above(path, seen):
            _refuse(
                Code.NAME_CLASH,
                f"{shown(name)}: path",
                f"needs a folder where {shown(seen[above])} is a file",
            )


def _check_accounts(manifest: Manifest) -> None:
    for entry in manifest.entries():
        for what, account in (("owner", entry.owner), ("group", entry.group)):
            where = f"{shown(entry.name)}: {what}"
            if account.isdigit() and int(account) > MAX_ID:
                _refuse(Code.OWNER, where, f"{account} is no valid number")
            if manifest.scope is Scope.USER and account != "root":
                _refuse(Code.OWNER, where, "scope user has no owners")
            if entry.phase is Phase.USERS and account != "root" and not account.isdigit():
                _refuse(Code.OWNER, where, "phase users runs before users exist: root or a number")


def _check_entries(manifest: Manifest) -> None:
    for entry in manifest.entries():
        if manifest.scope is Scope.USER and entry.phase is not Phase.SERVICES:
            _refuse(Code.MANIFEST, shown(entry.name), f"scope user has no phase {entry.phase}")
        if entry.method is Method.COPY and entry.path is None:
            # In its own place it is no copy, and a manifest that says so means something else.
            _refuse(Code.MANIFEST, shown(entry.name), "method copy needs a path, to copy to")
        if entry.phase is Phase.INITRD and not entry.plaintext_on_disk:
            _refuse(Code.MANIFEST, shown(entry.name), 'phase initrd needs "plaintext_on_disk": true')
    for secret in manifest.secrets:
        if secret.key is not None and secret.format in (SourceFormat.AGE, SourceFormat.BINARY):
            _refuse(Code.MANIFEST, shown(secret.name), f"format {secret.format} has no keys")
        if secret.output is not Output.VALUE and secret.format in (SourceFormat.AGE, SourceFormat.BINARY):
            _refuse(Code.MANIFEST, shown(secret.name), f"format {secret.format} has one value and no output")
        if secret.live is not None and secret.format is not SourceFormat.AGE:
            _refuse(
                Code.MANIFEST, shown(secret.name), f"live: such a value has format age, not {secret.format}"
            )
        if secret.live is not None and manifest.scope is Scope.USER:
            _refuse(
                Code.MANIFEST, shown(secret.name), "live: only whole machines are deployed, no scope user"
            )
    _check_placeholders(manifest)


def _check_credentials(manifest: Manifest) -> None:
    if manifest.credential_key is not None and manifest.scope is Scope.USER:
        # The keys of systemd-creds are the machine's, and root's alone.
        _refuse(Code.MANIFEST, "credential_key", "scope user has none")
    seen: dict[str, str] = {}
    for entry in manifest.entries():
        for text in entry.credentials:
            where = f"{shown(entry.name)}: credentials"
            if text in seen:
                _refuse(Code.NAME_CLASH, where, f"{text} is also that of {shown(seen[text])}")
            seen[text] = entry.name
            if (unit := text.rpartition(":")[0]) in OWN_UNITS:
                _refuse(Code.MANIFEST, where, f"{unit} makes them, so it cannot wait for one")


def _check_placeholders(manifest: Manifest) -> None:
    names = {secret.name for secret in manifest.secrets}
    for template in manifest.templates:
        for placeholder in template.placeholders.values():
            if placeholder.secret not in names:
                _refuse(
                    Code.MANIFEST, shown(template.name), f"no secret is named {shown(placeholder.secret)}"
                )
