"""The well-known things that rules may name."""

from collections.abc import Mapping

from meshgate.config.snapshot import Detector
from meshgate.guardrails.credentials import API_KEY, JWT, PRIVATE_KEY
from meshgate.guardrails.matching import Matcher
from meshgate.guardrails.payment_data import CREDIT_CARD, IBAN
from meshgate.guardrails.personal_data import EMAIL, IP_ADDRESS, PHONE, US_SSN

DETECTORS: Mapping[Detector, tuple[Matcher, ...]] = {
    "secrets": (API_KEY, JWT, PRIVATE_KEY),
    "pii": (EMAIL, PHONE, CREDIT_CARD, IBAN, US_SSN, IP_ADDRESS),
    "api-key": (API_KEY,),
    "jwt": (JWT,),
    "private-key": (PRIVATE_KEY,),
    "email": (EMAIL,),
    "phone": (PHONE,),
    "credit-card": (CREDIT_CARD,),
    "iban": (IBAN,),
    "us-ssn": (US_SSN,),
    "ip-address": (IP_ADDRESS,),
}
