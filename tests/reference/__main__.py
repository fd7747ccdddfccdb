"""Write docs/api.md anew; see the package."""

from __future__ import annotations

from .document import DOCUMENT, completed, rewritten

old = DOCUMENT.read_text()
new = rewritten(completed(old))
if new != old:
    DOCUMENT.write_text(new)
    print(f"rewrote {DOCUMENT.name}")
