"""The FHIR versions that the hub speaks, each behind the same face."""

from collections.abc import Mapping

from subscriptions.codes import FhirVersion
from subscriptions.versions.form import Form
from subscriptions.versions.r4 import R4
from subscriptions.versions.r4b import R4B
from subscriptions.versions.r5 import R5

FORMS: Mapping[FhirVersion, Form] = {form.version: form for form in (R4(), R4B(), R5())}
