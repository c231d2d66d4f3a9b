"""The attribution policy: a TOML text, parsed and checked. Every number is a decimal, never a float."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, cast

from finops.core import focus
from finops.core.datasets import KEYS
from finops.core.errors import FinopsError

IdlePolicy = Literal["owner", "spread", "platform"]
DRIVERS = ("direct_cost", "usage_cost", "requests", "tokens", "gpu_seconds", "even", "fixed")
TOKEN_WEIGHTS = {
    "input": Decimal(1),
    "cached_input": Decimal("0.1"),
    "output": Decimal(4),
    "weight_read": Decimal(185),
    "context": Decimal("1.5"),
}
LONGEST_SHOWN = 40  # digits or letters of a value in a message
# Where a text is no TOML (a ValueError), or has integers, decimals or a depth that cannot be read.
TOO_MUCH = (ValueError, InvalidOperation, RecursionError)
DISPOSITIONS = ("direct", "model", "api", "pool", "exclude")


class Where(str):
    """A place in the policy in words, which also knows its path in the document."""

    path: tuple[str | int, ...]

    def __new__(cls, words: str, *path: str | int) -> "Where":
        place = super().__new__(cls, words)
        place.path = path
        return place


class PolicyError(FinopsError):
    """The policy's text says something that the rules do not know; `line` is where, from 1, where that is known."""

    def __init__(self, message: str, where: str = "", *entry: str | int, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.path = (*getattr(where, "path", ()), *entry)
        self.line = line


@dataclass(frozen=True)
class Rule:
    """Which charges (all conditions must match, each with any of its patterns) go where."""

    name: str
    when: dict[str, tuple[str, ...]]
    disposition: str
    target: str = ""  # of model, api and pool: its name


@dataclass(frozen=True)
class Pool:
    """A cost pool, what it is spread by, and over which cells."""

    name: str
    driver: str
    scope: dict[str, tuple[str, ...]] = field(default_factory=dict)
    over: str = ""  # even, fixed: the column
    shares: dict[str, Decimal] = field(default_factory=dict)  # fixed


@dataclass(frozen=True)
class Price:
    """USD per 1M tokens, as the list writes it."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


@dataclass(frozen=True)
class Policy:
    """One version of the policy; the default is what holds where none was applied."""

    idle: IdlePolicy = "owner"
    tokens: dict[str, Decimal] = field(default_factory=lambda: dict(TOKEN_WEIGHTS))
    model_tokens: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    prices: dict[tuple[str, str], Price] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    pools: tuple[Pool, ...] = ()


def parse(text: str) -> Policy:
    """Read a policy. Raises PolicyError that names the table and what was expected there."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)|\(at end of document\)", str(error))
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        raise PolicyError(f"the policy is not TOML: {error}", line=line) from error
    except TOO_MUCH as error:
        lines = text.splitlines()
        line = bisect_left(range(1, len(lines)), True, key=lambda count: _is_too_much(lines[:count])) + 1
        said = (
            "lists or tables in each other, too deep to be read"
            if isinstance(error, RecursionError)
            else "a number too long to be read: it must be below 10^12 and have at most 12 decimal places"
        )
        raise PolicyError(said, line=line) from error
    try:
        return _policy(document)
    except PolicyError as error:
        raise PolicyError(error.message, line=_line_of(text, error.path)) from error


