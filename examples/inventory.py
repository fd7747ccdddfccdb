"""The stock of a shop with two tills that are not always connected: what to merge, and what to add.

    python examples/inventory.py till-1 --port 4041 --peer till-2@127.0.0.1:4042
    python examples/inventory.py till-2 --port 4042 --peer till-1@127.0.0.1:4041

Type `count tea 40`, `sell tea 2` or `stock`. End one till with Ctrl-D, count and sell at the other
one, then the other way round; when they meet again, both show the same stock.

Two kinds of numbers are in it, and they need two ways:

- What was counted is one statement about one shelf, under one key. When two tills count apart and
  find different numbers, `lowest` decides: promise no tea that may not be there.
- What was sold adds up. Each till keeps a number of its own, under a key that nobody else writes,
  and the stock is what was counted less the sum of them: nothing conflicts, nothing is lost.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from softadastra import Client, ClientOptions, ConflictingValue, SoftadastraError, Value


def lowest(_key: str, writes: Sequence[ConflictingValue]) -> Value:
    """Make one number of those that were counted apart. It has to pass `check_merge`.

    A sum does not: what came by two ways would be counted twice. One number that all tills change
    by turns (`node[key] = node[key] - 1`) loses a sale whenever two sell apart, whatever merges it.
    """
    return min((write.value for write in writes if isinstance(write.value, int)), default=None)


class Till:
    """Counts and sells, with or without the others.

    Args:
        node: this till's.
    """

    def __init__(self, node: Client) -> None:
        self._node = node
        # A new name for each run: a till that was restored from an old copy must not count on
        # from an old number, under a name for which the others know a later one.
        self._run = f"{node.options.node_id}-{secrets.token_hex(3)}"

    def count(self, item: str, number: int) -> None:
        """Note how many are on the shelf, before the first is sold."""
        self._node.put(f"counted/{item}", number)

    def sell(self, item: str, number: int) -> None:
        self._node.modify(f"sold/{item}/{self._run}", lambda sold: number_of(sold) + number)

    def stock(self) -> dict[str, int]:
        """Give what should be on the shelves."""
        return {
            (item := key.removeprefix("counted/")): number_of(counted)
            - sum(number_of(sold) for _, sold in self._node.items(f"sold/{item}/"))
            for key, counted in self._node.items("counted/")
        }


def number_of(value: Value) -> int:
    return value if isinstance(value, int) else 0


def obey(till: Till, words: Sequence[str]) -> str:
    """Do what was typed, and give the answer."""
    match words:
        case ["count", item, number] if item.isalnum() and number.isdecimal():
            till.count(item, int(number))
            return f"{item}: {number} counted"
        case ["sell", item, number] if item.isalnum() and number.isdecimal():
            till.sell(item, int(number))
            return f"{item}: {number} sold"
        case ["stock"]:
            return ", ".join(f"{item}: {left}" for item, left in till.stock().items()) or "nothing"
        case _:
            return "type: count ITEM NUMBER, sell ITEM NUMBER, or stock"


def main(name: str, port: int, peers: Sequence[str], directory: Path) -> None:
    options = ClientOptions.persistent(
        name,
        directory / f"{name}.wal",
        peers=peers,
        conflict_policies={"counted/": lowest},  # the same on all nodes
    )
    with Client(options.with_local_transport(port)) as node:
        node.start_transport()
        till = Till(node)
        print(f"{name} is open; Ctrl-D ends", flush=True)
        for line in sys.stdin:
            print(obey(till, line.split()), flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="One till of a shop.")
    arguments.add_argument("name", help="of this till, unique in the shop")
    arguments.add_argument("--port", type=int, default=0, help="the port for the other tills")
    arguments.add_argument("--peer", action="append", default=[], metavar="ID@HOST:PORT")
    arguments.add_argument("--data", type=Path, default=Path("data"), help="where the log is kept")
    chosen = arguments.parse_args()
    try:
        main(chosen.name, chosen.port, chosen.peer, chosen.data)
    except SoftadastraError as error:  # as of a port or a log that another process has
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        pass
