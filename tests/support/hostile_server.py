"""A server on loopback that sends what no camera sends, as fast as it is taken.

    python hostile_server.py KIND PORT

KIND is one of KINDS; says "ready" when it listens.
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator

HUGE = 2**31 - 1
BLOCK = bytes(range(256)) * 4096
OK = b"HTTP/1.0 200 OK\r\nContent-Type: %s\r\n\r\n"
MULTIPART = OK % b"multipart/x-mixed-replace;boundary=frame"
PART = b"--frame\r\nContent-Type: image/jpeg\r\n"


def for_ever(block: bytes) -> Iterator[bytes]:
    return itertools.repeat(block)


def counted(line: bytes, many: int = 2000) -> Iterator[bytes]:
    """Lines that each hold another number."""
    for first in itertools.count(0, many):
        yield b"".join(line % n for n in range(first, first + many))


def multipart_length() -> Iterator[bytes]:
    yield MULTIPART + PART + b"Content-Length: %d\r\n\r\n\xff\xd8" % HUGE
    yield from for_ever(BLOCK)


def multipart_header() -> Iterator[bytes]:
    yield MULTIPART + PART
    yield from counted(b"X-Part-%d: " + b"a" * 60 + b"\r\n")


def multipart_no_end() -> Iterator[bytes]:
    yield MULTIPART + PART + b"\r\n\xff\xd8"
    yield from for_ever(BLOCK)


def playlist() -> Iterator[bytes]:
    yield OK % b"application/vnd.apple.mpegurl"
    yield b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
    yield from counted(b"#EXTINF:1.0,\nhttp://127.0.0.1/" + b"a" * 100 + b"%d.ts\n")


def headers() -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\n"
    yield from counted(b"icy-%d: " + b"a" * 100 + b"\r\n")


def cookies() -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\n"
    yield from counted(b"Set-Cookie: a%d=" + b"a" * 100 + b"; path=/\r\n")


def redirects() -> Iterator[bytes]:
    yield b"HTTP/1.0 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"


def one_line() -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\nX: "
    yield from for_ever(b"a" * 2**20)


def subtitles() -> Iterator[bytes]:
    yield OK % b"application/x-subrip"
    yield from counted(b"%d\n00:00:01,000 --> 00:00:02,000\n" + b"a" * 100 + b"\n\n")


def matroska() -> Iterator[bytes]:
    """A segment without end, and in it attachments without end, of 6 MB each."""

    def element(number: str, content: bytes) -> bytes:
        return bytes.fromhex(number) + (2**56 | len(content)).to_bytes(8, "big") + content

    endless = bytes.fromhex("01ffffffffffffff")
    yield OK % b"video/x-matroska"
    yield element("1a45dfa3", element("4282", b"matroska")) + bytes.fromhex("18538067") + endless
    yield bytes.fromhex("1941a469") + endless
    file = element("466e", b"a") + element("4660", b"b") + element("46ae", b"\1")
    yield from for_ever(element("61a7", file + element("465c", bytes(6 * 2**20))))


def mov() -> Iterator[bytes]:
    """A moov that holds a table of 2**28 sample sizes."""

    def atom(kind: bytes, size: int) -> bytes:
        return size.to_bytes(4, "big") + kind

    yield OK % b"video/mp4"
    yield atom(b"ftyp", 16) + b"isom" + bytes(4)
    table = 2**30
    yield atom(b"moov", table + 60) + atom(b"trak", table + 52) + atom(b"mdia", table + 44)
    yield atom(b"minf", table + 36) + atom(b"stbl", table + 28)
    yield atom(b"stsz", table + 20) + bytes(8) + (table // 4).to_bytes(4, "big")
    yield from for_ever(BLOCK)


def asked(client: socket.socket) -> bytes:
    """A request, to its empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise OSError("gone")
        data += more
    return data


SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=live\r\nt=0 0\r\n"
    b"m=video 0 RTP/AVP 33\r\na=control:track1\r\n"
)


Answer = Callable[[bytes], Iterator[bytes]]
"""What is sent after a request."""


def answer(head: bytes, body: bytes = b"", length: int | None = None) -> Answer:
    """One RTSP answer; its length may be a lie."""

    def made(request: bytes) -> Iterator[bytes]:
        lines = (line.partition(b":") for line in request.split(b"\r\n"))
        number = next(value.strip() for key, _, value in lines if key.lower() == b"cseq")
        yield b"RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1\r\n%sContent-Length: %d\r\n\r\n" % (
            number, head, len(body) if length is None else length,
        )  # fmt: skip
        yield body

    return made


def then(first: Answer, rest: Iterator[bytes]) -> Answer:
    return lambda request: itertools.chain(first(request), rest)


def rtsp(kind: str) -> Iterator[Answer]:
    """The answers to OPTIONS, DESCRIBE, SETUP and PLAY."""
    sdp = b"Content-Type: application/sdp\r\n"
    yield answer(b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n")
    if kind == "rtsp_length":
        yield then(answer(sdp, length=HUGE), for_ever(BLOCK))
    elif kind == "rtsp_tracks":
        track = b"m=video 0 RTP/AVP 33\r\na=control:t%d\r\n"
        yield answer(sdp, SDP + b"".join(track % n for n in range(10**6)))
    elif kind == "rtsp_headers":
        lines = counted(b"X-%d: " + b"a" * 90 + b"\r\n")
        yield lambda _: itertools.chain([b"RTSP/1.0 200 OK\r\n"], lines)
    else:
        yield answer(sdp, SDP)
    yield answer(b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")
    heads = (b"$\x00\xff\xff\x80\x21" + n.to_bytes(2, "big") + bytes(8) for n in range(16))
    yield then(answer(b""), for_ever(b"".join(head + b"G" * 65523 for head in heads)))


KINDS = {
    f.__name__: f
    for f in (multipart_length, multipart_header, multipart_no_end, playlist, headers, cookies,
              redirects, one_line, subtitles, matroska, mov)
}  # fmt: skip
RTSP_KINDS = ("rtsp_length", "rtsp_tracks", "rtsp_headers", "rtsp_packets")


def serve(client: socket.socket, kind: str) -> None:
    with client:
        try:
            if kind in KINDS:
                asked(client)
                for block in KINDS[kind]():
                    client.sendall(block)
                return
            for send in rtsp(kind):
                for block in send(asked(client)):
                    client.sendall(block)
        except OSError:
            return  # the client has gone


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            threading.Thread(target=serve, args=(client, kind), daemon=True).start()


if __name__ == "__main__":
    main()
