"""Scenes of videos in the menus of Caja; the menus themselves are in scened_menu.py."""

import os
import sys

from gi.repository import GObject, Caja

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scened", "filemanagers"))
import scened_menu  # noqa: E402  (the path has to be known first)


class ScenedMenu(GObject.GObject, Caja.MenuProvider):
    # Older ones hand over their window first.
    def get_file_items(self, *args):
        return scened_menu.items(Caja.MenuItem, *scened_menu.file_items(args[-1]))

    def get_background_items(self, *args):
        return scened_menu.items(Caja.MenuItem, *scened_menu.background_items(args[-1]))
