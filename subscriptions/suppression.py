"""What of one tenant and FHIR version is kept from some or all, by an operator's rules and by Consents."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.consent import Consent
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.filters import parse
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.compiling import criterion
from subscriptions.search.held import Held
from subscriptions.search.parameters import resource_types
from subscriptions.told import Recipient, Told
from subscriptions.withheld import Reason, Withheld


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What an operator has decided.

    criteria: As filters are written: `Immunization?patient=Patient/1`, or a type alone.
    client: Whom it is kept from; empty for everybody.
    """

    id: str
    criteria: str
    client: str = ""

    @property
    def type(self) -> str:
        return self.criteria.partition("?")[0]

    def compiled(self, context: Context) -> tuple[Criterion, ...]:
        """
        What a resource has to meet; none for all of the type.

        Raises:
            Rejected: It can't be evaluated.
        """
        type_, _, conditions = self.criteria.partition("?")
        return tuple(criterion(each, type_, context) for each in parse(self.criteria)) if conditions else ()

    @classmethod
    def checked(cls, id_: str, criteria: str, client: str, contexts: Iterable[Context]) -> Self:
        """
        Raises:
            Rejected: It can't be evaluated in one of the FHIR versions that have its type, or none has it.
        """
        rule = cls(id_, criteria.removesuffix("?"), client)
        known = [context for context in contexts if rule.type in resource_types(context.version)]
        if not known:
            raise Rejected(Issue(IssueCode.VALUE, f"`{rule.type[:60]}` is not a resource type"))
        for context in known:
            rule.compiled(context)
        return rule


@dataclass
class Suppression:
    """What is in force, of one tenant and FHIR version."""

    version: FhirVersion
    _rules: dict[str, list[Rule]] = field(default_factory=dict)
    _compiled: dict[Rule, tuple[Criterion, ...] | Rejected] = field(default_factory=dict)
    _context: Context | None = None
    _consents: dict[str, dict[str, Consent]] = field(default_factory=dict)
    _patients: dict[str, str] = field(default_factory=dict)

    def rule(self, rules: Iterable[Rule]) -> None:
        """Have these rules be all of them."""
        self._rules.clear()
        self._compiled.clear()
        for rule in rules:
            self._rules.setdefault(rule.type, []).append(rule)

    def consent(self, id_: str, consent: Consent | None) -> None:
        """Have a Consent be what it is now; None for one that denies nothing."""
        patient = self._patients.pop(id_, None)
        if patient is not None:
            of_patient = self._consents[patient]
            del of_patient[id_]
            if not of_patient:
                del self._consents[patient]
        if consent is not None:
            self._patients[id_] = consent.patient
            self._consents.setdefault(consent.patient, {})[id_] = consent

    @property
    def empty(self) -> bool:
        """Whether nothing is suppressed at all."""
        return not self._rules and not self._consents

    def concerns(self, types: Iterable[str]) -> bool:
        """Whether anything of these types may be suppressed: else nothing has to be asked of it."""
        return bool(self._consents) or any(type_ in self._rules for type_ in types)

    def withheld(self, told: Told, recipient: Recipient, context: Context, held: Held) -> Withheld | None:
        """Why something is kept from somebody. What can't be judged is."""
        for rule in self._rules.get(told.type, ()):
            if rule.client in ("", recipient.name) and (found := self._by(rule, told, context, held)):
                return found
        if self._consents:
            for patient in told.references & self._consents.keys():
                for consent in self._consents[patient].values():
                    if consent.denies(told, recipient):
                        return Withheld(Reason.CONSENT, f"Consent/{consent.id}")
        return None

    def _by(self, rule: Rule, told: Told, context: Context, held: Held) -> Withheld | None:
        criteria = self._understood(rule, context)
        if isinstance(criteria, Rejected):  # it was accepted when its ValueSet, say, was another one
            return Withheld(Reason.UNREADABLE, f"the rule {rule.id} can't be understood any more")
        try:
            # All versions are asked, so that what they want to know is fetched at once.
            met = [all(each.matches(version, held) for each in criteria) for version in told.versions]
        except EvaluationError:
            return Withheld(Reason.UNREADABLE, f"the rule {rule.id} can't be evaluated on it")
        # Without any version nobody can say.
        return Withheld(Reason.RULE, rule.id) if any(met) or not told.versions else None

    def _understood(self, rule: Rule, context: Context) -> tuple[Criterion, ...] | Rejected:
        if context is not self._context:
            self._context = context
            self._compiled.clear()
        if rule not in self._compiled:
            try:
                self._compiled[rule] = rule.compiled(context)
            except Rejected as rejected:
                self._compiled[rule] = rejected
        return self._compiled[rule]
