/* SPDX-License-Identifier: ISC */
#include "header.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* What feed gives the header. */
static header_change *changer;

/* Feeds in piece bytes at a time. The body, h.line first, goes to *body. */
static enum header_status
feed(struct header *h, bool take_recipients, struct str in, size_t piece, struct buf *body)
{
	enum header_status status = HEADER_MORE;

	header_init(h, take_recipients);
	h->change = changer;
	h->ctx = h;
	while (in.len > 0 && status == HEADER_MORE) {
		struct str part = str_upto(in, piece);
		size_t given = part.len;
		status = header_feed(h, &part);
		assert_true(status != HEADER_MORE || part.len == 0);
		in = str_from(in, given - part.len);
	}
	if (status == HEADER_MORE)
		status = header_finish(h);
	body->len = 0;
	buf_str(body, buf_view(&h->line));
	buf_str(body, in);
	return status;
}

static void
expect_same_set(const struct addr_set *a, const struct addr_set *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_true(str_eq(addr_set_get(a, i), addr_set_get(b, i)));
}

/* The same however the input is cut. The caller frees *h and *body. */
static enum header_status
feed_all_ways(struct header *h, bool take_recipients, struct str in, struct buf *body)
{
	enum header_status status = feed(h, take_recipients, in, SIZE_MAX, body);

	for (size_t piece = 1; piece <= 7; piece++) {
		struct header other;
		struct buf rest = {0};
		assert_int_equal(feed(&other, take_recipients, in, piece, &rest), status);
		assert_true(str_eq(buf_view(&other.fields), buf_view(&h->fields)));
		assert_true(str_eq(buf_view(&other.complaint), buf_view(&h->complaint)));
		assert_true(str_eq(buf_view(&rest), buf_view(body)));
		assert_memory_equal(&other.facts, &h->facts, sizeof h->facts);
		assert_int_equal(other.bad, h->bad);
		assert_int_equal(other.changed, h->changed);
		expect_same_set(&other.recipients, &h->recipients);
		header_free(&other);
		buf_free(&rest);
	}
	return status;
}

static const struct {
	const char *in, *fields, *body;
	bool present;
} splits[] = {
	{"A: b\nC: d\n\nbody\n", "A: b\nC: d\n", "body\n", true},
	{"A: b\n\tc\n d\n\n body\n", "A: b\n\tc\n d\n", " body\n", true},
	{"A: b\n", "A: b\n", "", true},
	{"A: b", "A: b\n", "", true},
	{"A: b\n c", "A: b\n c\n", "", true},
	{"A: b\n\n", "A: b\n", "", true},
	{"A: b\n\n\n\nx", "A: b\n", "\n\nx", true},
	{"A:\n\nx\n", "A:\n", "x\n", true},
	{"A : b\nC\t :d\n\n", "A : b\nC\t :d\n", "", true},
	{"A: b\n \n\nx\n", "A: b\n \n", "x\n", true},
	{"http://x\n\nbody\n", "http://x\n", "body\n", true},
	/* No header, or one that ends without an empty line. */
	{"", "", "", false},
	{"\nbody\n", "", "body\n", false},
	{"\n", "", "", false},
	{"Foo bar\nA: b\n\nx\n", "", "Foo bar\nA: b\n\nx\n", false},
	{"Foo\n\nx\n", "", "Foo\n\nx\n", false},
	{"Foo", "", "Foo", false},
	{"Foo ", "", "Foo ", false},
	{": x\n", "", ": x\n", false},
	{" A: b\n", "", " A: b\n", false},
	{"\xc3\xbc: b\n", "", "\xc3\xbc: b\n", false},
	{"A: b\nHello, world\n\nC: d\n", "A: b\n", "Hello, world\n\nC: d\n", true},
	{"A: b\nHello", "A: b\n", "Hello", true},
	{"A: b\nA\x01: b\n", "A: b\n", "A\x01: b\n", true},
	{"A: b\nFrom joe Thu\nC: d\n", "A: b\n", "From joe Thu\nC: d\n", true},
	/* mbox's lines go, but only in front of a header. */
	{"From joe Thu Jan  1 00:00:00 1970\nA: b\n\nx\n", "A: b\n", "x\n", true},
	{">From x y\nFrom z\n>From \nA: b\n", "A: b\n", "", true},
	{"From here on\nwe go\n", "", "From here on\nwe go\n", false},
	{"From here on\n\nwe go\n", "", "From here on\n\nwe go\n", false},
	{"From here", "", "From here", false},
	{"From here\n", "", "From here\n", false},
	{"From a\n b\n", "", "From a\n b\n", false},
	{"From : joe\n\n", "From : joe\n", "", true},
	{">>From x\nA: b\n", "", ">>From x\nA: b\n", false},
	/* Fields that must go. */
	{"Bcc: a\nA: b\nbCC: c,\n d\nReturn-Path: <x>\nResent-Bcc: e\nC: d\nBcc: x\n\nbody",
	 "A: b\nC: d\n", "body", true},
	{"Bcc : a\n b\n\nBcc: kept\n", "", "Bcc: kept\n", true},
	{"Bcc-X: a\nXBcc: b\nContent-Length: 3\nContent-Type: x\n", "Bcc-X: a\nXBcc: b\nContent-Type: x\n", "", true},
	{"A: b\nContent-Length:\n 3\n\nx", "A: b\n", "x", true},
	/* A byte order mark goes in front of a header only. */
	{"\xef\xbb\xbf" "A: b\n\nx\n", "A: b\n", "x\n", true},
	{"\xef\xbb\xbf" "From joe Thu\nA: b\n\nx\n", "A: b\n", "x\n", true},
	{"\xef\xbb\xbf" "hello\n\nA: b\n", "", "\xef\xbb\xbf" "hello\n\nA: b\n", false},
	{"\xef\xbb\xbf", "", "\xef\xbb\xbf", false},
	{"\xef\xbb\xbf\nA: b\n", "", "\xef\xbb\xbf\nA: b\n", false},
	{"\xef\xbb\xbf: b\n", "", "\xef\xbb\xbf: b\n", false},
	{"\xef\xbb" "A: b\n", "", "\xef\xbb" "A: b\n", false},
	{"\xef\xbb:\n", "", "\xef\xbb:\n", false},
	{"\xef", "", "\xef", false},
	{"\xef\xbb\xbf\xef\xbb\xbf" "A: b\n", "", "\xef\xbb\xbf\xef\xbb\xbf" "A: b\n", false},
	{"From joe Thu\n\xef\xbb\xbf" "A: b\n", "", "From joe Thu\n\xef\xbb\xbf" "A: b\n", false},
	{"A: b\n\xef\xbb\xbf" "C: d\n", "A: b\n", "\xef\xbb\xbf" "C: d\n", true},
};

