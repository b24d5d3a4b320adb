"""Says at once, and in words, when this machine cannot run the gateway from a clone."""

import platform
import sys

problems = []
if sys.version_info < (3, 11):
    problems.append(f"Python 3.11 or newer is needed; this is {platform.python_version()}.")
if (platform.system(), platform.machine()) != ("Linux", "x86_64") or platform.libc_ver()[
    0
] != "glibc":
    problems.append(
        "Envoy's binary is for Linux on x86-64 with glibc; elsewhere use `docker compose up`."
    )
if problems:
    sys.exit("meshgate: " + " ".join(problems))
