from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import keys
import pytest
from fleet import Fleet, make_fleet
from gnupg import GnuPG
from people import Scripted

from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.publickey import parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.sopsnew import new_document
from secretsmith.errors import Code
from secretsmith.findings import Finding
from secretsmith.interaction import Interaction, NoInteraction
from secretsmith.operations.check import check
from secretsmith.project import open_project
from secretsmith.sensitive import Sensitive

DOCUMENT = "secrets/web/app.yaml"
AGE = "secrets/web/db.age"
CLEAR = b"# about\nmail:\n  smtp: hunter2\n  port: 25\nother: x\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = make_fleet(tmp_path)
    made.put(AGE, b"hunter2" * 20_000)
    write(made, [[made.key(name).derived for name in ("alice", "web1", "web2")]])
    return made


def write(fleet: Fleet, groups: list[list[str]], threshold: int | None = None) -> None:
    (fleet.root / DOCUMENT).write_bytes(new_document(Format.YAML, CLEAR, groups, threshold=threshold))


def deep(fleet: Fleet, who: str = "alice", *paths: str) -> list[Finding]:
    """What --deep finds beyond the check without keys."""
    project = fleet.project(who)
    before = set(check(project, paths))
    return [finding for finding in check(project, paths, deep=True) if finding not in before]


def change(fleet: Fleet, path: str, pattern: bytes, text: bytes) -> None:
    file = fleet.root / path
    data, count = re.subn(pattern, text, file.read_bytes(), count=1)
    assert count == 1
    file.write_bytes(data)


def test_whole_files_have_nothing_to_say(fleet: Fleet) -> None:
    assert deep(fleet) == []
    assert deep(fleet, "web1") == []


def test_removed_value_breaks_the_mac(fleet: Fleet) -> None:
    change(fleet, DOCUMENT, rb"other: .*\n", b"")
    assert [(item.code, item.severity, item.path) for item in deep(fleet)] == [(Code.MAC, "error", DOCUMENT)]


def test_damaged_value_is_named_by_its_key(fleet: Fleet) -> None:
    change(fleet, DOCUMENT, rb"smtp: ENC\[AES256_GCM,data:.", b"smtp: ENC[AES256_GCM,data:A")
    change(fleet, DOCUMENT, rb"(smtp: .*tag:)...", rb"\1AAA")
    found = deep(fleet)
    assert [(item.code, item.severity, item.path) for item in found] == [(Code.MAC, "error", DOCUMENT)]
    assert "'mail/smtp'" in found[0].message


def test_payload_of_an_age_file_is_read_to_its_end(fleet: Fleet) -> None:
    file = fleet.root / AGE
    recipients = [fleet.key(name).text for name in ("alice", "web1", "web2")]
    whole = encrypt_age(Sensitive(b"hunter2" * 20_000), recipients, armor=False)
    file.write_bytes(whole)
    assert deep(fleet) == []
    file.write_bytes(whole[:-70_000] + bytes([whole[-70_000] ^ 1]) + whole[-69_999:])
    assert [(item.code, item.severity, item.path) for item in deep(fleet)] == [
        (Code.AGE_PAYLOAD, "error", AGE)
    ]
    file.write_bytes(whole[: -(len(whole) % 65536)])
    assert [(item.severity, item.path) for item in deep(fleet)] == [("error", AGE)]


def test_what_nobody_here_opens_is_one_finding_with_the_count(fleet: Fleet) -> None:
    fleet.put("secrets/other.age", b"x")
    change(fleet, DOCUMENT, rb"other: .*\n", b"")
    found = deep(fleet, "web1")
    assert {item.code for item in found} == {Code.MAC, Code.NO_IDENTITY}
    told = next(item for item in found if item.code is Code.NO_IDENTITY)
    assert told.severity == "info"
    assert told.message.startswith("1 of 3 files are opened by no identity here")
    assert "secrets/other.age" in told.message


def test_paths_limit_what_is_opened(fleet: Fleet) -> None:
    change(fleet, DOCUMENT, rb"other: .*\n", b"")
    assert deep(fleet, "alice", AGE) == []
    assert [item.path for item in deep(fleet, "alice", DOCUMENT)] == [DOCUMENT]


def locked(fleet: Fleet, interaction: Interaction | None) -> list[Finding]:
    path = fleet.home / "locked"
    if not path.exists():
        pair = keys.ed25519_key("alice", passphrase=b"s3same")
        fleet.users["alice"] = pair
        fleet.write()
        pair.write(fleet.home, "locked")
        write(fleet, [[fleet.key("alice").derived]])
        (fleet.root / AGE).write_bytes(encrypt_age(Sensitive(b"x"), [pair.public], armor=False))
    environ = {"HOME": str(fleet.home), "SECRETSMITH_IDENTITY": str(path)}
    project = open_project(fleet.root, environ=environ, interaction=interaction or NoInteraction())
    besides = (Code.DRIFT, Code.SINGLE_ADMIN, Code.LOCK_DIGEST, Code.LOCK_MISSING)
    return [item for item in check(project, deep=True) if item.code not in besides]


