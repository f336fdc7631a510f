# What a public key line is called: fingerprint, tag of age's ssh stanzas, recipient. Builtins only.
#
# Nix strings hold no NUL, so builtins.hashString cannot hash the decoded bytes of a key. SHA-256 (FIPS 180-4) is therefore
# written out here, over lists of bytes; the blob of an ed25519 key is one block of it.
let
  inherit (builtins)
    bitAnd
    bitOr
    bitXor
    concatLists
    concatStringsSep
    elemAt
    foldl'
    genList
    head
    length
    listToAttrs
    match
    stringLength
    substring
    ;

  characters = text: genList (at: substring at 1 text) (stringLength text);
  # character → its place in an alphabet
  places =
    alphabet:
    listToAttrs (
      genList (at: {
        name = substring at 1 alphabet;
        value = at;
      }) (stringLength alphabet)
    );

  base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  base64Places = places base64;
  # BIP 173
  bech32Places = places "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  # of those characters alone that a bech32 word may have
  asciiPlaces = places "0123456789" // (builtins.mapAttrs (_: at: at + 97) (places "abcdefghijklmnopqrstuvwxyz"));
  ascii = character: if asciiPlaces.${character} < 10 then asciiPlaces.${character} + 48 else asciiPlaces.${character};

  power = genList (at: foldl' (product: _: product * 2) 1 (genList (_: 0) at)) 33;
  rest = divisor: number: number - (number / divisor) * divisor;
  word = number: bitAnd number 4294967295;

  # Regroup digits of so many bits into bytes; bits that make no whole byte are dropped.
  toBytes =
    bits: digits:
    let
      count = length digits * bits / 8;
      byteAt =
        at:
        let
          first = at * 8 / bits;
          last = (at * 8 + 7) / bits;
          joined = foldl' (sum: place: sum * elemAt power bits + elemAt digits place) 0 (
            genList (offset: first + offset) (last - first + 1)
          );
        in
        rest 256 (joined / elemAt power ((last + 1) * bits - (at * 8 + 8)));
    in
    genList byteAt count;

  # bytes → unpadded base64
  encode =
    bytes:
    let
      bits = length bytes * 8;
      count = (bits + 5) / 6;
      byte = at: if at < length bytes then elemAt bytes at else 0;
      digit =
        at:
        let
          first = at * 6 / 8;
          pair = byte first * 256 + byte (first + 1);
        in
        rest 64 (pair / elemAt power (16 - (at * 6 - first * 8) - 6));
    in
    concatStringsSep "" (genList (at: substring (digit at) 1 base64) count);

  # FIPS 180-4 §4.2.2 and §5.3.3
  constants = [
    1116352408 1899447441 3049323471 3921009573 961987163 1508970993 2453635748 2870763221
    3624381080 310598401 607225278 1426881987 1925078388 2162078206 2614888103 3248222580
    3835390401 4022224774 264347078 604807628 770255983 1249150122 1555081692 1996064986
    2554220882 2821834349 2952996808 3210313671 3336571891 3584528711 113926993 338241895
    666307205 773529912 1294757372 1396182291 1695183700 1986661051 2177026350 2456956037
    2730485921 2820302411 3259730800 3345764771 3516065817 3600352804 4094571909 275423344
    430227734 506948616 659060556 883997877 958139571 1322822218 1537002063 1747873779
    1955562222 2024104815 2227730452 2361852424 2428436474 2756734187 3204031479 3329325298
  ];
  start = [
    1779033703 3144134277 1013904242 2773480762 1359893119 2600822924 528734635 1541459225
  ];

  rotate = by: number: bitOr (number / elemAt power by) (word (number * elemAt power (32 - by)));
  mix = one: two: three: number: bitXor (rotate one number) (bitXor (rotate two number) (rotate three number));
  mixShift =
    one: two: shift: number:
    bitXor (rotate one number) (bitXor (rotate two number) (number / elemAt power shift));

  padded =
    bytes:
    let
      count = length bytes;
      zeros = rest 64 (119 - rest 64 count);
      bits = count * 8;
    in
    bytes
    ++ [ 128 ]
    ++ genList (_: 0) (zeros + 4)
    ++ genList (at: rest 256 (bits / elemAt power (24 - at * 8))) 4;

  block =
    state: message: offset:
    let
      schedule = genList (
        at:
        if at < 16 then
          foldl' (sum: byte: sum * 256 + elemAt message (offset + at * 4 + byte)) 0 [ 0 1 2 3 ]
        else
          word (
            elemAt schedule (at - 16)
            + mixShift 7 18 3 (elemAt schedule (at - 15))
            + elemAt schedule (at - 7)
            + mixShift 17 19 10 (elemAt schedule (at - 2))
          )
      ) 64;
      round =
        { a, b, c, d, e, f, g, h }:
        at:
        let
          one = h + mix 6 11 25 e + bitXor (bitAnd e f) (bitAnd (bitXor e 4294967295) g) + elemAt constants at + elemAt schedule at;
          two = mix 2 13 22 a + bitXor (bitAnd a b) (bitXor (bitAnd a c) (bitAnd b c));
          newA = word (one + two);
          newE = word (d + one);
        in
        # Evaluated now: 64 rounds of thunks would be a deep stack.
        builtins.seq newA (
          builtins.seq newE {
            a = newA;
            b = a;
            c = b;
            d = c;
            e = newE;
            f = e;
            g = f;
            h = g;
          }
        );
      end = foldl' round {
        a = elemAt state 0;
        b = elemAt state 1;
        c = elemAt state 2;
        d = elemAt state 3;
        e = elemAt state 4;
        f = elemAt state 5;
        g = elemAt state 6;
        h = elemAt state 7;
      } (genList (at: at) 64);
      values = [ end.a end.b end.c end.d end.e end.f end.g end.h ];
    in
    genList (at: word (elemAt state at + elemAt values at)) 8;

  # bytes → the 32 bytes of their SHA-256
  sha256 =
    bytes:
    let
      message = padded bytes;
      end = foldl' (state: at: block state message (at * 64)) start (
        genList (at: at) (length message / 64)
      );
    in
    concatLists (map (number: genList (at: rest 256 (number / elemAt power (24 - at * 8))) 4) end);

  firsts = count: list: genList (elemAt list) count;

  named =
    digest: kind:
    { fingerprint = "SHA256:" + encode digest; } // kind;

  # The digits of a bech32 word without the six of its checksum.
  bech32Data =
    text: map (character: bech32Places.${character}) (characters (substring 0 (stringLength text - 6) text));

  sshKey = match "[ \t]*(ssh-ed25519|ssh-rsa)[ \t]+([A-Za-z0-9+/]+)=*([ \t].*)?";
  x25519Key = match "[ \t]*(age1([qpzry9x8gf2tvdw0s3jn54khce6mua7l]{58}))([ \t].*)?";
  otherKey = match "[ \t]*(age1[a-z0-9]+)([ \t].*)?";
in
{
  inherit sha256;

  # Returns { fingerprint; ssh_tag or recipient, where the line says it }; null for a line that is no key. Whether the key
  # is a good one is for `secretsmith check` to say. The age1… form of an ssh key is not derived: that takes a field of 255 bits.
  describe =
    line:
    let
      ssh = sshKey line;
      x25519 = x25519Key line;
      other = otherKey line;
      sshDigest = sha256 (toBytes 6 (map (character: base64Places.${character}) (characters (elemAt ssh 1))));
    in
    if ssh != null then
      named sshDigest { ssh_tag = encode (firsts 4 sshDigest); }
    else if x25519 != null then
      named (sha256 (toBytes 5 (bech32Data (elemAt x25519 1)))) { recipient = head x25519; }
    else if other != null then
      # A key of a plugin has no bytes of its own: the word itself counts.
      named (sha256 (map ascii (characters (head other)))) { recipient = head other; }
    else
      null;
}
