"""What an engine counts: one word per cause, written by that engine only."""

from __future__ import annotations

from ncore_ray.machine.record import I64, Record, pointer_to


class EngineCounters(Record):
    """Every received packet is counted as received and then under exactly one of ``used_*`` and ``drop_*``."""

    received_packets: I64
    received_bytes: I64
    used_arp_packets: I64
    used_nd_packets: I64
    """Neighbour solicitations and advertisements."""
    used_icmp_packets: I64
    used_tcp_packets: I64
    used_udp_packets: I64
    used_any_packets: I64
    """Forwarded by vServers of protocol ANY; datagrams of UDP are among those above."""
    used_bridged_packets: I64
    """Sent on to the NIC at the other side, as they came."""
    used_ip_fragment_packets: I64
    """Fragments that wait for others; the one that makes a packet whole counts as that packet."""

    drop_ethernet_truncated_packets: I64
    drop_ethernet_unknown_type_packets: I64
    drop_bridge_packets: I64
    """Too long for the other side, or such that it cannot cut them."""
    drop_arp_bad_packets: I64
    drop_nd_bad_packets: I64
    drop_ip_truncated_packets: I64
    drop_ip_bad_header_packets: I64
    drop_ip_bad_checksum_packets: I64
    drop_ip_fragment_bad_packets: I64
    """Fragments that can be no part of a packet: empty, of no multiple of 8 bytes, beyond the longest packet."""
    drop_ip_fragment_overlap_packets: I64
    """Those that overlap others or contradict them, and all that follow of their packets (RFC 5722)."""
    drop_ip_fragment_duplicate_packets: I64
    drop_ip_fragment_full_packets: I64
    """Too many packets are under way."""
    drop_ip_bad_source_packets: I64
    """From a multicast or broadcast address."""
    drop_ip_not_for_us_packets: I64
    drop_ip_unknown_protocol_packets: I64
    drop_icmp_bad_packets: I64
    drop_icmp_unused_packets: I64
    drop_udp_bad_packets: I64
    drop_udp_no_vserver_packets: I64
    drop_udp_no_service_packets: I64
    drop_udp_no_session_packets: I64
    drop_udp_table_full_packets: I64
    drop_udp_too_long_packets: I64
    drop_any_no_service_packets: I64
    drop_any_busy_packets: I64
    """Of a protocol without ports, while every service works for another client of it."""
    drop_any_no_session_packets: I64
    drop_any_table_full_packets: I64
    drop_any_too_long_packets: I64
    drop_tcp_truncated_packets: I64
    drop_tcp_bad_header_packets: I64
    drop_tcp_bad_checksum_packets: I64
    drop_tcp_no_connection_packets: I64
    """Answered with a reset, unless it was one."""
    drop_tcp_table_full_packets: I64
    drop_tcp_half_open_limit_packets: I64
    drop_tcp_connection_limit_packets: I64
    """Of a vServer that has as many clients as it may."""
    drop_tcp_draining_packets: I64
    drop_tcp_bad_sequence_packets: I64
    drop_tcp_old_acknowledgment_packets: I64
    """No data, and behind data that have arrived: probes, and what another core of the host has overtaken."""
    drop_tcp_bad_acknowledgment_packets: I64
    drop_tcp_bad_reset_packets: I64
    drop_tcp_unexpected_syn_packets: I64
    drop_tcp_no_acknowledgment_packets: I64
    drop_tcp_no_memory_packets: I64
    drop_tcp_out_of_window_packets: I64
    drop_tcp_old_timestamp_packets: I64
    """Older than what came before (PAWS, RFC 7323 §5)."""
    drop_tcp_no_timestamp_packets: I64
    drop_tcp_no_slot_packets: I64
    """Of spliced pairs, too large to be cut in the room that is left in this breath."""
    drop_takeover_packets: I64
    """Received by a predecessor that died while it worked on them."""

    made_packets: I64
    """Packets built: each is then sent or counted under one of the next three."""
    sent_packets: I64
    sent_bytes: I64
    drop_send_no_neighbour_packets: I64
    drop_send_no_frame_packets: I64
    drop_send_nic_packets: I64
    drop_send_takeover_packets: I64
    """Made by a predecessor that died before it sent them."""

    arp_requests: I64
    arp_replies: I64
    nd_solicitations: I64
    nd_advertisements: I64
    bridged_packets: I64
    """All that went on to the other side. Those to all hosts are among them, and counted by what they were used for."""
    reassembled_packets: I64
    reassembly_timeouts: I64
    """Packets whose fragments did not all come in time."""
    reassemblies_given_up: I64
    """Packets that gave their room to a new one."""
    fragmented_packets: I64
    """Datagrams and echo replies that were sent in fragments."""
    icmp_errors_sent: I64
    icmp_errors_suppressed: I64
    """By the limit of their rate."""
    path_mtu_reductions: I64
    """Connections whose segments became smaller because a router said "packet too big" or "fragmentation needed"."""
    path_mtu_repeated: I64
    """Such errors that told nothing new."""
    path_mtu_unknown_flows: I64
    """Those that quote a packet of no connection or session …"""
    path_mtu_bad_sequences: I64
    """… or a sequence number that is not in flight (RFC 5927 §4) …"""
    path_mtu_bad_sizes: I64
    """… or tell of less than every IPv6 link takes (RFC 8201 §4)."""
    path_mtu_datagrams: I64
    """Such errors about datagrams of UDP sessions."""
    path_mtu_known: I64
    """Connections that began with smaller segments because the way to their peer was known."""
    path_mtu_evicted: I64
    """Known ways that gave their place to another one."""
    path_mtu_suspicions: I64
    """Connections whose segments became smaller because full ones got no answer …"""
    path_mtu_black_holes: I64
    """… and which then got one (RFC 4821 §7.7)."""
    path_mtu_probes: I64
    """Segments that tried what a way takes …"""
    path_mtu_probes_arrived: I64
    path_mtu_probes_lost: I64
    """… of which so many were lost alone, or refused by a router."""
    path_mtu_raises: I64
    """Connections that went back to full segments after ten minutes, without a probe (RFC 1191 §6.3)."""
    address_conflicts: I64
    """Packets by which another host says that an own address is its own."""
    foreign_neighbours: I64
    """Packets that said of an address of another NIC's network that it is here, and were not believed."""
    addresses_given_up: I64
    """IPv6 addresses that are used no more because another host has them (RFC 4862)."""
    group_reports: I64
    """Groups that were reported to routers and switches (RFC 3810)."""
    echo_replies: I64
    echo_replies_suppressed: I64
    """By the limit of their rate, as the next."""
    resets_sent: I64
    resets_suppressed: I64
    """Answers to segments of no connection."""
    challenge_acks: I64
    challenge_acks_suppressed: I64

    syn_cookies_sent: I64
    """SYNs answered without memory of them (RFC 4987)."""
    syn_cookies_accepted: I64
    syn_cookies_refused: I64
    """Acknowledgments that brought no cookie of ours, or an old one."""
    fast_open_cookies: I64
    """Clients that were told a cookie for the next time (RFC 7413)."""
    fast_open_taken: I64
    """SYNs whose data were taken."""
    fast_open_refused: I64
    """SYNs with a wrong or old cookie, and those whose data there was no room for."""
    half_open_evicted: I64
    """Handshakes under way that gave their place to a connection."""
    orphans_evicted: I64
    """Connections without an owner that did, and were reset."""
    datagram_sessions_evicted: I64
    """Silent sessions of datagrams that did."""
    urgent_segments: I64
    """With the flag URG, which is passed over (RFC 6093)."""
    user_timeouts: I64
    """Connections given up because what was sent stayed unacknowledged for too long (RFC 9293 §3.8.3)."""

    connections_accepted: I64
    connections_opened: I64
    connections_refused: I64
    """Attempts of ours that the server refused or did not answer."""
    connections_reset: I64
    connections_closed: I64
    connections_timed_out: I64
    connections_drained: I64
    """Idle HTTP clients, closed because the appliance drains."""
    connections_taken_over: I64
    """That outlived the process of their engine."""
    connections_broken: I64
    """That were being changed when the process of their engine died, and were reset."""
    connections_withdrawn: I64
    """That go on at another engine …"""
    connections_thawed: I64
    """… and that came from another one, or from a file."""
    time_wait_recycled: I64
    retransmitted_segments: I64
    fast_retransmits: I64
    duplicate_sack_blocks: I64
    """Blocks by which peers said that something had arrived twice (RFC 2883)."""
    bad_sack_blocks: I64
    """Blocks of what was never sent, or empty."""
    lost_retransmissions: I64
    """Segments sent again that were lost once more, and found to be by what was sent after them (RFC 8985)."""
    blind_recoveries: I64
    """Connections that found no memory to note what a peer says it holds, and repair losses as without SACK."""
    tail_loss_probes: I64
    retransmission_timeouts: I64
    spurious_timeouts: I64
    """Time-outs that came though nothing was lost, and were undone (RFC 5682)."""
    ecn_connections: I64
    """That agreed on explicit congestion notification (RFC 3168)."""
    ecn_marked_packets: I64
    """Received packets that were marked on their way."""
    ecn_reductions: I64
    """Windows that became smaller because a peer echoed a mark."""
    bbr_refused_connections: I64
    """That use CUBIC because there was no memory for BBR's model."""
    zero_window_probes: I64
    keepalive_probes: I64
    delayed_acks: I64
    out_of_order_segments: I64
    duplicate_segments: I64

    http_requests: I64
    http_responses: I64
    http_refused_requests: I64
    """Requests answered by the appliance itself with an error of the client (4xx, 501, 505)."""
    http_failed_requests: I64
    """Requests answered by the appliance itself because of a server (502, 503, 504)."""
    http_retried_requests: I64
    http_reused_connections: I64
    access_logged_requests: I64
    access_log_full_requests: I64
    """Notes for the access log that found no room in the ring to the management."""
    spliced_connections: I64
    """Pairs whose segments are translated and passed on, from their handshakes on."""
    joined_connections: I64
    """Of these, pairs that were proxied before."""
    spliced_segments: I64
    """Segments that were passed on so."""
    spliced_icmp_errors: I64
    """ICMP errors that were passed on to the other side of a spliced pair."""
    udp_sessions: I64
    udp_datagrams: I64
    any_sessions: I64
    """Of vServers of protocol ANY, but those of UDP; and the packets that they passed on."""
    any_packets: I64

    keyed_connections: I64
    """Clients whose engine the value of their vServer's key named; and those that had none."""
    keyless_connections: I64
    transactions: I64
    """Requests given to an engine each, of clients whose TCP ends here."""
    transactions_lost: I64
    """Answered with 503, or by a reset, because the engine had no place for them, gave them up or died."""
    virtual_connections_opened: I64
    """To another engine, for a client whose TCP ends here."""
    virtual_connections_accepted: I64
    virtual_connections_refused: I64
    """For want of a connection, at either end."""
    virtual_sent_frames: I64
    virtual_sent_bytes: I64
    virtual_received_frames: I64
    virtual_received_bytes: I64
    virtual_memory_waits: I64
    """Bytes of virtual connections that stayed in the frames they came in because the pool was low."""
    virtual_ring_full_waits: I64
    """Virtual connections that had to wait because the ring to the other engine was full."""


counters_at = pointer_to(EngineCounters)


class VserverStats(Record):
    """What one engine counts for one vServer, and its cursor among the services."""

    connections: I64
    """Open now, at the engine that serves them."""
    total_connections: I64
    requests: I64
    received_bytes: I64
    """Payload from clients."""
    sent_bytes: I64
    """Payload to clients."""
    errors: I64
    half_open: I64
    """Handshakes under way."""
    refused: I64
    """SYNs dropped because of the vServer's limits, or of those of the engine."""
    cookies: I64
    """SYNs answered with a cookie."""
    cursor: I64
    """Round robin: the binding whose turn it is."""
    credit: I64
    """Round robin: how often the binding at the cursor may still be chosen."""


class ServiceStats(Record):
    """What one engine counts for one service, and its pool of idle connections."""

    connections: I64
    """Open now, idle ones included."""
    busy: I64
    """Client connections or requests that it works on now."""
    total_connections: I64
    requests: I64
    received_bytes: I64
    sent_bytes: I64
    failures: I64
    idle_first: I64
    """First idle connection plus 1, or 0."""
    idle_connections: I64


vserver_stats_at = pointer_to(VserverStats)
service_stats_at = pointer_to(ServiceStats)
