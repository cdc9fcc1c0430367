"""What coins cost: the built-in prices, an operator's file, and every mistake in one at once."""

import pytest

from rules.shop import COINS_MAX, PRICE_MAX, Bundle, Shop, ShopError, built_in, read_shop


def test_the_built_in_price_is_the_same_in_every_amount() -> None:
    shop = built_in()
    assert len(shop.bundles) == 8
    for bundle in shop.bundles:
        assert bundle.price_minor == bundle.coins == shop.price_of(bundle.coins)


@pytest.mark.parametrize(
    ("currency", "micros", "coins", "minor"),
    [
        ("USD", 10_000, 1_000, 1_000),
        ("USD", 10_500, 3, 4),  # 3.15 cents: rounded up
        ("USD", 1, 50, 1),  # at least one
        ("JPY", 1_500_000, 50, 75),  # no minor unit: 1.5 yen a coin
        ("JPY", 10_000, 101, 2),
        ("KWD", 3_000, 100, 300),  # three digits
    ],
)
def test_an_exact_amount_is_priced_in_the_minor_unit(
    currency: str, micros: int, coins: int, minor: int
) -> None:
    assert Shop(currency=currency, coin_price_micros=micros).price_of(coins) == minor


def test_a_file_may_leave_out_everything() -> None:
    assert read_shop("") == Shop()


def test_a_bundle_has_its_own_price_or_the_flat_one() -> None:
    text = """
        currency = "EUR"
        coin_price_micros = 20_000
        minimum_coins = 5
        [[bundle]]
        id = "small"
        coins = 10
        [[bundle]]
        id = "big"
        coins = 100
        price_minor = 150
    """
    shop = read_shop(text)
    assert (shop.currency, shop.minimum_coins, shop.maximum_coins) == ("EUR", 5, 100_000)
    assert shop.bundles == (
        Bundle(id="small", coins=10, price_minor=20),
        Bundle(id="big", coins=100, price_minor=150),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("currency = 5", "currency"),
        ('currency = "usd"', "currency"),
        ("coin_price_micros = 0", "coin_price_micros"),
        ("coin_price_micros = true", "coin_price_micros"),
        ("minimum_coins = 1.5", "minimum_coins"),
        (f"maximum_coins = {COINS_MAX + 1}", "maximum_coins"),
        ("minimum_coins = 100_001", "must not be above"),
        ("maximum_coins = 49", "must not be above"),
        ("price = 3", "unknown key `price`"),
        ("bundle = 3", "[[bundle]]"),
        ("[[bundle]]\ncoins = 5", "`id`"),
        ('[[bundle]]\nid = "A"\ncoins = 5', "`id`"),
        ('[[bundle]]\nid = "a"', "`coins`"),
        ('[[bundle]]\nid = "a"\ncoins = 5\nprice_minor = 0', "`price_minor`"),
        (f'[[bundle]]\nid = "a"\ncoins = 5\nprice_minor = {PRICE_MAX + 1}', "`price_minor`"),
        ('[[bundle]]\nid = "a"\ncoins = 5\nbonus = 1', "unknown key `bonus`"),
        ("= 5", "not TOML"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    with pytest.raises(ShopError) as caught:
        read_shop(text)
    assert says in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = """
        currency = "x"
        colour = 1
        [[bundle]]
        id = "a"
        coins = 0
        [[bundle]]
        id = "a"
        coins = 5
    """
    with pytest.raises(ShopError) as caught:
        read_shop(text)
    assert len(caught.value.mistakes) == 4
