"""What plugins see of a repository, and what they do not."""

from __future__ import annotations

import os
from pathlib import Path

import keys
import pytest

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
