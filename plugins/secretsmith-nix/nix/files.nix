# Where the encrypted file of a secret is: in the repository, and on the host. Builtins only.
let
  inherit (builtins)
    any
    attrValues
    baseNameOf
    elemAt
    getContext
    isPath
    length
    match
    pathExists
    readFile
    split
    storeDir
    stringLength
    substring
    unsafeDiscardStringContext
    ;
  startsWith = prefix: text: substring 0 (stringLength prefix) text == prefix;
  without = prefix: text: substring (stringLength prefix) (stringLength text) text;
  # 32 characters of a digest and a dash
  belowStore = match "${storeDir}/[a-z0-9]{32}-([^/]+)(/(.*))?";
  # What stands before a value that sops has encrypted, or at its metadata (secretsmith/documents/format.py). For split and
  # not for match, whose stack a document of a megabyte exhausts.
  marks = {
    yaml = "ENC\\[AES256_GCM,data:|sops:";
    json = "ENC\\[AES256_GCM,data:|\"sops\":";
    binary = "ENC\\[AES256_GCM,data:|\"sops\":";
    dotenv = "ENC\\[AES256_GCM,data:|sops_";
    ini = "ENC\\[AES256_GCM,data:|\\[sops]";
  };
  suffixes = {
    age = "age";
    yaml = "yaml";
    yml = "yaml";
    json = "json";
    env = "dotenv";
    ini = "ini";
  };
in
{
  inherit startsWith storeDir;

  # The format that a file's suffix says; null if it says none.
  formatOf =
    path:
    let
      found = match ".*\\.([a-z]+)" (baseNameOf path);
    in
    if found == null then null else suffixes.${elemAt found 0} or null;

  # root: the repository, or null; given: a path, or a text. Returns what is known without reading the file.
  locate =
    root: given:
    let
      text = unsafeDiscardStringContext (toString given);
      folder = if root == null then null else unsafeDiscardStringContext (toString root);
      inRoot = folder != null && startsWith "${folder}/" text;
      inStore = belowStore text;
      # Made by a build: a look at it would run the build during the evaluation.
      isBuilt = !(isPath given) && any (item: item ? outputs) (attrValues (getContext (toString given)));
      path = if isPath given then given else /. + text;
      name = baseNameOf text;
      safeName =
        if match "[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]*" name != null && stringLength name <= 160 then name else "secret";
    in
    rec {
      inherit text inRoot isBuilt path;
      # A path that exists where this is evaluated, not on the host alone.
      isHere = isPath given || inRoot || inStore != null;
      exists = isBuilt || pathExists path;
      # The path in the repository. A file outside of it must not pass for the one that has the same path inside: then an input
      # of the flake could name any file of the repository. Its digest is left out, since that changes all the time.
      id =
        if inRoot then
          without "${folder}/" text
        else if inStore == null then
          text
        else if folder != null then
          "${storeDir}/${elemAt inStore 0}${if elemAt inStore 1 == null then "" else elemAt inStore 1}"
        else
          (if elemAt inStore 2 == null then elemAt inStore 0 else elemAt inStore 2);
      # On the host: one store object for each file, so that a host gets no other file of the repository.
      source =
        if isBuilt then
          toString given
        else if isHere then
          builtins.path {
            inherit path;
            name = safeName;
          }
        else
          text;
      # An age file may hold NUL, which readFile does not survive; it is left to the check.
      looksPlain = format: marks ? ${format} && !isBuilt && length (split marks.${format} (readFile path)) == 1;
    };
}
