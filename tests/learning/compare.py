#!/usr/bin/env python3
"""Compares our forests with scikit-learn's on the same folds, in one run.

    tests/learning/compare.py [--seeds N] [--trees N] [--even] [--held-out TABLE]
                              [--label COLUMN [--capture COLUMN] [--tool COLUMN] [--leave-out COLUMN]...]
                              [--keep-missing] TABLE...

Without --label the tables are tables of windows; --even weighs our rows evenly and not by class; with --held-out that
table is asked about instead of folds. Our program (the binary `judge`) parts the rows, trains and answers, once for each
of N seeds (3 without --seeds); here scikit-learn's RandomForestClassifier, with the same seed, and IsolationForest are
trained on the same folds. What is told of single classes and tools is of the first seed. A scikit-learn that is not
installed is put into target/learning-venv by pip. Exit code: 0 our macro F1, in the mean of the seeds, is not below
theirs, 1 it is, 2 wrong usage, 3 there is no scikit-learn.
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


def need_sklearn():
    """Goes on in a virtual environment of its own where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        venv = TARGET / "learning-venv"
        if pathlib.Path(sys.prefix) == venv:
            # What pip left there is of no use: to go there again would never end.
            print(f"scikit-learn cannot be used in {venv}: remove that folder, then try again", file=sys.stderr)
            sys.exit(3)
        python = venv / "bin" / "python3"
        if not python.exists():
            print(f"scikit-learn is missing: installing it into {venv}", file=sys.stderr)
            install = [[sys.executable, "-m", "venv", venv], [python, "-m", "pip", "install", "-q", "scikit-learn"]]
            if any(subprocess.run(command).returncode != 0 for command in install):
                print(f"scikit-learn cannot be installed: see to it, remove {venv}, then try again", file=sys.stderr)
                sys.exit(3)
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


def benign_of(classes):
    """The number of the benign class, however a table writes it."""
    return next((number for number, name in enumerate(classes) if name.lower() == "benign"), None)


def score(truth, said, classes):
    from sklearn.metrics import f1_score

    benign = benign_of(classes)
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


def ask_both(args, trees, seed):
    """Both forests' answers for one seed, on the same folds."""
    import numpy

    with tempfile.TemporaryDirectory() as out:
        out = pathlib.Path(out)
        run_ours(out, [*args, "--seed", str(seed)])
        judged = json.loads((out / "judged.json").read_text())
        rows, folds, answers = (numpy.array(load(out / f"{name}.csv")) for name in ("rows", "folds", "answers"))
    values, labels = rows[:, :-2].astype("float32"), rows[:, -2].astype(int)
    by_rows, by_tool, answers = folds[:, 0].astype(int), folds[:, 1].astype(int), answers.astype(int)
    begun = time.monotonic()
    theirs = forest(values, labels, by_rows, trees, 100 * seed)
    return judged, values, labels, by_rows, by_tool, answers, theirs, time.monotonic() - begun


def main(args):
    # Advice to those who write their own parallel loops.
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    seeds = range(1, int(option(args, "--seeds", 3)) + 1)
    if "--seeds" in args:
        at = args.index("--seeds")
        del args[at : at + 2]
    trees = int(option(args, "--trees", 100))
    first, scores = None, []
    for seed in seeds:
        both = ask_both(args, trees, seed)
        first = first or both
        judged, _, labels, by_rows, _, answers, theirs, seconds = both
        asked, classes = by_rows >= 0, judged["classes"]
        said = (answers[asked, 0], answers[asked, 1], theirs[asked])
        scores.append((*(score(labels[asked], one, classes) for one in said), judged["seconds"], seconds))
    judged, values, labels, by_rows, by_tool, answers, _, _ = first
    asked, classes = by_rows >= 0, judged["classes"]
    print(f"{asked.sum()} rows asked of {len(labels)}, {len(classes)} classes, {values.shape[1]} features, {trees} trees\n")
    worse = tell(scores)
    tell_classes(judged, labels[asked], scores[0])
    if (benign := benign_of(classes)) is not None:
        found = strange(values, labels, by_rows, benign)
        tell_strange(classes, labels[asked], answers[asked, 3] > 0, found[asked])
    if (by_tool >= 0).any():
        tell_tools(judged, labels, by_tool, answers[:, 2], forest(values, labels, by_tool, trees, 0))
    return 1 if worse else 0


def tell(scores):
    """Whether our macro F1 is below theirs, both in the mean of the seeds."""
    print("| | macro F1 | weighted F1 | benign false positives | seconds |")
    print("|---|---|---|---|---|")
    row = lambda name, s, time: print(f"| {name} | {s[0]:.4f} | {s[1]:.4f} | {s[2]:.4%} | {time} |")
    for seed, (ours, plain, theirs, our_seconds, their_seconds) in enumerate(scores, 1):
        row(f"SmartFW, seed {seed}", ours, f"{our_seconds:.1f}, isolation forests included")
        row(f"SmartFW, seed {seed}, uncalibrated", plain, "")
        row(f"scikit-learn, seed {seed}", theirs, f"{their_seconds:.1f}")
    ours, theirs = (sum(score[of][0] for score in scores) / len(scores) for of in (0, 2))
    print(f"\nmacro F1 in the mean of {len(scores)} seeds: ours {ours:.4f}, theirs {theirs:.4f}")
    return ours < theirs


def tell_classes(judged, labels, scores):
    classes, (ours, _, theirs, _, _) = judged["classes"], scores
    print("\n| class | rows | F1 ours | F1 theirs |\n|---|---|---|---|")
    for at, number in enumerate(sorted(set(labels))):
        print(f"| {classes[number]} | {(labels == number).sum()} | {ours[3][at]:.4f} | {theirs[3][at]:.4f} |")
    for what in ("rows", "unknown"):
        tell_sure(what, judged[what]["sure"])


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
    if "-h" in sys.argv[1:] or "--help" in sys.argv[1:]:
        print(__doc__)
        sys.exit(0)
    if not sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    need_sklearn()
    sys.exit(main(sys.argv[1:]))
