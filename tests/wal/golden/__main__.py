"""Write the golden logs of this edition: into the folder that is named, or where they are kept."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.vectors.files import text_of
from tests.wal.golden.story import EDITION, golden_logs


def main(folder: Path) -> int:
    contents: dict[str, bytes] = {}
    for name, golden in golden_logs().items():
        contents[f"{name}-{EDITION}.wal"] = golden.content
        contents[f"{name}-{EDITION}.json"] = text_of(golden.facts).encode()
    kept = [name for name in contents if (folder / name).exists()]
    if kept:
        print(f"{', '.join(kept)} would be written again: raise EDITION in story.py")
        return 1
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        print(f"wrote {name}")
    return 0


sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
