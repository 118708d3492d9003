"""The menus of Nautilus, Nemo, Caja and Thunar, which load this through a file of a few lines each.

Runs in the file manager: nothing here waits. What a menu item does is done by `scened-desktop act` in a process of its own, which
also tells the user what hinders it. Which folders are indexed is asked of `scenectl`, and the main loop tells when it has answered
(a thread would not do: it runs only while the file manager is in Python code). Until it is known, or while the daemon is off, both
items of a folder are shown.
"""

import base64
import json
import os
import subprocess
import tempfile
import time

from gi.repository import GLib

_PREFIX = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", ".."))
_DESKTOP = os.path.join(_PREFIX, "libexec", "scened", "scened-desktop")
_SCENECTL = os.path.join(_PREFIX, "bin", "scenectl")

# How long an answer about the folders counts, and how long scenectl may take for it. Seconds.
_FRESH_S = 5
_LIMIT_S = 10

_FILM_ITEMS = [
    ("like", "Find Scenes Like This", "Shows scenes that look like this film"),
    ("scenes", "Show Scenes", "Shows the scenes of this video on a page"),
]
_SEARCH = ("search", "Search Videos Here…", "Finds scenes of the videos in this folder")
_INDEX = ("index", "Index This Folder", "Makes the videos in this folder searchable")
_UNINDEX = ("unindex", "Stop Indexing…", "Drops what is known of the videos in this folder")


def _start(arguments, stdout, done):
    """Starts a program, and calls `done` with whether it ended well."""
    child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True)

    def ended(_pid, status):
        # The main loop has reaped it: without this, Python would try again.
        child.returncode = status
        done(status == 0)

    GLib.child_watch_add(GLib.PRIORITY_DEFAULT, child.pid, ended)
    return child


class _Folders:
    """The folders that scened watches, as far as is known."""

    def __init__(self):
        self._known = None
        self._asked_at = float("-inf")
        self._asking = None

    def known(self):
        """A set of paths (bytes), or None; asks anew where the answer is old."""
        if self._asking is None and time.monotonic() - self._asked_at > _FRESH_S:
            self._ask()
        return self._known

    def forget(self):
        """Something was changed."""
        self._asked_at = float("-inf")

    def _ask(self):
        self._asked_at = time.monotonic()
        answer = tempfile.TemporaryFile()
        try:
            self._asking = _start([_SCENECTL, "folders", "--json"], answer, lambda is_well: self._answered(answer, is_well))
        except OSError:
            self._known = None
            return
        GLib.timeout_add_seconds(_LIMIT_S, self._give_up, self._asking)

    def _give_up(self, child):
        if self._asking is child:
            child.kill()
        return False

    def _answered(self, answer, is_well):
        self._known, self._asking = None, None
        with answer:
            try:
                if is_well:
                    answer.seek(0)
                    self._known = {_path(folder) for folder in json.load(answer)["folders"]}
            except (OSError, ValueError, KeyError, TypeError):
                # Of another version: nothing is known.
                pass


def _path(row):
    coded = row.get("path_bytes")
    return base64.b64decode(coded) if coded else os.fsencode(row["path"])


_folders = _Folders()


def file_items(selected):
    """What is offered for a selection: rows of action, label and tip, and the path they are for."""
    if len(selected) != 1:
        return [], None
    path = _local_path(selected[0])
    if path is None:
        return [], None
    if selected[0].is_directory():
        return _folder_rows(path), path
    if (selected[0].get_mime_type() or "").startswith("video/"):
        return _FILM_ITEMS, path
    return [], None


def background_items(folder):
    """The same for the folder that is shown."""
    path = _local_path(folder)
    return ([], None) if path is None else (_folder_rows(path), path)


def _folder_rows(path):
    known = _folders.known()
    if known is None:
        return [_SEARCH, _INDEX, _UNINDEX]
    return [_SEARCH, _UNINDEX if os.fsencode(os.path.realpath(path)) in known else _INDEX]


def _local_path(info):
    if info.get_uri_scheme() != "file":
        return None
    return info.get_location().get_path()


def run(action, path):
    """Starts an action."""
    try:
        _start([_DESKTOP, "act", action, path], subprocess.DEVNULL, lambda _is_well: _folders.forget())
    except OSError as error:
        print(f"scened: {_DESKTOP} cannot be started: {error}")


def items(make, rows, path):
    """Menu items of the file manager's own kind: `make` is its class."""
    made = []
    for action, label, tip in rows:
        item = make(name=f"Scened::{action}", label=label, tip=tip, icon="org.scened.Desktop")
        item.connect("activate", lambda _item, action=action: run(action, path))
        made.append(item)
    return made


# So that the first menu already knows.
_folders.known()
