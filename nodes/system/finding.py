"""What the doctor says about one thing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """mark: `ok`, `!!` (something must be done) or `--` (good to know)."""

    mark: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.about:<12} {self.text}"


def ok(about: str, text: str) -> Finding:
    """All is well with it."""
    return Finding("ok", about, text)


def fault(about: str, text: str) -> Finding:
    """Something must be done; the text says what."""
    return Finding("!!", about, text)


def news(about: str, text: str) -> Finding:
    """Good to know; nothing has to be done."""
    return Finding("--", about, text)
