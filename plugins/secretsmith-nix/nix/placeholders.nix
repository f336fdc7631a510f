# Tokens that stand for a secret's value in a template. Unlike {{name}} or $name they clash with no other template language,
# and what is between them is a digest, so that any name fits. Builtins only.
let
  inherit (builtins)
    attrNames
    concatMap
    elemAt
    filter
    hashString
    isList
    listToAttrs
    map
    split
    substring
    ;
  filters = [ "raw" "json" "yaml" "toml" "shell" "env" "url" "ini" "systemd" ];
  digest = name: substring 0 16 (hashString "sha256" name);
  token = filter: name: "@secretsmith:${digest name}:${filter}@";
in
{
  inherit filters token;

  # Names of secrets → placeholder.NAME (raw) and placeholder.FILTER.NAME. A secret may be called as a filter is: then
  # placeholder.json is both, a text where a text is wanted.
  tokens =
    names:
    let
      all =
        filter:
        listToAttrs (
          map (name: {
            inherit name;
            value = token filter name;
          }) names
        );
      plain = all "raw";
      byFilter = listToAttrs (
        map (name: {
          inherit name;
          value = all name // (if plain ? ${name} then { __toString = _: plain.${name}; } else { });
        }) filters
      );
    in
    plain // byFilter;

  # Returns which tokens occur in a text: { found = { TOKEN = { secret; filter; }; }; unknown = [ TOKEN ]; }.
  # `known` is attrset digest → name, made once for all templates.
  digests =
    names:
    listToAttrs (
      map (name: {
        name = digest name;
        value = name;
      }) names
    );
  occurring =
    known: text:
    let
      parts = concatMap (
        part:
        if isList part then
          [
            {
              name = "@secretsmith:${elemAt part 0}:${elemAt part 1}@";
              value = {
                secret = known.${elemAt part 0} or null;
                filter = elemAt part 1;
              };
            }
          ]
        else
          [ ]
      ) (split "@secretsmith:([0-9a-f]{16}):([a-z]+)@" text);
      all = listToAttrs parts;
      isKnown = name: all.${name}.secret != null && builtins.elem all.${name}.filter filters;
    in
    {
      found = listToAttrs (
        map (name: {
          inherit name;
          value = all.${name};
        }) (filter isKnown (attrNames all))
      );
      unknown = filter (name: !isKnown name) (attrNames all);
    };
}
