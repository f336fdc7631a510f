"""``secretsmith.d/HOST.toml``: what one host is to get, read strictly, every error with its line."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import Manifest, SourceFormat, parse_manifest
from secretsmith_systemd.places import Place, line_of, places

FOLDER: Final = "secretsmith.d"
MAX_BYTES: Final = 512 * 1024  # tomllib takes about a second for it
MAX_DOTS: Final = (
    10**7
)  # tomllib's time for a dotted key grows with the square of its parts: 10,000 take two seconds
FORMAT_VERSION: Final = 1

_TOP = ("version", "host", "scope", "directory", "generations", "keep", "identities", "secrets", "templates")
_BOTH = ("owner", "group", "mode", "path", "method", "phase", "required", "plaintext_on_disk")
_UNITS = ("restart_units", "reload_units", "credential")
_HOST = ("creds",)
# What the manifest calls otherwise: its name → the place here.
_RENAMED: Final[Mapping[str, Place]] = {"credentials": ("credential",), "credential_key": ("host", "creds")}
_SECRET = ("file", "format", "key", "source", "live", "max_stale", *_BOTH, *_UNITS)
_TEMPLATE = ("content", "format", "placeholders", *_BOTH, *_UNITS)
_SUFFIXES: Final = {
    ".age": SourceFormat.AGE,
    ".yaml": SourceFormat.YAML,
    ".yml": SourceFormat.YAML,
    ".json": SourceFormat.JSON,
    ".env": SourceFormat.DOTENV,
    ".ini": SourceFormat.INI,
}
_REFERENCE = re.compile(r"[a-z][a-z0-9-]{0,31}:[^\x00-\x1f\x7f]{1,1024}\Z")
_FIELD = re.compile(r": ([a-z_]+)(?:\[\d+\])?: ")


@dataclass(frozen=True, slots=True)
class HostFile:
    """One host's file. ``secrets`` and ``templates`` are the tables by name, with only known fields in them."""

    path: str
    host: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, Mapping[str, Any]]
    templates: Mapping[str, Mapping[str, Any]]
    lines: Mapping[Place, int]

    def where(self, *place: str) -> str:
        """Return ``FILE:LINE`` of a table or key."""
        return f"{self.path}:{line_of(self.lines, place)}"

    def refuse(self, place: Place, why: str, code: Code = Code.MANIFEST) -> NoReturn:
        """Raise RefusedInput that names file and line."""
        raise RefusedInput(code, f"{self.where(*place)}: {why}", path=self.path)

    def checked(self, tree: Mapping[str, object]) -> Manifest:
        """Return the manifest that ``tree`` describes; what is wrong with it is told with the line of its table."""
        try:
            return parse_manifest(json.dumps(tree, default=_no_date).encode())
        except RefusedInput as error:
            message = error.message.removeprefix("manifest: ")
            why = re.sub(r"^(top level: |\w+\[\d+\] )", "", message)
            for name, place in _RENAMED.items():
                why = re.sub(rf"\b{name}\b", ".".join(place), why)
            self.refuse(self._place(message), why, error.code)

    def _place(self, message: str) -> Place:
        """Where the manifest's complaint ``secrets[0] 'db': mode: …`` comes from."""
        subject = message.partition(": ")[0]
        field = _FIELD.search(f": {message}")
        for section, tables in (("secrets", self.secrets), ("templates", self.templates)):
            for name in tables:
                if subject.removeprefix(f"{section}[").partition("] ")[2] == ascii(name) or subject == ascii(
                    name
                ):
                    return (section, name, *_renamed(field)) if field else (section, name)
        return _renamed(field) if field else ()


def parse_host_file(path: str, data: bytes, secrets: str = "secrets") -> HostFile:
    """Read the bytes of ``secretsmith.d/HOST.toml``.

    ``secrets`` is the folder of the repository's secrets: a secret that only says its ``source`` has its file there.

    Raises:
        RefusedInput: TOO_BIG; MANIFEST for a text that is no TOML, an unknown field or a wrong type.
    """
    host = PurePosixPath(path).name.removesuffix(".toml")
    tree, text = _toml(path, data)
    lines = places(text)
    empty = HostFile(path, host, {}, {}, {}, lines)
    _known(empty, (), tree, _TOP)
    if type(version := tree.get("version", FORMAT_VERSION)) is not int or version != FORMAT_VERSION:
        empty.refuse(("version",), f"version {version!a} is not known, only {FORMAT_VERSION}")
    return HostFile(
        path,
        host,
        _settings(empty, tree),
        {
            name: _filed(table, f"{secrets}/{host}/{name}.age")
            for name, table in _tables(empty, tree, "secrets", _SECRET).items()
        },
        _tables(empty, tree, "templates", _TEMPLATE),
        lines,
    )


