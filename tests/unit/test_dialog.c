/* SPDX-License-Identifier: ISC */
/*
 * Plays the dialogues of tests/dialog against the SMTP engine, each in four ways: the server's
 * bytes whole and one by one, the client's taken whole and one by one. Format: README there.
 * Then a server that says anything at all, for what must hold whatever is said.
 */
#include "buf.h"
#include "fmt.h"
#include "smtp.h"
#include "wire.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RCPTS = 8, MESSAGES = 4 };

struct message {
	struct smtp_message m;
	struct str rcpts[RCPTS];
	struct notify notifies[RCPTS];
	unsigned char state[RCPTS];
	unsigned verdicts[RCPTS], finished;
	bool untried;
	struct buf text, body;    /* what m points into; the body */
};

struct play {
	const char *path;
	unsigned line;
	bool bytewise_in, bytewise_out, race, failed;
	struct smtp smtp;
	struct smtp_config config;
	struct buf setup;         /* what config points into */
	struct message messages[MESSAGES];
	size_t made, handed;      /* of messages */
	struct buf client;        /* lines put out and not yet expected */
	struct buf said;          /* the same as the trace shows them */
	struct buf events;        /* one a line */
	size_t events_seen;
};

static void fail(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
fail(struct play *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return;
	p->failed = true;
	printf("# %s:%u (input %s, output %s): ", p->path, p->line,
	       p->bytewise_in ? "by bytes" : "whole", p->bytewise_out ? "by bytes" : "whole");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* What the engine reports. */

static void
on_verdict(void *ctx, const struct smtp_message *m, size_t rcpt, const struct outcome *o)
{
	struct play *p = ctx;
	struct message *message = m->ctx;

	if (message->finished || message->verdicts[rcpt]++)
		fail(p, "a verdict too many for %.*s", STR_ARG(m->rcpts[rcpt]));
	buf_print(&p->events, "rcpt %.*s %s ", STR_ARG(m->rcpts[rcpt]),
		  o->passed ? "passed" : outcome_word(o));
	outcome_print_status(o, &p->events);
	buf_print(&p->events, " %u: %s\n", o->code, o->text);
}

static void
on_finished(void *ctx, const struct smtp_message *m, bool tried)
{
	struct play *p = ctx;
	struct message *message = m->ctx;

	if (message->finished++)
		fail(p, "finished twice");
	for (size_t i = 0; i < m->rcpt_count; i++)
		if (message->verdicts[i] != 1 && tried)
			fail(p, "%u verdicts for %.*s at the end of a message that was tried",
			     message->verdicts[i], STR_ARG(m->rcpts[i]));
	message->untried = !tried;
	buf_print(&p->events, "%s %.*s\n", tried ? "done" : "untried", STR_ARG(m->sender));
}

static void
on_trace(void *ctx, bool from_server, struct str line)
{
	struct play *p = ctx;

	if (!from_server)
		buf_print(&p->said, "%.*s\n", STR_ARG(line));
}

/* Driving it. */

static void
drain(struct play *p)
{
	struct str out;

	while ((out = smtp_output(&p->smtp)).len > 0) {
		size_t n = p->bytewise_out ? 1 : out.len;
		buf_add(&p->client, out.ptr, n);
		smtp_sent(&p->smtp, n);
	}
}

static void
print_wire(struct str body, bool dots, struct buf *to)
{
	char out[64];
	struct wire w;
	size_t n;

	wire_init(&w, dots);
	while ((n = wire_feed(&w, &body, out, sizeof out)) > 0)
		buf_add(to, out, n);
	n = wire_finish(&w, out);
	buf_add(to, out, n);
}

static void
put_body(struct play *p)
{
	const struct smtp_message *m = smtp_body_message(&p->smtp);
	struct str in = buf_view(&((struct message *)m->ctx)->body);
	size_t start = p->client.len;

	print_wire(in, m->chunk == 0, &p->client);
	/* A body is not part of the trace; here it stands for itself. */
	for (struct str body = buf_tail(&p->client, start); body.len;) {
		struct str line = str_cut(&body, '\n');
		buf_print(&p->said, "%.*s\n", (int)line.len - 1, line.ptr);
	}
	smtp_body_done(&p->smtp);
}

static void
hand_over(struct play *p, struct message *message)
{
	struct buf chunk = {0};

	print_wire(buf_view(&message->body), false, &chunk);
	message->m.chunk = smtp_takes_chunks(&p->smtp) ? chunk.len : 0;
	buf_free(&chunk);
	smtp_send(&p->smtp, &message->m);
}

/* Does all that the engine wants and that needs no server. */
static void
settle(struct play *p)
{
	for (;;) {
		unsigned want = smtp_want(&p->smtp);
		bool out = smtp_output(&p->smtp).len > 0;
		if (out != !!(want & SMTP_SEND) || (out && (want & (SMTP_BODY | SMTP_STARTTLS))))
			fail(p, "wants %u and has %soutput", want, out ? "" : "no ");
		while (p->handed < p->made && p->messages[p->handed].finished)
			p->handed++;
		if ((want & SMTP_MESSAGE) && p->handed < p->made)
			hand_over(p, &p->messages[p->handed++]);
		else if (want & SMTP_SEND)
			drain(p);
		else if (want & SMTP_BODY)
			put_body(p);
		else
			return;
	}
}

static void
feed(struct play *p, struct str bytes)
{
	for (size_t i = 0; p->bytewise_in && i < bytes.len; i++) {
		smtp_input(&p->smtp, (struct str){bytes.ptr + i, 1});
		if (!p->race)
			settle(p);
	}
	if (!p->bytewise_in)
		smtp_input(&p->smtp, bytes);
	settle(p);
}

/* Reading a dialogue. */

static struct str
word(struct str *rest)
{
	*rest = str_trim(*rest);
	return str_cut(rest, ' ');
}

/* \r \n \0 \\, and \{N}c: N times c. */
static void
unescape(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		uint64_t count = 1;
		char c = s.ptr[i];
		if (c == '\\' && ++i < s.len) {
			c = s.ptr[i];
			if (c == '{') {
				struct str rest = str_from(s, i + 1), digits = str_cut(&rest, '}');
				if (str_number(digits, 100000, &count) || rest.len == 0)
					abort();
				i = (size_t)(rest.ptr - s.ptr);
				c = *rest.ptr;
			} else {
				c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
			}
		}
		while (count--)
			buf_putc(out, c);
	}
}

static bool
option(struct str words, const char *key, struct str *value)
{
	while (words.len) {
		struct str one = word(&words), name = str_cut(&one, '=');
		if (str_eq(name, str_of(key))) {
			*value = one;
			return true;
		}
	}
	return false;
}

static void
configure(struct play *p, struct str words)
{
	struct smtp_config *c = &p->config;
	struct str v;

	buf_str(&p->setup, words);
	words = buf_view(&p->setup);
	if (option(words, "tls", &v))
		c->tls = str_eq(v, STR("none")) ? URL_TLS_NONE :
			 str_eq(v, STR("starttls")) ? URL_TLS_STARTTLS :
			 str_eq(v, STR("implicit")) ? URL_TLS_IMPLICIT : URL_TLS_OFFERED;
	if (option(words, "helo", &v))
		c->helo = v;
	if (option(words, "user", &v))
		c->user = v;
	if (option(words, "password", &v))
		c->password = v;
	if (option(words, "mechanisms", &v))
		c->mechanisms = v;
	if (option(words, "nonce", &v))
		c->nonce = v;
	c->lmtp = option(words, "lmtp", &v);
	c->insecure_auth = option(words, "insecure", &v);
	c->private_channel = option(words, "private", &v);
	smtp_init(&p->smtp, c);
}

/* ret=, envid=, notify= and orcpt=; the latter two are of all recipients. */
static void
set_notify(struct play *p, struct message *message, struct str words)
{
	static const char *const keys[] = {"ret", "envid", "notify", "orcpt"};
	struct str v;

	for (size_t k = 0; k < 4; k++) {
		enum notify_of of = k < 2 ? NOTIFY_MAIL : NOTIFY_RCPT;
		for (size_t i = 0; option(words, keys[k], &v) && i < (k < 2 ? 1 : RCPTS); i++)
			if (notify_set(k < 2 ? &message->m.notify : &message->notifies[i], of,
				       str_of(keys[k]), v))
				fail(p, "a bad %s", keys[k]);
	}
}

static void
make_message(struct play *p, struct str words)
{
	struct message *message = &p->messages[p->made++];
	struct smtp_message *m = &message->m;
	struct str v, text = words;
	uint64_t copies;

	/* Escapes in addresses as well. */
	str_cut(&text, '"');
	text.len -= text.len > 0;
	unescape(text, &message->body);
	unescape(str_upto(words, str_find(words, '"')), &message->text);
	words = buf_view(&message->text);
	if (option(words, "from", &v))
		m->sender = v;
	if (option(words, "rcpt", &v))
		while (v.len && m->rcpt_count < RCPTS)
			message->rcpts[m->rcpt_count++] = str_cut(&v, ',');
	if (option(words, "size", &v) && str_number(v, UINT64_MAX, &copies) == 0)
		m->size = copies;
	m->eightbit = option(words, "8bit", &v);
	set_notify(p, message, words);
	m->rcpts = message->rcpts;
	m->notifies = message->notifies;
	m->state = message->state;
	m->ctx = message;
	settle(p);
}

/* The first line of b, taken off it; false: there is none. */
static bool
take_line(struct buf *b, char *line, size_t cap)
{
	struct str rest = buf_view(b), first = str_cut(&rest, '\n');

	if (b->len == 0 || first.len == b->len || first.len >= cap)
		return false;
	fmt_print(line, cap, "%.*s", STR_ARG(first));
	memmove(b->ptr, rest.ptr, rest.len);
	b->len = rest.len;
	return true;
}

/* What a trace shows of a line that ends in a secret. */
static void
mask(struct buf *line)
{
	while (line->len > 0 && line->ptr[line->len - 1] != ' ')
		line->len--;
	buf_puts(line, "****");
}

static void
expect_client(struct play *p, struct str words, bool secret)
{
	char line[16 << 10], said[16 << 10];
	struct buf want = {0};

	unescape(words, &want);
	if (!take_line(&p->client, line, sizeof line) || !take_line(&p->said, said, sizeof said)) {
		fail(p, "nothing more from the client");
	} else {
		if (strncmp(line, buf_cstr(&want), want.len) || strcmp(line + want.len, "\r"))
			fail(p, "the client said: %s", line);
		if (secret)
			mask(&want);
		if (strcmp(said, buf_cstr(&want)))
			fail(p, "the trace shows: %s", said);
	}
	buf_free(&want);
}

static void
expect_event(struct play *p, struct str words)
{
	struct str rest = buf_tail(&p->events, p->events_seen), event = str_cut(&rest, '\n');
	struct buf want = {0};

	unescape(words, &want);
	p->events_seen = p->events.len - rest.len;
	if (!str_starts(event, buf_view(&want)) ||
	    (event.len > want.len && event.ptr[want.len] != ':'))
		fail(p, "event is: %.*s", STR_ARG(event));
	buf_free(&want);
}

static void
expect_session(struct play *p, struct str want)
{
	const struct outcome *o = smtp_session(&p->smtp);
	struct buf b = {0};

	buf_print(&b, "%s ", outcome_word(o));
	outcome_print_status(o, &b);
	buf_print(&b, " %u: %s", o->code, o->text);
	struct str got = buf_view(&b);
	if (!str_starts(got, want) || (got.len > want.len && got.ptr[want.len] != ':'))
		fail(p, "session is: %.*s", STR_ARG(got));
	if (!(smtp_want(&p->smtp) & SMTP_CLOSED))
		fail(p, "the session is not closed");
	buf_free(&b);
}

static void
expect_timeout(struct play *p, struct str seconds)
{
	uint64_t want = 0;

	str_number(seconds, 10000, &want);
	if (smtp_timeout(&p->smtp) != want)
		fail(p, "time limit is %u", smtp_timeout(&p->smtp));
}

static void
tls(struct play *p, struct str how)
{
	struct str verified = str_cut(&how, ' ');

	if (p->config.tls != URL_TLS_IMPLICIT && smtp_want(&p->smtp) != SMTP_STARTTLS)
		fail(p, "no TLS is wanted");
	smtp_tls_up(&p->smtp, str_eq(verified, STR("verified")), how);
	settle(p);
}

/* A new connection, for all that came back untried. */
static void
start_again(struct play *p)
{
	if (!(smtp_want(&p->smtp) & SMTP_CLOSED))
		fail(p, "the session is not closed");
	for (size_t i = 0; i < p->made; i++)
		p->messages[i].finished -= p->messages[i].untried;
	p->handed = 0;
	smtp_init(&p->smtp, &p->config);
	settle(p);
}

static void
break_off(struct play *p, const struct outcome o)
{
	smtp_fail(&p->smtp, &o);
	settle(p);
}

/* What the server says goes in with the next line that is not the server's. */
static void
flush(struct play *p, struct buf *server)
{
	if (server->len == 0)
		return;
	if (p->client.len > 0)
		fail(p, "before the server speaks: %.*s", STR_ARG(buf_view(&p->client)));
	feed(p, buf_view(server));
	server->len = 0;
}

static void
obey(struct play *p, struct str line, struct buf *server)
{
	struct str rest = line, verb = str_cut(&rest, ' ');

	if (str_eq(verb, STR("S:")) || str_eq(verb, STR("S+"))) {
		unescape(rest, server);
		if (verb.ptr[1] == ':')
			buf_puts(server, "\r\n");
		return;
	}
	flush(p, server);
	if (line.len == 0 || *line.ptr == '#')
		return;
	if (str_eq(verb, STR("C:")) || str_eq(verb, STR("C*")))
		expect_client(p, rest, verb.ptr[1] == '*');
	else if (str_eq(verb, STR("config")))
		configure(p, rest);
	else if (str_eq(verb, STR("message")))
		make_message(p, rest);
	else if (str_starts(line, STR("expect session ")))
		expect_session(p, str_from(line, 15));
	else if (str_eq(verb, STR("expect")))
		expect_event(p, rest);
	else if (str_eq(verb, STR("timeout")))
		expect_timeout(p, rest);
	else if (str_eq(verb, STR("tls")))
		tls(p, rest);
	else if (str_eq(verb, STR("race")))
		p->race = true;
	else if (str_eq(verb, STR("again")))
		start_again(p);
	else if (str_eq(verb, STR("quit")))
		smtp_quit(&p->smtp), settle(p);
	else if (str_eq(verb, STR("close")))
		break_off(p, outcome_make(TEMPFAIL, 4, 2, "connection lost"));
	else if (str_eq(verb, STR("fail")))
		break_off(p, outcome_make(PERMFAIL, 3, 0, "the pump gave up"));
	else
		fail(p, "not understood: %.*s", STR_ARG(line));
}

static void
end(struct play *p)
{
	struct str left = buf_tail(&p->events, p->events_seen);

	if (p->client.len > 0)
		fail(p, "not expected: %.*s", STR_ARG(buf_view(&p->client)));
	if (left.len > 0)
		fail(p, "not expected: %.*s", STR_ARG(left));
	for (size_t i = 0; i < p->handed; i++)
		if (!p->messages[i].finished)
			fail(p, "message %zu was never finished", i);
	buf_free(&p->setup);
	buf_free(&p->client);
	buf_free(&p->said);
	buf_free(&p->events);
	for (size_t i = 0; i < p->made; i++) {
		buf_free(&p->messages[i].text);
		buf_free(&p->messages[i].body);
	}
}

static bool
play(const char *path, struct str script, bool bytewise_in, bool bytewise_out)
{
	struct play *p = calloc(1, sizeof *p);
	struct buf server = {0};

	if (!p)
		abort();
	p->path = path;
	p->bytewise_in = bytewise_in;
	p->bytewise_out = bytewise_out;
	p->config = (struct smtp_config){
		.helo = STR("client.test"), .host = STR("mx.test"), .tls = URL_TLS_NONE,
		.nonce = STR("rOprNGfwEbeRWgbNEkqO"), .ctx = p,
		.verdict = on_verdict, .finished = on_finished, .trace = on_trace,
	};
	smtp_init(&p->smtp, &p->config);
	while (script.len && !p->failed) {
		p->line++;
		obey(p, str_cut(&script, '\n'), &server);
	}
	flush(p, &server);
	end(p);
	bool ok = !p->failed;
	buf_free(&server);
	free(p);
	return ok;
}

static bool
play_file(const char *path)
{
	struct buf script = {0};
	FILE *f = fopen(path, "r");
	bool ok = true;
	size_t n;

	if (!f)
		return false;
	while ((n = fread(buf_room(&script, 4096), 1, 4096, f)) > 0)
		script.len += n;
	fclose(f);
	for (unsigned how = 0; how < 4; how++)
		ok &= play(path, buf_view(&script), how & 1, how & 2);
	buf_free(&script);
	return ok;
}

/* A server that says anything. */

static unsigned
dice(unsigned *seed, unsigned sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 16) % sides;
}

