"""The evidence behind a verdict, in words and a plot. Pure: a night in, text and pictures out."""

from calhard.explanation.explain import Explanation, explain_night

__all__ = ["Explanation", "explain_night"]
