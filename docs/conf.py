"""How `make docs` builds the pages, offline and without a theme of its own."""

from secretsmith import __version__

project = "secretsmith"
author = "The secretsmith developers"
copyright = "2026, The secretsmith developers"  # noqa: A001
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
master_doc = "index"
html_theme = "alabaster"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
