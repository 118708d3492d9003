"""Speed of embedding: scened's embed worker against ONNX Runtime driven from Python, with the same file, the same threads and the same
pictures, taking turns in one run.

    python embed.py --bench target/release/examples/embed_bench MODEL_FOLDER... [--rounds N] [--threads N] [--out FILE]

Needs onnxruntime, numpy and tokenizers (requirements.txt). "Python" normalises 8-bit pictures with numpy and runs the session, 16 at
once; its session has ONNX Runtime's own settings but for the threads. Figures are medians of the rounds.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy
import onnxruntime
from tokenizers import Tokenizer

BATCH = 16
N_FRAMES = 48
N_TEXTS = 100


class Ours:
    """An embed_bench that answers commands."""

    def __init__(self, program, folder, data, threads):
        environment = {**os.environ, "SCENED_BENCH_THREADS": str(threads), "SCENED_BENCH_PROVIDERS": "cpu"}
        self.process = subprocess.Popen(
            [program, folder, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"embed_bench ended at {command!r}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Python:
    """The same towers, driven from here."""

    def __init__(self, model, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        open_tower = lambda tower: onnxruntime.InferenceSession(model["files"][tower], options, providers=["CPUExecutionProvider"])
        self.vision, self.text = open_tower("vision"), open_tower("text")
        self.model = model
        self.tokenizer = Tokenizer.from_file(model["files"]["tokenizer"])
        side = (BATCH, model["image"]["height_px"], model["image"]["width_px"], 3)
        self.pictures = numpy.random.default_rng(0).integers(0, 256, side, dtype=numpy.uint8)
        pixels = model["pixels"]
        self.scale = (pixels["rescale"] / numpy.array(pixels["std"])).astype(numpy.float32)
        self.shift = (numpy.array(pixels["mean"]) / numpy.array(pixels["std"])).astype(numpy.float32)
        self.pixels_name = self.vision.get_inputs()[0].name
        self.batch = self.vision.get_inputs()[0].shape[0]
        self.batch = self.batch if isinstance(self.batch, int) else BATCH

    def frames(self, n):
        began = time.perf_counter()
        for _ in range(n // self.batch):
            tensor = numpy.ascontiguousarray((self.pictures[: self.batch] * self.scale - self.shift).transpose(0, 3, 1, 2))
            self.vision.run(None, {self.pixels_name: tensor})
        return n / (time.perf_counter() - began)

    def texts(self, n):
        """Milliseconds of each; padded as the daemon pads."""
        waits = []
        spec = self.model["text"]
        for k in range(n):
            began = time.perf_counter()
            ids = self.tokenizer.encode(f"a picture of number {k} in the snow").ids
            shape = self.text.get_inputs()[0].shape[1]
            length = shape if isinstance(shape, int) else (len(ids) if spec["padding"] == "real-length" else spec["context_length"])
            row = numpy.array([ids[:length] + [0] * (length - len(ids))])
            feed = {}
            for port in self.text.get_inputs():
                kind = numpy.int32 if "int32" in port.type else numpy.int64
                feed[port.name] = (numpy.ones_like(row) if port.name == "attention_mask" else row).astype(kind)
            self.text.run(None, feed)
            waits.append((time.perf_counter() - began) * 1000)
        return waits


def measure(program, folder, threads, rounds):
    with tempfile.TemporaryDirectory() as data:
        ours = Ours(program, folder, data, threads)
        model = ours.ask("model")
        first_ms = ours.ask("cold")["cold_text_ms"]
        cold = []
        for _ in range(5):
            ours.ask("restart")
            cold.append(ours.ask("cold")["cold_text_ms"])
        ours.ask("texts 20")
        memory_text = ours.ask("memory")["workers_kb"]
        ours.ask("frames 16")
        ours.ask("restart")
        ours.ask("frames 32")
        python = Python(model, threads)
        python.frames(BATCH), python.texts(10), ours.ask("texts 10")
        rates, text_p50, text_p99, python_text = ([], []), [], [], []
        for _ in range(rounds):
            rates[0].append(ours.ask(f"frames {N_FRAMES}")["frames_per_second"])
            rates[1].append(python.frames(N_FRAMES))
            answer = ours.ask(f"texts {N_TEXTS}")
            text_p50.append(answer["text_p50_ms"])
            text_p99.append(answer["text_p99_ms"])
            python_text.append(statistics.median(python.texts(N_TEXTS)))
        loaded = ours.ask("loaded 40")
        result = {
            "model": model["id"],
            "precision": model["precision"],
            "model_bytes": model["size_bytes"],
            "threads": threads,
            "onnxruntime_python": onnxruntime.__version__,
            "ours_frames_per_second": statistics.median(rates[0]),
            "python_frames_per_second": statistics.median(rates[1]),
            "ratio": statistics.median(a / b for a, b in zip(*rates)),
            "text_p50_ms": statistics.median(text_p50),
            "text_p99_ms": statistics.median(text_p99),
            "python_text_p50_ms": statistics.median(python_text),
            "loaded_text_p50_ms": loaded["text_p50_ms"],
            "loaded_text_p99_ms": loaded["text_p99_ms"],
            "first_query_ms": first_ms,
            "cold_query_ms": statistics.median(cold),
            "memory_text_kb": memory_text,
            "memory_kb": ours.ask("memory")["workers_kb"],
            "idle_cpu_ms": ours.ask("idle 2")["idle_cpu_ticks"] * 10,
        }
        ours.close()
        return result


def table(results):
    yield "| model | frames/s | Python | ratio | text p50, p99 | Python p50 | text p50, p99 while frames are embedded | cold query (first ever) | memory of both workers: PSS, of it anonymous |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in results:
        memory = r["memory_kb"]
        yield (
            f"| {r['model']} ({r['precision']}) | {r['ours_frames_per_second']:.1f} | {r['python_frames_per_second']:.1f} | {r['ratio']:.2f} "
            f"| {r['text_p50_ms']:.1f} ms, {r['text_p99_ms']:.1f} ms | {r['python_text_p50_ms']:.1f} ms "
            f"| {r['loaded_text_p50_ms']:.0f} ms, {r['loaded_text_p99_ms']:.0f} ms | {r['cold_query_ms']:.0f} ms ({r['first_query_ms']:.0f} ms) "
            f"| {memory['pss'] / 1024:.0f} MB, {memory['anonymous'] / 1024:.0f} MB |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL_FOLDER")
    parser.add_argument("--bench", required=True, help="the program embed_bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=pathlib.Path, help="all figures, as JSON")
    arguments = parser.parse_args()
    results = [measure(arguments.bench, folder, arguments.threads, arguments.rounds) for folder in arguments.models]
    print("\n".join(table(results)))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
