/* SPDX-License-Identifier: ISC */
#include "envelope.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* All of it. */
static void
print_whole(const struct envelope *e, struct buf *out)
{
	struct envelope copy = *e;
	struct buf fixed = {0};

	envelope_print_head(e, out);
	for (size_t n = 0; n < e->rcpt_count; n++)
		envelope_print_rcpt(&e->rcpts[n], out);
	envelope_print_end(&copy, out);
	assert_int_equal(copy.offset, out->len);
	envelope_print_fixed(&copy, &fixed);
	memcpy(out->ptr, fixed.ptr, fixed.len);
	buf_free(&fixed);
}

static const struct envelope_rcpt rcpts[] = {
	{.address = {"root", 4}},
	{.address = {"bob@mail.example", 16},
	 .notify = {NOTIFY_SUCCESS | NOTIFY_DELAY, {"rfc822;bob@x", 12}}},
	{.address = {"\"a b\"@c.example", 15}},
	{.address = {"robot", 5}, .alias = true},
};

static struct envelope
sample(void)
{
	return (struct envelope){
		.length = 12345,
		.text = {.eightbit = true, .utf8 = true},
		.header = {.present = true, .date = true, .from = true, .to = true, .type = true},
		.arrived = {1795341234, 86400123, 0x5f3a9c0d11e2b3a4, true},
		.uid = 1000,
		.name = STR("Alice Liddell"),
		.sender = STR("alice@router.example"),
		.notify = {NOTIFY_HDRS, STR("q+2B1")},
		.rcpts = rcpts,
		.rcpt_count = 4,
	};
}

/* envelope_parse of text: NULL, or why not. */
static const char *
parse_error(struct str text)
{
	struct envelope e;
	const char *why;

	if (envelope_parse(text, &e, &why) == 0) {
		assert_null(why);
		envelope_free(&e);
		return NULL;
	}
	assert_null(e.rcpts);
	assert_true(strlen(why) > 0);
	return why;
}

static void
test_form(void **state)
{
	struct envelope e = sample();
	struct buf out = {0};

	(void)state;
	print_whole(&e, &out);
	assert_string_equal(buf_cstr(&out),
			    "mtabox 2 00000305 000000012345 8u--\n"
			    "header date from to type\n"
			    "arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1\n"
			    "submitter 1000\n"
			    "name Alice Liddell\n"
			    "sender alice@router.example\n"
			    "dsn RET=HDRS ENVID=q+2B1\n"
			    "rcpt root\n"
			    "rcpt bob@mail.example\n"
			    "dsn NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob@x\n"
			    "rcpt \"a b\"@c.example\n"
			    "alias robot\n"
			    "\n");
	assert_int_equal(out.len, 305);
	buf_free(&out);
}

static void
test_round_trip(void **state)
{
	struct envelope e = sample(), back;
	struct buf out = {0}, fixed = {0}, again = {0};
	uint64_t offset, length;
	const char *why;

	(void)state;
	print_whole(&e, &out);
	struct str text = buf_view(&out);
	assert_int_equal(envelope_parse(text, &back, &why), 0);
	assert_int_equal(back.offset, text.len);
	assert_int_equal(back.length, 12345);
	assert_true(back.text.eightbit && back.text.utf8 && !back.text.nul && !back.text.long_line);
	assert_true(back.header.type && !back.header.opaque && !back.header.eightbit &&
		    back.header.to && !back.header.cc);
	assert_int_equal(back.arrived.boot, 86400123);
	assert_int_equal(back.uid, 1000);
	assert_true(str_eq(back.name, e.name));
	assert_true(str_eq(back.sender, e.sender));
	assert_int_equal(back.rcpt_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_true(str_eq(back.rcpts[i].address, rcpts[i].address));
		assert_int_equal(back.rcpts[i].alias, rcpts[i].alias);
		assert_int_equal(back.rcpts[i].notify.asks, rcpts[i].notify.asks);
	}
	assert_true(str_eq(back.rcpts[1].notify.id, STR("rfc822;bob@x")));
	assert_int_equal(back.notify.asks, NOTIFY_HDRS);
	print_whole(&back, &again);
	assert_true(str_eq(buf_view(&again), text));

	/* What is known at the end goes into its place, and leaves the rest as it was. */
	back.length = 999999999999;
	back.text = (struct text_facts){.nul = true, .long_line = true};
	envelope_print_fixed(&back, &fixed);
	assert_int_equal(fixed.len, ENVELOPE_FIXED);
	memcpy(again.ptr, fixed.ptr, fixed.len);
	/* One more byte has no room: it is seen by the length of the line. */
	back.length++;
	struct buf longer = {0};
	envelope_print_fixed(&back, &longer);
	assert_int_equal(longer.len, ENVELOPE_FIXED + 1);
	buf_free(&longer);
	envelope_free(&back);
	assert_int_equal(envelope_parse_fixed(buf_view(&fixed), &offset, &length), 0);
	assert_int_equal(offset, text.len);
	assert_int_equal(length, 999999999999);
	assert_int_equal(envelope_parse(buf_view(&again), &back, &why), 0);
	assert_true(back.text.nul && !back.text.eightbit && !back.text.utf8 && back.text.long_line);
	assert_true(str_eq(back.rcpts[1].address, rcpts[1].address));
	envelope_free(&back);
	buf_free(&out);
	buf_free(&fixed);
	buf_free(&again);
}

