"""Who reads a new file that no registry rule names: ``--age``, SOPS_AGE_RECIPIENTS, or ``.sops.yaml``, as sops has it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import seal_value
from secretsmith.errors import Code, NotFound, RefusedInput, SecretsmithError
from secretsmith.interaction import Interaction
from secretsmith.record import record, replace
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file

if TYPE_CHECKING:
    from secretsmith.documents.sopsconfig import CreationRule

CONFIG_VARIABLE: Final = "SOPS_CONFIG"
RECIPIENTS_VARIABLE: Final = "SOPS_AGE_RECIPIENTS"
_MAX_FOLDERS: Final = 100  # sops: config/config.go, maxDepth


@record
class NewReaders:
    """How a new file is encrypted: recipients by key group, and the options of a document. ``source`` says who says so."""

    groups: tuple[tuple[str, ...], ...]
    source: str
    threshold: int | None = None
    selection: tuple[str, str] | None = None
    mac_only_encrypted: bool = False

    @property
    def recipients(self) -> tuple[str, ...]:
        """All recipients, each once."""
        return tuple(dict.fromkeys(text for group in self.groups for text in group))


def readers_of_new(
    target: Path, name: str, *, environ: Mapping[str, str], cwd: Path, age: Sequence[str] = ()
) -> NewReaders:
    """Find out who reads the new file ``target`` (absolute, or from ``cwd``); ``name`` is what messages call it.

    Recipients of ``age``, else of SOPS_AGE_RECIPIENTS, take the place of those of the rule; its other options hold anyway.

    Raises:
        RefusedInput: RECIPIENT_MISSING, nothing names readers; UNSUPPORTED, a rule names keys that are not age's; RULES; KEY
            codes for a recipient that is none.
        NotFound: the file that SOPS_CONFIG names.
    """
    given, source = _given(age, environ)
    config, rule = _rule(target, environ, cwd)
    if given:
        found = NewReaders((given,), source)
    elif rule is None:
        raise _nobody(name, config)
    else:
        found = _of_rule(rule, f"creation rule {rule.number} of {config}", name)
    if rule is not None:
        found = replace(
            found,
            threshold=rule.shamir_threshold if len(found.groups) > 1 else None,
            selection=rule.selection,
            mac_only_encrypted=rule.mac_only_encrypted,
        )
    for recipient in found.recipients:
        _require_key(recipient, found.source)
    return found


def _given(age: Sequence[str], environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    texts, source = (age, "--age") if age else ([environ.get(RECIPIENTS_VARIABLE, "")], RECIPIENTS_VARIABLE)
    keys = [key.strip() for text in texts for key in text.split(",")]
    return tuple(dict.fromkeys(key for key in keys if key)), source


def _of_rule(rule: CreationRule, source: str, name: str) -> NewReaders:
    if rule.services:
        # Without these somebody who should read the file could not, and nobody would be told.
        raise RefusedInput(
            Code.UNSUPPORTED,
            f"{name}: {source} also wants {', '.join(rule.services)}, and only age keys are written here",
            hints=(
                f"encrypt it with sops: sops encrypt --in-place {shlex.quote(name)}",
                "or say which age keys alone read it: --age RECIPIENT",
            ),
        )
    if not all(rule.groups):
        which = (
            "names no age recipients" if len(rule.groups) == 1 else "has a key group without age recipients"
        )
        raise RefusedInput(
            Code.RECIPIENT_MISSING,
            f"{name}: {source} {which}",
            hints=("add `age:` to that rule, or say who reads it: --age RECIPIENT",),
        )
    return NewReaders(rule.groups, source)


def _nobody(name: str, config: str | None) -> RefusedInput:
    why = (
        "there is no .sops.yaml here or above" if config is None else f"no creation rule of {config} names it"
    )
    return RefusedInput(
        Code.RECIPIENT_MISSING,
        f"{name}: nothing says who may read it: {why}",
        hints=(
            "name the readers: --age RECIPIENT[,RECIPIENT], or SOPS_AGE_RECIPIENTS",
            "or give .sops.yaml a creation rule for it, as for sops",
            "or keep it in a secretsmith repository: secretsmith init, then secretsmith grant PATTERN --to WHO",
        ),
    )


def _require_key(recipient: str, source: str) -> None:
    try:
        parse_public_key(recipient)
    except RefusedInput as error:
        raise RefusedInput(error.code, f"{source}: {error.message}", hints=error.hints) from None


def _rule(target: Path, environ: Mapping[str, str], cwd: Path) -> tuple[str | None, CreationRule | None]:
    """Give the configuration that holds, as messages call it, and its rule for ``target``; None where there is none."""
    path = _config_file(environ, cwd)
    if path is None:
        return None, None
    # Here, not above: a file with `--age` and no configuration needs no YAML.
    from secretsmith.documents.sopsconfig import MAX_CONFIG_BYTES, parse_config

    shown = os.path.relpath(path, cwd)
    folder = os.path.dirname(path)
    file = os.path.normpath(cwd / target)
    try:
        # sops follows links to it. It holds public keys alone.
        config = parse_config(read_file(Path(path), MAX_CONFIG_BYTES, follow=True))
        # As sops: a file that lies elsewhere keeps its absolute path.
        rule = config.rule_for(file.removeprefix(f"{folder}/"))
    except SecretsmithError as error:
        raise error.at(shown) from None
    return (None, None) if config.rules is None else (shown, rule)


def _config_file(environ: Mapping[str, str], cwd: Path) -> str | None:
    """Give the configuration's path: SOPS_CONFIG, else the nearest ``.sops.yaml`` from the current folder upward."""
    from secretsmith.documents.sopsconfig import CONFIG_NAME

    if configured := environ.get(CONFIG_VARIABLE):
        path = os.path.normpath(cwd / configured)
        if not os.path.isfile(path):
            raise NotFound(Code.NOT_FOUND, f"{configured}: no such file", hints=(f"see {CONFIG_VARIABLE}",))
        return path
    here = Path(os.path.normpath(cwd))
    for folder in (here, *here.parents)[:_MAX_FOLDERS]:
        if os.path.exists(folder / CONFIG_NAME):
            return str(folder / CONFIG_NAME)
    return None


def seal_new(
    form: Format, clear: Sensitive, readers: NewReaders, *, interaction: Interaction | None = None
) -> bytes:
    """Encrypt ``clear`` as a new file of ``form``, an age file in armor.

    Raises:
        RefusedInput: USAGE for an age file with key groups or rules for values; what a format cannot hold; RULES.
        SecretsmithError: PLUGIN codes.
    """
    if form is not Format.AGE:
        from secretsmith.documents.sopsnew import new_document

        return new_document(
            form,
            clear.expose(),
            readers.groups,
            threshold=readers.threshold,
            selection=readers.selection,
            mac_only_encrypted=readers.mac_only_encrypted,
            interaction=interaction,
        )
    if len(readers.groups) > 1:
        raise RefusedInput(
            Code.USAGE,
            "an age file has no key groups",
            hints=("a sops document has: NAME.yaml, NAME.json …",),
        )
    return seal_value(form, clear, readers.recipients, armor=True, interaction=interaction)


__all__ = ["NewReaders", "readers_of_new", "seal_new"]
