"""Asks the demo's questions through scenectl and compares the answers with the library's truth file.

Usage: scripts/with_sample_library.sh demo.py TRUTH. Exit status 1 when an answer is wrong.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

# Each is one of the truth file's queries; the starter has seen none of the videos.
QUESTIONS = [
    "fox on the grass",
    "a taxi on a rainy day",
    "burger on yellow",
    "three red circles indoors",
    "football at the beach",
    "castle among the trees",
    "violin in the woods",
]


def scenes_that_answer(truth, question):
    """(path, start_ms, end_ms) of every scene that the truth file gives for the question."""
    return [
        (video["path"], scene["start_ms"], scene["end_ms"])
        for video in truth["videos"]
        for scene in video["scenes"]
        if question in scene["queries"] or question == scene["caption"]
    ]


def overlaps_by_half(hit, start_ms, end_ms):
    """Whether the hit's time range and the true one share at least half of the shorter of the two."""
    shared = min(hit["end_ms"], end_ms) - max(hit["start_ms"], start_ms)
    return shared * 2 >= min(hit["end_ms"] - hit["start_ms"], end_ms - start_ms) > 0


def clock(ms):
    return f"{ms // 60000}:{ms // 1000 % 60:02}.{ms // 100 % 10}"


def main():
    library, truth = Path(os.environ["SAMPLE_VIDEOS"]), json.loads(Path(sys.argv[1]).read_text())
    n_wrong = 0
    # The first answer's note (that the starter is in use) is the same for all of them.
    for n_asked, question in enumerate(QUESTIONS):
        right = scenes_that_answer(truth, question)
        if not right:
            sys.exit(f"demo: the truth file has no scene for {question!r}")
        print(f'\n$ scenectl search -n 3 "{question}"', flush=True)
        subprocess.run(["scenectl", "search", "-n", "3", question], check=False, stderr=subprocess.DEVNULL if n_asked else None)
        answer = subprocess.run(["scenectl", "search", "--json", "-n", "3", question], check=False, stdout=subprocess.PIPE)
        hits = json.loads(answer.stdout)["hits"] if answer.returncode == 0 else []
        best = hits[0] if hits else None
        if best and any(Path(best["path"]) == library / path and overlaps_by_half(best, start, end) for path, start, end in right):
            print("  right", flush=True)
            continue
        n_wrong += 1
        expected = " or ".join(f"{path} {clock(start)}-{clock(end)}" for path, start, end in right)
        print(f"  WRONG: the scene is {expected} (scenectl's exit status was {answer.returncode})", flush=True)
    print(f"\n{len(QUESTIONS) - n_wrong} of {len(QUESTIONS)} answers are right")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
