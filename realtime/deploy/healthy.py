"""Checks the health of the image's container: exits 0 when its server is ready to speak, otherwise 1 with the reason.

It needs the standard library alone. The certificate is not checked: it is the server's own, asked on loopback.
"""

import os
import ssl
import sys
import urllib.request


def address() -> str:
    """Return the URL at which the server of this environment says whether it is ready."""
    scheme = "https" if os.environ.get("VOICED_TLS_CERT") else "http"
    return f"{scheme}://127.0.0.1:{os.environ.get('VOICED_PORT', '8080')}/readyz"


def main() -> int:
    """Ask the server whether it is ready; return 0 if it is, otherwise print why not and return 1."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(address(), timeout=4, context=anybody) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:  # urllib raises HTTPError, which is one, for the 503 while the engine loads
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
