"""Unpacking of tar and zip archives that may come from anybody: no file leaves the folder, no link is made.

Everything is unpacked into a folder beside the target, which takes its name when it is complete.
"""

import lzma
import os
import pathlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib

FORMATS = ("tar", "zip")
_DAMAGED = (  # what the standard library raises on broken and encrypted archives, and on a file that is a folder too
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)


def extract(archive, folder, archive_format="auto"):
    """Unpacks a tar (also .gz, .bz2, .xz) or zip archive to `folder`, replacing what was there.

    Args:
        archive: Path of the file.
        folder: Path of the folder to make.
        archive_format: "tar", "zip", a list of these, or "auto" for both.

    Raises:
        ValueError: It is no such archive, it is damaged, or a member would leave the folder: an absolute name, `..`, a
            link to elsewhere, a device. Nothing is unpacked then.
        OSError: The disk has no room for it.
    """
    known = list(FORMATS) if archive_format == "auto" else archive_format
    known = [known] if isinstance(known, str) else list(known or ())
    if wrong := [f for f in known if f not in FORMATS]:
        raise ValueError(f"extract: expected archive_format 'auto', 'tar' or 'zip', got {wrong[0]!r}.")
    name, folder = os.fspath(archive), pathlib.Path(folder)
    if "tar" in known and tarfile.is_tarfile(name):
        members = _tar_members
    elif "zip" in known and zipfile.is_zipfile(name):
        members = _zip_members
    else:
        raise ValueError(f"Cannot unpack {name!r}: it is no {' or '.join(known) or '(nothing was asked for)'} archive.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with members(name) as found:
            _write(found, beside, name)
        os.chmod(beside, 0o777 & ~_umask())  # the folder of mkdtemp is its owner's alone
        _replace(beside, folder)
    except _DAMAGED as err:
        raise ValueError(f"Cannot unpack {name!r}: it is damaged or encrypted ({err}).") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(beside, folder):
    """Gives `beside` the name `folder`; a folder that is there goes away afterwards."""
    if not folder.exists():
        os.rename(beside, folder)
        return
    old = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    os.rename(folder, old / "it")
    os.rename(beside, folder)
    shutil.rmtree(old, ignore_errors=True)


class _tar_members:
    """Context: (name, kind, size, open) for the members of a tar archive."""

    def __init__(self, name):
        self.file = tarfile.TarFile.open(name)

    def __enter__(self):
        return [self._member(m) for m in self.file.getmembers()]

    def _member(self, m):
        if m.isdir():
            return m.name, "folder", 0, None
        if m.isreg():
            return m.name, "file", m.size, lambda: self.file.extractfile(m)
        if m.issym() or m.islnk():
            return m.name, "link", 0, lambda: self._linked(m)
        return m.name, "device", 0, None

    def _linked(self, m):
        """Returns the file in the archive that a link leads to, or None."""
        place = pathlib.PurePosixPath(m.name).parent / m.linkname if m.issym() else pathlib.PurePosixPath(m.linkname)
        target = os.path.normpath(place)
        found = next((o for o in self.file.getmembers() if o.isreg() and os.path.normpath(o.name) == target), None)
        return found and self.file.extractfile(found)

    def __exit__(self, *error):
        self.file.close()


class _zip_members:
    """Context: the same of a zip archive."""

    def __init__(self, name):
        self.file = zipfile.ZipFile(name)

    def __enter__(self):
        return [self._member(m) for m in self.file.infolist()]

    def _member(self, m):
        kind = m.external_attr >> 28  # of the mode that Unix archivers store: 4 a folder, 8 a file, 10 a link
        if m.is_dir():
            return m.filename, "folder", 0, None
        if kind == 10:
            return m.filename, "link", 0, lambda: None
        return m.filename, "device" if kind not in (0, 8) else "file", m.file_size, lambda: self.file.open(m)

    def __exit__(self, *error):
        self.file.close()


def _write(members, folder, archive):
    room = shutil.disk_usage(folder).free
    size = sum(size for _, _, size, _ in members)
    if size > room:
        raise OSError(f"Cannot unpack {archive!r}: it holds {size:,} bytes, the disk has room for {room:,}.")
    places = [_place(name, kind, archive) for name, kind, _, _ in members]
    for place, (name, kind, _, open_member) in zip(places, members, strict=True):
        path = folder / place
        if kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            continue
        source = open_member()
        if source is None:
            raise ValueError(f"Cannot unpack {archive!r}: its link {name!r} leads to no file of the archive.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, open(path, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)


def _place(name, kind, archive):
    """Returns the path of a member within the folder."""
    parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
    if kind == "device" or not name or "\0" in name:
        raise ValueError(f"Cannot unpack {archive!r}: its member {name!r} is no file, folder or link.")
    if ".." in parts or parts[:1] == ("/",) or ":" in "".join(parts[:1]):
        raise ValueError(f"Cannot unpack {archive!r}: its member {name!r} would be written outside of the folder.")
    return pathlib.PurePosixPath(*parts)
