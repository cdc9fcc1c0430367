"""Coins for money as tables: purchases, lots, refunds, chargebacks, what goes to a person.

How they are read is told in kit/tables/ledger_tables.py. The small bundle is 100 coins for 95 minor
units; a purchase of exact `coins` costs one a coin.
"""

import pytest

from kit.tables.ledger_tables import check_table

TABLES = {
    "a purchase is credited once, whatever the provider says again": """
        policy
        start ada p1 key=s              | ok purchase=p1 user=ada coins=100 price_minor=95 \
                                          currency=USD | ada=0 p1.status=pending p1.bundle=small
        start ada p1-again key=s adult=false | replay purchase=p1
        start ada p1                    | -invalid field=purchase
        start ada p2 key=s coins=30     | -key_reused
        attach p1 checkout=c1 url=u1    | ok | p1.checkout=c1 p1.url=u1
        attach p1 checkout=c2 url=u2    | ok | p1.checkout=c1 p1.url=u1
        @7 paid p1 key=w                | ok coins=100 price_minor=95 balance_coins=100 \
                                        | ada=100 .sold=-100 .clearing=-95 .sales=95 \
                                          p1.status=paid p1.payment=payment-p1 p1.paid_ms=7 \
                                          ada.lots=p1:100
        paid p1 key=w                   | replay balance_coins=100 | ada=100 .sales=95
        paid p1                         | replay purchase=p1       | ada=100 .sales=95 p1.paid_ms=7
        fail p1                         | -wrong_state status=paid
        paid p9                         | ok why=unknown_purchase  | ada=100 .sales=95
        attach p9                       | -unknown_purchase
        fail p9                         | -unknown_purchase
    """,
    "money that does not fit the order is listed and credits nothing": """
        policy
        start ada p1
        paid p1 amount_minor=94     | ok why=wrong_amount  | ada=0 p1.payment=
        paid p1 amount_minor=96     | ok why=wrong_amount   | ada=0 .sales=0 p1.status=pending
        paid p1 currency=EUR        | ok why=wrong_currency | ada=0 .sales=0
        paid p1 payment=a           | ok                    | ada=100 .sales=95
        paid p1 payment=b           | ok why=paid_twice     | ada=100 .sales=95 entry.settled_by=
        paid p1 payment=b           | ok why=paid_twice     | ada=100 .sales=95
        paid p1 payment=a amount_minor=1 | ok why=wrong_amount | ada=100 .sales=95 p1.payment=a
        settle 0 note=sent_back     | ok                    | entry.settled_by=operator
        settle 0                    | -wrong_state          | entry.settled_note=sent_back
        settle 99                   | -unknown_entry
        suspend a_line why=bank     | ok subject=a_line why=bank | entry.subject=a_line
        settle 0 key=s              | ok
        settle 8 key=s              | -key_reused
    """,
    "what is ordered is checked, and kept only when the state forbids it": """
        policy shop.minimum_coins=50 shop.maximum_coins=200
        start ada p1 bundle=null coins=null | -invalid field=bundle
        start ada p1 bundle=small coins=60  | -invalid field=bundle
        start ada p1 bundle=huge            | -invalid field=bundle
        start ada p1 coins=49               | -invalid field=coins least=50 most=200
        start ada p1 coins=201              | -invalid field=coins
        start ada p1 adult=false            | +not_of_age
        freeze ada
        start ada p1                        | +account_frozen
        unfreeze ada
        start ada p1 coins=50               | ok price_minor=50 | p1.coins=50 p1.bundle=
        start ada p2 coins=200              | ok price_minor=200
        policy require_adult=false
        start bob p3 adult=false            | ok
        policy shop.coin_price_micros=9_001
        start bob p4 coins=111              | ok price_minor=100
        paid p1 amount_minor=50             | ok | ada=50 p1.price_minor=50
    """,
    "a price is the one of the moment of the order": """
        policy
        start ada p1 coins=100      | ok price_minor=100
        policy shop.coin_price_micros=20_000
        start ada p2 coins=100      | ok price_minor=200
        paid p1 amount_minor=200    | ok why=wrong_amount | ada=0
        paid p1 amount_minor=100    | ok                  | ada=100
    """,
    "the currency stays once money has moved, and an old order in another one is listed": """
        policy
        start ada p1
        start ada p2
        policy shop.currency=EUR    | ok
        paid p1                     | ok why=wrong_currency | ada=0 .sales=0
        paid p1 currency=EUR        | ok why=wrong_currency | ada=0 .sales=0
        policy shop.currency=USD    | ok
        paid p1                     | ok                    | ada=100 .sales=95
        policy shop.currency=EUR    | -wrong_currency currency=USD
        paid p2                     | ok                    | ada=200 .sales=190
    """,
    "a payment that failed and then came is taken": """
        policy
        start ada p1
        fail p1 reason=declined key=f | ok reason=declined | p1.status=failed
        fail p1 reason=expired        | replay             | p1.status=failed
        paid p1                       | ok                 | ada=100 p1.status=paid .sales=95
        fail p1 key=f reason=other    | -key_reused
    """,
    "a chargeback that overtakes its payment is remembered": """
        policy
        start ada p1
        grant ada 5
        chargeback p1 reason=fraud  | ok coins=0 amount_minor=0 debt_coins=0 \
                                    | ada=5 p1.status=pending p1.parked=fraud
        chargeback p1               | replay coins=0         | p1.parked=fraud
        paid p1                     | ok coins=0 | ada=5 ada.debt=0 .sales=0 .clearing=0 \
                                                   p1.status=charged_back ada.lots=
        paid p1                     | replay                 | ada=5 .sales=0
        paid p1 payment=b           | ok why=paid_twice      | ada=5
        chargeback p1               | replay                 | ada=5 ada.debt=0
        refund p1 coins=1           | -wrong_state status=charged_back
        start ada p2
        fail p2
        chargeback p2 reason=late   | ok                     | p2.status=failed p2.parked=late
        paid p2                     | ok coins=0             | p2.status=charged_back ada=5
        chargeback p9               | ok why=unknown_purchase
    """,
    "granted coins are spent first, then the oldest lot": """
        policy limits.first_day_coins=0
        room r1 cleo
        grant ada 30
        start ada p2
        start ada p1
        paid p2
        paid p1
        grant ada 20                | ok        | ada=250 ada.lots=p2:100,p1:100
        gift ada cake               | ok lots=  | ada=225 ada.lots=p2:100,p1:100
        gift ada cake               | ok lots=  | ada=200 ada.lots=p2:100,p1:100
        gift ada cake quantity=3    | ok lots=p2:75      | ada.lots=p2:25,p1:100
        grant ada 10
        gift ada cake quantity=2    | ok lots=p2:25,p1:15 | ada.lots=p1:85 ada=85
        gift ada rose quantity=85   | ok lots=p1:85      | ada.lots= ada=0
        gift ada rose               | +insufficient_coins
    """,
    "coins that come back go to the lot that they came from": """
        policy limits.first_day_coins=0
        room r1 cleo
        start ada p1
        start ada p2
        paid p1
        paid p2
        grant ada 20
        gift ada cake quantity=6    | ok seq=1 lots=p1:100,p2:30 | ada.lots=p2:70 ada=70
        retract r1:1                | ok debt_paid_coins=0       | ada.lots=p1:100,p2:100 ada=220
        gift ada cake               | ok seq=3 lots=p1:5         | ada.lots=p1:95,p2:100
        refund p1                   | ok coins=95 amount_minor=90 | ada=100 ada.lots=p2:100
        retract r1:3                | ok                         | ada.lots=p1:5,p2:100 ada=125
        gift ada cake               | ok seq=5 lots=p1:5
        refund p1 coins=5           | ok coins=5 amount_minor=5  | p1.status=refunded ada.lots=p2:95
        retract r1:5                | ok                         | ada.lots=p2:95 ada=120
    """,
    "coins of a lot that were refunded from elsewhere come back as granted ones": """
        policy limits.first_day_coins=0 clawback=full
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=4    | ok seq=1 lots=p1:100  | cleo~50000
        grant ada 60
        refund p1 coins=60          | ok debt_coins=0       | ada=0 ada.lots=
        retract r1:1                | ok                    | ada=100 ada.lots=p1:40 cleo~0
        chargeback p1               | ok coins=40 debt_coins=0 | ada=60 ada.lots=
        gift ada cake               | ok lots= seq=3        | ada=35 cleo~12500
        retract r1:3                | ok taken.pending=12500 | cleo~0
    """,
    "what is unspent is refunded, in parts that sum to the price": """
        policy
        start ada p1
        paid p1
        refund p1 coins=33 refund=f1 key=k | ok coins=33 amount_minor=31 balance_coins=67 \
                                   | ada=67 .sales=64 .clearing=-64 .sold=-67 \
                                     p1.refunded_coins=33 p1.refunded_minor=31 p1.status=paid \
                                     refund.status=requested refund.amount_minor=31
        refund p1 coins=33 refund=f2 key=k | replay refund=f1 amount_minor=31 | ada=67
        refund p1 coins=33         | ok amount_minor=31 | .sales=33 ada=34
        refund p1 coins=1          | ok amount_minor=1  | .sales=32
        refund p1 coins=1          | ok amount_minor=1  | .sales=31
        refund p1                  | ok coins=32 amount_minor=31 debt_coins=0 \
                                   | .sales=0 .clearing=0 .sold=0 ada=0 p1.refunded_minor=95 \
                                     p1.status=refunded ada.lots=
        refund p1                  | -wrong_state status=refunded
        chargeback p1              | ok why=refunded_before | ada=0 ada.debt=0 .sales=0
        refund p9                  | -unknown_purchase
        start ada p2
        refund p2                  | -wrong_state status=pending
    """,
    "a coin that is worth less than the smallest money is refunded without any": """
        policy shop.coin_price_micros=1_000
        start ada p1 coins=25           | ok price_minor=3
        paid p1 amount_minor=3
        refund p1 coins=8 refund=f1     | ok amount_minor=0 | .sales=3 refund.status=sent
        refund p1 coins=1               | ok amount_minor=1 | .sales=2 refund.status=requested
        sent newest                     | ok                | refund.status=sent
        sent newest                     | replay            | refund.status=sent
        sent f9                         | -unknown_refund
        refund p1 coins=1 sent=true     | ok amount_minor=0 | refund.status=sent
        refund p1 coins=7 sent=true     | ok amount_minor=1 | refund.status=sent .sales=1
        refund p1                       | ok coins=8 amount_minor=1 | .sales=0 p1.status=refunded
    """,
    "a refund of more than is unspent is owed, and one of more than is left moves nothing": """
        policy
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=3   | ok seq=1
        refund p1 coins=101        | -refund_too_large left_coins=100 | ada=25 .sales=95
        refund p1 coins=0          | -invalid field=coins             | ada=25
        refund p1 coins=-5         | -invalid field=coins             | ada=25
        refund p1                  | ok coins=25 debt_coins=0         | ada=0 ada.debt=0
        refund p1                  | -nothing_to_refund               | ada=0
        refund p1 coins=76         | -refund_too_large left_coins=75
        refund p1 coins=50 reason=kind | ok coins=50 debt_coins=50 balance_coins=0 \
                                   | ada.debt=-50 .sold=-25 cleo~37500
        gift ada rose              | +account_frozen coin_debt=50
        grant ada 30               | ok debt_paid_coins=30 balance_coins=0 | ada=0 ada.debt=-20
        gift ada rose              | +account_frozen coin_debt=20
        grant ada 30               | ok debt_paid_coins=20 balance_coins=10 | ada=10 ada.debt=0
        gift ada rose              | ok                               | ada=9
    """,
    "a refund takes the lot, then other coins, then a debt": """
        policy limits.first_day_coins=0
        room r1 cleo
        start ada p1
        start ada p2
        paid p1
        paid p2
        gift ada cake quantity=2   | ok lots=p1:50
        grant ada 5
        refund p1 coins=70         | ok debt_coins=0   | ada=85 ada.lots=p2:85
        refund p1 coins=30         | ok debt_coins=0   | ada=55 ada.lots=p2:55 p1.status=refunded
        refund p2 coins=100        | ok debt_coins=45  | ada=0 ada.debt=-45 ada.lots=
    """,
    "a chargeback takes what is unspent": """
        policy
        start ada p1
        paid p1
        chargeback p1 key=c        | ok coins=100 amount_minor=95 debt_coins=0 balance_coins=0 \
                                   | ada=0 ada.debt=0 .sales=0 .clearing=0 .sold=0 ada.lots= \
                                     p1.status=charged_back p1.clawback=unpaid
        chargeback p1 key=c        | replay coins=100
        chargeback p1              | replay coins=0     | ada=0 .sales=0
        paid p1                    | replay             | ada=0 .sales=0
    """,
    "what had been spent of it is owed, and new coins pay that first": """
        policy clawback=none
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=3   | ok
        chargeback p1              | ok coins=100 debt_coins=75 amount_minor=95 \
                                   | ada=0 ada.debt=-75 .sold=0 .sales=0 cleo~37500
        gift ada rose              | +account_frozen coin_debt=75
        start ada p2               | ok
        paid p2                    | ok debt_paid_coins=75 balance_coins=25 \
                                   | ada=25 ada.debt=0 ada.lots=p2:25 .sold=-100
        gift ada cake              | ok lots=p2:25
    """,
    "a retraction pays the debt": """
        policy clawback=full
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=2   | ok seq=1
        gift ada cake              | ok seq=2
        chargeback p1              | ok debt_coins=75 taken.0.pending=37500 | cleo~0
        retract r1:2               | ok debt_paid_coins=25 taken.pending=0 | ada.debt=-50 ada=0
        grant ada 10               | ok debt_paid_coins=10  | ada.debt=-40
        retract r1:1               | ok debt_paid_coins=40  | ada.debt=0 ada=10 ada.lots= cleo~0
    """,
    "a chargeback takes grants and other lots before it makes a debt": """
        policy limits.first_day_coins=0
        room r1 cleo
        start ada p1
        start ada p2
        paid p1
        gift ada cake quantity=4   | ok lots=p1:100
        grant ada 30
        paid p2                    | ok                | ada=130 ada.lots=p2:100
        chargeback p1              | ok debt_coins=0 balance_coins=30 | ada=30 ada.lots=p2:30
        chargeback p2              | ok debt_coins=70 | ada=0 ada.debt=-70 ada.lots=
    """,
    "a chargeback after a part was refunded takes the rest": """
        policy
        start ada p1
        paid p1
        refund p1 coins=33         | ok amount_minor=31
        chargeback p1              | ok coins=67 amount_minor=64 debt_coins=0 \
                                   | ada=0 .sales=0 .clearing=0 .sold=0 p1.refunded_coins=33
    """,
    "a dispute is about all of it, or about the rest after a part was refunded": """
        policy
        start ada p1
        paid p1
        chargeback p1 amount_minor=94 currency=USD | ok why=chargeback_differs | p1.status=paid
        chargeback p1 amount_minor=95 currency=EUR | ok why=chargeback_differs | p1.status=paid
        refund p1 coins=20         | ok amount_minor=19
        chargeback p1 amount_minor=75 currency=USD | ok why=chargeback_differs | ada=80
        chargeback p1 amount_minor=77 currency=USD | ok why=chargeback_differs | ada=80
        chargeback p1 amount_minor=19 currency=USD | ok why=chargeback_differs | ada=80
        chargeback p1 amount_minor=76 currency=USD | ok coins=80 amount_minor=76 debt_coins=0 \
                                   | ada=0 .sales=0 .clearing=0 .sold=0 p1.status=charged_back
        start bob p2
        paid p2
        refund p2 coins=20         | ok amount_minor=19
        chargeback p2 amount_minor=95 currency=USD | ok coins=80 amount_minor=76 | bob=0
    """,
    "of what a provider gave back, what is news is booked": """
        policy
        start ada p1
        seen p1 19                 | -wrong_state status=pending
        seen p9                    | -unknown_purchase
        seen null payment=x        | -unknown_purchase
        paid p1 payment=x
        seen p1 19 payment=x key=a | ok coins=20 amount_minor=19 balance_coins=80 debt_coins=0 \
                                   | ada=80 p1.refunded_minor=19 refund.status=sent .sales=76
        seen p1 19 payment=x key=a | replay coins=20             | ada=80
        seen p1 19 payment=x       | -nothing_to_refund          | ada=80
        seen p1 10 payment=x       | -nothing_to_refund          | ada=80
        seen null 38 payment=x     | ok coins=20 amount_minor=19 | ada=60 p1.refunded_coins=40
        refund p1 coins=10         | ok amount_minor=9           | p1.refunded_minor=47
        seen p1 47 payment=x       | -nothing_to_refund          | ada=50
        seen p1 48 payment=x       | ok why=refund_differs       | ada=50
        seen p1 96 payment=x       | ok why=refund_differs       | ada=50
        seen p1 66 payment=x currency=EUR | ok why=refund_differs | ada=50
        seen p1 19 payment=y       | ok why=refund_differs       | ada=50 p1.refunded_minor=47
        seen p1 95 payment=x       | ok coins=50 amount_minor=48 | ada=0 p1.status=refunded
        seen p1 95 payment=x       | -nothing_to_refund
        start bob p2
        paid p2 payment=z
        chargeback p2
        seen p2 19 payment=z       | -nothing_to_refund          | bob=0 bob.debt=0
        start eve p3
        fail p3
        seen p3 19                 | -wrong_state status=failed
    """,
    "what was spent of a refund that a provider tells is owed": """
        policy limits.first_day_coins=0
        room r1 cleo
        start ada p1
        paid p1
        gift ada cake quantity=4
        seen p1 19                 | ok coins=20 debt_coins=20 balance_coins=0 | ada.debt=-20
    """,
    "a chargeback is of the purchase that the payment paid": """
        policy
        start ada p1
        chargeback null payment=x  | -unknown_purchase
        paid p1 payment=x
        chargeback null payment=y  | -unknown_purchase          | ada=100
        chargeback p1 payment=y amount_minor=95 currency=USD | ok why=charged_back_second | ada=100
        chargeback null payment=x  | ok coins=100               | ada=0 p1.status=charged_back
        chargeback null payment=x  | replay coins=0
        won p1 payment=x           | ok why=chargeback_won      | ada=0 entry.settled_by=
        won null payment=x         | ok why=chargeback_won
        won null payment=z         | ok why=chargeback_won
        start ada p2
        chargeback p2 payment=v    | ok coins=0                 | p2.parked=fraudulent
        paid p2 payment=v          | ok coins=0                 | p2.status=charged_back ada=0
    """,
    "one pays only for gifts of the lot that was charged back": """
        policy limits.first_day_coins=0 clawback=full
        room r1 cleo
        room r2 dora
        start ada p1
        start ada p2
        grant ada 10
        paid p1
        paid p2
        gift ada cake room=r1 quantity=2   | ok seq=1 lots=p1:40         | cleo~25000
        gift ada cake room=r2 quantity=4   | ok seq=1 lots=p1:60,p2:40   | dora~50000
        gift ada cake room=r1              | ok seq=2 lots=p2:25         | cleo~37500
        chargeback p1 | ok debt_coins=65 coins=100 taken.0.creator=cleo taken.0.pending=20000 \
                           taken.1.creator=dora taken.1.pending=30000    | cleo~17500 dora~20000
        chargeback p2 | ok debt_coins=100 taken.0.pending=12500 taken.1.pending=20000 \
                                           | cleo~5000 dora~0 ada=0 ada.debt=-165
    """,
    "a wallet that cannot count more takes no payment": """
        policy
        grant ada 2^53-100
        start ada p1
        paid p1                    | ok why=wallet_full    | ada=2^53-100 p1.status=pending
        start bob p2
        paid p2                    | ok                    | bob=100
    """,
    "one proposes a correction, another decides": """
        policy
        grant ada 10
        propose ada coins 0                  | -invalid field=amount
        propose ada coins 2^53               | -invalid field=amount
        propose ada coins 5 actor=user:root  | ok | ada=10 correction.status=proposed
        decide 0 true actor=user:root        | -forbidden       | ada=10
        decide 0 true actor=user:boss key=d  | ok status=approved amount=5 account=coins \
                                             | ada=15 .corrected=-5 correction.decided_by=user:boss
        decide 0 true actor=user:boss key=d  | replay           | ada=15
        decide 0 true                        | -wrong_state     | ada=15
        decide 0 false                       | -wrong_state
        propose ada coins -16                | ok
        decide 0                             | -invalid balance=15 | ada=15
        decide 0 false actor=user:root       | ok status=rejected  | ada=15
        decide 0                             | -wrong_state
        decide 99                            | -unknown_correction
        propose eve coins -1
        decide 0                             | -invalid balance=0
    """,
    "a correction reaches coins, debts and diamonds": """
        policy limits.first_day_coins=0
        grant ada 5
        start ada p1
        paid p1
        propose ada coins -25                | ok
        decide 0                             | ok | ada=80 ada.lots=p1:80 .corrected=25
        propose ada coin_debt -7             | ok
        decide 0                             | ok | ada.debt=-7 .corrected=32
        propose ada coin_debt 8              | ok
        decide 0                             | -invalid balance=-7 | ada.debt=-7
        propose ada coin_debt 7              | ok
        decide 0                             | ok | ada.debt=0 .corrected=25
        propose cleo diamonds_available 900  | ok
        decide 0                             | ok | cleo.available=900
        propose cleo diamonds_available -901 | ok
        decide 0                             | -invalid balance=900
        propose cleo diamond_debt -3         | ok
        decide 0                             | ok | cleo.owed=-3
        propose dora diamond_debt 3          | ok
        decide 0                             | -invalid balance=0
        @9 propose bob coins 2^53-1          | ok
        decide 0                             | ok | bob=2^53-1 bob.since_ms=9
        propose bob coins 1                  | ok
        decide 0                             | -invalid balance=2^53-1
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])
