"""Tools of the tests: a file of functions, some of which misbehave, and a forecast in this process."""

from typing import Annotated, Literal

from pydantic import Field

from ragkit.agents import Tool

FILE = '''
import time


def area(base: float, height: float) -> float:
    """Calculate the area of a triangle.

    Args:
        base: length of the base
        height: length of the height
    """
    return base * height / 2


def convert(amount: float, currency: str = "EUR") -> dict[str, float | str]:
    """Convert an amount of dollars into a currency."""
    return {"amount": amount * 0.9, "currency": currency}


def hang(seconds: int) -> str:
    """Wait for a number of seconds."""
    time.sleep(3600)
    return "done"


def spin(count: int) -> int:
    """Count without an end."""
    while True:
        count += 1


def flood(size: int) -> str:
    """Return a long text."""
    return "x" * 10_000_000


def fail(name: str) -> str:
    """Look up a name."""
    raise KeyError(name)


def leave(name: str) -> str:
    """End the process."""
    import os
    os._exit(3)


def lie(name: str) -> int:
    """Return a number."""
    return "no number"


def delete(path: str) -> str:
    """Delete a file."""
    open(path, "w").close()
    return "deleted"


delete.writes = True


def _helper(x):
    return x
'''


def forecast(
    city: Annotated[str, Field(description="Name of the city")], days: int = 1, unit: Literal["C", "F"] = "C"
) -> dict[str, str]:
    """Return the weather forecast for a city."""
    return {"city": city, "forecast": f"rain for {days} days, 12 {unit}"}


def email(to: str, text: str) -> str:
    """Send an email to a person."""
    raise AssertionError("must not run")


FORECAST = Tool.from_function(forecast)
EMAIL = Tool.from_function(email, name="send_email", writes=True)
