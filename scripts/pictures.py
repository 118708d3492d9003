"""Types commands into scenectl and draws what it prints as a terminal in SVG, which plays once.

Usage: pictures.py HOME SVG, with a daemon that has indexed HOME/Videos (scripts/pictures.sh).
Where nothing plays, the whole session is seen.
"""

import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

COMMANDS = [
    'scenectl search "fox on the grass" -n 3',
    'scenectl search "violin in the woods" -n 3',
    'scenectl similar "Videos/wild animals.mp4@0:01" -n 3',
    'scenectl sheet "Videos/music and credits.mp4"',
]

COLUMNS = 92
LETTER_WIDTH, LINE_HEIGHT, FONT_SIZE, MARGIN = 8.4, 20, 14, 16
SECONDS_A_LETTER, SECONDS_TO_ANSWER, SECONDS_TO_READ = 0.05, 0.3, 1.6

# What the client uses of SGR, in colours that can be read on the dark ground.
STYLES = {"1": "font-weight:bold", "2": "fill:#8b949e", "31": "fill:#ff7b72", "32": "fill:#7ee787", "33": "fill:#e3b341", "34": "fill:#79c0ff"}
STYLES |= {"35": "fill:#d2a8ff", "36": "fill:#76e3ea", "90": "fill:#8b949e"}


def runs(text):
    """(style, text) of stretches that look alike."""
    style = []
    for part in re.split(r"(\x1b\[[0-9;]*m)", text):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if code:
            for number in code[1].split(";"):
                style = [] if number in ("", "0") else style + [STYLES.get(number, "")]
        elif part:
            yield ";".join(filter(None, style)), part


def broken(text):
    """Lines of runs, broken where the terminal ends."""
    for line in text.splitlines():
        row, width = [], 0
        for style, part in runs(line):
            while part:
                piece, part = part[: COLUMNS - width], part[COLUMNS - width :]
                row.append((style, piece))
                width += len(piece)
                if width == COLUMNS:
                    yield row
                    row, width = [], 0
        if row or not line:
            yield row


def row_of(pieces, y):
    spans, column = [], 0
    for style, piece in pieces:
        x = MARGIN + column * LETTER_WIDTH
        look = f' style="{style}"' if style else ""
        # The length is said so that columns stand one below the other in every font.
        length = f'textLength="{len(piece) * LETTER_WIDTH:.1f}"'
        spans.append(f'<tspan x="{x:.1f}" {length}{look}>{escape(piece)}</tspan>')
        column += len(piece)
    return f'<text y="{y}">{"".join(spans)}</text>'


def session(home):
    environment = os.environ | {"HOME": str(home), "CLICOLOR_FORCE": "1", "COLUMNS": str(COLUMNS)}
    told = set()
    for command in COMMANDS:
        # Both streams, as a terminal shows them; a note that was seen is left out.
        answer = subprocess.run(
            ["sh", "-c", command], cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        lines = answer.stdout.splitlines()
        yield command, list(broken("\n".join(line for line in lines if "note: " not in line or line not in told)))
        told.update(lines)


def draw(answers):
    parts, clips, y, now = [], [], MARGIN + FONT_SIZE, 0.5
    # Each with its own beginning, so that the length of the whole need not be known.
    for n, (command, rows) in enumerate(answers):
        letters = len(command) + 2
        width = letters * LETTER_WIDTH
        steps = ";".join(f"{min(MARGIN + (n_typed + 2) * LETTER_WIDTH, MARGIN + width):.1f}" for n_typed in range(len(command) + 1))
        duration = len(command) * SECONDS_A_LETTER
        clips.append(
            f'<clipPath id="c{n}"><rect x="0" y="{y - LINE_HEIGHT}" width="{MARGIN + width:.1f}" height="{LINE_HEIGHT * 1.5:.0f}">'
            f'<set attributeName="width" to="0" begin="0s" end="{now:.2f}s"/>'
            f'<animate attributeName="width" calcMode="discrete" values="{steps}" begin="{now:.2f}s" dur="{duration:.2f}s"/>'
            f"</rect></clipPath>"
        )
        parts.append(f'<g clip-path="url(#c{n})">{row_of([("fill:#7ee787", "$ "), ("fill:#e6edf3;font-weight:bold", command)], y)}</g>')
        now += duration + SECONDS_TO_ANSWER
        y += LINE_HEIGHT
        drawn = []
        for pieces in rows:
            drawn.append(row_of(pieces, y))
            y += LINE_HEIGHT
        parts.append(f'<g>{"".join(drawn)}<set attributeName="visibility" to="hidden" begin="0s" end="{now:.2f}s"/></g>')
        now += SECONDS_TO_READ
        y += LINE_HEIGHT // 2
    width, height = MARGIN * 2 + COLUMNS * LETTER_WIDTH, y - LINE_HEIGHT + MARGIN
    title = "A terminal in which scenectl is asked for scenes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" aria-label="{title}">'
        f"<title>{title}</title><style>text{{white-space:pre;font:{FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f'fill:#c9d1d9}}</style><defs>{"".join(clips)}</defs><rect width="100%" height="100%" rx="8" fill="#0d1117"/>{"".join(parts)}</svg>\n'
    )


def main():
    home, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.write_text(draw(session(home)), encoding="utf-8")


if __name__ == "__main__":
    main()
