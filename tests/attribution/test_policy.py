"""What a policy may say, and what is said of one that may not."""

from decimal import Decimal

import duckdb
import pytest

from attribution.policy import Policy, PolicyError, matches, parse

RULE = '[[rules]]\nname = "r"\nwhen = {{ {when} }}\nthen = {{ {then} }}\n'
POOL = '[[pools]]\nname = "p"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("idle = ", "the policy is not TOML"),
        ("[idel]\npolicy = 'owner'", "unknown entry 'idel'; expected idle, pools, prices, rules, tokens"),
        ("idle = 'owner'", "[idle] must be a table"),
        ("[idle]\npolicy = 'nobody'", "policy is 'nobody'; expected owner, spread or platform"),
        ("[idle]\nrule = 1", "[idle]: unknown entry 'rule'"),
        ("[tokens]\ninputs = 1", "[tokens]: unknown entry 'inputs'"),
        ("[tokens]\ninput = 'one'", "[tokens] input: 'one' is not a number"),
        ("[tokens]\ninput = true", "[tokens] input: True is not a number"),
        ("[tokens]\ninput = -1", "must be a finite number of at least 0"),
        ("[tokens]\ninput = nan", "must be a finite number of at least 0"),
        ("[tokens]\ninput = inf", "must be a finite number of at least 0"),
        ("[tokens]\ninput = 1e13", "must be below 10^12"),
        ("[tokens]\ninput = 0.0000000000001", "at most 12 decimal places"),
        ("[tokens.models.chat]\nprice = 1", "[tokens.models.'chat']: unknown entry 'price'"),
        ("[tokens.models]\nchat = 1", "[chat] must be a table"),
        ('[prices."gpt-4o"]\ninput = 1\noutput = 1', 'write [prices."PROVIDER/MODEL"]'),
        ('[prices."a/b"]\ninput = 1', "[prices.'a/b']: output is missing"),
        ('[prices."a/b"]\ninput = 1\noutput = 1\nper = "1K"', "unknown entry 'per'"),
        ("[rules]\nname = 'r'", "write [[rules]], one table each"),
        ("[[rules]]\nwhen = {}", "[[rules]] number 1: name must be a text"),
        (RULE.format(when="", then="exclude = true") * 2, "[[rules]]: the name 'r' is used twice"),
        (
            RULE.format(when='Service = "x"', then="exclude = true"),
            "when 'Service' is neither a FOCUS column",
        ),
        (
            RULE.format(when="ServiceName = 1", then="exclude = true"),
            "when ServiceName: expected a text or a list",
        ),
        (
            RULE.format(when="ServiceName = []", then="exclude = true"),
            "when ServiceName: expected a text or a list",
        ),
        (RULE.format(when="", then=""), "then needs exactly one of direct, model, api, pool, exclude"),
        (RULE.format(when="", then='model = "m", direct = true'), "then needs exactly one of"),
        (RULE.format(when="", then="drop = true"), "then needs exactly one of"),
        (RULE.format(when="", then="direct = false"), "write then = { direct = true }"),
        (RULE.format(when="", then="model = true"), "then: model must be a text"),
        (RULE.format(when="", then='pool = "tax"'), "no pool is named 'tax'; define it under [[pools]]"),
        (POOL * 2, "[[pools]]: the name 'p' is used twice"),
        (POOL + "driver = 'luck'", "driver is 'luck'; expected one of direct_cost, usage_cost"),
        (POOL + "scope = { colour = 'red' }", "scope 'colour' is not a key"),
        (POOL + "over = 'team'", "over has no use for the driver direct_cost"),
        (POOL + "shares = { a = 1 }", "shares has no use for the driver direct_cost"),
        (POOL + "driver = 'even'", "the driver even needs over"),
        (POOL + "driver = 'even'\nover = 'colour'", "over 'colour' is not a key"),
        (
            POOL + "driver = 'even'\nover = 'team'\nshares = { a = 1 }",
            "shares has no use for the driver even",
        ),
        (POOL + "driver = 'fixed'\nover = 'team'", "the driver fixed needs shares"),
        (POOL + "driver = 'fixed'\nshares = { a = 1 }", "the driver fixed needs over"),
        (POOL + "driver = 'fixed'\nover = 'team'\nshares = { a = 0 }", "the shares sum to nothing"),
        (
            POOL + "driver = 'fixed'\nover = 'team'\nshares = { a = -1 }",
            "shares a: -1 must be a finite number",
        ),
        (
            POOL + "driver = 'fixed'\nover = 'team'\nshares = { a = 1 }\nscope = { team = 'a' }",
            "scope has no use for the driver fixed",
        ),
        (POOL + "weights = 1", "unknown entry 'weights'"),
    ],
)
def test_a_policy_that_cannot_be_carried_out_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "number",
    [
        "1e12",
        "1e30",
        "1e400",
        "1e-30",
        "1e-400",
        "1e999999999",
        "1e9999999999999999999999",
        "1e-9999999999999999999999",
        "0." + "1" * 9000,
        pytest.param("9" * 4000, id="4,000 digits"),
        pytest.param("9" * 9000, id="9,000 digits"),
        pytest.param("0x" + "f" * 9000, id="9,000 hexadecimal digits"),
    ],
)
def test_a_number_too_large_or_too_fine_is_refused_with_its_line(number):
    for text, line in (
        (f"[idle]\n[tokens]\n\noutput = {number}\ninput = 1\n", 4),
        (POOL + f"driver = 'fixed'\nover = 'team'\nshares = {{a = {number}}}\n", 5),
    ):
        with pytest.raises(PolicyError, match=rf"^line {line}: .*must be below 10\^12") as refused:
            parse(text)
        assert len(str(refused.value)) < 150


