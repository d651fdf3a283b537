"""Random valid plans, as the settings of their constructor."""

from hypothesis import strategies as st

from calhard.plan import AuditPlan, MetricSpec, Override, Window
from calhard.plan.measuring import Measure
from calhard.plan.publishing import Mlflow
from calhard.plan.secret import MASK
from calhard.plan.sections import Alerts, Regression, Slos, Storage, Windows
from calhard.schema import HEADS

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda text: text != MASK
)
SHARES = st.floats(0.0, 1.0)
LEVELS = st.floats(1e-12, 1e12)
CHANCES = st.floats(1e-12, 1.0 - 1e-9)
DURATIONS = st.builds("{}{}".format, st.integers(1, 300), st.sampled_from("smhd"))


def maybe(strategy):
    return st.none() | strategy


@st.composite
def slos(draw):
    warn, fail = sorted(draw(st.tuples(SHARES, SHARES)))
    keys = ("aece_threshold", "dece_threshold", "alpha_threshold")
    return Slos(
        **{key: draw(LEVELS) for key in keys},
        clamp_rate_threshold=draw(SHARES),
        merged_bin_warn_threshold=warn,
        merged_bin_fail_threshold=fail,
        compliance_goal=draw(SHARES),
    )


@st.composite
def windows(draw):
    shared = {
        "clock_skew": draw(DURATIONS),
        "timezone": draw(maybe(st.sampled_from(["UTC", "Europe/Oslo"]))),
        "restart_on_deployment": draw(st.booleans()),
        "horizon": draw(st.sampled_from(["1h", "36h", "14d", "90m"])),
    }
    if draw(st.booleans()):
        pair = {"reference": draw(st.integers(10, 500)), "analysis": draw(st.integers(3, 500))}
        return Windows(**{k: Window.parse(v) for k, v in pair.items()}, **shared)
    night, analysis = sorted(draw(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6))))
    return Windows(
        reference=Window.parse(draw(DURATIONS)),
        analysis=Window.parse(f"{analysis}s"),
        night=Window.parse(f"{night}s"),
        **shared,
    )


@st.composite
def regressions(draw):
    rest = draw(st.lists(st.sampled_from(HEADS[1:]), unique=True))
    others = [draw(SHARES) for _ in HEADS[1:]]
    return Regression(
        significance_level=draw(CHANCES),
        fdr=draw(st.sampled_from(["bh", "by"])),
        max_p=draw(CHANCES),
        min_effect_size=draw(st.floats(0.0, 1e6)),
        heads=("level", *rest),
        head_weights=(draw(LEVELS), *others),
        lambda_cap=draw(st.floats(1.0, 1e6)),
    )


@st.composite
def metrics(draw):
    bound = draw(st.sampled_from(["drift", "level", "zero", "none"]))
    low, high = sorted(draw(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
    return MetricSpec(
        direction=draw(st.sampled_from(["higher_is_worse", "lower_is_worse", "away_is_worse"])),
        bound=bound,
        threshold=draw(LEVELS) if bound in {"drift", "level"} else None,
        low=low,
        high=high,
        importance=draw(LEVELS),
    )


overrides = st.builds(
    lambda model, class_, aece, clamp, effect: Override.model_validate(
        {
            "model": model,
            "class": class_,
            "aece_threshold": aece,
            "clamp_rate_threshold": clamp,
            "min_effect_size": effect,
        }
    ),
    TEXTS,
    TEXTS,
    maybe(LEVELS),
    maybe(SHARES),
    maybe(st.floats(0.0, 10.0)),
)

plans = st.builds(
    AuditPlan,
    fleet=TEXTS,
    expected_models=st.lists(TEXTS, max_size=3).map(tuple),
    retired_models=st.lists(TEXTS, max_size=3).map(tuple),
    enabled=st.booleans(),
    slos=slos(),
    alerts=st.builds(Alerts, cooldown_seconds=st.integers(0, 10**9)),
    windows=windows(),
    regression=regressions(),
    columns=st.dictionaries(st.sampled_from(["model_id", "aece", "tau"]), TEXTS),
    metrics=st.dictionaries(TEXTS.map("m {}".format), metrics(), max_size=2),
    overrides=st.lists(overrides, max_size=3).map(tuple),
    measure=st.builds(
        Measure,
        clamp_low=st.floats(0.0, 0.4),
        min_bin=st.integers(1, 10**9),
        c_hat=st.floats(0.1, 9.0),
        whole_model=st.sampled_from(["auto", "top_label", "pooled", "none"]),
        extras=st.permutations(["smooth_ece", "ecce", "spiegelhalter"]).map(tuple),
    ),
    storage=st.builds(Storage, keep=st.sampled_from(["all", "flagged"]), coverage_bound=SHARES),
    mlflow=st.builds(
        Mlflow, uri=st.none() | TEXTS, experiment=st.none() | TEXTS, retries=st.integers(0, 10)
    ),
    routes=st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.lists(TEXTS)), max_size=2),
)
