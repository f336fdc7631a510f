"""Text to tree and back, with byte spans. No keys here."""
