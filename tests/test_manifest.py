"""The manifest: what is read, what is refused and with which code, and that the JSON schema says the same."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith.manifest import (
    MAX_MANIFEST_BYTES,
    Method,
    Phase,
    SourceFormat,
    dump_manifest,
    parse_manifest,
)
from secretsmith.manifest.patterns import PATTERNS
from secretsmith.manifest.shape import read_shape

FINGERPRINT = "SHA256:" + "A" * 43
MINIMAL: dict[str, Any] = {
    "version": 1,
    "host": "web1",
    "directory": "/run/secrets",
    "generations": "/run/secrets.d",
    "identities": ["/etc/ssh/ssh_host_ed25519_key"],
    "secrets": [],
}
SECRET: dict[str, Any] = {"name": "db", "source": "/etc/secretsmith/db.age", "format": "age"}
WHOLE: dict[str, Any] = {
    **MINIMAL,
    "scope": "system",
    "keep": 2,
    "credential_key": "host+tpm2",
    "host_key": FINGERPRINT,
    "principals": {FINGERPRINT: {"name": "web1", "ssh_tag": "AbC+/0", "recipient": "age1qqq"}},
    "secrets": [
        {
            **SECRET,
            "id": "secrets/web/db.age",
            "readers": [FINGERPRINT],
            "owner": "postgres",
            "group": "70",
            "mode": "0440",
            "path": "/run/secrets/db",
            "method": "link",
            "phase": "services",
            "required": True,
            "max_stale": "30d",
            "restart_units": ["postgresql.service"],
            "reload_units": [],
            "plaintext_on_disk": False,
            "credentials": ["web.service:db", "app@.service:db"],
        },
        {"name": "mail/smtp", "source": "/c.yaml", "format": "yaml", "key": "mail/smtp", "path": "/etc/smtp"},
    ],
    "templates": [
        {
            "name": "app.env",
            "content": "DSN={{db}}\n",
            "format": "dotenv",
            "placeholders": {"{{db}}": {"secret": "db", "filter": "url"}},
        }
    ],
}


def encoded(tree: object) -> bytes:
    return json.dumps(tree).encode()


def with_secret(**changes: object) -> bytes:
    return encoded({**MINIMAL, "secrets": [{**SECRET, **changes}]})


def code_of(data: bytes) -> Code:
    with pytest.raises(RefusedInput) as caught:
        parse_manifest(data)
    assert "\n" not in caught.value.message
    assert caught.value.message.isascii()
    return caught.value.code


def test_defaults() -> None:
    manifest = parse_manifest(with_secret())
    (secret,) = manifest.secrets
    assert (secret.owner, secret.group, secret.mode, secret.mode_bits) == ("root", "root", "0400", 0o400)
    assert (secret.path, secret.method, secret.phase, secret.required) == (
        None,
        Method.LINK,
        Phase.SERVICES,
        True,
    )
    assert (secret.id, secret.key, secret.readers, manifest.keep) == ("db", None, None, 2)


def test_whole_manifest() -> None:
    manifest = parse_manifest(encoded(WHOLE))
    secret = manifest.secrets[0]
    assert secret.path is None, "DIRECTORY/NAME is the default, said aloud"
    assert secret.max_stale_seconds == 30 * 86400
    assert manifest.principals[FINGERPRINT].name == "web1"
    assert manifest.templates[0].placeholders["{{db}}"].secret == "db"
    assert parse_manifest(dump_manifest(manifest)) == manifest


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/cron.d/x",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a/../b",
        "a//b",
        "a/",
        "a/.",
        "a\0b",
        "a\nb",
        "é",
        "a b",
        "a/b/c/d/e/f/g/h/i",
        "x" * 256,
    ],
)
def test_unsafe_names(name: str) -> None:
    assert code_of(with_secret(name=name)) is Code.NAME


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a"), ("a", "a"), ("Db", "db"), ("x/A", "X/a/b")])
def test_clashing_names(names: tuple[str, str]) -> None:
    secrets = [{**SECRET, "name": name} for name in names]
    assert code_of(encoded({**MINIMAL, "secrets": secrets})) is Code.NAME_CLASH


def test_templates_share_the_names() -> None:
    tree = {**MINIMAL, "secrets": [SECRET], "templates": [{"name": "db/x", "content": ""}]}
    assert code_of(encoded(tree)) is Code.NAME_CLASH


@pytest.mark.parametrize(
    "mode",
    [
        "4755",
        "2755",
        "1777",
        "999",
        "0o7777",
        "0o400",
        400,
        256,
        "0402",
        "666",
        "",
        "40",
        "00400",
        " 400",
        "400\n",
        None,
        True,
    ],
)
def test_unsafe_modes(mode: object) -> None:
    assert code_of(with_secret(mode=mode)) is Code.MODE


@pytest.mark.parametrize("mode", ["0400", "400", "0440", "0644", "0000", "0755"])
def test_good_modes(mode: str) -> None:
    assert parse_manifest(with_secret(mode=mode)).secrets[0].mode_bits == int(mode, 8)


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "",
        "/",
        "/etc/../root/x",
        "/etc/./x",
        "/etc//x",
        "/etc/x/",
        "/etc/x\n",
        "/etc/\0",
        "/nix/store/x",
        "/proc/1/environ",
        "/sys/x",
        "/dev/null",
        "/dev",
        "/run/secrets",
        "/run/secrets/other",
        "/run/secrets.d/1/db",
        "/run",
        "$HOME/x",
    ],
)
def test_unsafe_paths(path: str) -> None:
    assert code_of(with_secret(path=path)) is Code.PATH_UNSAFE


def test_paths_that_only_look_alike_are_fine() -> None:
    for path in ("/run/secrets2", "/device", "/nix/storefront", "/etc/..x", "/etc/é ü"):
        assert parse_manifest(with_secret(path=path)).secrets[0].path == path


@pytest.mark.parametrize(("one", "two"), [("/etc/x", "/etc/x"), ("/etc/x", "/etc/x/y")])
def test_clashing_paths(one: str, two: str) -> None:
    secrets = [{**SECRET, "name": "a", "path": one}, {**SECRET, "name": "b", "path": two}]
    assert code_of(encoded({**MINIMAL, "secrets": secrets})) is Code.NAME_CLASH


@pytest.mark.parametrize(
    "places",
    [
        {"directory": "/run/s", "generations": "/run/s"},
        {"directory": "/run/s", "generations": "/run/s/d"},
        {"directory": "/run/s/d", "generations": "/run/s"},
        {"directory": "/nix/store/s"},
        {"generations": "/proc/s"},
        {"generations": "run/secrets.d"},
        {"directory": "$XDG_RUNTIME_DIR/secrets"},
        {"identities": ["$HOME/.ssh/id_ed25519"]},
    ],
)
def test_unsafe_places(places: dict[str, object]) -> None:
    assert code_of(encoded({**MINIMAL, **places})) is Code.PATH_UNSAFE


def test_scope_user() -> None:
    user = {
        **MINIMAL,
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
    }
    assert parse_manifest(encoded({**user, "secrets": [SECRET]})).scope == "user"
    assert code_of(encoded({**user, "secrets": [{**SECRET, "owner": "alice"}]})) is Code.OWNER


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "db",
            "web.service",
            "web.service:",
            ":db",
            "web:db",
            "web.timer:db",
            "web.target:db",
            "-x.service:db",
        ),
        *(
            "web.service:a/b",
            "web.service:a b",
            "web.service:.",
            "web.service:-x",
            "web.service:a%n",
            "web.service:é",
        ),
        *(
            "a/b.service:db",
            "a\\x2db.service:db",
            "web.service:db\n",
            "x" * 150 + ".service:db",
            "web.service:" + "d" * 81,
        ),
    ],
)
def test_what_is_no_credential(text: str) -> None:
    assert code_of(with_secret(credentials=[text])) is Code.MANIFEST


def test_credentials() -> None:
    given = ["web.service:db", "app@.service:db", "a.b:c@1.socket:x_.@+-", "srv-data.mount:key"]
    assert parse_manifest(with_secret(credentials=given)).secrets[0].credentials == tuple(given)
    twice = [{**SECRET, "credentials": given}, {**SECRET, "name": "b", "credentials": given[1:2]}]
    assert code_of(encoded({**MINIMAL, "secrets": twice})) is Code.NAME_CLASH
    assert code_of(with_secret(credentials=["web.service:db"] * 2)) is Code.NAME_CLASH
    assert code_of(with_secret(credentials=["secretsmith-activate.service:db"])) is Code.MANIFEST


def test_credential_keys() -> None:
    for key in ("host", "tpm2", "host+tpm2"):
        assert parse_manifest(encoded({**MINIMAL, "credential_key": key})).credential_key == key
    assert code_of(encoded({**MINIMAL, "credential_key": "auto"})) is Code.MANIFEST
    assert code_of(encoded({**MINIMAL, "credential_key": None})) is Code.MANIFEST
    user = {
        **MINIMAL,
        "scope": "user",
        "directory": "$XDG_RUNTIME_DIR/secrets",
        "generations": "$XDG_RUNTIME_DIR/secrets.d",
    }
    given = {**user, "secrets": [{**SECRET, "credentials": ["x.service:db"]}]}
    assert parse_manifest(encoded(given)).secrets[0].credentials == ("x.service:db",)
    assert code_of(encoded({**user, "credential_key": "host"})) is Code.MANIFEST


@pytest.mark.parametrize("owner", ["", "a b", "-x", "4294967295", "99999999999", "01", "a:b", 0, None])
def test_wrong_owners(owner: object) -> None:
    assert code_of(with_secret(owner=owner)) is Code.OWNER
    assert code_of(with_secret(group=owner)) is Code.OWNER


def test_phase_users_runs_before_users_exist() -> None:
    assert code_of(with_secret(phase="users", owner="postgres")) is Code.OWNER
    found = parse_manifest(with_secret(phase="users", owner="0", group="4294967294"))
    assert found.secrets[0].phase is Phase.USERS


def test_a_copy_needs_a_place() -> None:
    assert code_of(with_secret(method="copy")) is Code.MANIFEST
    assert parse_manifest(with_secret(method="copy", path="/etc/app/db")).secrets[0].path == "/etc/app/db"


def test_the_initial_ram_disk_is_on_a_disk() -> None:
    assert code_of(with_secret(phase="initrd")) is Code.MANIFEST
    found = parse_manifest(with_secret(phase="initrd", plaintext_on_disk=True))
    assert found.secrets[0].plaintext_on_disk


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "a", "format": "age"},
        {"key": "a", "format": "binary"},
        {"key": "", "format": "yaml"},
        {"key": "/a", "format": "yaml"},
        {"key": "a//b", "format": "yaml"},
        {"format": "toml"},
        {"format": None},
        {"owners": "x"},
        {"required": 1},
        {"readers": ["SHA256:short"]},
        {"readers": FINGERPRINT},
        {"max_stale": "30"},
        {"max_stale": 30},
        {"live": "web/db"},
        {"live": True},
        {"live": "pass:a\nb"},
        {"restart_units": ["-oops.service"]},
        {"restart_units": ["nginx"]},
        {"restart_units": ["a b.service"]},
        {"id": ""},
        {"id": "a\u0000"},
        {"id": "\ud800"},
    ],
)
def test_wrong_fields(changes: dict[str, object]) -> None:
    assert code_of(with_secret(**changes)) is Code.MANIFEST


@pytest.mark.parametrize("source", ["db.age", "../db.age", "/a/../b", "", None, "/a\0"])
def test_unsafe_sources(source: object) -> None:
    assert code_of(with_secret(source=source)) is Code.PATH_UNSAFE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": 1, "version": 1}',
        encoded({**MINIMAL, "version": 2}),
        encoded({**MINIMAL, "version": True}),
        encoded(MINIMAL).replace(b'"version": 1', b'"version": 1.0'),
        encoded(MINIMAL).replace(b'"version": 1', b'"version": 1e0'),
        encoded(MINIMAL).replace(b'"version": 1', b'"version": NaN'),
        encoded(MINIMAL).replace(b'"version": 1', b'"version": -Infinity'),
        encoded({**MINIMAL, "keep": 2**63}),
        encoded({**MINIMAL, "keep": -1}),
        encoded({**MINIMAL, "keep": 0}),
        encoded({**MINIMAL, "keep": "2"}),
        encoded({**MINIMAL, "identities": []}),
        encoded({**MINIMAL, "secrets": {}}),
        encoded({**MINIMAL, "extra": 1}),
        encoded({**MINIMAL, "principals": {"nobody": {"name": "x"}}}),
        encoded({**MINIMAL, "principals": {FINGERPRINT: {}}}),
        encoded(
            {**MINIMAL, "templates": [{"name": "t", "content": "", "placeholders": {"x": {"secret": "no"}}}]}
        ),
        b'{"version": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        *(encoded({key: value for key, value in MINIMAL.items() if key != gone}) for gone in MINIMAL),
    ],
)
def test_hostile_json(data: bytes, within: Callable[[float], AbstractContextManager[None]]) -> None:
    with within(2.0):
        assert code_of(data) is Code.MANIFEST


def test_sizes(within: Callable[[float], AbstractContextManager[None]]) -> None:
    with within(2.0):
        assert code_of(b" " * (MAX_MANIFEST_BYTES + 1)) is Code.TOO_BIG
    with within(2.0):
        assert code_of(b'{"' + b"x" * (MAX_MANIFEST_BYTES - 20) + b'":1}') is Code.MANIFEST
    many = {**MINIMAL, "secrets": [{**SECRET, "name": f"folder/{n}"} for n in range(10_000)]}
    with within(2.0):
        assert len(parse_manifest(encoded(many)).secrets) == 10_000
    duplicates = b"{" + b",".join(b'"k%d":1' % n for n in range(300_000)) + b',"k299999":1}'
    with within(2.0):
        assert code_of(duplicates) is Code.MANIFEST


def test_a_hostile_value_does_not_reach_the_terminal() -> None:
    with pytest.raises(RefusedInput) as caught:
        parse_manifest(with_secret(mode="\x1b[2J" + "é" * 5000))
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 300


# -- the schema -----------------------------------------------------------------------------------------------------


def _pattern(
    validator: Any, pattern: str, instance: object, schema: object
) -> Iterator[jsonschema.ValidationError]:
    # ECMA-262, which JSON schema speaks, ends `$` at the end; Python's also before a final newline.
    if isinstance(instance, str) and not re.search(re.sub(r"\$\Z", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


@pytest.fixture(scope="module")
def accepted() -> Callable[[object], bool]:
    path = Path(__file__).parent.parent / "docs/reference/schemas/manifest.schema.json"
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    validator = kind(schema)
    return lambda tree: bool(validator.is_valid(tree))


def reads(tree: object) -> bool:
    try:
        read_shape(tree)
    except RefusedInput:
        return False
    return True


WORDS = st.sampled_from(
    [
        *(
            *SourceFormat,
            *Method,
            *Phase,
            "raw",
            "url",
            "system",
            "user",
            "root",
            "0400",
            "0407",
            "30d",
            FINGERPRINT,
        ),
        *(
            "/a/b",
            "/a/../b",
            "a/b",
            "../a",
            "web1",
            "",
            "x.service",
            "-x.service",
            "x.service:db",
            "tpm2",
            "a\n",
            "$HOME/x",
            "age1q",
            "é",
        ),
        *("AbC+/0", "4294967295"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 120) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def places(tree: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON tree but the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def changed_manifests(draw: st.DrawFn) -> object:
    """The whole manifest with one to three places exchanged, removed or added."""
    tree = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(list(places(tree))))
        parent: Any = tree
        for step in way:
            parent = parent[step]
        action = draw(st.sampled_from(["set", "set", "set", "drop", "add"]))
        if action == "set":
            parent[last] = draw(VALUES)
        elif action == "drop":
            del parent[last]
        elif isinstance(parent, dict):
            parent[draw(WORDS)] = draw(VALUES)
        else:
            parent.append(draw(VALUES))
        if not tree:
            break
    return tree


@given(tree=changed_manifests())
def test_schema_and_parser_agree(accepted: Callable[[object], bool], tree: object) -> None:
    assert accepted(tree) == reads(tree)


@given(tree=VALUES)
def test_schema_and_parser_agree_on_anything(accepted: Callable[[object], bool], tree: object) -> None:
    assert accepted(tree) == reads(tree)


def test_schema_accepts_the_examples(accepted: Callable[[object], bool]) -> None:
    assert accepted(WHOLE) and accepted(MINIMAL)
    assert not accepted({**MINIMAL, "extra": 1})


def test_a_live_value_is_one_age_file_of_a_machine() -> None:
    live = parse_manifest(with_secret(live="pass:web/db", id="pass:web/db")).secrets[0]
    assert (live.live, live.id) == ("pass:web/db", "pass:web/db")
    assert code_of(with_secret(live="pass:web/db", format="yaml")) is Code.MANIFEST
    user = {**MINIMAL, "scope": "user", "secrets": [{**SECRET, "live": "pass:web/db"}]}
    assert code_of(encoded(user)) is Code.MANIFEST
    del user["secrets"][0]["live"]
    parse_manifest(encoded(user))


def test_the_documented_example(accepted: Callable[[object], bool], repository_root: Path) -> None:
    text = (repository_root / "docs/reference/manifest.md").read_text()
    example = text.split("```json\n")[1].split("```")[0]
    assert accepted(json.loads(example))
    assert parse_manifest(example.encode()).secrets[0].path == "/etc/app/db-password"


def test_schema_has_the_same_patterns() -> None:
    path = Path(__file__).parent.parent / "docs/reference/schemas/manifest.schema.json"
    found = set(re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', path.read_text()))
    assert {json.loads(text) for text in found} == set(PATTERNS.values())


@given(tree=changed_manifests())
def test_dump_and_parse_are_inverse(tree: object) -> None:
    try:
        manifest = parse_manifest(encoded(tree))
    except RefusedInput:
        return
    assert parse_manifest(dump_manifest(manifest)) == manifest
