/* SPDX-License-Identifier: ISC */
#include "talk.h"
#include "clock.h"
#include "log.h"
#include "net.h"

enum {
	INPUT = 4 << 10,
	LINGER_MS = 1000, /* an idle connection waits this long for a further message */
};

/* Where the channel is over so is the session. */
static void
check_channel(struct talk *t)
{
	if (t->channel.over)
		smtp_fail(&t->smtp, &t->channel.why);
}

static void
start_tls(struct talk *t)
{
	struct channel *c = &t->channel;

	channel_start_tls(c, t->config.host, t->trust, t->identity, t->connect_timeout);
	check_channel(t);
	t->tls_failed = c->over;
	if (!c->over)
		smtp_tls_up(&t->smtp, c->trust.verified,
			    (struct str){(const char *)c->trust.binding, c->trust.binding_len});
}

static void
send_output(struct talk *t)
{
	struct str out;
	size_t n;

	while ((out = smtp_output(&t->smtp)).len > 0 &&
	       (n = channel_write(&t->channel, out)) > 0)
		smtp_sent(&t->smtp, n);
	channel_flush(&t->channel);
}

/* False: there is no more of the body, or none that can be sent. */
static bool
make_piece(struct talk *t)
{
	const struct smtp_message *m = smtp_body_message(&t->smtp);
	struct outcome why;

	ptrdiff_t n = t->body(t->ctx, m, !t->body_begun, smtp_takes_eightbit(&t->smtp), t->piece,
			      sizeof t->piece, &why);
	t->body_begun = true;
	t->piece_start = 0;
	t->piece_end = n > 0 ? (size_t)n : 0;
	if (n < 0)
		smtp_fail(&t->smtp, &why);
	return n > 0;
}

/* What the server has said, if there is something. */
static bool
hear(struct talk *t)
{
	char in[INPUT];

	size_t n = channel_read(&t->channel, in, sizeof in);
	smtp_input(&t->smtp, (struct str){in, n});
	check_channel(t);
	return n > 0;
}

/* Puts as much of the body on the wire as it takes. */
static void
send_body(struct talk *t)
{
	do {
		while (t->piece_start < t->piece_end) {
			struct str rest = {t->piece + t->piece_start, t->piece_end - t->piece_start};
			size_t n = channel_write(&t->channel, rest);
			if (n == 0)
				return;
			t->piece_start += n;
		}
		bool begun = t->body_begun;
		if (!make_piece(t)) {
			t->body_begun = false;
			smtp_body_done(&t->smtp);
			return;
		}
		/* There is more to come: an answer now is one to what the server does not have. */
		if (begun)
			hear(t);
	} while (smtp_want(&t->smtp) & SMTP_BODY);
}

static void
time_out(struct talk *t)
{
	struct outcome o = outcome_make(TEMPFAIL, 4, 2, "no answer from %.*s in time",
					STR_ARG(t->channel.peer));

	smtp_fail(&t->smtp, &o);
}

/* Moves what can be moved without waiting. True: something came in. */
static bool
move(struct talk *t)
{
	if (smtp_want(&t->smtp) & SMTP_STARTTLS)
		start_tls(t);
	if ((smtp_want(&t->smtp) & SMTP_MESSAGE) && !t->finishing)
		t->finishing = !t->next(t->ctx, &t->smtp);
	send_output(t);
	if (smtp_want(&t->smtp) & SMTP_BODY)
		send_body(t);
	send_output(t);
	return hear(t);
}

static int64_t
silence_limit(const struct talk *t, bool idle)
{
	uint64_t seconds = smtp_timeout(&t->smtp);

	if (idle)
		return clock_ms() + LINGER_MS;
	if (t->command_timeout < seconds)
		seconds = t->command_timeout;
	return clock_ms() + (int64_t)seconds * 1000;
}

/* Waits for whatever can happen next. False: the deadline came. */
static bool
wait_for_event(struct talk *t, unsigned want, int64_t deadline)
{
	bool for_message = (want & SMTP_MESSAGE) && !t->finishing;
	short events = channel_events(&t->channel, want & (SMTP_SEND | SMTP_BODY));

	return net_wait(t->channel.fd, events, for_message ? t->more : -1, deadline) != 0;
}

static void
converse(struct talk *t)
{
	int64_t deadline = silence_limit(t, false);
	uint64_t sent = 0;
	unsigned replies = 0;
	bool idle = false;

	for (;;) {
		bool progress = move(t);
		unsigned want = smtp_want(&t->smtp);
		if (want & SMTP_CLOSED)
			break;

		bool now_idle = smtp_is_idle(&t->smtp);
		if (now_idle && t->finishing) {
			smtp_quit(&t->smtp);
			continue;
		}
		/* A server that drips bytes without completing a reply gains no time, also not
		 * while it takes none of ours. */
		if (now_idle != idle || t->smtp.replies != replies || t->channel.sent != sent)
			deadline = silence_limit(t, now_idle);
		idle = now_idle;
		replies = t->smtp.replies;
		sent = t->channel.sent;
		if (progress || (clock_ms() < deadline && wait_for_event(t, want, deadline)))
			continue;
		if (idle)
			t->finishing = true;
		else
			time_out(t);
	}
	send_output(t);
}

static void
trace(void *ctx, bool from_server, struct str line)
{
	(void)ctx;
	log_debug("%s %.*s", from_server ? "<<<" : ">>>", STR_ARG(line));
}

struct outcome
talk_run(struct talk *t, int fd, struct str peer)
{
	t->config.trace = log_is_verbose() ? trace : NULL;
	channel_open(&t->channel, fd, peer);
	smtp_init(&t->smtp, &t->config);
	t->tls_failed = t->body_begun = t->finishing = false;
	t->piece_start = t->piece_end = 0;
	if (t->config.tls == URL_TLS_IMPLICIT)
		start_tls(t);
	converse(t);
	channel_close(&t->channel);
	return *smtp_session(&t->smtp);
}
