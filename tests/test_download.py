"""`get_file` against a server on this machine: broken transfers, wrong hashes, hostile archives, Keras's places."""

import contextlib
import hashlib
import http.server
import io
import pathlib
import tarfile
import threading
import zipfile

import pytest

from fkeras.utils import archives, get_file, transfer

DATA = bytes(range(256)) * 2000  # 512 kB: several pieces
SHA, MD5 = hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest()


class Site:
    """What the server has and what it was asked: files by path, and functions of (handler, body) for trouble."""

    def __init__(self):
        self.files, self.trouble, self.asked = {"/data.bin": DATA}, {}, []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site, path = self.server.site, self.path.partition("?")[0]
        site.asked.append((path, self.headers.get("Range"), self.headers.get("If-Range")))
        body = site.files.get(path)
        if path in site.trouble and site.trouble[path](self, body):
            return
        if body is None:
            self.send_error(404)
        else:
            self.give(body)

    def give(self, body, upto=None, ranges=True, tag='"1"', length=True):
        """Sends a file or the rest that was asked for, and breaks off after `upto` bytes."""
        asked, start = self.headers.get("Range"), 0
        if asked and ranges and self.headers.get("If-Range", tag) == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if tag:
            self.send_header("ETag", tag)
        if length:
            self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[start:upto])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site = found = Site()
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(site, tmp_path):
    def fetch(path="/data.bin", **kwargs):
        return get_file(origin=site.url + path, cache_dir=tmp_path, allow_http=True, **kwargs)

    return fetch


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*") if p.is_file())


def once(trouble):
    """Makes trouble the first time only."""
    left = [trouble]
    return lambda handler, body: left and (left.pop()(handler, body), True)[1]


def test_a_file_is_downloaded_once(fetch, site, tmp_path, capsys):
    path = fetch(file_hash=SHA)
    assert path == str(tmp_path / "datasets" / "data.bin") and pathlib.Path(path).read_bytes() == DATA
    assert fetch(file_hash=MD5) == fetch(md5_hash=MD5) == fetch() == path
    assert len(site.asked) == 1 and tree(tmp_path) == ["datasets/data.bin"]
    said = capsys.readouterr().out
    assert f"Downloading data from {site.url}/data.bin" in said and "512000/512000" in said
    fetch(force_download=True)
    assert len(site.asked) == 2