static void
test_offset_limits(void **state)
{
	static const struct {
		uint64_t offset;
		int rc;
	} cases[] = {
		{0, 0}, {ENVELOPE_FIRST, 0}, {LIMIT_ENVELOPE, 0},
		{LIMIT_ENVELOPE + 1, -1}, {9999999999, -1},
	};
	uint64_t offset, length;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct envelope e = {.offset = cases[i].offset};
		struct buf fixed = {0};
		envelope_print_fixed(&e, &fixed);
		assert_int_equal(envelope_parse_fixed(buf_view(&fixed), &offset, &length),
				 cases[i].rc);
		buf_free(&fixed);
	}
	assert_int_equal(envelope_parse_fixed(STR("mtabox 2 00000341 000000012345 ----\n"), &offset,
					      &length), 0);
	assert_int_equal(envelope_parse_fixed(STR("mtabox 2 0000034x 000000012345 ----\n"), &offset,
					      &length), -1);
	assert_int_equal(envelope_parse_fixed(STR("mtabox 2 00000341 00000001234x ----\n"), &offset,
					      &length), -1);
	assert_int_equal(envelope_parse_fixed(STR("mtabox 2 00000341 ----\n"), &offset, &length), -1);
}

static void
test_null_sender_and_nobody(void **state)
{
	struct envelope e = sample(), back;
	struct buf out = {0};
	const char *why;

	(void)state;
	e.sender = e.name = (struct str){0};
	e.notify = (struct notify){0};
	e.arrived = (struct stamp){.wall = 7};
	print_whole(&e, &out);
	assert_non_null(strstr(buf_cstr(&out), "\nsubmitter 1000\nsender\nrcpt root\n"));
	assert_int_equal(envelope_parse(buf_view(&out), &back, &why), 0);
	assert_int_equal(back.sender.len + back.name.len, 0);
	envelope_free(&back);
	buf_free(&out);
}

/* -F and the password file are the caller's: they cannot add a line. */
static void
test_words_stay_on_their_line(void **state)
{
	struct envelope e = sample(), back;
	struct buf out = {0};
	const char *why;

	(void)state;
	e.name = STR("x\nrcpt victim@example\r\n");
	print_whole(&e, &out);
	assert_int_equal(envelope_parse(buf_view(&out), &back, &why), 0);
	assert_int_equal(back.rcpt_count, 4);
	assert_true(str_eq(back.name, STR("x rcpt victim@example  ")));
	envelope_free(&back);
	buf_free(&out);
}

/* The first version, around its second line. */
#define OLD_FACTS "header present=1 date=1 message-id=0 from=1 to=0 cc=0 mime=0 type=1 8bit=0 opaque=0\n"
#define OLD_REST "arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1\nsubmitter 1000 alice\nsender\nrcpt root\n\n"

