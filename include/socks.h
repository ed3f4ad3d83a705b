/* SPDX-License-Identifier: ISC */
/*
 * How a SOCKS5 proxy is asked to connect to a server (RFC 1928, 1929): what to send, and how
 * many bytes to read then, which is never one more than the proxy's own: what follows them is
 * the server's.
 */
#ifndef SOCKS_H
#define SOCKS_H

#include "outcome.h"

struct socks {
	struct str user, password; /* user "": no login is offered */
	struct str host;           /* the server: an address, or a name, which the proxy looks
	                              up; like user it has at most 255 bytes */
	unsigned short port;
	enum socks_step {
		SOCKS_GREETING, SOCKS_METHOD, SOCKS_LOGIN, SOCKS_REPLY, SOCKS_ADDRESS
	} step;                    /* of the dialogue; the first is 0 */
};

enum {
	SOCKS_READ = 255 + 2,       /* bytes asked for at a time at most */
	SOCKS_WRITE = 3 + 2 * 255,  /* bytes to be sent at a time at most */
};

/* One step. got: all that the last one asked for; at first nothing. Appends what to send to
 * *out and returns how many bytes to read thereafter. 0: the server is connected; -1 with
 * *why: TEMPFAIL, in words that begin with "it", the proxy. */
int socks_next(struct socks *s, struct str got, struct buf *out, struct outcome *why);

#endif
