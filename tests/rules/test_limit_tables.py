"""What users may spend, as tables: their own limits and the operator's, pauses, freezing, levels.

How they are read is told in kit/tables/ledger_tables.py. A rose is 1 coin, a cake 25, a lion 500.
"""

import pytest

from kit.tables.ledger_tables import check_table

TABLES = {
    "a limit for one gift": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada per_gift_coins=50   | ok limits=per_gift:50 raises=
        gift ada cake quantity=2       | ok | ada=950
        gift ada rose quantity=51 key=k | +limit_per_gift limit_coins=50 left_coins=50
        limits ada per_gift_coins=0    | ok
        gift ada rose                  | +limit_per_gift
        gift ada rose quantity=51 key=k | replay limit_per_gift
    """,
    "midnight does not begin a new day: the window rolls": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=50      | ok limits=daily:50
        @23h30m gift ada cake quantity=2 | ok reminder=100
        @1d0h30m gift ada rose         | +limit_daily limit=daily source=own limit_coins=50 \
                                         spent_coins=50 left_coins=0 frees_ms=2d
        @1d23h30m gift ada rose        | +limit_daily
        @1d23h59m gift ada rose        | +limit_daily
        @2d gift ada cake quantity=2   | ok
    """,
    "the window says when as much as is wanted frees": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=100
        @1h gift ada cake              | ok reminder=null
        @3h gift ada cake              | ok reminder=50
        @5h gift ada cake              | ok
        @6h gift ada cake quantity=2   | +limit_daily left_coins=25 spent_coins=75 frees_ms=1d2h
        gift ada cake quantity=3       | +limit_daily frees_ms=1d4h
        gift ada cake quantity=4       | +limit_daily frees_ms=1d6h
        gift ada cake quantity=5       | +limit_daily frees_ms=null
        gift ada cake                  | ok reminder=100
        @1d1h59m gift ada rose         | +limit_daily left_coins=0
        @1d2h gift ada cake quantity=2 | +limit_daily left_coins=25
        gift ada cake                  | ok
    """,
    "a week and a month roll by the day": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada weekly_coins=50 monthly_coins=75 | ok limits=monthly:75,weekly:50
        @1h gift ada cake              | ok
        @6d23h gift ada cake           | ok
        @7d gift ada rose              | +limit_weekly limit=weekly frees_ms=8d left_coins=0
        @7d23h59m gift ada rose        | +limit_weekly
        @8d gift ada rose quantity=26  | +limit_weekly left_coins=25 frees_ms=14d
        gift ada cake                  | ok
        @15d gift ada rose             | +limit_monthly limit=monthly frees_ms=31d
        @30d23h59m gift ada rose       | +limit_monthly
        @31d gift ada cake             | ok
        gift ada rose                  | +limit_monthly frees_ms=37d
    """,
    "a limit of one's own counts every coin, the operator's what was bought": """
        policy limits.daily_coins=50 limits.first_day_coins=0
        room r1 cleo
        grant ada 100
        start ada p1
        paid p1
        gift ada cake quantity=4       | ok lots= reminder=null
        gift ada cake                  | ok lots=p1:25 reminder=50
        gift ada cake key=b            | ok lots=p1:25 reminder=100
        gift ada cake                  | +limit_daily source=default limit_coins=50 spent_coins=50
        grant ada 20
        gift ada cake                  | +limit_daily source=default spent_coins=50
        gift ada rose quantity=20      | ok lots= reminder=null
        limits ada daily_coins=30      | ok limits=daily:30
        grant ada 20
        gift ada rose                  | +limit_daily source=own spent_coins=170 left_coins=0
    """,
    "who has bought nothing and has too little is told so": """
        policy limits.daily_coins=10 limits.first_day_coins=10
        room r1 cleo
        grant ada 5
        gift ada cake                  | +insufficient_coins
        gift bob cake                  | +insufficient_coins
    """,
    "weekly and monthly defaults count bought coins too": """
        policy limits.daily_coins=0 limits.weekly_coins=40 limits.monthly_coins=60 \
               limits.first_day_coins=0
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake                  | ok lots=p1:25
        gift ada cake                  | +limit_weekly source=default left_coins=15 frees_ms=8d
        @8d gift ada cake              | ok
        @16d gift ada cake             | +limit_monthly source=default left_coins=10
    """,
    "zero is no limit for the operator, and no gift for oneself": """
        policy limits.daily_coins=0 limits.weekly_coins=0 limits.monthly_coins=0 \
               limits.first_day_coins=0
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=4       | ok
        grant ada 5
        limits ada daily_coins=0       | ok limits=daily:0
        gift ada rose                  | +limit_daily limit_coins=0 frees_ms=null
    """,
    "in the first 24 hours less bought coins may go": """
        policy limits.first_day_coins=30
        room r1 cleo
        @5h start ada p1
        paid p1                        | ok
        gift ada cake                  | ok reminder=80
        @1d4h59m gift ada cake         | +limit_daily source=first_day limit_coins=30 left_coins=5
        @1d5h gift ada cake            | ok
        @2d grant bob 100
        limits bob daily_coins=80
        gift bob cake quantity=3       | ok lots=
        start bob p2
        paid p2
        gift bob rose quantity=6       | +limit_daily source=own
    """,
    "the limit of the first hours stands beside a limit of one's own": """
        policy limits.first_day_coins=30
        room r1 cleo
        start ada p1
        paid p1
        limits ada daily_coins=60
        gift ada cake                  | ok
        gift ada cake                  | +limit_daily source=first_day
        @1d gift ada cake              | ok
        gift ada cake                  | +limit_daily source=own
    """,
    "a retraction frees what the gift had used up": """
        policy limits.daily_coins=50 limits.weekly_coins=50 limits.first_day_coins=0
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake                  | ok seq=1
        @2h gift ada cake              | ok seq=2
        gift ada cake                  | +limit_daily
        retract r1:1                   | ok seq=3
        gift ada cake                  | ok seq=4
        gift ada cake                  | +limit_daily
        @2d gift ada cake              | +limit_weekly
        reverse ada r1:2,r1:4          | ok coins=50
        gift ada cake quantity=2       | ok
        gift ada rose                  | +limit_daily
    """,
    "a gift of long ago frees nothing of today": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=30 monthly_coins=60
        gift ada cake                  | ok seq=1
        @2d gift ada cake              | ok seq=2
        retract r1:1                   | ok
        gift ada cake                  | +limit_daily spent_coins=25
        @4d gift ada cake              | ok
        @6d gift ada cake              | +limit_monthly spent_coins=50
    """,
    "a clock that steps back frees nothing": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=50
        @5h gift ada cake              | ok
        @1h gift ada cake              | ok
        @2h gift ada rose              | +limit_daily frees_ms=1d6h
        @1d5h gift ada rose            | +limit_daily
        @1d6h gift ada cake            | ok
    """,
    "lower counts at once, higher after a day": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=50      | ok limits=daily:50 raises=
        @1h limits ada daily_coins=80  | ok limits=daily:50 raises=daily:80:90000000
        gift ada cake quantity=3       | +limit_daily limit_coins=50
        @12h limits ada daily_coins=80 | ok raises=daily:80:90000000
        @1d0h59m gift ada cake quantity=3 | +limit_daily limit_coins=50
        @1d1h gift ada cake quantity=3 | ok
        gift ada rose quantity=6       | +limit_daily limit_coins=80 left_coins=5
        limits ada daily_coins=20      | ok limits=daily:20 raises=
        gift ada rose                  | +limit_daily limit_coins=20
    """,
    "a raise is put off by a new one, and taken back by going lower": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=50
        limits ada daily_coins=100     | ok raises=daily:100:86400000
        @12h limits ada daily_coins=90 | ok raises=daily:90:129600000 limits=daily:50
        @1d gift ada cake quantity=3   | +limit_daily limit_coins=50
        limits ada daily_coins=50      | ok raises= limits=daily:50
        @3d gift ada cake quantity=3   | +limit_daily limit_coins=50
        limits ada weekly_coins=200    | ok limits=daily:50,weekly:200
        limits ada daily_coins=70 weekly_coins=100 | ok limits=daily:50,weekly:100 \
                                         raises=daily:70:345600000
    """,
    "taking one's own limit away is a raise": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=30 per_gift_coins=25 | ok
        @1h limits ada daily_coins=null per_gift_coins=null \
                                       | ok limits=daily:30,per_gift:25 \
                                         raises=daily:None:90000000,per_gift:None:90000000
        gift ada cake quantity=2       | +limit_per_gift
        @1d1h gift ada cake quantity=2 | ok
        limits ada                     | ok limits= raises=
        limits ada weekly_coins=null   | ok limits= raises=
    """,
    "a first limit above the operator's is a raise too": """
        policy limits.daily_coins=50 limits.first_day_coins=0
        room r1 cleo
        start ada p1
        paid p1
        limits ada daily_coins=75      | ok limits= raises=daily:75:86400000
        gift ada cake quantity=3       | +limit_daily source=default
        @1d gift ada cake quantity=3   | ok
    """,
    "limits stay within what the operator allows": """
        policy limits.daily_max_coins=100 limits.weekly_max_coins=200 limits.monthly_max_coins=0
        limits ada daily_coins=101     | -invalid field=daily_coins most=100
        limits ada weekly_coins=201    | -invalid field=weekly_coins most=200
        limits ada daily_coins=-1      | -invalid field=daily_coins
        limits ada daily_coins=5 per_gift_coins=2^60 | -invalid field=per_gift_coins most=100000000
        limits ada daily_coins=100 weekly_coins=200 monthly_coins=10^8 per_gift_coins=10^8 \
                                       | ok limits=daily:100,per_gift:100000000,weekly:200 \
                                         raises=monthly:100000000:86400000
    """,
    "a pause cannot be undone, only prolonged": """
        policy
        room r1 cleo
        grant ada 100
        pause ada 2                    | -invalid field=days
        pause ada 7 key=p              | ok until_ms=604800000
        gift ada rose key=k            | +gifting_paused until_ms=604800000
        @6d23h pause ada 1             | ok until_ms=687600000
        @7d pause ada 1                | ok until_ms=691200000
        pause ada 7 key=p              | replay until_ms=604800000
        @7d23h59m gift ada rose        | +gifting_paused
        @8d gift ada rose              | ok
        gift ada rose key=k            | replay gifting_paused
        pause ada 30                   | ok
        @9d pause ada 1                | ok until_ms=3283200000
    """,
    "a frozen account buys, gives and cashes out nothing": """
        policy
        room r1 cleo
        grant ada 100
        freeze ada key=f               | ok
        freeze ada                     | replay
        gift ada rose key=k            | +account_frozen
        start ada p1                   | +account_frozen
        grant ada 5                    | ok | ada=105 ada.frozen=true
        unfreeze ada                   | ok | ada.frozen=false
        unfreeze ada                   | replay
        freeze ada key=f               | replay | ada.frozen=false
        gift ada rose                  | ok
        gift ada rose key=k            | replay account_frozen
    """,
    "what is owed, frozen, paused and limited is said in this order": """
        policy
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake
        chargeback p1
        freeze ada
        pause ada 1
        limits ada daily_coins=0 per_gift_coins=0
        gift ada rose                  | +account_frozen coin_debt=25
        grant ada 25                   | ok debt_paid_coins=25
        gift ada rose                  | +account_frozen coin_debt=null
        unfreeze ada
        gift ada rose                  | +gifting_paused
        @1d gift ada rose              | +limit_per_gift
        limits ada per_gift_coins=null
        @2d gift ada rose              | +limit_daily
        limits ada daily_coins=null
        @3d gift ada rose              | +insufficient_coins
    """,
    "one is reminded once at half, at four fifths and at all of the limit": """
        policy
        room r1 cleo
        grant ada 1_000
        limits ada daily_coins=100
        gift ada rose quantity=49      | ok reminder=null
        gift ada rose                  | ok reminder=50
        gift ada rose                  | ok reminder=null
        gift ada rose quantity=28      | ok reminder=null
        gift ada rose key=k            | ok reminder=80
        gift ada rose key=k            | replay
        gift ada rose quantity=20      | ok reminder=100
        gift ada rose                  | +limit_daily reminder=null
    """,
    "levels rise, are told once, and can be hidden": """
        policy
        room r1 cleo
        grant ada 1_000
        gift ada rose                              | ok | ada.gifted_coins=1
        gift ada cake quantity=2                   | ok | ada.gifted_coins=51
        hide_level ada true                        | ok hidden=true | ada.level_hidden=true
        gift ada cake visibility=anonymous         | ok | ada.gifted_coins=51
        hide_level ada false                       | ok hidden=false | ada.level_hidden=false
        erase ada                                  | ok | ada.name= ada.level_hidden=true ada=924
        gift ada rose name=Back                    | ok | ada.name=Back
    """,
    "endpoints": """
        policy
        endpoint shop a,b url=u key=e  | ok enabled=true version=1 | shop.kinds=a,b shop.since=2
        rotate shop                    | ok version=2
        disable shop reason=gone       | ok enabled=false | shop.reason=gone
        @5 rotate shop                 | ok version=3 enabled=false | shop.rotated_ms=5
        endpoint shop b url=v          | ok enabled=true version=3 \
                                       | shop.kinds=b shop.url=v shop.reason= shop.since=2
        endpoint shop a,b url=u key=e  | replay version=1
        disable shop url=u             | -wrong_state      | shop.enabled=true
        disable shop url=v             | ok enabled=false  | shop.enabled=false
        rotate chat                    | -unknown_endpoint
        disable chat                   | -unknown_endpoint
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])
