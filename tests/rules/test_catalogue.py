"""The catalogue: the one that comes with largesse, and what is said of an operator's own."""

import pytest

from rules.catalogue import (
    ANIMATIONS,
    GIFTS_MAX,
    CatalogueError,
    Gift,
    built_in,
    make_catalogue,
    read_catalogue,
)

ROSE = '[[gift]]\nid = "rose"\nname = "Rose"\ncoins = 1\n'


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(text)
    assert str(caught.value) == "; ".join(caught.value.mistakes)
    return caught.value.mistakes


def test_the_built_in_catalogue_has_about_thirty_gifts_that_fit_together() -> None:
    gifts = built_in().gifts
    assert 25 <= len(gifts) <= 35
    assert len({gift.id for gift in gifts}) == len({gift.name for gift in gifts}) == len(gifts)
    assert list(gifts) == sorted(gifts, key=lambda gift: gift.coins)
    assert {gift.animation for gift in gifts} == set(ANIMATIONS)
    assert all(1_000 <= gift.ttl_ms <= 600_000 for gift in gifts)


def test_what_can_be_sent_out_of_the_box_costs_from_1_to_9999_coins() -> None:
    enabled = [gift for gift in built_in().gifts if gift.enabled]
    assert len(enabled) >= 20
    assert (enabled[0].coins, enabled[-1].coins) == (1, 9_999)
    assert all(gift.coins < 100 for gift in enabled if gift.combo)
    assert any(not gift.enabled for gift in built_in().gifts)


def test_defaults_are_those_of_a_modest_gift() -> None:
    [gift] = read_catalogue(ROSE).gifts
    assert gift == Gift(id="rose", name="Rose", coins=1)
    assert (gift.combo, gift.animation, gift.ttl_ms, gift.enabled) == (False, "tray", 5_000, True)
    assert read_catalogue(ROSE).currency == "USD"


def test_every_field_is_read() -> None:
    text = 'currency = "EUR"\n' + ROSE
    text += 'combo = true\nanimation = "full"\nttl_s = 600\nenabled = false\n'
    catalogue = read_catalogue(text)
    rose = Gift(
        id="rose",
        name="Rose",
        coins=1,
        combo=True,
        animation="full",
        ttl_ms=600_000,
        enabled=False,
    )
    assert (catalogue.currency, catalogue.gifts) == ("EUR", (rose,))


def test_the_version_names_the_content() -> None:
    one = make_catalogue([Gift(id="rose", name="Rose", coins=1)])
    assert one.version == make_catalogue([Gift(id="rose", name="Rose", coins=1)]).version
    assert one.version != make_catalogue([Gift(id="rose", name="Rose", coins=2)]).version
    assert one.version != make_catalogue(one.gifts, "EUR").version
    assert one.version == read_catalogue(ROSE).version


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('id = ""', "id"),
        ('id = "Rose"', "id"),
        ('id = "-rose"', "id"),
        ('id = "a b"', "id"),
        (f'id = "{"a" * 41}"', "id"),
        ("id = 5", "id"),
        ('name = ""', "name"),
        (f'name = "{"n" * 41}"', "name"),
        ('name = "two\\nlines"', "name"),
        ('name = "\\u202Eesrever"', "name"),
        ("name = []", "name"),
        ("coins = 0", "coins"),
        ("coins = -1", "coins"),
        ("coins = 1.0", "coins"),
        ("coins = true", "coins"),
        ('coins = "1"', "coins"),
        ("coins = 1_000_001", "coins"),
        ("coins = nan", "coins"),
        ('animation = "fireworks"', "animation"),
        ("animation = []", "animation"),
        ("ttl_s = 0", "ttl_s"),
        ("ttl_s = 601", "ttl_s"),
        ("ttl_s = 1.5", "ttl_s"),
        ("combo = 1", "combo"),
        ('enabled = "yes"', "enabled"),
        ("price = 1", "price"),
    ],
)
def test_a_bad_line_is_one_mistake_that_names_the_field(line: str, word: str) -> None:
    name = line.partition(" ")[0]
    kept = [old for old in ROSE.splitlines() if not old.startswith(f"{name} ")]
    [mistake] = mistakes_of("\n".join([*kept, line]))
    assert f"`{word}`" in mistake and "gift 1" in mistake


def test_all_mistakes_are_told_at_once_each_with_its_place() -> None:
    text = 'currency = "euro"\nshop = 1\n' + ROSE + ROSE
    text += '[[gift]]\nid = "X"\nname = ""\ncoins = 0\nttl_s = 0\ncombo = 3\nsize = 9\n'
    mistakes = mistakes_of(text)
    wanted = ["shop", "currency", "gift 2 (rose)", *["gift 3 (X)"] * 6]
    assert [word for word, said in zip(wanted, mistakes, strict=True) if word not in said] == []


def test_fields_that_must_be_there_are_missed() -> None:
    assert len(mistakes_of("[[gift]]\n")) == 3


@pytest.mark.parametrize("text", ["", "gift = []", "gift = 5", "gift = 'rose'", "[gift]\na = 1"])
def test_a_catalogue_needs_gifts(text: str) -> None:
    assert f"1 to {GIFTS_MAX}" in mistakes_of(text)[-1]


def test_a_gift_that_is_no_table_is_a_mistake() -> None:
    assert "gift 2" in mistakes_of('gift = [{id = "a", name = "A", coins = 1}, 5]')[0]


def test_the_number_of_gifts_is_limited() -> None:
    tables = [f'[[gift]]\nid = "g{n}"\nname = "G"\ncoins = 1\n' for n in range(GIFTS_MAX + 1)]
    assert len(read_catalogue("".join(tables[:-1])).gifts) == GIFTS_MAX
    mistakes_of("".join(tables))


def test_what_is_not_toml_is_a_mistake_too() -> None:
    assert "not TOML" in mistakes_of("gift = = 5")[0]
