"""The user's editor on a file in memory: which one, kept from leaving copies, in its own foreground.

An editor's swap, backup, undo and history files are copies of the value. Next to the file they would be harmless (the folder
is a private one on tmpfs and is removed), but configurations move them to the home folder: ansible-vault's CVE-2020-1740
and sops#624 are of this kind. Each preset therefore switches them off after the user's own configuration was read.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from secretsmith.errors import Code, Interrupted, RefusedInput, SecretsmithError
from secretsmith.record import record

VARIABLES = ("SECRETSMITH_EDITOR", "SOPS_EDITOR", "VISUAL", "EDITOR")
_FALLBACKS = ("nano", "vim", "vi")
_MANY_PROGRAMS = ("vi",)
_GRACE_SECONDS = 2.0
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# `nomodeline`: the value may have been written by somebody else. The options are set twice, before the configuration for
# the first buffer's swap file and after it (-c) because a vimrc may set them again.
_VIM_OPTIONS = "nobackup nowritebackup noswapfile noundofile nomodeline"
_VIM = (
    "-n", "-i", "NONE", "--cmd", f"set {_VIM_OPTIONS} viminfo=", "-c", f"set {_VIM_OPTIONS} viminfo=",
)  # fmt: skip
_NVIM = (
    "-n", "-i", "NONE", "--cmd", f"set {_VIM_OPTIONS} shada=", "-c", f"set {_VIM_OPTIONS} shada=",
)  # fmt: skip
# --eval runs after the init file and before the file is visited (Emacs manual, "Action Arguments").
_EMACS = (
    "--eval",
    "(progn (setq-default make-backup-files nil backup-inhibited t auto-save-default nil create-lockfiles nil"
    " auto-save-visited-mode nil enable-local-variables nil undo-tree-auto-save-history nil)"
    " (setq auto-save-list-file-prefix nil auto-save-list-file-name nil kill-emacs-hook nil)"
    " (dolist (mode '(savehist-mode save-place-mode recentf-mode desktop-save-mode global-undo-tree-mode"
    " undo-fu-session-global-mode)) (when (fboundp mode) (ignore-errors (funcall mode -1)))))",
)
# --ignorercfiles: `set backup`, `set historylog` and `set positionlog` have no switch that turns them off.
_NANO = ("--ignorercfiles",)
_MICRO = ("-backup", "false", "-savehistory", "false", "-savecursor", "false", "-saveundo", "false")

PRESETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("vim", "vi", "vim.tiny", "vim.basic", "vim.nox", "gvim"), _VIM),
    "nvim": _NVIM,
    **dict.fromkeys(("emacs", "emacs-nox", "emacs-gtk"), _EMACS),
    **dict.fromkeys(("nano", "rnano"), _NANO),
    "micro": _MICRO,
    # helix keeps no swap, backup, undo or history of a file, and has no switches for them.
    **dict.fromkeys(("hx", "helix"), ()),
}
"""Arguments in front of the file, by the editor's file name. Other editors are run as they are given."""


@record
class Editor:
    """An editor: the words of its command, and whether secretsmith knows how to keep it from leaving copies."""

    argv: tuple[str, ...]
    known: bool

    @property
    def name(self) -> str:
        """The program, as people call it."""
        return os.path.basename(self.argv[0])


def choose_editor(environ: Mapping[str, str]) -> Editor:
    """Return the editor of $SECRETSMITH_EDITOR, $SOPS_EDITOR, $VISUAL or $EDITOR, else the first usual one installed.

    The variable is split like a shell would; no shell runs it. A known editor gets its preset after its own arguments.

    Raises:
        RefusedInput: EDITOR, a malformed variable, or no editor at all.
    """
    search = environ.get("PATH")
    for variable in VARIABLES:
        try:
            words = shlex.split(environ.get(variable, ""))
        except ValueError:
            raise RefusedInput(Code.EDITOR, f"${variable} has unbalanced quotes") from None
        if words:
            return _with_preset(words, search)
    for name in _FALLBACKS:
        if shutil.which(name, path=search):
            return _with_preset([name], search)
    raise RefusedInput(Code.EDITOR, "no editor found", hints=("name one: EDITOR=nano secretsmith edit …",))


