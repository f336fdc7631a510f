"""``deploy HOST``: a host's manifest and encrypted files over one ssh connection, installed there by the host itself.

``remote`` is what runs on the host: sent along as text, with nothing but Python's own library. The rest stays here.
"""
