/* SPDX-License-Identifier: ISC */
#include "smtpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>
#include <cmocka.h>

/* A session under test: what the callbacks were told, one call behind the other, as in
 * "B(a@b)R(c@d)D[text]E". */
struct session {
	struct smtpd_config config;
	struct smtpd s;
	struct buf calls, out;
	bool open;      /* between begin and end or reset */
	bool in_text;   /* the last call was data */
	size_t at_end;  /* bytes said when end was called */
	int end_status;
	const char *end_words;
};

static void
call(struct session *t, const char *fmt, struct str a)
{
	if (t->in_text)
		buf_putc(&t->calls, ']');
	t->in_text = false;
	buf_print(&t->calls, fmt, STR_ARG(a));
}

static void
assert_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		assert_false(str_is_control(s.ptr[i]));
}

static void
add_notify(struct session *t, const struct notify *n, enum notify_of of)
{
	char text[NOTIFY_TEXT];

	notify_print(n, of, text);
	assert_clean(str_of(text));
	if (*text)
		call(t, "{%.*s}", str_from(str_of(text), 1));
}

static int
on_begin(void *ctx, const struct smtpd_path *m, struct buf *why)
{
	struct session *t = ctx;

	assert_false(t->open);
	assert_clean(m->address);
	call(t, "B(%.*s)", m->address);
	add_notify(t, &m->notify, NOTIFY_MAIL);
	if (m->size)
		buf_print(&t->calls, "{size=%llu}", (unsigned long long)m->size);
	buf_puts(&t->calls, m->eightbit ? "{8}" : "");
	buf_puts(&t->calls, m->utf8 ? "{utf8}" : "");
	if (str_eq(m->address, STR("forged@x.example"))) {
		buf_puts(why, "not\r\nyou\xff");
		return EX_NOPERM;
	}
	if (str_eq(m->address, STR("later@x.example")))
		return EX_TEMPFAIL;
	t->open = true;
	return 0;
}

static int
on_rcpt(void *ctx, const struct smtpd_path *r, struct buf *why)
{
	struct session *t = ctx;

	assert_true(t->open);
	assert_true(r->address.len > 0);
	assert_clean(r->address);
	call(t, "R(%.*s)", r->address);
	add_notify(t, &r->notify, NOTIFY_RCPT);
	if (str_eq(r->address, STR("nobody"))) {
		buf_puts(why, "no such user");
		return EX_NOUSER;
	}
	if (str_eq(r->address, STR("many"))) {
		buf_puts(why, "recipient_limit is 1");
		return EX_TEMPFAIL;
	}
	return 0;
}

static void
on_data(void *ctx, struct str piece)
{
	struct session *t = ctx;

	assert_true(t->open);
	assert_true(piece.len > 0);
	if (!t->in_text)
		call(t, "D[%.*s", STR(""));
	t->in_text = true;
	buf_str(&t->calls, piece);
}

static int
on_end(void *ctx, const struct text_facts *facts, struct buf *words)
{
	struct session *t = ctx;

	assert_true(t->open);
	t->open = false;
	t->at_end = t->out.len + t->s.out.len;
	call(t, facts->eightbit ? "E8%.*s" : "E%.*s", STR(""));
	buf_puts(words, t->end_words);
	return t->end_status;
}

static void
on_reset(void *ctx)
{
	struct session *t = ctx;

	assert_true(t->open);
	t->open = false;
	call(t, "X%.*s", STR(""));
}

static void
begin(struct session *t, uint64_t size_limit, bool strict)
{
	*t = (struct session){
		.config = {
			.name = STR("router.example"), .size_limit = size_limit,
			.strict = strict, .begin = on_begin, .rcpt = on_rcpt,
			.data = on_data, .end = on_end, .reset = on_reset, .ctx = t,
		},
		.end_words = "id1",
	};
	smtpd_init(&t->s, &t->config);
}

static void
drain(struct session *t)
{
	buf_str(&t->out, buf_view(&t->s.out));
	t->s.out.len = 0;
}

