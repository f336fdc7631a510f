"""``secretsmith host keygen``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from secretsmith.cli.arguments.principals import HostKeygenParameters
from secretsmith.cli.rekeying import chosen_rekey, note_debt, report_rekey
from secretsmith.cli.session import Session
from secretsmith.errors import Code, ExitCode, Interrupted, RefusedInput
from secretsmith.operations.changes import RekeyChoice
from secretsmith.operations.hostkeygen import (
    KEY_PLACE,
    HostKey,
    check_folder,
    cloud_config,
    host_keygen,
    installer_folder,
    vm_module,
    write_cloud_config,
    write_key,
)

_STDOUT = "-"


def keygen(session: Session, given: HostKeygenParameters) -> ExitCode:
    """Make or take the host's key, and hand it over in the way that was asked for."""
    if given.vm and given.cloud_init == _STDOUT:
        raise RefusedInput(Code.USAGE, "--vm and --cloud-init - both write to standard output")
    project = session.project()
    folder = _place(session, given.extra_files)
    file = None if given.cloud_init == _STDOUT else _place(session, given.cloud_init)
    wants_folder = folder is not None or given.cloud_init is None or given.vm
    for place in ((folder,) if wants_folder else ()) + ((file,) if file is not None else ()):
        check_folder(project, place, on_disk=given.plaintext_on_disk)

    def confirm(question: str) -> None:
        if not given.yes and not session.interaction.confirm(question, flag="--yes"):
            raise Interrupted(Code.INTERRUPTED, "nothing was changed")

    key = host_keygen(
        project,
        given.name,
        replace=given.replace,
        accept=given.accept,
        rekey=_rekey(session, given),
        confirm=confirm,
    )
    _tell(session, key)
    if file is not None:
        write_cloud_config(key, file, on_disk=given.plaintext_on_disk)
        session.note(f"{file}: a cloud-config with the private key; remove it when the host has it")
    if given.cloud_init == _STDOUT:
        session.value(cloud_config(key))
    if wants_folder:
        _give_folder(session, given, key, folder or installer_folder(project, key.name))
    if key.changed is not None:
        note_debt(session, key.changed)
        report_rekey(session, key.changed, given.rekey, (key.public.fingerprint, *given.accept))
    return ExitCode.OK


def _rekey(session: Session, given: HostKeygenParameters) -> RekeyChoice | None:
    """Choose the rekey of the same transaction: a key is replaced in the files too, a new one only with ``--rekey``."""
    if given.replace and given.rekey is not False:
        return RekeyChoice(given.accept, given.name, None, session.progress("rekey"))
    return chosen_rekey(session, given)


def _give_folder(session: Session, given: HostKeygenParameters, key: HostKey, folder: Path) -> None:
    write_key(key, folder, on_disk=given.plaintext_on_disk)
    if given.vm:
        session.write(vm_module(key, folder).encode())
    elif given.cloud_init != _STDOUT:
        session.line(str(folder))
        session.note(f"for instance: nixos-anywhere --extra-files {shlex.quote(str(folder))} …")
    # A folder of somebody's own may hold more than what we put into it.
    gone = folder / KEY_PLACE if given.extra_files is not None else folder.parent
    session.note(f"a private key lies there; when the host has it: rm -r {shlex.quote(str(gone))}")


def _tell(session: Session, key: HostKey) -> None:
    what = "a new key, stored in" if key.made else "the key stored in"
    session.note(f"{key.name}: {key.public.fingerprint} is {what} {key.path}, for admins")
    for gone in key.old:
        session.note(f"{key.name}: {gone.fingerprint} is retired")
    if key.outcome != "known":
        session.note(f"{key.name} is registered with it")
    for note in key.notes:
        session.note(note)


def _place(session: Session, word: str | None) -> Path | None:
    return None if word is None else session.cwd / os.path.expanduser(word)


__all__ = ["keygen"]
