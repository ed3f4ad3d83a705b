/* SPDX-License-Identifier: ISC */
/*
 * Names a mail server: smtp://, smtp+starttls://, smtps://, lmtp://, smtp+unix:/path,
 * lmtp+unix:/path, with user@ and :port; or a bare host[:port] (DESIGN 6); or a proxy on the
 * way: socks5://. IPv6 literals stand in brackets. Never holds a password: one that is written
 * into it is refused.
 */
#ifndef URL_H
#define URL_H

#include "buf.h"

enum url_tls {
	URL_TLS_OFFERED,  /* STARTTLS if the server offers it, without credentials or checks */
	URL_TLS_NONE,     /* never */
	URL_TLS_STARTTLS, /* required */
	URL_TLS_IMPLICIT, /* from the first byte */
};

struct url {
	bool lmtp;
	bool is_unix;      /* host is a path */
	bool is_proxy;
	enum url_tls tls;
	unsigned short port; /* 0 with is_unix */
	char host[256];    /* a name, an IPv4 or IPv6 literal without brackets, or a path */
	char user[256];    /* percent-decoded; "" where none is named */
};

/* Without a scheme the port decides: 587 STARTTLS required, 465 implicit TLS, others STARTTLS
 * if offered. smtp:// on any port: STARTTLS if offered; smtp+unix and lmtp+unix: no TLS; lmtp:
 * STARTTLS if offered. Default ports: smtp and bare 25, smtp+starttls 587, smtps 465, lmtp 24.
 * A user stands before the last '@' of the host's part: smtps://joe@mail.example,
 * smtp+unix:joe@/run/relay. 0, or -1 with *why in words and *url undefined. */
int url_parse(struct str in, struct url *url, const char **why);

/* The same for socks5://[user@]host[:port]; the scheme may be left out; port 1080. */
int url_parse_proxy(struct str in, struct url *url, const char **why);

/* What TLS that port means where no scheme says it. */
enum url_tls url_port_tls(unsigned port);

/* As it would be written: "smtps://joe@mail.example:465". */
void url_print(const struct url *url, struct buf *out);

#endif
