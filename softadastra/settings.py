"""What a setting may hold, and how settings are read from a file and from variables.

A *kind* says what one setting accepts, so that arguments, TOML and variables are held to one
rule. Errors name what has to be corrected: the file and the key, or the variable. Nothing is
ignored in silence but what `read_environment` lists.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from softadastra.arguments import NAME_BYTES_MAX, is_file_path, is_name, peer_to_dial, plain_number
from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.types import Peer

__all__ = [
    "DEFAULT_FILE",
    "ENVIRONMENT_PREFIX",
    "FILE_PATH",
    "FLAG",
    "PEERS",
    "POLICIES",
    "POLICY",
    "SECONDS",
    "Kind",
    "PathType",
    "nearest_name",
    "one_of",
    "parse_peers",
    "read_environment",
    "read_file",
    "refuse_unknown",
    "text",
    "whole",
]

DEFAULT_FILE = "softadastra.toml"
"""The file that is read from the current directory when none is named."""

ENVIRONMENT_PREFIX = "SOFTADASTRA_"

_INSTALLER_VARIABLES = frozenset(
    (
        "SOFTADASTRA_BIN_DIR",
        "SOFTADASTRA_HOME",
        "SOFTADASTRA_INSTALL_KIND",
        "SOFTADASTRA_REPO",
        "SOFTADASTRA_SDK_DIR",
        "SOFTADASTRA_SDK_REPO",
        "SOFTADASTRA_SDK_VERSION",
        "SOFTADASTRA_VERSION",
    )
)
"""Names that the original's installer reads: they say what to install, not what a node does."""

_KUBERNETES_VARIABLE = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT)\w*=|PORT_\d+_\w+=|PORT=\w+://)")
"""What a cluster puts into every container for a service whose name begins with softadastra, as
NAME=VALUE without our prefix. To refuse these would stop a node because of a name near it."""

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")

_SECONDS_MIN = 0.001
"""The finest that a poller waits is a millisecond."""

_SECONDS_MAX = 365 * 86_400
"""A year: a longer span is a mistake of unit."""

PathType: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What one setting accepts."""

    expected: str
    """The accepted values in words, to follow "must be"."""
    accepts: Callable[[object], bool]
    """Whether a value can be used as it is."""
    read: Callable[[str], object]
    """Reads the text of a variable; ValueError when it has another form."""
    in_variable: str = ""
    """The accepted text of a variable in words, when they are not those of `expected`."""


def whole(minimum: int, maximum: int) -> Kind:
    """Accept whole numbers between two limits, both included; a bool is none."""
    return Kind(
        expected=f"a whole number from {minimum} to {maximum}",
        accepts=lambda value: (
            isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum
        ),
        read=lambda value: int(plain_number(value)),
    )


def text(*, minimum: int = 0) -> Kind:
    """Accept printable text: no control characters, line breaks or lone surrogates."""
    return Kind(
        expected=(
            f"{'non-empty ' if minimum else ''}printable text of at most {NAME_BYTES_MAX}"
            " bytes of UTF-8"
        ),
        accepts=lambda value: is_name(value) or (value == "" and not minimum),
        read=str,
    )


def one_of(*names: str) -> Kind:
    """Accept some names, and None."""
    return Kind(
        expected=f"{', '.join(repr(name) for name in names)} or None",
        accepts=lambda value: value is None or value in names,
        read=str,
    )


def _read_flag(word: str) -> bool:
    word = word.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and _SECONDS_MIN <= value <= _SECONDS_MAX
    )


def _is_peer_list(value: object) -> bool:
    try:
        parse_peers(value)
    except InvalidArgumentError:
        return False
    return True


def _is_policy(value: object) -> bool:
    return bool(value) and (isinstance(value, str) or callable(value))


def _is_policy_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(prefix, str) and _is_text(prefix) and _is_policy(policy)
        for prefix, policy in value.items()
    )


def _is_text(prefix: str) -> bool:
    """Whether a key can begin so, and a greeting can say it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in prefix)


def _read_policies(pairs: str) -> dict[str, str]:
    policies = {}
    for pair in pairs.split(","):
        prefix, equals, policy = pair.rpartition("=")
        if not equals:
            raise ValueError(pair)
        policies[prefix.strip()] = policy.strip()
    return policies


def parse_peers(value: object) -> tuple[Peer, ...]:
    """Read peers from `Peer` objects and "id@host:port" strings, or from one comma list of these.

    Raises:
        InvalidArgumentError: an element is neither, cannot be read, or no node has its name.
    """
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, Iterable):
        raise InvalidArgumentError(
            f"peers must be a sequence of Peer or ID@HOST:PORT, got {value!r}", peers=value
        )
    return tuple(map(peer_to_dial, value))


FLAG = Kind("true or false", lambda value: isinstance(value, bool), _read_flag)
"""A truth value. 0 and 1 are accepted from variables alone, where nothing else can be written."""

