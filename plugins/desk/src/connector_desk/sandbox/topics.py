"""What a case is about: its language, subject and texts, which its message and replies keep to."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

from .site import CasePlan, Site, rng_for
from .voices import LANGUAGES, Voice, voice
from .words import ODD_SENTENCES, ODD_SUBJECTS, pick

GLUE: Final = ("\r\n\r\n", "\n", "\r\n", "\n\n")
TWEET: Final = 140  # characters


class Topic(NamedTuple):
    """``language``: the code of the wire, or None; ``opening``: the customer's first sentence."""

    language: str | None
    subject: str
    opening: str

    @property
    def voice(self) -> Voice:
        """How people of this case write."""
        return voice(self.language)


def begin(plan: CasePlan, site: Site) -> tuple[Topic, Random]:
    """The topic of a seeded case, one subject in four being one that breaks loaders, and the random source that goes on
    with its message."""
    rng = rng_for(site.seed, "message", plan.id)
    language = pick(rng, LANGUAGES)
    subject, opening = pick(rng, voice(language).issues)
    if rng.random() < 0.25:
        subject = pick(rng, ODD_SUBJECTS)
    return Topic(language, subject, opening), rng


def letter(rng: Random, about: Topic, channel: str, *, answer: bool = False, first: bool = False) -> str:
    """The text of a message as its channel has it: mails with greeting and closing, Unix or Windows line ends; tweets
    short; chat, phone notes and posts in plain sentences. ``answer``: of an agent; ``first``: the case's message."""
    speaks = about.voice
    known = speaks.answers if answer else speaks.details
    sentences = [about.opening if first else pick(rng, known)]
    for _ in range(int(rng.random() * 3)):
        sentence = pick(rng, known)
        if sentence not in sentences:
            sentences.append(sentence)
    if rng.random() < 0.35:
        sentences.insert(int(rng.random() * (len(sentences) + 1)), pick(rng, ODD_SENTENCES))
    if channel == "twitter":
        return f"{'' if answer else '@acme '}{' '.join(sentences)}"[:TWEET]
    if channel == "email":
        return pick(rng, GLUE).join([speaks.greeting, " ".join(sentences), speaks.closing])
    return (" " if channel == "chat" else pick(rng, GLUE)).join(sentences)