def test_passphrase_is_asked_for_once_on_a_terminal_and_never_without(fleet: Fleet) -> None:
    assert [item.code for item in locked(fleet, None)] == [Code.NO_IDENTITY]
    person = Scripted(["s3same"])
    assert [item for item in locked(fleet, person) if item.code is not Code.ASSUMED] == []
    assert len(person.asked) == 1


def test_stanza_of_another_key_under_my_name(fleet: Fleet) -> None:
    """Nothing but the key itself tells: an X25519 stanza is anonymous."""
    alice, web1 = fleet.key("alice").derived, fleet.key("web1").derived
    mallory = parse_public_key(keys.ed25519_key().public).derived
    write(fleet, [[web1, mallory]])
    change(fleet, DOCUMENT, re.escape(mallory).encode(), alice.encode())
    assert [item.code for item in deep(fleet, "alice", DOCUMENT)] == [Code.NO_IDENTITY]
    assert deep(fleet, "web1", DOCUMENT) == [], "web1 cannot tell"


def test_stanza_that_i_cannot_open_though_i_open_another(fleet: Fleet) -> None:
    alice, web1 = fleet.key("alice").derived, fleet.key("web1").derived
    write(fleet, [[alice, web1]])
    # alice's own stanza is said to be web1's, web1's to be alice's.
    data = (fleet.root / DOCUMENT).read_bytes()
    swapped = (
        data.replace(alice.encode(), b"@").replace(web1.encode(), alice.encode()).replace(b"@", web1.encode())
    )
    (fleet.root / DOCUMENT).write_bytes(swapped)
    found = deep(fleet, "alice", DOCUMENT)
    assert [(item.code, item.severity) for item in found] == [(Code.RECIPIENT_MISMATCH, "error")]
    assert "for alice" in found[0].message
    assert "does not open it" in found[0].message


def test_stanza_with_another_data_key(fleet: Fleet) -> None:
    alice, web1 = fleet.key("alice").derived, fleet.key("web1").derived
    write(fleet, [[web1, alice]])
    both = f"{fleet.identity('alice')}:{fleet.identity('web1')}"
    old = encrypt_age(Sensitive(bytes(32)), [alice], armor=True).decode()
    document = (fleet.root / DOCUMENT).read_text()
    head, entry, rest = document.partition(f"recipient: {alice}\n")
    body = rest[rest.index("-----BEGIN") : rest.index("-----END AGE ENCRYPTED FILE-----\n") + 33]
    indent = re.search(r"\n( *)\S", body)
    assert indent is not None
    lines = old.strip().splitlines()
    (fleet.root / DOCUMENT).write_text(
        head + entry + rest.replace(body.rstrip("\n"), ("\n" + indent[1]).join(lines))
    )
    project = open_project(
        fleet.root,
        environ={"HOME": str(fleet.home), "SECRETSMITH_IDENTITY": both},
        interaction=Scripted(),
    )
    found = [item for item in check(project, [DOCUMENT], deep=True) if item.code is Code.RECIPIENT_MISMATCH]
    assert [item.message for item in found] == [
        f"the document says that a stanza is for alice ({fleet.key('alice').fingerprint}), "
        "and it holds another data key"
    ]


def test_key_groups_are_compared_part_by_part(fleet: Fleet) -> None:
    names = [fleet.key(name).derived for name in ("alice", "web1", "web2")]
    write(fleet, [[name] for name in names], threshold=2)
    both = f"{fleet.identity('alice')}:{fleet.identity('web2')}"
    environ = {"HOME": str(fleet.home), "SECRETSMITH_IDENTITY": both}
    project = open_project(fleet.root, environ=environ, interaction=Scripted())
    codes = {item.code for item in check(project, [DOCUMENT], deep=True)}
    assert not codes & {Code.RECIPIENT_MISMATCH, Code.MAC, Code.NO_IDENTITY}


@pytest.fixture
def gnupg(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[GnuPG]:
    made = GnuPG.make(tmp_path, peer("gpg"))
    yield made
    made.close()


def test_documents_under_pgp_are_opened_too(fleet: Fleet, gnupg: GnuPG, peer: Callable[[str], str]) -> None:
    clear = fleet.root / "clear.yaml"
    clear.write_bytes(CLEAR)
    environ = {"HOME": str(fleet.home), "GNUPGHOME": str(gnupg.home), "PATH": os.environ["PATH"]}
    argv = [peer("sops"), "--config", os.devnull, "encrypt", "--pgp", gnupg.key("alice"), str(clear)]
    done = subprocess.run(argv, env=environ, capture_output=True, check=True)
    (fleet.root / DOCUMENT).write_bytes(done.stdout)
    change(fleet, DOCUMENT, rb"other: .*\n", b"")
    project = open_project(fleet.root, environ=environ, interaction=fleet.project().interaction)
    codes = {item.path: item.code for item in check(project, deep=True) if item.severity != "warning"}
    assert codes[DOCUMENT] is Code.MAC
    assert codes["secrets"] is Code.NO_IDENTITY