static void
feed(struct session *t, struct str in, size_t piece)
{
	while (in.len > 0) {
		/* Memory of its own: reading over its end is seen. */
		size_t n = in.len < piece ? in.len : piece;
		char *copy = memcpy(test_malloc(n), in.ptr, n);
		smtpd_input(&t->s, (struct str){copy, n});
		test_free(copy);
		in = str_from(in, n);
		drain(t);
	}
}

static void
finish(struct session *t)
{
	bool done = t->s.done;

	smtpd_close(&t->s);
	drain(t);
	assert_false(t->open);
	assert_true(t->s.done);
	smtpd_input(&t->s, STR("NOOP\r\n"));
	assert_int_equal(t->s.out.len, 0);
	t->s.done = done;
	call(t, "%.*s", STR(""));
}

static void
release(struct session *t)
{
	buf_free(&t->calls);
	buf_free(&t->out);
	buf_free(&t->s.out);
}

static void
assert_text(const char *what, size_t n, struct str got, struct str want)
{
	if (!str_eq(got, want))
		fail_msg("%s of %zu: \"%.*s\", not \"%.*s\"", what, n, STR_ARG(got), STR_ARG(want));
}

/* The codes of all replies, one each: "220 250 354 ". Checks their form. */
static void
codes(struct str out, struct buf *list)
{
	list->len = 0;
	while (out.len > 0) {
		size_t n = str_find(out, '\n');
		struct str line = str_upto(out, n);
		assert_true(n < out.len && n >= 4 && n <= 512 && line.ptr[n - 1] == '\r');
		assert_clean(str_upto(line, n - 1));
		assert_true(line.ptr[3] == ' ' || line.ptr[3] == '-');
		assert_true(line.ptr[n - 2] != ' ');
		if (line.ptr[3] == ' ')
			buf_str(list, str_upto(line, 4));
		out = str_from(out, n + 1);
	}
}

/* Dialogues: what is said, the codes and the calls that come of it. */

#define GREETED "EHLO [127.0.0.1]\r\n"
#define ENVELOPE "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
#define CALLS "B(a@b.example)R(c@d.example)"

