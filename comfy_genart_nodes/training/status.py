"""What a person wants to know of a run at work, or of one that has ended, as text."""

import time
from collections.abc import Mapping
from typing import Any

from .curves import Curve, curves
from .history import scores, spent_seconds
from .run_config import RunConfig
from .run_folder import RunFolder

NEWS = 6
_INCIDENTS = ("unreadable", "rate_lowered", "micro_batch")
RECENT = 20  # reports, for the speed
_EVERYDAY = ("progress", "samples", "checkpoint", "measures")
_MEASURES = (
    *("kid", "precision", "recall", "density", "coverage", "copying"),
    *("psnr", "ssim", "perceptual", "kl", "active"),
)
_BEST = {"kid": min, "psnr": max}
_LOSSES = {
    **{"loss_g": "loss G", "loss_d": "loss D", "real": "score of real pictures"},
    **{"fake": "of generated ones", "ada_p": "ADA p"},
    **{"pixel": "loss of pixels", "features": "of features", "nats": "nats a picture"},
    **{"critic": "loss of the critic"},
}
_SAID = {
    "started": "started",
    "resumed": "went on",
    "stopped": "stopped; what it reached is kept",
    "finished": "finished",
    "failed": "failed",
    "unreadable": "a checkpoint could not be read, the one before was taken",
    "rate_lowered": "losses went astray; went back and lowered the learning rate",
    "micro_batch": "memory was short; the batch is now worked on in parts",
}


def headline(run: RunFolder) -> str:
    """How a run stands, in one line."""
    events = run.events()
    return f"{run.path.name}: {_state(run, events)}, {done(run.config, _seen(events))}"


def standing(run: RunFolder) -> tuple[str, str, str]:
    """A run for a list: how far it is, its state, and the last of its scores, "" without any."""
    config, events = run.config, run.events()
    found = scores(events, config.SCORE)
    last = config.scored(found[max(found)]) if found else ""
    return done(config, _seen(events)), _state(run, events), last


def _seen(events: list[dict[str, Any]]) -> float:
    """Thousands of pictures that a run has seen."""
    return max((event.get("kimg", 0) for event in events[-RECENT:]), default=0)


def done(config: RunConfig, kimg: float) -> str:
    """How far a run is."""
    whole = config.last_step * config.batch / 1000
    return f"{kimg:.4g} of {whole:.6g} kimg ({100 * kimg / whole:.0f} %)"


def until(config: RunConfig) -> str:
    """When a run will stop, as its settings have it."""
    rules = [f"{config.last_step * config.batch / 1000:.6g} kimg (step {config.last_step})"]
    if config.hours is not None:
        rules.append(f"{config.hours:g} h of training")
    if config.plateau_kimg is not None:
        rules.append(f"{config.plateau_kimg:g} kimg without a better {config.SCORED}")
    more = ", whichever comes first" if len(rules) > 1 else ""
    return f"stops after {' or '.join(rules)}{more}"


def beyond(run: RunFolder) -> str:
    """That a run has seen more pictures than are asked for now, in a sentence; "" if it has not."""
    config, newest = run.config, run.checkpoints[-1:]
    step = max((int(path.stem.removeprefix("step")) for path in newest), default=0)
    if step <= config.last_step:
        return ""
    seen, asked = (count * config.batch / 1000 for count in (step, config.last_step))
    return (
        f"{run.path.name} has seen {seen:.6g} kimg already, more than the {asked:.6g} that are "
        f"asked for: it is finished; ask for more than {seen:.6g} to train it further"
    )


def ahead(config: RunConfig, step: int, speed: float, spent: float) -> str:
    """How fast a run is, and how long it has to go.

    Args:
        config: its settings.
        step: where it is.
        speed: pictures a second.
        spent: seconds that it has been trained.
    """
    left = (config.last_step - step) * config.batch / max(speed, 1e-9)
    if config.hours is not None:
        left = min(left, max(0.0, config.hours * 3600 - spent))
    return f"{speed:.3g} pictures/s, about {duration(left)} to go"


