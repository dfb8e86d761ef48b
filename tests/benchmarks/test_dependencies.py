"""What `make matrix`, `make licences` and `make fuzz` make of what they see, without installing or fuzzing anything."""

import json
import sys
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
dependencies = pytest.importorskip("benchmarks.dependencies")
from benchmarks import fuzz, licences  # noqa: E402

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5">
<testcase classname="tests.test_a" name="test_good"/><testcase classname="tests.test_a" name="test_fine"/>
<testcase classname="tests.test_a" name="test_bad"><failure message="no">assert</failure></testcase>
<testcase classname="tests.test_b" name="test_odd"><error message="no">fixture</error></testcase>
<testcase classname="tests.test_b" name="test_not_here"><skipped message="no">root</skipped></testcase>
</testsuite></testsuites>"""


def test_the_oldest_version_is_the_lower_bound():
    assert dependencies.oldest(Requirement("numpy>=1.26")) == "numpy==1.26"
    assert dependencies.oldest(Requirement("a[y,x]>=2.9,<3")) == "a[x,y]==2.9"


def test_every_dependency_has_an_oldest_version_and_torch_is_held():
    oldest, newest = dependencies.wanted("oldest"), dependencies.wanted("newest")
    assert len(oldest) == len(newest) > 35
    assert all("==" in line and ">" not in line for line in oldest)
    assert not any(Requirement(line).name == "torch" for line in oldest + newest)
    assert "+" not in dependencies.torch_held()


def test_a_report_is_counted():
    failures = ["tests.test_a.test_bad", "tests.test_b.test_odd"]
    assert dependencies.counts(REPORT) == {"passed": 2, "failed": 2, "skipped": 1, "failures": failures}


def test_rows_say_what_was_run_and_what_was_not():
    found = {
        **dependencies.counts(REPORT),
        "seconds": 61.4,
        "date": "2026-11-26",
        "tests": ["tests/data", "tests/x.py"],
    }
    expected = ["3.11", "oldest", "tests/data tests/x.py", "2", "2", "1", "61 s", "2026-11-26"]
    assert dependencies.row("3.11", "oldest", found) == expected
    assert dependencies.row("3.11", "oldest", {**found, "tests": []})[2] == "all quick ones"
    missing = dependencies.row("3.12", "newest", {"not_run": "no such Python", "date": "2026-11-26"})
    assert missing[2:4] == ["not run: no such Python", ""]
    assert len(missing) == len(dependencies.COLUMNS)


def test_a_python_that_is_not_there_is_said():
    assert dependencies.reason_not_to_run("2.4") == "it is not on this machine"


# Licences


def package(**fields):
    about = Message()
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            about[name.replace("_", "-")] = one
    return SimpleNamespace(metadata=about)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT", "License": "old words"}, "MIT"),
        ({"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: BSD License"]}, "BSD License"),
        ({"Classifier": ["License :: OSI Approved"], "License": "ISC\nand much more"}, "ISC"),
        ({"License": "x" * 80}, "x" * 60 + " ..."),
        ({"Classifier": ["Topic :: Games"]}, "not stated"),
    ],
)
def test_a_licence_is_what_the_package_says(fields, expected):
    assert licences.licence(package(**fields)) == expected


def test_an_audit_says_what_it_could_not_look_up():
    found = {"name": "a", "vulns": [{"id": "PYSEC-1"}]}
    sound, skipped = {"name": "b", "vulns": []}, {"name": "c", "skip_reason": "not found"}

    def audited(*packages):
        return licences.looked_up(json.dumps({"dependencies": packages}))

    assert audited(found, sound) == ({"a": ["PYSEC-1"], "b": []}, "")
    assert audited(found, skipped) == ({"a": ["PYSEC-1"]}, "1 are not in pip-audit's database")
    assert audited(skipped) == ({}, "pip-audit's database was out of reach")
    assert licences.looked_up("Traceback") == ({}, "pip-audit's database was out of reach")


def test_a_package_that_was_not_looked_up_does_not_pass_for_sound():
    torch = licences.needed_by()["torch"][0]
    assert licences.row("torch", torch, "every user", None)[-1] == "not looked up"
    assert licences.row("torch", torch, "every user", [])[-1] == "none"
    assert licences.row("torch", torch, "every user", ["A", "B"])[-1] == "A, B"


def test_packages_are_those_of_users_and_say_who_needs_them():
    needed = {name: by for name, (_, by) in licences.needed_by().items()}
    assert needed["numpy"] == "every user"
    assert needed["fastapi"] == "extra explorer"
    assert not {"pytest", "ruff", "digitvae"} & needed.keys()


# Fuzzing


def test_the_count_of_inputs_is_read():
    assert fuzz.executed("#2 INITED\nstat::number_of_executed_units: 2747\nstat::new_units_added: 136") == 2747
    assert fuzz.executed("killed") == 0


def test_a_row_names_what_was_found_once():
    one = {"kind": "KeyError", "where": "checkpoint.py:148"}
    result = {"executions": 1234, "seconds": 9.6, "found": [one, one, {"kind": "hang", "where": ""}]}
    assert fuzz.row("weights", result) == ["weights", "1,234", "10 s", "KeyError checkpoint.py:148, hang"]
    assert fuzz.row("weights", {**result, "found": []})[-1] == "nothing"