static void
test_splits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
		struct header h;
		struct buf body = {0};
		assert_int_equal(feed_all_ways(&h, false, str_of(splits[i].in), &body), HEADER_DONE);
		assert_string_equal(buf_cstr(&h.fields), splits[i].fields);
		assert_string_equal(buf_cstr(&body), splits[i].body);
		assert_int_equal(h.facts.present, splits[i].present);
		header_free(&h);
		buf_free(&body);
	}
}

static void
test_facts(void **state)
{
	struct header h;
	struct buf body = {0};

	(void)state;
	feed_all_ways(&h, false, STR("DATE: x\nmessage-id : y\nCc:\n\n"), &body);
	assert_true(h.facts.present && h.facts.date && h.facts.message_id && h.facts.cc);
	assert_false(h.facts.from || h.facts.to || h.facts.mime);
	assert_int_equal(h.recipients.count, 0);
	header_free(&h);
	feed_all_ways(&h, false, STR("From: x\nTo: y\nMIME-Version: 1.0\n\nDate: z\n"), &body);
	assert_true(h.facts.from && h.facts.to && h.facts.mime);
	assert_false(h.facts.date || h.facts.message_id || h.facts.cc);
	header_free(&h);
	feed_all_ways(&h, false, STR("Resent-Date: x\nX-To: y\n"), &body);
	assert_true(h.facts.present);
	assert_false(h.facts.date || h.facts.to);
	header_free(&h);
	buf_free(&body);
}

