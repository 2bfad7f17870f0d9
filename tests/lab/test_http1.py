"""The strict client connection, fed by a server that may say anything."""

from __future__ import annotations

import asyncio

import pytest

from ncore_ray.lab.http1 import Answer, AnswerError, ClosedBeforeAnswerError, Connection, parse_head


async def exchange(answer: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    """Make one request to a server that gives this answer and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    body = bytearray()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        connection = Connection(*await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))
        try:
            done = await connection.request(method, "/", sink=body.extend)
            await connection.finish()
        finally:
            connection.close()
    return done, bytes(body)


def run(answer: bytes, method: str = "GET") -> tuple[Answer, bytes]:
    return asyncio.run(exchange(answer, method))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
    ],
)
def test_bodies(answer: bytes, body: bytes) -> None:
    assert run(answer)[1] == body


def test_answer_to_head_has_no_body() -> None:
    answer, body = run(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD")
    assert (answer.headers["content-length"], body) == ("3", b"")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ClosedBeforeAnswerError),
        (b"HTTP/1.1 200", asyncio.IncompleteReadError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", asyncio.IncompleteReadError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", AnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", AnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\n0\r\n\r\n", AnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", AnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", AnswerError),
        (b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n", AnswerError),
        (b"hello\r\n\r\n", AnswerError),
    ],
)
def test_wrong_answers_are_errors(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(answer)


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
    ],
)
def test_keep_alive(head: bytes, keeps: bool) -> None:
    assert parse_head(head).keeps_alive is keeps
