"""What others may have planted where files are written: nothing of it is followed, and nothing is believed."""

import json
import os
from pathlib import Path

import pytest

from modelpick.converter.files import bulk
from modelpick.converter.files.bulk import select_file
from modelpick.converter.files.io import write_atomically
from modelpick.runtime import ModelpickError
from support.artifacts import converted
from support.catalogue import kmeans

PARTS = Path(".p.jsonl.modelpick-parts")
SOMEBODY = 1234
AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(converted(kmeans([[0, 0], [5, 5]], ["near", "far"])))
    Path("q.jsonl").write_text("[0, 1]\n[6, 5]\n" * 5)
    Path("victim").write_text("theirs")
    return tmp_path


def run(**options):
    return select_file(Path("m.onnx"), Path("q.jsonl"), Path("p.jsonl"), chunk=4, **options)


def interrupted():
    """Run as far as the second part."""

    def stop(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(done=stop)


def picks():
    return [json.loads(line)["model"] for line in Path("p.jsonl").read_text().splitlines()]


def test_parts_lie_in_a_folder_that_nobody_else_reads_or_writes(folder):
    interrupted()
    assert PARTS.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in PARTS.iterdir()} == {0}
    assert run() == (10, 0, 8)
    assert picks() == ["near", "far"] * 5
    assert not PARTS.exists()


@pytest.mark.parametrize("altered", [b"", b'{"row":0,"model":"near"}\n', None])
def test_parts_that_were_altered_are_made_again(folder, altered):
    interrupted()
    first = min(PARTS.iterdir())
    first.write_bytes(first.read_bytes().replace(b"far", b"FAR") if altered is None else altered)
    assert run() == (10, 0, 4)
    assert picks() == ["near", "far"] * 5


def test_a_part_of_other_rows_is_made_again(folder):
    interrupted()
    first, second = sorted(PARTS.iterdir())
    second.rename(PARTS / second.name.replace("000000001", "000000000"))
    first.unlink()
    assert run() == (10, 0, 0)
    assert picks() == ["near", "far"] * 5


def test_what_is_left_by_a_killed_run_goes(folder):
    interrupted()
    (PARTS / f".modelpick-{'0' * 16}").write_text("half")
    run()
    assert not PARTS.exists()


def plant_writable():
    PARTS.mkdir()
    PARTS.chmod(0o777)


def plant_foreign():
    PARTS.mkdir(0o700)
    os.chown(PARTS, SOMEBODY, SOMEBODY)


def plant_link():
    Path("elsewhere").mkdir()
    PARTS.symlink_to("elsewhere")


@pytest.mark.parametrize("plant", [plant_writable, pytest.param(plant_foreign, marks=AS_ROOT), plant_link])
def test_a_folder_of_others_holds_no_parts(folder, plant):
    plant()
    with pytest.raises(ModelpickError, match=r"^p.jsonl: cannot be written: "):
        run()
    assert not Path("p.jsonl").exists()
    assert list(PARTS.iterdir()) == []


@AS_ROOT
@pytest.mark.parametrize("name", ["p.jsonl", "there/p.jsonl"])
def test_no_link_of_another_user_is_followed(folder, name):
    link = Path(Path(name).parts[0])
    link.symlink_to("victim" if link.name == "p.jsonl" else ".")
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    for write in (lambda: write_atomically(Path(name), b"ours"), lambda: run_to(name)):
        with pytest.raises(ModelpickError, match="is a link of another user"):
            write()
    assert Path("victim").read_text() == "theirs"
    assert link.is_symlink()


def run_to(name):
    return select_file(Path("m.onnx"), Path("q.jsonl"), Path(name))


def test_links_of_ones_own_are_followed(folder):
    Path("there").symlink_to("here")
    Path("here").mkdir()
    Path("here/one").symlink_to("../here/two")
    write_atomically(Path("there/one"), b"ours")
    assert (Path("here/two").read_bytes(), Path("here/one").is_symlink()) == (b"ours", True)
    Path("round").symlink_to("round")
    with pytest.raises(ModelpickError, match=r"^round: cannot be written: "):
        write_atomically(Path("round"), b"ours")


def test_no_other_thread_sees_another_umask(folder, monkeypatch):
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", None)
            write_atomically(Path("new"), b"")
            run()
    finally:
        os.umask(before)
    assert {Path(name).stat().st_mode & 0o777 for name in ("new", "p.jsonl")} == {0o640}


def test_rows_are_counted_as_they_are_joined(folder, monkeypatch):
    join = bulk._join
    monkeypatch.setattr(bulk, "_join", lambda parts, rows, *others: join(parts, rows + 1, *others))
    with pytest.raises(ModelpickError, match="its parts were altered"):
        run()
    assert not Path("p.jsonl").exists()
