/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses and mail exchangers (RFC 1035, 5321 5.1, 7505): own resolver over UDP
 * with a retry over TCP when truncated, EDNS0, all servers of resolv.conf; the hosts file
 * first. Reads no file itself: a worker gives it their text before it gives up its rights.
 * Answers are checked against the question, their id, name and source (rr.h). Bounded in
 * time: three rounds over all servers, which wait 1, 2 and 4 s, or the deadline. No search
 * list: names are asked as they stand.
 */
#ifndef DNS_H
#define DNS_H

#include "outcome.h"

#include <sys/socket.h>

enum { DNS_SERVERS = 3 };

struct dns_address {
	struct sockaddr_storage sa; /* port 0 */
	socklen_t len;
};

/* What connect and bind need besides. */
void dns_set_port(struct dns_address *a, unsigned short port);

struct dns {
	struct dns_address server[DNS_SERVERS];
	size_t server_count;
	struct str hosts;            /* borrowed */
};

/* servers: addresses with blanks between them. Without one those of the "nameserver" lines of
 * resolv.conf's text, and without these 127.0.0.1; the first three count. "#port" behind one
 * is another port than 53; "fe80::1%eth0" asks the kernel for the link's number. hosts: the
 * text of the hosts file, stays borrowed. */
void dns_init(struct dns *d, struct str servers, struct str resolv_conf, struct str hosts);

/* Addresses of name: a literal (with or without brackets), the hosts file, loopback for
 * localhost and what ends in .localhost, then A and AAAA. family: AF_UNSPEC, AF_INET or
 * AF_INET6. deadline in clock_ms() terms. Writes at most cap (and LIMIT_DNS_ADDRESSES of each
 * family) to out, IPv6 and IPv4 alternating. Their number, at least 1; or -1 with *why: no
 * answer is TEMPFAIL 4.4.3, no such domain or not a name in ASCII PERMFAIL 5.1.2, no address
 * PERMFAIL 5.4.4. One family's addresses are enough, whatever became of the other. */
int dns_addresses(const struct dns *d, struct str name, int family, int64_t deadline,
		  struct dns_address *out, size_t cap, struct outcome *why);

/* True for localhost, what is below it, and addresses of the loopback: this device itself. */
bool dns_is_loopback(struct str name);

struct dns_mx {
	unsigned short preference;
	char host[256]; /* lower case, no final dot */
};

/* Mail exchangers of domain, best first, shuffled within a preference by seed; the best cap
 * (at least 1) of them, each host once. No MX but the domain exists, or it is an address in
 * brackets: the domain itself with preference 0 (implicit MX). Their number; or -1 with *why:
 * a null MX is PERMFAIL 5.1.10 (RFC 7505), no such domain 5.1.2, else as above. */
int dns_mail_exchangers(const struct dns *d, struct str domain, uint32_t seed,
			int64_t deadline, struct dns_mx *out, size_t cap, struct outcome *why);

/* Its 4 or 16 bytes, borrowed. */
struct str dns_address_bytes(const struct dns_address *a);
/* "192.0.2.1" or "2001:db8::1". */
void dns_print_address(const struct dns_address *a, struct buf *out);
/* An address literal without brackets; 0, or -1, and *a is as it was. */
int dns_parse_address(struct str s, struct dns_address *a);

#endif
