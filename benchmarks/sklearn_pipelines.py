"""PCA, DigitVAE and raw pixels before the same classifiers, on the 5,000 digits that come with the package.

4,000 digits are fitted and 1,000 test digits named; codes are learned without labels. Medians over seeds, which PCA
(exact) and raw pixels do not depend on.
"""

from __future__ import annotations

import statistics
import time

from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import finish, peak_memory_mb
from digitvae.data import load_splits
from digitvae.estimator import DigitVAE

COMMAND = "python -m benchmarks.sklearn_pipelines"
SEEDS = (0, 1, 2)
LATENT = (2, 8)
EPOCHS = 60


def main() -> None:
    began = time.perf_counter()
    splits = load_splits("mnist-5k")
    digits = splits.train.followed_by(splits.validation)
    X, y = digits.images.reshape(len(digits), -1) / 255, digits.labels
    X_test, y_test = splits.test.images.reshape(len(splits.test), -1) / 255, splits.test.labels
    rows, accuracy = [], {}
    for name, codes, seeds in (
        ("raw pixels", lambda seed: "passthrough", SEEDS[:1]),
        *((f"PCA({n})", lambda seed, n=n: PCA(n), SEEDS[:1]) for n in LATENT),
        *((f"DigitVAE({n})", lambda seed, n=n: DigitVAE(n, epochs=EPOCHS, random_state=seed), SEEDS) for n in LATENT),
    ):
        found: dict[str, list[float]] = {"neighbours": [], "logistic": []}
        seconds = []
        for seed in seeds:
            start = time.perf_counter()
            features = make_pipeline(codes(seed), StandardScaler() if name != "raw pixels" else "passthrough")
            Z, Z_test = features.fit_transform(X), features.transform(X_test)
            seconds.append(time.perf_counter() - start)
            found["neighbours"].append(KNeighborsClassifier(10).fit(Z, y).score(Z_test, y_test))
            found["logistic"].append(LogisticRegression(max_iter=2000).fit(Z, y).score(Z_test, y_test))
        accuracy[name] = found
        rows.append([name, *(_shown(found[k]) for k in found), f"{statistics.median(seconds):.1f} s"])
    result = {
        "accuracy": accuracy,
        "epochs": EPOCHS,
        "seeds": list(SEEDS),
        "data": splits.sha256,
        "seconds": time.perf_counter() - began,
        "peak_memory_mb": peak_memory_mb(),
    }
    columns = ["features", "10 neighbours", "logistic regression", "fit and transform"]
    finish("sklearn_pipelines", COMMAND, result, columns, rows)


def _shown(values: list[float]) -> str:
    median = f"{100 * statistics.median(values):.1f} %"
    return median if len(values) == 1 else f"{median} ({100 * min(values):.1f} to {100 * max(values):.1f})"


if __name__ == "__main__":
    main()