static const struct {
	const char *in, *codes, *calls;
	uint64_t limit;
	bool strict, done;
} dialogues[] = {
	/* Symfony Mailer, SendmailTransport. */
	{.in = "EHLO [127.0.0.1]\r\nMAIL FROM:<app@site.example>\r\nRCPT TO:<user@mail.example>\r\n"
	 "DATA\r\nFrom: app@site.example\r\nSubject: Hi\r\n\r\n..dot\r\nbye\r\n.\r\n"
	 "RSET\r\nMAIL FROM:<app@site.example>\r\nRCPT TO:<two@mail.example>\r\n"
	 "DATA\r\nSubject: 2\r\n\r\nx\r\n.\r\nQUIT\r\n",
	 "220 250 250 250 354 250 250 250 250 354 250 221 ",
	 "B(app@site.example)R(user@mail.example)D[From: app@site.example\nSubject: Hi\n\n"
	 ".dot\nbye\n]EB(app@site.example)R(two@mail.example)D[Subject: 2\n\nx\n]E",
	 .done = true},
	/* Pipelined, with all parameters. */
	{.in = "EHLO host\r\nMAIL FROM:<a@b.example> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=q+2B1 "
	 "SMTPUTF8 AUTH=<>\r\nRCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.example"
	 "\r\nRCPT TO:<nobody>\r\nDATA\r\ncaf\xc3\xa9\r\n.\r\nQUIT\r\nNOOP\r\n",
	 "220 250 250 250 550 354 250 221 ",
	 "B(a@b.example){RET=HDRS ENVID=q+2B1}{size=500}{8}{utf8}"
	 "R(c@d.example){NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.example}R(nobody)"
	 "D[caf\xc3\xa9\n]E8", .limit = 1000, .done = true},
	/* swaks --pipe. */
	{.in = "EHLO laptop\r\nMAIL FROM:<root@laptop>\r\nRCPT TO:<joe@laptop>\r\nDATA\r\n"
	 "Date: Tue, 1 Oct 2024 10:00:00 +0000\r\n\r\nThis is a test mailing\r\n\r\n\r\n.\r\n"
	 "QUIT\r\n",
	 "220 250 250 250 354 250 221 ",
	 "B(root@laptop)R(joe@laptop)D[Date: Tue, 1 Oct 2024 10:00:00 +0000\n\n"
	 "This is a test mailing\n\n\n]E", .done = true},
	/* A shell script: LF, no EHLO, no brackets, any case, blanks. */
	{.in = "mail from: a@b.example\nrcpt to:c@d.example  \nRcpt To: <joe>\ndata\nx\r\ny\n.\nquit\n",
	 "220 250 250 250 354 250 221 ", "B(a@b.example)R(c@d.example)R(joe)D[x\ny\n]E",
	 .done = true},
	/* Addresses. */
	{.in = "MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:\r\nRCPT TO:<@r.example,@s.example:c@d.example>\r\n"
	 "RCPT TO:<\"a > \\\" b\"@d.example> NOTIFY=NEVER\r\nRCPT TO:<a b@d.example>\r\n"
	 "RCPT TO:<c@d.example\r\nRCPT TO:<c@-d>\r\nRCPT TO:<a@b.example,c@d.example>\r\n"
	 "RCPT TO:<postmaster>\r\nRCPT:<c@d.example>\r\nRCPT\r\n",
	 "220 250 501 501 250 250 501 501 501 501 250 500 501 ",
	 "B()R(c@d.example)R(\"a > \\\" b\"@d.example){NOTIFY=NEVER}R(postmaster)X"},
	{.in = "MAIL FROM:\r\nMAIL FROM: \r\nMAIL\r\nMAIL TO:<a@b.example>\r\nMAIL FROM:<a@b..c>\r\n"
	 "MAIL FROM:<a\tb@c.example>\r\nMAIL FROM:<a\rb@c.example>\r\n",
	 "220 501 501 501 501 501 500 500 ", ""},
	{.in = "MAIL FROM:<\xff@b.example>\r\nMAIL FROM:<\xc3\xa9@b.example> SMTPUTF8\r\n",
	 "220 501 250 ", "B(\xc3\xa9@b.example){utf8}X"},
	/* Parameters. */
	{.in = "MAIL FROM:<a@b.example> SIZE=1001\r\nMAIL FROM:<a@b.example> SIZE=x\r\n"
	 "MAIL FROM:<a@b.example> SIZE\r\nMAIL FROM:<a@b.example> BODY=9BIT\r\n"
	 "MAIL FROM:<a@b.example> RET=ALL\r\nMAIL FROM:<a@b.example> XYZ=1\r\n"
	 "MAIL FROM:<a@b.example> = RET=FULL\r\nMAIL FROM:<a@b.example>  size=1000  body=7bit\r\n"
	 "RCPT TO:<c@d.example> SIZE=3\r\nRCPT TO:<c@d.example>ORCPT=a;x\r\n",
	 "220 552 501 501 501 501 555 555 250 555 250 ",
	 "B(a@b.example){size=1000}R(c@d.example){ORCPT=a;x}X", .limit = 1000},
	{.in = "MAIL FROM:<a@b.example> ENVID=a=b\r\nMAIL FROM:<a@b.example> ENVID=\r\n"
	 "MAIL FROM:<a@b.example> RET=HDRS RET=FULL\r\nMAIL FROM:<a@b.example> NOTIFY=NEVER\r\n"
	 "MAIL FROM:<a@b.example> ret=full envid=+41\r\n"
	 "RCPT TO:<c@d.example> NOTIFY=NEVER,DELAY\r\nRCPT TO:<c@d.example> NOTIFY=\r\n"
	 "RCPT TO:<c@d.example> NOTIFY=HDRS\r\nRCPT TO:<c@d.example> ORCPT=c@d.example\r\n"
	 "RCPT TO:<c@d.example> RET=FULL\r\nRCPT TO:<c@d.example> notify=Failure,success\r\n",
	 "220 501 501 501 555 250 501 501 501 501 555 250 ",
	 "B(a@b.example){RET=FULL ENVID=+41}R(c@d.example){NOTIFY=SUCCESS,FAILURE}X"},
	/* Beyond ASCII: only where the client says that it knows (RFC 6531 3.4). */
	{.in = "MAIL FROM:<\xc3\xa9@b.example>\r\nMAIL FROM:<a@b.example>\r\n"
	 "RCPT TO:<\xc3\xa9@d.example>\r\nRCPT TO:<c@\xc3\xa9.example>\r\nRSET\r\n"
	 "MAIL FROM:<a@b.example> SMTPUTF8\r\nRCPT TO:<\xc3\xa9@d.example>\r\nRSET\r\n"
	 "MAIL FROM:<a@b.example>\r\nRCPT TO:<\xc3\xa9@d.example>\r\n",
	 "220 553 250 553 553 250 250 250 250 250 553 ",
	 "B(a@b.example)XB(a@b.example){utf8}R(\xc3\xa9@d.example)XB(a@b.example)X"},
	/* Out of order. */
	{.in = "RCPT TO:<c@d.example>\r\nDATA\r\nMAIL FROM:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\n"
	 "DATA\r\nRCPT TO:<nobody>\r\nDATA\r\nRCPT TO:<c@d.example>\r\nDATA now\r\nDATA\r\n.\r\n"
	 "DATA\r\nRCPT TO:<c@d.example>\r\n.\r\n",
	 "220 503 503 250 503 503 550 503 250 501 354 250 503 503 500 ",
	 "B(a@b.example)R(nobody)R(c@d.example)E"},
	/* Beginning anew. */
	{.in = ENVELOPE "RSET\r\nMAIL FROM:<>\r\nDATA\r\n",
	 "220 250 250 250 250 503 ", CALLS "XB()X"},
	{.in = GREETED ENVELOPE "RSET\r\nDATA\r\n" ENVELOPE "HELO x\r\nDATA\r\n" ENVELOPE "EHLO\r\n"
	 ENVELOPE "QUIT\r\n",
	 "220 250 250 250 250 503 250 250 250 503 250 250 501 250 250 221 ",
	 CALLS "X" CALLS "X" CALLS "X" CALLS "X", .done = true},
	/* The others. */
	{.in = "NOOP\r\nnoop x\r\nVRFY joe\r\nHELP\r\nEXPN x\r\nSTARTTLS\r\nAUTH PLAIN x\r\nFOO\r\n\r\n"
	 "RSET x\r\nQUIT x\r\nMAILFROM:<a@b.example>\r\nHELO\r\n  NOOP  \r\nSTARTTLSX\r\n",
	 "220 250 250 252 214 502 502 502 500 500 501 501 500 501 250 500 ", ""},
	/* What the callbacks refuse; more recipients than they want. */
	{.in = "MAIL FROM:<forged@x.example>\r\nMAIL FROM:<later@x.example>\r\n" ENVELOPE
	 "RCPT TO:<many>\r\nRCPT TO:<many>\r\nDATA\r\n.\r\n",
	 "220 550 451 250 250 452 452 354 250 ",
	 "B(forged@x.example)B(later@x.example)" CALLS "R(many)R(many)E"},
	/* Too large; what is just large enough; the next one. */
	{.in = ENVELOPE "DATA\r\n1234567\r\n12\r\n.\r\n" ENVELOPE "DATA\r\n1234567\r\n1\r\n.\r\n",
	 "220 250 250 354 552 250 250 354 250 ", CALLS "D[1234567\n12]X" CALLS "D[1234567\n1\n]E", .limit = 10},
	/* Gone in the middle. */
	{.in = GREETED "MAIL FROM:<a@b.example>\r\n", "220 250 250 ", "B(a@b.example)X"},
	{.in = ENVELOPE "DATA\r\n", "220 250 250 354 ", CALLS "X"},
	{.in = ENVELOPE "DATA\r\nx\r\n.", "220 250 250 354 ", CALLS "D[x\n]X"},
	{.in = ENVELOPE "DATA\r\nx\r\n.\r", "220 250 250 354 ", CALLS "D[x\n]X"},
	{.in = "QUIT", "220 ", ""},
	{.in = "", "220 ", ""},
	/* A pipe: what other programs would call smuggling is text or a line end. */
	{.in = ENVELOPE "DATA\r\nx\n.\nQUIT\r\n",
	 "220 250 250 354 250 221 ", CALLS "D[x\n]E", .done = true},
	{.in = ENVELOPE "DATA\r\nx\r.\rQUIT\r\n.\r\n",
	 "220 250 250 354 250 ", CALLS "D[x . QUIT\n]E"},
	/* A socket: nothing but CRLF, or it is over. */
#define STRICT(data, text) \
	{.in = ENVELOPE "DATA\r\n" data ENVELOPE "DATA\r\nsmuggled\r\n.\r\n", \
	 "220 250 250 354 521 ", \
	 CALLS text "X", .strict = true, .done = true}
	STRICT("x\n.\n", "D[x]"),
	STRICT("x\n.\r\n", "D[x]"),
	STRICT("x\r\n.\n", "D[x\n]"),
	STRICT("x\r.\r", "D[x]"),
	STRICT("x\r.\r\n", "D[x]"),
	STRICT("x\r\n.\r", "D[x\n]"),
	STRICT("x\r\n.\r.\r\n", "D[x\n]"),
	STRICT("x\r\r\n.\r\n", "D[x]"),
	STRICT("\n", ""),
	{.in = ENVELOPE "DATA\r\n..x\r\n.\r\nQUIT\r\n",
	 "220 250 250 354 250 221 ", CALLS "D[.x\n]E",
	 .strict = true, .done = true},
	{.in = "NOOP\nNOOP\r\n", "220 521 ", "", .strict = true, .done = true},
	{.in = "NOOP\rNOOP\r\n", "220 521 ", "", .strict = true, .done = true},
	{.in = "NOOP\r\r\n", "220 521 ", "", .strict = true, .done = true},
	{.in = "\n", "220 521 ", "", .strict = true, .done = true},
	{.in = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\n",
	 "220 250 521 ", "B(a@b.example)X",
	 .strict = true, .done = true},
};

