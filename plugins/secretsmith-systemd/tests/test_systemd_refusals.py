"""Host files that are wrong: one line with file and line, never a traceback, never slow."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.errors import Code, RefusedInput
from secretsmith.plugin.api import PluginContext
from secretsmith.testing import sample_context
from secretsmith_systemd.declared import parse_host_file
from secretsmith_systemd.hostfiles import SystemdBuilder
from secretsmith_systemd.places import line_of, places

GOOD = '[secrets.db]\nfile = "secrets/web/db.age"\n'


def refuse(context: PluginContext, text: str | bytes) -> RefusedInput:
    folder = context.root / "secretsmith.d"
    folder.mkdir(exist_ok=True)
    (folder / "web1.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RefusedInput) as caught:
        SystemdBuilder().manifests(context, ["web1"], None)
    assert "\n" not in caught.value.message
    assert caught.value.path == "secretsmith.d/web1.toml"
    return caught.value


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return sample_context(tmp_path)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[secrets.db]\nfile = \n", "2:8", "not TOML"),
        ("\n[secrets.db\n", "2:12", "not TOML"),
        (GOOD + "ownr = 'x'\n", "3", "unknown field 'ownr', did you mean owner?"),
        ("secret = 1\n" + GOOD, "1", "unknown field 'secret', did you mean secrets?"),
        ("\nversion = 2\n" + GOOD, "2", "version 2 is not known, only 1"),
        ("version = true\n" + GOOD, "1", "version True is not known, only 1"),
        ("secrets = []\n", "1", "secrets wants tables: [secrets.NAME]"),
        ("[secrets]\ndb = 'x'\n", "2", "wants a table: [secrets.db]"),
        ("\n\n[secrets.db]\nmode = '0400'\n", "3", "secret 'db' names no file"),
        ("[secrets.db]\nfile = '../x.age'\n", "2", "file wants a path from the repository's root"),
        ("[secrets.db]\nfile = '/etc/x.age'\n", "2", "file wants a path"),
        ("[secrets.db]\nfile = 7\n", "2", "file wants a path"),
        ("[secrets.db]\nfile = 'a\\tb'\n".replace("'a\\tb'", '"a\\tb"'), "2", "file wants a path"),
        (GOOD + "source = 'web/db'\n", "3", "source wants a reference"),
        ("[secrets.'../x']\nsource = 'pass:x'\n", "1", "file wants a path"),
        ("[secrets.db]\nsource = 'pass:x'\nlive = 'yes'\n", "3", "live wants true or false"),
        ("[secrets.db]\nfile = 'secrets/web/db.age'\nlive = true\n", "3", "a live value has a source"),
        (GOOD + "source = 'pass:x'\nlive = true\n", "2", "leave file out"),
        ("[secrets.db]\nsource = 'pass:x'\nlive = true\nkey = 'a'\n", "4", "leave key out"),
        ("[secrets.db]\nsource = 'pass:x'\nlive = true\nformat = 'age'\n", "4", "leave format out"),
        ("[secrets.db]\nsource = 7\n", "2", "source wants a reference"),
        ("[secrets.db]\nfile = 'secretsmith.lock'\n", "2", "the suffix '.lock' says no format"),
        (GOOD + "\nmode = 400\n", "4", "mode: wants a text"),
        (GOOD + "\n\nmode = '0777'\n", "5", "mode: wants"),
        (GOOD + "owner = 'no body'\n", "3", "owner: wants"),
        (GOOD + "key = 'a/b'\n", "1", "format age has no keys"),
        (GOOD + "path = '/proc/x'\n", "3", "is below /proc"),
        (GOOD + "restart_units = [\n 'nginx'\n]\n", "3", "restart_units[0]: wants a unit name"),
        (GOOD + "phase = 'later'\n", "3", "phase: wants one of"),
        (GOOD + "max_stale = 2026-01-02\n", "1", "is a date without quotes"),
        (GOOD + "max_stale = nan\n", "1", "NaN is no whole number"),
        (GOOD + '[secrets."db/x"]\nfile = "secrets/web/db.age"\n', "3", "needs a folder where"),
        (GOOD + '[secrets."../x"]\nfile = "secrets/web/db.age"\n', "3", "name: wants"),
        (GOOD + "[templates.t]\nformat = 'json'\n", "3", "content is missing"),
        (
            GOOD + "[templates.t]\ncontent = 'x'\nplaceholders = { x = { secret = 'no' } }\n",
            "3",
            "no secret is named 'no'",
        ),
        (GOOD + "credential = 'web:db'\n", "3", "credential[0]: wants a service, socket or mount"),
        (GOOD + "\ncredential = 7\n", "4", "credential: wants a list"),
        (
            GOOD + "credential = ['a.service:x', 'a.service:x']\n",
            "3",
            "credential: a.service:x is also that of",
        ),
        (GOOD + "\n[host]\ncreds = 'disk'\n", "5", "host.creds: wants one of host, tpm2, host+tpm2"),
        (GOOD + "\n[host]\ncred = 'host'\n", "5", "unknown field 'cred', did you mean creds?"),
        ("host = 1\n" + GOOD, "1", "wants a table: [host]"),
        ("scope = 'user'\n[host]\ncreds = 'host'\n" + GOOD, "3", "host.creds: scope user has none"),
        ("keep = 0\n" + GOOD, "1", "keep: wants a whole number from 1 to 100"),
        ("\nidentities = []\n" + GOOD, "2", "identities: wants a list"),
        (b"\n\n\xff\n", "3", "not UTF-8"),
    ],
)
def test_told_with_its_line(context: PluginContext, text: str | bytes, line: str, says: str) -> None:
    message = refuse(context, text).message
    assert message.startswith(f"secretsmith.d/web1.toml:{line}: "), message
    assert says in message


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 200_000) + " = 1",
        "a = {" + ".".join(["a"] * 200_000) + " = 1}",
        "a = " + "[" * 200_000,
        "a = " + "{a=" * 100_000,
        "a = " + "9" * 400_000,
        "a = '''" + "x" * 500_000,
        "".join(f"[a{number}]\nb=1\n" for number in range(40_000)),
        "".join(f"[secrets.s{number}]\n" for number in range(30_000)),
        "x" * 600_000,
        '"\\u0000" = 1',
        "[secrets." + '"' + "a" * 100_000 + '"]\nfile = "secrets/web/db.age"\n',
    ],
    ids=range(11),
)
def test_hostile_texts_end_soon(context: PluginContext, text: str) -> None:
    started = time.process_time()
    message = refuse(context, text).message
    assert time.process_time() - started < 2
    assert len(message) < 500


@given(st.text(alphabet="[]{}=\"'.#\n ab1-", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RefusedInput):
        assert parse_host_file("secretsmith.d/h.toml", text.encode()).host == "h"


NAMES = st.text(alphabet="abc.\"' =[]#é", min_size=1, max_size=6)


@given(st.lists(st.tuples(NAMES, st.booleans()), unique_by=lambda pair: pair[0], min_size=1, max_size=8))
def test_places_agree_with_how_the_text_was_written(tables: list[tuple[str, bool]]) -> None:
    lines: list[str] = []
    wanted: dict[tuple[str, ...], int] = {}
    for name, multi in tables:
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        lines.append(f"[secrets.{quoted}]  # [secrets.fake]")
        wanted["secrets", name] = len(lines)
        if multi:
            lines += ['content = """', "[secrets.fake]", "file = 1", '"""']
        lines.append(" file = '[x]'")
        wanted["secrets", name, "file"] = len(lines)
    found = places("\n".join(lines))
    assert {place: line_of(found, place) for place in wanted} == wanted
    assert line_of(found, ("secrets", "nothing of this name", "x")) == line_of(found, ("secrets",))


def test_exit_codes_of_the_manifest_pass_through(context: PluginContext) -> None:
    assert refuse(context, GOOD + "mode = '0777'\n").code is Code.MODE
    assert refuse(context, GOOD + "path = '/proc/x'\n").code is Code.PATH_UNSAFE
    assert refuse(context, GOOD + "owner = 'no body'\n").code is Code.OWNER
