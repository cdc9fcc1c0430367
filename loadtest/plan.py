"""What a run will do, decided before it starts: pure, so the same seed gives the same run.

The schedule is one sequence of gifts for the whole room: gift `n` is due `n / rate` seconds after
the start and its sender is the next in a shuffled round. Every gifter is therefore paced exactly
evenly, and 200 gifters at 2,000 gifts a second never ask for more than 10 a second each. Knows
no clock, no socket and no price list; the run's own name (`run`) is given, never made up here.
"""

import ipaddress
import random
from urllib.parse import urlsplit

import msgspec

VIEWERS_MAX = 200_000
GIFTERS_MAX = 20_000
RATE_MAX = 200_000.0
DURATION_S_MAX = 24 * 3600.0
IN_FLIGHT_MAX = 4_096
CHOICES = 1_000
"""Length of the seeded list of gifts that all gifters walk through, each from another place."""

LATE_S_MAX = 0.5
"""A gift that could not be offered half a second after it was due is held back, not offered late:
catching up in a burst would measure our own stall, and run into the server's rate limit."""

VIEWERS_PER_ADDRESS = 20_000
"""One source address has some 28,000 ports towards one server; stay well below."""

DESCRIPTORS_SPARE = 64


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `rate` is gifts per second of all gifters together; `run` names this run only."""

    url: str
    room: str
    run: str
    viewers: int = 100
    gifters: int = 10
    rate: float = 50.0
    duration_s: float = 10.0
    closed_loop: int = 0
    seed: int = 1
    gifts: tuple[str, ...] = ()
    quantity: int = 1
    taps: int = 8
    in_flight_max: int = 64
    reconnects: float = 0.0
    slow: int = 0
    connect_rate: float = 2_000.0
    drain_s: float = 15.0
    catch_up_s: float = 15.0
    coins_each: int = 0
    others: bool = False

    @property
    def connections(self) -> int:
        return self.viewers + self.gifters

    @property
    def gifts_due(self) -> int:
        """How many gifts the schedule holds; 0 in a closed loop, which has no schedule."""
        return 0 if self.closed_loop else int(self.rate * self.duration_s)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends gift `n`, and which gift a gifter's `k`-th one is."""

    round: tuple[int, ...]
    choices: tuple[str, ...]
    offsets: tuple[int, ...]
    taps: int

    def sender(self, n: int) -> int:
        return self.round[n % len(self.round)]

    def gift(self, sender: int, k: int) -> str:
        """Gifters tap the same gift `taps` times, as people do; that is what makes combos."""
        place = k // self.taps + self.offsets[sender]
        return self.choices[place % len(self.choices)]


def make_schedule(plan: Plan) -> Schedule:
    """Shuffle the gifters and draw the gifts, from the seed alone."""
    dice = random.Random(plan.seed)
    order = list(range(plan.gifters))
    dice.shuffle(order)
    choices = tuple(dice.choice(plan.gifts) for _ in range(CHOICES)) if plan.gifts else ()
    offsets = tuple(dice.randrange(CHOICES) for _ in range(plan.gifters))
    return Schedule(round=tuple(order), choices=choices, offsets=offsets, taps=plan.taps)


def due(plan: Plan, elapsed_s: float) -> int:
    """How many gifts are due by then: gift 0 at once, gift n after n / rate seconds."""
    if elapsed_s < 0 or plan.gifts_due == 0:
        return 0
    return min(plan.gifts_due, int(elapsed_s * plan.rate) + 1)


def gift_key(plan: Plan, n: int) -> str:
    return f"{plan.run}-{n}"


def gift_number(key: str) -> int | None:
    """The `n` of a key that `gift_key` made."""
    digits = key.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def gifter_name(plan: Plan, index: int) -> str:
    return f"{plan.run}-g{index}"


def gifter_index(plan: Plan, user: str | None) -> int | None:
    """Which gifter of this run that user is; None for everybody else."""
    prefix = f"{plan.run}-g"
    if user is None or not user.startswith(prefix):
        return None
    digits = user[len(prefix) :]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def viewer_name(plan: Plan, index: int) -> str:
    return f"{plan.run}-v{index}"


def slow_window_s(plan: Plan) -> tuple[float, float]:
    """When the slow viewers stop reading and when they read again, from the start."""
    begin = plan.duration_s * 0.1
    return begin, begin + min(30.0, plan.duration_s * 0.6)


def source_address(index: int, many: bool) -> str | None:
    """The loopback address that connection `index` comes from; None: let the system choose."""
    return f"127.0.0.{1 + index // VIEWERS_PER_ADDRESS}" if many else None


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def coins_needed(plan: Plan, dearest_coins: int) -> int:
    """What each gifter is granted, so that no gift of the plan can fail for want of coins."""
    if plan.coins_each:
        return plan.coins_each
    per_gifter = plan.gifts_due // max(plan.gifters, 1) + 1
    if plan.closed_loop:
        per_gifter = int(plan.duration_s * RATE_MAX) // max(plan.gifters, 1) + 1
    return per_gifter * plan.quantity * dearest_coins


def mistakes(plan: Plan, *, mine: bool, descriptors: int) -> list[str]:
    """Everything that is wrong with the plan, all at once, each a sentence for a person."""
    found = []
    parts = urlsplit(plan.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found.append(f"URL must look like http://127.0.0.1:8080, not {plan.url!r}.")
    elif not is_loopback(plan.url) and not mine:
        found.append(
            f"{parts.hostname} is not this machine. A load test takes a server down; "
            "add --yes-this-is-my-server when it is yours."
        )
    bounds = (
        ("--viewers", plan.viewers, 0, VIEWERS_MAX),
        ("--gifters", plan.gifters, 0, GIFTERS_MAX),
        ("--rate", plan.rate, 0, RATE_MAX),
        ("--duration", plan.duration_s, 0.1, DURATION_S_MAX),
        ("--closed-loop", plan.closed_loop, 0, IN_FLIGHT_MAX),
        ("--in-flight", plan.in_flight_max, 1, IN_FLIGHT_MAX),
        ("--quantity", plan.quantity, 1, 9_999),
        ("--taps", plan.taps, 1, 9_999),
        ("--reconnects", plan.reconnects, 0, 10_000),
        ("--slow", plan.slow, 0, plan.viewers),
        ("--connect-rate", plan.connect_rate, 1, 100_000),
    )
    found += [
        f"{name} must be between {low:g} and {high:g}, not {value:g}."
        for name, value, low, high in bounds
        if not low <= value <= high
    ]
    if plan.connections == 0:
        found.append("There is nobody: give --viewers or --gifters.")
    if plan.rate > 0 and plan.gifters == 0 and not plan.closed_loop:
        found.append("A --rate needs --gifters to send the gifts (or say --rate 0).")
    if plan.connections + DESCRIPTORS_SPARE > descriptors:
        found.append(
            f"{plan.connections} connections need more than the {descriptors} open files that "
            "this process may have; raise the hard limit (ulimit -Hn) or use fewer."
        )
    return found
