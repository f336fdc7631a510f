"""The values of a secret as a program gets them: environment variables, or files.

Names and values that cannot be given faithfully are refused, naming the key and never the value: a program that starts with
half of its secrets, or with another one under a name, fails in ways that nobody understands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final

from secretsmith.documents.format import Format
from secretsmith.documents.seal import open_sops, open_value
from secretsmith.documents.tree import TreePath, format_tree_path
from secretsmith.errors import CannotDecrypt, Code, RefusedInput, SecretsmithError
from secretsmith.identities.ring import IdentityRing
from secretsmith.operations.fileformat import format_of_sealed
from secretsmith.operations.readers import read_sealed
from secretsmith.operations.show import OpenPgp, explained, explained_file
from secretsmith.project import MAX_SECRET_BYTES, Project
from secretsmith.record import record
from secretsmith.sensitive import Sensitive
from secretsmith.store.atomic import read_file

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_VARIABLE = re.compile(r"[^A-Za-z0-9_]")
# linux/binfmts.h, MAX_ARG_STRLEN: 32 pages, for NAME=VALUE with its final NUL.
_MAX_VARIABLE: Final = 32 * 4096
_MAX_FILE_NAME: Final = 255
_ONE_VALUE: Final = (Format.AGE, Format.BINARY)
# Variables by which the loader, shells, language runtimes, git and the like choose code to run. Whoever may push can encrypt
# a document to us, so its keys must not choose it. The list is sudo's (plugins/sudoers/env.c, initial_badenv_table) without
# what is obsolete and without ENV, which many programs use otherwise, and with what came since.
_CHOOSES_CODE: Final = re.compile(
    r"LD_.*|DYLD_.*|_RLD.*|BASH_FUNC_.*|GIT_CONFIG.*|"
    r"PATH|IFS|CDPATH|HOME|SHELL|BASH_ENV|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND|ZDOTDIR|FPATH|"
    r"GCONV_PATH|GLIBC_TUNABLES|LOCPATH|NLSPATH|TERMINFO|TERMINFO_DIRS|OPENSSL_CONF|OPENSSL_ENGINES|OPENSSL_MODULES|"
    r"PYTHON(PATH|HOME|STARTUP|INSPECT|USERBASE|BREAKPOINT|WARNINGS|PLATLIBDIR|EXECUTABLE)|"
    r"PERL(LIB|5LIB|5OPT|5DB|IO_DEBUG)|RUBY(LIB|OPT)|BUNDLE_GEMFILE|GEM_(HOME|PATH)|"
    r"NODE_(OPTIONS|PATH)|(JAVA_TOOL|_JAVA|JDK_JAVA)_OPTIONS|CLASSPATH|DOTNET_STARTUP_HOOKS|PHPRC|PHP_INI_SCAN_DIR|"
    r"LUA_(INIT|PATH|CPATH)(_5_[0-9])?|"
    r"GIT_(SSH|SSH_COMMAND|ASKPASS|EXEC_PATH|EDITOR|SEQUENCE_EDITOR|PAGER|EXTERNAL_DIFF|PROXY_COMMAND|TEMPLATE_DIR|DIR)|"
    r"SSH_ASKPASS|SUDO_ASKPASS|EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|LESSOPEN|LESSCLOSE"
)


@record
class Values:
    """What a secret holds, by the paths that people know; a secret that is one value has it at ``()``.

    ``label`` is what messages call the file.
    """

    label: str
    found: Mapping[TreePath, Sensitive]


def secret_values(project: Project, path: str) -> Values:
    """Open the secret ``path`` (relative to the root), a document's MAC checked. Raises as ``show`` does."""
    sealed = read_sealed(project, path)
    try:
        found = _open(sealed.format, sealed.data, project.ring, project.open_pgp)
    except CannotDecrypt as error:
        raise explained(project, sealed, error) from None
    except SecretsmithError as error:
        raise error.at(path) from None
    return Values(path, found)


def file_values(path: Path, name: str, ring: IdentityRing, open_pgp: OpenPgp) -> Values:
    """Open any sealed file, without a registry. ``name`` is what messages call it. Raises as ``show`` does."""
    data = read_file(path, MAX_SECRET_BYTES)
    form = format_of_sealed(name, data)
    try:
        return Values(name, _open(form, data, ring, open_pgp))
    except CannotDecrypt as error:
        raise explained_file(error, name, form, data, ring) from None
    except SecretsmithError as error:
        raise error.at(name) from None


