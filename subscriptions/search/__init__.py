"""What a search parameter finds in a resource, and how values compare: https://hl7.org/fhir/R4/search.html."""
