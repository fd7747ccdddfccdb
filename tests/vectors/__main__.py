"""Write the vectors, and the blocks of docs/protocol.md that are made from the code."""

from __future__ import annotations

from tests.vectors.files import rewritten

for path, text in rewritten().items():
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        print(f"rewrote {path.name}")
