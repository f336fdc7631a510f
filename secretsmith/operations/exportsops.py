"""``export sops``: the registry's rules as a ``.sops.yaml``, for people who also use plain sops."""

from __future__ import annotations

import hashlib
from typing import Final

from secretsmith.errors import Code, NotFound, RefusedInput
from secretsmith.findings import Finding
from secretsmith.policy.sopsyaml import CONFIG_NAME, converts_keys, is_generated, lists_files
from secretsmith.project import Project, read_sops_config, writing
from secretsmith.record import record
from secretsmith.store.atomic import read_file

_COMMAND: Final = "secretsmith export sops"
_CONVERTED: Final = (
    "note: after `sops updatekeys` sops opens a document with converted private keys alone, not with ssh keys; for each person: "
    "(umask 077; ssh-to-age -private-key -i ~/.ssh/id_ed25519 >> ~/.config/sops/age/keys.txt)"
)
_MAX_BYTES: Final = 16 * 1024 * 1024


@record
class Exported:
    """``text`` is what ``path`` (relative to the root) holds now; ``written`` is False when it held it before.

    ``complete`` is False when the rules meet in more ways than are worked out, and the text names files instead.
    """

    path: str
    text: str
    written: bool
    complete: bool
    notes: tuple[str, ...] = ()


def export_sops(project: Project, *, force: bool = False) -> Exported:
    """Write ``.sops.yaml`` at the registry's root. From then on every change of the registry rewrites it.

    ``force`` replaces one that somebody else wrote.

    Raises:
        RefusedInput: EXISTS, there is one that we did not write; NOT_REGULAR, it is a link or a folder.
    """
    with writing(project) as session:
        text = session.project.sops_config()
        data = text.encode()
        before = _present(session.project)
        if before == data:
            return Exported(CONFIG_NAME, text, written=False, complete=not lists_files(text))
        if before is not None and not force and not is_generated(before.decode("utf-8", "replace")):
            raise RefusedInput(
                Code.EXISTS,
                f"{CONFIG_NAME}: exists already, and was not written by {_COMMAND}",
                hints=(f"compare: {_COMMAND} --stdout", f"replace it: {_COMMAND} --force"),
                path=CONFIG_NAME,
            )
        expect = None if before is None else hashlib.sha256(before).hexdigest()
        session.stage_file(CONFIG_NAME, data, expect=expect)
        session.commit()
        notes = (*session.notes, *([_CONVERTED] if converts_keys(text) else ()))
    return Exported(CONFIG_NAME, text, written=True, complete=not lists_files(text), notes=notes)


def _present(project: Project) -> bytes | None:
    try:
        return read_file(project.root / CONFIG_NAME, _MAX_BYTES)
    except NotFound:
        return None


def sops_text(project: Project) -> str:
    """Return what :func:`export_sops` would write; nothing is written."""
    return project.sops_config()


def stale_config(project: Project) -> Finding | None:
    """Say whether there is a ``.sops.yaml`` of ours that no longer says what the registry says."""
    text = read_sops_config(project.root)
    if text is None or text == project.sops_config():
        return None
    return Finding(
        Code.SOPS_CONFIG,
        "warning",
        CONFIG_NAME,
        "does not say what the registry says, so sops would encrypt to other readers",
        _COMMAND,
    )


__all__ = ["Exported", "export_sops", "sops_text", "stale_config"]