static void
run(struct session *t, size_t i, size_t piece)
{
	begin(t, dialogues[i].limit, dialogues[i].strict);
	drain(t);
	feed(t, str_of(dialogues[i].in), piece);
	finish(t);
}

static void
test_dialogues(void **state)
{
	static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 17};
	struct session t;
	struct buf list = {0}, whole = {0};

	(void)state;
	for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) {
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			run(&t, i, pieces[k]);
			codes(buf_view(&t.out), &list);
			assert_text("codes", i, buf_view(&list), str_of(dialogues[i].codes));
			assert_text("calls", i, buf_view(&t.calls), str_of(dialogues[i].calls));
			assert_int_equal(t.s.done, dialogues[i].done);
			if (k == 0)
				buf_str(&whole, buf_view(&t.out));
			assert_text("output", i, buf_view(&t.out), buf_view(&whole));
			release(&t);
		}
		whole.len = 0;
	}
	buf_free(&list);
	buf_free(&whole);
}

/* All dialogues ended anywhere: what is not whole is reset, which finish checks. */
static void
test_gone_anywhere(void **state)
{
	struct session t;

	(void)state;
	for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++)
		for (size_t len = 0; dialogues[i].in[len]; len++) {
			begin(&t, dialogues[i].limit, dialogues[i].strict);
			feed(&t, (struct str){dialogues[i].in, len}, SIZE_MAX);
			finish(&t);
			release(&t);
		}
}

