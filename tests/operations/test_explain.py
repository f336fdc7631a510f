"""`explain`: every kind of broken link is really made, named, and mended by the command that it names."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keys
import pytest
from repositories import Fleet

from secretsmith.crypto.publickey import parse_public_key
from secretsmith.errors import NotFound
from secretsmith.manifest import Manifest
from secretsmith.operations.buildexport import export_build
from secretsmith.operations.explain import Explanation, Surroundings, explain, locate_explained
from secretsmith.operations.thishost import Here, KeyHere, look_here
from secretsmith.plugin.api import HostDeclaration, PluginContext, SecretDeclaration
from secretsmith.plugin.discovery import Entry
from secretsmith.plugin.loader import Loader
from secretsmith.policy import edit
from secretsmith.policy.principals import HostStatus, RetireReason

PATH = "secrets/web/db.age"
DOCUMENT = "secrets/web/app.yaml"
TODAY = "2026-03-04"
ELSEWHERE = Here("laptop", None, 1000.0)


@dataclass
class Case:
    """A repository with one thing broken, and where the question is asked."""

    fleet: Fleet
    name: str = "web1"
    path: str = PATH
    here: Here = ELSEWHERE
    units: Path = Path("/nonexistent")
    loader: Loader | None = None
    identity: Mapping[str, str] = field(default_factory=dict)

    def ask(self) -> Explanation:
        project = self.fleet.project(None, **self.identity)
        return explain(
            project,
            self.path,
            self.name,
            around=Surroundings(self.here, [str(self.units)]),
            loader=self.loader,
        )

    def key_here(self, line: str, seconds: float = 250.0) -> None:
        key = KeyHere(parse_public_key(line), "/etc/ssh/ssh_host_ed25519_key.pub", 10_000.0 - seconds)
        self.here = Here("web1", key, 10_000.0)


@pytest.fixture
def case(fleet: Fleet) -> Case:
    fleet.set("web/db", b"of the database")
    fleet.run("set", "web/app.yaml", "db/password", stdin=b"of the application")
    return Case(fleet)


def no_rule_names_it(case: Case) -> None:
    case.name = "web2"


def no_rule_matches(case: Case) -> None:
    case.fleet.set("other/x", b"x")
    case.path = "secrets/other/x.age"


def rules_contradict(case: Case) -> None:
    text = edit.grant(case.fleet.registry, ["secrets/web/*"], ["web1"])
    case.fleet.write_registry(text.replace('path = "secrets/web/*"', 'path = "secrets/web/*"\narmor = true'))
    case.fleet.change_registry(
        lambda t: t.replace('path = "secrets/web/**"', 'path = "secrets/web/**"\narmor = false')
    )


def pending(case: Case) -> None:
    text = edit.add_host(case.fleet.registry, "web3", [])
    case.fleet.write_registry(edit.grant(text, ["secrets/web/**"], ["web3"]))
    case.name = "web3"


def retired(case: Case) -> None:
    case.fleet.change_registry(
        lambda text: edit.retire_host(
            text, "web1", status=HostStatus.RETIRED, until=TODAY, reason=RetireReason.REPLACED
        )
    )


def compromised(case: Case) -> None:
    case.fleet.change_registry(
        lambda text: edit.retire_host(
            text, "web1", status=HostStatus.COMPROMISED, until=TODAY, reason=RetireReason.COMPROMISED
        )
    )


def removed_user(case: Case) -> None:
    grant_bob(case)
    case.fleet.change_registry(lambda text: edit.remove_user(text, "bob"))


def grant_bob(case: Case) -> None:
    case.name = "bob"
    case.fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["bob"]))


def file_behind_the_rules(case: Case) -> None:
    grant_bob(case)


def document_behind_the_rules(case: Case) -> None:
    grant_bob(case)
    case.path = DOCUMENT


def file_behind_the_new_key(case: Case) -> None:
    new = keys.ed25519_key("root@web1").public
    case.fleet.change_registry(
        lambda text: edit.replace_host_keys(text, "web1", [new], until=TODAY, reason=RetireReason.REINSTALLED)
    )


def a_stranger_in_its_place(case: Case) -> None:
    case.fleet.encrypt(PATH, case.fleet.public["alice"], keys.ed25519_key().public)


def plaintext(case: Case) -> None:
    (case.fleet.root / PATH).write_bytes(b"hunter2\n")


def cut_off(case: Case) -> None:
    data = (case.fleet.root / PATH).read_bytes()
    (case.fleet.root / PATH).write_bytes(data[:80])


def gone(case: Case) -> None:
    (case.fleet.root / PATH).unlink()


def too_few_groups(case: Case) -> None:
    case.path = DOCUMENT
    groups = 'key_groups = [["alice"], ["web1"], ["bob"]]\nshamir_threshold = 2\n'
    case.fleet.change_registry(
        lambda text: text + f'[[rules]]\npath = "{DOCUMENT}"\nreaders = ["alice", "web1", "bob"]\n{groups}'
    )
    case.fleet.change_registry(
        lambda text: text.replace(
            'path = "secrets/web/**"\nreaders = ["web1"]', 'path = "secrets/web/*.age"\nreaders = ["web1"]'
        )
    )
    case.fleet.run("rekey", "--accept", "all")


def reinstalled(case: Case) -> None:
    case.key_here(keys.ed25519_key("root@web1").public)


def cloned(case: Case) -> None:
    case.key_here(case.fleet.public["web2"])


def back_from_a_backup(case: Case) -> None:
    file_behind_the_new_key(case)
    case.fleet.run("rekey", "--accept", "all")
    case.key_here(case.fleet.public["web1"])


def no_host_key(case: Case) -> None:
    case.here = Here("web1.example.org", None, 0.0)


def old_key_of_a_user(case: Case) -> None:
    grant_bob(case)
    new = keys.ed25519_key("bob@new").public
    old = case.fleet.public["bob"]
    table = f'[[users.bob.retired]]\nkey = "{old}"\nuntil = "{TODAY}"\nreason = "replaced"\n'
    # the retired key first: replacing would meet both
    text = case.fleet.registry.replace(old, new)
    case.fleet.write_registry(text + table)
    case.fleet.run("rekey", "--accept", "all")
    case.identity = {
        "HOME": "/nonexistent",
        "SECRETSMITH_IDENTITY": str(case.fleet.private / "bob"),
    }


class Declaring:
    """A builder that keeps what it declares in a class attribute, and whose inputs never change."""

    api_version = 1
    declared: Sequence[HostDeclaration] = ()

    def detect(self, context: PluginContext) -> bool:
        return True

    def hosts(self, context: PluginContext) -> Sequence[HostDeclaration]:
        return self.declared

    def inputs(self, context: PluginContext) -> Sequence[str]:
        return ["secretsmith.toml"]

    def manifests(
        self, context: PluginContext, hosts: Sequence[str], source_root: str | None
    ) -> Mapping[str, Manifest]:
        return {}


def declare(case: Case, *secrets: SecretDeclaration, host: str = "web1") -> None:
    sys.modules.setdefault("explain_test_plugins", sys.modules[__name__])
    Declaring.declared = [HostDeclaration(host, f"hosts/{host}.nix", secrets)]
    case.loader = Loader([Entry("secretsmith.builders", "it", "explain_test_plugins:Declaring", "test", "1")])
    export_build(case.fleet.project(), loader=case.loader)
    case.key_here(case.fleet.public["web1"])
    case.units.mkdir(exist_ok=True)


@pytest.fixture
def units(case: Case, tmp_path: Path) -> Path:
    case.units = tmp_path / "units"
    return case.units


def secret(**fields: object) -> SecretDeclaration:
    given: dict[str, object] = {"name": "db", "file": PATH, "format": "age", "origin": "hosts/web1.nix:3"}
    return SecretDeclaration(**{**given, **fields})  # type: ignore[arg-type]


def undeclared(case: Case) -> None:
    declare(case, secret(name="app", file=DOCUMENT))


def no_such_owner(case: Case) -> None:
    declare(case, secret(owner="nobody-called-so"))


def no_such_group(case: Case) -> None:
    declare(case, secret(owner="0", group="nobody-called-so"))


def no_such_unit(case: Case) -> None:
    declare(case, secret(owner="root", units=("none@1.service",)))


BROKEN: list[tuple[Callable[[Case], None], str, str, str]] = [
    (gone, "secret", "the file is gone", f"git checkout -- {PATH}"),
    (plaintext, "secret", "is not encrypted", f"secretsmith encrypt --in-place {PATH}"),
    (cut_off, "secret", PATH, ""),
    (no_rule_names_it, "rule", "no rule names web2 (secrets/web/**)", f"secretsmith grant {PATH} --to web2 --rekey"),
    (no_rule_matches, "rule", "no rule matches", "secretsmith grant secrets/other/x.age --to web1 --rekey"),
    (rules_contradict, "rule", "differ in armor", "armor"),
    (pending, "wanted", "has no key yet", 'secretsmith host add web3 --key "ssh-ed25519 …" --rekey'),
    (retired, "wanted", f"web1 is retired since {TODAY}", "secretsmith host reprovision web1"),
    (compromised, "wanted", f"web1 is compromised since {TODAY}", "secretsmith host reprovision web1"),
    (removed_user, "wanted", "bob was removed", "[users.bob]"),
    (file_behind_the_rules, "present", "it is for: alice, web1", f"secretsmith rekey {PATH}"),
    (document_behind_the_rules, "present", "it is for: alice, web1", f"secretsmith rekey {DOCUMENT}"),
    (file_behind_the_new_key, "present", "but to the old key SHA256:", f"secretsmith rekey {PATH}"),
    (a_stranger_in_its_place, "present", "never named", f"secretsmith rekey {PATH} --drop-unknown"),
    (too_few_groups, "present", "in 1 of its 3 key groups, and 2 are needed", "SECRETSMITH_IDENTITY=KEYFILE:KEYFILE"),
    (reinstalled, "identity", "this host's key is 4 minutes old: SHA256:", "secretsmith host reprovision web1 --key"),
    (cloned, "identity", "it is the key of web2", "ssh-keygen -A"),
    (back_from_a_backup, "identity", "it is a retired key of web1", "ssh-keygen -A"),
    (no_host_key, "identity", "no ssh-ed25519 host key", "ssh-keygen -A"),
    (old_key_of_a_user, "identity", "is a retired key of bob", "SECRETSMITH_IDENTITY="),
    (undeclared, "declared", "web1 does not declare it", f"declare {PATH} for web1 in hosts/web1.nix"),
    (no_such_owner, "owner", "no user nobody-called-so", "hosts/web1.nix:3"),
    (no_such_group, "owner", "no group nobody-called-so", "hosts/web1.nix:3"),
    (no_such_unit, "unit", "no unit none@1.service", "systemctl cat none@1.service"),
]  # fmt: skip


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize(("make", "step", "detail", "fix"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_the_first_broken_link(
    case: Case, make: Callable[[Case], None], step: str, detail: str, fix: str
) -> None:
    make(case)
    found = case.ask()
    broken = found.broken
    assert broken is not None, found.chain
    assert broken.step == step
    assert detail in broken.detail
    assert fix in (broken.fix or "")
    assert all(link.ok is not False for link in found.chain[:-1])


@pytest.mark.parametrize(
    "make",
    [plaintext, no_rule_names_it, no_rule_matches, file_behind_the_rules, document_behind_the_rules, file_behind_the_new_key],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_the_command_mends_it(case: Case, make: Callable[[Case], None]) -> None:
    make(case)
    broken = case.ask().broken
    assert broken is not None
    assert broken.fix is not None
    words = shlex.split(broken.fix)
    assert words[0] == "secretsmith"
    accept = [] if words[1] == "encrypt" else ["--accept", "all"]
    case.fleet.run(*words[1:], *accept)
    assert case.ask().broken is None


def test_a_chain_that_holds_and_what_it_rests_on(case: Case) -> None:
    declare(case, secret(owner="0", units=("db@main.service", "app.service")))
    case.units = case.fleet.folder / "units"
    case.units.mkdir()
    for name in ("db@.service", "app.service"):
        (case.units / name).touch()
    found = case.ask()
    assert [(link.step, link.ok) for link in found.chain] == [
        (step, True)
        for step in ("secret", "rule", "wanted", "present", "identity", "declared", "owner", "unit")
    ]
    said = {link.step: link.detail for link in found.chain}
    assert said["rule"] == "rule secrets/web/** names web1"
    assert "by the lock" in said["present"] or "the file itself" in said["present"]
    assert "db (hosts/web1.nix:3)" in said["declared"]


def test_through_which_group_and_as_what(case: Case) -> None:
    case.fleet.change_registry(lambda text: edit.add_group(text, "all", ["bob"]))
    case.fleet.change_registry(lambda text: edit.grant(text, ["secrets/web/**"], ["@all"]))
    case.fleet.run("rekey", "--accept", "all")
    case.name = "bob"
    chain = {link.step: link for link in case.ask().chain}
    assert "through @all" in chain["rule"].detail
    assert chain["identity"].ok is None, "bob's key is not alice's to have"
    case.name = "alice"
    chain = {link.step: link for link in case.ask().chain}
    assert chain["rule"].detail == "alice is an admin"
    assert chain["identity"].ok


def test_elsewhere_the_host_itself_is_not_judged(case: Case) -> None:
    declare(case, secret(owner="nobody-called-so", units=("none.service",)))
    case.here = ELSEWHERE
    found = case.ask()
    assert found.broken is None
    assert [link.step for link in found.chain if link.ok is None] == ["identity", "owner"]


def test_a_build_that_does_not_fit_any_more_says_nothing(case: Case) -> None:
    declare(case, secret(name="app", file=DOCUMENT))
    case.fleet.change_registry(lambda text: text + "\n# another registry\n")
    found = case.ask()
    assert found.broken is None
    assert ("declared", None) in [(link.step, link.ok) for link in found.chain]


def test_a_reinstalled_host_that_was_registered_says_since_when(case: Case) -> None:
    file_behind_the_new_key(case)
    case.fleet.run("rekey", "--accept", "all")
    chain = {link.step: link for link in case.ask().chain}
    assert f"since {TODAY}" in chain["wanted"].detail


def test_who_is_not_registered(case: Case) -> None:
    case.name = "web9"
    with pytest.raises(NotFound, match="web9"):
        case.ask()


def test_a_secret_by_the_name_that_the_host_declares_and_one_that_is_gone(case: Case) -> None:
    declare(case, secret(name="db-password"))
    project = case.fleet.project()
    where = {"cwd": case.fleet.root, "loader": case.loader}
    assert locate_explained(project, "db-password", "web1", **where) == PATH  # type: ignore[arg-type]
    gone(case)
    assert locate_explained(case.fleet.project(), "web/db", "web1", **where) == PATH  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        locate_explained(project, "web/nothing", "web1", **where)  # type: ignore[arg-type]


def test_the_host_key_of_this_computer_and_its_age(fleet: Fleet, tmp_path: Path) -> None:
    public = tmp_path / "ssh_host_ed25519_key.pub"
    here = look_here(fleet.project(HOME="/nonexistent"), public)
    assert here.key is None or here.key.path != str(public), "there is none"
    public.write_text(fleet.public["web1"] + "\n")
    found = look_here(fleet.project(SECRETSMITH_IDENTITY="/nonexistent"), public).key
    assert found is not None
    if found.path == str(public):  # root may have a key of its own among the identities
        assert abs(found.written - time.time()) < 3600
