"""The command `modelpick encoder`, and what inspect shows of its files."""

import json

from support.folders import SMALL, transformer


def test_writes_a_file_and_a_report_and_shows_both(modelpick, tmp_path):
    code, out, err = modelpick("encoder", SMALL, "-o", "out/e.onnx", "--report", "report.json", "--name", "small")
    assert (code, err) == (0, "wrote report.json\n")
    report = json.loads((tmp_path / "report.json").read_text())
    for probe in report["probes"]:
        assert probe["name"] in out
    assert report["digest"][:12] in out
    code, out, err = modelpick("inspect", "out/e.onnx", "--json")
    assert (code, err) == (0, "")
    entries = json.loads(out)
    assert (entries["name"], entries["digest"], entries["longest"]) == ("small", report["digest"], 512)
    assert "tokenizer" not in entries
    code, out, err = modelpick("inspect", "out/e.onnx")
    assert f"small ({report['digest'][:12]})" in out


def test_shows_the_loss_of_8_bit_weights(modelpick, tmp_path):
    code, out, err = modelpick("encoder", SMALL, "-o", "e.onnx", "--quantise", "int8", "--report", "report.json")
    assert (code, err) == (0, "wrote report.json\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["difference"] > 1e-5
    assert f"{report['difference']:.1e}" in out


def test_ends_with_1_where_answers_differ_and_keeps_the_old_file(modelpick, tmp_path):
    transformer(tmp_path / "tiny", masks=False)
    (tmp_path / "e.onnx").write_bytes(b"old")
    code, out, err = modelpick("encoder", "tiny", "-o", "e.onnx", "--report", "report.json")
    assert code == 1
    assert err.startswith("error: e.onnx: expected the embeddings of tiny within 1e-05")
    assert len(err.splitlines()) == 1
    assert "longest + 1" in out
    assert (tmp_path / "e.onnx").read_bytes() == b"old"
    assert json.loads((tmp_path / "report.json").read_text())["difference"] > 1e-5


def test_ends_with_2_for_bad_input(modelpick):
    code, out, err = modelpick("encoder", "nowhere", "-o", "e.onnx")
    assert (code, out, err) == (2, "", "error: nowhere: expected a folder\n")
