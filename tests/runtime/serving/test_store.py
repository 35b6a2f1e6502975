"""SelectorStore: swaps under load, refusals, and vanishing files."""

import errno
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from modelpick.runtime import ArtifactError, ModelpickError, Selector, SelectorStore
from modelpick.runtime.artifact.seal import read_sealed
from modelpick.runtime.events import Refusal, Selection, Swap
from support.artifacts import converted
from support.catalogue import kmeans
from support.waiting import until

ROWS = [[0.0, 1.0], [1.0, 0.0]]


def artifact(model):
    """An artifact that always picks one model."""
    return converted(kmeans([[0, 0]], [model]))


def put(path, data):
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


@pytest.mark.parametrize("watching", [True, False])
def test_swaps_100_times_under_load_without_a_failed_request(tmp_path, watching, monkeypatch):
    if not watching:
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    versions = [artifact("a"), artifact("b")]
    path = tmp_path / "router.onnx"
    put(path, versions[0])
    failures, answered, stop, events = [], [0], threading.Event(), []

    def ask(store):
        while not stop.is_set():
            try:
                assert store["router"].select(ROWS[0]) in {"a", "b"}
                answered[0] += 1
                time.sleep(0.001)
            except Exception as error:
                failures.append(error)

    with SelectorStore(tmp_path, poll_seconds=0.005, observer=events.append) as store:
        threads = [threading.Thread(target=ask, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for swap in range(1, 101):
            put(path, versions[swap % 2])
            until(lambda expected="ab"[swap % 2]: store["router"].select(ROWS[0]) == expected)
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert answered[0] > 100
    assert sum(isinstance(event, Swap) for event in events) >= 101
    assert any(isinstance(event, Selection) and event.selector == "router" for event in events)
    assert store.refusals == 0


def test_refuses_a_bad_file_and_serves_on(tmp_path, caplog):
    path, events = tmp_path / "router.onnx", []
    put(path, artifact("a"))
    with (
        SelectorStore(path, poll_seconds=60, observer=events.append) as store,
        caplog.at_level(logging.ERROR, "modelpick"),
    ):
        put(path, artifact("b")[:-7])
        store.refresh()
        store.refresh()
        assert store["router"].select(ROWS[0]) == "a"
        assert store.refusals == 1
        (refusal,) = [event for event in events if isinstance(event, Refusal)]
        assert (refusal.selector, "router.onnx" in refusal.reason) == ("router", True)
        assert "router: refused" in caplog.text
        put(path, artifact("c"))
        store.refresh()
        assert store["router"].select(ROWS[0]) == "c"
        path.unlink()
        store.refresh()
        assert store["router"].select(ROWS[0]) == "c"


def test_holds_a_selector_a_file_and_takes_new_ones(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / f"{name}.onnx", artifact(name))
    with SelectorStore(str(tmp_path), poll_seconds=60) as store:
        assert store.names == ["one", "two"]
        assert [store[name].select(ROWS[1]) for name in store.names] == ["one", "two"]
        put(tmp_path / "three.onnx", artifact("three"))
        store.refresh()
        assert store["three"].select(ROWS[0]) == "three"
        with pytest.raises(ArtifactError, match=r"^expected one of one, three, two, got 'four'$"):
            store["four"]


def test_a_selector_that_was_taken_outlives_the_swap(tmp_path):
    path = tmp_path / "router.onnx"
    put(path, artifact("a"))
    with SelectorStore(path, poll_seconds=60) as store:
        taken = store["router"]
        put(path, artifact("b"))
        store.refresh()
        assert (taken.select(ROWS[0]), store["router"].select(ROWS[0])) == ("a", "b")
    assert taken.select(ROWS[0]) == "a"


def test_refuses_to_start_on_nothing_good(tmp_path):
    with pytest.raises(ArtifactError, match=r"missing\.onnx: cannot be read"):
        SelectorStore(tmp_path / "missing.onnx")
    with pytest.raises(ArtifactError, match=r"expected at least one \.onnx file"):
        SelectorStore(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"no")
    with pytest.raises(ArtifactError, match=r"bad\.onnx: expected an artifact"):
        SelectorStore(tmp_path)


def test_goes_on_when_its_folder_vanishes(tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()
    put(folder / "router.onnx", artifact("a"))
    with SelectorStore(folder, poll_seconds=0.01) as store:
        shutil.rmtree(folder)
        time.sleep(0.05)
        assert store["router"].select(np.zeros(2)) == "a"
        folder.mkdir()
        put(Path(folder) / "router.onnx", artifact("b"))
        until(lambda: store["router"].select(np.zeros(2)) == "b")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("watching", [True, False])
def test_a_forked_process_goes_on_swapping(tmp_path, watching, monkeypatch):
    if not watching:
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    path, report = tmp_path / "router.onnx", tmp_path / "report"
    put(path, artifact("a"))
    with SelectorStore(path, poll_seconds=0.01 if not watching else 60) as store:
        store._lock.acquire()  # as if the files were looked at in this moment
        child = os.fork()
        if not child:
            try:
                report.write_text("began")
                until(lambda: store["router"].select(ROWS[0]) == "b")
                report.write_text("swapped")
                store.close()
            finally:
                os._exit(0)
        store._lock.release()
        until(report.exists)
        new = artifact("b")
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            put(path, new)
            time.sleep(0.1)
    assert report.read_text() == "swapped"
    closed = os.fork()
    if not closed:
        os._exit(store._threads[0].is_alive())
    assert os.waitpid(closed, 0)[1] == 0, "a closed store stays closed"


def test_foreign_files_are_logged_and_counted_and_hidden_ones_skipped(tmp_path, caplog):
    put(tmp_path / "router.onnx", artifact("a"))
    (tmp_path / "foreign.onnx").write_bytes(b"of another")
    (tmp_path / "._router.onnx").write_bytes(b"what a copy left")
    (tmp_path / "folder.onnx").mkdir()
    events = []
    with (
        caplog.at_level(logging.ERROR, "modelpick"),
        SelectorStore(tmp_path, require=["router"], poll_seconds=60, observer=events.append) as store,
    ):
        store.refresh()
        assert store.names == ["router"]
        assert store.refusals == 2
        assert [event.selector for event in events if isinstance(event, Refusal)] == ["folder", "foreign"]
        assert "foreign: refused, there is none to serve: " in caplog.text
        put(tmp_path / "foreign.onnx", artifact("b"))
        store.refresh()
        assert store["foreign"].select(ROWS[0]) == "b"


def test_what_is_required_must_load_at_first(tmp_path):
    put(tmp_path / "router.onnx", artifact("a"))
    (tmp_path / "bad.onnx").write_bytes(b"no")
    with pytest.raises(ArtifactError, match=r"bad\.onnx: expected an artifact"):
        SelectorStore(tmp_path, require=["router", "bad"])
    with pytest.raises(ArtifactError, match=r"other\.onnx: cannot be read: there is no such file"):
        SelectorStore(tmp_path, require=["other"])
    with pytest.raises(ArtifactError, match="require: expected a list of names, got 'router'"):
        SelectorStore(tmp_path, require="router")
    SelectorStore(tmp_path / "router.onnx", require=["router"]).close()


def test_sees_a_change_that_keeps_size_time_and_inode(tmp_path):
    path = tmp_path / "router.onnx"
    put(path, artifact("a"))
    before = path.stat()
    with SelectorStore(path, poll_seconds=60) as store:
        new = artifact("b")
        assert len(new) == before.st_size
        time.sleep(0.02)  # longer than the file system's clock takes for a tick
        path.write_bytes(new)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        store.refresh()
        assert store["router"].select(ROWS[0]) == "b"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_refused_instead_of_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        with pytest.raises(ArtifactError, match="cannot be read: Is a device or a pipe"):
            Selector.load(path)


class Panic(BaseException):
    """What a library of another language raises, which is no `Exception`."""


@pytest.fixture
def loads(monkeypatch):
    """What `Selector.load` does for files of some names instead."""
    instead, load = {}, Selector.load

    def loaded(path, **options):
        instead.get(Path(path).stem, lambda: None)()
        return load(path, **options)

    monkeypatch.setattr(Selector, "load", loaded)
    return instead


def failing(error):
    def fail(*arguments):
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [Panic("tokenizer\npanicked"), AssertionError(), OverflowError("too large"), MemoryError()]
)
def test_whatever_a_load_raises_is_refused_once_and_others_go_on(tmp_path, loads, caplog, error):
    for name in ("a", "b"):
        put(tmp_path / f"{name}.onnx", artifact("old"))
    events = []
    with (
        caplog.at_level(logging.ERROR, "modelpick"),
        SelectorStore(tmp_path, poll_seconds=0.01, observer=events.append) as store,
    ):
        loads["a"] = failing(error)
        for name in ("a", "b"):
            put(tmp_path / f"{name}.onnx", artifact("new"))
        until(lambda: store["b"].select(ROWS[0]) == "new" and store.refusals)
        store.refresh()
        time.sleep(0.05)
        assert store["a"].select(ROWS[0]) == "old"
        (refusal,) = [event for event in events if isinstance(event, Refusal)]
        expected = str(error).splitlines()[0] if str(error) else type(error).__name__
        assert refusal.reason == f"{tmp_path / 'a.onnx'}: cannot be loaded: {expected}"
        assert caplog.text.count("a: refused") == store.refusals == 1
        del loads["a"]
        put(tmp_path / "a.onnx", artifact("good"))
        until(lambda: store["a"].select(ROWS[0]) == "good")
    with pytest.raises(ArtifactError, match=r"a\.onnx: cannot be loaded: "):
        loads["a"] = failing(error)
        SelectorStore(tmp_path, require=["a"])


@pytest.mark.parametrize("watching", [True, False])
def test_a_load_that_never_ends_holds_up_nothing_else(tmp_path, loads, watching, monkeypatch):
    monkeypatch.setattr("modelpick.runtime.serving.store.PATIENCE", 0.02)
    if not watching:
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    for name in ("a", "b"):
        put(tmp_path / f"{name}.onnx", artifact("old"))
    end = threading.Event()
    events = []
    store = SelectorStore(tmp_path, poll_seconds=0.01, load_seconds=1.5, observer=events.append)
    loads["a"] = end.wait
    put(tmp_path / "a.onnx", artifact("stuck"))
    for version in range(20):
        put(tmp_path / "b.onnx", artifact(f"new {version}"))
        until(lambda expected=f"new {version}": store["b"].select(ROWS[0]) == expected)
    until(lambda: store.refusals)
    (refusal,) = [event for event in events if isinstance(event, Refusal)]
    assert refusal.reason == f"{tmp_path / 'a.onnx'}: cannot be loaded within 1.5 seconds"
    assert store["a"].select(ROWS[0]) == "old"
    del loads["a"]
    put(tmp_path / "a.onnx", artifact("good"))
    until(lambda: store["a"].select(ROWS[0]) == "good")
    loads["a"] = end.wait
    put(tmp_path / "a.onnx", artifact("stuck again"))
    until(lambda: store._loading)
    store.close()
    assert not any(thread.is_alive() for thread in store._threads)
    end.set()


def test_a_process_ends_though_a_load_does_not(tmp_path):
    put(tmp_path / "a.onnx", artifact("a"))
    script = f"""
import threading
from modelpick.runtime import ArtifactError, Selector, SelectorStore
Selector.load = lambda path, **options: threading.Event().wait()
try:
    SelectorStore({str(tmp_path)!r}, load_seconds=0.1)
except ArtifactError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    assert ended.stdout.endswith("a.onnx: cannot be loaded within 0.1 seconds\n")


def test_what_the_system_cannot_read_is_said_once_and_tried_again(tmp_path, monkeypatch, caplog):
    path, events = tmp_path / "router.onnx", []
    put(path, artifact("a"))
    with (
        caplog.at_level(logging.ERROR, "modelpick"),
        SelectorStore(path, poll_seconds=0.01, observer=events.append) as store,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", failing(OSError(errno.EMFILE, "Too many open files")))
            put(path, artifact("b"))
            until(lambda: store.refusals)
            time.sleep(0.1)
        until(lambda: store["router"].select(ROWS[0]) == "b")
        (refusal,) = [event for event in events if isinstance(event, Refusal)]
        assert refusal.reason == f"{path}: cannot be read: Too many open files"
        assert caplog.text.count("router: refused") == store.refusals == 1


def test_a_store_is_a_mapping(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / f"{name}.onnx", artifact(name))
    with SelectorStore(tmp_path, poll_seconds=60) as store:
        assert sorted(store) == list(dict(store)) == store.names == ["one", "two"]
        assert (len(store), "one" in store, "three" in store) == (2, True, False)
        assert {name: selector.select(ROWS[0]) for name, selector in store.items()} == {"one": "one", "two": "two"}
        assert store.get("one") is store["one"]
        assert store.get("three") is None
        assert repr(store) == f"<SelectorStore {str(tmp_path)!r}: one, two>"


@pytest.mark.parametrize("options", [{"poll_seconds": 0}, {"poll_seconds": "1"}, {"load_seconds": float("inf")}])
def test_seconds_are_checked_when_it_is_made(tmp_path, options):
    put(tmp_path / "router.onnx", artifact("a"))
    with pytest.raises(ModelpickError, match=f"{next(iter(options))}: expected seconds, more than 0, got "):
        SelectorStore(tmp_path, **options)
    with pytest.raises(ModelpickError, match="observer: expected a function of an event, got 5"):
        SelectorStore(tmp_path, observer=5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path):
    path, stop = tmp_path / "router.onnx", threading.Event()

    def swap():
        while not stop.is_set():
            os.mkfifo(tmp_path / "pipe")
            (tmp_path / "pipe").replace(path)
            put(path, artifact_bytes)

    artifact_bytes = artifact("a")
    put(path, artifact_bytes)
    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes = set()
    for _ in range(300):
        try:
            read_sealed(path)
            outcomes.add("read")
        except ArtifactError as error:
            outcomes.add(str(error).partition(": ")[2])
    stop.set()
    swapping.join()
    assert outcomes <= {"read", "cannot be read: Is a device or a pipe"}


def test_of_a_file_without_a_seal_nothing_else_is_read(tmp_path):
    path = tmp_path / "sparse.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ArtifactError, match="expected an artifact sealed by modelpick"):
        Selector.load(path)


def test_a_model_is_found_by_its_algorithm_too(tmp_path):
    put(tmp_path / "knn_model.onnx", artifact("a"))
    put(tmp_path / "mlp_model.onnx", artifact("b"))
    put(tmp_path / "mlp.onnx", artifact("c"))
    with SelectorStore(tmp_path, require=["knn", "mlp_model"]) as store:
        assert store.names == ["knn_model", "mlp", "mlp_model"]
        assert store["knn"] is store["knn_model"] is store.get("knn")
        assert [store[name].select(ROWS[0]) for name in ("mlp", "mlp_model")] == ["c", "b"]
        assert "knn" in store
        assert "kmeans" not in store
        assert store.get("kmeans") is None
        with pytest.raises(ArtifactError, match="expected one of knn_model, mlp, mlp_model, got 'kmeans'"):
            store["kmeans"]
