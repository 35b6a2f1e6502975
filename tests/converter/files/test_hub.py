"""pull and push, against a local server that answers as the hub does."""

import base64
import hashlib
import http.server
import json
import sys
import threading

import pytest

from modelpick.runtime.artifact.seal import seal
from support.artifacts import converted
from support.catalogue import kmeans
from support.command import modelpick

FOREIGN = ["bert.onnx", "config.json", "package.json", "sealed.onnx"]
ARTIFACT = converted(kmeans([[1, 2]]))
OURS = {"knn.json": b'{"algorithm": "knn"}', "knn.onnx": ARTIFACT}
FILES = OURS | {
    "README.md": b"# not ours",
    "config.json": b'{"model_type": "bert"}',
    "bert.onnx": b"not ours",
    "package.json": b'{"algorithm": "x"}',
    "sealed.onnx": seal(bytes(range(256)) * 100),
    ".hidden.json": b'{"algorithm": "knn"}',
    "..json": b'{"algorithm": "knn"}',
}
COMMIT = "c" * 40


def is_private(body):
    """Return what a request says of visibility, as old and new versions of huggingface_hub write it."""
    return body.get("private", body.get("visibility") == "private")


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, value, headers=None, code=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        for name, content in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, content)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.tokens.add(self.headers.get("Authorization"))
        if "missing" in path:
            self.reply({"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}, 404)
        elif "/resolve/" in path:
            data = FILES[path.rpartition("/")[2]]
            self.reply(data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT})
        elif "/tree/" in path:
            entries = (
                (name, data, hashlib.sha1(data).hexdigest())
                for name, data in FILES.items()
                if name in self.server.files
            )
            self.reply([{"type": "file", "path": n, "size": len(d), "oid": oid} for n, d, oid in entries])
        else:
            siblings = [{"rfilename": name} for name in self.server.files]
            private = self.server.private
            self.reply({"_id": "1", "id": "owner/name", "sha": COMMIT, "siblings": siblings, "private": private})

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.path.endswith("/create"):
            self.server.private = is_private(json.loads(body))
            self.reply({"url": f"{self.server.url}/owner/name", "name": "owner/name"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self.reply({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif "/commit/" in self.path:
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            self.reply({"commitUrl": f"{self.server.url}/owner/name/commit/1", "commitOid": COMMIT})
        else:
            self.reply({})

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.server.private = is_private(body)
        self.reply({"private": is_private(body)})


def loaded():
    """Names of the modules of huggingface_hub."""
    return [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The server, of which huggingface_hub reads in the environment, once: it is imported anew, as in a new process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.commits, server.tokens, server.files, server.private = [], set(), list(FILES), False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        environment = {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "cache")}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        before = {name: sys.modules.pop(name) for name in loaded()}
        yield server
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(before)
        server.shutdown()
        thread.join()


def test_pulls_models_and_artifacts_alone(hub, tmp_path):
    done = modelpick("pull", "owner/name", "-o", tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "models").glob("[!.]*")) == ["knn.json", "knn.onnx"]
    assert (tmp_path / "models/knn.onnx").read_bytes() == FILES["knn.onnx"]
    assert done.stdout.split() == [str(tmp_path / "models" / name) for name in ("knn.json", "knn.onnx")]
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in done.stdout + done.stderr
    left_out = [f"warning: {name} is neither a JSON model nor an artifact, and is left out" for name in FOREIGN]
    assert done.stderr.splitlines() == left_out


def test_lists_what_came_alone(hub, tmp_path):
    (tmp_path / "stale.json").write_text('{"algorithm": "svm"}')
    done = modelpick("pull", "owner/name", "-o", tmp_path)
    assert "stale" not in done.stdout
    hub.files = ["config.json"]
    nothing = modelpick("pull", "owner/name", "-o", tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr == "error: owner/name: expected JSON models or artifacts in its top folder, got none\n"


def test_replaces_nothing_that_is_something_else(hub, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "knn.json").write_text('{"algorithm": "of mine"}')
    done = modelpick("pull", "owner/name", "-o", folder)
    assert (done.returncode, done.stdout) == (2, "")
    expected = f"{folder}/knn.json: expected a model or an artifact to replace, got something else"
    assert done.stderr == f"error: {expected}\n"
    assert [path.name for path in folder.iterdir()] == ["knn.json"]


def test_takes_no_file_that_is_too_large(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("modelpick.converter.files.hub.MOST_BYTES", 30)
    done = modelpick("pull", "owner/name", "-o", tmp_path / "models")
    assert (done.returncode, "expected 30 bytes at most, got" in done.stderr) == (2, True)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("options", "private"), [((), True), (("--public",), False), (("--private",), True)], ids=str)
def test_repositories_are_private_unless_asked(hub, tmp_path, options, private):
    (tmp_path / "knn.json").write_bytes(FILES["knn.json"])
    done = modelpick("push", tmp_path, "owner/name", *options)
    assert done.returncode == 0, done.stderr
    assert hub.private is private
    assert done.stderr == f"1 files to owner/name, which is {'private' if private else 'public'}\n"


def test_a_repository_without_a_card_gets_one(hub, tmp_path):
    (tmp_path / "knn.json").write_bytes(FILES["knn.json"])
    hub.files = ["other.txt"]
    assert modelpick("push", tmp_path, "owner/name").returncode == 0
    sent = {entry["value"]["path"]: base64.b64decode(entry["value"]["content"]) for entry in hub.commits[0][1:]}
    assert "`knn.json`" in sent["README.md"].decode()


def test_pushes_models_and_artifacts_alone(hub, tmp_path):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    done = modelpick("push", tmp_path, "owner/name", "-m", "Retrain")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/owner/name/commit/1"
    (commit,) = hub.commits
    assert commit[0]["value"]["summary"] == "Retrain"
    sent = {entry["value"]["path"]: base64.b64decode(entry["value"]["content"]) for entry in commit[1:]}
    assert sent == {name: FILES[name] for name in OURS}


def test_tells_in_one_line_what_failed(hub, tmp_path):
    for arguments, expected in (
        (("pull", "owner/missing", "-o", tmp_path / "models"), "owner/missing: cannot be pulled: "),
        (("push", tmp_path / "nothing", "owner/name"), "expected a folder with JSON models or artifacts"),
    ):
        done = modelpick(*arguments)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert expected in line
