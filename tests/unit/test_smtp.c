/* SPDX-License-Identifier: ISC */
/*
 * The SMTP engine against a server that keeps the rules and throws dice for each reply: it
 * knows what verdict every recipient must get, and that the client keeps the rules as well.
 * Single dialogues are in test_dialog.c.
 */
#include "buf.h"
#include "fmt.h"
#include "smtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MESSAGES = 6, RCPTS = 5, MANY = 500, LONG = 9000, AHEAD = 8192 };

struct server {
	unsigned seed;
	bool lmtp, pipelining, chunking, broken;
	struct smtp smtp;
	struct smtp_config config;
	struct buf replies;        /* not yet sent to the client */
	struct buf line;           /* of the client, incomplete */
	unsigned unanswered;       /* replies, in lines */
	bool data_unanswered;
	/* The transaction: open from an accepted MAIL to RSET or the final dot. */
	bool open, mail_seen, data, chunked;
	uint64_t chunk_left;
	struct buf chunk;
	unsigned message, body_lines, accepted[RCPTS], accepted_count;
	struct message {
		struct smtp_message m;
		char sender[16], rcpt_text[RCPTS][16];
		struct str rcpts[RCPTS];
		struct notify notifies[RCPTS];
		unsigned char state[RCPTS];
		unsigned expected[RCPTS]; /* codes */
		bool got[RCPTS];          /* the server is responsible for it, */
		bool told[RCPTS];         /* and a verdict */
		bool untried;
		unsigned verdicts, finished;
	} messages[MESSAGES];
	bool took, enough;         /* a message; and wants no more of them */
	unsigned handed, delivered;
};

static unsigned
dice(struct server *v, unsigned sides)
{
	v->seed = v->seed * 1664525u + 1013904223u;
	return (v->seed >> 16) % sides;
}

static void
check_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct server *v = ctx;
	struct message *message = m->ctx;

	message->verdicts++;
	message->told[rcpt] = true;
	if (o->code == 0) {
		assert_true(v->broken);
		assert_int_equal(o->verdict, TEMPFAIL);
		return;
	}
	assert_int_equal(o->code, message->expected[rcpt]);
	assert_int_equal(o->verdict, o->code < 300 ? DELIVERED :
				     o->code < 500 ? TEMPFAIL : PERMFAIL);
	v->delivered += o->verdict == DELIVERED;
}

static void
check_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct server *v = ctx;
	struct message *message = m->ctx;

	assert_int_equal(message->finished++, 0);
	assert_int_equal(message->verdicts == m->rcpt_count, tried);
	assert_true(tried || v->broken || v->enough);
	for (size_t i = 0; i < m->rcpt_count; i++)
		assert_true(message->told[i] || !message->got[i]);
	message->untried = !tried;
}

/* The server. */

static unsigned
reply(struct server *v, unsigned code)
{
	if (dice(v, 4) == 0)
		buf_print(&v->replies, "%u-more\r\n", code);
	buf_print(&v->replies, "%u x\r\n", code);
	v->unanswered++;
	return code;
}

static unsigned
any(struct server *v, unsigned good)
{
	static const unsigned bad[] = {450, 451, 452, 550, 552, 554};

	return dice(v, 4) ? good : bad[dice(v, 6)];
}

static void
on_mail(struct server *v, struct str args)
{
	uint64_t number;

	assert_false(v->mail_seen);
	assert_int_equal(str_number(str_cut(&args, '@'), MESSAGES, &number), 0);
	v->message = (unsigned)number;
	v->accepted_count = 0;
	v->mail_seen = true;
	unsigned code = reply(v, any(v, 250));
	v->open = code == 250;
	v->enough = v->enough || (v->took && code / 100 == 4);
	for (size_t i = 0; !v->open && i < RCPTS; i++)
		v->messages[v->message].expected[i] = code;
}

static void
on_rcpt(struct server *v, struct str args)
{
	uint64_t number;

	assert_true(v->mail_seen);
	assert_int_equal(str_number(str_cut(&args, '@'), RCPTS, &number), 0);
	if (!v->open) {
		reply(v, dice(v, 2) ? 503 : 250);
		return;
	}
	assert_false(v->messages[v->message].got[number]);
	unsigned code = reply(v, any(v, 250));
	v->messages[v->message].expected[number] = code;
	if (code == 250)
		v->accepted[v->accepted_count++] = (unsigned)number;
}

