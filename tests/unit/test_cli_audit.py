"""`auditor audit …` and `auditor gate`: waiting, exit codes, and the reports for pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from auditor.client.audit_commands import show_plan
from auditor.reports.build import build
from tests.card_examples import HOSTILE, facts, hostile_facts
from tests.unit.cli import CommandLine
from tests.unit.stub_service import Service

RUN = ("audit", "run", "income@3.2.0", "--data", "adult@2026.1", "--policy", "release-gate")


def state(audit: str, run: str, cards: tuple[str, ...] = (), reason: str = "") -> dict[str, Any]:
    done = int(run not in ("queued", "running"))
    return {
        "id": "aud_1",
        "status": audit,
        "progress": {"done_runs": done, "total_runs": 1, "fraction": float(done), "eta_seconds": None},
        "runs": [
            {
                "item": "groups",
                "status": run,
                "attempt": 1,
                "reason": reason,
                "progress_done": 1,
                "progress_total": 4,
            }
        ],
        "cards": [{"id": card, "verdict": "does_not_meet", "policy": "release-gate"} for card in cards],
    }


def finished(service: Service, verdict: str = "does_not_meet", number: str = "rc_1") -> dict[str, Any]:
    card: dict[str, Any] = json.loads(json.dumps(build(facts(verdict=verdict, id=number))))
    service.cards[number] = card
    service.audit_states += [
        state("queued", "queued"),
        state("running", "running"),
        state("completed", "succeeded", (number,)),
    ]
    return card


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("meets", 0), ("meets_with_accepted_risk", 0), ("does_not_meet", 1), ("incomplete", 3)],
)
def test_the_verdict_is_the_exit_code(
    auditor: CommandLine, service: Service, verdict: str, code: int
) -> None:
    finished(service, verdict)
    assert auditor(*RUN, "--wait").code == code


def test_accepted_risk_passes_with_a_notice(auditor: CommandLine, service: Service) -> None:
    finished(service, "meets_with_accepted_risk")
    assert "accepted by a waiver" in auditor(*RUN, "--wait").err


def test_the_card_shows_what_decides_with_value_interval_and_limit(
    auditor: CommandLine, service: Service
) -> None:
    finished(service)
    out = auditor(*RUN, "--wait").out
    assert "DOES NOT MEET POLICY" in out
    assert "income@3.2.0 under release-gate@1" in out
    row = next(line for line in out.splitlines() if line.startswith("FAIR-01") and "(sex)" in line)
    for part in ("✗ fail", "0.320", "0.292 to 0.349", ">= 0.800", "16,281"):
        assert part in row
    assert out.index("FAIR-01") < out.index("QUAL-01")  # worst first
    assert "reported" in out


def test_progress_in_a_log_is_one_line_per_change(auditor: CommandLine, service: Service) -> None:
    finished(service)
    assert auditor(*RUN, "--wait").err.splitlines() == [
        "aud_1 queued",
        "  0/1 groups queued",
        "aud_1 running",
        "  0/1 groups running",
        "aud_1 completed",
        "  1/1 groups succeeded",
    ]


def test_polling_waits_as_long_as_the_service_asks(auditor: CommandLine, service: Service) -> None:
    finished(service)
    auditor(*RUN, "--wait")
    assert set(service.slept) == {3.0}


def test_without_waiting_the_number_of_the_audit_is_all_that_is_printed(
    auditor: CommandLine, service: Service
) -> None:
    finished(service)
    done = auditor(*RUN)
    assert (done.code, done.out) == (0, "aud_1\n")


def test_the_models_that_are_asked_beside_the_audited_one_are_named(
    auditor: CommandLine, service: Service
) -> None:
    finished(service)
    auditor(*RUN, "--judge", "judge@1", "--reference", "base@2")
    (body,) = service.bodies
    assert (body["judge"], body["reference"]) == ("judge@1", "base@2")


def test_a_dry_run_prints_the_plan_and_starts_nothing(auditor: CommandLine, service: Service) -> None:
    done = auditor(*RUN, "--dry-run")
    assert done.code == 0
    assert "fairness.group 1" in done.out
    takes = "at most 1,000 queries, 40 requests, about 25,000 tokens read, 16,000 generated at most, about 0.12 USD"
    assert f"{takes}, about 1 min" in done.out
    assert "can tell a difference of 4.4 points of a rate" in done.out
    assert "note: No credential is stored" in done.out
    assert "seed 1, sha256:5eed" in done.out
    assert service.bodies[0]["dry_run"] is True


def test_reasons_and_notes_of_a_plan_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """They quote what stands in models and data of others."""
    odd = "\u202egone"
    takes = {
        "queries": 1,
        "requests": 0,
        "input_tokens": None,
        "output_tokens": 0,
        "cost": None,
        "seconds": None,
    }
    item = {"item": "x", "evaluation": "quality.data", "version": "1", "refusal": odd}
    show_plan({"items": [item], "takes": takes, "currency": "", "warnings": [odd], "seed": 1})
    shown = capsys.readouterr().out
    assert shown.count("gone") == 2
    assert "\u202e" not in shown


def test_an_audit_that_takes_too_long_goes_on_and_says_so(auditor: CommandLine, service: Service) -> None:
    finished(service)
    done = auditor(*RUN, "--timeout", "2s")
    assert done.code == 5
    assert "auditor audit status aud_1" in done.err


def test_a_cancelled_audit_is_incomplete(auditor: CommandLine, service: Service) -> None:
    service.audit_states = [state("cancelled", "cancelled", reason="Asked for.")]
    done = auditor(*RUN, "--wait")
    assert done.code == 3
    assert "no report card" in done.err


def test_several_policies_exit_with_the_worst_verdict(auditor: CommandLine, service: Service) -> None:
    for number, verdict in (("rc_1", "meets"), ("rc_2", "does_not_meet"), ("rc_3", "incomplete")):
        service.cards[number] = json.loads(json.dumps(build(facts(verdict=verdict, id=number))))
    service.audit_states = [state("completed", "succeeded", ("rc_1", "rc_2", "rc_3"))]
    assert auditor(*RUN, "--policy", "privacy", "--wait").code == 1


def test_junit_has_a_suite_per_area_and_a_case_per_control(
    auditor: CommandLine, service: Service, tmp_path: Path
) -> None:
    finished(service)
    auditor(*RUN, "--wait", "--junit", tmp_path / "out.xml")
    suites = {suite.get("name"): suite for suite in ElementTree.parse(tmp_path / "out.xml").getroot()}
    assert set(suites) == {"quality", "fairness"}
    quality, fairness = suites["quality"], suites["fairness"]
    assert [quality.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["2", "0", "1", "0"]
    assert [fairness.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["2", "1", "1", "0"]
    failed = fairness.find("testcase/failure")
    assert failed is not None
    assert "0.292 to 0.349" in str(failed.text)


def test_sarif_points_at_a_file_and_knows_the_same_problem_in_the_next_version(
    auditor: CommandLine, service: Service, tmp_path: Path
) -> None:
    prints = []
    for _ in range(2):
        card = finished(service)
        auditor(*RUN, "--wait", "--sarif", tmp_path / "out.sarif", "--location", "train/income.py")
        log = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8"))
        results = log["runs"][0]["results"]
        prints.append([result["partialFingerprints"] for result in results])
        card["model"]["version"] = "3.3.0"
        service.audit_states.clear()
    assert log["version"] == "2.1.0"
    assert [(r["ruleId"], r["kind"], r["level"]) for r in results] == [
        ("QUAL-01", "open", "none"),
        ("FAIR-01", "fail", "error"),
        ("FAIR-01", "open", "none"),
    ]
    assert {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results} == {
        "train/income.py"
    }
    assert prints[0] == prints[1]
    assert len({json.dumps(p) for p in prints[0]}) == 3
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in results)


def test_reports_need_the_result(auditor: CommandLine, service: Service, tmp_path: Path) -> None:
    done = auditor(*RUN, "--junit", tmp_path / "out.xml")
    assert done.code == 2
    assert "--wait" in done.err
    assert service.log == []


def test_hostile_names_cannot_steer_the_terminal_or_break_the_reports(
    auditor: CommandLine, service: Service, tmp_path: Path
) -> None:
    card = json.loads(json.dumps(build(hostile_facts())))
    card["controls"][0]["title"] = "\x1b]0;owned\x07\x1b[2J[red]not markup[/]"
    service.cards["rc_1"] = card
    service.audit_states = [state("completed", "errored", ("rc_1",), reason="\x1b[2J" + HOSTILE)]
    done = auditor(*RUN, "--wait", "--junit", tmp_path / "out.xml", "--sarif", tmp_path / "out.sarif")
    assert done.code == 1
    for text in (done.out, done.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "[red]not markup[/]" in done.out
    ElementTree.parse(tmp_path / "out.xml")


def test_status_and_cancel_name_the_audit(auditor: CommandLine, service: Service) -> None:
    finished(service)
    assert "aud_1 queued, 0 of 1 runs" in auditor("audit", "status", "aud_1").out
    assert auditor("audit", "cancel", "aud_1").out == "aud_1 cancelling\n"


def test_keeping_attacks_prints_the_version_to_audit_the_next_model_on(
    auditor: CommandLine, service: Service
) -> None:
    done = auditor("audit", "keep-attacks", "aud_1", "misspelling", "--name", "mine")
    assert (done.code, done.out) == (0, "mine@2\n")
    assert "New in it: 12, known before: 3, attacks in all: 15." in done.err
    assert service.bodies == [{"item": "misspelling", "name": "mine"}]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"open": True, "reason": "Approved.", "card": {"verdict": "meets"}}, 0),
        ({"open": False, "reason": "Not approved.", "card": {"verdict": "does_not_meet"}}, 1),
        ({"open": False, "reason": "Not approved yet.", "card": {"verdict": "meets"}}, 3),
        ({"open": False, "reason": "No card.", "card": None}, 3),
    ],
)
def test_the_gate_opens_only_for_a_card_in_force(
    auditor: CommandLine, service: Service, tmp_path: Path, answer: dict[str, Any], code: int
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.onnx").write_bytes(b"x")
    service.gate = answer
    done = auditor("gate", tmp_path / "m", "--require", "approved")
    assert done.code == code
    assert answer["reason"] in done.out


@pytest.mark.parametrize("words", ["soon", "", "1x", "-3m"])
def test_a_duration_is_written_in_hours_minutes_and_seconds(auditor: CommandLine, words: str) -> None:
    assert auditor(*RUN, "--wait", f"--timeout={words}").code == 2


def test_a_version_is_named_with_its_model(auditor: CommandLine) -> None:
    done = auditor("audit", "run", "income", "--data", "adult@1", "--policy", "release-gate")
    assert done.code == 2
    assert "income@3.2.0" in done.err


def test_the_status_tells_what_was_spent_at_the_endpoint(auditor: CommandLine, service: Service) -> None:
    found = state("running", "errored", reason="The budget is used up.")
    found["runs"][0]["spent"] = {"requests": 1250, "tokens": 90000, "cost": 1.5, "currency": "EUR"}
    service.audit_states.append(found)
    out = auditor("audit", "status", "aud_1").out
    assert "The budget is used up." in out
    assert "1,250 requests, 90,000 tokens, 1.50 EUR" in out
