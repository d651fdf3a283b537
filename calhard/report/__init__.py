"""Reports of a night: text, HTML, terminal. Pure: a night in, text out."""

from calhard.report.html import html_report
from calhard.report.night import NightReport
from calhard.report.regression import regression_report
from calhard.report.summary import terminal_summary, verdict_sentence
from calhard.report.weekly import weekly_slo_report
from calhard.wording.names import display_name

__all__ = [
    "NightReport",
    "display_name",
    "html_report",
    "regression_report",
    "terminal_summary",
    "verdict_sentence",
    "weekly_slo_report",
]