static void
on_data(struct server *v)
{
	unsigned good = v->accepted_count || (!v->lmtp && dice(v, 2)) ? 354 : 554;
	unsigned code = reply(v, dice(v, 5) ? good : any(v, good));

	v->data_unanswered = true;
	v->data = code == 354;
	v->body_lines = 0;
	for (unsigned i = 0; !v->data && i < v->accepted_count; i++)
		v->messages[v->message].expected[v->accepted[i]] = code;
	/* A server may end the transaction there, or wait for RSET. */
}

static void
on_body(struct server *v, struct str line)
{
	char want[16];

	if (!str_eq(line, STR("."))) {
		fmt_print(want, sizeof want, "body %u", v->message);
		assert_true(str_eq(line, str_of(want)));
		assert_int_equal(v->body_lines++, 0);
		return;
	}
	assert_int_equal(v->body_lines, v->accepted_count ? 1 : 0);
	v->data = v->open = v->mail_seen = false;
	unsigned code = v->lmtp ? 0 : reply(v, any(v, 250));
	for (unsigned i = 0; i < v->accepted_count; i++) {
		unsigned of_rcpt = v->lmtp ? reply(v, any(v, 250)) : code;
		v->messages[v->message].expected[v->accepted[i]] = of_rcpt;
		v->messages[v->message].got[v->accepted[i]] = of_rcpt == 250;
		v->took = v->took || of_rcpt == 250;
	}
}

/* Ahead of the replies to RCPT only what is short. */
static void
on_bdat(struct server *v, struct str args)
{
	assert_true(v->chunking && v->mail_seen);
	assert_int_equal(str_number(str_cut(&args, ' '), LONG, &v->chunk_left), 0);
	assert_true(str_eq(args, STR("LAST")));
	if (v->chunk_left > AHEAD) {
		assert_int_equal(v->unanswered, 0);
		assert_int_not_equal(v->accepted_count, 0);
	}
	v->chunked = true;
	v->chunk.len = 0;
}

/* What the transaction is afterwards is not known to a client that was refused. */
static void
end_chunk(struct server *v)
{
	struct message *message = &v->messages[v->message];
	struct str rest = buf_view(&v->chunk), line = str_cut(&rest, '\r');
	char want[16];

	fmt_print(want, sizeof want, "body %u", v->message);
	assert_true(str_eq(line, str_of(want)));
	assert_int_equal(v->chunk.len, message->m.chunk);
	unsigned code = reply(v, v->accepted_count ? any(v, 250) : dice(v, 2) ? 503 : 554);
	for (unsigned i = 0; i < v->accepted_count; i++) {
		message->expected[v->accepted[i]] = code;
		message->got[v->accepted[i]] = code == 250;
	}
	v->took = v->took || code == 250;
	v->open = v->mail_seen = code != 250 && dice(v, 2);
}

static void
on_line(struct server *v, struct str line)
{
	/* RFC 2920 3.1: one command at a time, or nothing behind DATA before its reply. */
	assert_false(v->data_unanswered);
	if (!v->pipelining && !v->data)
		assert_int_equal(v->unanswered, 0);
	if (v->data) {
		on_body(v, line);
	} else if (str_starts(line, STR("MAIL FROM:<s"))) {
		on_mail(v, str_from(line, 12));
	} else if (str_starts(line, STR("RCPT TO:<r"))) {
		on_rcpt(v, str_from(line, 10));
	} else if (str_eq(line, STR("DATA"))) {
		on_data(v);
	} else if (str_starts(line, STR("BDAT "))) {
		on_bdat(v, str_from(line, 5));
	} else if (str_eq(line, STR("RSET"))) {
		assert_true(v->mail_seen || v->chunked);
		v->open = v->mail_seen = false;
		reply(v, 250);
	} else {
		assert_true(str_eq(line, STR("QUIT")));
		assert_int_equal(v->unanswered, 0);
	}
}

static void
hear(struct server *v, struct str bytes)
{
	while (bytes.len) {
		if (v->chunk_left > 0) {
			struct str piece = str_upto(bytes, (size_t)v->chunk_left);
			buf_str(&v->chunk, piece);
			bytes = str_from(bytes, piece.len);
			v->chunk_left -= piece.len;
			if (v->chunk_left == 0)
				end_chunk(v);
			continue;
		}
		size_t n = str_find(bytes, '\n');
		buf_str(&v->line, str_upto(bytes, n));
		if (n == bytes.len)
			return;
		assert_true(v->line.len > 0 && v->line.ptr[v->line.len - 1] == '\r');
		v->line.len--;
		on_line(v, buf_view(&v->line));
		v->line.len = 0;
		bytes = str_from(bytes, n + 1);
	}
}

