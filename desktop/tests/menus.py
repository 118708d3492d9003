"""The menus of Nautilus, Nemo and Caja without a file manager: what is offered for what, and what an item runs.

Called by session/menus.rs with the folder of a made-up installation, in which scened-desktop and scenectl write down their arguments.
"""

import os
import sys
import time
import types


class Loop:
    """The part of GLib that is used, as a main loop that turns when `wait_for` lets it."""

    PRIORITY_DEFAULT = 0
    children = {}

    @classmethod
    def child_watch_add(cls, _priority, pid, ended):
        cls.children[pid] = ended

    @staticmethod
    def timeout_add_seconds(_seconds, _callback, _argument):
        pass

    @classmethod
    def turn(cls):
        for pid, ended in list(cls.children.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del cls.children[pid]
                ended(pid, status)


repository = types.ModuleType("gi.repository")
repository.GLib = Loop
sys.modules["gi"] = types.ModuleType("gi")
sys.modules["gi.repository"] = repository

prefix = sys.argv[1]
sys.dont_write_bytecode = True
sys.path.append(os.path.join(prefix, "share", "scened", "filemanagers"))
import scened_menu  # noqa: E402


class Location:
    def __init__(self, path):
        self.path = path

    def get_path(self):
        return self.path


class Info:
    def __init__(self, path, mime="inode/directory", scheme="file"):
        self.path, self.mime, self.scheme = path, mime, scheme

    def get_uri_scheme(self):
        return self.scheme

    def get_location(self):
        return Location(self.path)

    def is_directory(self):
        return self.mime == "inode/directory"

    def get_mime_type(self):
        return self.mime


class Item:
    def __init__(self, **properties):
        self.properties = properties

    def connect(self, signal, callback):
        assert signal == "activate"
        self.activate = lambda: callback(self)


def offered(rows_and_path):
    return [row[0] for row in rows_and_path[0]]


def wait_for(what, look):
    deadline = time.monotonic() + 60
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited for {what}; last seen: {seen!r}"
        time.sleep(0.05)
        Loop.turn()
    return seen


film = Info(os.fsdecode(b"/f/-a $(x)\n\"'%F caf\xe9.mp4"), "video/mp4")
indexed, other = Info(os.path.join(prefix, "indexed")), Info(os.path.join(prefix, "other"))

# While scenectl is asked, which here lasts until it is let go, menus are there at once, with both items.
assert offered(scened_menu.file_items([other])) == ["search", "index", "unindex"]
open(os.path.join(prefix, "go"), "w").close()
wait_for("the folders", lambda: scened_menu._folders.known() is not None)
assert offered(scened_menu.file_items([indexed])) == ["search", "unindex"]
assert offered(scened_menu.background_items(indexed)) == ["search", "unindex"]
assert offered(scened_menu.file_items([other])) == ["search", "index"]

assert offered(scened_menu.file_items([film])) == ["like", "scenes"]
for nothing in ([], [film, film], [Info("/a.txt", "text/plain")], [Info("/a", None)], [Info("/a.mp4", "video/mp4", "sftp")], [Info(None)]):
    assert offered(scened_menu.file_items(nothing)) == [], nothing
assert offered(scened_menu.background_items(Info("/", scheme="trash"))) == []

items = scened_menu.items(Item, *scened_menu.file_items([film]))
assert [item.properties["label"] for item in items] == ["Find Scenes Like This", "Show Scenes"]
items[1].activate()
ran = wait_for("the item to run", lambda: os.path.exists(os.path.join(prefix, "ran")) and open(os.path.join(prefix, "ran"), "rb").read())
assert ran == b"act\0scenes\0" + os.fsencode(film.path) + b"\0", ran

# The daemon is off, or scenectl is gone: nothing is known, nothing breaks.
os.remove(os.path.join(prefix, "bin", "scenectl"))
scened_menu._folders.forget()
scened_menu.file_items([other])
wait_for("the folders to be unknown", lambda: scened_menu._folders.known() is None)
assert offered(scened_menu.file_items([other])) == ["search", "index", "unindex"]
os.remove(os.path.join(prefix, "libexec", "scened", "scened-desktop"))
items[0].activate()
