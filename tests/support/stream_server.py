"""A live stream on loopback in a process of its own, to be killed, stopped and started again.

    python stream_server.py http|mjpeg|rtsp PORT [WIDTH HEIGHT FPS]

`http` is MPEG-TS (MPEG-2 video) without end, `mjpeg` the multipart JPEG of IP cameras, `rtsp` the
same MPEG-TS as RTP in the RTSP connection itself. Says "ready" when it listens. The pictures are
made as they are due, each a shade lighter than the one before.
"""

from __future__ import annotations

import itertools
import queue
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

import av

BOUNDARY = b"frame"
TYPES = {"http": b"video/MP2T", "mjpeg": b"multipart/x-mixed-replace;boundary=" + BOUNDARY}


class Hub:
    """Takes what an encoder writes and hands it to all who listen."""

    def __init__(self) -> None:
        self.listeners: set[queue.Queue[bytes]] = set()

    def write(self, data: bytes) -> int:
        for listener in tuple(self.listeners):
            listener.put(bytes(data))
        return len(data)


def numbers(fps: float) -> Iterator[int]:
    """Numbers, each when its picture is due."""
    start = time.monotonic()
    for i in itertools.count():
        time.sleep(max(0.0, start + i / fps - time.monotonic()))
        yield i


def image(i: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 40 + i % 150, np.uint8)


def transport_stream(hub: Hub, width: int, height: int, fps: float) -> None:
    with av.open(hub, "w", format="mpegts", options={"flush_packets": "1"}) as out:
        stream = out.add_stream("mpeg2video", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = 10
        for i in numbers(fps):
            frame = av.VideoFrame.from_ndarray(image(i, width, height), format="bgr24")
            out.mux(stream.encode(frame))


def jpegs(hub: Hub, width: int, height: int, fps: float) -> None:
    for i in numbers(fps):
        data = cv2.imencode(".jpg", image(i, width, height))[1].tobytes()
        head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        hub.write(head % (BOUNDARY, len(data)) + data + b"\r\n")


def serve_http(client: socket.socket, hub: Hub, kind: bytes) -> None:
    client.recv(65536)
    client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: %s\r\n\r\n" % kind)
    for data in heard(hub):
        client.sendall(data)


def heard(hub: Hub) -> Iterator[bytes]:
    """What comes from now on."""
    listener: queue.Queue[bytes] = queue.Queue()
    hub.listeners.add(listener)
    try:
        while True:
            yield listener.get()
    finally:
        hub.listeners.discard(listener)


def serve_rtsp(client: socket.socket, hub: Hub) -> None:
    """OPTIONS, DESCRIBE, SETUP (interleaved only) and PLAY of one track, RTP payload type 33."""
    lines = client.makefile("rb")
    while True:
        request = lines.readline().decode()
        if not request:
            return
        method, url, _ = request.split()
        headers = {}
        while line := lines.readline().strip():
            key, _, value = line.decode().partition(":")
            headers[key.lower()] = value.strip()
        head = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n"
        body = ""
        if method == "OPTIONS":
            head += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=live\r\nt=0 0\r\n"
                "m=video 0 RTP/AVP 33\r\na=control:track1\r\n"
            )
            head += f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\n"
        elif method == "SETUP":
            head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if method == "PLAY":
            break
    seq = 0
    rest = b""
    for data in heard(hub):
        rest += data
        while len(rest) >= 1316:  # seven packets of a transport stream
            payload, rest = rest[:1316], rest[1316:]
            stamp = int(time.monotonic() * 90000) & 0xFFFFFFFF
            packet = struct.pack(">BBHII", 0x80, 33, seq & 0xFFFF, stamp, 1) + payload
            client.sendall(b"$" + struct.pack(">BH", 0, len(packet)) + packet)
            seq += 1


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    width, height, fps = map(int, sys.argv[3:6] or (160, 120, 25))
    hub = Hub()
    encode = jpegs if kind == "mjpeg" else transport_stream
    threading.Thread(target=encode, args=(hub, width, height, fps), daemon=True).start()
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            serve = serve_rtsp if kind == "rtsp" else partial(serve_http, kind=TYPES[kind])
            threading.Thread(target=guarded, args=(serve, client, hub), daemon=True).start()


def guarded(serve: Callable[[socket.socket, Hub], None], client: socket.socket, hub: Hub) -> None:
    with client:
        try:
            serve(client, hub)
        except OSError:
            return  # the client has gone


if __name__ == "__main__":
    main()