static void
test_first_version(void **state)
{
	static const struct {
		const char *text;
		bool good, long_line;
	} cases[] = {
		{"text 8bit=1 utf8=0 nul=1 longest=00000000000000998\n", true, false},
		{"text 8bit=1 utf8=0 nul=1 longest=00000000000000999\n", true, true},
		{"text 8bit=1 utf8=0 nul=1 longest=0000000000000099x\n", false, false},
		{"text 8bit=1 utf8=0 nul=1 shortest=000000000000099\n", false, false},
		{"test 8bit=1 utf8=0 nul=1 longest=00000000000000998\n", false, false},
	};
	struct envelope e;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = {0};
		buf_print(&out, "mtabox 1 message %010zu 00000000000012345\n%s" OLD_FACTS OLD_REST,
			  ENVELOPE_FIRST + strlen(cases[i].text) + sizeof OLD_FACTS OLD_REST - 1,
			  cases[i].text);
		assert_int_equal(envelope_parse(buf_view(&out), &e, &why) == 0, cases[i].good);
		if (cases[i].good) {
			assert_int_equal(e.length, 12345);
			assert_true(e.text.eightbit && !e.text.utf8 && e.text.nul);
			assert_int_equal(e.text.long_line, cases[i].long_line);
			assert_true(e.header.present && e.header.date && !e.header.message_id &&
				    e.header.from && !e.header.to && e.header.type && !e.header.opaque);
			envelope_free(&e);
		}
		buf_free(&out);
	}
}

static uint64_t seed;

