"""What was found, as JUnit's XML."""

import json
from xml.etree import ElementTree

import pytest

from modelpick.converter import VerificationError, verify
from modelpick.converter.verification.report import write_junit
from support.artifacts import converted, encoded
from support.verified import KMEANS, KNN, RBF, edited, slightly, tensor

pytestmark = pytest.mark.filterwarnings("error", "ignore::modelpick.converter.DocumentWarning")


def failed_report():
    tampered = edited(converted(KNN), tensor("row_quality", 7, slightly))
    return verify(tampered, encoded(KNN))


def test_junit_counts_and_carries_the_worst_query(tmp_path):
    reports = [verify(converted(model), encoded(model)) for model in (KMEANS, RBF)] + [failed_report()]
    write_junit(reports, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.tag == "testsuite"
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    cases = list(suite)
    assert [case.tag for case in cases] == ["testcase"] * 3
    assert [case.get("classname") for case in cases] == ["kmeans", "svm", "knn"]
    assert all(float(case.get("time")) >= 0 for case in cases)
    assert [len(case) for case in cases] == [0, 0, 1]
    (failure,) = cases[2]
    assert (failure.tag, failure.get("message")) == ("failure", str(VerificationError(reports[2])))
    worst = json.loads(failure.text)
    assert worst["query"] == reports[2].worst.query
    assert (worst["artifact"], worst["estimator"]) == (reports[2].worst.artifact, reports[2].worst.estimator)


@pytest.mark.parametrize("name", ["<&>\"'.json", "模型.json", "a\x01b\n.json", "a]]>.json"])
def test_junit_is_well_formed_for_any_name(name, tmp_path):
    report = failed_report()
    report.source = report.artifact = name
    write_junit([report], tmp_path / "junit.xml")
    (case,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert case.get("name").startswith(name[0])
    assert json.loads(case[0].text)["query"] == report.worst.query


def test_junit_of_nothing(tmp_path):
    write_junit([], tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("0", "0", 0)
