"""Scenes of videos in the menus of Thunar; the menus themselves are in scened_menu.py."""

import os
import sys

from gi.repository import GObject, Thunarx

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scened", "filemanagers"))
import scened_menu  # noqa: E402  (the path has to be known first)


def _item(tip, **rest):
    return Thunarx.MenuItem(tooltip=tip, **rest)


class ScenedMenu(GObject.GObject, Thunarx.MenuProvider):
    def get_file_menu_items(self, _window, files):
        return scened_menu.items(_item, *scened_menu.file_items(files))

    def get_folder_menu_items(self, _window, folder):
        return scened_menu.items(_item, *scened_menu.background_items(folder))
