"""Present readers and drift: named stanzas, anonymous ones with and without the lock, strangers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import ed25519_key
from registries import HEADER, host, rule, user

from secretsmith.crypto.agefile import encrypt_age
from secretsmith.crypto.evidence import Evidence
from secretsmith.crypto.publickey import Form, PublicKey, parse_public_key
from secretsmith.documents.format import Format
from secretsmith.documents.seal import evidence as evidence_of_file
from secretsmith.policy.drift import Drift, Present, compare, form_of, present_readers, tag_of
from secretsmith.policy.registry import parse_registry
from secretsmith.policy.resolve import Wanted, wanted_readers
from secretsmith.sensitive import Sensitive


@dataclass(frozen=True)
class Entry:
    recipients: tuple[str, ...]
    basis: str = "wrote"


KEYS = {name: ed25519_key(name) for name in ("alice", "web1", "web2", "old", "web1-old", "stranger", "idle")}
KEY = {name: parse_public_key(key.public) for name, key in KEYS.items()}
AGE = {
    name: parse_public_key(parse_public_key(ed25519_key().public).derived)
    for name in ("bob", "carol", "nobody")
}
REGISTRY = parse_registry(
    HEADER
    + user("alice", KEYS["alice"].public, more="admin = true")
    + user("bob", AGE["bob"].text)
    + user("carol", AGE["carol"].text, more='status = "removed"')
    + host("web1", KEYS["web1"].public)
    + f'[[hosts.web1.retired]]\nkey = "{KEYS["web1-old"].public}"\nreason = "reinstalled"\n'
    + host("web2", KEYS["web2"].public)
    + host("old", KEYS["old"].public, more='status = "retired"')
    + host("idle", KEYS["idle"].public)
    + rule("both", "web1", "web2")
    + rule("mixed", "web1", "bob")
    + rule("bob", "bob")
)


def want(path: str) -> Wanted:
    found = wanted_readers(REGISTRY, path)
    assert found is not None
    return found


def native(*keys: PublicKey) -> list[Evidence]:
    return [Evidence("ssh-ed25519", tag=key.tag) for key in keys]


def anonymous(count: int) -> list[Evidence]:
    return [Evidence("x25519")] * count


def prints(*keys: PublicKey) -> frozenset[str]:
    return frozenset(key.fingerprint for key in keys)


def look(items: list[Evidence], path: str, entry: Entry | None = None) -> tuple[Present, Drift]:
    present = present_readers(REGISTRY, items, want(path), entry)
    return present, compare(want(path), present)


def test_native_stanzas_prove_themselves() -> None:
    present, drift = look(native(KEY["alice"], KEY["web1"], KEY["web2"]), "both")
    assert present == Present(prints(KEY["alice"], KEY["web1"], KEY["web2"]), (), "file")
    assert not drift


def test_a_missing_reader_is_to_be_added() -> None:
    _, drift = look(native(KEY["alice"], KEY["web1"]), "both")
    assert drift == Drift(add=(KEY["web2"].fingerprint,))
    assert drift


@pytest.mark.parametrize("who", ["old", "web1-old", "idle"])
def test_a_retired_removed_or_unwanted_key_is_to_be_removed(who: str) -> None:
    present, drift = look(native(KEY["alice"], KEY["web1"], KEY["web2"], KEY[who]), "both")
    assert drift == Drift(remove=(KEY[who].fingerprint,))
    assert present.unknown == ()


def test_a_key_that_was_never_named_is_unknown() -> None:
    stranger = KEY["stranger"]
    present, drift = look(native(KEY["alice"], KEY["web1"], KEY["web2"], stranger), "both")
    assert present.unknown == (f"ssh-tag:{stranger.tag}",)
    assert drift == Drift(unknown=present.unknown)
    entry = Entry(
        (KEY["alice"].fingerprint, KEY["web1"].fingerprint, KEY["web2"].fingerprint, stranger.fingerprint)
    )
    assert look(native(KEY["alice"], KEY["web1"], KEY["web2"], stranger), "both", entry)[0].unknown == (
        stranger.fingerprint,
    )


def test_more_stanzas_with_a_tag_than_keys_that_bear_it_are_unknown() -> None:
    present, _ = look(native(KEY["alice"], KEY["web1"], KEY["web2"], KEY["web1"]), "both")
    assert present.unknown == (f"ssh-tag:{KEY['web1'].tag}",)


def test_a_tag_counts_for_its_own_kind_of_key_only() -> None:
    present, _ = look([Evidence("ssh-rsa", tag=KEY["web1"].tag)], "both")
    assert present == Present(frozenset(), (f"ssh-tag:{KEY['web1'].tag}",))


def test_anonymous_stanzas_are_assumed_when_the_numbers_agree() -> None:
    present, drift = look(anonymous(3), "both")
    assert present == Present(prints(KEY["alice"], KEY["web1"], KEY["web2"]), (), "assumed")
    assert not drift


@pytest.mark.parametrize("count", [1, 2, 4])
def test_anonymous_stanzas_are_unknown_when_they_do_not(count: int) -> None:
    present, drift = look(anonymous(count), "both")
    assert present == Present(frozenset(), (f"anonymous×{count}",), "file")
    assert drift.unknown


def test_the_lock_names_anonymous_stanzas() -> None:
    entry = Entry((KEY["alice"].fingerprint, KEY["web1"].fingerprint, KEY["old"].fingerprint))
    present, drift = look(anonymous(3), "both", entry)
    assert present == Present(prints(KEY["alice"], KEY["web1"], KEY["old"]), (), "lock")
    assert drift == Drift(add=(KEY["web2"].fingerprint,), remove=(KEY["old"].fingerprint,))
    assert look(anonymous(3), "both", Entry(entry.recipients, "assumed"))[0].basis == "assumed"


def test_the_lock_names_a_stranger() -> None:
    entry = Entry((KEY["alice"].fingerprint, KEY["web1"].fingerprint, AGE["nobody"].fingerprint))
    assert look(anonymous(3), "both", entry)[0].unknown == (AGE["nobody"].fingerprint,)


@pytest.mark.parametrize("recipients", [(), (KEY["alice"].fingerprint,)])
def test_a_lock_that_does_not_count_up_says_nothing(recipients: tuple[str, ...]) -> None:
    present, _ = look(anonymous(3), "both", Entry(recipients))
    assert present.basis == "assumed"
    assert look(anonymous(2), "both", Entry(recipients))[0].unknown == ("anonymous×2",)


def test_mixed_native_and_age_keys() -> None:
    present, drift = look([*native(KEY["alice"], KEY["web1"]), *anonymous(1)], "mixed")
    assert present == Present(prints(KEY["alice"], KEY["web1"], AGE["bob"]), (), "assumed")
    assert not drift


def test_a_slipped_in_stanza_does_not_pass_for_a_host_that_was_just_added() -> None:
    """web2 is wanted and not in the file yet; the X25519 stanza beside native ones is somebody else's."""
    present, drift = look([*native(KEY["alice"], KEY["web1"]), *anonymous(1)], "both")
    assert present.unknown == ("anonymous×1",)
    assert drift == Drift(add=(KEY["web2"].fingerprint,), unknown=("anonymous×1",))


