"""The rules of the ledger as tables: one scenario each, in the manner of TigerBeetle's
state_machine_tests.

How they are read is told in kit/tables/ledger_tables.py; money is in test_money_tables.py.
"""

import pytest

from kit.building import builders
from kit.tables.ledger_tables import check_conserved, check_table
from rules.book import new_book
from rules.outcomes import Refused
from rules.settle import settle

TABLES = {
    "a gift moves coins to the sink and diamonds to the creator": """
        policy rate_permille=500
        room r1 cleo
        grant ada 1_000               | ok coins=1000 balance_coins=1000 | ada=1000 cleo~0 r1=0@0
        @77 gift ada cake quantity=4  | ok seq=1 gift=cake quantity=4 coins=100 balance_coins=900 \
                                        total_coins=100 at_ms=77 millidiamonds=50000 \
                                      | ada=900 cleo~50000 r1=100@1 r1/ada=100
        gift ada lion                 | ok seq=2 coins=500 balance_coins=400 total_coins=600 \
                                      | ada=400 cleo~300000 r1=600@2 r1/ada=600
        gift ada rose to=cleo price=1 | ok seq=3 | ada=399 cleo~300500 r1=601@3 r1/ada=601
    """,
    "the last coin can be given and no more": """
        policy
        room r1 cleo
        grant ada 25
        gift ada rose quantity=26 key=k | +insufficient_coins | ada=25 r1=0@0 cleo~0
        gift ada cake                   | ok balance_coins=0  | ada=0 r1=25@1 cleo~12500
        gift ada rose                   | +insufficient_coins | ada=0 r1=25@1
        gift bob rose                   | +insufficient_coins | bob=0 r1=25@1
    """,
    "a refusal of the state answers so for ever, even after a grant": """
        policy
        room r1 cleo
        gift ada cake key=k            | +insufficient_coins
        grant ada 1_000
        gift ada cake key=k            | replay insufficient_coins | ada=1000 r1=0@0
        gift ada rose key=k            | -key_reused               | ada=1000 r1=0@0
        gift ada cake key=k2           | ok seq=1                  | ada=975 r1=25@1
        gift ada cake key=k            | replay insufficient_coins | ada=975 r1=25@1
    """,
    "a refusal of the request does not spend the key": """
        policy
        room r1 cleo
        grant ada 1_000
        gift ada cake key=k price=24   | -price_changed            | ada=1000 r1=0@0
        gift ada cake key=k quantity=0 | -bad_quantity             | ada=1000 r1=0@0
        gift ada cake key=k to=bob     | -bad_recipient
        gift ada pony key=k            | -unknown_gift
        gift ada cake key=k room=r9    | -unknown_room
        gift ada cake key=k price=25   | ok seq=1                  | ada=975 r1=25@1
        gift ada cake key=k price=25   | replay seq=1              | ada=975 r1=25@1
        gift ada cake key=k price=24   | -key_reused               | ada=975 r1=25@1
    """,
    "a retry gets the first answer and moves nothing": """
        policy
        room r1 cleo
        grant ada 100
        @10 gift ada cake key=k             | ok seq=1 balance_coins=75 total_coins=25 at_ms=10
        gift ada cake key=k2                | ok seq=2 balance_coins=50 total_coins=50
        @99 gift ada cake key=k             | replay seq=1 balance_coins=75 total_coins=25 at_ms=10\
                                            | ada=50 r1=50@2 cleo~25000
        gift ada cake key=k name=Ada_II     | replay seq=1 | ada=50 r1=50@2
        gift ada cake key=k adult=false     | replay seq=1 | ada=50 r1=50@2
    """,
    "the same key with other content moves nothing": """
        policy
        room r1 cleo
        room r2 dora
        grant ada 1_000
        gift ada cake key=k                      | ok seq=1    | ada=975
        gift ada rose key=k                      | -key_reused | ada=975
        gift ada cake key=k quantity=2           | -key_reused | ada=975
        gift ada cake key=k room=r2              | -key_reused | ada=975
        gift ada cake key=k room=r9              | -key_reused | ada=975
        gift ada cake key=k to=cleo              | -key_reused | ada=975
        gift ada cake key=k price=25             | -key_reused | ada=975
        gift ada cake key=k message=hello        | -key_reused | ada=975
        gift ada cake key=k visibility=anonymous | -key_reused | ada=975
        gift ada cake key=k                      | replay seq=1 | ada=975 r1=25@1 r2=0@0
    """,
    "keys belong to their actor": """
        policy
        room r1 cleo
        grant ada 100 key=k           | ok
        grant bob 100                 | ok
        gift ada rose key=k           | ok seq=1     | ada=99 bob=100
        gift bob rose key=k           | ok seq=2     | ada=99 bob=99 r1=2@2
        grant ada 100 key=k           | replay balance_coins=100 | ada=99
        grant ada 101 key=k           | -key_reused  | ada=99
        grant bob 100 key=k           | -key_reused  | bob=99
    """,
    "the price that the client showed must be the price": """
        policy
        room r1 cleo
        grant ada 1_000
        policy cake=30
        gift ada cake price=25            | -price_changed        | ada=1000
        gift ada cake price=30            | ok coins=30           | ada=970
        gift ada cake                     | ok coins=30           | ada=940
        gift ada cake price=60 quantity=2 | -price_changed        | ada=940
        gift ada cake price=30 quantity=2 | ok coins=60           | ada=880
        gift ada cake price=0             | -price_changed        | ada=880
    """,
    "only the creator of the room gets gifts, and not from themselves": """
        policy
        room r1 cleo
        room r2 dora
        grant cleo 100
        gift cleo rose                 | -self_gift     | cleo=100
        gift cleo rose to=cleo         | -self_gift     | cleo=100
        gift cleo rose to=cleo room=r2 | -self_gift     | cleo=100
        gift cleo rose to=bob room=r2  | -bad_recipient | cleo=100
        gift cleo rose room=r2         | ok seq=1       | cleo=99 cleo~0 dora~500 r2=1@1
    """,
    "quantities are whole numbers from 1 to 9,999": """
        policy
        room r1 cleo
        grant ada 100_000
        gift ada rose quantity=0                | -bad_quantity     | ada=100000
        gift ada rose quantity=-1               | -bad_quantity     | ada=100000
        gift ada rose quantity=9_999            | ok coins=9999     | ada=90001 cleo~4999500
        gift ada rose quantity=10_000           | -bad_quantity     | ada=90001
        gift ada rose quantity=2^53             | -bad_quantity     | ada=90001
        gift ada rose quantity=2^64             | -bad_quantity     | ada=90001
        gift ada rose quantity=-2^70            | -bad_quantity     | ada=90001
        gift ada rose quantity=1                | ok coins=1        | ada=90000 r1=10000@2
    """,
    "a closed room takes no gifts and stays closed": """
        policy
        room r1 cleo
        grant ada 100
        gift ada rose key=k1          | ok seq=1
        gift bob rose key=poor        | +insufficient_coins
        close r1 key=c                | ok seq=2              | r1=1@2
        gift ada rose key=k2          | +room_closed          | ada=99 r1=1@2
        gift ada rose key=k1          | replay seq=1          | ada=99
        close r1 key=c                | replay seq=2          | r1=1@2
        close r1                      | replay seq=2          | r1=1@2
        room r1 cleo                  | replay epoch=epoch-r1 | r1=1@2
        gift ada rose key=k3          | +room_closed          | ada=99 r1=1@2
        gift bob rose key=poor        | replay insufficient_coins
        close r9                      | -unknown_room
    """,
    "a room is opened once": """
        policy
        room r1 cleo key=a epoch=e1                | ok epoch=e1
        room r1 cleo key=a epoch=e2                | replay epoch=e1
        room r1 cleo key=b epoch=e3                | replay epoch=e1
        room r1 dora                               | -room_exists
        room r1 cleo title=Other                   | -room_exists
        room r1 cleo creator_name=Other            | -room_exists
        room r2 cleo key=b                         | -key_reused
        room r2 cleo                               | ok | r1=0@0 r2=0@0
    """,
    "a gift that is switched off cannot be sent": """
        policy
        room r1 cleo
        grant ada 1_000
        gift ada ghost key=k          | +gift_unavailable        | ada=1000
        policy ghost=on rose=off
        gift ada ghost key=k          | replay gift_unavailable  | ada=1000
        gift ada ghost                | ok coins=5               | ada=995
        gift ada rose                 | +gift_unavailable        | ada=995
    """,
    "only adults give, unless the operator says otherwise": """
        policy
        room r1 cleo
        grant ada 100
        gift ada rose adult=false key=k | +not_of_age        | ada=100
        gift ada rose adult=true key=k  | replay not_of_age  | ada=100
        gift ada rose adult=true        | ok                 | ada=99
        policy require_adult=false
        gift ada rose adult=false       | ok                 | ada=98
        gift ada rose adult=false key=k | replay not_of_age  | ada=98
    """,
    "a retraction gives back exactly the gift, once": """
        policy
        room r1 cleo
        grant ada 1_000
        gift ada cake                 | ok seq=1
        gift ada lion                 | ok seq=2      | ada=475 cleo~262500 r1=525@2 r1/ada=525
        policy rate_permille=900 cake=40
        retract r1:1 key=r            | ok seq=3 coins=25 millidiamonds=12500 \
                                      | ada=500 cleo~250000 r1=500@3 r1/ada=500
        retract r1:1 key=r            | replay seq=3        | ada=500 cleo~250000 r1=500@3
        retract r1:1 key=r2           | -already_retracted  | ada=500 cleo~250000 r1=500@3
        retract r1:1 key=r reason=no  | -key_reused         | ada=500 r1=500@3
        retract r1:3                  | -unknown_gift       | ada=500 r1=500@3
        retract r1:9                  | -unknown_gift
        retract r1:02                 | -unknown_gift       | ada=500 r1=500@3
        retract nonsense              | -unknown_gift
        retract :1                    | -unknown_gift
        retract r9:1                  | -unknown_gift
        retract r1:2                  | ok seq=4 coins=500  | ada=1000 cleo~0 r1=0@4 r1/ada=0
        gift ada rose                 | ok seq=5            | ada=999 r1=1@5 r1/ada=1
    """,
    "a retraction reaches a closed room": """
        policy
        room r1 cleo
        grant ada 100
        gift ada cake                 | ok seq=1
        close r1                      | ok seq=2
        retract r1:1                  | ok seq=3            | ada=100 cleo~0 r1=0@3
        hide r1:1                     | ok seq=4            | r1=0@4
    """,
    "an anonymous gift moves money and no board": """
        policy
        room r1 cleo
        grant ada 100
        gift ada cake visibility=anonymous | ok seq=1 | ada=75 cleo~12500 r1=25@1 r1/ada=0
        gift ada rose                      | ok seq=2 | ada=74 cleo~13000 r1=26@2 r1/ada=1
        retract r1:1                       | ok seq=3 | ada=99 cleo~500 r1=1@3 r1/ada=1
        retract r1:2                       | ok seq=4 | ada=100 cleo~0 r1=0@4 r1/ada=0
    """,
    "hiding is for the eyes only": """
        policy
        room r1 cleo
        grant ada 100
        gift ada cake                 | ok seq=1
        hide r1:1 key=h               | ok seq=2          | ada=75 cleo~12500 r1=25@2 r1/ada=25
        hide r1:1 key=h               | replay seq=2      | r1=25@2
        hide r1:1                     | -already_hidden   | r1=25@2
        hide r1:01                    | -unknown_gift     | r1=25@2
        retract r1:1                  | ok seq=3          | ada=100 cleo~0 r1=0@3 r1/ada=0
        hide r1:3                     | -unknown_gift
    """,
    "a rate of zero pays the creator nothing": """
        policy rate_permille=0
        room r1 cleo
        grant ada 100
        gift ada cake                 | ok seq=1 coins=25 millidiamonds=0  | ada=75 cleo~0 r1=25@1
        policy rate_permille=500
        retract r1:1                  | ok seq=2 coins=25 millidiamonds=0  | ada=100 cleo~0 r1=0@2
    """,
    "any rate per mille is exact": """
        policy rate_permille=333
        room r1 cleo
        grant ada 100
        gift ada rose                 | ok millidiamonds=333  | cleo~333
        gift ada rose quantity=2      | ok millidiamonds=666  | cleo~999
    """,
    "grants stay within the numbers that are exact": """
        policy
        room r1 cleo
        grant ada 0                   | -bad_quantity             | ada=0
        grant ada -1                  | -bad_quantity             | ada=0
        grant ada 2^53                | -bad_quantity             | ada=0
        grant ada 2^64                | -bad_quantity             | ada=0
        grant ada 2^53-2 key=g        | ok                        | ada=2^53-2
        grant ada 2                   | -bad_quantity             | ada=2^53-2
        grant ada 1                   | ok balance_coins=2^53-1   | ada=2^53-1
        grant ada 1                   | -bad_quantity             | ada=2^53-1
        grant bob 2^53-1              | ok                        | bob=2^53-1
        grant ada 2^53-2 key=g        | replay balance_coins=2^53-2 | ada=2^53-1
    """,
    "a creator's account cannot be overfilled": """
        policy rate_permille=2^53-1
        room r1 cleo
        grant ada 10
        gift ada rose quantity=2      | -bad_quantity  | ada=10 cleo~0 r1=0@0
        gift ada rose                 | ok             | ada=9 cleo~2^53-1 r1=1@1
        gift ada rose                 | -bad_quantity  | ada=9 cleo~2^53-1 r1=1@1
    """,
    "a room's total stays a number that browsers can read": """
        policy rate_permille=0 cake=2^53-2
        room r1 cleo
        grant ada 2^53-1
        grant bob 2
        gift ada cake                 | ok             | ada=1 r1=9007199254740990@1 cleo~0
        gift bob rose quantity=2      | -bad_quantity  | bob=2 r1=9007199254740990@1
        gift bob rose                 | ok             | bob=1 r1=9007199254740991@2
        gift ada rose                 | -bad_quantity  | ada=1 r1=9007199254740991@2
    """,
    "before the first policy nothing can be given": """
        grant ada 10                  | ok             | ada=10
        room r1 cleo                  | ok
        gift ada rose                 | -unknown_room  | ada=10
        policy
        gift ada rose                 | ok             | ada=9
    """,
    "what is wrong with the request comes before what is wrong with the state": """
        policy
        room r1 cleo
        close r1
        room r2 dora
        grant cleo 1
        gift cleo pony room=r9 quantity=0                               | -unknown_room
        gift cleo pony quantity=0 to=bob price=9                        | -unknown_gift
        gift cleo ghost quantity=0 to=cleo price=9 adult=false          | -bad_quantity
        gift cleo ghost to=cleo price=9 adult=false                     | -self_gift
        gift ada ghost to=bob price=9 adult=false                       | -bad_recipient
        gift ada ghost price=9 adult=false                              | -price_changed
        gift ada ghost adult=false                                      | +room_closed
        gift ada ghost adult=false room=r2                              | +gift_unavailable
        gift ada cake adult=false room=r2                               | +not_of_age
        gift ada cake room=r2                                           | +insufficient_coins
    """,
    "numbers that tell what to do come with a refusal": """
        policy
        room r1 cleo
        grant ada 20
        gift ada cake quantity=2      | +insufficient_coins balance_coins=20 missing_coins=30
        gift ada cake price=9         | -price_changed coins=25
        gift ada cake quantity=0      | -bad_quantity quantity_max=9999
        grant ada 0                   | -bad_quantity coins_max=2^53-1
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])


def test_the_system_counts_all_grants_and_refuses_the_one_that_it_could_not_count() -> None:
    """512 wallets as full as can be are within 2^62; one more is not, and that is no crash."""
    book = new_book()
    grants = [builders.grant(f"u{n}", 2**53 - 1) for n in range(513)]
    results = settle(book, grants, 0)
    assert [isinstance(result.outcome, Refused) for result in results] == [False] * 512 + [True]
    assert results[-1].outcome.code == "bad_quantity"
    check_conserved(book)