static void
say_anything(struct play *p, unsigned *seed)
{
	static const char *const sayings[] = {
		"220 hi\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n",
		"250-mx\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 STARTTLS\r\n",
		"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
		"250-mx\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n",
		"250-mx\r\n250-AUTH NTLM XOAUTH2 SCRAM-SHA-1 SCRAM-SHA-1-PLUS\r\n250 SIZE\r\n",
		"354 go\r\n", "354 go\r\n", "354 go\r\n", "334 \r\n", "334 ZGF0YQ==\r\n",
		"334 e30=\r\n", "334 ZT14\r\n", "334 NTLM supported\r\n",
		"235 in\r\n", "450 later\r\n", "550 5.1.1 no\r\n", "421 bye\r\n", "599\r\n",
		"250-", "\r\n", "2",
	};
	static const char *const sensible[] = {
		"250 ok\r\n", "354 go\r\n", "450 later\r\n", "550 no\r\n",
	};
	const struct smtp *s = &p->smtp;
	bool tame = dice(seed, 20) > 0 && s->tx_count && s->tx[0].receive < s->tx[0].send;

	feed(p, str_of(tame ? sensible[dice(seed, 4)] :
			      sayings[dice(seed, sizeof sayings / sizeof *sayings)]));
}

static bool
play_random(unsigned seed)
{
	static const char *const hellos[] = {
		"250-mx\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n",
		"250-mx\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n",
		"250-mx\r\n250-AUTH SCRAM-SHA-256\r\n250 SIZE 100\r\n",
		"250-mx\r\n250-AUTH NTLM\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
		"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
		"250-mx\r\n250 CHUNKING\r\n",
		"250-mx\r\n250-AUTH OAUTHBEARER\r\n250 PIPELINING\r\n",
		"250-mx\r\n250 SIZE 100\r\n",
		"250-mx\r\n250 SIZE 100\r\n",
	};
	struct play *p = calloc(1, sizeof *p);
	unsigned start = seed;
	char path[32];

	if (!p)
		abort();
	fmt_print(path, sizeof path, "random seed %u", start);
	p->path = path;
	p->bytewise_out = dice(&seed, 2);
	p->config = (struct smtp_config){
		.helo = STR("client.test"),
		.tls = dice(&seed, 2) ? URL_TLS_NONE : URL_TLS_OFFERED,
		.user = dice(&seed, 3) ? STR("") : STR("joe"), .password = STR("secret"),
		.nonce = STR("rOprNGfwEbeRWgbNEkqO"), .insecure_auth = true,
		.lmtp = dice(&seed, 2),
		.verdict = on_verdict, .finished = on_finished, .ctx = p,
	};
	smtp_init(&p->smtp, &p->config);
	feed(p, STR("220 hi\r\n"));
	feed(p, str_of(hellos[dice(&seed, sizeof hellos / sizeof *hellos)]));
	for (unsigned i = 0; i < 60 && !(smtp_want(&p->smtp) & SMTP_CLOSED); i++) {
		if (p->made < MESSAGES && dice(&seed, 4) == 0)
			make_message(p, dice(&seed, 9) == 0 ? STR("from=a@b rcpt=c@d size=101") :
				     dice(&seed, 3) ? STR("from=a@b rcpt=c@d,e@f,g@h \"x\n\"") :
				     STR("from=a@b rcpt=c@d \"x\n\""));
		if (smtp_want(&p->smtp) & SMTP_STARTTLS)
			tls(p, dice(&seed, 2) ? STR("verified binding") : STR(""));
		say_anything(p, &seed);
		if (dice(&seed, 40) == 0)
			smtp_quit(&p->smtp), settle(p);
	}
	break_off(p, outcome_make(TEMPFAIL, 4, 2, "connection lost"));
	if (smtp_session(&p->smtp)->verdict == PERMFAIL)
		fail(p, "a session must not fail for good");
	p->client.len = 0;
	p->events_seen = p->events.len;
	end(p);
	bool ok = !p->failed;
	free(p);
	return ok;
}

static bool
say(unsigned number, bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", number, name);
	return ok;
}

int
main(void)
{
	unsigned number = 0;
	bool all = true, ok = true;
	glob_t g;

	if (glob(TOP "/tests/dialog/*.txt", 0, NULL, &g))
		return 1;
	printf("1..%zu\n", g.gl_pathc + 1);
	for (size_t i = 0; i < g.gl_pathc; i++)
		all &= say(++number, play_file(g.gl_pathv[i]), strrchr(g.gl_pathv[i], '/') + 1);
	globfree(&g);
	for (unsigned seed = 1; seed <= 20000 && ok; seed++)
		ok = play_random(seed);
	all &= say(++number, ok, "a server that says anything");
	return all ? 0 : 1;
}
