/* SPDX-License-Identifier: ISC */
#include "url.h"
#include "codec.h"
#include "ip.h"

#include <string.h>

enum {
	HOST_MAX = 253,   /* RFC 1035 3.1, as text */
	SOCKET_MAX = 107, /* what struct sockaddr_un holds */
};

static const struct scheme {
	const char *prefix; /* all that stands before user and host */
	bool lmtp, is_unix, is_proxy;
	unsigned char tls;
	unsigned short port;
} schemes[] = {
	{"smtp://", false, false, false, URL_TLS_OFFERED, 25},
	{"smtp+starttls://", false, false, false, URL_TLS_STARTTLS, 587},
	{"smtps://", false, false, false, URL_TLS_IMPLICIT, 465},
	{"lmtp://", true, false, false, URL_TLS_OFFERED, 24},
	{"smtp+unix:", false, true, false, URL_TLS_NONE, 0},
	{"lmtp+unix:", true, true, false, URL_TLS_NONE, 0},
	{"socks5://", false, false, true, URL_TLS_NONE, 1080},
};

enum { SCHEMES = sizeof schemes / sizeof *schemes, PROXY = SCHEMES - 1 };

/* set is in lower case. */
static bool
made_of(struct str s, const char *set)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\0' || !strchr(set, str_lower(s.ptr[i])))
			return false;
	return true;
}

static void
set_host(struct url *url, struct str host)
{
	memcpy(url->host, host.ptr, host.len);
	url->host[host.len] = '\0';
}

static const char *
parse_user(struct str in, struct url *url)
{
	size_t n = 0;

	if (in.len == 0)
		return "no user stands before the '@'; without a user there is no '@'";
	if (str_find(in, ':') < in.len)
		return "a password does not belong here: it goes into auth_file";
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		if (c == '%') {
			if (codec_unhex(str_upto(str_from(in, i + 1), 2), &c, 1) != 1)
				return "behind a '%' in the user stand two hex digits; "
				       "'%' itself is %25";
			i += 2;
		}
		if (str_is_control(c))
			return "the user contains a control character";
		if (n == sizeof url->user - 1)
			return "the user is too long";
		url->user[n++] = c;
	}
	return NULL;
}

static const char *
parse_path(struct str in, struct url *url)
{
	if (!str_starts(in, STR("/")))
		return "the socket's path begins with '/'";
	if (in.len > SOCKET_MAX)
		return "the socket's path is too long: a path has at most 107 bytes";
	set_host(url, in);
	return NULL;
}

/* in: what follows the host. */
static const char *
parse_port(struct str in, struct url *url)
{
	uint64_t port;

	if (in.len == 0)
		return NULL;
	if (in.ptr[0] != ':' || str_number(str_from(in, 1), 65535, &port) || port == 0)
		return "behind the host stands a ':' and a port from 1 to 65535, or nothing";
	url->port = (unsigned short)port;
	return NULL;
}

static const char *
parse_host(struct str in, struct url *url)
{
	size_t colon = str_find(in, ':');
	struct str host = str_upto(in, colon), rest = str_from(in, colon);
	unsigned char bytes[IP6];

	if (str_starts(in, STR("["))) {
		size_t end = str_find(in, ']');
		host = str_from(str_upto(in, end), 1);
		rest = str_from(in, end + 1);
		if (end == in.len || ip_parse(host, bytes) != IP6)
			return "only an IPv6 address stands in brackets: [2001:db8::1]";
	} else if (str_starts(rest, STR(":/"))) {
		return "a scheme is one of smtp:// smtp+starttls:// smtps:// lmtp:// "
		       "smtp+unix: lmtp+unix:";
	} else if (str_find(str_from(rest, 1), ':') + 1 < rest.len) {
		return "an IPv6 address stands in brackets: [2001:db8::1]:587";
	} else if (!made_of(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_")) {
		return "a host's name has only letters, digits, '.' and '-'; "
		       "others are written in their xn-- form";
	}
	/* The final dot of a complete name is not part of it in a certificate. */
	if (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0)
		return "no host is named";
	if (host.len > HOST_MAX)
		return "the host's name is too long";
	set_host(url, host);
	return parse_port(rest, url);
}

/* s: of several schemes before end the one that is meant where none is written. */
static const char *
parse(struct str in, const struct scheme *s, const struct scheme *end, struct url *url)
{
	const struct scheme *usual = s;
	const char *why = NULL;
	bool bare;

	memset(url, 0, sizeof *url);
	for (size_t i = 0; i < in.len; i++)
		if (str_is_control(in.ptr[i]) || str_is_blank(in.ptr[i]))
			return "a server is named without blanks";
	while (s < end && !str_istarts(in, str_of(s->prefix)))
		s++;
	bare = s == end;
	if (bare)
		s = usual;
	else
		in = str_from(in, strlen(s->prefix));
	url->lmtp = s->lmtp;
	url->is_unix = s->is_unix;
	url->is_proxy = s->is_proxy;
	url->tls = s->tls;
	url->port = s->port;

	/* A path may hold an '@' itself; a host cannot, but a user often does. */
	struct str head = s->is_unix ? str_upto(in, str_find(in, '/')) : in;
	size_t at = head.len;
	while (at > 0 && head.ptr[at - 1] != '@')
		at--;
	if (at > 0) {
		why = parse_user(str_upto(in, at - 1), url);
		in = str_from(in, at);
	}
	if (why)
		return why;
	why = s->is_unix ? parse_path(in, url) : parse_host(in, url);
	if (bare && !url->is_proxy)
		url->tls = url_port_tls(url->port);
	return why;
}

int
url_parse(struct str in, struct url *url, const char **why)
{
	*why = parse(in, schemes, schemes + PROXY, url);
	return *why ? -1 : 0;
}

int
url_parse_proxy(struct str in, struct url *url, const char **why)
{
	*why = parse(in, schemes + PROXY, schemes + SCHEMES, url);
	return *why ? -1 : 0;
}

enum url_tls
url_port_tls(unsigned port)
{
	return port == 587 ? URL_TLS_STARTTLS :
	       port == 465 ? URL_TLS_IMPLICIT : URL_TLS_OFFERED;
}

static void
print_user(const char *user, struct buf *out)
{
	for (const char *p = user; *p; p++)
		buf_print(out, *p <= ' ' || *p > '~' || strchr("%@/:[]", *p) ? "%%%02X" : "%c",
			  (unsigned char)*p);
	if (*user)
		buf_putc(out, '@');
}

void
url_print(const struct url *url, struct buf *out)
{
	const struct scheme *s = schemes;
	bool brackets = !url->is_unix && strchr(url->host, ':');

	for (size_t i = 1; i < SCHEMES; i++)
		if (schemes[i].lmtp == url->lmtp && schemes[i].is_unix == url->is_unix &&
		    schemes[i].is_proxy == url->is_proxy && schemes[i].tls == url->tls)
			s = &schemes[i];
	buf_puts(out, s->prefix);
	print_user(url->user, out);
	buf_print(out, brackets ? "[%s]" : "%s", url->host);
	if (!url->is_unix)
		buf_print(out, ":%u", url->port);
}