def test_recipients_in_text_count_in_both_forms() -> None:
    texts = [KEY["alice"].text, KEY["web1"].derived, KEY["web2"].derived]
    present, drift = look([Evidence("recipient", recipient=text) for text in texts], "both")
    assert present == Present(prints(KEY["alice"], KEY["web1"], KEY["web2"]), (), "file")
    assert not drift
    strange = [Evidence("recipient", recipient=text) for text in (AGE["nobody"].text, "age1broken")]
    assert present_readers(REGISTRY, strange, None).unknown == (AGE["nobody"].fingerprint, "anonymous×1")
    removed = present_readers(REGISTRY, [Evidence("recipient", recipient=AGE["carol"].text)], want("both"))
    assert removed.keys == prints(AGE["carol"])


def test_a_passphrase_stanza_and_a_plugin_are_no_reader_of_ours() -> None:
    assert look([Evidence("scrypt")], "both")[0].unknown == ("scrypt",)
    assert look([*native(KEY["alice"], KEY["web1"], KEY["web2"]), Evidence("plugin")], "both")[0].unknown == (
        "anonymous×1",
    )


def test_without_a_rule_only_strangers_count() -> None:
    present = present_readers(REGISTRY, native(KEY["web1"], KEY["stranger"]), None)
    assert compare(None, present) == Drift(unknown=(f"ssh-tag:{KEY['stranger'].tag}",))