/* Some bytes of what it has to say. */
static void
answer(struct server *v)
{
	size_t n = 1 + dice(v, (unsigned)v->replies.len);

	if (dice(v, 3) == 0)
		n = v->replies.len;
	/* Counted before: the engine may speak when it has heard. */
	for (size_t i = 0; i < n; i++)
		if (v->replies.ptr[i] == ' ')
			v->unanswered--;
	struct buf out = v->replies;
	v->replies = (struct buf){0};
	buf_add(&v->replies, out.ptr + n, out.len - n);
	if (v->unanswered == 0)
		v->data_unanswered = false;
	smtp_input(&v->smtp, str_upto(buf_view(&out), n));
	buf_free(&out);
}

/* The pump. */

static void
hand_over(struct server *v)
{
	struct message *message = &v->messages[v->handed];
	struct smtp_message *m = &message->m;

	m->ctx = message;
	m->state = message->state;
	m->rcpts = message->rcpts;
	m->notifies = message->notifies;
	m->rcpt_count = 1 + dice(v, RCPTS);
	if (smtp_takes_chunks(&v->smtp) && dice(v, 4))
		m->chunk = dice(v, 3) ? strlen("body 0\r\n") : LONG;
	fmt_print(message->sender, sizeof message->sender, "s%u@t", v->handed++);
	m->sender = str_of(message->sender);
	for (size_t i = 0; i < m->rcpt_count; i++) {
		fmt_print(message->rcpt_text[i], sizeof message->rcpt_text[i], "r%zu@t", i);
		message->rcpts[i] = str_of(message->rcpt_text[i]);
	}
	smtp_send(&v->smtp, m);
}

/* One that came back, over a new connection. */
static bool
hand_over_again(struct server *v)
{
	for (unsigned i = 0; i < v->handed; i++) {
		struct message *message = &v->messages[i];
		if (!message->untried)
			continue;
		message->untried = false;
		message->finished = 0;
		smtp_send(&v->smtp, &message->m);
		return true;
	}
	return false;
}

static void
put_body(struct server *v)
{
	struct message *message = smtp_body_message(&v->smtp)->ctx;
	char body[LONG];

	memset(body, 'x', sizeof body);
	size_t n = fmt_print(body, 24, "body %zu\r\n", (size_t)(message - v->messages));
	assert_int_equal(n, strlen("body 0\r\n"));
	hear(v, (struct str){body, message->m.chunk ? (size_t)message->m.chunk : n});
	smtp_body_done(&v->smtp);
}

static bool
is_left(const struct server *v)
{
	for (unsigned i = 0; i < v->handed; i++)
		if (v->messages[i].untried)
			return true;
	return v->handed < MESSAGES;
}

/* One thing of those that can happen now. False: nothing can. */
static bool
move(struct server *v)
{
	unsigned want = smtp_want(&v->smtp), first = dice(v, 4);

	for (unsigned i = 0; i < 4; i++) {
		unsigned what = (first + i) % 4;
		if (what == 0 && (want & SMTP_MESSAGE) && is_left(v)) {
			if (!hand_over_again(v))
				hand_over(v);
			return true;
		}
		if (what == 1 && (want & SMTP_SEND)) {
			struct str out = smtp_output(&v->smtp);
			size_t n = dice(v, 2) ? out.len : 1 + dice(v, (unsigned)out.len);
			hear(v, str_upto(out, n));
			smtp_sent(&v->smtp, n);
			return true;
		}
		if (what == 2 && (want & SMTP_BODY)) {
			put_body(v);
			return true;
		}
		if (what == 3 && v->replies.len > 0) {
			answer(v);
			return true;
		}
	}
	return false;
}

static void
greet(struct server *v)
{
	smtp_init(&v->smtp, &v->config);
	smtp_input(&v->smtp, STR("220 x\r\n"));
	smtp_sent(&v->smtp, smtp_output(&v->smtp).len);
	smtp_input(&v->smtp, STR("250-x\r\n"));
	if (v->chunking)
		smtp_input(&v->smtp, STR("250-CHUNKING\r\n"));
	smtp_input(&v->smtp, v->pipelining ? STR("250 PIPELINING\r\n") : STR("250 x\r\n"));
}