static void
assert_said(struct session *t, const char *want)
{
	drain(t);
	assert_text("output", 0, buf_view(&t->out), str_of(want));
	t->out.len = 0;
}

static void
test_words(void **state)
{
	struct session t;

	(void)state;
	begin(&t, 0, false);
	assert_said(&t, "220 router.example ESMTP mtabox\r\n");
	feed(&t, STR("HELO x\r\n"), SIZE_MAX);
	assert_said(&t, "250 router.example\r\n");
	feed(&t, STR("EHLO x\r\n"), SIZE_MAX);
	assert_said(&t, "250-router.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
		    "250 ENHANCEDSTATUSCODES\r\n");
	feed(&t, STR("MAIL FROM:<forged@x.example>\r\n"), SIZE_MAX);
	assert_said(&t, "550 5.7.1 not??you?\r\n");
	feed(&t, STR("MAIL FROM:<later@x.example>\r\n"), SIZE_MAX);
	assert_said(&t, "451 4.3.0\r\n");
	feed(&t, STR("MAIL FROM:<@>\r\n"), SIZE_MAX);
	assert_true(str_starts(buf_view(&t.out), STR("501 5.1.7 sender: ")));
	t.out.len = 0;
	feed(&t, STR("MAIL FROM:<a@b.example>\r\n"), SIZE_MAX);
	assert_said(&t, "250 2.1.0 Ok\r\n");
	feed(&t, STR("RCPT TO:<@>\r\n"), SIZE_MAX);
	assert_true(str_starts(buf_view(&t.out), STR("501 5.1.3 recipient: ")));
	t.out.len = 0;
	feed(&t, STR("RCPT TO:<many>\r\nRCPT TO:<nobody>\r\nRCPT TO:<joe>\r\n"), SIZE_MAX);
	assert_said(&t, "452 4.5.3 recipient_limit is 1\r\n550 5.1.1 no such user\r\n"
		    "250 2.1.5 Ok\r\n");
	feed(&t, STR("DATA\r\n.\r\nQUIT\r\n"), SIZE_MAX);
	assert_said(&t, "354 end it with a dot on a line of its own\r\n"
		    "250 2.0.0 Ok: queued as id1\r\n221 2.0.0 Bye\r\n");
	finish(&t);
	release(&t);

	begin(&t, 12345678901, false);
	feed(&t, STR("EHLO x\r\n"), SIZE_MAX);
	assert_true(strstr(buf_cstr(&t.out), "250-SIZE 12345678901\r\n250-PIPELINING") != NULL);
	finish(&t);
	release(&t);
}

