# What is wrong with declarations: a list of texts, each with the option and what to do about it. Builtins only.
# What only a look into encrypted files can tell is for the check.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    genList
    groupBy
    isList
    length
    map
    match
    replaceStrings
    split
    stringLength
    substring
    ;
  files = import ./files.nix;

  characters = text: genList (at: substring at 1 text) (stringLength text);
  lower = replaceStrings (characters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (characters "abcdefghijklmnopqrstuvwxyz");
  # Every folder on the way: a/b/c → [ "a" "a/b" ]
  folders =
    path:
    let
      parts = filter (part: !isList part) (split "/" path);
      upTo = count: concatStringsSep "/" (genList (builtins.elemAt parts) count);
    in
    filter (folder: folder != "") (genList (at: upTo (at + 1)) (length parts - 1));
  isBelow = path: folder: path == folder || files.startsWith "${folder}/" path;

  unit = match "[A-Za-z0-9:_.\\\\@][A-Za-z0-9:_.\\\\@-]*\\.(service|socket|timer|path|mount|target)";
  credential = match "[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]*\\.(service|socket|mount):[A-Za-z0-9_][A-Za-z0-9_.@+-]*";
  unitOf =
    text:
    let
      found = match "(.*):[^:]*" text;
    in
    if found == null then "" else builtins.head found;
  ownUnits = map (name: "secretsmith-${name}.service") [ "activate" "mount" "users" ];
  account = match "0|[1-9][0-9]*|[A-Za-z_][A-Za-z0-9_.-]*\\$?";
  isNumber = text: match "[0-9]+" text != null;
  isName =
    name:
    match "[A-Za-z0-9._@%+-]+(/[A-Za-z0-9._@%+-]+)*" name != null
    && filter (part: part == "." || part == "..") (split "/" name) == [ ]
    && length (split "/" name) <= 15
    && stringLength name <= 255;
  isAbsolute =
    path:
    match "(\\$XDG_RUNTIME_DIR|\\$HOME)?(/[^/[:cntrl:]]+)+" path != null
    && filter (part: part == "." || part == "..") (split "/" path) == [ ];
  unsafe = [ files.storeDir "/proc" "/sys" "/dev" ];

  say = condition: text: if condition then [ text ] else [ ];
in
# given: host, scope, places, identities, identityTypes; entries: secrets and templates as completed by manifest.nix.
{
  host,
  scope,
  directory,
  places,
  identities,
  identityTypes,
  identityOption,
  credentialKey,
  root,
  checkFiles,
  secrets,
  templates,
}:
let
  entries = secrets ++ templates;
  at = entry: field: "${if entry.origin == null then "" else "${entry.origin}: "}${entry.option}.${entry.called.${field} or field}";

  ofHost =
    say (match "[A-Za-z0-9_][A-Za-z0-9._-]*" host == null || stringLength host > 63) (
      "secretsmith.host: \"${host}\" is no name of a host: 1 to 63 letters, digits, '.', '_' or '-'; "
      + "set it to the host's name in secretsmith.toml"
    )
    ++ say (!isAbsolute directory)
      "secretsmith.directory: \"${directory}\" is no absolute path without . and .., such as \"${
        if scope == "user" then "$XDG_RUNTIME_DIR" else "/run"
      }/secrets\""
    ++ say (entries != [ ] && identities == [ ]) (
      "secretsmith.identityPaths is empty, so nothing can be decrypted: ${
        if scope == "user" then
          "give a private key of this user, such as \"$HOME/.ssh/id_ed25519\""
        else
          "enable services.openssh with an ed25519 host key, or give the path of one, "
          + "such as [ \"/etc/ssh/ssh_host_ed25519_key\" ]"
      }"
    )
    ++ say (credentialKey != null && !elem credentialKey [ "host" "tpm2" "host+tpm2" ])
      "secretsmith.credentialKey: \"${credentialKey}\" is none of host, tpm2 and host+tpm2"
    ++ say (credentialKey != null && scope == "user")
      "secretsmith.credentialKey: the keys of systemd-creds are the machine's, and no user's: leave it out"
    ++ concatMap identity identities;

  identity =
    path:
    let
      name = match ".*/(ssh_host_|id_)(rsa|ecdsa|dsa)(_key)?" path;
      kind = identityTypes.${path} or (if name == null then "ed25519" else builtins.elemAt name 1);
    in
    if isBelow path files.storeDir then
      [
        "${identityOption}: ${path} is in the Nix store, where everybody can read it: give the path on the host as a text, in quotes"
      ]
    else if kind != "ed25519" then
      [
        "${identityOption}: ${path} is ${if kind == "rsa" then "an RSA" else "a ${kind}"} key, and only ed25519 keys of a host open secrets: give the ed25519 key, \"/etc/ssh/ssh_host_ed25519_key\" as a rule"
      ]
    else
      say (!isAbsolute path) "${identityOption}: \"${path}\" is no absolute path without . and ..";

  ofEntry =
    entry:
    say (!isName entry.name)
      "${at entry "name"}: \"${entry.name}\" is no name of a file: letters, digits and ._@%+- in at most 8 parts, without . and .."
    ++ say (match "0?[0-7][0-7][0145]" entry.mode == null)
      "${at entry "mode"}: \"${entry.mode}\" is none: three octal digits such as \"0440\", not writable by others"
    ++ concatMap (
      field:
      say (account entry.${field} == null)
        "${at entry field}: \"${entry.${field}}\" is no name of an account, and no number as a text"
      ++ say (entry.phase == "users" && entry.${field} != "root" && !isNumber entry.${field}) (
        "${at entry field}: ${entry.${field}} does not exist yet when secrets of phase users are installed: "
        + "leave it out, or give a number (${if field == "owner" then "uid" else "gid"})"
      )
      ++ say (scope == "user" && entry.${field} != "root")
        "${at entry field}: a user's secrets all belong to that user: leave it out"
    ) [ "owner" "group" ]
    ++ say (entry.uid != null && entry.givenOwner != "root")
      "${at entry "uid"}: owner is \"${entry.givenOwner}\": give one of the two"
    ++ say (entry.gid != null && entry.givenGroup != "root")
      "${at entry "gid"}: group is \"${entry.givenGroup}\": give one of the two"
    ++ say (scope == "user" && entry.phase != "services") "${at entry "phase"}: a user's secrets have no phases"
    ++ say (entry.phase == "initrd" && !entry.plaintextOnDisk)
      "${at entry "plaintextOnDisk"}: what goes into an initial RAM disk lies on a disk in the clear: set it to true to accept that"
    ++ concatMap (
      field:
      concatMap (
        name:
        say (unit name == null)
          "${at entry field}: \"${name}\" is no whole name of a unit: write \"${name}.service\" if it is a service"
      ) entry.${field}
    ) [ "restartUnits" "reloadUnits" ]
    ++ concatMap (
      text:
      say (credential text == null)
        "${at entry "credentials"}: \"${text}\" is none: a service, socket or mount and the name of the credential, such as \"web.service:${baseNameOf entry.name}\""
      ++ say (elem (unitOf text) ownUnits)
        "${at entry "credentials"}: ${unitOf text} makes them, so it cannot wait for one"
    ) entry.credentials
    ++ (
      if entry.customPath == null then
        [ ]
      else
        say (!isAbsolute entry.customPath) "${at entry "path"}: \"${entry.customPath}\" is no absolute path without . and .."
        ++ concatMap (
          folder: say (isBelow entry.customPath folder) "${at entry "path"}: nothing can be put below ${folder}"
        ) unsafe
        ++ concatMap (
          place:
          say (isBelow entry.customPath place || isBelow place entry.customPath)
            "${at entry "path"}: ${entry.customPath} is in the way of ${place}, which activation keeps: leave path out, or choose another folder"
        ) places
    );

  ofSecret =
    secret:
    let
      file = secret.located;
    in
    (
      if secret.live then
        say (secret.source == null)
          "${at secret "live"}: a live value has a source that deploy fetches it from, such as \"pass:web/db\""
        ++ say (secret.file != null) "${at secret "file"}: a live value is in no file of the repository: leave it out"
        ++ say (secret.format != "age") "${at secret "format"}: a live value has format age: leave it out"
        ++ say (scope == "user") "${at secret "live"}: deploy brings secrets to whole machines, and to no user's session"
      else if secret.file == null then
        [ "${at secret "file"} is missing: name the encrypted file, as a path: ./secrets/${secret.name}.age" ]
      else if !file.isHere then
        say checkFiles
          "${at secret "file"}: ${file.text} is not in this repository: write the path without quotes, so that the file comes along"
      else if !file.exists then
        [
          (
            "${at secret "file"}: there is no ${file.id}: make it with `secretsmith ${
              if secret.source == null then "set ${file.id}" else "sync --build"
            }`, "
            + "and if it is there, `git add` it first: a flake sees only what git knows"
          )
        ]
      else if secret.format == null then
        [
          "${at secret "format"}: the name ${baseNameOf file.text} does not say it: set one of age, yaml, json, dotenv, ini, binary"
        ]
      else
        say (file.looksPlain secret.format)
          "${at secret "file"}: ${file.id} is not encrypted, and the Nix store is readable by everybody: `secretsmith encrypt` it, and change the value"
    )
    ++ say (secret.key != null && elem secret.format [ "age" "binary" ])
      "${at secret "key"}: a file of format ${secret.format} has no keys: leave it out"
    ++ say (secret.output != "value" && elem secret.format [ "age" "binary" ])
      "${at secret "output"}: a file of format ${secret.format} is one value: leave it out"
    ++ say (secret.key != null && match "[^/]+(/[^/]+)*" secret.key == null)
      "${at secret "key"}: \"${secret.key}\" is no path of keys, such as \"mail/smtp\""
    ++ say (secret.maxStale != null && match "[1-9][0-9]*[smhdw]" secret.maxStale == null)
      "${at secret "maxStale"}: \"${secret.maxStale}\" is none: a number and one of s m h d w, such as \"30d\""
    ++ say (secret.source != null && match "[a-z][a-z0-9-]*:.+" secret.source == null)
      "${at secret "source"}: \"${secret.source}\" is no reference, such as \"pass:web/db\"";

  ofTemplate =
    template:
    concatMap (token: [
      "${at template "content"}: ${token} stands for no secret that is declared here: write \${config.secretsmith.placeholder.NAME}"
    ]) template.unknown;

  # Names and paths, all at once: two in one place, and one where another needs a folder.
  clashes =
    what: valueOf: list:
    let
      byValue = groupBy valueOf list;
      double = filter (value: length byValue.${value} > 1) (attrNames byValue);
      under = concatMap (
        entry: map (folder: { inherit entry folder; }) (filter (folder: byValue ? ${folder}) (folders (valueOf entry)))
      ) list;
    in
    map (
      value:
      let
        those = byValue.${value};
      in
      "${at (builtins.elemAt those 1) what}: ${(builtins.elemAt those 0).option} has the same ${what} (${value}): give one of them another"
    ) double
    ++ map (
      { entry, folder }:
      "${at entry what}: ${valueOf entry} needs a folder where ${(builtins.head byValue.${folder}).option} is a file: give one of them another ${what}"
    ) under;
in
ofHost
++ concatMap ofEntry entries
++ concatMap ofSecret secrets
++ concatMap ofTemplate templates
++ clashes "name" (entry: lower entry.name) entries
++ clashes "credentials" (text: text.value) (
  concatMap (
    entry: map (value: { inherit value; inherit (entry) option origin called; }) entry.credentials
  ) entries
)
++ clashes "path" (entry: entry.customPath) (filter (entry: entry.customPath != null) entries)
