"""What a scikit-learn estimator is asked for: shares of classes, or what else it decides by."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError, first_line


def answers_of(estimator: Any, rows: NDArray[Any], file: Path) -> Any:
    """What the estimator is asked for, its labels, and notes on that."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):
        raise UnsupportedError(
            f"{file} tells several things apart at once ({len(classes)} outputs).",
            "Save the estimator of each output: model.estimators_[0].",
        )
    kinds = ("predict_proba", "decision_function", "score_samples")
    try:
        if classes is not None:
            labels = tuple(str(one) for one in classes)
            how = next((kind for kind in kinds if hasattr(estimator, kind)), "")
            if how == "predict_proba":
                shares = estimator.predict_proba(rows)
                many = estimator.predict(rows).ndim > 1  # several labels may be true at once
                if isinstance(shares, np.ndarray):
                    note = () if many else own_choice(estimator, shares, rows)
                    return estimator.predict_proba, () if many else labels, note
            if how == "decision_function":
                said = ("It has no shares of classes: the largest of its scores decides.",)
                return lambda x: scores(estimator.decision_function(x)), labels, said
            raise UnsupportedError(
                f"{file} holds {type(estimator).__name__}, which gives neither shares nor scores.",
                "Wrap it in sklearn.calibration.CalibratedClassifierCV.",
            )
        if hasattr(estimator, "cluster_centers_"):
            centres = tuple(str(i) for i in range(len(estimator.cluster_centers_)))
            return lambda x: -estimator.transform(x), centres, ("Scores are distances, negated.",)
        if hasattr(estimator, "decision_function"):
            said = ("A score below 0 is an outlier.",)
            return lambda x: column(estimator.decision_function(x)), (), said
        if hasattr(estimator, "predict"):
            return lambda x: column(estimator.predict(x)), (), ()
        return lambda x: dense(estimator.transform(x)), (), ()
    except (UnsupportedError, MemoryError):
        raise
    except Exception as error:  # an estimator whose parts do not fit each other
        raise UnsupportedError(
            f"{file} holds {type(estimator).__name__} that does not answer: "
            f"{first_line(error)[:200]}.",
            "Try model.predict on an array of numbers where it was made, and save it again.",
        ) from error


def own_choice(estimator: Any, shares: NDArray[Any], rows: NDArray[Any]) -> tuple[str, ...]:
    """Support vectors and others choose by something else than their shares: that is said."""
    chosen = estimator.classes_[np.argmax(shares, axis=1)]
    apart = float(np.mean(chosen != estimator.predict(rows)))
    if not apart:
        return ()
    return (f"Its predict() differs from its own largest share in {apart:.1%} of rows; "
            "here the largest share decides.",)  # fmt: skip


def scores(found: NDArray[Any]) -> NDArray[Any]:
    """A score for each class: of two, the second's and its negative."""
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found


def column(found: NDArray[Any]) -> NDArray[Any]:
    return found.reshape(len(found), -1)


def dense(found: Any) -> NDArray[Any]:
    return column(np.asarray(found.todense() if hasattr(found, "todense") else found))
