/* SPDX-License-Identifier: ISC */
#include "channel.h"
#include "clock.h"
#include "config.h"
#include "log.h"
#include "net.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void
channel_open(struct channel *c, int fd, struct str peer)
{
	*c = (struct channel){.fd = fd, .peer = peer};
}

static void
end(struct channel *c, const struct outcome *why)
{
	if (!c->over)
		c->why = *why;
	c->over = true;
}

/* error: an errno, or 0. */
static void
end_lost(struct channel *c, const char *doing, int error)
{
	struct outcome o = outcome_make(TEMPFAIL, 4, 2, "connection to %.*s lost while %s: %s",
					STR_ARG(c->peer), doing,
					error ? strerror(error) : "closed by the server");

	end(c, &o);
}

static bool
would_wait(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void
end_tls(struct channel *c, const char *doing)
{
	struct outcome o = tls_failure(c->tls);

	if (o.verdict == DELIVERED)
		end_lost(c, doing, 0);
	else
		end(c, &o);
}

/* Moves records; the end counts once all that came before it has been read. */
static void
pump(struct channel *c)
{
	if (!c->over && tls_pump(c->tls))
		end_tls(c, "waiting for its reply");
}

static void
say_tls(const struct channel *c, const struct identity *me)
{
	struct buf words = {0};
	struct str rest, line;

	buf_print(&words, "TLS with %.*s: ", STR_ARG(c->peer));
	tls_describe(c->tls, &words);
	buf_puts(&words, c->trust.verified ? ", certificate verified\n" :
					     ", certificate NOT verified\n");
	trust_describe(&c->trust, &words);
	if (me->asked)
		buf_print(&words, "the server asks for a client certificate: %s\n",
			  me->count > 0 ? "it gets tls_cert" : "there is none");
	for (rest = buf_view(&words); rest.len > 0;) {
		line = str_cut(&rest, '\n');
		log_debug("%.*s", STR_ARG(line));
	}
	buf_free(&words);
}

void
channel_start_tls(struct channel *c, struct str name, const struct trust_config *trust,
		  struct identity *me, uint64_t seconds)
{
	int64_t deadline = clock_ms() + (int64_t)seconds * 1000;
	struct outcome o;

	if (!CONFIG_TLS)
		return;
	trust_init(&c->trust, trust);
	c->tls = tls_open(c->fd, name, &c->trust, me);
	while (tls_pump(c->tls) == 0 && !tls_ready(c->tls)) {
		/* Records without a byte in them can come faster than we take them. */
		if (clock_ms() >= deadline ||
		    net_wait(c->fd, tls_events(c->tls), -1, deadline) == 0) {
			o = outcome_make(TEMPFAIL, 4, 2, "no answer from %.*s during the TLS "
					 "handshake for %llu s", STR_ARG(c->peer),
					 (unsigned long long)seconds);
			end(c, &o);
			return;
		}
	}
	/* Where the handshake failed, too: most probably because of what is seen here. */
	if (log_is_verbose())
		say_tls(c, me);
	if (!tls_ready(c->tls))
		end_tls(c, "agreeing on TLS");
}

size_t
channel_write(struct channel *c, struct str bytes)
{
	size_t taken;

	if (c->over || c->send_error)
		return 0;
	if (CONFIG_TLS && c->tls) {
		taken = tls_write(c->tls, bytes.ptr, bytes.len);
		/* No room: once the records are out there is, or the socket is full. If that is
		 * the end, pump will hear of it. */
		if (taken == 0) {
			tls_pump(c->tls);
			taken = tls_write(c->tls, bytes.ptr, bytes.len);
		}
	} else {
		ssize_t n = write(c->fd, bytes.ptr, bytes.len);
		/* A server that has taken a message and goes has said so before. */
		if (n < 0 && !would_wait())
			c->send_error = errno;
		taken = n < 0 ? 0 : (size_t)n;
	}
	c->sent += taken;
	return taken;
}

size_t
channel_read(struct channel *c, char *dst, size_t cap)
{
	if (CONFIG_TLS && c->tls) {
		size_t n = tls_read(c->tls, dst, cap);
		if (n == 0)
			pump(c);
		return n > 0 ? n : tls_read(c->tls, dst, cap);
	}
	if (c->over)
		return 0;
	ssize_t n = read(c->fd, dst, cap);
	if (n <= 0 && c->send_error)
		end_lost(c, "sending", c->send_error);
	else if (n == 0 || (n < 0 && !would_wait()))
		end_lost(c, "waiting for its reply", n < 0 ? errno : 0);
	return n < 0 ? 0 : (size_t)n;
}

void
channel_flush(struct channel *c)
{
	if (!CONFIG_TLS || !c->tls || c->over)
		return;
	tls_flush(c->tls);
	pump(c);
}

short
channel_events(const struct channel *c, bool writing)
{
	if (CONFIG_TLS && c->tls)
		return tls_events(c->tls);
	return (short)(POLLIN | (writing ? POLLOUT : 0));
}

void
channel_close(struct channel *c)
{
	if (CONFIG_TLS && c->tls) {
		tls_close(c->tls);
		tls_free(c->tls);
		trust_free(&c->trust);
	}
	close(c->fd);
	*c = (struct channel){.fd = -1};
}
