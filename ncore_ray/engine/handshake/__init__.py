"""How clients' connections begin: with memory of the SYN, or without (SYN cookies, RFC 4987 §3.6)."""