SECONDS = Kind(
    f"a number of seconds from {_SECONDS_MIN} to {_SECONDS_MAX}",
    _is_seconds,
    read=lambda value: float(plain_number(value)),
)

FILE_PATH = Kind(
    "the path of a file, as data/node-a.wal",
    lambda value: value is None or is_file_path(value),
    read=str,
)
"""A path, or None for the default. Whether it can be written shows when it is opened."""

PEERS = Kind(
    "a list of peers, each as ID@HOST:PORT",
    _is_peer_list,
    parse_peers,
    in_variable="peers as ID@HOST:PORT, separated by commas",
)

POLICY = Kind("the name of a policy, or a function", _is_policy, str)
"""Whether a policy exists is not asked here. Functions come from programs alone."""

POLICIES = Kind(
    "a table of key prefixes and policy names",
    _is_policy_map,
    _read_policies,
    in_variable="key prefixes and policy names as prefix=policy, separated by commas",
)
"""Whether a policy exists is not asked here."""


def read_file(path: PathType | None, kinds: Mapping[str, Kind]) -> dict[str, object]:
    """Read the settings of a TOML file.

    Args:
        path: the file; None reads `softadastra.toml` of the current directory if it is there.
        kinds: every setting by name.

    Raises:
        InvalidArgumentError: the named file is missing, is not TOML, or has a wrong key or value.
        StorageError: the file cannot be read.
    """
    file = Path(DEFAULT_FILE if path is None else path)
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if path is None:
            return {}
        raise InvalidArgumentError(
            f"there is no settings file {str(file)!r}: correct the path, or leave it out",
            path=str(file),
        ) from None
    except OSError as error:
        raise StorageError(
            f"cannot read the settings file {str(file)!r}: {error.strerror}",
            errno=error.errno or errno.EIO,
            filename=str(file),
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"the settings file {str(file)!r} is not UTF-8 at its byte {error.start + 1}: expected"
            " TOML, which is UTF-8 text",
            path=str(file),
        ) from error
    except RecursionError:
        raise InvalidArgumentError(
            f"the settings file {str(file)!r} is nested too deeply", path=str(file)
        ) from None
    except ValueError as error:
        raise InvalidArgumentError(
            f"the settings file {str(file)!r} is not TOML: {error}", path=str(file)
        ) from error
    refuse_unknown(settings, kinds, place=f"in {str(file)!r}")
    for name, value in settings.items():
        if not kinds[name].accepts(value):
            raise InvalidArgumentError(
                f"{name} in {str(file)!r} must be {kinds[name].expected}, got {value!r}",
                path=str(file),
                name=name,
            )
    return settings


def read_environment(environ: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, object]:
    """Read the settings from `SOFTADASTRA_<FIELD>` variables.

    An unknown name with our prefix is refused: a mistyped variable that was ignored would start a
    node under another name, or with another log. Ignored are the names that the original's
    installer reads, SOFTADASTRA_VERSION among them (so `version` has no variable), those that
    Kubernetes makes for a service called softadastra, and an empty variable.

    Args:
        environ: the variables, as `os.environ`.
        kinds: every setting by name.

    Raises:
        InvalidArgumentError: a variable is unknown, or its value is wrong.
    """
    settings: dict[str, object] = {}
    for variable, value in environ.items():
        suffix = variable.removeprefix(ENVIRONMENT_PREFIX)
        if suffix == variable or variable in _INSTALLER_VARIABLES or not value:
            continue
        name = suffix.lower()
        if name in kinds and suffix == suffix.upper():
            settings[name] = _read_variable(variable, value, kinds[name])
        elif not _KUBERNETES_VARIABLE.match(f"{suffix}={value}"):
            nearest = ENVIRONMENT_PREFIX + nearest_name(name, kinds).upper()
            raise InvalidArgumentError(
                f"unknown variable {variable}: did you mean {nearest}?",
                variable=variable,
                nearest=nearest,
            )
    return settings


def _read_variable(variable: str, value: str, kind: Kind) -> object:
    message = f"{variable} must be {kind.in_variable or kind.expected}, got {value!r}"
    try:
        setting = kind.read(value)
    except ValueError as error:
        raise InvalidArgumentError(message, variable=variable) from error
    if not kind.accepts(setting):
        raise InvalidArgumentError(message, variable=variable)
    return setting


def refuse_unknown(names: Iterable[str], known: Iterable[str], *, place: str) -> None:
    """Raise for the first name that is no setting, with the one that was probably meant.

    Raises:
        InvalidArgumentError: a name is unknown; `place` says where, as "in 'softadastra.toml'".
    """
    known = tuple(known)
    for name in names:
        if name not in known:
            nearest = nearest_name(name, known)
            raise InvalidArgumentError(
                f"unknown setting {name!r} {place}: did you mean {nearest!r}?",
                name=name,
                nearest=nearest,
            )


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like this one, however unlike."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
