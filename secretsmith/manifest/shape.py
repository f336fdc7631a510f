"""From parsed JSON to a :class:`Manifest`: exactly what the JSON schema accepts is accepted."""

from __future__ import annotations

from typing import TypedDict

from secretsmith.manifest.members import Members, has_surrogates, shown
from secretsmith.manifest.model import (
    CredentialKey,
    Filter,
    Manifest,
    ManifestPrincipal,
    ManifestSecret,
    ManifestTemplate,
    Method,
    Output,
    Phase,
    Placeholder,
    Scope,
    SourceFormat,
    TemplateFormat,
)

VERSION = 1
MAX_CONTENT = 1024 * 1024


def read_shape(tree: object) -> Manifest:
    """Turn parsed JSON into a manifest; exactly what the JSON schema accepts is accepted."""
    top = Members(tree, "top level")
    top.number("version", VERSION, VERSION)
    directory = top.text("directory", "place")
    manifest = Manifest(
        host=top.text("host", "principal"),
        scope=top.choice("scope", Scope, Scope.SYSTEM),
        directory=directory,
        generations=top.text("generations", "place"),
        keep=top.number("keep", 1, 100, 2),
        identities=top.texts("identities", "place", least=1),
        host_key=top.maybe("host_key", "fingerprint"),
        principals={
            top.checked("principals", key, "fingerprint"): _principal(Members(value, f"principals {key}"))
            for key, value in top.members("principals").items()
        },
        secrets=tuple(_secret(_entry(item, "secrets", at), directory) for at, item in top.items("secrets")),
        templates=tuple(
            _template(_entry(item, "templates", at), directory)
            for at, item in top.items("templates", least=0)
        ),
        credential_key=top.choice("credential_key", CredentialKey) if "credential_key" in top.left else None,
    )
    top.end()
    return manifest


def _entry(item: object, where: str, at: int) -> Members:
    found = Members(item, f"{where}[{at}]")
    if isinstance(name := found.left.get("name"), str):
        found.where += f" {shown(name)}"
    return found


def _principal(given: Members) -> ManifestPrincipal:
    found = ManifestPrincipal(
        name=given.text("name", "principal"),
        ssh_tag=given.maybe("ssh_tag", "ssh_tag"),
        recipient=given.maybe("recipient", "recipient"),
    )
    given.end()
    return found


class _Common(TypedDict):
    name: str
    owner: str
    group: str
    mode: str
    path: str | None
    method: Method
    phase: Phase
    required: bool
    plaintext_on_disk: bool
    restart_units: tuple[str, ...]
    reload_units: tuple[str, ...]
    credentials: tuple[str, ...]


def _common(given: Members, directory: str) -> _Common:
    name = given.text("name", "entry")
    path = given.maybe("path", "place")
    return _Common(
        name=name,
        owner=given.text("owner", "account", "root"),
        group=given.text("group", "account", "root"),
        mode=given.text("mode", "mode", "0400"),
        path=None if path == f"{directory}/{name}" else path,
        method=given.choice("method", Method, Method.LINK),
        phase=given.choice("phase", Phase, Phase.SERVICES),
        required=given.flag("required", default=True),
        plaintext_on_disk=given.flag("plaintext_on_disk", default=False),
        restart_units=given.texts("restart_units", "unit"),
        reload_units=given.texts("reload_units", "unit"),
        credentials=given.texts("credentials", "credential"),
    )


def _secret(given: Members, directory: str) -> ManifestSecret:
    secret = ManifestSecret(
        **_common(given, directory),
        source=given.text("source", "path"),
        format=given.choice("format", SourceFormat),
        id=given.text("id", "line", ""),
        key=given.maybe("key", "key"),
        output=given.choice("output", Output, Output.VALUE),
        readers=given.texts("readers", "fingerprint") if "readers" in given.left else None,
        max_stale=given.maybe("max_stale", "duration"),
        live=given.maybe("live", "reference"),
    )
    given.end()
    return secret


def _template(given: Members, directory: str) -> ManifestTemplate:
    content = given.take("content")
    if not isinstance(content, str) or len(content) > MAX_CONTENT or has_surrogates(content):
        given.refuse(f"content: wants a text of at most {MAX_CONTENT} characters")
    template = ManifestTemplate(
        **_common(given, directory),
        content=content,
        format=given.choice("format", TemplateFormat, TemplateFormat.RAW),
        placeholders={
            given.checked("placeholders", text, "line"): _placeholder(
                Members(value, f"{given.where}: {shown(text)}")
            )
            for text, value in given.members("placeholders").items()
        },
    )
    given.end()
    return template


def _placeholder(given: Members) -> Placeholder:
    found = Placeholder(
        secret=given.text("secret", "entry"), filter=given.choice("filter", Filter, Filter.RAW)
    )
    given.end()
    return found
