"""The protocol as data: bytes and what they mean, for implementations in any language.

`docs/protocol.md` is the document. `python -m tests.vectors` writes the files here, and the blocks
of the document that are made from the code; a test fails when that would change any of them.
"""