static void
add_many(struct buf *b, char c, size_t n)
{
	memset(buf_room(b, n), c, n);
	b->len += n;
}

/* Nothing is said of a message before end has decided, and what it decided is said. */
static void
test_end(void **state)
{
	static const struct {
		int status;
		const char *reply;
	} cases[] = {
		{0, "250 2.0.0 Ok: queued as w\r\n"}, {EX_TEMPFAIL, "451 4.3.0 w\r\n"},
		{EX_DATAERR, "554 5.6.0 w\r\n"}, {EX_USAGE, "503 5.5.1 w\r\n"},
		{EX_NOPERM, "550 5.7.1 w\r\n"}, {EX_UNAVAILABLE, "554 5.0.0 w\r\n"},
		{EX_IOERR, "451 4.3.0 w\r\n"}, {EX_CANTCREAT, "451 4.3.0 w\r\n"},
		{EX_SOFTWARE, "451 4.3.0 w\r\n"}, {EX_CONFIG, "451 4.3.0 w\r\n"}, {-1, "451 4.3.0 w\r\n"},
	};
	struct session t;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin(&t, 0, false);
		t.end_status = cases[i].status;
		t.end_words = "w";
		feed(&t, STR(ENVELOPE "DATA\r\nx\r\n"), SIZE_MAX);
		size_t said = t.out.len;
		feed(&t, STR(".\r\nNOOP\r\n"), SIZE_MAX);
		assert_int_equal(t.at_end, said);
		assert_true(str_starts(buf_tail(&t.out, said), str_of(cases[i].reply)));
		assert_text("behind", i, buf_tail(&t.out, said + strlen(cases[i].reply)),
			    STR("250 2.0.0 Ok\r\n"));
		finish(&t);
		assert_text("calls", i, buf_view(&t.calls), STR(CALLS "D[x\n]E"));
		release(&t);
	}
}