def describe(run: RunFolder) -> str:
    """How a run stands, how fast it is and what it measured last; then its latest news."""
    events = run.events()
    found = curves(events)
    lines = [headline(run), beyond(run), _pace(run, events, found)]
    lines += [_losses(found), _measures(found)]
    news = [event for event in events if event["event"] not in _EVERYDAY]
    lines += [_told(event) for event in news[-NEWS:]]
    return "\n".join(line for line in lines if line)


def notable(run: RunFolder) -> list[str]:
    """The last measures, and everything that is not as planned; a line each.

    Args:
        run: at work or not.
    """
    told = {event["event"]: measured(event) or incident(event) for event in run.events()}
    return [line for line in (*told.values(), skipped(run), beyond(run)) if line]


def skipped(run: RunFolder) -> str:
    """Which pictures could not be read, in a line; "" where all could."""
    names = run.data["skipped"]
    if not names:
        return ""
    more = "" if len(names) < 4 else f" and {len(names) - 3} more"
    return f"skipped, since unreadable: {', '.join(names[:3])}{more}"


def incident(event: dict[str, Any]) -> str:
    """An event that a person should know of, in a line without the time; "" for all others."""
    return _said(event) if event["event"] in _INCIDENTS else ""


def measured(event: dict[str, Any]) -> str:
    """Figures of an event "measures" in a line, the KID with its interval; "" for all others."""
    if event["event"] != "measures":
        return ""
    words = [f"{name} {_figure(event[name])}" for name in _MEASURES if name in event]
    if "kid_low" in event:
        words[0] += f" ({event['kid_low']:.3g} to {event['kid_high']:.3g})"
    seen_by = f", by {event['backbone']}" if "backbone" in event else ""
    return f"{', '.join(words)}{seen_by}"


def _figure(value: float) -> str:
    """Counts as they are, measures in three digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def losses(values: Mapping[str, float]) -> str:
    """Losses and what belongs to them, of a progress event or the last of curves, in a line."""
    words = [f"{label} {values[name]:.3g}" for name, label in _LOSSES.items() if name in values]
    return ", ".join(words)


def duration(seconds: float) -> str:
    """A time in its largest unit that says something."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _state(run: RunFolder, events: list[dict[str, Any]]) -> str:
    if run.training:
        return "training"
    last = events[-1]["event"] if events else "begun"
    if run.finished:
        rule = events[-1].get("rule") if events else None
        return f"finished by {rule} ({events[-1]['limit']:g})" if rule else "finished"
    if last == "failed":
        return "failed"
    return "stopped" if last in ("begun", "stopped", "finished") else "ended without a word"


def _pace(run: RunFolder, events: list[dict[str, Any]], found: dict[str, Curve]) -> str:
    """Step, speed, time left, time spent."""
    config, step = run.config, max((event.get("step", 0) for event in events[-RECENT:]), default=0)
    spent = spent_seconds(events)
    words = [f"step {step}"]
    speeds = found.get("pictures_per_second", Curve()).values[-RECENT:]
    if speeds and run.training:
        words.append(ahead(config, step, sum(speeds) / len(speeds), spent))
    return ", ".join([*words, f"trained for {duration(spent)}"])


def _losses(found: dict[str, Curve]) -> str:
    return losses({name: curve.values[-1] for name, curve in found.items()})


def _measures(found: dict[str, Curve]) -> str:
    words = [f"{name} {_figure(found[name].values[-1])}" for name in _MEASURES if name in found]
    for name, better in _BEST.items():
        if name in found:
            curve = found[name]
            best = better(range(len(curve.values)), key=curve.values.__getitem__)
            words.append(f"best {name} {curve.values[best]:.3g} at {curve.kimg[best]:.4g} kimg")
    return ", ".join(words)


def _told(event: dict[str, Any]) -> str:
    """One of the news, with its time."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(event["time"]))
    return f"{when}  {_said(event)}"


def _said(event: dict[str, Any]) -> str:
    """What happened, at which point of the run and why."""
    at = f" at {event['kimg']:.4g} kimg" if "kimg" in event else ""
    why = "".join(f": {event[name]}" for name in ("file", "reason") if name in event)
    return f"{_SAID.get(event['event'], event['event'])}{at}{why}"
