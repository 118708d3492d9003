"""Prints the copyright notices and licences of all crates that are in the programs, each text once, for who gets them built.

    python3 scripts/licences.py PACKAGE... > third-party-licences.txt

Of each crate it takes the files of its source that are called a licence, a notice or the like, also in folders of C and C++ code that it
brings. Crates without such a file are listed with what their Cargo.toml says.
"""

import hashlib
import json
import os
import re
import subprocess
import sys

NAMES = re.compile(r"(?i)^(un)?(licen[cs]e|copying|copyright|notice|third.?party.?notices?)([-._ ].*)?$")
# Source code that is about licences, and pictures, are none.
OTHERS = re.compile(r"(?i)\.(rs|py|c|cc|cpp|h|hpp|js|toml|json|html|png|svg|sh)$")


def linked_crates(roots):
    host = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host:"))
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    metadata = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [identity for identity in metadata["workspace_members"] if packages[identity]["name"] in roots]
    if len(waiting) != len(roots):
        sys.exit(f"licences: {roots} are not all packages of this workspace")
    seen = set()
    while waiting:
        identity = waiting.pop()
        # A procedural macro runs in the compiler; neither it nor what it needs is in a program.
        if identity in seen or any("proc-macro" in target["kind"] for target in packages[identity]["targets"]):
            continue
        seen.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    crates = [packages[identity] for identity in seen if packages[identity]["source"] is not None]
    return sorted(crates, key=lambda package: (package["name"], package["version"]))


def texts_of(folder):
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if NAMES.match(name) and not OTHERS.search(name):
                path = os.path.join(place, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    text = file.read().strip()
                if len(text) > 30:
                    yield os.path.relpath(path, folder), text


def main():
    texts, where, without = {}, {}, []
    crates = linked_crates(sys.argv[1:])
    for crate in crates:
        label = f"{crate['name']} {crate['version']}"
        found = list(texts_of(os.path.dirname(crate["manifest_path"])))
        if not found:
            without.append(f"{label}: {crate['license'] or 'no licence is named'}; {', '.join(crate['authors']) or 'no authors are named'}")
        for name, text in found:
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            texts.setdefault(key, text)
            where.setdefault(key, []).append(f"{label} ({name})")
    print(f"The programs of scened contain these {len(crates)} crates:\n")
    for crate in crates:
        print(f"  {crate['name']} {crate['version']}: {crate['license'] or 'see its text'}")
    print("\nand Rust's standard library, which is MIT OR Apache-2.0, copyright the Rust Project contributors.")
    if without:
        print("\nThe sources of these bring no text of their own; the texts of the licences they name are below, with other crates:\n")
        for line in without:
            print(f"  {line}")
    # By the first crate that has it, so that the same crates give the same file.
    for key in sorted(texts, key=lambda key: where[key]):
        print("\n" + "=" * 100 + "\n" + "\n".join(where[key]) + "\n" + "-" * 100 + f"\n{texts[key]}")


main()
