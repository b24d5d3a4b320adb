"""`python -m bench`: see bench/README.md."""

import argparse
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench import profiling, report
from bench.compiling import CompileError, compiled
from bench.gateways import (
    CONTROL,
    GATEWAYS,
    READY_SECONDS,
    REFERENCE,
    Bench,
    Running,
    StartError,
    free_port,
)
from bench.loading import Generator, LoadError
from bench.measuring import Bed, Round
from bench.processes import running
from bench.report import Result

CHUNK_MILLISECONDS = 5
SMALLEST_SCALE = 0.05


def main() -> int:
    """Measures, prints, and returns the exit status."""
    options = _options()
    # Also where a shell has told us to ignore it, as it does with jobs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _run(options)
    except (CompileError, StartError, profiling.ProfileError) as error:
        print(f"bench: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench: interrupted; everything it had started is stopped", file=sys.stderr)
        return 130
    return 1


def _options() -> argparse.Namespace:
    names = [name for name in GATEWAYS if name != CONTROL]
    parser = argparse.ArgumentParser(prog="python -m bench", description="See bench/README.md.")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each is measured")
    parser.add_argument(
        "--scale",
        type=_scale,
        default=1.0,
        help="multiplies the length of every load; 0.3 is quick",
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=names,
        metavar="NAME,...",
        help=f"some of {', '.join(GATEWAYS)}",
    )
    parser.add_argument("--envoy-workers", type=_positive, default=2, help="of plain Envoy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--profile", action="store_true", help="profile Python with py-spy")
    parser.add_argument("--marks", action="store_true", help="say which marks are reached")
    return parser.parse_args()


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _scale(text: str) -> float:
    if not SMALLEST_SCALE <= float(text) <= 10:
        raise ValueError(text)
    return float(text)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in GATEWAYS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return names


def _run(options: argparse.Namespace) -> int:
    py_spy = profiling.py_spy() if options.profile else None
    machine = report.machine()
    with ExitStack() as started:
        folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="meshgate-bench-")))
        bench = Bench(folder, _mock(started, folder), _key(), options.envoy_workers)
        bed = Bed(Generator(compiled("load")), f"http://127.0.0.1:{bench.upstream}", options.scale)
        results = {name: Result(GATEWAYS[name].about(bench)) for name in options.only}
        gateways = _start(started, bench, results)
        _measure(gateways, bed, results, options.rounds)
        if py_spy is not None:
            _profile(py_spy, gateways, bed, results)
    _say(results, machine, options)

    return 1 if report.faults(results) else 0


def _key() -> str:
    return f"mg-bench-{secrets.token_hex(16)}"


def _mock(started: ExitStack, folder: Path) -> int:
    """Starts the mock upstream; its port."""
    port = free_port()
    command = [str(compiled("mock")), str(port)]
    environment = {"MOCK_CHUNK_MS": str(CHUNK_MILLISECONDS)}
    process = started.enter_context(running(command, folder / "mock.log", environment))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), opener.open(f"http://127.0.0.1:{port}/stats", timeout=5):
            return port
        time.sleep(0.02)
    raise StartError(f"the mock does not run: {(folder / 'mock.log').read_text()}")


def _start(started: ExitStack, bench: Bench, results: dict[str, Result]) -> dict[str, Running]:
    """Starts all gateways; one that does not start is a fault, and the others go on."""
    gateways = {}
    for name, result in results.items():
        _progress(f"starting {name} ({result.about})")
        with _noting(result):
            gateways[name] = started.enter_context(GATEWAYS[name].start(bench))
    return gateways


def _measure(
    gateways: dict[str, Running], bed: Bed, results: dict[str, Result], rounds: int
) -> None:
    """Warms all up, then measures each in turn, as often as asked.

    A gateway with a fault is left out from then on: its figures are no longer worth the time.
    """
    for name, gateway in gateways.items():
        _progress(f"warming up {name}")
        with _noting(results[name]):
            Round(bed, gateway, results[name].faults).warm_up()
    for number in range(1, rounds + 1):
        direct, beside = bed.direct(), gateways.get(REFERENCE)
        # Every other round goes backwards, so that nobody is always the first or the last.
        for name, gateway in list(gateways.items())[:: 1 if number % 2 else -1]:
            result = results[name]
            if result.faults:
                continue
            with _noting(result):
                other = None if gateway is beside else beside
                figures = Round(bed, gateway, result.faults, other).figures(direct)
                result.rounds.append(figures)
                _progress(
                    f"round {number}/{rounds}, {name}: {figures['cpu_us_64']:.0f} us a request, "
                    f"{figures['chunk_us']:.1f} us a chunk, {figures['rps_64']:.0f} requests/s"
                )


@contextmanager
def _noting(result: Result) -> Iterator[None]:
    """Turns what stops one gateway into a fault of its result."""
    try:
        yield
    except (StartError, LoadError) as error:
        result.faults.append(str(error))
    except (OSError, subprocess.SubprocessError) as error:
        result.faults.append(f"{type(error).__name__}: {error}")
    for fault in result.faults:
        _progress(f"FAULT: {fault}")


def _profile(
    py_spy: str, gateways: dict[str, Running], bed: Bed, results: dict[str, Result]
) -> None:
    for name, gateway in gateways.items():
        _progress(f"profiling {name}")
        with _noting(results[name]):
            for line in profiling.profile(py_spy, name, gateway, bed):
                _progress(f"  {line}")


def _say(results: dict[str, Result], machine: str, options: argparse.Namespace) -> None:
    """The answer on stdout; what makes the run a failure on stderr."""
    print(f"{machine}; {options.rounds} rounds, scale {options.scale:g}\n")
    print(report.tables(results))
    if options.marks:
        print(f"\n{report.marks(results)}")
    if options.json:
        options.json.write_text(json.dumps(report.document(results, machine), indent=1) + "\n")
    for fault in report.faults(results):
        print(f"bench: failed: {fault}", file=sys.stderr)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