def _with_preset(words: Sequence[str], search: str | None) -> Editor:
    preset = _preset(words[0], search)
    return Editor((*words, *(preset or ())), preset is not None)


def _preset(program: str, search: str | None) -> tuple[str, ...] | None:
    """Return the preset of a program. What a link leads to decides: `editor` is nano here and `vim` is nvim there."""
    name = os.path.basename(program)
    found = shutil.which(program, path=search)
    behind = os.path.basename(os.path.realpath(found)) if found else name
    if name in _MANY_PROGRAMS and behind != name:
        return PRESETS.get(behind)  # busybox's vi knows none of vim's arguments
    return PRESETS.get(behind, PRESETS.get(name))


def run_editor(editor: Editor, path: str, environ: Mapping[str, str]) -> None:
    """Run the editor on the file ``path`` until it ends.

    On a terminal it gets the foreground, so that Ctrl-C and Ctrl-Z are its own; a stopped editor stops us, too.

    Raises:
        SecretsmithError: EDITOR, it could not be started, failed, or was killed.
    """
    terminal = _terminal()
    try:
        process = subprocess.Popen(
            [*editor.argv, path],
            env=dict(environ),
            # There are no threads here, which is what makes this safe.
            preexec_fn=_foreground(terminal),
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be run"
        raise _failed(editor, f"cannot be started: {reason.lower()}") from None
    try:
        status = _wait(process, terminal)
    except BaseException:
        _end(process, terminal)
        raise
    finally:
        _take_back(terminal)
    if status < 0:
        raise _failed(editor, f"was killed by signal {-status}")
    if status > 0:
        raise _failed(editor, f"failed with status {status}")


@contextmanager
def ending_signals() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Interrupted`, so that whatever is in memory files gets removed.

    Only the first one raises: a second, impatient one must not interrupt the removal.
    """
    raised = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Interrupted(
                Code.INTERRUPTED, f"stopped by {signal.Signals(number).name}; nothing was written"
            )

    before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}
    try:
        for number in _ENDING_SIGNALS:
            # In a thread other than the main one there are no handlers to set, and none that could hit us.
            with suppress(ValueError):
                before[number] = signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal() -> int | None:
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp():
                return descriptor
    return None


def _foreground(terminal: int | None) -> Callable[[], None] | None:
    if terminal is None:
        return None

    def prepare() -> None:
        os.setpgid(0, 0)
        # A background process that takes the foreground is stopped by SIGTTOU unless it is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        os.tcsetpgrp(terminal, os.getpid())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTTOU])

    return prepare


def _wait(process: subprocess.Popen[bytes], terminal: int | None) -> int:
    """Wait for the end; hand stops on to our own shell. Returns as ``Popen.returncode``."""
    while True:
        if terminal is None:
            return process.wait()
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        _take_back(terminal)
        # Stops us with our whole group, and returns when the shell continues it.
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        _give(terminal, process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)


def _end(process: subprocess.Popen[bytes], terminal: int | None) -> None:
    """End the editor; it gets a moment to restore the terminal."""
    if process.returncode is not None:
        return
    send: Callable[[int, int], None] = os.kill if terminal is None else os.killpg
    with suppress(ProcessLookupError):
        send(process.pid, signal.SIGTERM)
        send(process.pid, signal.SIGCONT)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            send(process.pid, signal.SIGKILL)
        process.wait()


def _take_back(terminal: int | None) -> None:
    if terminal is not None:
        _give(terminal, os.getpgrp())


def _give(terminal: int, group: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        # The terminal may be gone (SIGHUP), or the group have ended.
        with suppress(OSError, termios.error):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _failed(editor: Editor, why: str) -> SecretsmithError:
    return SecretsmithError(
        Code.EDITOR,
        f"the editor {editor.name} {why}; nothing was written",
        hints=("name another one: SECRETSMITH_EDITOR=nano secretsmith edit …",),
    )


__all__ = ["PRESETS", "VARIABLES", "Editor", "choose_editor", "ending_signals", "run_editor"]