/* What the header says of the body. */
static void
test_body_facts(void **state)
{
	static const struct {
		const char *in;
		bool mime, type, eightbit, opaque;
	} cases[] = {
		{"From: a\n\nContent-Type: image/png\n", .type = false},
		{"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		 "Content-Transfer-Encoding: 8bit\n\n", true, true, true, false},
		{"content-type:\n\tTEXT/html\nCONTENT-transfer-encoding :\n 8BIT \n\n",
		 .type = true, .eightbit = true},
		{"Content-Transfer-Encoding: 7Bit\n\n", .opaque = false},
		{"Content-Transfer-Encoding: base64\n\n", .opaque = true},
		{"Content-Transfer-Encoding: quoted-printable\n\n", .opaque = true},
		{"Content-Transfer-Encoding: binary\n\n", .opaque = true},
		{"Content-Transfer-Encoding:\n\n", .opaque = true},
		{"Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64\n\n",
		 .eightbit = true, .opaque = true},
		{"Content-Type: multipart/mixed; boundary=text/plain\n\n", .type = true, .opaque = true},
		{"Content-Type: message/rfc822\n\n", .type = true, .opaque = true},
		{"Content-Type: text\n\n", .type = true, .opaque = true},
		{"Content-Type: textual/x\n\n", .type = true, .opaque = true},
		{"X-Content-Type: image/png\nContent: 8bit\n\n", .type = false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct header h;
		struct buf body = {0};
		feed_all_ways(&h, false, str_of(cases[i].in), &body);
		if (h.facts.mime != cases[i].mime || h.facts.type != cases[i].type ||
		    h.facts.eightbit != cases[i].eightbit || h.facts.opaque != cases[i].opaque)
			fail_msg("case %zu", i);
		header_free(&h);
		buf_free(&body);
	}
}

/* Recipients of -t, each with a blank behind it. */
static const struct {
	const char *in, *out;
	size_t bad;
	const char *complaint;
} recipients[] = {
	{"To: a@b\n\nTo: c@d\n", "a@b ", 0, ""},
	{"To: a@b", "a@b ", 0, ""},
	{"to: Joe <a@b>, c\nTO : d\nCc: e@f,\n g@h\nBcc: i,\n\tA@B, a@B\n", "a@b c d e@f g@h i A@B ", 0, ""},
	{"From: x\nReply-To: y\nSender: z\nX-To: v\n", "", 0, ""},
	{"To: friends: a@b, c@d;\nCc: undisclosed-recipients:;\n", "a@b c@d ", 0, ""},
	{"To:\nCc: \n", "", 0, ""},
	{"To: a@b, c d\nCc: @, e@f\n", "a@b e@f ", 2, "To: c d: more than one word and no address in <>"},
	{"To: a@b\nNo header\nTo: c\n", "a@b ", 0, ""},
	/* Resent: the newest block's only, and not the original recipients. */
	{"Resent-To: a@b\nTo: c@d\n", "a@b ", 0, ""},
	{"To: c@d, e f\nResent-Cc: a@b\nCc: x\n", "a@b ", 0, ""},
	{"Resent-From: x\nResent-Bcc: a\nTo: c@d\n", "a ", 0, ""},
	{"Resent-From: x\nResent-Date: y\nTo: c@d\n", "c@d ", 0, ""},
	{"Resent-To: a\nResent-To: b\nResent-Cc: c\n", "a b c ", 0, ""},
	{"Resent-Date: 2\nResent-From: x\nResent-To: a\nReceived: z\nResent-Date: 1\nResent-From: y\n"
	 "Resent-To: b\nResent-Cc: c\nTo: d\n", "a ", 0, ""},
	{"Resent-To: a\nResent-From: x\nResent-From: w\nResent-Cc: b\nResent-To: c\n", "a b ", 0, ""},
	{"Resent-From: x\nReceived: z\nResent-From: y\nResent-To: b\nTo: d\n", "", 0, ""},
	{"Resent-To: a\nReceived: z\nResent-To: b c\n", "a ", 0, ""},
	{"\xef\xbb\xbfTo: a@b\n", "a@b ", 0, ""},
	{"Apparently-To: a@b\n", "", 0, ""},
	{"To: a b\nResent-To: c d\n", "", 1, "Resent-To: c d: more than one word and no address in <>"},
};

static void
test_recipients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof recipients / sizeof *recipients; i++) {
		struct header h;
		struct buf body = {0}, got = {0};
		feed_all_ways(&h, true, str_of(recipients[i].in), &body);
		for (size_t n = 0; n < h.recipients.count; n++)
			buf_print(&got, "%.*s ", STR_ARG(addr_set_get(&h.recipients, n)));
		assert_string_equal(buf_cstr(&got), recipients[i].out);
		assert_int_equal(h.bad, recipients[i].bad);
		assert_string_equal(buf_cstr(&h.complaint), recipients[i].complaint);
		header_free(&h);
		buf_free(&got);
		buf_free(&body);
	}
}

/* An address without a domain gets one that tells its role. */
static bool
show_role(void *ctx, enum header_role role, struct str address, struct buf *out)
{
	assert_true(ctx != NULL && role <= HEADER_RCPT);
	if (addr_domain(address).len > 0)
		return false;
	buf_print(out, "%.*s@%s", STR_ARG(address), role == HEADER_FROM ? "from" :
		  role == HEADER_SENDER ? "sender" : "rcpt");
	return true;
}