static void
play(unsigned seed)
{
	static struct server v;

	v = (struct server){.seed = seed, .config = {
		.helo = STR("c"), .tls = URL_TLS_NONE, .verdict = check_verdict,
		.finished = check_finished, .ctx = &v}};
	v.lmtp = v.config.lmtp = dice(&v, 3) == 0;
	v.pipelining = dice(&v, 3) > 0;
	v.chunking = dice(&v, 2);
	unsigned breaks = dice(&v, 3) ? 0 : 1 + dice(&v, 100);
	do {
		v.took = v.enough = v.open = v.mail_seen = v.data = v.data_unanswered = false;
		v.unanswered = 0;
		v.replies.len = v.line.len = 0;
		greet(&v);
		while (move(&v)) {
			if (breaks && --breaks == 0) {
				struct outcome o = outcome_make(TEMPFAIL, 4, 2, "lost");
				v.broken = true;
				smtp_fail(&v.smtp, &o);
				v.replies.len = 0;
			}
		}
		if (!v.broken)
			smtp_quit(&v.smtp);
		while (move(&v))
			;
		assert_int_equal(smtp_want(&v.smtp), SMTP_CLOSED);
		bool well = !v.broken && !v.enough;
		assert_int_equal(smtp_session(&v.smtp)->verdict, well ? DELIVERED : TEMPFAIL);
	} while (!v.broken && (v.enough || is_left(&v)));
	assert_true(v.broken || v.handed == MESSAGES);
	for (unsigned i = 0; i < v.handed; i++)
		assert_int_equal(v.messages[i].finished, 1);
	buf_free(&v.replies);
	buf_free(&v.line);
	buf_free(&v.chunk);
}

static void
test_dice(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20000; seed++)
		play(seed);
}

/* More recipients than the engine's buffer holds, taken in pieces of every size. */

struct many {
	unsigned verdicts, finished;
};

static void
count_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct many *many = ctx;

	(void)m;
	many->verdicts += o->verdict == (rcpt % 3 ? DELIVERED : PERMFAIL);
}

static void
count_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct many *many = ctx;

	(void)m;
	many->finished += tried;
}

static void
play_many(size_t piece)
{
	static struct smtp s;
	static struct str rcpts[MANY];
	static unsigned char states[MANY];
	static struct notify notifies[MANY];
	struct many many = {0};
	struct smtp_config c = {.helo = STR("c"), .tls = URL_TLS_NONE, .verdict = count_verdict,
				.finished = count_finished, .ctx = &many};
	struct smtp_message m = {.sender = STR("a@b"), .rcpts = rcpts, .rcpt_count = MANY,
				 .notifies = notifies, .state = states};
	unsigned lines = 0, answered = 0;

	memset(states, 0, sizeof states);
	for (size_t i = 0; i < MANY; i++)
		rcpts[i] = STR("a-recipient-with-a-name-that-is-not-short@example.test");
	smtp_init(&s, &c);
	smtp_input(&s, STR("220 hi\r\n"));
	smtp_sent(&s, smtp_output(&s).len);
	smtp_input(&s, STR("250-mx\r\n250 PIPELINING\r\n"));
	smtp_send(&s, &m);
	while (!many.finished) {
		struct str out = str_upto(smtp_output(&s), piece);
		for (size_t i = 0; i < out.len; i++)
			lines += out.ptr[i] == '\n';
		smtp_sent(&s, out.len);
		assert_true(out.len > 0 || (smtp_want(&s) & SMTP_BODY));
		if (smtp_want(&s) & SMTP_BODY)
			smtp_body_done(&s);
		for (; answered < lines; answered++)
			smtp_input(&s, answered == MANY + 1 ? STR("354 go\r\n") :
				       answered > 0 && answered <= MANY && answered % 3 == 1 ?
				       STR("550 no\r\n") : STR("250 ok\r\n"));
	}
	assert_int_equal(many.verdicts, MANY);
	assert_int_equal(lines, MANY + 3);
}

static void
test_many(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1)
		play_many(piece);
}