def _open(form: Format, data: bytes, ring: IdentityRing, open_pgp: OpenPgp) -> dict[TreePath, Sensitive]:
    if form in _ONE_VALUE:
        return {(): open_value(form, data, ring.for_data, open_pgp=open_pgp)}
    # Only for documents: age files do without what reads them.
    from secretsmith.documents.scalartext import to_text
    from secretsmith.documents.sopsplain import values_at

    opened = open_sops(form, data, ring.for_data, open_pgp=open_pgp)
    return {path: Sensitive(to_text(*value)) for path, value in values_at(opened, ()).items()}


def as_environment(values: Values, name: str | None = None) -> dict[bytes, bytes]:
    """Return the values as environment variables.

    Values of documents are named by their keys, those further down by all keys on the way, joined with ``_``; texts are as
    they are, the others as sops writes them (``true``, ``1.0``, ``<nil>``); of a stream of documents it is the first. One
    value is called ``name``, or by the file: ``web/db-password.age`` gives ``DB_PASSWORD``.

    Raises:
        RefusedInput: USAGE, NAME, NAME_CLASH, YAML_VALUE, TOO_BIG: what no environment can hold; NAME for a variable that
            would choose the code that the program runs, unless it is ``name``.
    """
    variables: dict[bytes, bytes] = {}
    sources: dict[str, TreePath] = {}
    for path, names, value in _named(values, name, _variable_of(values.label)):
        variable, shown = "_".join(names), _shown(values, path)
        if not _VARIABLE.fullmatch(variable):
            raise _refused(Code.NAME, f"{shown} gives no name that a variable can have")
        if variable != name and _CHOOSES_CODE.fullmatch(variable):
            raise RefusedInput(
                Code.NAME,
                f"{shown} would be the variable {variable}, by which programs choose code to run",
                hints=(
                    "with a secret that is one value: --name NAME",
                    "to set it nevertheless: secretsmith run --files SECRET -- sh -c "
                    f"""'{variable}=$(cat {{}}/…) exec PROGRAM'""",
                ),
            )
        if variable in sources:
            other = _shown(values, sources[variable])
            raise _refused(Code.NAME_CLASH, f"{shown} gives the same variable, {variable}, as {other}")
        if b"\0" in value.expose():
            raise _refused(Code.YAML_VALUE, f"{shown} holds a NUL byte, which no variable can")
        if len(variable) + len(value) + 2 > _MAX_VARIABLE:
            raise _refused(Code.TOO_BIG, f"{shown} is too long for a variable")
        sources[variable] = path
        variables[variable.encode("ascii")] = value.expose()
    return variables


def as_files(values: Values, name: str | None = None) -> dict[tuple[str, ...], Sensitive]:
    """Return the values by file names, the folders on the way first: ``mail/smtp`` is the file ``smtp`` in ``mail``.

    One value is called ``name``, or as the file without its suffix.

    Raises:
        RefusedInput: USAGE; NAME, a key that no file can be called by.
    """
    files: dict[tuple[str, ...], Sensitive] = {}
    for path, names, value in _named(values, name, PurePath(values.label).stem):
        if not all(_is_file_name(each) for each in names):
            raise RefusedInput(Code.NAME, f"{_shown(values, path)} gives no name that a file can have")
        files[names] = value
    return files


def _named(
    values: Values, name: str | None, otherwise: str
) -> Iterator[tuple[TreePath, tuple[str, ...], Sensitive]]:
    """Give each value with its path and the names on the way to it."""
    if name is not None and () not in values.found:
        raise RefusedInput(
            Code.USAGE,
            f"{values.label} has keys, which name its values: --name is for a secret that is one value",
        )
    for path, value in values.found.items():
        yield path, tuple(map(str, path)) or (name or otherwise,), value


def _variable_of(label: str) -> str:
    """Name a variable after a file: upper case, with ``_`` for what no variable's name can have."""
    found = _NO_VARIABLE.sub("_", PurePath(label).stem.upper())
    return f"_{found}" if found[:1].isdigit() else found


def _is_file_name(name: str) -> bool:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= _MAX_FILE_NAME and name not in (".", "..") and not {"/", "\0"} & set(name)


def _shown(values: Values, path: TreePath) -> str:
    if not path:
        return values.label
    return f"{values.label}: '{format_tree_path(path).encode('unicode_escape').decode('ascii')}'"


def _refused(code: Code, message: str) -> RefusedInput:
    return RefusedInput(code, message, hints=("secretsmith run --files … gives the values as files",))


__all__ = ["Values", "as_environment", "as_files", "file_values", "secret_values"]
