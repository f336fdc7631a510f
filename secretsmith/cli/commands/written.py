"""How a written secret is reported, the same for every command that writes one."""

from __future__ import annotations

from secretsmith.cli.session import Session
from secretsmith.operations.write_value import Written


def report_written(session: Session, written: Written) -> None:
    """Say on standard error which file was written, who reads it, and who was added or dropped."""
    readers = f"readable by {', '.join(written.readers) or 'nobody'}"
    if written.unchanged:
        session.note(f"note: {written.path}: unchanged, nothing was written")
    elif written.created:
        session.note(f"wrote {written.path} (new), {readers}")
    elif written.change:
        session.note(f"wrote {written.path}: {written.change}; {readers}")
    else:
        session.note(f"wrote {written.path}, {readers} as before")
    for note in written.notes:
        session.note(f"note: {note}")
