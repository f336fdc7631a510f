"""Every bound and constant of the crypto layer, each with its source.

"spec" is the age file format, https://c2sp.org/age (age-encryption.org/v1).
"""

from __future__ import annotations

from typing import Final

# Sizes of files. A value that we would refuse to read is refused at writing too.
MAX_AGE_FILE: Final = 64 * 1024 * 1024  # binary age file, bytes
MAX_ARMORED_FILE: Final = (
    32 * 1024 * 1024
)  # text, bytes: decoding holds text and binary at once, 256 MiB is the bound

# Header. age itself has no bound; pyrage's parser, which plugins need, is quadratic.
VERSION_PREFIX: Final = b"age-encryption.org/"  # spec, "Header"
VERSION_LINE: Final = b"age-encryption.org/v1"
MAX_HEADER_BYTES: Final = 256 * 1024
MAX_STANZAS: Final = 1024
MAX_ARGUMENT_LINE: Final = 4 * 1024  # the longest known is mlkem768x25519: 1,494 characters of enc
BODY_COLUMNS: Final = 64  # spec, "Recipient stanza": body lines are wrapped at 64 columns
FILE_KEY_BYTES: Final = 16  # spec, "File key"
WRAPPED_KEY_BYTES: Final = 32  # file key + Poly1305 tag
PAYLOAD_NONCE_BYTES: Final = 16  # spec, "Payload"
CHUNK_BYTES: Final = 64 * 1024  # spec, "Payload": STREAM chunks
TAG_BYTES: Final = 16  # Poly1305, RFC 8439
MAX_UNKNOWN_BODY: Final = 8 * 1024  # body of a stanza type that we do not know, bytes
MAX_STANZA_BODY: Final = {  # exact or largest body in bytes
    "X25519": WRAPPED_KEY_BYTES,
    "scrypt": WRAPPED_KEY_BYTES,
    "ssh-ed25519": WRAPPED_KEY_BYTES,
    "mlkem768x25519": WRAPPED_KEY_BYTES,
    "ssh-rsa": 2048,  # as long as the modulus; other programs write up to 16,384 bits
}
X25519_SHARE_BYTES: Final = 32  # RFC 7748 §6.1
HYBRID_ENC_BYTES: Final = 1088 + X25519_SHARE_BYTES  # ML-KEM-768 ciphertext (FIPS 203 table 3) + X25519 share
SCRYPT_SALT_BYTES: Final = 16  # spec, "scrypt recipient stanza"
# age's scrypt.go refuses above 22 on reading (the vector scrypt_work_factor_23). 2^22 needs 4 GiB, so that we derive
# keys only up to 2^20 (1 GiB; `age -p` writes 18).
SCRYPT_HEADER_WORK_FACTOR: Final = 22
SCRYPT_MAX_WORK_FACTOR: Final = 20

# SSH keys
SSH_TAG_BYTES: Final = (
    4  # age, agessh/agessh.go: sshFingerprint, the first 4 bytes of SHA-256 of the key blob
)
RSA_MIN_BITS: Final = 2048  # age, agessh: "RSA key size is too small" below
RSA_MAX_BITS: Final = 4096  # the rsa crate's RsaPublicKey::MAX_SIZE; pyrage cannot encrypt to larger keys
MAX_KEY_LINE: Final = 16 * 1024  # characters of one public key line
MAX_COMMENT: Final = 1024  # characters of its comment
MAX_PRIVATE_KEY_FILE: Final = 64 * 1024  # bytes
MAX_IDENTITY_FILE: Final = 1024 * 1024  # bytes
MAX_IDENTITIES: Final = 1024  # in one identity file
MAX_BCRYPT_ROUNDS: Final = 1024  # ssh-keygen -a; 16 by default, 1,024 take about 6 s

# Plugins
PLUGIN_SECONDS: Final = (
    60.0  # of the plugin's own time: a person's touch counts, our questions to a person do not
)
PLUGIN_QUESTIONS: Final = 16  # messages and questions of one run
PLUGIN_TEXT: Final = 512  # characters of one message that reach a person
PLUGIN_CPU_SECONDS: Final = 2  # computing time of the plugin and of the worker, each; waiting is not counted
PLUGIN_MEMORY: Final = 512 * 1024 * 1024  # data segment of the worker and of the plugin, bytes
