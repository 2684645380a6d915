"""
Builds every object of a process, once: the only place where settings meet clients.

`parts` is what every process has, `workers` what match, deliver and clock have beside it, `web` what the api has.
"""
