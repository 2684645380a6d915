"""
What `/openapi.json` says of each kind of interaction: what it takes, what it answers. One table for each noun.

Tables, since handlers read bodies and headers by themselves, as FHIR has them, and FastAPI can't know of it.
"""