/* A callback's words are many: one line all the same, as long as RFC 5321 allows. */
static void
test_many_words(void **state)
{
	struct session t;
	struct buf words = {0}, list = {0};

	(void)state;
	add_many(&words, 'w', 1000);
	begin(&t, 0, false);
	drain(&t);
	t.out.len = 0;
	t.end_status = EX_TEMPFAIL;
	t.end_words = buf_cstr(&words);
	feed(&t, STR(ENVELOPE "DATA\r\n.\r\n"), SIZE_MAX);
	codes(buf_view(&t.out), &list);
	assert_text("codes", 0, buf_view(&list), STR("250 250 354 451 "));
	finish(&t);
	release(&t);
	buf_free(&words);
	buf_free(&list);
}

static void
test_long_lines(void **state)
{
	static const struct {
		size_t fill; /* of "NOOP " */
		const char *end, *codes;
		bool strict;
	} cases[] = {
		{.fill = SMTPD_LINE - 6, "\r\n", "220 250 250 "},
		{.fill = SMTPD_LINE - 5, "\n", "220 250 250 "},
		{.fill = SMTPD_LINE - 5, "\r\n", "220 500 250 "},
		{.fill = SMTPD_LINE - 4, "\n", "220 500 250 "},
		{.fill = 100000, "\n", "220 500 250 "},
		{.fill = 100000, "\r\n", "220 500 250 ", .strict = true},
		{.fill = 100000, "\n", "220 521 ", .strict = true},
		{.fill = 100000, "\rx", "220 521 ", .strict = true},
		{.fill = 100000, "", "220 "},
	};
	struct session t;
	struct buf in = {0}, list = {0};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t piece = 1; piece < 9000; piece += 4095) {
			begin(&t, 0, cases[i].strict);
			drain(&t);
			in.len = 0;
			buf_puts(&in, "NOOP ");
			add_many(&in, 'x', cases[i].fill);
			buf_puts(&in, cases[i].end);
			if (*cases[i].end)
				buf_puts(&in, "NOOP\r\n");
			feed(&t, buf_view(&in), piece);
			codes(buf_view(&t.out), &list);
			assert_text("codes", i, buf_view(&list), str_of(cases[i].codes));
			finish(&t);
			release(&t);
		}
	buf_free(&in);
	buf_free(&list);
}

/* A message of many pieces, lines of any length, and a NUL. */
static void
test_long_message(void **state)
{
	struct session t;
	struct buf in = {0}, want = {0};

	(void)state;
	buf_puts(&in, ENVELOPE "DATA\r\n");
	buf_puts(&want, CALLS "D[");
	for (size_t n = 1; n < 40000; n = n * 3 + 1) {
		add_many(&in, 'x', n), add_many(&want, 'x', n);
		buf_add(&in, "\0\r\n..\r\n", 7), buf_add(&want, "\0\n.\n", 4);
	}
	buf_puts(&in, ".\r\n");
	buf_puts(&want, "]E");
	for (size_t piece = 1; piece < 20000; piece = piece * 7 + 1) {
		begin(&t, 0, piece & 1);
		feed(&t, buf_view(&in), piece);
		finish(&t);
		assert_text("calls", piece, buf_view(&t.calls), buf_view(&want));
		release(&t);
	}
	buf_free(&in);
	buf_free(&want);
}

static void
test_no_control_character_in_a_command(void **state)
{
	struct session t;
	char in[] = "MAIL FROM:<a?b@c.example> ENVID=x\r\n";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool control = str_is_control((char)c);
		in[12] = (char)c;
		begin(&t, 0, false);
		feed(&t, (struct str){in, sizeof in - 1}, SIZE_MAX);
		if (control)
			assert_int_equal(t.calls.len, 0);
		else if (c == '_')
			assert_true(t.open);
		finish(&t);
		release(&t);
	}
}

