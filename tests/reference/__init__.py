"""docs/api.md: what it says of each public name is made from the code.

`python -m tests.reference` writes it anew. A name that has no block yet gets one at the end, to be
moved to where it belongs.

source.py       what only the source knows: docstrings of fields, annotations as they stand there
docstrings.py   a docstring's words, arguments, results and errors
described.py    the text for each kind of name
names.py        what is public: what a module lists, and what public calls give and take
document.py     the blocks of the document
"""
