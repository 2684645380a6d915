"""The HTTP side: FastAPI, one file for each noun of FHIR's REST API."""
