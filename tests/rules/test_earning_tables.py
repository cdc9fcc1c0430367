"""What creators earn, as tables: rates, holding, clawback, payouts, reversals.

How they are read is told in kit/tables/ledger_tables.py. A cake is 25 coins: 12,500
millidiamonds at the usual rate of 500. The small bundle is 100 coins.
"""

import pytest

from kit.tables.ledger_tables import check_table

PAYOUTS = "payouts.minimum_millidiamonds=10_000 payouts.review_first=false"

TABLES = {
    "what was earned on a day is held until the day is over and seven more": """
        policy hold_days=7
        room r1 cleo
        grant ada 1_000
        @23h59m gift ada cake          | ok | cleo~12500 cleo.pending=0:12500
        @1d gift ada rose              | ok | cleo~13000 cleo.pending=0:12500,1:500
        gift ada rose                  | ok | cleo.pending=0:12500,1:1000
        @7d23h59m release cleo         | -nothing_due | cleo~13500
        @8d release cleo key=k         | ok millidiamonds=12500 | cleo~1000 cleo.available=12500 \
                                                                  cleo.pending=1:1000
        release cleo                   | -nothing_due | cleo.available=12500
        release cleo key=k             | replay millidiamonds=12500
        @8d23h59m release cleo         | -nothing_due
        @40d release cleo              | ok millidiamonds=1000  | cleo~0 cleo.available=13500
        release cleo                   | -nothing_due
        release dora                   | -nothing_due
    """,
    "without a hold everything is released at once": """
        policy hold_days=0
        room r1 cleo
        grant ada 100
        @5h gift ada cake              | ok
        release cleo                   | ok millidiamonds=12500 | cleo~0 cleo.available=12500
        gift ada rose                  | ok
        release cleo                   | ok millidiamonds=500
        rate cleo 333
        gift ada rose                  | ok
        release cleo                   | ok millidiamonds=333 | cleo~0 cleo.available=13333
        rate cleo 500
        policy hold_days=1
        gift ada rose                  | ok
        @1d23h59m release cleo         | -nothing_due
        @2d release cleo               | ok millidiamonds=500
    """,
    "a clock that steps back keeps the days in order": """
        policy hold_days=1
        room r1 cleo
        grant ada 100
        @3d gift ada rose              | ok | cleo.pending=3:500
        @1d gift ada rose              | ok | cleo.pending=3:1000
        @4d release cleo               | -nothing_due
        @5d release cleo               | ok millidiamonds=1000
    """,
    "many rates may be set ahead, not endlessly, and one from now on ends them all": """
        policy rate_permille=500
        room r1 cleo
        grant ada 1_000
        @10 rate cleo 100 from_ms=1000 until_ms=2000 | ok
        @10 rate cleo 101 from_ms=1001 until_ms=2001 | ok
        @10 rate cleo 102 from_ms=1002 until_ms=2002 | ok
        @10 rate cleo 103 from_ms=1003 until_ms=2003 | ok
        @10 rate cleo 104 from_ms=1004 until_ms=2004 | ok
        @10 rate cleo 105 from_ms=1005 until_ms=2005 | ok
        @10 rate cleo 106 from_ms=1006 until_ms=2006 | ok
        @10 rate cleo 107 from_ms=1007 until_ms=2007 | ok
        @10 rate cleo 108 from_ms=1008 until_ms=2008 | ok
        @10 rate cleo 109 from_ms=1009 until_ms=2009 | ok
        @10 rate cleo 110 from_ms=1010 until_ms=2010 | ok
        @10 rate cleo 111 from_ms=1011 until_ms=2011 | ok
        @10 rate cleo 112 from_ms=1012 until_ms=2012 | ok
        @10 rate cleo 113 from_ms=1013 until_ms=2013 | ok
        @10 rate cleo 114 from_ms=1014 until_ms=2014 | ok
        @10 rate cleo 115 from_ms=1015 until_ms=2015 | ok
        @10 rate cleo 116 from_ms=1016 until_ms=2016 | ok
        @10 rate cleo 117 from_ms=1017 until_ms=2017 | ok
        @10 rate cleo 118 from_ms=1018 until_ms=2018 | ok
        @10 rate cleo 119 from_ms=1019 until_ms=2019 | ok
        @10 rate cleo 120 from_ms=1020 until_ms=2020 | ok
        @10 rate cleo 121 from_ms=1021 until_ms=2021 | ok
        @10 rate cleo 122 from_ms=1022 until_ms=2022 | ok
        @10 rate cleo 123 from_ms=1023 until_ms=2023 | ok
        @10 rate cleo 124 from_ms=1024 until_ms=2024 | ok
        @10 rate cleo 125 from_ms=1025 until_ms=2025 | ok
        @10 rate cleo 126 from_ms=1026 until_ms=2026 | ok
        @10 rate cleo 127 from_ms=1027 until_ms=2027 | ok
        @10 rate cleo 128 from_ms=1028 until_ms=2028 | ok
        @10 rate cleo 129 from_ms=1029 until_ms=2029 | ok
        @10 rate cleo 130 from_ms=1030 until_ms=2030 | ok
        @10 rate cleo 131 from_ms=1031 until_ms=2031 | ok
        @10 rate cleo 132 from_ms=1032 until_ms=2032 | ok
        @10 rate cleo 133 from_ms=1033 until_ms=2033 | ok
        @10 rate cleo 134 from_ms=1034 until_ms=2034 | ok
        @10 rate cleo 135 from_ms=1035 until_ms=2035 | ok
        @10 rate cleo 136 from_ms=1036 until_ms=2036 | ok
        @10 rate cleo 137 from_ms=1037 until_ms=2037 | ok
        @10 rate cleo 138 from_ms=1038 until_ms=2038 | ok
        @10 rate cleo 139 from_ms=1039 until_ms=2039 | ok
        @10 rate cleo 140 from_ms=1040 until_ms=2040 | ok
        @10 rate cleo 141 from_ms=1041 until_ms=2041 | ok
        @10 rate cleo 142 from_ms=1042 until_ms=2042 | ok
        @10 rate cleo 143 from_ms=1043 until_ms=2043 | ok
        @10 rate cleo 144 from_ms=1044 until_ms=2044 | ok
        @10 rate cleo 145 from_ms=1045 until_ms=2045 | ok
        @10 rate cleo 146 from_ms=1046 until_ms=2046 | ok
        @10 rate cleo 147 from_ms=1047 until_ms=2047 | ok
        @10 rate cleo 148 from_ms=1048 until_ms=2048 | ok
        @10 rate cleo 149 from_ms=1049 until_ms=2049 | ok
        rate cleo 999 from_ms=3_000                 | -wrong_state
        @1049 gift ada rose                        | ok millidiamonds=149
        rate cleo 900                               | ok from_ms=1049
        gift ada rose                               | ok millidiamonds=900
        rate cleo 999 from_ms=3_000                 | ok
        @3000 gift ada rose                         | ok millidiamonds=999
    """,
    "a rate of one's own is never retroactive, and ends when it ends": """
        policy rate_permille=500
        room r1 cleo
        grant ada 1_000
        @10 gift ada rose                         | ok millidiamonds=500
        rate cleo 600 key=k                       | ok rate_permille=600 from_ms=10 until_ms=null
        gift ada rose                             | ok millidiamonds=600 | cleo~1100
        rate cleo 700 from_ms=9                   | -invalid field=from_ms
        rate cleo 700 from_ms=20 until_ms=20      | -invalid field=until_ms
        rate cleo 700 until_ms=10                 | -invalid field=until_ms
        rate cleo 1_001                           | -invalid field=rate_permille
        rate cleo -1                              | -invalid field=rate_permille
        rate cleo 1_000 from_ms=20 until_ms=30    | ok from_ms=20 until_ms=30
        @19 gift ada rose                         | ok millidiamonds=600
        @20 gift ada rose                         | ok millidiamonds=1000
        @29 gift ada rose                         | ok millidiamonds=1000
        @30 gift ada rose                         | ok millidiamonds=600
        policy rate_permille=100
        gift ada rose                             | ok millidiamonds=600
        rate cleo 0                               | ok
        gift ada rose                             | ok millidiamonds=0
        rate cleo 600 key=k                       | replay from_ms=10
        retract r1:2                              | ok millidiamonds=600 taken.pending=600
        room r2 dora
        gift ada rose room=r2                     | ok millidiamonds=100
    """,
    "clawback none: the platform bears a chargeback": """
        policy clawback=none hold_days=0
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=4       | ok seq=1
        chargeback p1                  | ok taken= debt_coins=100 | cleo~50000 p1.clawback=none
        retract r1:1                   | ok taken.pending=50000 debt_paid_coins=100 | cleo~0
    """,
    "clawback takes what is pending, then what is available": """
        policy clawback=unpaid hold_days=1
        room r1 cleo
        start ada p1
        grant bob 1_000
        paid p1
        gift ada cake quantity=2       | ok | cleo.pending=0:25000
        @2d release cleo               | ok | cleo.available=25000
        gift ada cake                  | ok | cleo.pending=2:12500
        @3d gift bob rose              | ok | cleo.pending=2:12500,3:500
        chargeback p1                  | ok taken.0.pending=13000 taken.0.available=24500 \
                                            taken.0.debt=0 taken.0.borne=0 \
                                       | cleo~0 cleo.available=500 cleo.owed=0 cleo.pending=
    """,
    "diamonds are taken from the day of the gift first": """
        policy clawback=full hold_days=5
        room r1 cleo
        grant ada 100
        gift ada cake                  | ok seq=1
        @1d gift ada rose              | ok seq=2
        @2d gift ada cake              | ok seq=3 | cleo.pending=0:12500,1:500,2:12500
        retract r1:2                   | ok | cleo.pending=0:12500,2:12500
        retract r1:3                   | ok | cleo.pending=0:12500
        @9d release cleo               | ok millidiamonds=12500
        gift ada cake                  | ok seq=6 | cleo.pending=9:12500
        retract r1:1                   | ok taken.pending=12500 | cleo.pending= cleo.available=12500
        retract r1:6                   | ok taken.available=12500 | cleo.available=0
    """,
    "clawback unpaid: what was paid out the platform bears": f"""
        policy clawback=unpaid hold_days=0 {PAYOUTS}
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=4       | ok seq=1
        release cleo
        request cleo 40_000            | ok
        chargeback p1                  | ok taken.0.available=10000 taken.0.borne=40000 \
                                            taken.0.debt=0 \
                                       | cleo.available=0 cleo.reserved=40000 cleo.owed=0
        retract r1:1                   | ok taken.available=0 taken.borne=0 millidiamonds=50000
        reject newest                  | ok | cleo.available=40000
    """,
    "clawback full: what was paid out is owed, and paid at the next release": f"""
        policy clawback=full hold_days=0 {PAYOUTS}
        room r1 cleo
        start ada p1
        grant bob 1_000
        paid p1
        gift ada cake quantity=4
        release cleo
        request cleo 40_000
        approve newest
        pay newest                     | ok
        chargeback p1                  | ok taken.0.available=10000 taken.0.debt=40000 \
                                            taken.0.borne=0 | cleo.owed=-40000 cleo.available=0
        gift bob cake quantity=2       | ok | cleo~25000
        release cleo                   | ok millidiamonds=25000 debt_paid_millidiamonds=25000 \
                                       | cleo.owed=-15000 cleo.available=0
        request cleo 10_000            | -insufficient_diamonds millidiamonds_available=0
        gift bob cake quantity=2       | ok
        release cleo                   | ok debt_paid_millidiamonds=15000 \
                                       | cleo.owed=0 cleo.available=10000
    """,
    "what a rejected payout gives back pays the debt first": f"""
        policy clawback=full hold_days=0 {PAYOUTS}
        room r1 cleo
        start ada p1
        grant bob 1_000
        paid p1
        gift ada cake
        gift bob cake quantity=2
        release cleo
        request cleo 37_000            | ok
        chargeback p1                  | ok taken.0.available=500 taken.0.debt=12000
        reject newest                  | ok | cleo.owed=0 cleo.available=25000 cleo.reserved=0
    """,
    "a retraction after a chargeback takes only the rest": """
        policy clawback=full limits.first_day_coins=0
        room r1 cleo
        start ada p1
        start ada p2
        grant ada 10
        paid p1
        paid p2
        gift ada cake quantity=6       | ok seq=1 lots=p1:100,p2:40 | cleo~75000
        chargeback p1                  | ok taken.0.pending=50000 | cleo~25000
        retract r1:1                   | ok taken.pending=25000 millidiamonds=75000 \
                                       | cleo~0 ada.lots=p2:40
    """,
    "the policy of the chargeback says what a later retraction takes": """
        policy clawback=none
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake                  | ok seq=1
        chargeback p1                  | ok taken= | cleo~12500
        policy clawback=full
        retract r1:1                   | ok taken.pending=12500 | cleo~0 ada.debt=0
    """,
    "a gift that was taken back is clawed back by no chargeback": """
        policy clawback=full
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake                  | ok seq=1
        gift ada cake                  | ok seq=2
        retract r1:1                   | ok
        chargeback p1                  | ok debt_coins=25 taken.0.pending=12500 taken.0.debt=0 \
                                       | cleo~0 cleo.owed=0
    """,
    "shares are rounded down, so that no part is taken twice": """
        policy clawback=full rate_permille=333 limits.first_day_coins=0
        room r1 cleo
        grant ada 1
        start ada p1 coins=1
        start ada p2 coins=1
        paid p1 amount_minor=1
        paid p2 amount_minor=1
        gift ada rose quantity=3       | ok seq=1 lots=p1:1,p2:1 | cleo~999
        policy rate_permille=500
        chargeback p1                  | ok taken.0.pending=333 | cleo~666
        chargeback p2                  | ok taken.0.pending=333 | cleo~333
        retract r1:1                   | ok taken.pending=333   | cleo~0
    """,
    "many gifts are reversed at once, and those that were retracted passed over": """
        policy limits.first_day_coins=0
        room r1 cleo
        room r2 dora
        grant ada 100
        grant bob 100
        gift ada cake                  | ok seq=1
        gift ada rose room=r2          | ok seq=1
        gift ada cake                  | ok seq=2
        gift bob rose                  | ok seq=3
        retract r1:2                   | ok seq=4
        reverse ada r1:1,r1:3          | -unknown_gift          | ada=74
        reverse ada r1:1,r1:9          | -unknown_gift          | ada=74
        reverse ada r1:1,r1:2,r1:1,r2:1 key=k \
               | ok gifts=r1:1:5,r2:1:2 coins=26 taken.0.pending=12500 taken.1.creator=dora \
               | ada=100 bob=99 cleo~500 dora~0 r1=1@5 r2=0@2 r1/ada=0
        reverse ada r1:1,r2:1          | ok gifts= coins=0      | ada=100 r1=1@5
        reverse ada r1:1,r1:2,r1:1,r2:1 key=k | replay coins=26 | ada=100
    """,
    "a retraction of what was paid out is borne or owed as the policy says": f"""
        policy clawback=unpaid hold_days=0 {PAYOUTS}
        room r1 cleo
        grant ada 1_000
        gift ada cake                  | ok seq=1
        gift ada cake                  | ok seq=2
        gift ada cake                  | ok seq=3
        release cleo
        request cleo 32_000
        approve newest
        pay newest                     | ok | cleo.available=5500
        retract r1:1                   | ok taken.available=5500 taken.borne=7000 taken.debt=0 \
                                       | cleo.owed=0 cleo.available=0
        policy clawback=none
        retract r1:2                   | ok taken.borne=12500 taken.debt=0 | cleo.owed=0
        policy clawback=full
        retract r1:3                   | ok taken.borne=0 taken.debt=12500 | cleo.owed=-12500
    """,
    "boards and earnings are kept by the day of the gift": """
        policy
        room r1 cleo
        room r2 cleo
        grant ada 1_000
        grant bob 1_000
        gift ada cake quantity=2       | ok | cleo.board=0:ada:50 cleo.earned=0:cake:2:25000
        gift bob cake visibility=anonymous | ok | cleo.board=0:ada:50 cleo.earned=0:cake:3:37500
        gift bob rose room=r2          | ok | cleo.board=0:ada:50,0:bob:1 \
                                              cleo.earned=0:cake:3:37500,0:rose:1:500
        @1d gift ada rose              | ok | cleo.board=0:ada:50,0:bob:1,1:ada:1 \
                                              cleo.earned=0:cake:3:37500,0:rose:1:500,1:rose:1:500
        retract r1:1                   | ok | cleo.board=0:ada:0,0:bob:1,1:ada:1 \
                                              cleo.earned=0:cake:1:12500,0:rose:1:500,1:rose:1:500
        retract r1:2                   | ok | cleo.board=0:ada:0,0:bob:1,1:ada:1 \
                                              cleo.earned=0:cake:0:0,0:rose:1:500,1:rose:1:500
        hide r1:3                      | ok | cleo.board=0:ada:0,0:bob:1,1:ada:1
    """,
    "a payout reserves, is approved, and paid": """
        policy hold_days=0 payouts.minimum_millidiamonds=10_000
        room r1 cleo
        grant ada 100
        gift ada cake quantity=2
        request cleo 10_000            | -insufficient_diamonds millidiamonds_available=0
        release cleo
        request cleo 9_000             | -invalid least=10000 multiple_of=1000
        request cleo 10_500            | -invalid
        request cleo 26_000            | -insufficient_diamonds millidiamonds_available=25000
        request cleo -10_000           | -invalid
        @5 request cleo 20_000 key=r   | ok status=requested millidiamonds=20000 amount_minor=20 \
                                            currency=USD flags=first_payout \
                                       | cleo.available=5000 cleo.reserved=20000 \
                                         payout.requested_ms=5
        request cleo 20_000 key=r flags=young | replay status=requested | cleo.reserved=20000
        request cleo 20_000            | -payout_open
        pay newest                     | -wrong_state status=requested | cleo.reserved=20000
        approve newest                 | ok status=approved     | cleo.reserved=20000
        approve newest                 | -wrong_state status=approved
        @9 pay newest reference=b7     | ok status=paid | cleo.reserved=0 cleo.available=5000 \
                                         .cashed=20000 .payouts=-20 .clearing=20 \
                                         payout.reference=b7 payout.decided_ms=9 cleo.payouts_paid=1
        pay newest                     | -wrong_state status=paid | .cashed=20000
        approve newest                 | -wrong_state
        reject newest                  | -wrong_state status=paid | cleo.available=5000
        approve payout-99              | -unknown_payout
        pay payout-99                  | -unknown_payout
        reject payout-99               | -unknown_payout
    """,
    "a payout that is rejected gives everything back": f"""
        policy hold_days=0 {PAYOUTS}
        room r1 cleo
        grant ada 100
        gift ada cake quantity=2
        release cleo
        request cleo 20_000            | ok status=requested flags=
        reject newest reason=no        | ok status=rejected | cleo.available=25000 cleo.reserved=0 \
                                         payout.reference=no cleo.payouts_paid=0 cleo.payout=
        reject newest                  | -wrong_state status=rejected
        request cleo 25_000            | ok | cleo.available=0
        approve newest                 | ok
        reject newest                  | ok | cleo.available=25000 .payouts=0 .clearing=0
    """,
    "small payouts go without a person, but never the first one, nor one with a flag": """
        policy hold_days=0 payouts.minimum_millidiamonds=1_000 \
               payouts.automatic_millidiamonds=5_000
        room r1 cleo
        grant ada 100
        gift ada cake quantity=2
        release cleo
        request cleo 1_000             | ok status=requested flags=first_payout
        reject newest
        request cleo 1_000             | ok status=requested flags=first_payout
        approve newest
        pay newest
        request cleo 6_000             | ok status=requested flags=
        reject newest
        request cleo 5_000 flags=young | ok status=requested flags=young
        reject newest
        request cleo 5_000             | ok status=approved flags=
        pay newest                     | ok
        policy payouts.review_first=false payouts.automatic_millidiamonds=5_000 \
               payouts.minimum_millidiamonds=0 hold_days=0
        room r2 dora
        gift ada cake room=r2
        release dora
        request dora 0                 | -invalid least=1
        request dora 5_000             | ok status=approved
    """,
    "a frozen creator is paid nothing new": f"""
        policy hold_days=0 {PAYOUTS}
        room r1 cleo
        grant ada 100
        gift ada cake quantity=2
        release cleo
        freeze cleo
        request cleo 20_000            | +account_frozen
        unfreeze cleo
        request cleo 20_000            | ok
        freeze cleo
        approve newest                 | +account_frozen | payout.status=requested
        reject newest                  | ok | cleo.available=25000
    """,
    "the bank's answers resolve a payout once": f"""
        policy hold_days=0 {PAYOUTS}
        room r1 cleo
        grant ada 100
        gift ada cake quantity=2
        release cleo
        request cleo 10_000            | ok
        result newest true             | ok why=is_requested | payout.status=requested .payouts=0
        approve newest
        result newest true reference=b | ok status=paid | .payouts=-10 cleo.reserved=0
        result newest true reference=b | replay status=paid | .payouts=-10 payout.reference=b
        result newest true reference=c | ok why=paid_twice  | .payouts=-10 payout.reference=b
        result newest false            | ok why=is_paid     | payout.status=paid
        request cleo 10_000            | ok
        approve newest
        result newest false reference=closed | ok status=rejected \
                                       | cleo.available=15000 payout.reference=closed
        result newest false            | replay status=rejected
        result newest true             | ok why=is_rejected | .payouts=-10 cleo.available=15000
        result payout-99 true          | ok why=unknown_payout | .payouts=-10
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])
