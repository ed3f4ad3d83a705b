/* SPDX-License-Identifier: ISC */
#include "socks.h"
#include "ip.h"

enum {
	VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1,
	NO_LOGIN = 0, BY_PASSWORD = 2, NO_METHOD = 0xff,
	ADDRESS_IP4 = 1, ADDRESS_NAME = 3, ADDRESS_IP6 = 4, PORT = 2,
	FIELD_MAX = 255,
	/* Up to the first byte of the address, which is a name's length. */
	REPLY_HEAD = 5,
};

static int
fail(struct outcome *why, unsigned subject, unsigned detail, const char *words,
     const char *more)
{
	*why = outcome_make(TEMPFAIL, subject, detail, "it %s%s", words, more);
	return -1;
}

static int
nonsense(struct outcome *why)
{
	return fail(why, 5, 0, "does not speak SOCKS5", "");
}

/* A length in one byte, and so much text. */
static void
add_field(struct buf *out, struct str field)
{
	buf_putc(out, (char)field.len);
	buf_str(out, field);
}

static int
greet(struct socks *s, struct buf *out)
{
	bool login = s->user.len > 0;

	buf_print(out, "%c%c%c", VERSION, 1 + login, NO_LOGIN);
	if (login)
		buf_putc(out, BY_PASSWORD);
	s->step = SOCKS_METHOD;
	return 2;
}

static int
log_in(struct socks *s, struct buf *out, struct outcome *why)
{
	if (s->password.len > FIELD_MAX)
		return fail(why, 7, 8, "cannot be told a password of more than 255 bytes", "");
	buf_putc(out, LOGIN_VERSION);
	add_field(out, s->user);
	add_field(out, s->password);
	s->step = SOCKS_LOGIN;
	return 2;
}

static int
ask(struct socks *s, struct buf *out)
{
	unsigned char address[IP6];
	size_t len = ip_parse(s->host, address);

	buf_print(out, "%c%c%c%c", VERSION, CONNECT, 0,
		  len == IP4 ? ADDRESS_IP4 : len == IP6 ? ADDRESS_IP6 : ADDRESS_NAME);
	if (len > 0)
		buf_add(out, address, len);
	else
		add_field(out, s->host);
	buf_print(out, "%c%c", s->port >> 8, s->port & 0xff);
	s->step = SOCKS_REPLY;
	return REPLY_HEAD;
}

static int
choose_method(struct socks *s, unsigned method, struct buf *out, struct outcome *why)
{
	bool login = s->user.len > 0;

	if (method == NO_LOGIN)
		return ask(s, out);
	if (method == BY_PASSWORD && login)
		return log_in(s, out, why);
	return fail(why, 7, 8, login ? "does not take a user and password: remove the user" :
			       "wants a login: write proxy USER@HOST, and the password into "
			       "auth_file", "");
}

static int
take_reply(struct socks *s, const unsigned char *got, struct outcome *why)
{
	static const char *const words[] = {
		"general failure", "not allowed by the rules", "network unreachable",
		"host unreachable", "connection refused", "time to live expired",
		"command not supported", "address type not supported",
	};
	unsigned code = got[1];

	if (got[0] != VERSION)
		return nonsense(why);
	if (code > 0)
		return fail(why, 4, 1, "says: ", code <= sizeof words / sizeof *words ?
						 words[code - 1] : "unknown error");
	s->step = SOCKS_ADDRESS;
	switch (got[3]) {
	case ADDRESS_IP4: return IP4 - 1 + PORT;
	case ADDRESS_IP6: return IP6 - 1 + PORT;
	case ADDRESS_NAME: return got[4] + PORT;
	default: return nonsense(why);
	}
}

int
socks_next(struct socks *s, struct str got, struct buf *out, struct outcome *why)
{
	const unsigned char *byte = (const unsigned char *)got.ptr;

	switch (s->step) {
	case SOCKS_GREETING:
		return greet(s, out);
	case SOCKS_METHOD:
		return byte[0] == VERSION ? choose_method(s, byte[1], out, why) : nonsense(why);
	case SOCKS_LOGIN:
		return byte[1] == 0 ? ask(s, out) :
		       fail(why, 7, 8, "refuses our user or password", "");
	case SOCKS_REPLY:
		return take_reply(s, byte, why);
	default: /* SOCKS_ADDRESS: its own, of no use to us */
		return 0;
	}
}