@pytest.mark.parametrize("number", ["nan", "-nan", "inf", "-inf", "-1e400", "-" + "9" * 4000])
def test_what_is_no_number_of_at_least_0_is_refused_with_its_line(number):
    with pytest.raises(PolicyError, match=r"^line 2: .*must be a finite number of at least 0") as refused:
        parse(f"[tokens]\noutput = {number}\n")
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "too deep to be read"),
        ("x = " + "{a = " * 5000 + "1" + "}" * 5000, "too deep to be read"),
        ("x = [\n" + "[\n" * 5000, "too deep to be read"),
        ("[tokens.output" + ".a" * 3000 + "]", "a table is not a number"),
        ("[idle.policy" + ".a" * 3000 + "]", "policy is a table; expected owner"),
        ("[idle]\npolicy = 0x" + "f" * 9000, "policy is 1.202e+10837; expected owner"),
        (POOL + "driver = " + "[" * 100 + "]" * 100, "driver is a list; expected one of"),
        ("[tokens]\ninput = '" + "x" * 9000 + "'", "xxx… is not a number"),
    ],
)
def test_a_policy_that_is_too_deep_or_too_long_is_refused_in_few_words(text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=r"^line \d+: ") as refused:
        parse(text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 150


def test_a_zero_below_zero_is_zero():
    assert str(parse("[tokens]\noutput = -0.0").tokens["output"]) == "0.0"


def test_an_empty_policy_is_the_default() -> None:
    assert parse("") == Policy()
    assert Policy().idle == "owner"


def test_a_number_is_read_as_it_is_written_and_never_through_a_double() -> None:
    policy = parse('[tokens]\ninput = 0.1\n[prices."a/b"]\ninput = 0.000000000001\noutput = 2')
    assert policy.tokens["input"] == Decimal("0.1")
    assert policy.prices["a", "b"].input == Decimal("1e-12")


def test_a_price_without_cached_input_charges_it_as_input() -> None:
    assert parse('[prices."a/b"]\ninput = 3\noutput = 15').prices["a", "b"].cached_input == 3


def test_a_model_has_the_general_token_weights_where_it_has_none_of_its_own() -> None:
    policy = parse("[tokens]\ninput = 2\n[tokens.models.chat]\noutput = 6")
    own = policy.model_tokens["chat"]
    assert (own["input"], own["output"], own["weight_read"]) == (2, 6, 185)


@pytest.mark.parametrize(
    ("fact", "pattern", "matched"),
    [
        ("AWS Support", "AWS Support", True),
        ("AWS Support", "aws support", False),
        ("AWS Premium Support", "AWS Premium*", True),
        ("AWS Premium", "AWS Premium*", True),
        ("web-frontend", "*front*", True),
        ("ghost", "gh*t", True),
        ("ghoul", "gh*t", False),
        ("", "", True),
        ("", "*", True),
        ("x", "", False),
        ("100% of_all", "100% of_all*", True),
        ("100x ofxall", "100% of_all*", False),
        (r"a\b", r"a\*", True),
        ("it's", "it's", True),
        ("two\nlines", "two*lines", True),
    ],
)
def test_a_pattern_matches_as_written_and_a_star_stands_for_any_text(
    fact: str, pattern: str, matched: bool
) -> None:
    with duckdb.connect() as con:
        query = f"select {matches('fact', (pattern,))} from (select $fact as fact)"
        assert con.execute(query, {"fact": fact}).fetchall() == [(matched,)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[idle]\npolicy = "owner"\n\n[[pools]]\nname = "p"\n# why\ndriver = "cost"\n', 7),
        (
            '[[pools]]\nname = "p"\n\n[[rules]]\nname = "a"\nwhen = { Colour = "red" }\nthen = { pool = "p" }\n',
            6,
        ),
        ('[[rules]]\nname = "a"\nthen = { pool = "q" }\n', 3),
        ("[tokens]\ninput = 1\noutput = -4\n", 3),
        ('[prices."OpenAI/gpt"]\ninput = 1\n', 1),
        ('[[pools]]\nname = "p"\n[[pools]]\nname = "p"\n', 4),
        ('[[pools]]\nname = "p"\nscope = { team = [\n  "a",\n  3,\n] }\n', 3),
        ("[idle]\npolicy = owner\n", 2),
        ("[idle\n", 1),
        ('[idle]\npolicy = "owner"\ncolour = 1\n', 3),
    ],
)
def test_an_error_names_its_line(text, line):
    with pytest.raises(PolicyError, match=rf"^line {line}: ") as caught:
        parse(text)
    assert caught.value.line == line
