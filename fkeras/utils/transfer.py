"""Downloads over https that break off and go on: the transfer behind `get_file`."""

import http.client
import os
import re
import time
import urllib.error
import urllib.request

from fkeras.callbacks.progbar import Progbar

TRIES = 4  # of a transfer that breaks off
PAUSE = 1.0  # seconds before the second try, doubled before each that follows
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be others a moment later


class _Broken(OSError):
    """A transfer that may succeed when it is tried again."""


def download(origin, target, check, check_origin):
    """Downloads `origin` to the path `target`, which is there only when it is complete and has the hash of `check`.

    Args:
        check: What says whether a file `fits`, or None.
        check_origin: Function that raises ValueError for an address that must not be followed.
    """
    part = target.with_name(target.name + ".part")
    opener = urllib.request.build_opener(_Redirects(check_origin))
    for left in reversed(range(TRIES)):
        try:
            certain = _transfer(opener, origin, part, check)
        except _Broken as err:
            if not left:
                raise _unreachable(origin, target, check, err) from err
            time.sleep(PAUSE * 2 ** (TRIES - 1 - left))
            continue
        except OSError as err:
            raise _unreachable(origin, target, check, err) from err
        if not check or check.fits(part):
            os.replace(part, target)
            _forget(part)
            return
        got = check.of(part)
        _forget(part)
        if certain or not left:
            raise ValueError(
                f"get_file: {origin} is not the file that is wanted: expected {check.name} {check.value[:16]}..., "
                f"got {got[:16]}... It was not kept. Was it changed there?"
            )


def _unreachable(origin, target, check, reason):
    known = f" ({check.name} {check.value})" if check else ""
    return OSError(
        f"get_file: cannot download {origin}: {reason}. To do without a network, put the file at {target}{known}."
    )


def _transfer(opener, origin, part, check):
    """Downloads to `part`, or its rest if a beginning is there.

    Returns:
        True if the file is the server's for certain: of the length that it said, and not joined to a beginning.

    Raises:
        _Broken: The connection broke off, or the server is busy.
        OSError: The server refuses, or is not there.
    """
    mark = _mark_of(part)
    known = mark.read_text().splitlines() if mark.exists() else []
    ours, version = known[:1] in ([], [origin]), (known[1:] or [""])[0]
    have = part.stat().st_size if part.exists() and ours and (version or check) else 0
    request = urllib.request.Request(origin, headers={"User-Agent": "fkeras"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version:
            request.add_header("If-Range", version)
    try:
        answer = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as err:
        with err:
            if err.code == 416 and have:  # there is no rest: complete, or not the same file
                if err.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return False
                _forget(part)
                raise _Broken("the beginning that was there is of another file") from None
            raise (_Broken if err.code in _PASSING else OSError)(f"{err.code} {err.reason}") from None
    except urllib.error.URLError as err:
        passing = isinstance(err.reason, (TimeoutError, ConnectionError))
        raise (_Broken if passing else OSError)(str(err.reason)) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as err:
        raise _Broken(str(err) or type(err).__name__) from None
    with answer:
        start = _start(answer)
        if start != have:
            have = 0
            if start:
                _forget(part)
                raise _Broken("the server sent another part than it was asked for")
        if not have:
            version = _version(answer.headers)
            mark.write_text(f"{origin}\n{version}")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        with open(part, "ab" if have else "wb") as out:
            _copy(answer, out, have, total)
            out.flush()
            os.fsync(out.fileno())
    return not have and total is not None


def _start(answer):
    """Returns the number of the byte that an answer begins with."""
    if answer.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else -1


def _copy(answer, out, have, total):
    bar = Progbar(total, unit_name="byte")
    at = have
    while True:
        try:
            piece = answer.read(CHUNK)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as err:
            raise _Broken(f"the connection broke off after {at:,} bytes ({type(err).__name__})") from None
        if not piece:
            break
        out.write(piece)
        at += len(piece)
        if total is None or at <= total:
            bar.update(at)
    if total is not None and at != total:
        raise _Broken(f"the connection broke off after {at:,} of {total:,} bytes")
    if total is None:
        bar.update(at, finalize=True)


def _version(headers):
    """Returns what tells this version of a file from others: its strong ETag, or its date."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _mark_of(part):
    return part.with_name(part.name + "-of")


def _forget(part):
    part.unlink(missing_ok=True)
    _mark_of(part).unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else."""

    def __init__(self, check_origin):
        self.check_origin = check_origin

    def redirect_request(self, request, file, code, message, headers, url):
        try:
            self.check_origin(url)
        except ValueError as err:
            raise OSError(f"it leads to an address that is not https: {url}") from err
        return super().redirect_request(request, file, code, message, headers, url)
