"""A rekey plan as a file: made by whoever looks at a change, applied by whoever has the keys.

The file says which registry and which bytes of every file it was made for, so that it is applied to those or to nothing. It
holds no value and no private key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from secretsmith.crypto.publickey import Form
from secretsmith.errors import Code, Conflict, NotFound, RefusedInput
from secretsmith.operations.rekeyplan import PlannedFile, RekeyPlan, plan_rekey
from secretsmith.project import Project
from secretsmith.store.atomic import read_file, write_atomic

PLAN_VERSION: Final = 1
MAX_PLAN_BYTES: Final = 64 * 1024 * 1024
_LISTS: Final = ("add", "remove", "keep", "unknown", "rules")
_AGAIN: Final = "make a new one: secretsmith rekey --plan --out PLAN"


def dump_plan(project: Project, plan: RekeyPlan) -> str:
    """Return the text of a plan: JSON, indented, keys in a fixed order (docs/reference/schemas/rekey-plan-file.schema.json)."""
    keys = sorted({key for file in plan.files for key in (*file.add, *file.remove, *file.keep)})
    found = {
        "version": PLAN_VERSION,
        "registry": _digest(plan.registry_text),
        "form": None if plan.form is None else str(plan.form),
        "drop_unknown": plan.drop_unknown,
        "names": {key: project.name_of(key) for key in keys},
        "files": [_as_json(file) for file in plan.files],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _as_json(file: PlannedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "sha256": file.digest,
        "add": list(file.add),
        "remove": list(file.remove),
        "keep": list(file.keep),
        "unknown": list(file.unknown),
        "rules": list(file.rules),
        "why": file.why,
        "blocked": file.blocked,
    }


def write_plan(project: Project, plan: RekeyPlan, path: Path) -> None:
    """Write a plan to a file, atomically. Raises what :func:`secretsmith.store.atomic.write_atomic` does."""
    write_atomic(path, dump_plan(project, plan).encode("utf-8", "surrogateescape"))


def read_plan(project: Project, path: Path, name: str) -> RekeyPlan:
    """Return the plan in the file ``path``, which is called ``name``, planned anew and found to be the same.

    Whether somebody here can open a file is not part of that: a plan may be made where no key is.

    Raises:
        NotFound: there is no such file.
        RefusedInput: FORMAT, it is no plan, or one of another version.
        Conflict: CHANGED, registry, a file, or what follows from both is not what it was made for.
    """
    read = _parsed(read_file(path, MAX_PLAN_BYTES), name)
    if read["registry"] != _digest(project.registry_text):
        raise _changed("secretsmith.toml changed since the plan was made", None)
    form = None if read["form"] is None else Form(read["form"])
    paths = [file["path"] for file in read["files"]]
    if not paths:
        return RekeyPlan((), registry_text=project.registry_text)
    try:
        plan = plan_rekey(project, paths, form=form, drop_unknown=read["drop_unknown"])
    except NotFound as error:
        raise _changed(f"{error.path}: is gone since the plan was made", error.path) from None
    now = {file.path: file for file in plan.files}
    for file in read["files"]:
        found = now.get(file["path"])
        if found is None or _compared(_as_json(found)) != _compared(file):
            raise _changed(f"{file['path']}: is not as it was when the plan was made", file["path"])
    return RekeyPlan(
        tuple(now[path] for path in paths),
        plan.notes,
        registry_text=project.registry_text,
        form=form,
        drop_unknown=read["drop_unknown"],
    )


def _compared(file: Mapping[str, Any]) -> dict[str, Any]:
    return {key: file[key] for key in ("sha256", "add", "remove", "keep", "unknown", "rules")}


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _no_plan(name) from None
    if isinstance(found, dict) and isinstance(found.get("version"), int) and found["version"] != PLAN_VERSION:
        raise RefusedInput(
            Code.FORMAT,
            f"{name}: a plan of version {found['version']}, which is not known here",
            hints=(_AGAIN,),
        )
    if not _is_plan(found):
        raise _no_plan(name)
    result: dict[str, Any] = found
    return result


def _is_plan(found: object) -> bool:
    return (
        isinstance(found, dict)
        and found.get("version") == PLAN_VERSION
        and isinstance(found.get("registry"), str)
        and "form" in found
        and found["form"] in (None, *(str(form) for form in Form))
        and isinstance(found.get("drop_unknown"), bool)
        and isinstance(found.get("files"), list)
        and all(_is_file(file) for file in found["files"])
        and len({file["path"] for file in found["files"]}) == len(found["files"])
    )


def _is_file(file: object) -> bool:
    return (
        isinstance(file, dict)
        and isinstance(file.get("path"), str)
        and isinstance(file.get("sha256"), str)
        and all(_is_texts(file.get(name)) for name in _LISTS)
    )


def _is_texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(text, str) for text in found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _no_plan(name: str) -> RefusedInput:
    return RefusedInput(Code.FORMAT, f"{name}: is no plan of a rekey", hints=(_AGAIN,))


def _changed(message: str, path: str | None) -> Conflict:
    return Conflict(Code.CHANGED, f"{message}; nothing was written", hints=(_AGAIN,), path=path)


__all__ = ["MAX_PLAN_BYTES", "PLAN_VERSION", "dump_plan", "read_plan", "write_plan"]
