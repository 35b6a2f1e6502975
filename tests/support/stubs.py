"""OpenAI-compatible backends for tests, which also fail on demand, and an event loop in a thread to run servers in."""

import asyncio
import json
from contextlib import contextmanager, suppress
from threading import Thread

USAGE = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}
WORDS = ["Hel", "lo, ", "w\u00f6rld", "!"]


@contextmanager
def loop_in_a_thread():
    """Yield a function that runs a coroutine in the thread's loop and returns what it does."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def completion(model):
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}


def events(model, counts=False):
    """Return the server-sent events of a streamed answer, with token counts at the end if they are asked for."""
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model}
    chunks = [{**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
    if counts:
        chunks = [{**chunk, "usage": None} for chunk in chunks] + [{**base, "choices": [], "usage": USAGE}]
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b": comment\r\ndata: [DONE]\n\n"]


def shown(model):
    """Return the events of a streamed answer whose token counts the gateway asked for, as the client sees it."""
    return [event for event in events(model, True) if b'"choices": []' not in event]


class Backend:
    """A backend on raw sockets: what it does next is its ``mode``.

    answer; drop (the connection, before the first byte); headers (then drop); hang (before the first byte); break and
    stall (in the middle of a stream); slow (a quarter of a second, then answer); close once (on a connection that was
    used before, then answer); uncounted (refuses stream_options); a status, such as 503; or the bytes of a whole
    answer, behind which the connection is closed.
    """

    def __init__(self, name, run):
        self.name, self.mode, self.seen, self.gone, self._run = name, "answer", [], 0, run
        self._open = set()
        self._server = run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self):
        self._run(self._close())

    async def _close(self):
        self._server.close()
        for writer in self._open:
            writer.close()

    def listen(self):
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", self.port))

    async def _serve(self, reader, writer):
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.seen.append((headers, body))
                if not await self._answer(json.loads(body), reader, writer):
                    break
        self._open.remove(writer)
        writer.close()

    async def _abandoned(self, reader):
        """Wait until the other side goes away."""
        with suppress(ConnectionError):
            await reader.read()
        self.gone += 1
        return False

    async def _answer(self, body, reader, writer):
        mode = self.mode
        if mode == "drop":
            return False
        if mode == "close once":
            self.mode = "answer"
            return False
        if isinstance(mode, bytes):
            writer.write(mode)
            await writer.drain()
            return False
        counts = body.get("stream_options", {}).get("include_usage", False)
        if mode == "uncounted" and counts:
            refusal = b'{"error": {"message": "unknown field stream_options"}}'
            head = b"HTTP/1.1 400 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(refusal) + refusal)
            await writer.drain()
            return True
        if mode == "hang":
            return await self._abandoned(reader)
        if mode == "slow":
            await asyncio.sleep(0.25)
        streams = body.get("stream") and not isinstance(mode, int)
        kind = "text/event-stream" if streams else "application/json"
        status = mode if isinstance(mode, int) else 200
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nX-Request-Id: r-{self.name}\r\nSet-Cookie: a=b\r\n"
        if streams or mode == "headers":
            writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            await writer.drain()
            for number, event in enumerate(events(body["model"], counts)):
                if mode == "headers" or (mode == "break" and number == 2):
                    return False
                if mode == "stall" and number == 2:
                    return await self._abandoned(reader)
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
                await asyncio.sleep(0.005)
            writer.write(b"0\r\n\r\n")
        else:
            error = {"error": {"message": "stub", "type": "server_error", "param": None, "code": None}}
            answer = json.dumps(completion(body["model"]) if status == 200 else error).encode()
            writer.write(f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return True
