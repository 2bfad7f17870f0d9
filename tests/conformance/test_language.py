"""The language of scripts: what it says of mistakes, and that a script which expects the wrong thing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.language import ScriptError, Start, parse_script
from tests.conformance.play import ConformanceError, Player
from tests.conformance.segment import SegmentError, decode_options, encode_options, parse_segment
from tests.conformance.world import DryWorld

PATH = Path("rule.tcp")
HEADING = "# RFC 9293 §3.5: a rule.\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rule.tcp:1: the first line names the rule"),
        ("# something\n0 quiet", "rule.tcp:1: the first line names the rule"),
        (HEADING, "rule.tcp:1: the script does nothing"),
        (HEADING + "end server", "rule.tcp:2: unknown line 'end server'"),
        (HEADING + "start open", "rule.tcp:2: start 'open': expected one of closed, established"),
        (HEADING + "start established rtt soon", "rule.tcp:2: rtt needs a time in seconds, not 'soon'"),
        (HEADING + "\n0.000 quiet\nend client", "rule.tcp:4: 'end': behind the first timed line"),
        (HEADING + "0.0.0 quiet", "rule.tcp:2: '0.0.0' is no time"),
        (HEADING + "0.2..0.1 quiet", "rule.tcp:2: 0.2..0.1: the span ends before it begins"),
        (HEADING + "0.000 wrte 10", "rule.tcp:2: unknown step 'wrte 10': expected < or > and a segment"),
        (HEADING + "0.000 write", "rule.tcp:2: unknown step 'write'"),
        (HEADING + "0.000 state open", "rule.tcp:2: unknown step 'state open'"),
        (HEADING + "~ counter x", "rule.tcp:2: ~ counter x: expected '~ counter NAME NUMBER'"),
        (HEADING + "~ tcb cwnd 5 about 2", "rule.tcp:2: ~ tcb cwnd 5 about 2: expected "),
        (HEADING + "0.000 >> icmp 3 1 seq 1", "rule.tcp:2: 'icmp 3 1 seq 1': expected '< icmp TYPE CODE seq NUMBER"),
        (HEADING + "0.000 < A 1 ack 1 ecn", "rule.tcp:2: ecn needs a number, not ''"),
        (HEADING + "0.000 < S 0 <fo zz>", "rule.tcp:2: option 'fo zz'"),
        (HEADING + "0.000 < icmp 3 1", "rule.tcp:2: 'icmp 3 1': expected '< icmp TYPE CODE seq NUMBER"),
        (HEADING + "0.000 < A 1", "rule.tcp:2: the flag A needs 'ack NUMBER'"),
        (HEADING + "0.000 < SX 1", "rule.tcp:2: flags 'SX': letters of FSRPAUEW"),
        (HEADING + "0.000 < P 1:10(10)", "rule.tcp:2: 1:10(10): from 1 to 10 are 9 bytes, not 10"),
        (HEADING + "0.000 < P x", "rule.tcp:2: 'x' is no sequence number"),
        (HEADING + "0.000 < A 1 ack", "rule.tcp:2: ack needs a number, not ''"),
        (HEADING + "0.000 < A 1 ack 1 wnd 5", "rule.tcp:2: unknown word 'wnd' in a segment"),
        (HEADING + "0.000 < S 0 <mss>", "rule.tcp:2: option 'mss'"),
        (HEADING + "0.000 < S 0 <mms 5>", "rule.tcp:2: unknown option 'mms 5'"),
        (HEADING + "0.000 < S 0 <mss 5", "rule.tcp:2: options stand at the end, in <>"),
        (HEADING + "0.000 < S 0 {check bad}", "rule.tcp:2: unknown modifier 'check'"),
    ],
)
def test_mistakes_are_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as error:
        parse_script(text, PATH)
    assert str(error.value).startswith(message), error.value


def test_a_script_is_read() -> None:
    source = parse_script(
        "# RFC 5961 §3.2, with a note: a rule.\nend service\nstart established rtt 0.1 <mss 9, sackOK>  # here\n"
        "tcp min_rto: 1s\n\n0.1..0.2 > PA 1:3(2) ack 7 win 5\n+0.5 close\n~ tcb cwnd -1\n",
        PATH,
    )
    assert (source.rfc, source.section, source.end, source.start) == (5961, "3.2", "service", Start.ESTABLISHED)
    assert (source.rtt_us, source.settings) == (100_000, {"tcp": "min_rto: 1s"})
    first, second, third = source.steps
    assert (first.line, first.earliest_us, first.latest_us, str(first.segment)) == (
        6,
        100_000,
        200_000,
        "PA 1:3(2) ack 7 win 5",
    )
    assert (second.relative, second.earliest_us, second.kind) == (True, 500_000, "close")
    assert third.words == ("tcb", "cwnd", "-1")


@pytest.mark.parametrize(
    "text",
    [
        "S 0:0(0) win 9 <mss 1460, sackOK, wscale 7>",
        "A 1 ack 1 <sack 5:9 20:30>",
        "A 1 ack 2 <ts 7 ecr 9>",
        "FPA 1:5(4) ack 1 urg 2",
        "PAEW 1:5(4) ack 1 ecn 2",
        "S 0:0(0) <mss 1460, fo 0102030405060708>",
    ],
)
def test_a_segment_is_written_as_it_is_read(text: str) -> None:
    segment = parse_segment(text)
    assert str(segment) == text
    assert decode_options(encode_options(segment.options, 100), 100) == segment.options


def test_options_that_are_cut_off_are_told() -> None:
    with pytest.raises(SegmentError):
        decode_options(b"\x05\x0a\0\0", 0)


def play(lines: str) -> None:
    source = parse_script(HEADING + "start established <mss 1460>\n" + lines, PATH)
    Player(source, DryWorld(source)).play()


RIGHT = "0.000 < PA 1:11(10) ack 1\n0.040 > A 1 ack 11 win 65525\n0.040 received 10\n"


def test_a_right_script_passes() -> None:
    play(RIGHT)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            RIGHT.replace("ack 11", "ack 10"),
            "rule.tcp:4: 0.040 > A 1 ack 10 win 65525\n  A 1 ack 11 win 65525 came at 0.0",
        ),
        (RIGHT.replace("win 65525", "win 65535"), "rule.tcp:4: "),
        (RIGHT.replace("A 1 ack", "PA 1 ack"), "rule.tcp:4: "),
        (RIGHT.replace("A 1 ack 11", "A 2 ack 11"), "rule.tcp:4: "),
        (RIGHT.replace("win 65525", "<nop, nop, sack 1:2>"), "rule.tcp:4: "),
        (RIGHT.replace("0.040 >", "0.030 >"), "rule.tcp:4: 0.030 > A 1 ack 11 win 65525\n  nothing came until 0.03"),
        (
            RIGHT.replace("0.040 >", "0.060..0.090 >"),
            "rule.tcp:4: 0.060..0.090 > A 1 ack 11 win 65525\n  it came at 0.04",
        ),
        (RIGHT.replace("0.040 >", "0.040 quiet\n0.050 >"), "rule.tcp:5: "),
        (RIGHT.replace("received 10", "received 11"), "rule.tcp:5: 0.040 received 11\n  10 bytes were received"),
        (RIGHT.replace("received 10", "eof"), "rule.tcp:5: "),
        (
            RIGHT.replace("received 10", "state closed"),
            "rule.tcp:5: 0.040 state closed\n  the connection is in state ESTABL",
        ),
        (RIGHT.split("0.040", 1)[0] + "0.100 quiet\n", "rule.tcp:4: 0.100 quiet\n  A 1 ack 11 win 65525 came at 0.0"),
        (RIGHT + "~ counter delayed_acks 2\n", "rule.tcp:6: ~ counter delayed_acks 2\n  delayed_acks is 1"),
        (RIGHT + "~ counter no_such 2\n", "rule.tcp:6: ~ counter no_such 2\n  there is no counter no_such"),
        (RIGHT + "~ tcb cwnd 2\n", "rule.tcp:6: ~ tcb cwnd 2\n  cwnd is "),
        (RIGHT + "~ tcb cwnd 14610 within 9\n", "rule.tcp:6: ~ tcb cwnd 14610 within 9\n  cwnd is 14600"),
        (RIGHT + "~ cubic most 1\n", "rule.tcp:6: ~ cubic most 1\n  most is 0"),
        (RIGHT.replace("win 65525", "ecn 2"), "rule.tcp:4: "),
        (
            "0.000 write 4380\n0.000 >> PA 1:2921(2920) ack 1\n",
            "rule.tcp:4: 0.000 >> PA 1:2921(2920) ack 1\n  A 1461:2921(1460) ack 1 win 65535 came at 0.0",
        ),
    ],
)
def test_a_wrong_script_fails(lines: str, message: str) -> None:
    with pytest.raises(ConformanceError) as error:
        play(lines)
    assert str(error.value).startswith(message), error.value


def test_initial_numbers_that_do_not_follow_the_clock_are_told() -> None:
    opening = "0.000 anew\n0.000 < S 0:0(0) win 65535 <mss 1460>\n0.000 > SA 0:0(0) ack 1 <mss 1460>\n"
    with pytest.raises(ConformanceError, match="away from what the clock says"):
        play(opening + "0.000 isn-by-clock\n")


def test_a_cookie_and_timestamps_have_to_be_told_before_they_can_be_sent() -> None:
    for options in ("fo cookie", "ts 1 ecr last"):
        with pytest.raises(ConformanceError, match="the engine has"):
            play(f"0.000 < A 1 ack 1 <{options}>\n")


def test_what_comes_behind_the_last_line_is_an_error() -> None:
    with pytest.raises(ConformanceError, match="the script has ended"):
        play("0.000 < PA 1:2(1) ack 1\n0.000 < PA 2:3(1) ack 1\n~ counter delayed_acks 0\n")