def test_the_cache_is_where_keras_has_it(fetch, site, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    origin = site.url + "/data.bin"
    assert get_file("a.bin", origin, allow_http=True) == str(tmp_path / "home/datasets/a.bin")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me/.keras/datasets").mkdir(parents=True)
    (tmp_path / "me/.keras/datasets/b.bin").write_bytes(b"kept")
    assert pathlib.Path(get_file("b.bin", origin, allow_http=True)).read_bytes() == b"kept"
    assert len(site.asked) == 1


def test_a_file_in_the_cache_with_another_hash_is_downloaded_again(fetch, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/data.bin").write_bytes(b"old")
    assert fetch() and (tmp_path / "datasets/data.bin").read_bytes() == b"old"
    assert fetch(file_hash=SHA) and (tmp_path / "datasets/data.bin").read_bytes() == DATA


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_transfer_is_continued(fetch, site, length):
    site.trouble["/data.bin"] = once(lambda h, body: h.give(body, upto=200_000, length=length))
    path = fetch(file_hash=SHA)
    assert pathlib.Path(path).read_bytes() == DATA
    if length:  # without one nobody sees that it broke off, but by the hash
        assert site.asked == [("/data.bin", None, None), ("/data.bin", "bytes=200000-", '"1"')]


def test_a_broken_transfer_is_continued_by_the_next_call(fetch, site, tmp_path):
    site.trouble["/data.bin"] = lambda h, body: h.give(body, upto=100_000 + 50_000 * len(site.asked)) or True
    with pytest.raises(
        OSError, match=r"the connection broke off after 300,000 of 512,000 bytes\. To do without a netw"
    ):
        fetch()
    assert tree(tmp_path) == ["datasets/data.bin.part", "datasets/data.bin.part-of"]
    site.trouble.clear()
    assert pathlib.Path(fetch()).read_bytes() == DATA
    assert site.asked[-1] == ("/data.bin", "bytes=300000-", '"1"') and tree(tmp_path) == ["datasets/data.bin"]


@pytest.mark.parametrize("there", [DATA, DATA + b"more"])
def test_a_beginning_that_is_complete_or_too_long(fetch, tmp_path, there):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/data.bin.part").write_bytes(there)
    assert pathlib.Path(fetch(file_hash=SHA)).read_bytes() == DATA and tree(tmp_path) == ["datasets/data.bin"]


@pytest.mark.parametrize("tag", ['"2"', ""])
def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old_beginning(fetch, site, tag):
    site.trouble["/data.bin"] = once(lambda h, body: h.give(b"?" * len(body), upto=200_000, tag=tag))
    assert pathlib.Path(fetch()).read_bytes() == DATA
    site.trouble["/data.bin"] = once(lambda h, body: h.give(b"?" * len(body), upto=200_000, tag='"1"'))
    assert pathlib.Path(fetch(file_hash=SHA, force_download=True)).read_bytes() == DATA  # the hash tells


def test_servers_without_ranges_and_busy_ones(fetch, site):
    site.trouble["/data.bin"] = once(lambda h, body: h.give(body, upto=1000))
    site.files["/plain"] = DATA
    again = once(lambda h, body: h.give(body, upto=1000))
    site.trouble["/plain"] = lambda h, body: again(h, body) or h.give(body, ranges=False) or True
    site.trouble["/busy"] = once(lambda h, body: h.send_error(503))
    site.files["/busy"] = DATA
    for path in ("/data.bin", "/plain", "/busy"):
        assert pathlib.Path(fetch(path)).read_bytes() == DATA, path


def test_a_wrong_hash_is_refused_and_nothing_kept(fetch, tmp_path):
    with pytest.raises(
        ValueError, match=r"is not the file that is wanted: expected sha256 0{16}\.\.\., got [0-9a-f]{16}"
    ):
        fetch(file_hash="0" * 64)
    assert tree(tmp_path) == []
    with pytest.raises(ValueError, match="'abc' is no md5: 64 hexadecimal digits, or 32 for md5"):
        fetch(file_hash="abc")


def test_without_a_network_the_message_says_where_to_put_the_file(fetch, tmp_path):
    with pytest.raises(OSError, match=r"404 Not Found\. To do without a network, put the file at .*datasets/none\.txt"):
        fetch("/none.txt")
    with pytest.raises(OSError, match=rf"cannot download https://127\.0\.0\.1:9/x\.zip: .*refused.*{SHA}"):
        get_file(origin="https://127.0.0.1:9/x.zip", cache_dir=tmp_path, file_hash=SHA)


def test_only_https_unless_asked_for(fetch, site, tmp_path):
    for origin, hint in (
        ("http://a.org/x", r"Try https://, or pass allow_http=True"),
        ("ftp://a.org/x", "got 'ftp:"),
    ):
        with pytest.raises(ValueError, match=hint):
            get_file(origin=origin, cache_dir=tmp_path)

    def lead(to):
        def redirect(handler, body):
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True

        return redirect

    site.trouble["/moved"] = lead("/data.bin")
    assert pathlib.Path(fetch("/moved")).read_bytes() == DATA
    site.trouble["/in"] = lead("file:///etc/hosts")
    with pytest.raises(OSError, match=r"Redirection to url 'file:///etc/hosts' is not allowed"):
        fetch("/in")
    site.trouble["/out"] = lead("ftp://127.0.0.1/x")
    with pytest.raises(OSError, match="it leads to an address that is not https: ftp://127.0.0.1/x"):
        fetch("/out")


def test_a_file_on_this_computer_is_copied(tmp_path):
    (tmp_path / "mine.bin").write_bytes(DATA)
    path = get_file(origin=(tmp_path / "mine.bin").as_uri(), cache_dir=tmp_path / "cache", file_hash=SHA)
    assert pathlib.Path(path).read_bytes() == DATA
    with pytest.raises(OSError, match=r"cannot download file:///.*none\.bin: .*No such file"):
        get_file(origin=(tmp_path / "none.bin").as_uri(), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\\b"])
def test_a_name_is_no_path(fetch, name):
    with pytest.raises(ValueError, match="get_file: (expected fname without folders|give fname)"):
        fetch(fname=name)


def test_many_at_once_download_once(fetch, site):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch())) for _ in range(6)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert len(set(paths)) == 1 and len(paths) == 6 and len(site.asked) == 1


# ------------------------------------------------------------------------------------------- archives


def tar(*members, mode="w:gz"):
    """Returns a tar archive of (name, content) and of ready TarInfos."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        for member in members:
            info, body = (
                (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = len(body)
            file.addfile(info, io.BytesIO(body))
    return out.getvalue()


def special(name, kind, to=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members:
            file.writestr(name, body)
    return out.getvalue()


def test_files_lie_where_keras_puts_them(fetch, site, tmp_path, keras, capsys):
    """Also those that are unpacked, with and without a name, of every kind."""
    site.files.update({"/s.tar.gz": tar(("s/x.txt", b"1"), ("s/in/y", b"2")), "/z.zip": zipped(("z/x.txt", b"3"))})
    for number, kw in enumerate(
        [
            {"origin": "/data.bin"},
            {"fname": "b.bin", "origin": "/data.bin?x=1", "cache_subdir": "my/sets"},
            {"origin": "/s.tar.gz", "extract": True},
            {"fname": "s", "origin": "/s.tar.gz", "untar": True},
            {"fname": "s.tar.gz", "origin": "/s.tar.gz", "extract": True},
            {"origin": "/z.zip", "extract": True, "archive_format": "zip"},
            {"fname": "q.zip", "origin": "/z.zip", "extract": True},
        ]
    ):
        kw = {**kw, "origin": site.url + kw["origin"]}
        mine, its = tmp_path / f"mine{number}", tmp_path / f"its{number}"
        its.mkdir()  # else Keras would take another folder
        got = get_file(cache_dir=mine, allow_http=True, **kw)
        want = keras.utils.get_file(cache_dir=str(its), **kw)
        assert pathlib.Path(got).relative_to(mine) == pathlib.Path(want).relative_to(its), kw
        assert tree(mine) == tree(its), kw


HOSTILE = {
    "climbs": tar(("ok", b"1"), ("../evil", b"2")),
    "climbs inside": tar(("a/../../evil", b"2")),
    "is absolute": tar(("/tmp/evil", b"2")),
    "links out": tar(special("out", tarfile.SYMTYPE, "../../.."), ("out/evil", b"2")),
    "links to a file": tar(special("passwd", tarfile.SYMTYPE, "/etc/passwd")),
    "links hard": tar(special("passwd", tarfile.LNKTYPE, "/etc/passwd")),
    "links to a folder": tar(special("d", tarfile.SYMTYPE, "."), ("d/evil", b"2")),
    "is a device": tar(special("null", tarfile.CHRTYPE)),
    "is a pipe": tar(special("pipe", tarfile.FIFOTYPE)),
    "zip climbs": zipped(("../evil", b"2")),
    "zip is absolute": zipped(("/evil", b"2")),
    "zip with backslashes": zipped(("..\\evil", b"2")),
    "zip with a drive": zipped(("c:/evil", b"2")),
    "a file is a folder": zipped(("a", b"1"), ("a/b", b"2")),
    "cut off": tar(("ok", DATA))[:-200],
    "no archive": b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_leave_nothing_behind(name, fetch, site, tmp_path):
    site.files["/set"] = HOSTILE[name]
    with pytest.raises(ValueError, match=r"Cannot unpack '.*set_archive': it"):
        fetch("/set", extract=True, cache_subdir="a/b/c")
    assert tree(tmp_path) == ["a/b/c/set_archive"] and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_link_within_an_archive_becomes_a_copy(tmp_path):
    file = tmp_path / "x.tar"
    file.write_bytes(tar(("a/real", b"12"), special("b/soft", tarfile.SYMTYPE, "../a/real"), mode="w"))
    archives.extract(file, tmp_path / "out")
    assert tree(tmp_path / "out") == ["a/real", "b/soft"]
    copy = tmp_path / "out/b/soft"
    assert not copy.is_symlink() and copy.read_bytes() == b"12"
    assert (tmp_path / "out").stat().st_mode & 0o777 == (tmp_path / "out/a").stat().st_mode & 0o777


def test_more_than_the_disk_holds_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "x.zip"
    file.write_bytes(zipped(("zeros", bytes(10**6))))
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match="it holds 1,000,000 bytes, the disk has room for 1,000"):
        archives.extract(file, tmp_path / "out")
    assert tree(tmp_path) == ["x.zip"]


def test_unpacking_again_replaces_the_folder_whole(tmp_path):
    for number in (1, 2):
        (tmp_path / "x.zip").write_bytes(zipped((f"{number}.txt", b"1")))
        archives.extract(tmp_path / "x.zip", tmp_path / "out")
    assert tree(tmp_path) == ["out/2.txt", "x.zip"]
