"""One FHIR version each: its JSON to and from the version-neutral types. Nothing else knows a version."""
