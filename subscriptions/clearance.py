"""
Which security labels a client may see: https://hl7.org/fhir/R5/security-labels.html.

A label of confidentiality is compared by rank, one of sensitivity must be named. Others (how to handle it, integrity,
test data) keep nothing from anybody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

#: https://terminology.hl7.org/CodeSystem-v3-Confidentiality.html, from the least to the most.
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RANKS = ("U", "L", "M", "N", "R", "V")

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

#: The policies of information sensitivity in `ACT_CODE`, below `_InformationSensitivityPolicy`.
SENSITIVE = frozenset(
    (
        "ETH", "GDIS", "HIV", "MST", "PREGNANT", "SCA", "SDV", "SEX", "SPI", "BH", "COGN", "DVD", "EMOTDIS", "MH",
        "PSY", "PSYTHPN", "SUD", "ETHUD", "OPIOIDUD", "STD", "TBOO", "VIO", "IDS", "SICKLE", "DEMO", "DOB",
        "GENDER", "LIVARG", "MARST", "RACE", "REL", "B", "EMPL", "LOCIS", "SSP", "ADOL", "CEL", "DIA", "DRGIS",
        "EMP", "PDS", "PHY", "PRS",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clearance:
    """
    What a client is cleared for.

    rank: The highest confidentiality, one of RANKS. What has no label of confidentiality is `N`.
    codes: Sensitive codes that it may see all the same.
    """

    rank: str = "N"
    codes: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """`R`, or `R HIV PSY`. ValueError for anything else."""
        rank, *codes = text.split() or [""]
        if rank not in RANKS:
            raise ValueError(f"a clearance begins with one of {', '.join(RANKS)}, not with {rank[:20] or 'nothing'}")
        if unknown := next((code for code in codes if code not in SENSITIVE), None):
            raise ValueError(f"{unknown[:40]} is no sensitivity of v3-ActCode, such as HIV or PSY")
        return cls(rank, frozenset(codes))

    def __str__(self) -> str:
        return " ".join((self.rank, *sorted(self.codes)))

    def covers(self, resource: Mapping[str, Any] | None) -> bool:
        """Whether a resource has no label beyond this. None, a resource that isn't there, has none."""
        return all(self._covers(system, code) for system, code in _labels(resource or {}))

    def _covers(self, system: str, code: str) -> bool:
        if system == CONFIDENTIALITY:
            # What isn't known of this system may mean anything.
            return code in RANKS and RANKS.index(code) <= RANKS.index(self.rank)
        return not (system == ACT_CODE and code in SENSITIVE) or code in self.codes


#: What whoever is granted nothing else has.
NORMAL = Clearance()

#: What everything may be seen with.
FULL = Clearance("V", SENSITIVE)


def _labels(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """System and code of each label, those of contained resources too."""
    parts = [resource, *(resource.get("contained") or [])]
    for part in parts:
        for label in (part.get("meta") or {}).get("security") or []:
            yield label.get("system", ""), label.get("code", "")