def manifest_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a secret or template as a manifest has them: ``credential`` is one or several there."""
    found = dict(table)
    if "credential" in found:
        given = found.pop("credential")
        found["credentials"] = [given] if isinstance(given, str) else given
    return found


def secret_format(given: HostFile, name: str) -> str:
    """Return the declared format of a secret, or the one that the file's suffix says."""
    secret = given.secrets[name]
    if secret.get("live"):
        return SourceFormat.AGE
    if "format" in secret:
        return str(secret["format"])
    suffix = PurePosixPath(secret["file"]).suffix
    if suffix not in _SUFFIXES:
        formats = ", ".join(SourceFormat)
        given.refuse(
            ("secrets", name, "file"), f"the suffix {suffix!a} says no format: give one of {formats}"
        )
    return _SUFFIXES[suffix]


def _filed(table: Mapping[str, Any], own: str) -> Mapping[str, Any]:
    """Return a secret's table with the file that ``sync`` makes where only a source is given; live values have none."""
    return {"file": own, **table} if "source" in table and not table.get("live") else table


def _renamed(field: re.Match[str]) -> Place:
    return _RENAMED.get(field[1], (field[1],))


def _settings(given: HostFile, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of the host as a whole, as a manifest has it."""
    host = tree.get("host", {})
    if not isinstance(host, dict):
        given.refuse(("host",), "wants a table: [host]")
    _known(given, ("host",), host, _HOST)
    own = ("version", "host", "secrets", "templates")
    settings = {name: value for name, value in tree.items() if name not in own}
    return {**settings, "credential_key": host["creds"]} if "creds" in host else settings


def _no_date(value: object) -> NoReturn:
    raise RefusedInput(Code.MANIFEST, f"{value} is a date without quotes, which no field takes")


def _toml(path: str, data: bytes) -> tuple[dict[str, Any], str]:
    if len(data) > MAX_BYTES:
        raise RefusedInput(Code.TOO_BIG, f"{path}: larger than {MAX_BYTES // 1024} KiB", path=path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RefusedInput(Code.MANIFEST, f"{path}:{line}: not UTF-8", path=path) from None
    if sum(line.count(".") ** 2 for line in text.split("\n")) > MAX_DOTS:
        raise RefusedInput(Code.MANIFEST, f"{path}: a line with thousands of dots", path=path)
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        why = re.sub(r"\s*\(at .*\)$", "", str(error))
        at = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
        place = f"{at[1]}:{at[2]}" if at else str(text.count("\n") + 1)
        raise RefusedInput(
            Code.MANIFEST, f"{path}:{place}: not TOML: {why[:1].lower()}{why[1:]}", path=path
        ) from None
    except (RecursionError, ValueError):
        raise RefusedInput(
            Code.MANIFEST, f"{path}:1: nested too deep, or a number too long", path=path
        ) from None


def _tables(given: HostFile, tree: Mapping[str, Any], section: str, fields: Iterable[str]) -> dict[str, Any]:
    found = tree.get(section, {})
    if not isinstance(found, dict):
        given.refuse((section,), f"{section} wants tables: [{section}.NAME]")
    for name, table in found.items():
        if not isinstance(table, dict):
            given.refuse((section, name), f"wants a table: [{section}.{name}]")
        _known(given, (section, name), table, fields)
        if section == "secrets":
            _check_secret(given, name, table)
    return found


def _check_secret(given: HostFile, name: str, table: Mapping[str, Any]) -> None:
    place = ("secrets", name, "file")
    if "file" not in table and "source" not in table:
        given.refuse(("secrets", name), f"secret {name!a} names no file of this repository, and no source")
    file = table.get("file", f"{name}.age")
    if not isinstance(file, str) or not _is_inside(file):
        given.refuse(
            place, "file wants a path from the repository's root, without . or .. parts", Code.PATH_UNSAFE
        )
    reference = table.get("source", "a:b")
    if not isinstance(reference, str) or not _REFERENCE.match(reference):
        given.refuse(("secrets", name, "source"), 'source wants a reference such as "pass:web/db"')
    _check_live(given, name, table)


def _check_live(given: HostFile, name: str, table: Mapping[str, Any]) -> None:
    place = ("secrets", name, "live")
    if type(live := table.get("live", False)) is not bool:
        given.refuse(place, f"live wants true or false, not {live!a}")
    if not live:
        return
    if "source" not in table:
        given.refuse(place, 'a live value has a source, such as "pass:web/db", that deploy fetches it from')
    for field in ("file", "key", "format"):
        if field in table:
            given.refuse(
                ("secrets", name, field), f"a live value is in no file of the repository: leave {field} out"
            )


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return path.isprintable() and all(part not in ("", ".", "..") for part in parts)


def _known(given: HostFile, place: Place, table: Mapping[str, Any], fields: Iterable[str]) -> None:
    allowed = tuple(fields)
    for name in table:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            meant = f", did you mean {near[0]}?" if near else f" (known: {', '.join(allowed)})"
            given.refuse((*place, name), f"unknown field {name!a}{meant}")


__all__ = ["FOLDER", "HostFile", "manifest_fields", "parse_host_file", "secret_format"]
