"""What agenix does, as shell scripts with the same processes in the same order, in our own words.

Source: github.com/ryantm/agenix at b027ee29d959 (2026-02-03): modules/age.nix (activation) and pkgs/agenix.sh (rekey).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

COMMIT: Final = "b027ee29d959"

# newGeneration. The number is read from the link again at the end, as the parts are separate snippets.
_BEGIN = """\
generation="$(basename "$(readlink {link})" || echo 0)"
(( ++generation ))
echo "new generation {mount}/$generation"
mkdir -p {mount}
chmod 0751 {mount}
{mounting}
mkdir -p {mount}/"$generation"
chmod 0751 {mount}/"$generation"
echo decrypting
test -f {identity} || echo 'identity not present'
"""
_MOUNTING = 'grep -q {mount}" ramfs" /proc/mounts || mount -t ramfs none {mount} -o nodev,nosuid,mode=0751'
# installSecret, with the defaults: path below the link, so no ln; mode 0400. Nix writes it out for each secret.
_INSTALL = """\
true_path={mount}/"$generation"/{name}
echo "decrypting {source} to $true_path"
temporary="$true_path.tmp"
identities=()
for identity in {identity}; do
  test -r "$identity" || continue
  test -s "$identity" || continue
  identities+=(-i)
  identities+=("$identity")
done
test "${{#identities[@]}}" -eq 0 && echo 'no readable identities'
mkdir -p "$(dirname "$true_path")"
[ {link}/{name} != {link}/{name} ] && mkdir -p "$(dirname {link}/{name})"
(
  umask u=r,g=,o=
  test -f {source} || echo 'encrypted file does not exist'
  test -d "$(dirname "$temporary")" || echo 'folder does not exist'
  LANG=C age --decrypt "${{identities[@]}}" -o "$temporary" {source}
)
chmod 0400 "$temporary"
mv -f "$temporary" "$true_path"
[ {link}/{name} != {link}/{name} ] && ln -sfT {link}/{name} {link}/{name}
"""
# cleanupAndLink, then chownSecrets, whose number is one too high without a new look: the link leads to the new generation.
_LINK = """\
generation="$(basename "$(readlink {link})" || echo 0)"
(( ++generation ))
ln -sfT {mount}/"$generation" {link}
(( generation > 1 )) && {{
rm -rf {mount}/"$(( generation - 1 ))"
}}
echo chowning
chown :0 {mount} {mount}/"$generation"
"""
_OWN = """\
true_path={mount}/"$generation"/{name}
chown {owner} "$true_path"
"""


def activation(
    place: Path, identity: Path, secrets: Mapping[str, Path], *, mounts: bool, owner: str = "0:0"
) -> str:
    """Give the script that installs ``secrets`` (name → file): ``place``/run is the link, ``place``/run.d holds generations.

    A process for each of: dirname, mkdir, dirname, age, chmod, mv, and in a second round chown. ``mounts``: onto a ramfs.
    """
    words = {
        "link": quote(str(place / "run")),
        "mount": quote(str(place / "run.d")),
        "identity": quote(str(identity)),
        "owner": owner,
    }
    mounting = _MOUNTING.format(**words) if mounts else ""
    parts = [_BEGIN.format(**words, mounting=mounting)]
    parts += [_INSTALL.format(**words, name=quote(n), source=quote(str(s))) for n, s in secrets.items()]
    parts.append(_LINK.format(**words))
    parts += [_OWN.format(**words, name=quote(name)) for name in secrets]
    return "".join(parts) + "exit 0\n"


# `agenix -r`: for every file of the rules, edit with EDITOR=:
_REKEY = """\
set -Eeuo pipefail
cleanup() {
  if [ -n "${clear_folder+x}" ]; then rm -rf -- "$clear_folder"; fi
  if [ -n "${sealed_folder+x}" ]; then rm -rf -- "$sealed_folder"; fi
}
trap cleanup 0 2 3 15
keys_of() {
  (nix-instantiate --json --eval --strict -E "(let rules = import ./secrets.nix; in rules.\\"$1\\".publicKeys)" | jq -r '.[]') || exit 1
}
armor_of() {
  (nix-instantiate --json --eval --strict -E \\
    "(let rules = import ./secrets.nix; in (builtins.hasAttr \\"armor\\" rules.\\"$1\\" && rules.\\"$1\\".armor))") || exit 1
}
edit() {
  keys=$(keys_of "$1") || exit 1
  armor=$(armor_of "$1") || exit 1
  clear_folder=$(mktemp -d)
  clear="$clear_folder/$(basename -- "$1")"
  age --decrypt --identity "$IDENTITY" -o "$clear" -- "$1" || exit 1
  [ ! -f "$clear" ] || cp -- "$clear" "$clear.before"
  encrypt=()
  if [[ $armor == true ]]; then encrypt+=(--armor); fi
  while IFS= read -r key; do
    if [ -n "$key" ]; then encrypt+=(--recipient "$key"); fi
  done <<< "$keys"
  sealed_folder=$(mktemp -d)
  sealed="$sealed_folder/$(basename -- "$1")"
  encrypt+=(-o "$sealed")
  age "${encrypt[@]}" <"$clear" || exit 1
  mkdir -p -- "$(dirname -- "$1")"
  mv -f -- "$sealed" "$1"
}
files=$( (nix-instantiate --json --eval -E '(let rules = import ./secrets.nix; in builtins.attrNames rules)' | jq -r '.[]') || exit 1)
for file in $files; do
  echo "rekeying $file" >&2
  edit "$file"
  cleanup
done
"""


def rekey() -> str:
    """Give the script that encrypts every file of ``./secrets.nix`` anew; $IDENTITY opens them."""
    return _REKEY


def rules(paths: Sequence[str], recipients: Sequence[str]) -> str:
    """Give a ``secrets.nix`` in which all files have the same readers."""
    keys = " ".join(f'"{recipient}"' for recipient in recipients)
    files = "\n".join(f'  "{path}".publicKeys = readers;' for path in paths)
    return f"let readers = [ {keys} ]; in\n{{\n{files}\n}}\n"


__all__ = ["COMMIT", "activation", "rekey", "rules"]
