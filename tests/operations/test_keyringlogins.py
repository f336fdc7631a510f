"""Approvals of logins: kept apart from those of sources, and from those of other repositories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logins import TOKEN, UPLOADS, Logins

from secretsmith.errors import SecretsmithError
from secretsmith.keyringdoor import BUSY, find_login, offers
from secretsmith.operations.keyringlogins import KeyringLogins
from secretsmith.sensitive import Sensitive
from secretsmith.store.approved import ApprovedSources


@pytest.fixture
def fleet(tmp_path: Path) -> Logins:
    made = Logins(tmp_path)
    made.set("secrets/token.age", TOKEN.encode())
    made.map(UPLOADS, "secrets/token.age")
    return made


def test_withdrawn_here_and_nowhere_else(fleet: Logins, tmp_path: Path) -> None:
    other = ApprovedSources.load(fleet.environ, tmp_path, file="keyring.json")
    other.add("service x", ["y"])
    other.save()
    sources = ApprovedSources.load(fleet.environ, fleet.root)
    sources.add("pass:web/db", ["SHA256:x"])
    sources.save()
    logins = KeyringLogins(fleet.project())
    logins.approve(logins.mappings(), writable=True)
    assert KeyringLogins(fleet.project()).writable
    assert KeyringLogins(fleet.project()).withdraw() == 2
    assert not KeyringLogins(fleet.project()).writable
    assert [mapped.state for mapped in KeyringLogins(fleet.project()).mappings()] == ["not approved"]
    assert not ApprovedSources.load(fleet.environ, tmp_path, file="keyring.json").missing("service x", ["y"])
    assert not ApprovedSources.load(fleet.environ, fleet.root).missing("pass:web/db", ["SHA256:x"])
    kept = json.loads((fleet.home / ".local/state/secretsmith/keyring.json").read_text())["repositories"]
    assert [place for place, known in kept.items() if known] == [str(tmp_path)]


def test_stored_logins_come_back_whatever_their_names_are(fleet: Logins) -> None:
    KeyringLogins(fleet.project()).approve((), writable=True)

    text = st.text(st.characters(codec="utf-8"), max_size=20)

    # Of one service, so that a name that leads to another one's file would be noticed.
    @given(st.dictionaries(text, text, min_size=1, max_size=3))
    def check(passwords: dict[str, str]) -> None:
        for username, password in passwords.items():
            KeyringLogins(fleet.project()).store("s\n/../", username, Sensitive(password.encode()))
        logins = KeyringLogins(fleet.project())
        for username, password in passwords.items():
            found = logins.find("s\n/../", username)
            assert found is not None
            assert (found.username, found.password.expose().decode()) == (username, password)
        first = logins.find("s\n/../", None)
        assert first is not None and first.username in passwords
        for username in passwords:
            KeyringLogins(fleet.project()).remove("s\n/../", username)
        assert KeyringLogins(fleet.project()).find("s\n/../", None) is None

    from hypothesis import settings

    settings(max_examples=10)(check)()


def test_no_offer_for_whom_we_wait(fleet: Logins) -> None:
    assert offers(fleet.root, fleet.environ)
    assert not offers(fleet.root, {**fleet.environ, BUSY: "1"})
    assert not offers(fleet.folder, fleet.environ)
    assert not offers(fleet.root, {**fleet.environ, "SECRETSMITH_ROOT": str(fleet.folder)})
    assert offers(fleet.folder, {**fleet.environ, "SECRETSMITH_ROOT": str(fleet.root)})


@pytest.mark.parametrize(
    "header", ["[[keyring]]", "  [[ keyring ]] # x", '[["keyring"]]', "keyring = []", "'keyring'=[]"]
)
def test_offer_by_every_spelling_of_the_table(fleet: Logins, header: str) -> None:
    plain = fleet.registry.partition("[[keyring]]")[0]
    fleet.write_registry(plain)
    assert not offers(fleet.root, fleet.environ)
    fleet.write_registry(f"{header}\n{plain}")
    assert offers(fleet.root, fleet.environ)


def test_door_raises_for_its_caller_to_tell(fleet: Logins) -> None:
    with pytest.raises(SecretsmithError, match="nobody approved"):
        find_login(fleet.root, fleet.environ, UPLOADS, None)
    fleet.run("keyring", "approve", "--all")
    found = find_login(fleet.root, fleet.environ, UPLOADS, None)
    assert found is not None and found[1] == Sensitive(TOKEN.encode())
