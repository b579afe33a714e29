#!/usr/bin/env python3
"""Compares our forests with scikit-learn's on the same folds, in one run.

    tests/learning/compare.py [--seeds N] [--trees N] [--even] [--held-out TABLE]
                              [--label COLUMN [--leave-out COLUMN]... [--keep-missing]] TABLE...

Without --label the tables are tables of windows; --even weighs our rows evenly and not by class; with --held-out that
table is asked about instead of folds. Our program (the binary `judge`) parts the rows, trains and answers;
here scikit-learn's RandomForestClassifier (N seeds, 3 without --seeds) and IsolationForest are trained on the same folds. A scikit-learn that is not
installed is put into target/learning-venv by pip. Exit code: 0 our macro F1 is not below theirs, 1 it is, 2 wrong usage.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# The seed alone moves either forest's macro F1 by about this much; see docs/learning.md.
SLACK = 0.002


def need_sklearn():
    """Goes on in a virtual environment of its own where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        python = TARGET / "learning-venv" / "bin" / "python3"
        if not python.exists():
            print(f"scikit-learn is missing: installing it into {python.parents[1]}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "scikit-learn"], check=True)
        os.execv(python, [python, *sys.argv])


def run_ours(out, args):
    command = os.environ.get("SMARTFW_JUDGE")
    command = [command] if command else ["cargo", "run", "-q", "--release", "-p", "smartfw-tests", "--bin", "judge", "--"]
    subprocess.run([*command, str(out), *args], check=True, cwd=ROOT)


def load(path):
    with open(path, newline="") as file:
        lines = csv.reader(file)
        next(lines)
        return [[float(field) for field in line] for line in lines]


def score(truth, said, classes):
    from sklearn.metrics import f1_score

    benign = next((n for n, name in enumerate(classes) if name.lower() == "benign"), None)
    of_benign = [s for t, s in zip(truth, said) if t == benign]
    wrong = sum(s != benign for s in of_benign) / max(len(of_benign), 1)
    each = lambda average: f1_score(truth, said, average=average, labels=sorted(set(truth)), zero_division=0)
    return each("macro"), each("weighted"), wrong, each(None)


def forest(values, labels, folds, trees, seed):
    """scikit-learn's answer for each row that is in a fold; -1 for the others."""
    import numpy
    from sklearn.ensemble import RandomForestClassifier

    said = numpy.full(len(labels), -1)
    for fold in sorted(set(folds[folds >= 0])):
        test = folds == fold
        model = RandomForestClassifier(n_estimators=trees, n_jobs=-1, random_state=seed + int(fold))
        said[test] = model.fit(values[~test], labels[~test]).predict(values[test])
    return said


def strange(values, labels, folds, benign):
    """What scikit-learn's isolation forest calls strange, 0.1 % of the benign training rows being so."""
    import numpy
    from sklearn.ensemble import IsolationForest

    said = numpy.zeros(len(labels), bool)
    for fold in sorted(set(folds[folds >= 0])):
        test = folds == fold
        model = IsolationForest(n_estimators=100, max_samples=256, contamination=0.001, random_state=1)
        model.fit(values[~test & (labels == benign)])
        said[test] = model.predict(values[test]) < 0
    return said


def option(args, name, default):
    return args[args.index(name) + 1] if name in args else default


def main():
    # Advice to those who write their own parallel loops.
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    args = sys.argv[1:]
    if not args or args[0] in ("-h", "--help"):
        print(__doc__)
        return 2
    seeds = [100 * n for n in range(int(option(args, "--seeds", 3)))]
    if "--seeds" in args:
        at = args.index("--seeds")
        del args[at : at + 2]
    trees = int(option(args, "--trees", 100))
    with tempfile.TemporaryDirectory() as out:
        out = pathlib.Path(out)
        run_ours(out, args)
        judged = json.loads((out / "judged.json").read_text())
        tables = [load(out / name) for name in ("rows.csv", "folds.csv", "answers.csv")]
    import numpy

    rows, folds, answers = (numpy.array(table) for table in tables)
    values, labels = rows[:, :-2].astype("float32"), rows[:, -2].astype(int)
    by_rows, by_tool, answers = folds[:, 0].astype(int), folds[:, 1].astype(int), answers.astype(int)
    classes, asked = judged["classes"], by_rows >= 0
    begun = time.monotonic()
    theirs = [forest(values, labels, by_rows, trees, seed)[asked] for seed in seeds]
    seconds = (time.monotonic() - begun) / len(theirs)
    print(f"{asked.sum()} rows asked of {len(labels)}, {len(classes)} classes, {values.shape[1]} features, {trees} trees\n")
    worse = tell(judged, labels[asked], answers[asked], theirs, seconds)
    if "benign" in classes:
        found = strange(values, labels, by_rows, classes.index("benign"))
        tell_strange(classes, labels[asked], answers[asked, 3] > 0, found[asked])
    if (by_tool >= 0).any():
        tell_tools(judged, labels, by_tool, answers[:, 2], forest(values, labels, by_tool, trees, 0))
    return 1 if worse else 0


def tell(judged, labels, answers, theirs, seconds):
    """Whether our macro F1 is below theirs."""
    classes = judged["classes"]
    ours, plain = (score(labels, answers[:, column], classes) for column in (0, 1))
    scores = [score(labels, said, classes) for said in theirs]
    print("| | macro F1 | weighted F1 | benign false positives | seconds |")
    print("|---|---|---|---|---|")
    row = lambda name, s, time: print(f"| {name} | {s[0]:.4f} | {s[1]:.4f} | {s[2]:.4%} | {time} |")
    row("SmartFW", ours, f"{judged['seconds']:.1f}, isolation forests included")
    row("SmartFW, uncalibrated", plain, "")
    for seed, s in enumerate(scores):
        row(f"scikit-learn, seed {seed}", s, f"{seconds:.1f}")
    mean = sum(s[0] for s in scores) / len(scores)
    print(f"\nmacro F1: ours {ours[0]:.4f}, theirs {mean:.4f} in the mean of {len(scores)} seeds")
    print("\n| class | rows | F1 ours | F1 theirs |\n|---|---|---|---|")
    for at, number in enumerate(sorted(set(labels))):
        print(f"| {classes[number]} | {(labels == number).sum()} | {ours[3][at]:.4f} | {scores[0][3][at]:.4f} |")
    for what in ("rows", "unknown"):
        tell_sure(what, judged[what]["sure"])
    return ours[0] < mean - SLACK


def tell_sure(what, sure):
    print(f"\n| ours, {what}: probability wanted | benign called an attack | attacks named |\n|---|---|---|")
    for one in sure:
        print(f"| {one['confidence']:.2f} | {one['benign_false_positives']:.3%} | {one['found']:.1%} |")


def tell_strange(classes, labels, ours, theirs):
    print("\n| called strange by the isolation forest | ours | theirs |\n|---|---|---|")
    for number, name in enumerate(classes):
        of = labels == number
        print(f"| {name} | {ours[of].mean():.2%} | {theirs[of].mean():.2%} |")


def tell_tools(judged, labels, by_tool, ours, theirs):
    print("\n| tool left out | class | rows | recall ours | theirs | called an attack, ours |\n|---|---|---|---|---|---|")
    # A fold without which there are no two classes is not asked, and not told about.
    asked = [fold for fold in sorted(set(by_tool[by_tool >= 0])) if (ours[by_tool == fold] >= 0).all()]
    for fold, group in zip(asked, judged["tools"]):
        of = by_tool == fold
        right = [(said[of] == labels[of]).mean() for said in (ours, theirs)]
        print(f"| {group['name']} | {group['class']} | {group['rows']} | {right[0]:.3f} | {right[1]:.3f} "
              f"| {group['called_attack']:.3f} |")


if __name__ == "__main__":
    need_sklearn()
    sys.exit(main())
