"""What Nix answered, read with suspicion: a configuration may define anything under the names that are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from secretsmith.errors import Code, RefusedInput
from secretsmith.plugin.api import HostDeclaration, SecretDeclaration

Answer = Mapping[str, Any]


def known_hosts(answers: Iterable[Answer]) -> dict[str, Answer]:
    """Return host → answer. Of several configurations for one host, the one that is called as it counts.

    Raises:
        RefusedInput: MANIFEST, a host without a name, or several configurations for one and none called as it.
    """
    found: dict[str, Answer] = {}
    for answer in answers:
        attribute, name = answer["attribute"], answer.get("name")
        if not isinstance(name, str) or not name:
            _refuse(str(attribute), "host", "is no name")
        other = found.get(name)
        if other is None or attribute == name:
            found[name] = answer
        elif other["attribute"] != name:
            raise RefusedInput(
                Code.MANIFEST,
                f"the configurations {other['attribute']} and {attribute} are both for host {name}",
                hints=("give each a secretsmith.host of its own, or leave the module out of one",),
            )
    return found


def declaration_of(host: str, answer: Answer) -> HostDeclaration:
    """Return what a host declares, from the module's declaration or from a plain manifest. Raises RefusedInput."""
    attribute = str(answer["attribute"])
    given = answer.get("declaration", answer.get("manifest"))
    secrets = given.get("secrets", []) if isinstance(given, dict) else None
    if not isinstance(secrets, list):
        _refuse(attribute, "secrets", "is no list")
    # One without a file, or with one that lies on the host alone, is none of this repository.
    declared = [_secret(attribute, secret) for secret in secrets]
    here = sorted(
        (each for each in declared if each.live or (each.file and not each.file.startswith("/"))),
        key=lambda each: each.name,
    )
    elsewhere = sorted({each.file for each in declared if each.file.startswith("/")})
    return HostDeclaration(host, f"nixosConfigurations.{attribute}", tuple(here), tuple(elsewhere))


def _secret(attribute: str, given: object) -> SecretDeclaration:
    if not isinstance(given, dict):
        _refuse(attribute, "secrets", "has something else than sets in it")
    name = _text(attribute, given, "name") or _refuse(attribute, "secrets", "has one without a name")
    option = _text(attribute, given, "option") or f"secretsmith.secrets.{name}"
    # A plain manifest says the reference itself there.
    live = given.get("live") not in (None, False)
    source = given.get("live") if isinstance(given.get("live"), str) else None
    return SecretDeclaration(
        name=name,
        file="" if live else _file(attribute, given, name),
        format=_text(attribute, given, "format") or "",
        origin=_text(attribute, given, "origin") or f"nixosConfigurations.{attribute}: {option}",
        key=_text(attribute, given, "key"),
        source=_text(attribute, given, "source") if "file" in given else source,
        owner=_text(attribute, given, "owner"),
        group=_text(attribute, given, "group"),
        mode=_text(attribute, given, "mode"),
        units=_units(attribute, given),
        live=live,
    )


def _file(attribute: str, given: Mapping[str, object], name: str) -> str:
    if "file" in given:
        return _text(attribute, given, "file") or ""
    # A plain manifest says "id", and leaves it out where it is the name.
    return _text(attribute, given, "id") or name


def _text(attribute: str, given: Mapping[str, object], field: str) -> str | None:
    value = given.get(field)
    if value is not None and not isinstance(value, str):
        _refuse(attribute, f"secrets.{given.get('name')!a}.{field}", "is no text")
    return value


def _units(attribute: str, given: Mapping[str, object]) -> tuple[str, ...]:
    units: dict[str, None] = {}
    for field in ("units", "restart_units", "reload_units"):
        listed = given.get(field, [])
        if not isinstance(listed, list) or not all(isinstance(unit, str) for unit in listed):
            _refuse(attribute, f"secrets.{given.get('name')!a}.{field}", "is no list of units")
        units.update(dict.fromkeys(listed))
    return tuple(units)


def _refuse(attribute: str, what: str, why: str) -> NoReturn:
    raise RefusedInput(Code.MANIFEST, f"nixosConfigurations.{attribute}: {what} {why}")


__all__ = ["Answer", "declaration_of", "known_hosts"]
