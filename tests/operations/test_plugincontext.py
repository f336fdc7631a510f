"""What plugins see of a repository, and what they do not."""

from __future__ import annotations

import os
from pathlib import Path

import keys
import pyrage
import pytest
from people import Scripted

from secretsmith.errors import CannotDecrypt, NotFound, RefusedInput, SecretsmithError
from secretsmith.interaction import NoInteraction
from secretsmith.operations.plugincontext import RepositoryContext
from secretsmith.plugin.api import PluginContext
from secretsmith.project import open_project
from secretsmith.sensitive import Sensitive
from secretsmith.testing import sample_context


def reopened(root: Path, **environ: str) -> PluginContext:
    given = {"PATH": os.defpath, **environ}
    return RepositoryContext(open_project(root, environ=given, interaction=NoInteraction()))


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return sample_context(tmp_path)


def test_principals_and_their_keys(context: PluginContext) -> None:
    found = context.principals()
    assert [(who.name, who.kind, who.status) for who in found] == [
        ("alice", "user", "active"),
        ("web1", "host", "active"),
        ("web2", "host", "active"),
    ]
    assert found[1].address == "web1.example.org"
    named = context.key(found[1].keys[0])
    assert named is not None
    assert (named.principal, named.state) == ("web1", "active")
    # ssh-to-age's answer for the key of RFC 8032 §7.1 test 2 must be an X25519 recipient, its tag six characters.
    assert named.recipient is not None and named.recipient.startswith("age1") and len(named.recipient) == 62
    assert named.ssh_tag is not None and len(named.ssh_tag) == 6
    assert context.key("SHA256:" + "A" * 43) is None


def test_a_retired_host_has_former_keys_only(context: PluginContext) -> None:
    path = context.root / "secretsmith.toml"
    path.write_text(path.read_text().replace('address = "web2', 'status = "retired"\naddress = "web2'))
    web2 = reopened(context.root).principals()[2]
    assert web2.keys == ()
    assert len(web2.former) == 1
    named = reopened(context.root).key(web2.former[0])
    assert named is not None and named.state == "retired"


def test_readers(context: PluginContext) -> None:
    both = context.readers("secrets/web/db.age")
    assert both.wanted == both.present
    assert both.wanted is not None and len(both.wanted) == 3
    later = context.readers("secrets/web/new.age")
    assert later.present is None
    assert later.wanted == both.wanted
    (context.root / "secrets/web/broken.age").write_text("no age file")
    assert context.readers("secrets/web/broken.age").present is None
    assert context.readers("elsewhere/x.age").wanted is None


def test_files_are_listed_and_read_without_following_links(context: PluginContext) -> None:
    assert context.list_files("secrets/web") == ("secrets/web/db.age",)
    assert context.list_files(".") == ("secretsmith.lock", "secretsmith.toml")
    assert context.list_files("nothing/here") == ()
    os.symlink("db.age", context.root / "secrets/web/link.age")
    os.symlink("/etc", context.root / "etc")
    assert context.list_files("secrets/web") == ("secrets/web/db.age",)
    for path in ("secrets/web/link.age", "etc/passwd"):
        with pytest.raises(SecretsmithError):
            context.read_file(path)
    for folder in ("etc", "secretsmith.toml"):
        with pytest.raises(RefusedInput):
            context.list_files(folder)
    with pytest.raises(NotFound):
        context.read_file("secrets/none.age")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "secrets/../../x", "a\0b"])
def test_no_path_leads_out(context: PluginContext, path: str) -> None:
    with pytest.raises(RefusedInput):
        context.read_file(path)
    with pytest.raises(RefusedInput):
        context.list_files(path)
    with pytest.raises(RefusedInput):
        context.readers(path)


def test_secrets_open_with_the_callers_identity(tmp_path: Path) -> None:
    from secretsmith.crypto.agefile import encrypt_age

    me = keys.ed25519_key()
    identity = me.write(tmp_path, "me")
    root = tmp_path / "repository"
    root.mkdir()
    sample_context(root)
    sealed = encrypt_age(Sensitive(b"hunter2\n"), [" ".join(me.public.split()[:2])], armor=True)
    (root / "secrets/web/mine.age").write_bytes(sealed)
    context = reopened(root, SECRETSMITH_IDENTITY=str(identity))
    assert context.open_age(sealed).expose() == b"hunter2\n"
    assert context.read_secret("secrets/web/mine.age").expose() == b"hunter2\n"
    with pytest.raises(CannotDecrypt):
        context.read_secret("secrets/web/db.age")
    with pytest.raises(RefusedInput):
        context.read_secret("secrets/web/mine.age", "a/b")


def test_age_files_of_elsewhere(tmp_path: Path) -> None:
    me, other = keys.ed25519_key("me"), keys.ed25519_key("other")
    mine, others = me.write(tmp_path, "me"), other.write(tmp_path, "other")
    (tmp_path / "r").mkdir()
    sample_context(tmp_path / "r")
    context = reopened(tmp_path / "r", SECRETSMITH_IDENTITY=str(others))
    sealed = context.seal_age(Sensitive(b"hunter2"), [f"{me.public}\n"])
    assert sealed.startswith(b"age-encryption.org/v1")
    assert context.open_age_with(sealed, mine).expose() == b"hunter2"
    # The keys of that file alone, and those of the person not besides.
    with pytest.raises(CannotDecrypt):
        context.open_age_with(context.seal_age(Sensitive(b"x"), [other.public]), mine)
    with pytest.raises(CannotDecrypt):
        context.open_age_with(sealed, tmp_path / "absent")
    assert context.age_recipients(mine) == (" ".join(me.public.split()[:2]),)
    assert context.age_recipients(tmp_path / "absent") == ()
    for lines in ([], [f"{me.public}\n{other.public}"], ["github:somebody"]):
        with pytest.raises(RefusedInput):
            context.seal_age(Sensitive(b"x"), lines)


def test_a_passphrase_is_asked_for_once_a_run(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    locked = tmp_path / "identities"
    locked.write_bytes(pyrage.passphrase.encrypt(str(identity).encode(), "open sesame"))
    (tmp_path / "r").mkdir()
    sample_context(tmp_path / "r")
    person = Scripted(["open sesame"])
    project = open_project(tmp_path / "r", environ={"PATH": os.defpath}, interaction=person)
    assert RepositoryContext(project).age_recipients(locked) == ()
    sealed = RepositoryContext(project).seal_age(Sensitive(b"hunter2"), [str(identity.to_public())])
    for _ in range(2):  # a context for each call, as operations make them
        assert RepositoryContext(project).open_age_with(sealed, locked).expose() == b"hunter2"
    assert len(person.asked) == 1


def test_files_of_the_person_are_written_whole_and_private(context: PluginContext) -> None:
    place = context.root.parent / "elsewhere" / "x"
    context.write_user_file(place, b"ciphertext")
    assert place.read_bytes() == b"ciphertext"
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_programs_run_in_the_root_with_the_environment_of_the_command(context: PluginContext) -> None:
    done = reopened(context.root, GIVEN="1").run(
        ["sh", "-c", "pwd; echo $GIVEN $ADDED"], environ={"ADDED": "2"}
    )
    assert done.output.expose().decode() == f"{context.root}\n1 2\n"
    assert (
        context.run(["cat"], stdin=Sensitive(b"x"), folder=context.root / "secrets").output.expose() == b"x"
    )


def test_scratch_is_private_and_goes_away(context: PluginContext) -> None:
    with context.scratch() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "x").write_bytes(b"value")
    assert not folder.exists()
