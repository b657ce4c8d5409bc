"""The parameters of a request that bound it in time: from which instant on, and up to which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

Form = Literal["epoch", "epoch_ms", "iso", "date"]
Write = Callable[[datetime | int], Any]


def written(value: datetime | int, form: Form | Write) -> Any:
    """A bound as the API wants it: Unix seconds, milliseconds, ISO 8601 in UTC, a date, or what a function makes of it.
    Numbers stay as they are."""
    if callable(form):
        return form(value)
    if not isinstance(value, datetime):
        return value
    if form == "epoch":
        return int(value.timestamp() // 1)
    if form == "epoch_ms":
        return int(value.timestamp() * 1000 // 1)
    at = value.astimezone(UTC)
    return at.date().isoformat() if form == "date" else f"{at.replace(tzinfo=None).isoformat()}Z"


def _check(what: str, param: object, form: object) -> None:
    if not isinstance(param, str) or not param:
        raise ValueError(f"{what}: it needs the name of a parameter, not {param!r}")
    if not callable(form) and form not in get_args(Form):
        raise ValueError(
            f"{what}({param!r}): form is {form!r}; it is one of {', '.join(get_args(Form))}, or a function"
        )


@dataclass(frozen=True)
class Since:
    """The parameter that asks for records from an instant (or number) on. `form`: Unix seconds, milliseconds, ISO 8601
    in UTC, a date, or a function. `exclusive`: the API leaves its own value out; then it is asked one `step` earlier (1
    for integers), so nothing is missed. Raises ValueError for what cannot work."""

    param: str
    form: Form | Write = "iso"
    exclusive: bool = False
    step: timedelta = timedelta(seconds=1)

    def __post_init__(self) -> None:
        _check("Since", self.param, self.form)
        if self.step <= timedelta(0):
            raise ValueError(f"Since({self.param!r}): step is {self.step}; it must be above 0")

    def params(self, value: datetime | int | None) -> dict[str, Any]:
        """The parameter for a lower end; nothing for None."""
        if value is None:
            return {}
        if self.exclusive:
            value = value - self.step if isinstance(value, datetime) else value - 1
        return {self.param: written(value, self.form)}


@dataclass(frozen=True)
class Until:
    """The parameter that asks for records up to the run's upper bound, which is fixed by the source's first answer (the
    first request goes without it): what changes while the run reads waits for the next one. `form` as for `Since`; a
    form that is coarser than the source's instants would ask for too little. Raises ValueError for what cannot work."""

    param: str
    form: Form | Write = "iso"

    def __post_init__(self) -> None:
        _check("Until", self.param, self.form)

    def params(self, value: datetime | None) -> dict[str, Any]:
        """The parameter for an upper bound; nothing for None."""
        return {} if value is None else {self.param: written(value, self.form)}
