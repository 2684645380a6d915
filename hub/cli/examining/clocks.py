"""Whether clocks agree: tokens and signatures are good for minutes, and instants are compared."""

from hub.cli.examining.findings import Finding, fail, ok, warn

#: Seconds that clocks may be apart; and from where on signatures and tokens are refused here or there.
APART, FAR_APART = 2.0, 60.0


def drift(whose: str, theirs: float, ours: float, unsure: float) -> Finding:
    """
    How a clock agrees with that of this machine, both in seconds since 1970.

    unsure: Seconds by which that may be wrong.
    """
    apart = theirs - ours
    least = max(0.0, abs(apart) - unsure)
    if least <= APART:
        return ok("clock", f"{whose} and this machine agree within {abs(apart) + unsure:.1f} s")
    text = f"the clock of {whose} is {'ahead of' if apart > 0 else 'behind'} this machine's by {abs(apart):.0f} s"
    todo = "Have both machines keep time by NTP (chrony, systemd-timesyncd)."
    return fail("clock", text, todo) if least > FAR_APART else warn("clock", text, todo)
