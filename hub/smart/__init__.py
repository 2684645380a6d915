"""
Tokens of SMART Backend Services: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html

`issuer` has the public keys of whoever issues them, `verifier` says what a token proves.
"""
