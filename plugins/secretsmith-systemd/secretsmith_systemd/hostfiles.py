"""The builder: host files of the repository in, activation manifests out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from secretsmith.errors import Code, NotFound
from secretsmith.manifest import LIVE_ROOT, Manifest, live_path
from secretsmith.plugin.api import (
    Finding,
    HostDeclaration,
    PluginContext,
    Principal,
    Readers,
    SecretDeclaration,
)
from secretsmith_systemd.declared import FOLDER, HostFile, manifest_fields, parse_host_file, secret_format

_DEFAULTS: Mapping[str, object] = {
    "directory": "/run/secrets",
    "generations": "/run/secrets.d",
    "identities": ["/etc/ssh/ssh_host_ed25519_key"],
}


class SystemdBuilder:
    """Reads ``secretsmith.d/HOST.toml``. Nothing is evaluated and no key is needed."""

    api_version = 1

    def detect(self, context: PluginContext) -> bool:
        """Say whether there is a host file."""
        return bool(_host_paths(context))

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        """Return the hosts that have a file, with what they declare."""
        return [_declaration(given) for given in _host_files(context)]

    def inputs(self, context: PluginContext) -> Sequence[str]:
        """Return the host files: nothing else is read for :meth:`hosts`."""
        return _host_paths(context)

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        """Return the manifests of ``hosts``; sources lie below ``source_root``, or in this checkout."""
        registered = {who.name: who for who in context.principals() if who.kind == "host"}
        root = source_root or str(context.root)
        return {
            name: _manifest(context, _host_file(context, name), _registered(registered, name), root)
            for name in hosts
        }

    def findings(self, context: PluginContext) -> Sequence[Finding]:
        """Return declarations of unregistered hosts, of missing files, and of files that the host may not read."""
        registered = {who.name: who for who in context.principals() if who.kind == "host"}
        return [
            finding for given in _host_files(context) for finding in _findings(context, given, registered)
        ]


def _host_paths(context: PluginContext) -> list[str]:
    return [
        path for path in context.list_files(FOLDER) if path.endswith(".toml") and path != f"{FOLDER}/.toml"
    ]


def _host_files(context: PluginContext) -> list[HostFile]:
    folder = _secrets_folder(context)
    return [parse_host_file(path, context.read_file(path), folder) for path in _host_paths(context)]


def _secrets_folder(context: PluginContext) -> str:
    """Return where the registry says that secrets lie (docs/reference/registry.md), as part of a path."""
    settings = tomllib.loads(context.read_file("secretsmith.toml").decode()).get("secretsmith", {})
    folder = settings.get("secrets", "secrets")
    return "secrets" if folder == "." else str(folder)


def _making(secret: Mapping[str, object]) -> str:
    """Return the command that makes the file of a secret."""
    return "secretsmith sync --build" if "source" in secret else f"secretsmith set {secret['file']}"


def _host_file(context: PluginContext, host: str) -> HostFile:
    path = f"{FOLDER}/{host}.toml"
    if path not in _host_paths(context):
        raise NotFound(
            Code.NOT_FOUND,
            f"host {host} declares nothing: there is no {path}",
            hints=(f"write {path}, or see the hosts that declare secrets: secretsmith build hosts",),
            path=path,
        )
    return parse_host_file(path, context.read_file(path), _secrets_folder(context))


def _registered(registered: Mapping[str, Principal], host: str) -> Principal:
    if host not in registered:
        raise NotFound(
            Code.NOT_FOUND,
            f"{FOLDER}/{host}.toml: the registry has no host {host}",
            hints=(f"secretsmith host add {host}",),
        )
    return registered[host]


def _declaration(given: HostFile) -> HostDeclaration:
    return HostDeclaration(
        given.host,
        given.path,
        tuple(
            SecretDeclaration(
                name=name,
                file=secret.get("file", ""),
                format=secret_format(given, name),
                origin=given.where("secrets", name),
                key=secret.get("key"),
                source=secret.get("source"),
                owner=_text(secret.get("owner")),
                group=_text(secret.get("group")),
                mode=_text(secret.get("mode")),
                units=_units(secret),
                live=secret.get("live", False),
            )
            for name, secret in sorted(given.secrets.items())
        ),
    )


def _text(value: object) -> str | None:
    # What is no text is refused with its line when a manifest is made of it.
    return value if isinstance(value, str) else None


def _units(secret: Mapping[str, object]) -> tuple[str, ...]:
    lists = (secret.get(field) for field in ("restart_units", "reload_units"))
    return tuple(
        dict.fromkeys(unit for units in lists if isinstance(units, list) for unit in units if _text(unit))
    )


def _findings(
    context: PluginContext, given: HostFile, registered: Mapping[str, Principal]
) -> Iterable[Finding]:
    host = registered.get(given.host)
    if host is None:
        message = f"the registry has no host {given.host}"
        yield Finding(Code.REG_UNKNOWN, "error", given.path, message, f"secretsmith host add {given.host}")
        return
    for name, secret in given.secrets.items():
        if secret.get("live"):
            continue
        where, file = given.where("secrets", name), secret["file"]
        if not _exists(context, file):
            yield Finding(Code.NOT_FOUND, "error", where, f"there is no file {file}", _making(secret))
        wanted = context.readers(file).wanted
        if wanted is None or not set(host.keys) & set(wanted):
            message = f"{given.host} declares {file}, which no rule lets it read"
            grant = f"secretsmith grant {file} --to {given.host}"
            hint = _making(secret) if "source" in secret else grant
            yield Finding(Code.NO_RULE, "error", where, message, hint)


def _exists(context: PluginContext, file: str) -> bool:
    folder = str(PurePosixPath(file).parent)
    return file in context.list_files(folder)


def _manifest(context: PluginContext, given: HostFile, host: Principal, root: str) -> Manifest:
    files = [secret["file"] for secret in given.secrets.values() if not secret.get("live")]
    readers = {file: context.readers(file) for file in files}
    tree: dict[str, object] = {"version": 1, "host": host.name, **_DEFAULTS, **given.settings}
    if host.keys:
        tree["host_key"] = host.keys[0]
    secrets = [_secret(context, given, name, readers, root) for name in sorted(given.secrets)]
    templates = [{"name": name, **manifest_fields(table)} for name, table in sorted(given.templates.items())]
    tree["principals"] = _principals(context, host, readers.values())
    return given.checked({**tree, "secrets": secrets, "templates": templates})


def _secret(
    context: PluginContext, given: HostFile, name: str, readers: Mapping[str, Readers], root: str
) -> dict[str, object]:
    table = manifest_fields(given.secrets[name])
    making = _making(table)
    source = table.pop("source", None)
    if table.pop("live", False):
        place = f"{LIVE_ROOT}/{live_path(source)}"
        return {"name": name, **table, "live": source, "id": source, "source": place, "format": "age"}
    file = table.pop("file")
    if not _exists(context, file):
        where = given.where("secrets", name, "file")
        raise NotFound(Code.NOT_FOUND, f"{where}: there is no file {file}", hints=(making,), path=file)
    entry = {
        "name": name,
        **table,
        "source": f"{root}/{file}",
        "id": file,
        "format": secret_format(given, name),
    }
    known = readers[file]
    # What the rules want, so that a host that lost access keeps no old value; the lock where no rule speaks.
    who = known.present if known.wanted is None else known.wanted
    return entry if who is None else {**entry, "readers": sorted(who)}


def _principals(
    context: PluginContext, host: Principal, readers: Iterable[Readers]
) -> dict[str, dict[str, str]]:
    """Name every key that a host may meet in the headers: wanted and present readers, and its own former keys."""
    keys = {*host.keys, *host.former}
    for known in readers:
        keys |= {*(known.wanted or ()), *(known.present or ())}
    found: dict[str, dict[str, str]] = {}
    for fingerprint in sorted(keys):
        if (key := context.key(fingerprint)) is not None:
            forms = {"ssh_tag": key.ssh_tag, "recipient": key.recipient}
            found[fingerprint] = {
                "name": key.principal,
                **{form: text for form, text in forms.items() if text},
            }
    return found


__all__ = ["SystemdBuilder"]
