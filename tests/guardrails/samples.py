"""Things that detectors find. All of them are made up, or published as examples."""

import base64
import json

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n" * 3
    + ("-----END RSA PRIVATE KEY-----")
)


def jwt(header):
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{encoded}.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


JWT = jwt({"alg": "HS256", "typ": "JWT"})
MESHGATE_KEY = "mg-" + "abcdefghjkmnpqrstuv2" + "-" + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"

# By detector: what is found whole, wherever it stands between blanks.
POSITIVES = {
    "email": [
        "john.doe@example.com",
        "a@b.co",
        "first+tag@sub.mail.example.org",
        "müller@example.de",
        "o'neil_99@my-host.co.uk",
    ],
    "phone": [
        "+14155552671",
        "+1 (415) 555-2671",
        "+49 30 1234567",
        "+44 (0)20 7946 0958",
        "0049 171 1234567",
        "(415) 555-2671",
        "415-555-2671",
        "1-415-555-2671",
        "415.555.2671",
        "030 1234567",
        "0171/12345678",
        "020 7946 0958",
        "06 12 34 56 78",
        "01.23.45.67.89",
    ],
    "credit-card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "2223003122003222",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "6200000000000005",
        "4222222222222",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89370400440532013000",
        "GB82 WEST 1234 5698 7654 32",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
    ],
    "us-ssn": ["536-90-4399", "536 90 4399", "899-01-0001"],
    "ip-address": [
        "192.168.1.1",
        "8.8.8.8",
        "255.255.255.255",
        "2001:db8::ff00:42:8329",
        "fe80::1",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "::ffff:192.168.0.1",
    ],
    "api-key": [
        "sk-proj-abcDEF1234567890abcdefXYZ",
        "sk-ant-api03-abcDEF1234567890-abcdef_XYZ",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0123456789_abcdefgh",
        "xoxb-123456789012-abcdefGHIJKL",
        "hf_abcdefghijklmnopqrstuvwxyz012345",
        "glpat-abcDEF1234567890_xyz",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        MESHGATE_KEY,
    ],
    "jwt": [JWT],
    "private-key": [
        PEM,
        PEM.replace("RSA ", ""),
        PEM.replace("RSA ", "OPENSSH "),
        PEM.replace("\n", "\\n"),
        PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
        PEM.removesuffix("-----END RSA PRIVATE KEY-----").strip(),
    ],
}

# By detector: what looks like it and is something else.
NEAR_MISSES = {
    "email": ["john@localhost", "@example.com", "npm@1.2.3", "a@b", "user@", "a@b.c", "a @b.com"],
    "phone": [
        "2024-01-02",
        "01-02-2024",
        "01/02/2024 10:30",
        "12345678901",
        "4111 1111 1111 1111",
        "0012345678",
        "536-90-4399",
        "192.168.1.100",
        "100-200-3000",
        "A415-555-2671",
        "3.14159265358979",
        "10:20:30",
        "115-555-2671",
    ],
    "credit-card": [
        "4111111111111112",
        "1234567812345678",
        "0000000000000000",
        "411111111111111",
        "41111111111111111111",
        "x4111111111111111",
        "0.4111111111111111",
        "9999 9999 9999 9999",
    ],
    "iban": [
        "DE89370400440532013001",
        "XX89370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "AB12 this is only text 34",
    ],
    "us-ssn": [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "536-00-4399",
        "536-90-0000",
        "078-05-1120",
        "536-90 4399",
        "536904399",
        "1536-90-4399",
        "536-90-4399-1",
    ],
    "ip-address": [
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "01.02.03.04",
        "v1.2.3.4",
        "std::vector",
        "a::b",
        "::",
        "10:20:30",
        "aa:bb:cc:dd:ee:ff",
        "1:2:3:4:5:6:7:8:9",
    ],
    "api-key": [
        "sk-this-is-a-long-hyphenated-identifier",
        "sk-short",
        "risk-abcDEF1234567890abcdefXYZ",
        "AKIA1234",
        "ghp_short",
        "sk-00000000000000000000000",
        "hf_transformers",
        "mg-abc-def",
        "AIzaShort",
    ],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9", "eyJub3QganNvbg.eyJub3QganNvbg.abc", jwt({"typ": "x"})],
    "private-key": [
        "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEA0Z3VS5\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIEowIBAAKCAQEA0Z3VS5\n-----END PUBLIC KEY-----",
        "begins with -----BEGIN PRIVATE KEY----- and so on",
        "BEGIN RSA PRIVATE KEY",
    ],
}
MASKS = {
    "email": "[EMAIL]",
    "phone": "[PHONE]",
    "credit-card": "[CREDIT_CARD]",
    "iban": "[IBAN]",
    "us-ssn": "[US_SSN]",
    "ip-address": "[IP_ADDRESS]",
    "api-key": "[SECRET]",
    "jwt": "[SECRET]",
    "private-key": "[SECRET]",
}
EVERY_POSITIVE = [sample for samples in POSITIVES.values() for sample in samples]
EVERY_NEAR_MISS = [sample for samples in NEAR_MISSES.values() for sample in samples]
