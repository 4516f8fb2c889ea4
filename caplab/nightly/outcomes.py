"""The result of an unattended run, by the exit codes of its commands, and what of it fails the job. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ..model.fields import FieldError


class Outcome(Enum):
    """The possible outcomes of a suite, or of its comparison with a baseline; the words that --fail-on takes."""

    INVALID = "invalid"  # a run broke what its row promises
    UNKNOWN = "unknown"  # a run proves nothing
    FAILED = "failed"  # the lab itself failed: there is no result
    REGRESSED = "regressed"  # a figure is worse than its baseline, by a rule that can be defended
    UNCOMPARED = "uncompared"  # a requested comparison could not be made


EVERY = tuple(outcome.value for outcome in Outcome)
DEFAULT_FAIL_ON = "invalid,unknown,failed,regressed"
NOTHING = "none"
MAX_BYTES = 1_000_000  # of a page: GitHub shows a step's summary of up to 1 MiB, and nothing of a larger one

# The titles of annotations: the outcome must be visible without opening a log.
TITLES: Mapping[Outcome, str] = {
    Outcome.INVALID: "caplab: a promise was broken",
    Outcome.UNKNOWN: "caplab: unknown",
    Outcome.FAILED: "caplab: the lab itself failed",
    Outcome.REGRESSED: "caplab: regression",
    Outcome.UNCOMPARED: "caplab: not compared",
}
_SENTENCES: Mapping[Outcome, str] = {
    Outcome.INVALID: "A run broke what its row of the table promises.",
    Outcome.UNKNOWN: "A run proves nothing, and none broke a promise; its reasons are in the summary.",
    Outcome.FAILED: "Nothing was learned about the databases. The log has a sentence with the hint.",
    Outcome.REGRESSED: "A figure is worse than in the baseline, or an expectation is violated.",
    Outcome.UNCOMPARED: "The comparison with the baseline could not be made.",
}
_OF_RUN = {0: None, 1: Outcome.INVALID, 2: Outcome.UNKNOWN}
_OF_COMPARISON = {0: None, 1: Outcome.REGRESSED, 2: None}
_WELL = {
    0: ", and nothing regressed",
    2: "; whether anything regressed is not known, usually because there are too few runs",
}
_EXIT_CODES = {
    Outcome.FAILED: 3,
    Outcome.INVALID: 1,
    Outcome.REGRESSED: 1,
    Outcome.UNKNOWN: 2,
    Outcome.UNCOMPARED: 2,
}


@dataclass(frozen=True, slots=True)
class Codes:
    """The exit codes of `caplab run` and `caplab compare`; None: the command was not called."""

    run: int
    compare: int | None = None

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return what is wrong, the suite's outcome first; an unknown exit code is a failure of the lab."""
        of_run = _OF_RUN.get(self.run, Outcome.FAILED)
        of_comparison = None if self.compare is None else _OF_COMPARISON.get(self.compare, Outcome.UNCOMPARED)
        return tuple(outcome for outcome in (of_run, of_comparison) if outcome)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcomes, and which of them fail the job."""

    outcomes: tuple[Outcome, ...]
    failing: tuple[Outcome, ...]

    @property
    def exit_code(self) -> int:
        """0 unless something fails the job, else as `caplab run` ends: 3 failed, 1 invalid or regressed, 2 unknown."""
        exit_codes = [_EXIT_CODES[outcome] for outcome in self.failing]
        return next((code for code in (3, 1, 2) if code in exit_codes), 0)


def wanted(text: str) -> frozenset[Outcome]:
    """Parse --fail-on, separated by commas or blanks ('none' alone: nothing); FieldError for an unknown word."""
    words = text.replace(",", " ").split()
    if words == [NOTHING]:
        return frozenset()
    unknown = [word for word in words if word not in EVERY]
    if unknown or not words:
        word = f"'{unknown[0]}'" if unknown else "nothing"
        raise FieldError(
            f"fail-on names {word}. Hint: use {', '.join(EVERY)}, separated by commas, or '{NOTHING}' alone."
        )
    return frozenset(Outcome(word) for word in words)


def judge(codes: Codes, fail_on: frozenset[Outcome]) -> Judgement:
    """Judge the exit codes: the outcomes, and which of them fail the job."""
    outcomes = codes.outcomes()
    return Judgement(outcomes, tuple(outcome for outcome in outcomes if outcome in fail_on))


def sentence(outcome: Outcome, codes: Codes) -> str:
    """Describe an outcome in one sentence, with the exit code behind it."""
    of_comparison = outcome in (Outcome.REGRESSED, Outcome.UNCOMPARED)
    command, code = ("caplab compare", codes.compare) if of_comparison else ("caplab run", codes.run)
    return f"{_SENTENCES[outcome]} ({command} ended with {code})"


def workflow_commands(judgement: Judgement, codes: Codes) -> list[str]:
    """Return GitHub's workflow commands: an error for what fails the job, a warning for the rest."""
    levels = {outcome: "error" if outcome in judgement.failing else "warning" for outcome in judgement.outcomes}
    return [
        f"::{level} title={_property(TITLES[outcome])}::{sentence(outcome, codes)}" for outcome, level in levels.items()
    ]


def _property(text: str) -> str:
    """Escape a property of a workflow command, in which a colon or a comma would end it."""
    return text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def in_words(judgement: Judgement) -> str:
    """List the outcomes, such as 'valid', or 'invalid, regressed'."""
    return ", ".join(outcome.value for outcome in judgement.outcomes) or "valid"


def plain(judgement: Judgement, codes: Codes) -> Sequence[str]:
    """Return what `workflow_commands` says, for a log without workflow commands."""
    lines = [f"{TITLES[outcome]}: {sentence(outcome, codes)}" for outcome in judgement.outcomes]
    return lines or [f"caplab: {all_is_well(codes)}"]


def all_is_well(codes: Codes) -> str:
    """Return the sentence for a run in which nothing is wrong, as far as the comparison can tell."""
    return "every run was as promised" + ("" if codes.compare is None else _WELL.get(codes.compare, ""))