static void
test_errors(void **state)
{
	struct session t;
	struct buf list = {0};

	(void)state;
	/* One message in between, and they are forgiven; the 20th ends it. */
	begin(&t, 0, false);
	for (int i = 0; i < SMTPD_ERRORS - 1; i++)
		feed(&t, STR("FOO\r\n"), SIZE_MAX);
	feed(&t, STR(ENVELOPE "DATA\r\n.\r\n"), SIZE_MAX);
	for (int i = 0; i < SMTPD_ERRORS - 1; i++)
		feed(&t, STR("DATA\r\n"), SIZE_MAX);
	assert_false(t.s.done);
	feed(&t, STR("MAIL FROM:<a@b.example>\r\n"), SIZE_MAX);
	t.out.len = 0;
	feed(&t, STR("FOO\r\nNOOP\r\n"), SIZE_MAX);
	assert_true(t.s.done);
	assert_said(&t, "500 5.5.2 unknown command\r\n421 4.7.0 too many errors\r\n");
	finish(&t);
	assert_text("calls", 0, buf_view(&t.calls), STR(CALLS "EB(a@b.example)X"));
	release(&t);

	/* Recipients refused are no errors. */
	begin(&t, 0, false);
	feed(&t, STR(ENVELOPE), SIZE_MAX);
	for (int i = 0; i < 100; i++)
		feed(&t, STR("RCPT TO:<nobody>\r\nRCPT TO:<many>\r\nRCPT TO:<@>\r\n"), SIZE_MAX);
	t.out.len = 0;
	feed(&t, STR("DATA\r\n.\r\n"), SIZE_MAX);
	codes(buf_view(&t.out), &list);
	assert_text("codes", 0, buf_view(&list), STR("354 250 "));
	finish(&t);
	release(&t);
	buf_free(&list);
}

static uint32_t
random_next(uint32_t *x)
{
	*x ^= *x << 13, *x ^= *x >> 17, *x ^= *x << 5;
	return *x;
}

/* Lines in any order, some of them torn, cut anywhere: the same output and calls as in one
 * piece. The callbacks check that they are called in order. */
static void
test_random(void **state)
{
	static const char *const lines[] = {
		"EHLO x", "MAIL FROM:<a@b.example>", "MAIL FROM:<> SIZE=9 RET=FULL", "RCPT TO:<c@d>",
		"RCPT TO:<joe>", "RCPT TO:<nobody>", "DATA", "DATA", ".", ".", "..", "RSET", "text",
		".\r", "\"", "RCPT TO:<\"\\", "QUIT", "",
	};
	static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"};
	uint32_t x = 2463534242u;
	struct session whole, cut;
	struct buf in = {0};
	unsigned accepted = 0;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		uint64_t limit = round % 3 ? 0 : 50;
		in.len = 0;
		if (round & 2)
			buf_puts(&in, round & 4 ? ENVELOPE "DATA\r\n" : ENVELOPE);
		for (uint32_t n = random_next(&x) % 24; n > 0; n--) {
			buf_puts(&in, lines[random_next(&x) % (sizeof lines / sizeof *lines)]);
			buf_puts(&in, ends[random_next(&x) % (round & 8 ? 8 : 4)]);
		}
		begin(&whole, limit, round & 1);
		begin(&cut, limit, round & 1);
		feed(&whole, buf_view(&in), SIZE_MAX);
		drain(&cut);
		for (size_t at = 0; at < in.len;) {
			struct str rest = buf_tail(&in, at);
			struct str piece = str_upto(rest, 1 + random_next(&x) % 9);
			feed(&cut, piece, SIZE_MAX);
			at += piece.len;
		}
		finish(&whole);
		finish(&cut);
		assert_text("output", (size_t)round, buf_view(&cut.out), buf_view(&whole.out));
		assert_text("calls", (size_t)round, buf_view(&cut.calls), buf_view(&whole.calls));
		accepted += whole.at_end > 0;
		release(&whole);
		release(&cut);
	}
	assert_in_range(accepted, 500, 5000);
	buf_free(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_gone_anywhere),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_many_words),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_no_control_character_in_a_command),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
