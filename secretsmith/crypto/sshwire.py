"""The binary encoding of SSH keys (RFC 4251 §5), read strictly."""

from __future__ import annotations

from secretsmith.errors import Code, RefusedInput


class WireReader:
    """Reads strings and integers from SSH wire data; each method raises KEY_FORMAT on short or odd input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @staticmethod
    def malformed(why: str) -> RefusedInput:
        """Give the error for malformed key data; ``why`` must not repeat the data."""
        return RefusedInput(
            Code.KEY_FORMAT, f"malformed ssh key: {why}", hints=("copy the whole file or line again",)
        )

    def take(self, size: int) -> bytes:
        """Give the next ``size`` bytes."""
        end = self._position + size
        if end > len(self._data):
            raise self.malformed("cut off")
        part = self._data[self._position : end]
        self._position = end
        return part

    def number(self) -> int:
        """Give a uint32."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Give a string: a uint32 length and that many bytes."""
        return self.take(self.number())

    def mpint(self) -> int:
        """Give a positive multiple-precision integer in its one shortest form."""
        raw = self.string()
        if not raw or raw[0] & 0x80 or (raw[0] == 0 and (len(raw) == 1 or not raw[1] & 0x80)):
            raise self.malformed("an integer that is not positive or not in its shortest form")
        return int.from_bytes(raw, "big")

    def rest(self) -> bytes:
        """Give everything that is left."""
        return self.take(len(self._data) - self._position)

    def finish(self) -> None:
        """Refuse trailing bytes: they would give one key many fingerprints."""
        if self._position != len(self._data):
            raise self.malformed("bytes after its end")


def wire_string(data: bytes) -> bytes:
    """Encode a string: its uint32 length and its bytes."""
    return len(data).to_bytes(4, "big") + data


__all__ = ["WireReader", "wire_string"]
