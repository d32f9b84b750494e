#!/venv/bin/python
"""healthcheck: the image's health check. Asks the application whether it is ready, and says what a refusal says."""

import http.client
import os
import sys


def ask(port: int, path: str, timeout: float = 9) -> tuple[int | None, str]:
    """The status and the start of the answer; no status where there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return None, str(error)
    finally:
        connection.close()


def ask_image() -> tuple[int | None, str]:
    """Asks where the image's environment says that the application answers."""
    return ask(int(os.environ["FACECRAFT_PORT"]), os.environ["HEALTHCHECK_PATH"])


def main() -> int:
    status, text = ask_image()
    if status == 200:
        return 0
    print(text if status is None else f"{status} {text}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