def _is_too_much(lines: Sequence[str]) -> bool:
    """Whether the beginning of a policy has what TOO_MUCH is raised for."""
    try:
        tomllib.loads("\n".join(lines), parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return False
    except TOO_MUCH:
        return True
    return False


def _line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line on which an entry of the document begins: after the shortest beginning that does not hold it yet."""
    lines = text.splitlines()
    complete = 0  # lines that are a document by themselves
    for count in range(1, len(lines) + 1):
        try:
            found = tomllib.loads("\n".join(lines[:count]), parse_float=Decimal)
        except TOO_MUCH:
            continue
        if path and _holds(found, path):
            begins = next(
                (
                    n
                    for n in range(complete, count)
                    if lines[n].strip(" \t,") and not lines[n].lstrip().startswith("#")
                ),
                complete,
            )
            return begins + 1
        complete = count
    return _line_of(text, path[:-1]) if path else None


def _holds(document: object, path: tuple[str | int, ...]) -> bool:
    for step in path:
        entries = dict(enumerate(document)) if isinstance(document, list) else document
        if not isinstance(entries, dict) or step not in entries:
            return False
        document = entries[step]
    return True


def _policy(document: Mapping[str, object]) -> Policy:
    _known(document, Where("the policy"), {"idle", "tokens", "prices", "rules", "pools"})
    tokens, model_tokens = _tokens(_table(document, "tokens", "the policy"))
    pools = tuple(_pool(pool, number) for number, pool in enumerate(_tables(document, "pools"), 1))
    _unique([pool.name for pool in pools], "pools")
    rules = tuple(
        _rule(rule, number, {pool.name for pool in pools})
        for number, rule in enumerate(_tables(document, "rules"), 1)
    )
    _unique([rule.name for rule in rules], "rules")
    return Policy(
        idle=_idle(_table(document, "idle", "the policy")),
        tokens=tokens,
        model_tokens=model_tokens,
        prices=_prices(_table(document, "prices", "the policy")),
        rules=rules,
        pools=pools,
    )


def _known(table: Mapping[str, object], where: str, names: set[str]) -> None:
    for name in table:
        if name not in names:
            raise PolicyError(
                f"{where}: unknown entry {name!r}; expected {', '.join(sorted(names))}", where, name
            )


def _table(parent: Mapping[str, object], name: str, where: str) -> dict[str, object]:
    found = parent.get(name, {})
    if not isinstance(found, dict):
        raise PolicyError(f"{where}: [{name}] must be a table", where, name)
    return cast(dict[str, object], found)


def _tables(parent: Mapping[str, object], name: str) -> list[dict[str, object]]:
    found = parent.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PolicyError(f"the policy: write [[{name}]], one table each", Where("", name))
    return cast(list[dict[str, object]], found)


def _text(table: Mapping[str, object], name: str, where: str) -> str:
    found = table.get(name)
    if not isinstance(found, str) or not found:
        raise PolicyError(f"{where}: {name} must be a text", where, name)
    return found


def _number(value: object, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PolicyError(f"{where}: {_shown(value)} is not a number", where)
    number = Decimal(value)
    if not number.is_finite() or number < 0:
        raise PolicyError(f"{where}: {_shown(value)} must be a finite number of at least 0", where)
    if number >= 10**12 or number != number.quantize(Decimal("1e-12")):
        raise PolicyError(
            f"{where}: {_shown(value)} must be below 10^12 and have at most 12 decimal places", where
        )
    return number.copy_abs()  # TOML has a zero below zero


def _shown(value: object) -> str:
    """A value in a message, however long or deep it is."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        return str(number) if len(number.as_tuple().digits) <= LONGEST_SHOWN else f"{number:.3e}"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _unique(names: list[str], where: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise PolicyError(
                f"[[{where}]]: the name {name!r} is used twice", Where("", where, number, "name")
            )


def _idle(table: dict[str, object]) -> IdlePolicy:
    _known(table, Where("[idle]", "idle"), {"policy"})
    found = table.get("policy", "owner")
    if found not in ("owner", "spread", "platform"):
        raise PolicyError(
            f"[idle]: policy is {_shown(found)}; expected owner, spread or platform",
            Where("", "idle", "policy"),
        )
    return found


def _tokens(table: dict[str, object]) -> tuple[dict[str, Decimal], dict[str, dict[str, Decimal]]]:
    _known(table, Where("[tokens]", "tokens"), {*TOKEN_WEIGHTS, "models"})
    general = {
        name: _number(table[name], Where(f"[tokens] {name}", "tokens", name)) if name in table else default
        for name, default in TOKEN_WEIGHTS.items()
    }
    models: dict[str, dict[str, Decimal]] = {}
    for model in _table(table, "models", "[tokens]"):
        models_of = Where("[tokens.models]", "tokens", "models")
        own = _table(_table(table, "models", "[tokens]"), model, models_of)
        where = Where(f"[tokens.models.{model!r}]", "tokens", "models", model)
        _known(own, where, set(TOKEN_WEIGHTS))
        models[model] = general | {
            name: _number(value, Where(f"{where} {name}", *where.path, name)) for name, value in own.items()
        }
    return general, models


def _prices(table: dict[str, object]) -> dict[tuple[str, str], Price]:
    prices = {}
    for name in table:
        own = _table(table, name, Where("[prices]", "prices"))
        where = Where(f"[prices.{name!r}]", "prices", name)
        provider, slash, model = name.partition("/")
        if not (slash and provider and model):
            raise PolicyError(f'{where}: write [prices."PROVIDER/MODEL"]', where)
        _known(own, where, {"input", "cached_input", "output"})
        for needed in ("input", "output"):
            if needed not in own:
                raise PolicyError(f"{where}: {needed} is missing", where)
        fresh = _number(own["input"], Where(f"{where} input", *where.path, "input"))
        prices[provider, model] = Price(
            input=fresh,
            cached_input=_number(
                own["cached_input"], Where(f"{where} cached_input", *where.path, "cached_input")
            )
            if "cached_input" in own
            else fresh,
            output=_number(own["output"], Where(f"{where} output", *where.path, "output")),
        )
    return prices


def _patterns(value: object, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) for one in values):
        raise PolicyError(f"{where}: expected a text or a list of texts", where)
    return tuple(values)