/* What a pump may do at the wrong time. */
static void
test_robust(void **state)
{
	static struct server v;
	struct outcome o = {0};

	(void)state;
	v = (struct server){.seed = 1, .broken = true, .config = {
		.helo = STR("c"), .tls = URL_TLS_NONE, .verdict = check_verdict,
		.finished = check_finished, .ctx = &v}};
	smtp_init(&v.smtp, &v.config);
	assert_int_equal(smtp_want(&v.smtp), SMTP_RECEIVE);
	assert_int_equal(smtp_session(&v.smtp)->verdict, TEMPFAIL);
	hand_over(&v);
	assert_int_equal(v.messages[0].finished, 1);
	smtp_sent(&v.smtp, 0);
	smtp_input(&v.smtp, (struct str){NULL, 0});
	smtp_fail(&v.smtp, &o);
	smtp_fail(&v.smtp, &o);
	assert_int_equal(smtp_want(&v.smtp), SMTP_CLOSED);
	assert_int_equal(smtp_output(&v.smtp).len, 0);
	smtp_sent(&v.smtp, 5);
	smtp_body_done(&v.smtp);
	smtp_tls_up(&v.smtp, true, STR(""));
	smtp_quit(&v.smtp);
	hand_over(&v);
	assert_int_equal(v.messages[1].finished, 1);
	smtp_input(&v.smtp, STR("250 x\r\n"));
	assert_int_equal(smtp_want(&v.smtp), SMTP_CLOSED);
	assert_int_equal(smtp_output(&v.smtp).len, 0);
}

/* What becomes of QUIT does not matter. */
static void
test_quit(void **state)
{
	static struct server v;
	struct outcome lost = outcome_make(TEMPFAIL, 4, 2, "lost");

	(void)state;
	v = (struct server){.config = {.helo = STR("c"), .tls = URL_TLS_NONE}};
	greet(&v);
	smtp_quit(&v.smtp);
	assert_int_equal(smtp_want(&v.smtp), SMTP_SEND);
	smtp_fail(&v.smtp, &lost);
	assert_int_equal(smtp_want(&v.smtp), SMTP_CLOSED);
	assert_int_equal(smtp_session(&v.smtp)->verdict, DELIVERED);
}

/* A password does not stay where it has been sent from, nor where it could not be. */
static void
test_wiped(void **state)
{
	static const char line[] = "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n";
	static struct server v;
	struct outcome lost = outcome_make(TEMPFAIL, 4, 2, "lost");

	(void)state;
	for (unsigned sent = 0; sent < 2; sent++) {
		v = (struct server){.config = {
			.helo = STR("c"), .tls = URL_TLS_NONE, .private_channel = true,
			.user = STR("joe"), .password = STR("secret")}};
		smtp_init(&v.smtp, &v.config);
		smtp_input(&v.smtp, STR("220 x\r\n"));
		smtp_sent(&v.smtp, smtp_output(&v.smtp).len);
		smtp_input(&v.smtp, STR("250-x\r\n250 AUTH PLAIN\r\n"));
		assert_true(str_eq(smtp_output(&v.smtp), str_of(line)));
		assert_non_null(memmem(&v.smtp, sizeof v.smtp, "AGpv", 4));
		if (sent)
			smtp_sent(&v.smtp, strlen(line));
		else
			smtp_fail(&v.smtp, &lost);
		assert_null(memmem(&v.smtp, sizeof v.smtp, "ZXQ=", 4));
		assert_null(memmem(&v.smtp, sizeof v.smtp, "AGpv", 4));
	}
}

static void
keep_code(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	(void)m, (void)rcpt;
	*(struct outcome *)ctx = *o;
}

struct kept {
	struct outcome o;
	unsigned verdicts, finished;
	bool tried;
};

static void
keep_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct kept *kept = ctx;

	(void)m, (void)rcpt;
	kept->o = *o;
	kept->verdicts++;
}

static void
keep_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct kept *kept = ctx;

	(void)m;
	kept->finished++;
	kept->tried = tried;
}

static void
forget(void *ctx, const struct smtp_message *m, bool tried)
{
	(void)ctx, (void)m, (void)tried;
}

/* How often so many short messages wait for the server: a flight is all that goes out before it
 * says anything. */