def test_forms() -> None:
    assert form_of(native(KEY["web1"])) is Form.NATIVE
    assert form_of([*native(KEY["web1"]), *anonymous(1)]) is Form.NATIVE
    assert form_of(anonymous(2)) is Form.DERIVED
    assert form_of([Evidence("ssh-rsa", tag="AAAAAA"), Evidence("plugin")]) is None
    only_bob = present_readers(
        REGISTRY, anonymous(2), want("bob"), Entry((KEY["alice"].fingerprint, AGE["bob"].fingerprint))
    )
    assert form_of(anonymous(2), REGISTRY, only_bob) is Form.DERIVED
    assert form_of(anonymous(1), REGISTRY, Present(prints(AGE["bob"]))) is None


def test_real_files_in_both_forms(tmp_path: Path) -> None:
    wanted = want("mixed")
    for form in Form:
        recipients = [key.recipient(form) for key in wanted.keys.values()]
        data = encrypt_age(Sensitive(b"x"), recipients, armor=True)
        items = evidence_of_file(Format.AGE, data)
        assert form_of(items) is form
        present = present_readers(REGISTRY, items, wanted)
        assert not compare(wanted, present)
        assert present.basis == "assumed"


def test_the_tag_is_the_beginning_of_the_fingerprint() -> None:
    assert all(tag_of(key.fingerprint) == key.tag for key in KEY.values())
    assert tag_of("SHA256:é") is None


everybody = st.lists(
    st.sampled_from([*KEY.values(), *AGE.values()]), max_size=6, unique_by=lambda key: key.fingerprint
)
paths = st.sampled_from(["both", "mixed", "bob"])
registered = [*(key for name, key in KEY.items() if name != "stranger"), AGE["bob"], AGE["carol"]]


def stanzas(keys: Iterable[PublicKey], form: Form) -> list[Evidence]:
    return [
        Evidence("ssh-ed25519", tag=key.tag) if key.is_ssh and form is Form.NATIVE else Evidence("x25519")
        for key in keys
    ]


@settings(max_examples=300, deadline=None)
@given(everybody, paths, st.sampled_from(Form))
def test_with_the_lock_the_truth_is_found(keys: list[PublicKey], path: str, form: Form) -> None:
    entry = Entry(tuple(key.fingerprint for key in keys))
    present, drift = look(stanzas(keys, form), path, entry)
    named = prints(*registered)
    assert present.keys == prints(*keys) & named
    assert set(present.unknown) == prints(*keys) - named
    assert bool(drift) == (prints(*keys) != want(path).keys.keys())
    assert (set(drift.add) | present.keys) - set(drift.remove) == want(path).keys.keys()


@settings(max_examples=300, deadline=None)
@given(everybody, paths, st.sampled_from(Form))
def test_without_the_lock_no_stanza_is_forgotten(keys: list[PublicKey], path: str, form: Form) -> None:
    present, drift = look(stanzas(keys, form), path)
    counted = sum(int(text.partition("×")[2]) if "×" in text else 1 for text in present.unknown)
    assert len(present.keys) + counted == len(keys)
    assert not set(drift.add) & set(drift.remove)
    if form is Form.NATIVE and any(key.is_ssh for key in keys) and not drift:
        assert {key.fingerprint for key in keys if key.is_ssh} == {
            f for f, key in want(path).keys.items() if key.is_ssh
        }


@settings(max_examples=100, deadline=None)
@given(paths, st.sampled_from(Form), st.randoms())
def test_a_file_written_to_the_wanted_keys_does_not_drift(path: str, form: Form, random: object) -> None:
    items = stanzas(want(path).keys.values(), form)
    random.shuffle(items)  # type: ignore[attr-defined]
    assert not look(items, path)[1]


@settings(max_examples=100, deadline=None)
@given(paths, st.sampled_from(Form))
def test_one_stanza_too_many_is_always_seen(path: str, form: Form) -> None:
    items = stanzas(want(path).keys.values(), form)
    assert look([*items, Evidence("x25519")], path)[1].unknown
    assert look([*items, Evidence("ssh-ed25519", tag=KEY["stranger"].tag)], path)[1].unknown
