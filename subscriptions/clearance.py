"""
Which security labels a client may see: https://hl7.org/fhir/R5/security-labels.html.

A label of confidentiality is compared by rank. One of sensitivity, one that forbids to disclose, and any label of a
system that isn't known here must be named. What says why something is there, how it is to be handled once it was
received, or that it is test data, keeps nothing from anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from subscriptions.labels import CONFIDENTIALITY, Labels, labels

#: The codes of `CONFIDENTIALITY` in force, from the least to the most.
RANKS = ("U", "L", "M", "N", "R", "V")

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

#: The policies of information sensitivity in `ACT_CODE` 9.0.0: all below `_InformationSensitivityPolicy`, with what
#: only holds them together, and SICKLE, which is retired.
SENSITIVE = frozenset(
    (
        "ADOL", "B", "BH", "CEL", "COGN", "DEMO", "DIA", "DOB", "DRGIS", "DVD", "EMOTDIS", "EMP", "EMPL", "ETH",
        "ETHUD", "GDIS", "GENDER", "HIV", "IDS", "LIVARG", "LOCIS", "MARST", "MH", "MST", "OPIOIDUD", "PATLOC", "PDS",
        "PHY", "PREGNANT", "PRS", "PSY", "PSYTHPN", "RACE", "REL", "SCA", "SDV", "SEX", "SICKLE", "SPI", "SSP", "STD",
        "SUD", "TBOO", "VIO", "VIP", "_ActInformationSensitivityPolicy", "_EntitySensitivityPolicyType",
        "_RoleInformationSensitivityPolicy",
    )
)  # fmt: skip

#: Policies of `ACT_CODE` by which something is not to be disclosed, or not without more than the hub can know; and
#: that single elements have labels, which the hub can't leave out.
BINDING = frozenset(
    ("NOAUTH", "NODSCLCD", "NODSCLCDS", "NOLIST", "NOMOU", "NOORGPOL", "NOPAT", "NOVIP", "ORCON", "PROCESSINLINELABEL")
)

#: What has to be named of `ACT_CODE`.
NAMED = SENSITIVE | BINDING

#: In a clearance: all labels, whatever they are.
EVERY = "*"

#: Systems of labels that keep nothing from anybody.
_OPEN = frozenset(
    (
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "http://terminology.hl7.org/CodeSystem/v3-ActUSPrivacyLaw",
        "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "http://terminology.hl7.org/CodeSystem/common-tags",
        "http://hl7.org/fhir/uv/security-label-ds4p/CodeSystem/security-label-ds4p-cs",
    )
)


@dataclass(frozen=True, slots=True)
class Clearance:
    """
    What a client is cleared for.

    rank: The highest confidentiality, one of RANKS. What has no label of confidentiality is `N`.
    codes: What it may see all the same: codes of NAMED, `system|code`, or EVERY.
    """

    rank: str = "N"
    codes: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """`R`, `R HIV PSY http://hospital.example/labels|staff`, `V *`. ValueError for anything else."""
        rank, *codes = text.split() or [""]
        if rank not in RANKS:
            raise ValueError(f"a clearance begins with one of {', '.join(RANKS)}, not with {rank[:20] or 'nothing'}")
        if unknown := next((code for code in codes if not _known(code)), None):
            raise ValueError(
                f"{unknown[:40]} is no sensitivity of v3-ActCode, such as HIV or PSY, and no label as system|code"
            )
        return cls(rank, frozenset(codes))

    def __str__(self) -> str:
        return " ".join((self.rank, *sorted(self.codes)))

    def covers(self, resource: Mapping[str, Any] | None) -> bool:
        """Whether a resource has no label beyond this. None, a resource that isn't there, keeps nothing back."""
        return resource is None or self.cover(labels(resource))

    def cover(self, found: Labels) -> bool:
        """Whether this covers a resource with these labels and no other."""
        ranked = any(system == CONFIDENTIALITY or (not system and code in RANKS) for system, code in found)
        return (ranked or self._reaches("N")) and all(self._covers(system, code) for system, code in found)

    def _reaches(self, rank: str) -> bool:
        return RANKS.index(rank) <= RANKS.index(self.rank)

    def _covers(self, system: str, code: str) -> bool:
        if system == CONFIDENTIALITY or not system:  # without a system it may be either
            if code in RANKS:
                return self._reaches(code)
            # HIV, PSY and some more were codes of this system too, and are retired. Others may mean anything.
            if system and not self._reaches("R"):
                return False
            return EVERY in self.codes or (code in NAMED and code in self.codes)
        if system in _OPEN or (system == ACT_CODE and code not in NAMED):
            return True
        return not self.codes.isdisjoint((EVERY, code if system == ACT_CODE else f"{system}|{code}"))


#: What whoever is granted nothing else has.
NORMAL = Clearance()

#: What everything may be seen with.
FULL = Clearance("V", frozenset({EVERY}))


def _known(code: str) -> bool:
    system, bar, local = code.partition("|")
    return code in NAMED or code == EVERY or bool(system and bar and local)
