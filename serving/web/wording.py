"""How pages say moments, spans of time, ages and numbers, as Jinja filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from knowledge_base.language import Language


def moment(at: datetime) -> Markup:
    """A `time` element in UTC; the browser's script shows it in local time."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-local>{} UTC</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M")
    )


def span(length: timedelta | float, language: Language) -> str:
    """A span (timedelta or seconds) in its two largest units: 1 h 5 min, 1小时5分钟."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    minutes = int(abs(seconds) // 60)
    if minutes < 1:
        return "不到1分钟" if language == "zh" else "under 1 min"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    units = ("天", "小时", "分钟") if language == "zh" else (" d", " h", " min")
    parts = [f"{n}{unit}" for n, unit in zip((days, hours, minutes), units, strict=True) if n]
    return ("" if language == "zh" else " ").join(parts[:2])


def age(years: float, language: Language) -> str:
    """An age: in months below two years."""
    if years < 2:
        months = round(years * 12)
        return f"{months}个月" if language == "zh" else f"{months} months"
    return f"{years:g}岁" if language == "zh" else f"{years:g} years"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A number with at most `digits` decimals; a dash where there is none."""
    return "–" if value is None else f"{round(value, digits):g}"
