"""Custom paths: a symlink from where a program looks to the secret in the live generation."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterator, Mapping
from shlex import quote

from secretsmith.activation.accounts import Caller, Ownership
from secretsmith.activation.folders import Folder, failed, link_text, replace_link, safe_folder
from secretsmith.errors import Code, SecretsmithError
from secretsmith.manifest import Manifest, is_below


def place_link(manifest: Manifest, path: str, text: str, owner: Ownership, caller: Caller) -> None:
    """Make ``path`` a symlink to ``text``; only a link into our own folders is ever replaced.

    Below a folder of the secret's owner the link is made as that user, so that nothing reached there can be more than
    that user's own.

    Raises:
        SecretsmithError: PATH_UNSAFE, PATH_OCCUPIED, ACCESS …
    """
    parent, _, name = path.rpartition("/")
    try:
        with _folder_of(parent, owner, caller, create=True) as folder:
            found = link_text(folder.fd, name)
            if found is None:
                # Not "look, then rename over it": what appears in between would be lost.
                os.symlink(text, name, dir_fd=folder.fd)
            elif not any(is_below(found, ours) for ours in (manifest.directory, manifest.generations)):
                raise _occupied(path, "a link to somewhere else")
            elif not _is_link(name, text, {*caller.trusted, folder.owner}, folder.fd):
                replace_link(folder.fd, name, text)
    except FileExistsError:
        raise _occupied(path, "a file or folder that activation did not make") from None
    except OSError as error:
        raise failed(error, path) from None


def is_in_place(path: str, text: str, owner: Ownership, caller: Caller) -> bool:
    """Whether :func:`place_link` would change nothing, as far as can be seen without walking there."""
    try:
        return _is_link(path, text, {*caller.trusted, owner.uid})
    except OSError:
        return False


def _is_link(name: str, text: str, owners: Container[int | None], folder: int | None = None) -> bool:
    # In a sticky folder such as /tmp anybody could have planted the link, to point it elsewhere later.
    return (
        os.readlink(name, dir_fd=folder) == text
        and os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid in owners
    )


def remove_links(
    previous: Mapping[str, str], wanted: Mapping[str, str], caller: Caller
) -> dict[str, SecretsmithError]:
    """Remove the links that an earlier run made and this one does not want, if they are still as we left them.

    Returns path → why, for those that could not be removed and must be tried again.
    """
    stuck: dict[str, SecretsmithError] = {}
    for path in previous.keys() - wanted.keys():
        try:
            _remove_link(path, previous[path], caller)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            stuck[path] = failed(error, path)
        except SecretsmithError as error:
            stuck[path] = error
    return stuck


def _remove_link(path: str, text: str, caller: Caller) -> None:
    parent, _, name = path.rpartition("/")
    found = os.lstat(path)
    with _folder_of(parent, Ownership(found.st_uid, found.st_gid), caller) as folder:
        if link_text(folder.fd, name) == text:
            os.unlink(name, dir_fd=folder.fd)


@contextlib.contextmanager
def _folder_of(parent: str, owner: Ownership, caller: Caller, *, create: bool = False) -> Iterator[Folder]:
    also = owner.uid if owner.uid not in caller.trusted else None
    with safe_folder(parent or "/", caller.trusted, also=also, create=create) as folder:
        if folder.owner is None:
            yield folder
        else:
            with _acting_as(folder.owner, owner.gid):
                yield folder


@contextlib.contextmanager
def _acting_as(uid: int, gid: int) -> Iterator[None]:
    """Be another user for the block; only root gets here, as others own no folders but their own."""
    groups, old_uid, old_gid = os.getgroups(), os.geteuid(), os.getegid()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(old_uid)
        os.setegid(old_gid)
        os.setgroups(groups)


def _occupied(path: str, what: str) -> SecretsmithError:
    hint = (
        f"look at it, then move it away (it is never deleted here): mv {quote(path)} {quote(path + '.old')}"
    )
    return SecretsmithError(Code.PATH_OCCUPIED, f"{path} is taken by {what}", hints=(hint,), path=path)


__all__ = ["is_in_place", "place_link", "remove_links"]
