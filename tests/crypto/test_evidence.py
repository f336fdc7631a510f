"""What a header says about its readers."""

from __future__ import annotations

import subprocess
import sys

from agemaker import BODY, SHARE, age_file, native_stanzas, unknown_stanzas, x25519_stanza
from hypothesis import given
from hypothesis import strategies as st

from secretsmith.crypto.agefile import inspect_age
from secretsmith.crypto.evidence import Evidence, evidence_of
from secretsmith.crypto.header import Header, Stanza, is_grease


def test_each_kind() -> None:
    header, _ = inspect_age(
        age_file(
            x25519_stanza(),
            f"-> ssh-ed25519 AAAAAA {SHARE}\n".encode() + BODY,
            b"-> piv-p256 AAAAAA share\n" + BODY,
            b"-> X-grease AAAAAA\n\n",
            b"-> -grease\n\n",
            x25519_stanza(),
        )
    )
    assert evidence_of(header) == (
        Evidence("x25519"),
        Evidence("ssh-ed25519", "AAAAAA"),
        Evidence("plugin"),
        Evidence("x25519"),
    )


@given(st.lists(st.one_of(native_stanzas(), unknown_stanzas()), max_size=10))
def test_one_for_each_stanza_that_counts(stanzas: list[Stanza]) -> None:
    evidence = evidence_of(Header(tuple(stanzas), bytes(32), 0))
    assert len(evidence) == sum(not is_grease(stanza) for stanza in stanzas)
    assert all((found.tag is not None) == found.kind.startswith("ssh-") for found in evidence)


def test_looking_at_a_header_loads_no_library() -> None:
    code = (
        "import sys; from secretsmith.crypto.agefile import inspect_age\n"
        "from secretsmith.crypto.evidence import evidence_of\n"
        f"evidence_of(inspect_age({age_file(x25519_stanza())!r})[0])\n"
        "print([m for m in ('nacl', 'pyrage', 'cryptography', 'bcrypt') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert out.stdout == "[]\n"
