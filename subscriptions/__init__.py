"""
The FHIR Subscriptions framework without I/O: what a change means, whom it concerns, what is said to them.

Nothing in this package knows Redis, HTTP, a clock or dice: time and randomness are arguments. `hub` acts.
"""