static unsigned
below(unsigned n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

/* A random piece of an address, word or parameter; now and then one near the longest. */
static struct str
noise(char *space, size_t longest)
{
	static const char odd[] = "aZ0.-_+=/|!#'\"\\@ ,;:<>()[]\n\r\t\001\177\303\266\200\377";
	static const char tame[] = "abcxyz0129.-";
	bool wild = below(4) == 0;
	size_t len = below(8) == 0 ? longest - below(8) : below(20);

	for (size_t n = 0; n < len; n++)
		space[n] = wild ? odd[below(sizeof odd - 1)] : tame[below(sizeof tame - 1)];
	return (struct str){space, len};
}

/* As anybody may say it; what comes of it is canonical, or empty: no address. */
static void
make_address(struct buf *out, bool domain)
{
	char space[LIMIT_ADDRESS + 16];
	struct buf said = {0};
	const char *why;

	if (below(3) == 0)
		buf_print(&said, "\"%.*s\"", STR_ARG(noise(space, LIMIT_ADDRESS)));
	else
		buf_str(&said, noise(space, LIMIT_ADDRESS));
	if (domain && below(4) > 0)
		buf_print(&said, "@%.*s", STR_ARG(noise(space, 250)));
	if (addr_parse(buf_view(&said), out, &why) ||
	    (!domain && addr_domain(buf_view(out)).len > 0))
		out->len = 0;
	buf_free(&said);
}

/* Whatever the parts that are taken from outside were: what is printed can be read back. */
static void
test_what_is_printed_is_parsed(void **state)
{
	enum { RCPTS = 5 };
	static char name[2000], envid[2000], orcpt[RCPTS][2000];
	struct buf address[RCPTS] = {{0}}, sender = {0}, out = {0};
	struct envelope_rcpt list[RCPTS];
	unsigned sound = 0, longest = 0, ids = 0;

	(void)state;
	for (seed = 1; sound < 20000;) {
		struct envelope e = sample(), back;
		const char *why;
		size_t count = 0;
		for (size_t n = 0; n < RCPTS; n++) {
			bool alias = below(4) == 0;
			address[n].len = 0;
			make_address(&address[n], !alias);
			if (address[n].len == 0)
				continue;
			list[count] = (struct envelope_rcpt){buf_view(&address[n]), alias, {0}};
			struct str id = noise(orcpt[n] + 2, LIMIT_ORCPT - 2);
			memcpy(orcpt[n], "x;", 2);
			if (notify_set(&list[count].notify, NOTIFY_RCPT, STR("ORCPT"),
				       (struct str){orcpt[n], id.len + 2}) == 0)
				ids++;
			list[count].notify.asks = below(16) & ~(unsigned)NOTIFY_NEVER;
			longest += address[n].len > LIMIT_ADDRESS - 10;
			count++;
		}
		if (count == 0)
			continue;
		sound++;
		sender.len = 0;
		make_address(&sender, true);
		e.sender = buf_view(&sender);
		e.name = noise(name, sizeof name);
		e.notify = (struct notify){0};
		notify_set(&e.notify, NOTIFY_MAIL, STR("ENVID"), noise(envid, LIMIT_ENVID));
		e.rcpts = list;
		e.rcpt_count = count;
		out.len = 0;
		print_whole(&e, &out);
		if (envelope_parse(buf_view(&out), &back, &why))
			fail_msg("%s:\n%s", why, buf_cstr(&out));
		assert_int_equal(back.rcpt_count, count);
		for (size_t n = 0; n < count; n++)
			assert_true(str_eq(back.rcpts[n].address, list[n].address));
		assert_true(str_eq(back.sender, e.sender));
		assert_true(str_eq(back.notify.id, e.notify.id));
		envelope_free(&back);
	}
	assert_true(longest > 100 && ids > 100);
	for (size_t n = 0; n < RCPTS; n++)
		buf_free(&address[n]);
	buf_free(&sender);
	buf_free(&out);
}

/* Replaces the first old in the sample's text, puts the right offset in, and parses. */
static const char *
damaged(const char *old, const char *new)
{
	struct envelope e = sample();
	struct buf out = {0}, text = {0};

	print_whole(&e, &out);
	const char *all = buf_cstr(&out), *at = strstr(all, old);
	assert_non_null(at);
	buf_add(&text, all, (size_t)(at - all));
	buf_puts(&text, new);
	buf_puts(&text, at + strlen(old));
	struct buf number = {0};
	buf_print(&number, "%08zu", text.len);
	if (strncmp(text.ptr, "mtabox 2 00000305 ", 18) == 0)
		memcpy(text.ptr + 9, number.ptr, 8);
	const char *why = parse_error(buf_view(&text));
	buf_free(&number);
	buf_free(&text);
	buf_free(&out);
	return why;
}

static void
test_damage(void **state)
{
	static const struct {
		const char *old, *new;
	} bad[] = {
		{"mtabox 2", "mtabox 1"},
		{"mtabox 2", "mtabox 2 message"},
		{"mtabox 2", "mtabox 3"},
		{"mtabox", "Mtabox"},
		{"00000305", "00000304"},
		{"00000305", "00000306"},
		{"00000305", "00000036"},
		{"00000305", "99999999"},
		{"00000305", "+0000303"},
		{"000000012345", "00000001234x"},
		{"000000012345", "-00000012345"},
		{"000000012345", "9000000000000000000"},
		{" 8u--", ""},
		{"8u--", "8u-"},
		{"8u--", "8u---"},
		{"8u--", "u8--"},
		{"8u--", "8u-x"},
		{"8u--", "8U--"},
		{"date from", "from date"},
		{"date from", "date date from"},
		{"date from", "date  from"},
		{"type\n", "type more\n"},
		{"header date from to type\n", "header\nheader\n"},
		{"header", "Header"},
		{"arrived 1795341234", "arrived x"},
		{"b3a4 1\n", "b3a4 1 2\n"},
		{"arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1\n", "arrived\n"},
		{"arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1\n", ""},
		{"submitter 1000", "submitter 4294967296"},
		{"submitter 1000", "submitter -1"},
		{"submitter 1000", "submitter"},
		{"submitter 1000", "submitter 1000 alice liddell"},
		{"submitter 1000", "submitter 1000 al\rice"},
		{"name Alice Liddell\n", "name A\nname B\n"},
		{"name Alice Liddell\nsender", "sender x@y.example\nsender"},
		{"sender alice@router.example\n", ""},
		{"sender alice@router.example", "sender "},
		{"sender alice@router.example", "sender <alice@router.example>"},
		{"sender alice@router.example", "sender alice@router.example "},
		{"sender alice@router.example", "sender a@b.example, c@d.example"},
		{"sender alice@router.example", "sender a@b.example\r"},
		{"rcpt root\n", "rcpt\n"},
		{"rcpt root\n", "rcpt \n"},
		{"rcpt root\n", "rcpt root \n"},
		{"rcpt root\n", "rcpt  root\n"},
		{"rcpt root\n", "rcptroot\n"},
		{"rcpt root\n", "rcpt a@b.example> SIZE=1\n"},
		{"rcpt root\n", "rcpt Root <root>\n"},
		{"rcpt root\n", "sender a@b.example\n"},
		{"rcpt root\n", "\n"},
		{"rcpt root\n", "bogus\n"},
		{"robot\n\n", "robot\n"},
		{"robot\n\n", "robot\n\n\n"},
		{"robot\n\n", "robot\n\nx\n"},
		{"robot\n\n", "robot\n\nx"},
		{"alias robot\n", "alias robot@mail.example\n"},
		{"alias robot\n", "alias robot@\n"},
		{"alias robot\n", "alias |robot@x.example\n"},
		{"alias robot\n", "alias |rm -rf\n"},
		{"alias robot\n", "alias a,b\n"},
		{"alias robot\n", "alias :include:/list\n"},
		{"alias robot\n", "alias\n"},
		{"alias robot\n", "Alias robot\n"},
		{"dsn RET", "dsn  RET"},
		{"dsn RET=HDRS ", "dsn RET=HDRS\ndsn "},
		{"dsn RET=HDRS", "dsn NOTIFY=NEVER"},
		{"q+2B1", "q+2"},
		{"dsn NOTIFY=SUCCESS", "dsn NOTIFY=NEVER"},
		{"dsn NOTIFY", "dsn RET=FULL NOTIFY"},
		{"rcpt root\n", "dsn NOTIFY=NEVER\nrcpt root\n"},
		{"rcpt root\nrcpt bob@mail.example\n"
		 "dsn NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob@x\nrcpt \"a b\"@c.example\nalias robot\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!damaged(bad[i].old, bad[i].new))
			fail_msg("accepted: \"%s\" for \"%s\"", bad[i].new, bad[i].old);
	assert_null(damaged("rcpt root\n", "rcpt root\n"));
	assert_null(damaged("header date from to type\n", ""));
	assert_null(damaged("header date from to type\n", "header\n"));
	assert_null(damaged("rcpt root\n", ""));
	assert_null(damaged("alias robot\n", ""));
	assert_null(damaged("alias robot\n", "rcpt robot\n"));
	assert_null(damaged("rcpt root\n", "alias root\n"));
	assert_null(damaged("name Alice Liddell\n", ""));
	assert_null(damaged("dsn RET=HDRS ENVID=q+2B1\n", ""));
	assert_null(damaged("alias robot\n", "alias robot\ndsn NOTIFY=NEVER\n"));
}

/* Any prefix is refused without a look beyond its end. What is accepted with one byte changed
 * has only addresses in it, and its words print as they were read. */
static void
test_cuts_and_flips(void **state)
{
	struct envelope e = sample(), back;
	struct buf out = {0}, again = {0};
	const char *why;

	(void)state;
	print_whole(&e, &out);
	size_t words = out.len - (size_t)(strstr(buf_cstr(&out), "name ") - out.ptr);
	for (size_t n = 0; n < out.len; n++) {
		char *exact = malloc(n + !n);
		memcpy(exact, out.ptr, n);
		assert_non_null(parse_error((struct str){exact, n}));
		free(exact);
	}
	for (size_t i = 0; i < out.len * 256; i++) {
		char kept = out.ptr[i / 256];
		out.ptr[i / 256] = (char)i;
		if (envelope_parse(buf_view(&out), &back, &why) == 0) {
			again.len = 0;
			for (size_t k = 0; k < back.rcpt_count; k++)
				assert_true(envelope_is_address(back.rcpts[k].address));
			print_whole(&back, &again);
			/* What is asked may be in any case. */
			struct str was = buf_tail(&out, out.len - words);
			struct str is = buf_tail(&again, again.len - words);
			assert_true(str_eq(is, was) ||
				    ((kept ^ out.ptr[i / 256]) == 0x20 && str_ieq(is, was)));
			envelope_free(&back);
		}
		out.ptr[i / 256] = kept;
	}
	buf_free(&out);
	buf_free(&again);
}

static void
test_is_address(void **state)
{
	char longest[LIMIT_ADDRESS + 8];

	(void)state;
	assert_true(envelope_is_address(STR("root")));
	assert_true(envelope_is_address(STR("a@b.example")));
	assert_false(envelope_is_address(STR("")));
	assert_false(envelope_is_address(STR("<>")));
	assert_false(envelope_is_address(STR("a@b.example\r\nDATA")));
	assert_false(envelope_is_address((struct str){"a\0b@c.example", 13}));
	memset(longest, 'a', sizeof longest);
	assert_false(envelope_is_address((struct str){longest, sizeof longest}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_offset_limits),
		cmocka_unit_test(test_null_sender_and_nobody),
		cmocka_unit_test(test_words_stay_on_their_line),
		cmocka_unit_test(test_first_version),
		cmocka_unit_test(test_what_is_printed_is_parsed),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_cuts_and_flips),
		cmocka_unit_test(test_is_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
