"""Who may read what. Pure: no file is read or written here."""