static unsigned
count_flights(const char *offer, unsigned count)
{
	static struct smtp s;
	struct many many = {0};
	struct notify notify = {0};
	struct str address = STR("x@y");
	unsigned char states[MESSAGES] = {0};
	struct smtp_message m[MESSAGES];
	struct smtp_config c = {.helo = STR("c"), .tls = URL_TLS_NONE, .verdict = count_verdict,
				.finished = count_finished, .ctx = &many};
	struct buf replies = {0};
	unsigned flights = 0, handed = 0, want;

	smtp_init(&s, &c);
	smtp_input(&s, STR("220 hi\r\n"));
	smtp_sent(&s, smtp_output(&s).len);
	smtp_input(&s, str_of(offer));
	for (unsigned i = 0; i < count; i++)
		m[i] = (struct smtp_message){
			.sender = STR("a@b"), .rcpts = &address, .rcpt_count = 1, .notifies = &notify,
			.state = &states[i], .chunk = smtp_takes_chunks(&s) ? 5 : 0};
	while (many.finished < count) {
		want = smtp_want(&s);
		if ((want & SMTP_MESSAGE) && handed < count) {
			smtp_send(&s, &m[handed++]);
		} else if (want & SMTP_SEND) {
			struct str out = smtp_output(&s);
			while (out.len)
				buf_puts(&replies, str_starts(str_cut(&out, '\n'), STR("DATA")) ?
						   "354 go\r\n" : "250 ok\r\n");
			smtp_sent(&s, smtp_output(&s).len);
		} else if (want & SMTP_BODY) {
			smtp_body_done(&s);
		} else {
			struct buf heard = replies;
			replies = (struct buf){0};
			assert_int_not_equal(heard.len, 0);
			flights++;
			smtp_input(&s, buf_view(&heard));
			buf_free(&heard);
		}
	}
	return flights;
}

static void
test_flights(void **state)
{
	static const char one_by_one[] = "250 x\r\n", data[] = "250-x\r\n250 PIPELINING\r\n",
			  bdat[] = "250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n";

	(void)state;
	assert_int_equal(count_flights(one_by_one, 1), 4);
	assert_int_equal(count_flights(data, 1), 2);
	assert_int_equal(count_flights(bdat, 1), 1);
	assert_int_equal(count_flights(data, 6), 7);
	assert_int_equal(count_flights(bdat, 6), 3);
}

/* A reply to BDAT before the whole chunk is out is none (RFC 3030 2). A message may go over
 * another connection at once while the server cannot have accepted it. */
static void
test_early(void **state)
{
	static const struct {
		const char *replies;
		bool out, closed, tried;
	} table[] = {
		{"", false, false, false},
		{"", true, false, true},
		{"250 ok\r\n250 ok\r\n", false, false, true},
		{"250 ok\r\n250 ok\r\n250 in\r\n", false, true, true},
		{"250 ok\r\n550 no\r\n503 nobody\r\n", false, true, true},
		{"250 ok\r\n250 ok\r\n2", true, false, true},
	};
	struct outcome lost = outcome_make(TEMPFAIL, 4, 2, "lost");

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		static struct smtp s;
		unsigned char rcpt_state = 0;
		struct notify notify = {0};
		struct kept kept = {0};
		struct str address = STR("x@y");
		struct smtp_config c = {.helo = STR("c"), .tls = URL_TLS_NONE, .ctx = &kept,
					.verdict = keep_verdict, .finished = keep_finished};
		struct smtp_message m = {.sender = STR("a@b"), .rcpts = &address, .rcpt_count = 1,
					 .notifies = &notify, .state = &rcpt_state, .chunk = 5};
		smtp_init(&s, &c);
		smtp_input(&s, STR("220 x\r\n"));
		smtp_sent(&s, smtp_output(&s).len);
		smtp_input(&s, STR("250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n"));
		smtp_send(&s, &m);
		smtp_sent(&s, smtp_output(&s).len);
		assert_true(smtp_want(&s) & SMTP_BODY);
		if (table[i].out)
			smtp_body_done(&s);
		smtp_input(&s, str_of(table[i].replies));
		assert_int_equal(smtp_want(&s) == SMTP_CLOSED, table[i].closed);
		smtp_fail(&s, &lost);
		assert_int_equal(kept.finished, 1);
		assert_int_equal(kept.verdicts, table[i].tried);
		assert_int_equal(kept.tried, table[i].tried);
		assert_int_not_equal(kept.o.verdict, DELIVERED);
	}
}

