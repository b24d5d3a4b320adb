from bench.figures import CONNECTIONS, Figures
from bench.report import Result, cell, document, faults, marks, tables


def round_of(cpu_us: float, chunk_us: float) -> Figures:
    figures: Figures = {"stream_us": 100.0, "chunk_us": chunk_us}
    for connections in CONNECTIONS:
        figures |= {
            f"cpu_us_{connections}": cpu_us,
            f"rps_{connections}": 1000.0,
            f"added_p50_ms_{connections}": 0.25,
            f"added_p99_ms_{connections}": -0.5,
        }
    return figures | {
        "cpu_envoy_us": cpu_us / 4,
        "cpu_python_us": cpu_us,
        "cpu_other_us": 0.0,
        "quota_calls": 0.0,
    }


def results(compact_cpu_us: float = 250.0, compact_chunk_us: float = 60.0) -> dict[str, Result]:
    return {
        "envoy": Result("plain", [round_of(50, 20), round_of(60, 20)]),
        "compact": Result("ours", [round_of(compact_cpu_us, compact_chunk_us)] * 2),
    }


def test_a_row_begins_with_the_ratios_to_plain_envoy_in_the_same_round() -> None:
    cost, speed = tables(results()).split("\n\n")
    rows = cost.splitlines()

    assert len(rows) == len(speed.splitlines()) == 4
    assert rows[2].startswith("| **envoy** (plain) | 1.00 | 1.00 | 55 (50 to 60) |")
    assert rows[3].startswith("| **compact** (ours) | 4.58 (4.17 to 5.00) | 3.00 | 250 |")
    assert len({row.count("|") for row in rows}) == 1
    assert speed.splitlines()[3].startswith("| **compact** (ours) | 1000 | 1000 | 1000 | 0.25 |")


def test_a_request_is_compared_with_what_plain_envoy_took_beside_it() -> None:
    both = results()
    for one in both["compact"].rounds:
        one["beside_us"] = 40.0

    assert "(ours) | 6.25 | 3.00 |" in tables(both)


def test_without_plain_envoy_there_are_figures_but_no_ratios() -> None:
    alone = {"compact": results()["compact"]}

    assert tables(alone).splitlines()[2].startswith("| **compact** (ours) | - | - | 250 |")
    assert marks(alone).count("not measured") == 3


def test_a_gateway_that_did_not_start_has_an_empty_row_and_a_fault() -> None:
    broken = results() | {"mesh": Result("ours", [], ["did not start: no"])}

    assert set(tables(broken).splitlines()[4].split(" | ")[1:-1]) == {"-"}
    assert faults(broken) == ["mesh: did not start: no"]


def test_a_cell_shows_the_range_only_where_it_can_be_seen() -> None:
    assert cell([1.01, 1.02, 1.03], 1) == "1.0"
    assert cell([1.0, 2.0, 4.0], 0) == "2 (1 to 4)"
    assert cell([], 2) == "-"


def test_marks_pass_up_to_their_limit_and_miss_beyond() -> None:
    lines = marks(results(compact_cpu_us=300.0, compact_chunk_us=81.0)).splitlines()

    assert lines[0].startswith("- pass: compact, CPU of a request: at most 6 times")
    assert lines[1].startswith("- not measured: mesh")
    assert lines[2].startswith("- MISS: compact, CPU of a streamed chunk: at most 4 times")
    assert lines[2].endswith("measured 4.05")


def test_the_document_holds_every_round() -> None:
    written = document(results(), "a machine")

    assert written["machine"] == "a machine"
    assert [r["cpu_us_64"] for r in written["gateways"]["envoy"]["rounds"]] == [50, 60]
