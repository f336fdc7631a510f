"""``explain SECRET WHO``: the chain from a secret to a host's file or a person's screen, and its first broken link.

No secret is opened and nothing is evaluated: the registry, the file's header, the lock and what builders last declared are read,
and on the host itself its host key, its accounts and its units.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from secretsmith.documents.format import HEAD, format_of, looks_encrypted
from secretsmith.errors import Code, NotFound, SecretsmithError
from secretsmith.operations.buildexport import last_export
from secretsmith.operations.locate import SUFFIXES, locate_secret
from secretsmith.operations.readerlinks import Link, reader_links
from secretsmith.operations.readers import Judged, quick_drift, wanted_by
from secretsmith.operations.thishost import Here, is_here, look_here, wrong_key
from secretsmith.policy.principals import Host, KeyState, Principal, User
from secretsmith.project import Project
from secretsmith.record import record
from secretsmith.store.paths import safe_relative

if TYPE_CHECKING:
    from secretsmith.plugin.api import HostDeclaration, SecretDeclaration
    from secretsmith.plugin.loader import Loader

UNIT_FOLDERS: Final = tuple(
    f"{base}/systemd/system" for base in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)


@record
class Explanation:
    """The chain up to the first broken link; links that cannot be looked at from here are in it, with ``ok`` None."""

    path: str
    name: str
    chain: tuple[Link, ...]

    @property
    def broken(self) -> Link | None:
        """The broken link, None when the chain holds as far as it can be seen."""
        last = self.chain[-1]
        return last if last.ok is False else None


@record
class Surroundings:
    """What is looked at besides the repository: this computer, and the folders that systemd has units in."""

    here: Here
    unit_folders: Sequence[str] = UNIT_FOLDERS


def explain(
    project: Project,
    path: str,
    name: str,
    *,
    around: Surroundings | None = None,
    loader: Loader | None = None,
) -> Explanation:
    """Walk from the secret ``path`` (relative to the root) to the host or user ``name``, up to what is broken.

    Raises:
        NotFound: no user or host is called so.
    """
    principal = project.registry.principal(name)
    chain: list[Link] = []
    for link in _links(project, path, principal, around or Surroundings(look_here(project)), loader):
        chain.append(link)
        if link.ok is False:
            break
    project.index.save()
    return Explanation(path, name, tuple(chain))


def locate_explained(
    project: Project, text: str, name: str, *, cwd: Path, loader: Loader | None = None
) -> str:
    """Return the path that ``text`` means: as every command reads it, a file that is gone, or what ``name`` declares as such.

    Raises:
        NotFound, RefusedInput: as :func:`secretsmith.operations.locate.locate_secret`.
    """
    try:
        return locate_secret(project, text, cwd=cwd)
    except NotFound:
        below = f"{project.registry.secrets}/{text}"
        for path in (text, below, *(f"{below}{suffix}" for suffix in SUFFIXES)):
            if path in project.lock.files:
                return path
        export = last_export(project, loader=loader)
        for each in export.hosts if export is not None else ():
            for secret in each.declared.secrets if each.declared.name == name else ():
                if secret.live and text == secret.name:
                    raise NotFound(
                        Code.NOT_FOUND,
                        f"{text}: is a live value of {name} ({secret.origin}), in no file of this repository",
                        hints=(f"secretsmith deploy {name} --dry-run",),
                    ) from None
                if text in (secret.name, secret.file):
                    return safe_relative(project.root, secret.file)
        raise


def _links(
    project: Project, path: str, principal: Principal, around: Surroundings, loader: Loader | None
) -> Iterator[Link]:
    try:
        wanted_by(project, path)
    except SecretsmithError as error:
        yield Link("rule", False, error.message, error.hints[0] if error.hints else None)
        return
    judged = _judged(project, path)
    if isinstance(judged, Link):
        yield judged
        return
    yield Link("secret", True, f"{path}, encrypted to {_count(judged)}")
    yield from reader_links(project, path, principal, judged)
    if isinstance(principal, User):
        yield _person_link(project, principal)
        return
    here = is_here(principal, around.here, project.registry)
    yield _host_link(project, principal, around.here, here_is_host=here)
    yield from _build_links(project, path, principal, around, loader, here=here)


def _count(judged: Judged) -> str:
    count = len(judged.present.keys) + len(judged.present.unknown)
    return "1 key" if count == 1 else f"{count} keys"


def _judged(project: Project, path: str) -> Judged | Link:
    try:
        return quick_drift(project, path)
    except SecretsmithError as error:
        known = path in project.lock.files
        if error.code is Code.NOT_FOUND:
            said = "the lock knows it, and the file is gone" if known else "there is no such file"
            fix = f"git checkout -- {quote(path)}" if known else f"secretsmith set {quote(path)}"
            return Link("secret", False, f"{path}: {said}", fix)
        if _is_plain(project, path) and error.code not in (Code.EMPTY, Code.UNSUPPORTED):
            fix = f"secretsmith encrypt --in-place {quote(path)}"
            return Link("secret", False, f"{path}: is not encrypted", fix)
        fix = error.hints[0] if error.hints else f"git checkout -- {quote(path)}"
        return Link("secret", False, error.at(path).message, fix)


def _is_plain(project: Project, path: str) -> bool:
    try:
        return not looks_encrypted(format_of(path), project.read(path)[:HEAD])
    except SecretsmithError:
        return False


def _person_link(project: Project, user: User) -> Link:
    """Say whether a key of ``user`` is at hand; that it is not says nothing where somebody else asks."""
    own = {key.fingerprint for key in project.ring.own_keys()}
    held = sorted(own & {key.fingerprint for key in user.keys})
    if held:
        return Link("identity", True, f"your keys have {', '.join(held)}")
    for key in sorted(own):
        for use in project.registry.key_owner(key):
            if use.principal == user.name and use.state is not KeyState.ACTIVE:
                said = f"the key here, {key}, is a {use.state} key of {user.name}"
                return Link("identity", False, said, "SECRETSMITH_IDENTITY=KEYFILE secretsmith show …")
    return Link("identity", None, f"no key of {user.name} is here: ask again where it is")


def _host_link(project: Project, host: Host, here: Here, *, here_is_host: bool) -> Link:
    if not here_is_host:
        return Link("identity", None, f"this computer is not {host.name}: ask again on it")
    lines = wrong_key(project, host, here)
    if lines:
        return Link("identity", False, "; ".join(lines[:-1]), lines[-1])
    key = here.key
    return Link(
        "identity", True, "" if key is None else f"this host's key is the registered one ({key.path})"
    )


def _build_links(
    project: Project,
    path: str,
    host: Host,
    around: Surroundings,
    loader: Loader | None,
    *,
    here: bool,
) -> Iterator[Link]:
    export = last_export(project, loader=loader)
    if export is None:
        yield Link(
            "declared", None, "no answer of a builder that still fits is known: secretsmith build hosts"
        )
        return
    known = [each.declared for each in export.hosts if each.declared.name == host.name]
    if not known:
        yield Link("declared", None, f"no builder declares anything for {host.name}")
        return
    secrets = [secret for each in known for secret in each.secrets if secret.file == path]
    if not secrets:
        yield _undeclared(path, host, known)
        return
    names = ", ".join(f"{secret.name} ({secret.origin})" for secret in secrets)
    yield Link("declared", True, f"declared as {names}, by the build of {export.made}")
    if not here:
        yield Link("owner", None, f"this computer is not {host.name}: ask again on it")
        return
    yield from _host_links(secrets, around.unit_folders)


def _undeclared(path: str, host: Host, known: Sequence[HostDeclaration]) -> Link:
    origin = known[0].origin
    return Link(
        "declared",
        False,
        f"{host.name} does not declare it, so no file is made of it there ({origin})",
        f"declare {path} for {host.name} in {origin}, build, and activate",
    )


def _host_links(secrets: Sequence[SecretDeclaration], folders: Sequence[str]) -> Iterator[Link]:
    """Yield owner and unit of what is declared for the host that this computer is."""
    import grp
    import pwd

    for secret in secrets:
        for kind, name, known in (
            ("user", secret.owner or "root", pwd.getpwnam),
            ("group", secret.group or "root", grp.getgrnam),
        ):
            if not _exists(name, known):
                said = f"{secret.name}: this host has no {kind} {name} ({secret.origin})"
                fix = f"make the {kind} {name} on this host, or change it in {secret.origin}"
                yield Link("owner", False, said, fix)
    owners = ", ".join(f"{secret.owner or 'root'}:{secret.group or 'root'}" for secret in secrets)
    yield Link("owner", True, f"exists: {owners}")
    units = list(dict.fromkeys(unit for secret in secrets for unit in secret.units))
    if not any(os.path.isdir(folder) for folder in folders):
        yield Link("unit", None, "no systemd here")
        return
    for unit in units:
        if not _has_unit(unit, folders):
            fix = f"systemctl cat {quote(unit)} (is its package installed?), or change the name where it is declared"
            yield Link("unit", False, f"this host has no unit {unit}", fix)
    yield Link("unit", True, f"exists: {', '.join(units)}" if units else "none is to be restarted")


def _exists(name: str, known: Callable[[str], object]) -> bool:
    if name.isdecimal():
        return True  # a number needs no name
    try:
        known(name)
    except (KeyError, ValueError):
        return False
    return True


def _has_unit(unit: str, folders: Sequence[str]) -> bool:
    stem, dot, kind = unit.rpartition(".")
    template = f"{stem.partition('@')[0]}@{dot}{kind}"
    return any(os.path.lexists(os.path.join(folder, name)) for folder in folders for name in {unit, template})


__all__ = ["UNIT_FOLDERS", "Explanation", "Surroundings", "explain", "locate_explained"]
