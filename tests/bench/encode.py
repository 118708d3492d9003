"""The encodings of the corpus: one FFmpeg process a file, fed with raw frames, and the times it gave them.

Knows codecs and containers, nothing of edits.
"""

import json
import subprocess
from dataclasses import dataclass

import numpy as np

CODECS = ("x264", "x264-gop", "x265", "vp9", "av1", "mpeg2i", "mjpeg", "vfr", "hdr-pq", "hdr-hlg")
CONTAINERS = {"x264": ("mp4", "mkv", "mov", "ts"), "x264-gop": ("mp4", "ts", "mkv"), "x265": ("mp4", "mkv"), "vp9": ("webm", "mkv"), "av1": ("mp4", "mkv"),
              "mpeg2i": ("ts", "mpg", "mkv"), "mjpeg": ("avi", "mov"), "vfr": ("mp4", "mkv"), "hdr-pq": ("mp4", "mkv"), "hdr-hlg": ("mp4", "mkv")}
SIZES = {"240p": (426, 240), "360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160), "portrait": (360, 640)}
# Frames are composited no larger than this and scaled up by the encoder's process, which adds grain at full size.
MOST_ROWS = 432
RATES = {23.976: "24000/1001", 29.97: "30000/1001"}
# Signals of rec. 2100: what a diffuse white of 203 cd/m² is, relative to the peak each transfer can carry.
PQ_WHITE, HLG_WHITE = 203 / 10000, 0.2649


@dataclass(frozen=True)
class Encoding:
    """How one file is encoded. `drop` is (offset, threshold) of the rule by which a variable rate leaves ticks out."""

    codec: str
    size_name: str
    fps: float
    container: str
    quality: int
    pulsing: bool
    grain: int
    drop: tuple = ()
    preset: str = ""

    @property
    def size(self):
        width, height = SIZES[self.size_name]
        if self.codec == "mpeg2i":
            width = width // 16 * 16
        return width, height

    @property
    def work_size(self):
        width, height = self.size
        if self.codec == "mpeg2i" or height <= MOST_ROWS or width < height:
            return width, height
        return width * MOST_ROWS // height // 2 * 2, MOST_ROWS

    def keeps(self, tick):
        """Whether a tick of the source is presented: all are, unless the rate varies."""
        if not self.drop:
            return True
        offset, threshold = self.drop
        return (tick * tick * 7 + tick * 13 + offset) % 17 > threshold or tick == 0


def rate(fps):
    return RATES.get(fps, str(fps))


def codec_options(encoding):
    width, height = encoding.size
    fps, quality = encoding.fps, encoding.quality
    second = max(1, round(fps))
    starved = ["-b:v", str(int(width * height * min(fps, 30) * 0.022)), "-g", str(second)]
    preset = encoding.preset or ("medium" if height * width <= 640 * 360 else "veryfast")
    if encoding.codec in ("x264", "vfr"):
        return ["-c:v", "libx264", "-preset", preset, *(starved if encoding.pulsing else ["-crf", str(quality)])]
    if encoding.codec == "x264-gop":
        gop = ["-g", str(second), "-keyint_min", str(second), "-sc_threshold", "0"]
        return ["-c:v", "libx264", "-preset", preset, *(starved[:2] if encoding.pulsing else ["-crf", str(quality)]), *gop]
    if encoding.codec in ("x265", "hdr-pq", "hdr-hlg"):
        tags = {"x265": "", "hdr-pq": ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", "hdr-hlg": ":colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"}
        speed = "ultrafast" if height >= 720 else "superfast"
        return ["-c:v", "libx265", "-preset", speed, *(starved if encoding.pulsing else ["-crf", str(quality + 3)]), "-x265-params", "log-level=error:pools=1:frame-threads=1" + tags[encoding.codec]] + (["-tag:v", "hvc1"] if encoding.container == "mp4" else [])
    if encoding.codec == "vp9":
        return ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", *(starved if encoding.pulsing else ["-b:v", "0", "-crf", str(quality + 8)])]
    if encoding.codec == "av1":
        return ["-c:v", "libsvtav1", "-preset", "12", "-crf", "58" if encoding.pulsing else str(quality + 10), "-g", str(4 * second), "-svtav1-params", "lp=1"]
    if encoding.codec == "mpeg2i":
        bits = int(width * height * fps * (0.06 if encoding.pulsing else 0.16))
        return ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", "1", "-g", "12", "-bf", "2", "-b:v", str(bits), "-maxrate", str(2 * bits), "-bufsize", str(2 * bits)]
    return ["-c:v", "mjpeg", "-q:v", "18" if encoding.pulsing else "4"]


def colour_filter(encoding):
    if encoding.codec in ("hdr-pq", "hdr-hlg"):
        transfer = "smpte2084" if encoding.codec == "hdr-pq" else "arib-std-b67"
        return "scale={w}:{h}:flags=bicubic:out_color_matrix=bt2020:out_range=tv", "yuv420p10le", ["-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", transfer, "-color_range", "tv"]
    matrix = "bt709" if encoding.size[1] >= 720 else "bt601"
    names = ["bt709"] * 3 if matrix == "bt709" else ["smpte170m"] * 3
    full = encoding.codec == "mjpeg"
    flags = "bicubic:interl=1" if encoding.codec == "mpeg2i" else "bicubic"
    scale = f"scale={{w}}:{{h}}:flags={flags}:out_color_matrix={matrix}:out_range={'pc' if full else 'tv'}"
    return scale, "yuvj420p" if full else "yuv420p", ["-colorspace", names[0], "-color_primaries", names[1], "-color_trc", names[2], "-color_range", "pc" if full else "tv"]


def hdr_tables():
    """sRGB code to light, and light to the code of each transfer (16 bit). ITU-R BT.2100, tables 4 and 5."""
    code = np.arange(256) / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    steps = np.linspace(0, 1, 4096) ** 2  # finer where it is dark
    y = (steps * PQ_WHITE) ** 0.1593017578125
    pq = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    e = steps * HLG_WHITE
    hlg = np.where(e <= 1 / 12, np.sqrt(3 * e), 0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-6)) + 0.55991073)
    return light, (pq * 65535).astype(np.uint16), (hlg * 65535).astype(np.uint16)


