"""Public key lines that must be refused: hostile inputs 55 to 66."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager

import keys
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from keylines import AGE, LINE, ed25519_line, refusal

from secretsmith.crypto import bech32
from secretsmith.crypto.publickey import KeyKind, parse_public_key, require_host_key
from secretsmith.errors import Code, RefusedInput

Within = Callable[[float], AbstractContextManager[None]]


@pytest.mark.parametrize(
    "line",
    [
        f"{LINE}\n{LINE}",
        f"{LINE} comment\n{LINE}",
        f"{LINE}\r\n{LINE}",
        f"{LINE} {LINE}",
        f"{LINE},{LINE}",
        f"{LINE} and {AGE}",
        f"{AGE},{AGE}",
        f"{AGE} {AGE}",
        f"{AGE}\n{LINE}",
        f"{LINE} comment\u2028second line",
        f"{LINE}\x0bsecond line",
    ],
)
def test_row_55_two_keys_or_lines(line: str) -> None:
    assert refusal(line).code is Code.KEY_FORMAT


@pytest.mark.parametrize("line", [f"{LINE}\x00", f"{LINE} a\x00b", f"{AGE}\x00", f"{LINE}\x00{LINE}"])
def test_row_56_nul(line: str) -> None:
    assert refusal(line).code is Code.KEY_FORMAT


@pytest.mark.parametrize(
    "line",
    [
        f'command="rm -rf /" {LINE}',
        f"no-pty,restrict {LINE}",
        f"web1.example.org {LINE}",
        f"@cert-authority * {LINE}",
    ],
)
def test_row_57_options(line: str) -> None:
    assert refusal(line).code is Code.KEY_OPTIONS


@pytest.mark.parametrize(
    "bad", ["\x1b[31mred", "\u202eelif", "\u200bhidden", "a\x07b", "\x9b2J", "\ufeff", "\ue000"]
)
def test_row_58_comments_reach_no_terminal_raw(bad: str) -> None:
    key = parse_public_key(f"{LINE} {bad}")
    assert key.comment
    assert key.comment.isprintable()
    assert key.comment.isascii()


def test_ordinary_letters_stay_in_comments() -> None:
    assert parse_public_key(f"{LINE} Zoë 山田@host").comment == "Zoë 山田@host"


def test_row_59_type_word_and_blob_differ() -> None:
    rsa_text = keys.rsa_key().public.split()[1]
    assert refusal(f"ssh-ed25519 {rsa_text}").code is Code.KEY_FORMAT
    assert refusal(f"ssh-rsa {LINE.split()[1]}").code is Code.KEY_FORMAT


@pytest.mark.parametrize("first", [True, False])
def test_row_60_ssh_private_key(first: bool) -> None:
    private = keys.ed25519_key().private.decode()
    problem = refusal(private if first else f"{LINE} {private}")
    assert problem.code is Code.KEY_PRIVATE
    secret = private.splitlines()[2]
    assert secret not in problem.message + " ".join(problem.hints)


@pytest.mark.parametrize(
    "change", [str, str.lower, "  {}".format, "{} comment".format, (LINE + " {}").format]
)
def test_row_61_age_private_key(change: Callable[[str], str]) -> None:
    secret = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
    assert refusal(change(secret)).code is Code.KEY_PRIVATE
    assert refusal(change(bech32.encode("AGE-PLUGIN-YUBIKEY-", bytes(8)))).code is Code.KEY_PRIVATE


def _rsa_line(exponent: int, modulus: int) -> str:
    def mpint(number: int) -> bytes:
        raw = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return len(raw).to_bytes(4, "big") + raw

    blob = b"\x00\x00\x00\x07ssh-rsa" + mpint(exponent) + mpint(modulus)
    return "ssh-rsa " + base64.b64encode(blob).decode()


def test_row_62_short_rsa() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()
    line = small.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    assert refusal(line).code is Code.KEY_WEAK
    assert parse_public_key(keys.rsa_key(2048).public).kind is KeyKind.RSA


@pytest.mark.parametrize(
    ("exponent", "modulus"),
    [
        (1, 2**2048 - 1),
        (65536, 2**2048 - 1),
        (65537, 2**2048 - 2),
        (2**40 + 1, 2**2048 - 1),
    ],
    ids=["exponent 1", "even exponent", "even modulus", "huge exponent"],
)
def test_rsa_that_is_none(exponent: int, modulus: int, within: Within) -> None:
    with within(1):
        assert refusal(_rsa_line(exponent, modulus)).code is Code.KEY_WEAK


@pytest.mark.parametrize("bits", [4097, 8192, 40000])
def test_rsa_that_is_too_long_to_encrypt_to(bits: int, within: Within) -> None:
    with within(1):
        assert refusal(_rsa_line(65537, 2 ** (bits - 1) + 1)).code is Code.KEY_UNSUPPORTED


def _foreign(kind: str) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + bytes(60)
    return f"{kind} {base64.b64encode(blob).decode()} comment"


@pytest.mark.parametrize(
    "line",
    [
        keys.ecdsa_key().public,
        _foreign("ssh-dss"),
        _foreign("sk-ssh-ed25519@openssh.com"),
        _foreign("sk-ecdsa-sha2-nistp256@openssh.com"),
        _foreign("ssh-ed25519-cert-v01@openssh.com"),
        _foreign("ecdsa-sha2-nistp521"),
    ],
    ids=["ecdsa", "dss", "sk-ed25519", "sk-ecdsa", "certificate", "ecdsa-521"],
)
def test_row_63_kinds_that_age_has_no_recipient_for(line: str) -> None:
    problem = refusal(line)
    assert problem.code is Code.KEY_UNSUPPORTED
    if line.startswith("sk-"):
        assert "age-plugin" in " ".join(problem.hints)


@pytest.mark.parametrize("line", [AGE.upper(), AGE[:20] + AGE[20:].upper(), "AGE1" + AGE[4:]])
def test_row_64_case_of_bech32(line: str) -> None:
    assert refusal(line).code is Code.KEY_FORMAT


P = 2**255 - 19
Y8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


@pytest.mark.parametrize(
    "y",
    [0, 1, P - 1, P, P + 1, 2**255 - 1, int.from_bytes(Y8, "little"), P - int.from_bytes(Y8, "little")],
)
@pytest.mark.parametrize("sign", [0, 1])
def test_row_65_weak_ed25519_points(y: int, sign: int) -> None:
    assert refusal(ed25519_line((y | sign << 255).to_bytes(32, "little"))).code is Code.KEY_WEAK


@pytest.mark.parametrize(
    "u",
    [
        0,
        1,
        P - 1,
        P,
        P + 1,
        P + 9,
        (9 | 1 << 255),
        int.from_bytes(
            bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"
        ),
        int.from_bytes(
            bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"
        ),
    ],
)
def test_row_65_weak_x25519_points(u: int) -> None:
    assert refusal(bech32.encode("age", u.to_bytes(32, "little"))).code is Code.KEY_WEAK


def test_a_point_off_the_curve_is_refused_where_it_is_first_used() -> None:
    key = parse_public_key(ed25519_line((2).to_bytes(32, "little")))
    for use in (lambda: key.derived, lambda: require_host_key(key, "web1")):
        with pytest.raises(RefusedInput) as caught:
            use()
        assert caught.value.code is Code.KEY_WEAK


@pytest.mark.parametrize("name", ["../x", "..", ".", "a/b", "-x", "", "x" * 300, "a\\b", "a;b", "+x"])
def test_row_66_plugin_names(name: str) -> None:
    line = bech32.encode(f"age1{name}", b"data") if name else "age11qqqqqq"
    code = refusal(line).code
    assert code is Code.PLUGIN_NAME if name else code is Code.KEY_FORMAT


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 not*base64",
        LINE.rstrip("=") + "=",
        LINE + "A",
        ed25519_line(bytes(31)),
        ed25519_line(bytes(33)),
        LINE[:-8],
        "age1",
        AGE[:-1],
        bech32.encode("age", bytes(31)),
        bech32.encode("bc", bytes(32)),
        "age1" + "q" * 20000,
        f"{LINE} " + "x" * 2000,
        "ssh-foo AAAA",
        "ssh-ed25519 " + base64.b64encode(base64.b64decode(LINE.split()[1]) + b"\x00").decode(),
    ],
)
def test_malformed_lines(line: str) -> None:
    assert refusal(line).code is Code.KEY_FORMAT
