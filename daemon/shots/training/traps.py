"""Stretches of a shot, with what looks like a boundary in them and is none: flashes, exposure, overlays, fast cameras, passers-by.

Counts of frames follow from `fps`, so that a trap lasts as long at every frame rate.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pictures import draw_picture, to_ycbcr
from shots import GLIMPSE_SIZE, Defocus, Move, Passer, Shake, Sprite, eased

TRAPPED_SHARE = 0.6
# A text is what differs by so much from the luma of its corner.
TEXT_CONTRAST = 40


@dataclass(frozen=True)
class Flash:
    """Light on one frame: everywhere, or around a place (shares of the picture)."""

    strength: float
    place: tuple | None = None

    def light(self, glimpse):
        if self.place is None:
            glimpse[..., 0] = glimpse[..., 0] * 0.8 + self.strength
            glimpse[..., 1:] = 128 + (glimpse[..., 1:] - 128) * 0.6
            return
        width, height = GLIMPSE_SIZE
        rows, columns = np.mgrid[0:height, 0:width]
        distance = (columns / width - self.place[0]) ** 2 + (rows / height - self.place[1]) ** 2
        glimpse[..., 0] += self.strength * np.exp(-8 * distance)


@dataclass(frozen=True)
class Overlay:
    """A box or a text that appears before the picture and goes. Frames are those of the stretch, places pixels of the glimpse."""

    first: int
    last: int
    ramp_frames: int
    left: int
    top: int
    picture: np.ndarray
    opacity: float
    is_text: bool

    def lay(self, number, glimpse):
        shown = np.clip(min(number - self.first + 1, self.last - number) / self.ramp_frames, 0, 1)
        if not shown:
            return
        target = glimpse[self.top : self.top + self.picture.shape[0], self.left : self.left + self.picture.shape[1]]
        picture = self.picture[: target.shape[0], : target.shape[1]]
        share = self.opacity * shown
        if self.is_text:
            share = share * (np.abs(picture[..., :1] - self.picture[0, 0, 0]) > TEXT_CONTRAST)
        target[:] = target * (1 - share) + picture * share


class Stretch:
    """Consecutive frames of a shot, from frame `first` of it on, and what befalls them."""

    def __init__(self, rng, material, shot, first, n_frames):
        self.rng, self.material, self.shot = rng, material, shot
        self.first, self.n_frames, self.fps = first, n_frames, shot.fps
        self.gain, self.offset, self.gamma = np.ones(n_frames), np.zeros(n_frames), np.ones(n_frames)
        self.flashes, self.overlays, self.held = {}, [], set()

    def set_traps(self):
        """Adds one to three traps, or none."""
        if self.rng.random() >= TRAPPED_SHARE or self.n_frames <= self.fps * 0.6:
            return
        kinds, weights = zip(*TRAPS)
        # All are chosen before the first is set: a trap draws numbers of its own.
        n_traps = self.rng.choice([1, 1, 2, 3])
        chosen = [(kind, self.rng.randint(2, max(3, self.n_frames - 6))) for kind in self.rng.choices(kinds, weights, k=n_traps)]
        for kind, at in chosen:
            kind(self, at)

    def after(self, at, ramp_frames):
        """How far something has come in every frame that begins at `at`, not bounded. **Shape** `[n]`."""
        return (np.arange(self.n_frames) - at) / ramp_frames

    def seconds(self, at):
        return (self.first + at) / self.fps

    def flash(self, at):
        for number in range(at, at + self.rng.randint(1, max(1, min(4, int(self.fps * 0.12))))):
            strength = self.rng.uniform(60, 255)
            place = (self.rng.random(), self.rng.random()) if self.rng.random() < 0.35 else None
            self.flashes[number] = Flash(strength, place)

    def strobe(self, at):
        period = self.rng.randint(2, 6)
        for number in range(self.rng.randint(4, 20)):
            if number % period < max(1, period // 2):
                self.flashes[at + number] = Flash(self.rng.uniform(30, 160))

    def exposure_jump(self, at):
        ramp_frames = self.rng.choice([1, 1, 2, 5, int(self.fps * 0.5) + 1])
        change = self.rng.choice([self.rng.uniform(0.45, 0.8), self.rng.uniform(1.25, 2)]) - 1
        self.gain *= 1 + change * np.clip(self.after(at - 1, ramp_frames), 0, 1)
        if self.rng.random() < 0.4:
            back = at + ramp_frames + self.rng.randint(3, 40)
            self.gain /= 1 + change * np.clip(self.after(back - 1, ramp_frames), 0, 1)

    def exposure_ramp(self, at):
        """The light itself changes: slowly, with the contrast, and perhaps back again."""
        ramp_frames = int(self.rng.uniform(0.3, 2.5) * self.fps) + 2
        gain = self.rng.choice([self.rng.uniform(0.15, 0.85), self.rng.uniform(0.4, 0.85), self.rng.uniform(1.2, 2), self.rng.uniform(1.5, 3.2)])
        if self.rng.random() >= 0.5:
            self.gamma = np.exp(self.rng.gauss(0, 0.5) * np.clip(self.after(at, ramp_frames), 0, 1))
        done = eased(self.after(at, ramp_frames))
        if self.rng.random() < 0.5:
            done = done * (1 - eased(self.after(at + ramp_frames + self.rng.randint(0, 30), ramp_frames)))
        self.gain *= 1 + (gain - 1) * done
        self.offset += self.rng.uniform(-30, 30) * done

    def overlay(self, at):
        """A subtitle, a lower third or a box."""
        ramp_frames = self.rng.choice([1, 1, 1, 4, int(self.fps * 0.3) + 1])
        last = at + self.rng.randint(int(self.fps * 0.4) + 2, int(self.fps * 3) + 3)
        width, height = self.rng.uniform(0.1, 0.9), self.rng.uniform(0.05, 0.3)
        top = self.rng.choice([self.rng.uniform(0.6, 1 - height), self.rng.uniform(0, 1 - height)])
        self.add_overlay(at, last, ramp_frames, (width, height), top, self.rng.choice([1, 1, 0.7]), self.rng.random() < 0.4)

    def title(self, at):
        """Something large, more often letters than not."""
        ramp_frames = self.rng.choice([1, int(self.rng.uniform(0.2, 1.5) * self.fps) + 1])
        last = at + 2 * ramp_frames + self.rng.randint(int(self.fps * 0.5) + 2, int(self.fps * 3) + 3)
        width, height = self.rng.uniform(0.4, 1), self.rng.uniform(0.2, 0.7)
        self.add_overlay(at, last, ramp_frames, (width, height), self.rng.uniform(0, 1 - height), self.rng.choice([1, 0.8, 0.5]), self.rng.random() < 0.75)

    def add_overlay(self, at, last, ramp_frames, size, top, opacity, is_text):
        width_px, height_px = GLIMPSE_SIZE
        shown_size = max(2, int(size[0] * width_px)), max(2, int(size[1] * height_px))
        picture = to_ycbcr(cv2.resize(draw_picture(self.rng), shown_size, interpolation=cv2.INTER_AREA))
        left = self.rng.uniform(0, 1 - size[0])
        self.overlays.append(Overlay(at, last, ramp_frames, int(left * width_px), int(top * height_px), picture, opacity, is_text))

    def whip(self, at):
        across = self.rng.choice([-1, 1]) * self.rng.uniform(0.3, 1.2)
        self.shot.camera.moves.append(Move(self.seconds(at), self.rng.uniform(0.1, 0.35), across, self.rng.gauss(0, 0.1), 1))

    def pan(self, at):
        across = self.rng.choice([-1, 1]) * self.rng.uniform(0.3, 1.5) if self.rng.random() < 0.8 else 0.0
        self.shot.camera.moves.append(Move(self.seconds(at), self.rng.uniform(0.4, 2.5), across, self.rng.gauss(0, 0.6), self.rng.choice([1, 1, 0.7, 1.4])))

    def zoom(self, at):
        self.shot.camera.moves.append(Move(self.seconds(at), self.rng.uniform(0.15, 1.5), 0.0, 0.0, self.rng.choice([0.5, 0.65, 1.5, 1.9])))

    def shake(self, at):
        across, down = self.rng.uniform(0.02, 0.12), self.rng.uniform(0.02, 0.12)
        self.shot.camera.shakes.append(Shake(self.seconds(at), self.rng.uniform(0.3, 1.5), across, down, self.rng.uniform(0, 6)))

    def pass_by(self, at):
        self.shot.sprites.append(Sprite.passing(self.rng, self.material, self.seconds(at)))

    def come_close(self, at):
        self.shot.passers.append(Passer.random(self.rng, self.material, self.seconds(at)))

    def defocus(self, at):
        self.shot.defocused.append(Defocus(self.seconds(at), self.rng.uniform(0.4, 2.5), self.rng.uniform(2, 9)))

    def hold(self, at):
        """Frames are repeated, as in videos with a varying rate."""
        self.held.update(range(at, at + self.rng.randint(1, 6)))

    def glimpses(self):
        """Every frame. **Shape** of each: `[48, 64, 3]` f32 within 0 to 255."""
        shown = []
        for number in range(self.n_frames):
            if number in self.held and shown:
                shown.append(shown[-1].copy())
            else:
                shown.append(np.clip(self.glimpse(number), 0, 255))
        return shown

    def glimpse(self, number):
        glimpse = self.shot.frame(self.first + number)
        glimpse[..., 0] = glimpse[..., 0] * self.gain[number] + self.offset[number]
        if self.gamma[number] != 1:
            glimpse[..., 0] = 255 * (np.clip(glimpse[..., 0], 0, 255) / 255) ** self.gamma[number]
        for overlay in self.overlays:
            overlay.lay(number, glimpse)
        if number in self.flashes:
            self.flashes[number].light(glimpse)
        self.shot.grain.add(self.first + number, glimpse)
        return glimpse


# Each kind of trap with its weight: a detector errs most on what moves much.
TRAPS = (
    (Stretch.flash, 2), (Stretch.strobe, 1), (Stretch.exposure_jump, 2), (Stretch.exposure_ramp, 2), (Stretch.overlay, 2), (Stretch.title, 1), (Stretch.whip, 1), (Stretch.pan, 3),
    (Stretch.zoom, 1), (Stretch.shake, 2), (Stretch.pass_by, 1), (Stretch.come_close, 2), (Stretch.defocus, 1), (Stretch.hold, 1),
)


def play(rng, material, shot, first, n_frames):
    """The next frames of a shot, with traps or without."""
    stretch = Stretch(rng, material, shot, first, n_frames)
    stretch.set_traps()
    return stretch.glimpses()