/* NULL: as they came. */
static const struct {
	const char *in, *fields, *recipients;
} changes[] = {
	{"From: a (x)\nfrom : b,\n <c>\nTO:d\n", "From: a@from (x)\nfrom : b@from,\n <c@from>\nTO:d@rcpt\n", "d "},
	{"From: a\nTo: b@c\n\n", "From: a@from\nTo: b@c\n", "b@c "},
	{"From: a", "From: a@from\n", ""},
	{"Sender: a\nReply-To: b\nCc: c, C\nBcc: d\nX: e\n\nFrom: f",
	 "Sender: a@sender\nReply-To: b@sender\nCc: c@rcpt, C@rcpt\nX: e\n", "c d "},
	{"Resent-From: a\nResent-Sender: b\nResent-To: c\nResent-Cc: d\nResent-Bcc: e\nResent-Date: f\nTo: g\n",
	 "Resent-From: a@from\nResent-Sender: b@sender\nResent-To: c@rcpt\nResent-Cc: d@rcpt\nResent-Date: f\nTo: g@rcpt\n",
	 "c d e "},
	{"Subject: a\nDate: b\nMessage-ID: c\nMIME-Version: d\nReceived: e\nList-Id: f\n", NULL, ""},
	{"From: a@b\nTo: c d\nCc:\n", NULL, ""},
	{"To: undisclosed-recipients:;\nFrom:\n \n", NULL, ""},
	{"To: g: a, b@c\n  ;  \n\t\n", "To: g: a@rcpt, b@c\n  ;  \n\t\n", "a b@c "},
	{"To : a\t \n", "To : a@rcpt\t \n", "a "},
};

static void
test_changes(void **state)
{
	(void)state;
	changer = show_role;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct header h;
		struct buf body = {0}, got = {0};
		feed_all_ways(&h, true, str_of(changes[i].in), &body);
		assert_string_equal(buf_cstr(&h.fields), changes[i].fields ? changes[i].fields : changes[i].in);
		assert_int_equal(h.changed, changes[i].fields != NULL);
		for (size_t n = 0; n < h.recipients.count; n++)
			buf_print(&got, "%.*s ", STR_ARG(addr_set_get(&h.recipients, n)));
		assert_string_equal(buf_cstr(&got), changes[i].recipients);
		header_free(&h);
		buf_free(&got);
		buf_free(&body);
	}
	changer = NULL;
}

/* Headers of random fields: the same however they are cut; without changes nothing changes,
 * and what has been changed once stays so. */
static void
test_random(void **state)
{
	static const char *const pieces[] = {
		"From: ", "To:", "\nCc: ", "\nSender : ", "\nResent-To: ", "\nReply-To:\n ", "\nX: ", "\n", "\n ", "a",
		"a", "b@c", "Joe <a>", "(x)", ", ", "\"", "<", ">", ":", ";", "\xff", "From ", "\xef\xbb\xbf",
	};
	struct buf in = {0}, body = {0}, first = {0};
	uint32_t x = 362436069u;
	size_t changed = 0;

	(void)state;
	for (int round = 0; round < 6000; round++) {
		struct header h;
		in.len = 0;
		if (round % 4)
			buf_puts(&in, "From: ");
		for (int n = 0; n < 14; n++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			buf_puts(&in, pieces[x % (sizeof pieces / sizeof *pieces)]);
		}
		changer = show_role;
		feed_all_ways(&h, true, buf_view(&in), &body);
		first.len = 0;
		buf_str(&first, buf_view(&h.fields));
		changed += h.changed;
		bool did = h.changed;
		header_free(&h);
		changer = NULL;
		feed(&h, true, buf_view(&in), SIZE_MAX, &body);
		assert_int_equal(str_eq(buf_view(&h.fields), buf_view(&first)), !did);
		header_free(&h);
		changer = show_role;
		feed(&h, true, buf_view(&first), SIZE_MAX, &body);
		assert_true(str_eq(buf_view(&h.fields), buf_view(&first)));
		header_free(&h);
	}
	assert_true(changed > 500);
	changer = NULL;
	buf_free(&in);
	buf_free(&body);
	buf_free(&first);
}

static void
repeat(struct buf *b, char c, size_t n)
{
	memset(buf_room(b, n), c, n);
	b->len += n;
}

