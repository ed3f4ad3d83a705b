/* SPDX-License-Identifier: ISC */
/*
 * Connections with a deadline: TCP to one address, or a unix socket, and on through a proxy.
 * Non-blocking, close-on-exec, TCP_NODELAY; the caller polls.
 */
#ifndef NET_H
#define NET_H

#include "dns.h"
#include "socks.h"

/* The descriptor, or -1 with *why: "connecting to 192.0.2.1 port 587: Connection refused",
 * TEMPFAIL 4.4.1 whatever the cause, a path too long for a socket included. from: an address
 * of ours, of a's family, or NULL: the kernel's choice. deadline in clock_ms() terms. */
int net_dial(const struct dns_address *a, unsigned short port, const struct dns_address *from,
	     int64_t deadline, struct outcome *why);
int net_dial_unix(const char *path, int64_t deadline, struct outcome *why);

/* Leads fd, which is connected to a proxy, on to the server that s names. 0, or -1 with *why
 * as socks_next's. */
int net_pass_on(int fd, struct socks *s, int64_t deadline, struct outcome *why);

/* A shell runs the command, which has the other end as its standard input and output. The
 * descriptor, or -1 with errno. */
int net_start(const char *command);

/* Waits until fd is ready for events (POLLIN, POLLOUT) or other (may be -1) has something to
 * read; closed or broken is ready. 1: fd is, 2: other is, 3: both, 0: deadline; -1 with
 * errno. */
int net_wait(int fd, short events, int other, int64_t deadline);

#endif