/* What a server says when it has a part of a message: a 5xx is believed, by DATA and by BDAT. */
static void
test_refused_body(void **state)
{
	static const struct {
		const char *reply;
		bool lmtp, asked;
		enum verdict verdict;
	} table[] = {
		{"552 5.3.4 too much\r\n", false, true, PERMFAIL},
		{"554-5.6.0 no\r\n554 5.6.0 never\r\n", false, true, PERMFAIL},
		{"552 5.3.4 too much\r\n", false, false, TEMPFAIL},
		{"552 5.3.4 too much\r\n", true, true, TEMPFAIL},
		{"500 5.5.1 what?\r\n", false, true, TEMPFAIL},
		{"530 5.7.0 who?\r\n", false, true, TEMPFAIL},
		{"452 4.3.1 full\r\n", false, true, TEMPFAIL},
		{"354 go on\r\n", false, true, TEMPFAIL},
		{"250 2.0.0 taken\r\n", false, true, TEMPFAIL},
		{"421 4.3.2 down\r\n", false, true, TEMPFAIL},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof table / sizeof *table; i++) {
		static struct smtp s;
		bool chunk = i % 2 && !table[i / 2].lmtp;
		unsigned char rcpt_state = 0;
		struct notify notify = {0};
		struct kept kept = {0};
		struct str address = STR("x@y");
		struct smtp_config c = {.helo = STR("c"), .tls = URL_TLS_NONE, .ctx = &kept,
					.verdict = keep_verdict, .finished = keep_finished,
					.lmtp = table[i / 2].lmtp};
		struct smtp_message m = {.sender = STR("a@b"), .rcpts = &address, .rcpt_count = 1,
					 .notifies = &notify, .state = &rcpt_state,
					 .chunk = chunk ? 9000 : 0};
		smtp_init(&s, &c);
		smtp_input(&s, STR("220 x\r\n"));
		smtp_sent(&s, smtp_output(&s).len);
		smtp_input(&s, STR("250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n"));
		smtp_send(&s, &m);
		smtp_sent(&s, smtp_output(&s).len);
		smtp_input(&s, STR("250 ok\r\n250 ok\r\n"));
		if (!chunk)
			smtp_input(&s, STR("354 go\r\n"));
		smtp_sent(&s, smtp_output(&s).len);
		assert_true(smtp_want(&s) & SMTP_BODY);
		if (table[i / 2].asked)
			assert_ptr_equal(smtp_body_message(&s), &m);
		smtp_input(&s, str_of(table[i / 2].reply));
		assert_int_equal(smtp_want(&s), SMTP_CLOSED);
		assert_int_equal(kept.finished, 1);
		assert_int_equal(kept.verdicts, 1);
		assert_int_equal(kept.o.verdict, table[i / 2].verdict);
		assert_int_equal(s.stumbled, table[i / 2].verdict == TEMPFAIL);
	}
}

static void
test_address(void **state)
{
	static const struct {
		const char *address;
		bool good;
	} table[] = {
		{"a@b", true}, {"joe", true}, {"\"a b\"@c", true}, {"\"a<b>\"@c", true},
		{"\"a\\\">\"@c", true}, {"\"a\\\\\"@c", true}, {"\xc3\xa9@b", true},
		{"a\\@b", true}, {"a@b>", false}, {"<a@b", false}, {"a b@c", false},
		{"a@b\r\nDATA", false}, {"a@b\n", false}, {"a\tb@c", false}, {"a\x7f@c", false},
		{"\"a\"<\"b\"@c", false}, {"\"a\\\\\"> \"@c", false}, {"\"a@b", false},
		{"\"a\\\"@b", false}, {"\"a\n\"@b", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		static struct smtp s;
		unsigned char rcpt_state = 0;
		struct notify notify = {0};
		struct outcome got = {0};
		struct str address = str_of(table[i].address);
		struct smtp_config c = {.helo = STR("c"), .tls = URL_TLS_NONE, .ctx = &got,
					.verdict = keep_code, .finished = forget};
		struct smtp_message m = {.sender = STR("a@b"), .rcpts = &address, .rcpt_count = 1,
					 .notifies = &notify, .state = &rcpt_state};
		smtp_init(&s, &c);
		smtp_input(&s, STR("220 x\r\n"));
		smtp_sent(&s, smtp_output(&s).len);
		smtp_input(&s, STR("250-x\r\n250 SMTPUTF8\r\n"));
		smtp_send(&s, &m);
		assert_int_equal(got.verdict, table[i].good ? TEMPFAIL : PERMFAIL);
		assert_int_equal(smtp_output(&s).len > 0, table[i].good);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dice),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_robust),
		cmocka_unit_test(test_quit),
		cmocka_unit_test(test_wiped),
		cmocka_unit_test(test_flights),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_refused_body),
		cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