static void
test_long_names(void **state)
{
	struct buf in = {0}, body = {0};
	struct header h;

	(void)state;
	repeat(&in, 'n', LIMIT_FIELD_NAME);
	buf_puts(&in, ": x\n\ny");
	assert_int_equal(feed_all_ways(&h, false, buf_view(&in), &body), HEADER_DONE);
	assert_true(h.facts.present);
	assert_string_equal(buf_cstr(&body), "y");
	header_free(&h);

	in.len = 0;
	repeat(&in, 'n', LIMIT_FIELD_NAME + 1);
	buf_puts(&in, ": x\n\ny");
	assert_int_equal(feed_all_ways(&h, false, buf_view(&in), &body), HEADER_DONE);
	assert_false(h.facts.present);
	assert_true(str_eq(buf_view(&body), buf_view(&in)));
	header_free(&h);

	/* A body of one line is not held against the header's limit. */
	in.len = 0;
	buf_puts(&in, "From here to there ");
	repeat(&in, 'x', LIMIT_HEADER + 10);
	assert_int_equal(feed(&h, false, buf_view(&in), 4096, &body), HEADER_DONE);
	assert_true(str_eq(buf_view(&body), buf_view(&in)));
	header_free(&h);
	buf_free(&in);
	buf_free(&body);
}

static void
test_too_big(void **state)
{
	struct buf in = {0}, body = {0};
	struct header h;

	(void)state;
	/* Dropped fields count as well: their recipients take memory. */
	while (in.len < LIMIT_HEADER - 100)
		buf_puts(&in, "Bcc: a\n");
	buf_puts(&in, "X: ");
	repeat(&in, 'x', LIMIT_HEADER - 1 - in.len);
	buf_puts(&in, "\n");
	assert_int_equal(in.len, LIMIT_HEADER);
	assert_int_equal(feed(&h, true, buf_view(&in), 1000, &body), HEADER_DONE);
	assert_int_equal(h.recipients.count, 1);
	header_free(&h);
	buf_puts(&in, " ");
	assert_int_equal(feed(&h, true, buf_view(&in), 1000, &body), HEADER_TOO_BIG);
	header_free(&h);
	assert_int_equal(feed(&h, true, buf_view(&in), SIZE_MAX, &body), HEADER_TOO_BIG);
	header_free(&h);
	buf_free(&in);
	buf_free(&body);
}

static bool
change_much(void *ctx, enum header_role role, struct str address, struct buf *out)
{
	(void)ctx, (void)role, (void)address;
	repeat(out, 'x', LIMIT_ADDRESS);
	return true;
}

/* Changes count as if they had come in, and end when that is too much. */
static void
test_too_much_change(void **state)
{
	struct buf in = {0}, body = {0};
	struct header h;

	(void)state;
	changer = change_much;
	buf_puts(&in, "To: a");
	while (in.len < LIMIT_HEADER / (LIMIT_ADDRESS / 2 + 1))
		buf_puts(&in, ",a");
	buf_puts(&in, "\n\nbody");
	assert_int_equal(feed(&h, false, buf_view(&in), 4096, &body), HEADER_DONE);
	assert_true(h.fields.len > LIMIT_HEADER * 9 / 10 && h.fields.len <= LIMIT_HEADER);
	header_free(&h);

	in.len = 0;
	buf_puts(&in, "To: a");
	while (in.len < LIMIT_HEADER / 2)
		buf_puts(&in, ",a");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(feed(&h, false, buf_view(&in), i ? 4096 : SIZE_MAX, &body), HEADER_TOO_BIG);
		assert_true(h.fields.len < 2 * LIMIT_HEADER);
		header_free(&h);
		buf_puts(&in, i ? "\n\nbody" : "\n");
	}
	changer = NULL;
	buf_free(&in);
	buf_free(&body);
}

static void
test_many_recipients(void **state)
{
	struct buf in = {0}, body = {0};
	struct header h;

	(void)state;
	buf_puts(&in, "To: first@x");
	for (int i = 1; i < 10000; i++)
		buf_print(&in, ",\n User %d <u%d@host.example>", i, i);
	buf_puts(&in, "\n\nbody");
	assert_true(in.len > 300000);
	assert_int_equal(feed(&h, true, buf_view(&in), 4096, &body), HEADER_DONE);
	assert_int_equal(h.recipients.count, 10000);
	assert_int_equal(h.bad, 0);
	assert_true(str_eq(addr_set_get(&h.recipients, 9999), STR("u9999@host.example")));
	assert_int_equal(h.fields.len, in.len - 5);
	header_free(&h);
	buf_free(&in);
	buf_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_body_facts),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_too_much_change),
		cmocka_unit_test(test_many_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