LIGHT, PQ, HLG = hdr_tables()
# BT.709 primaries to BT.2020 (ITU-R BT.2087).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32)


def to_hdr(frame, codec):
    """A frame as rec. 2100 signal. **Shape** `[h, w, 3]` u16."""
    light = LIGHT[frame] @ TO_2020.T
    return (PQ if codec == "hdr-pq" else HLG)[(np.sqrt(np.clip(light, 0, 1)) * 4095).astype(np.int32)]


class Encoder:
    """Feeds the ticks of one file to FFmpeg; a context manager."""

    def __init__(self, path, encoding):
        self.encoding = encoding
        (work_w, work_h), (width, height) = encoding.work_size, encoding.size
        hdr = encoding.codec.startswith("hdr")
        scale, pixels, colour = colour_filter(encoding)
        filters = []
        if encoding.drop:
            offset, threshold = encoding.drop
            filters.append(f"select='gt(mod(n*n*7+n*13+{offset},17),{threshold})+eq(n,0)'")
        if encoding.codec == "mpeg2i":
            filters.append("setfield=tff")
        filters += [scale.format(w=width, h=height), f"format={pixels}"]
        if encoding.grain:
            filters.append(f"noise=alls={encoding.grain}:allf=t:all_seed=7")
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb48le" if hdr else "rgb24", "-s", f"{work_w}x{work_h}", "-r", rate(encoding.fps), "-i", "-",
                   "-vf", ",".join(filters), "-fps_mode", "passthrough", "-threads", "1", *codec_options(encoding), *colour, str(path)]
        # SVT-AV1 writes its settings to standard error whatever the log level.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL if encoding.codec == "av1" else None)

    def write(self, frame):
        if self.encoding.codec.startswith("hdr"):
            frame = to_hdr(frame, self.encoding.codec)
        self.process.stdin.write(np.ascontiguousarray(frame).tobytes())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        if self.process.wait() != 0 and kind is None:
            raise RuntimeError("ffmpeg could not encode the film")


def presentation_times(path, fps):
    """The presentation time of every frame in order, with the container's start subtracted. **Units** seconds."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time:format=start_time,duration", "-of", "json", str(path)]
    probed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    start = float(probed["format"].get("start_time", 0))
    times = [packet["pts_time"] for packet in probed["packets"] if "pts_time" in packet]
    if len(times) < len(probed["packets"]):
        # A program stream tells the time of a packet's first frame alone; players count on from there at the steady rate.
        command[5:7] = ["-show_entries", "frame=best_effort_timestamp_time"]
        frames = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["frames"]
        times = []
        for frame in frames:
            times.append(float(frame.get("best_effort_timestamp_time", times[-1] + 1 / fps if times else start)))
    return sorted(float(time) - start for time in times), float(probed["format"].get("duration", 0))