def _rule(table: dict[str, object], number: int, pools: set[str]) -> Rule:
    where = Where(f"[[rules]] number {number}", "rules", number - 1)
    _known(table, where, {"name", "when", "then"})
    name = _text(table, "name", where)
    where = Where(f"[[rules]] {name!r}", "rules", number - 1)
    when = {
        column: _patterns(value, Where(f"{where}: when {column}", *where.path, "when", column))
        for column, value in _table(table, "when", where).items()
    }
    for column in when:
        if not (column in focus.SNAKE or column.startswith(("x_", "Tags."))):
            raise PolicyError(
                f"{where}: when {column!r} is neither a FOCUS column nor x_… nor Tags.…",
                where,
                "when",
                column,
            )
    then = _table(table, "then", where)
    if len(then) != 1 or next(iter(then)) not in DISPOSITIONS:
        raise PolicyError(f"{where}: then needs exactly one of {', '.join(DISPOSITIONS)}", where, "then")
    disposition, target = next(iter(then.items()))
    if disposition in ("direct", "exclude"):
        if target is not True:
            raise PolicyError(f"{where}: write then = {{ {disposition} = true }}", where, "then")
        return Rule(name, when, disposition)
    target = _text(then, disposition, Where(f"{where}: then", *where.path, "then"))
    if disposition == "pool" and target not in pools:
        raise PolicyError(f"{where}: no pool is named {target!r}; define it under [[pools]]", where, "then")
    return Rule(name, when, disposition, target)


def _pool(table: dict[str, object], number: int) -> Pool:
    where = Where(f"[[pools]] number {number}", "pools", number - 1)
    _known(table, where, {"name", "driver", "scope", "over", "shares"})
    name = _text(table, "name", where)
    where = Where(f"[[pools]] {name!r}", "pools", number - 1)
    driver = table.get("driver", "direct_cost")
    if driver not in DRIVERS:
        raise PolicyError(
            f"{where}: driver is {_shown(driver)}; expected one of {', '.join(DRIVERS)}", where, "driver"
        )
    scope = {
        column: _patterns(value, Where(f"{where}: scope {column}", *where.path, "scope", column))
        for column, value in _table(table, "scope", where).items()
    }
    for column in scope:
        if column not in KEYS:
            raise PolicyError(
                f"{where}: scope {column!r} is not a key; expected one of {', '.join(KEYS)}",
                where,
                "scope",
                column,
            )
    wants = {"even": {"over"}, "fixed": {"over", "shares"}}.get(driver, set())
    if driver == "fixed" and scope:
        raise PolicyError(f"{where}: scope has no use for the driver fixed", where, "scope")
    for entry in ("over", "shares"):
        if entry in table and entry not in wants:
            raise PolicyError(f"{where}: {entry} has no use for the driver {driver}", where, entry)
        if entry in wants and entry not in table:
            raise PolicyError(f"{where}: the driver {driver} needs {entry}", where)
    over = _text(table, "over", where) if "over" in table else ""
    if over and over not in KEYS:
        raise PolicyError(
            f"{where}: over {over!r} is not a key; expected one of {', '.join(KEYS)}", where, "over"
        )
    shares = {
        value: _number(share, Where(f"{where}: shares {value}", *where.path, "shares", value))
        for value, share in _table(table, "shares", where).items()
    }
    if driver == "fixed" and sum(shares.values()) <= 0:
        raise PolicyError(f"{where}: the shares sum to nothing", where, "shares")
    return Pool(name, driver, scope, over, shares)


def matcher(column: str, patterns: tuple[str, ...]) -> str:
    """SQL over a charge row that is true where the column or tag matches any of the patterns."""
    return matches(f"coalesce({_subject(column)}, '')", patterns)


def matches(subject: str, patterns: tuple[str, ...]) -> str:
    """SQL that is true where the text `subject` matches any of the patterns; `*` stands for any text, none too."""
    tests = [
        f"{subject} = {quoted(pattern)}"
        if "*" not in pattern
        else f"{subject} like {quoted(_like(pattern))} escape '\\'"
        for pattern in patterns
    ]
    return f"({' or '.join(tests)})"


def _subject(column: str) -> str:
    if column.startswith("Tags."):
        return f"json_extract_string(tags, {quoted(_pointer(column.removeprefix('Tags.')))})"
    if column.startswith("x_"):
        return f"json_extract_string(extra, {quoted(_pointer(column))})"
    name = focus.SNAKE[column]
    if column in focus.TIMES:
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ')"
    return f"cast({name} as varchar)"


def _pointer(key: str) -> str:
    """RFC 6901, so that dots, quotes and blanks in a tag's key mean themselves."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _like(pattern: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", pattern).replace("*", "%")


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
