"""Answers from flags and from a terminal. Without a terminal everything that is missing or wrong is one error."""

from __future__ import annotations

import getpass
import sys
import warnings
from collections.abc import Callable, Sequence

from connector_core.errors import ConfigError
from connector_core.redact import printable

Check = Callable[[str], str | None]
"""Takes an answer and says what is wrong with it, None when nothing is."""


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


class Questions:
    """Asks one thing after the other. An answer that a flag gave is not asked for, but checked like any other.

    On a terminal a wrong answer is explained and asked for again. Elsewhere nobody is asked: defaults are taken, and
    `settle` raises one `ConfigError` that names every flag that is missing or wrong.
    """

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal
        self._missing: list[str] = []
        self._wrong: list[ConfigError] = []

    def say(self, *lines: str) -> None:
        """Lines for whoever sits at the terminal; elsewhere nothing."""
        if self.terminal:
            for line in lines:
                print(printable(line), file=sys.stderr, flush=True)

    def ask(
        self,
        prompt: str,
        *,
        flag: str,
        given: str | None = None,
        default: str | None = None,
        shown: str = "",
        check: Check = lambda answer: None,
    ) -> str:
        """One answer, without blanks around it. `default` is taken for an empty one (None: there has to be an answer),
        `shown` is how the prompt tells it. Raises `EOFError` when the terminal ends."""
        while True:
            if given is None and self.terminal:
                offered = shown or default
                answer = self._line(f"{prompt}{f' [{offered}]' if offered else ''}: ")
            else:
                answer = given or ""
            answer = answer.strip() or (default or "")
            wrong = check(answer) if answer else None
            if (answer and wrong is None) or (not answer and default is not None):
                return answer
            if not self.terminal:
                if wrong is None:
                    self._missing.append(flag)
                else:
                    self.refuse(ConfigError(f"{flag} {wrong}", code="init_values"))
                return default or ""
            self.say(f"  {wrong or 'an answer is needed here'}")
            given = None

    def secret(self, prompt: str, *, flag: str, kept: bool = False) -> str:
        """One answer that is not shown while it is typed. With `kept` an empty one means the former answer ("")."""
        if not self.terminal:
            self._missing.append(flag)
            return ""
        while True:
            answer = self._hidden(f"{prompt} ({'Enter keeps it, ' if kept else ''}not shown): ").strip()
            if answer or kept:
                return answer
            self.say("  an answer is needed here")

    def choose(
        self, prompt: str, options: Sequence[str], *, flag: str, given: str | None = None, default: str | None = None
    ) -> str:
        """One of some words."""
        listed = ", ".join(options) or "none"

        def check(answer: str) -> str | None:
            return None if answer in options else f"should be one of: {listed}"

        shown = prompt if listed in prompt else f"{prompt} ({listed})"
        return self.ask(shown, flag=flag, given=given, default=default, check=check)

    def refuse(self, wrong: ConfigError) -> None:
        """Something that a flag gave and that no answer could mend. On a terminal it is raised at once, before more is
        asked; else by `settle`."""
        if self.terminal:
            raise wrong
        self._wrong.append(wrong)

    def settle(self) -> None:
        """Raise when something is missing or wrong: all of it."""
        if not self._missing and len(self._wrong) < 2:
            for only in self._wrong:
                raise only
            return
        needs = f"needs {', '.join(self._missing)}" if self._missing else ""
        told = [one.message + (f" - {one.hint}" if one.hint else "") for one in self._wrong]
        raise ConfigError(
            "; ".join(["init " + needs] * bool(needs) + told),
            hint="give them as options, or type the command on a terminal, where it asks" if needs else "",
            code="init_values",
        )

    def _line(self, prompt: str) -> str:
        print(printable(prompt), end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line

    def _hidden(self, prompt: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                return getpass.getpass(printable(prompt), stream=sys.stderr)
            except getpass.GetPassWarning:
                raise ConfigError(
                    "this terminal cannot hide what is typed",
                    hint="put the secret into a file or a variable and give KEY=file:PATH or KEY=env:NAME",
                    code="init_values",
                ) from None
