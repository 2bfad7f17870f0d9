"""TCP as RFC 9293 describes it, with RFC 5681/6582 congestion control, RFC 6298 timer, RFC 5961 checks."""
