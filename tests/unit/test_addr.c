/* SPDX-License-Identifier: ISC */
#include "addr.h"
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* What is written, and its canonical form; NULL: no address. */
static const struct {
	const char *in, *out;
} singles[] = {
	{"joe", "joe"},
	{" joe@example.org ", "joe@example.org"},
	{"<joe@example.org>", "joe@example.org"},
	{"<joe>", "joe"},
	{"Joe <joe@example.org>", "joe@example.org"},
	{"Joe<joe@example.org>", "joe@example.org"},
	{"\"Doe, Joe\" <joe@example.org>", "joe@example.org"},
	{"\"a\\\"b\" <joe@example.org>", "joe@example.org"},
	{"John Q. Public <a@b>", "a@b"},
	{"joe@x.example <joe@y.example>", "joe@y.example"},
	{"[list] joe <joe@y.example>", "joe@y.example"},
	{"J\xfcrgen <j@b>", "j@b"},
	{"J\xc3\xbcrgen <j@b>", "j@b"},
	{"\"\x1b$B;3ED\x1b(B\" <y@b>", "y@b"},
	{"a@b (a comment)", "a@b"},
	{"(x (y (z) \\) ) \" ) a@b", "a@b"},
	{"a(1)@(2)b(3).(4)c", "a@b.c"},
	{"a . b @ c . d", "a.b@c.d"},
	{"a\r\n @\n\tb", "a@b"},
	{"<@relay.example,@other:a@b>", "a@b"},
	{"<@r1 , @[192.0.2.1] : a@b>", "a@b"},
	{"o'neil#x/y@b", "o'neil#x/y@b"},
	{"a+b@c", "a+b@c"},
	{"!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~@b"},
	{"up!joe%x@b", "up!joe%x@b"},
	{"-f@b", "-f@b"},
	/* Quoted only where it must be. */
	{"\"joe\"@b", "joe@b"},
	{"\"j\".o.\"e\"@b", "j.o.e@b"},
	{"\"quo ted\"@b", "\"quo ted\"@b"},
	{"\"a@b\"@c", "\"a@b\"@c"},
	{"\"a@b\"", "\"a@b\""},
	{"\"a\\\"\\\\\\c\"@b", "\"a\\\"\\\\c\"@b"},
	{"\"a\n b\"@c", "\"a b\"@c"},
	{"a..b@c", "\"a..b\"@c"},
	{".a@c", "\".a\"@c"},
	{"a.@c", "\"a.\"@c"},
	{"..", "\"..\""},
	/* Domains. */
	{"a@LocalHost", "a@LocalHost"},
	{"a@b.", "a@b"},
	{"a@b_c.d-e", "a@b_c.d-e"},
	{"a@[192.0.2.1]", "a@[192.0.2.1]"},
	{"a@[ 192.0.2.1 ]", "a@[192.0.2.1]"},
	{"a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"},
	{"a@[ipv6:::ffff:192.0.2.1]", "a@[ipv6:::ffff:192.0.2.1]"},
	{"\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example", "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example"},
	{"\xf0\x9f\x93\xac@b", "\xf0\x9f\x93\xac@b"},
	/* Not one address. */
	{"", NULL}, {" ", NULL}, {"()", NULL}, {"<>", NULL}, {"\"\"", NULL}, {"Joe <>", NULL},
	{"joe smith", NULL}, {"joe smith@b", NULL}, {"a b c", NULL}, {"joe\"x\"@b", NULL},
	{"a@b, c@d", NULL}, {"a@b,", NULL}, {"g: a@b;", NULL}, {"a@b c@d", NULL},
	{"@b", NULL}, {"\"\"@b", NULL}, {"a@", NULL}, {"a@.", NULL}, {"a@b..", NULL}, {"a@.b", NULL}, {"a@b..c", NULL},
	{"a@b@c", NULL}, {"a@-b", NULL}, {"a@b-.c", NULL}, {"a@b!c", NULL}, {"a@\"b\"", NULL},
	{"<a@b", NULL}, {"a@b>", NULL}, {"<<a@b>>", NULL}, {"<a@b> x", NULL}, {"<a b@c>", NULL},
	{"<@r a@b>", NULL}, {"<@r:>", NULL}, {"x\\y@b", NULL},
	{"\"a@b", NULL}, {"a@b (c", NULL}, {"a@b (c\\)", NULL}, {"(((a@b))", NULL}, {"a@[1.2.3.4", NULL},
	{"a@b )", NULL},
	{"a\n@b", NULL}, {"a@b\r\n", NULL}, {"a@b\r c", NULL}, {"a@b\x7f", NULL}, {"a\x01@b", NULL},
	{"\"a\tb\"@c", NULL}, {"\"a\nb\"@c", NULL}, {"\"a\\\nb\"@c", NULL}, {"\"a\rb\"@c", NULL},
	{"\xff@b", NULL}, {"a@\xc3", NULL}, {"a\xc3@b", NULL}, {"\xc0\xaf@b", NULL}, {"\xc1\xbf@b", NULL},
	{"\xe0\x9f\xbf@b", NULL}, {"\xed\xa0\x80@b", NULL}, {"\xf0\x8f\xbf\xbf@b", NULL},
	{"\xf4\x90\x80\x80@b", NULL}, {"\xf5\x80\x80\x80@b", NULL}, {"\xc2\x85@b", NULL}, {"\x80@b", NULL},
	{"a@[]", NULL}, {"a@[1.2.3]", NULL}, {"a@[1.2.3.4.]", NULL}, {"a@[1.2.3.256]", NULL},
	{"a@[1.2.3.0004]", NULL}, {"a@[IPv6:1:2]", NULL}, {"a@[x:1]", NULL}, {"a@[1.2.3.4].c", NULL},
	{"a@x[1.2.3.4]", NULL}, {"[1.2.3.4]", NULL}, {":include:/x", NULL}, {"|cmd <x", NULL},
};

static void
expect_canonical(struct str address)
{
	struct buf again = {0};
	const char *why;

	assert_true(address.len > 0 && address.len <= LIMIT_ADDRESS);
	for (size_t i = 0; i < address.len; i++)
		assert_false(str_is_control(address.ptr[i]));
	assert_int_equal(addr_parse(address, &again, &why), 0);
	assert_true(str_eq(buf_view(&again), address));

	struct str local = addr_local(address), domain = addr_domain(address);
	if (domain.len > 0) {
		assert_true(addr_is_domain(domain));
		assert_int_equal(local.len + 1 + domain.len, address.len);
		assert_int_equal(address.ptr[local.len], '@');
		expect_canonical(local);
	} else {
		assert_int_equal(local.len, address.len);
	}
	buf_free(&again);
}

static void
test_singles(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
		const char *why = NULL;
		out.len = 0;
		buf_puts(&out, "kept ");
		int r = addr_parse(str_of(singles[i].in), &out, &why);
		if ((r == 0) != (singles[i].out != NULL))
			fail_msg("%s: %s", singles[i].in, r ? why : buf_cstr(&out));
		if (r) {
			assert_non_null(why);
			assert_string_equal(buf_cstr(&out), "kept ");
			continue;
		}
		assert_string_equal(buf_cstr(&out) + 5, singles[i].out);
		expect_canonical(buf_tail(&out, 5));
	}
	buf_free(&out);
}

static void
test_nul(void **state)
{
	static const struct str in[] = {
		{"a\0@b", 4}, {"a@b\0", 4}, {"\"a\0b\"@c", 7}, {"a@[1.2.3.4\0x]", 13}, {"\0", 1},
		{"a@b\0c", 5},
	};
	struct buf out = {0};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof in / sizeof *in; i++)
		assert_int_equal(addr_parse(in[i], &out, &why), -1);
	assert_int_equal(out.len, 0);
	buf_free(&out);
}

static void
test_sender(void **state)
{
	struct buf out = {0};
	const char *why;

	(void)state;
	assert_int_equal(addr_parse_sender(STR(""), &out, &why), 0);
	assert_int_equal(addr_parse_sender(STR("<>"), &out, &why), 0);
	assert_int_equal(addr_parse_sender(STR(" <>\n"), &out, &why), 0);
	assert_int_equal(addr_parse_sender((struct str){NULL, 0}, &out, &why), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(addr_parse_sender(STR("<a@b>"), &out, &why), 0);
	assert_string_equal(buf_cstr(&out), "a@b");
	assert_int_equal(addr_parse_sender(STR("<<>>"), &out, &why), -1);
	assert_int_equal(addr_parse_sender(STR("a@b, c"), &out, &why), -1);
	assert_string_equal(buf_cstr(&out), "a@b");
	buf_free(&out);
}

/* A label or local part of n times c. */
static void
fill(struct buf *out, char c, size_t n)
{
	memset(buf_room(out, n), c, n);
	out->len += n;
}

static void
test_limits(void **state)
{
	struct buf in = {0}, out = {0};
	const char *why;

	(void)state;
	fill(&in, 'a', 63);
	assert_true(addr_is_domain(buf_view(&in)));
	for (int i = 0; i < 3; i++) {
		buf_putc(&in, '.');
		fill(&in, 'a', 63);
	}
	assert_int_equal(in.len, 255);
	assert_true(addr_is_domain(buf_view(&in)));
	assert_true(addr_is_domain(buf_tail(&in, 192)));
	buf_putc(&in, 'a');
	assert_false(addr_is_domain(buf_view(&in)));
	assert_false(addr_is_domain(buf_tail(&in, 192)));

	in.len = 0;
	fill(&in, 'x', LIMIT_ADDRESS - 2);
	buf_puts(&in, "@b");
	assert_int_equal(addr_parse(buf_view(&in), &out, &why), 0);
	expect_canonical(buf_view(&out));
	out.len = in.len = 0;
	fill(&in, 'x', LIMIT_ADDRESS - 1);
	buf_puts(&in, "@b");
	assert_int_equal(addr_parse(buf_view(&in), &out, &why), -1);
	assert_int_equal(out.len, 0);
	buf_free(&in);
	buf_free(&out);
}

static void
test_domains(void **state)
{
	static const char *const good[] = {
		"localhost", "a.b", "1.2", "x_y", "A-B.c", "\xc3\xbc.example", "[127.0.0.1]", "[IPv6:::]",
		"[IPv6:::1]", "[IPv6:1::]", "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:1.2.3.4]",
		"[IPv6:1::3:4:5:6:7:8]", "[IPv6:fe80::ABCD]",
	};
	static const char *const bad[] = {
		"", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "a@b", "a\n", "[", "]", "[]", "[a]",
		"[127.0.0.1", "127.0.0.1]", "[IPv6:]", "[IPv6::]", "[IPv6::::]", "[IPv6:1:2:3:4:5:6:7]",
		"[IPv6:1:2:3:4:5:6:7:8:9]", "[IPv6:1:2:3:4:5:6:7:8::]", "[IPv6:1:::2]", "[IPv6:1::2::3]",
		"[IPv6:12345::]", "[IPv6:g::]", "[IPv6::1]", "[IPv6:1:2:3:4:5:6:7:1.2.3.4]",
		"[IPv6:1:2:3:4:5:6:7:8:]", "[IPv6:1.2.3.4::]", "[IPv6:fe80::1%eth0]", "\xff", "a/b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!addr_is_domain(str_of(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (addr_is_domain(str_of(bad[i])))
			fail_msg("%s", bad[i]);
}

static void
test_parts(void **state)
{
	struct buf user = {0};

	(void)state;
	assert_true(str_eq(addr_local(STR("\"a@\\\"b\"@c")), STR("\"a@\\\"b\"")));
	assert_true(addr_is_plain(STR("root")));
	assert_true(addr_is_plain(STR("joe.x+y@mail.example")));
	assert_true(addr_is_plain(STR("a@[192.0.2.1]")));
	assert_false(addr_is_plain(STR("")));
	assert_false(addr_is_plain(STR(".a@b")));
	assert_false(addr_is_plain(STR("a@")));
	assert_false(addr_is_plain(STR("\"a b\"@c")));
	assert_false(addr_is_plain(STR("\xc3\xbc@b")));
	assert_true(str_eq(addr_domain(STR("\"a@\\\"b\"@c")), STR("c")));
	assert_true(str_eq(addr_local(STR("joe")), STR("joe")));
	assert_int_equal(addr_domain(STR("joe")).len, 0);
	assert_int_equal(addr_domain(STR("\"a@b\"")).len, 0);
	addr_print_user(STR("\"a@\\\"b\"@c"), &user);
	assert_string_equal(buf_cstr(&user), "a@\"b");
	user.len = 0;
	addr_print_user(STR("joe+x@c"), &user);
	assert_string_equal(buf_cstr(&user), "joe+x");
	user.len = 0;
	addr_print_user(STR("\"a b\""), &user);
	assert_string_equal(buf_cstr(&user), "a b");
	buf_free(&user);
}

/* A list's addresses, each behind a blank, and its complaints, each behind a '!'. */
static void
note_address(void *ctx, struct str address)
{
	expect_canonical(address);
	buf_putc(ctx, ' ');
	buf_str(ctx, address);
}

static void
note_complaint(void *ctx, struct str piece, const char *why)
{
	assert_true(why && *why);
	buf_putc(ctx, '!');
	buf_str(ctx, piece);
}

static const struct {
	const char *in, *out;
	size_t complaints;
} lists[] = {
	{"", "", 0},
	{" , ,; ", "", 0},
	{"a, b@c,d@e", " a b@c d@e", 0},
	{"a@b,\n\tc@d,\r\n e@f", " a@b c@d e@f", 0},
	{"Joe <a@b>, \"X, Y\" <c@d> (e, f), g@h (a \" in it), i@j", " a@b c@d g@h i@j", 0},
	{"friends: a@b, Joe <c@d>;, e@f", " a@b c@d e@f", 0},
	{"none:;", "", 0},
	{"Undisclosed recipients: ;, a@b", " a@b", 0},
	{"\"my: group\":a,b;c:d;e", " a b d e", 0},
	{"open: a, b", " a b", 0},
	{"[list] x.y: a@b;", " a@b", 0},
	{"a@b; c@d", " a@b c@d", 0},
	{"mailto:a@b", " a@b", 0},
	{"<@x,@y:a@b>, c@d", " a@b c@d", 0},
	/* One is bad, the others are not. */
	{"a@b, c d, e@f", " a@b!c d e@f", 1},
	{"a@@b, c@d", "!a@@b c@d", 1},
	{"<>, a@b", "!<> a@b", 1},
	{"Joe <a@b, c@d>, e@f", "!Joe <a@b!c@d> e@f", 2},
	{"x \\, \"q, r\" z, a@b", "!x \\!\"q, r\" z a@b", 2},
	{":, a@b", "!: a@b", 1},
	{"a@b: c@d, e@f", "!a@b: c@d e@f", 1},
	/* Without an end. */
	{"a@b, \"c@d, e@f", " a@b!\"c@d e@f", 1},
	{"a@b,\n", " a@b!", 1},
	{"\"Doe, Joe <a@b>, c@d", "!\"Doe a@b c@d", 1},
	{"a@b (x, c@d, e@f", "!a@b (x c@d e@f", 1},
	{"a@[1.2.3.4, c@d", "!a@[1.2.3.4 c@d", 1},
	{"a@b, (c", " a@b!(c", 1},
	{"(a, \"x\" <b@c>, d@e", "!(a!\"x\" <b@c> d@e", 2},
	{"g: \"a, b@c;", "!\"a b@c", 1},
};

static void
test_lists(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		out.len = 0;
		size_t n = addr_parse_list(str_of(lists[i].in), note_address, note_complaint, &out);
		assert_string_equal(buf_cstr(&out), lists[i].out);
		assert_int_equal(n, lists[i].complaints);
	}
	buf_free(&out);
}

static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

/* Whatever is written: what is taken for an address is canonical (note_address checks), and a
 * list that has no address and no complaint has nothing but separators, comments and groups. */
static void
test_random(void **state)
{
	static const char *const pieces[] = {
		"a", "b", "@", ".", ",", " ", "\"", "<", ">", "(", ")", ":", ";", "\\", "[", "]", "\n ", "\r\n\t",
		"\t", "\n", "\xc3\xbc", "\xff", "[192.0.2.1]", "[IPv6:::1]", "a@b", "\"x y\"", "Joe <a@b>", "\x01",
	};
	uint32_t x = 88172645u;
	struct buf in = {0}, out = {0};
	size_t parsed = 0;
	const char *why;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		in.len = out.len = 0;
		for (uint32_t n = next_random(&x) % 12; n > 0; n--)
			buf_puts(&in, pieces[next_random(&x) % (sizeof pieces / sizeof *pieces)]);
		bool plain = addr_is_plain(buf_view(&in));
		if (addr_parse(buf_view(&in), &out, &why) == 0) {
			expect_canonical(buf_view(&out));
			parsed++;
			if (plain)
				assert_true(str_eq(buf_view(&in), buf_view(&out)));
		} else {
			assert_false(plain);
		}
		out.len = 0;
		addr_parse_list(buf_view(&in), note_address, note_complaint, &out);
		if (out.len == 0 && !memchr(buf_cstr(&in), '(', in.len + 1))
			assert_true(str_find(buf_view(&in), '@') == in.len ||
				    str_find(buf_view(&in), ':') < in.len);
	}
	assert_true(parsed > 1000);
	buf_free(&in);
	buf_free(&out);
}

/* An addr_change: "stay" stays, and so does what has another domain than o. */
static bool
qualify(void *ctx, struct str address, struct buf *out)
{
	(void)ctx;
	assert_int_equal(out->len, 0);
	expect_canonical(address);
	struct str domain = addr_domain(address);
	if (str_eq(address, STR("stay")) || (domain.len > 0 && !str_eq(domain, STR("o"))))
		return false;
	buf_print(out, "%.*s@n", STR_ARG(addr_local(address)));
	return true;
}

/* NULL: nothing changes. */
static const struct {
	const char *in, *out;
} changes[] = {
	{"", NULL},
	{"stay", NULL},
	{" \n ,;", NULL},
	{"a@b, Joe <c@d> (x)", NULL},
	{"a", "a@n"},
	{" a", " a@n"},
	{"a ", "a@n "},
	{" root (Cron Daemon)", " root@n (Cron Daemon)"},
	{"(x)root(Cron (a, b) Daemon)", "(x)root@n(Cron (a, b) Daemon)"},
	{"\"(Cron Daemon)\" <root>", "\"(Cron Daemon)\" <root@n>"},
	{"mdadm monitoring <root>", "mdadm monitoring <root@n>"},
	{"root<root>", "root<root@n>"},
	{"< root >", "< root@n >"},
	{"<(x) root\n\t(y)>", "<(x) root@n\n\t(y)>"},
	{"root@o, root <root@o>,root@O", "root@n, root <root@n>,root@O"},
	{"a,\n b,\r\n\tstay,c@d , e", "a@n,\n b@n,\r\n\tstay,c@d , e@n"},
	{"root: root, b;, c", "root: root@n, b@n;, c@n"},
	{"Empty: ;, a;;, ", "Empty: ;, a@n;;, "},
	{"\"a b\"", "\"a b\"@n"},
	{"\"a\"", "a@n"},
	{"\"a\" . b", "a.b@n"},
	{"a (x) @ (y) o (z)", "a@n (z)"},
	{"a@o.", "a@n"},
	{"<@relay.example:a>", "<@relay.example:a@n>"},
	{"\xc3\xbc", "\xc3\xbc@n"},
	{"J\xfcrgen <a>", "J\xfcrgen <a@n>"},
	/* What cannot be read stays as it is. */
	{"a b", NULL},
	{"<>, a", "<>, a@n"},
	{"Cron Daemon, a", "Cron Daemon, a@n"},
	{"a, \"b, c", "a@n, \"b, c"},
	{"a, (b, .", "a@n, (b, ."},
	{"a (x, b", NULL},
	{"a\x01, b\n, c", "a\x01, b\n, c@n"},
	{"<a, b", "<a, b@n"},
	{"<a, b>", NULL},
};

static void
test_changes(void **state)
{
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		out.len = 0;
		buf_puts(&out, "kept:");
		bool changed = addr_change_list(str_of(changes[i].in), qualify, NULL, &out);
		if (changed != (changes[i].out != NULL) ||
		    strcmp(buf_cstr(&out) + 5, changed ? changes[i].out : "") != 0)
			fail_msg("%s: %s", changes[i].in, out.ptr);
	}
	assert_false(addr_change_list((struct str){NULL, 0}, qualify, NULL, &out));
	buf_free(&out);
}

static void
note_qualified(void *ctx, struct str address)
{
	struct buf new = {0};

	note_address(ctx, qualify(NULL, address, &new) ? buf_view(&new) : address);
	buf_free(&new);
}

static bool
change_a(void *ctx, struct str address, struct buf *out)
{
	bool *last = ctx;

	*last = !*last;
	if (*last || !str_eq(address, STR("a")))
		return false;
	buf_puts(out, "ZZZ");
	return true;
}

/* out is in but for some addresses "a", however they are quoted, which are "ZZZ". */
static void
expect_same_else(struct str in, struct str out)
{
	while (out.len > 0) {
		if (str_starts(out, STR("ZZZ"))) {
			out = str_from(out, 3);
			assert_true(in.len > 0 && strchr("a\"\\", in.ptr[0]));
			while (in.len > 0 && in.ptr[0] && strchr("a\"\\", in.ptr[0]))
				in = str_from(in, 1);
			continue;
		}
		assert_true(in.len > 0);
		assert_int_equal(in.ptr[0], out.ptr[0]);
		in = str_from(in, 1);
		out = str_from(out, 1);
	}
	assert_int_equal(in.len, 0);
}

/* The other addresses of a list, what cannot be read and all between them survive. */
static void
test_random_changes(void **state)
{
	static const char *const pieces[] = {
		"a", "a", "a", "b", "@o", "@x", ".", ",", ",", ", ", " ", "<", ">", ")", ":", ";", "\\", "]",
		"\n ", "\r\n\t", "\n", "\xc3\xbc", "\xff", "Joe <a>", "(x)", "g: ", "\"a\"", "stay",
		/* Behind these, what has no end may end otherwise afterwards. */
		"\"", "(", "[",
	};
	enum { ALL = sizeof pieces / sizeof *pieces, WHOLE = ALL - 3 };
	uint32_t x = 123456789u;
	struct buf in = {0}, out = {0};
	struct buf was = {0}, is = {0};
	size_t changed = 0;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		in.len = out.len = was.len = is.len = 0;
		bool whole = round % 2;
		for (uint32_t n = next_random(&x) % 16; n > 0; n--)
			buf_puts(&in, pieces[next_random(&x) % (whole ? WHOLE : ALL)]);
		bool did = addr_change_list(buf_view(&in), qualify, NULL, &out);
		assert_true(did || out.len == 0);
		if (whole) {
			addr_parse_list(buf_view(&in), note_qualified, note_complaint, &was);
			addr_parse_list(buf_view(did ? &out : &in), note_address, note_complaint, &is);
			assert_string_equal(buf_cstr(&is), buf_cstr(&was));
			changed += did;
		}
		out.len = 0;
		bool last = next_random(&x) % 2;
		if (addr_change_list(buf_view(&in), change_a, &last, &out))
			expect_same_else(buf_view(&in), buf_view(&out));
	}
	assert_true(changed > 5000);
	buf_free(&in);
	buf_free(&out);
	buf_free(&was);
	buf_free(&is);
}

/* What is written in one of the many ways that there are is read as what was meant. */
static void
test_generated(void **state)
{
	static const char *const letters[] = {
		"a", "Z", "0", ".", "+", "-", "'", "=", "@", " ", "\"", "\\", "(", ")", ",", ":", ";", "<", ">", "[",
		"]", "\xc3\xbc", "\xe7\x94\xa8", "\xf0\x9f\x93\xac",
	};
	static const char *const domains[] = {
		"", "x.example", "A-b.c_d", "[192.0.2.1]", "[IPv6:2001:db8::1]", "\xc3\xbc.example",
	};
	static const char *const around[][2] = {
		{"", ""}, {"<", ">"}, {"Joe D. <", ">"}, {"\"D, <J>\"<", " > (x)"}, {"(a (b) \\) c) ", "\n (d)"},
		{" \t", " "}, {"<@r1,@r2:", ">"},
	};
	uint32_t x = 2463534242u;
	struct buf user = {0}, in = {0}, out = {0}, got = {0};
	const char *why;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint32_t dress = next_random(&x) % (sizeof around / sizeof *around);
		const char *domain = domains[next_random(&x) % (sizeof domains / sizeof *domains)];
		user.len = in.len = out.len = got.len = 0;
		buf_puts(&in, around[dress][0]);
		buf_putc(&in, '"');
		for (uint32_t n = next_random(&x) % 10 + 1; n > 0; n--) {
			const char *c = letters[next_random(&x) % (sizeof letters / sizeof *letters)];
			buf_puts(&user, c);
			if (strchr("\"\\", *c) || next_random(&x) % 8 == 0)
				buf_putc(&in, '\\');
			buf_puts(&in, c);
		}
		buf_print(&in, "\"%s%s%s", *domain ? "@" : "", domain, around[dress][1]);
		if (addr_parse(buf_view(&in), &out, &why))
			fail_msg("%s: %s", buf_cstr(&in), why);
		expect_canonical(buf_view(&out));
		addr_print_user(buf_view(&out), &got);
		assert_string_equal(buf_cstr(&got), buf_cstr(&user));
		assert_true(str_eq(addr_domain(buf_view(&out)), str_of(domain)));
	}
	buf_free(&user);
	buf_free(&in);
	buf_free(&out);
	buf_free(&got);
}

static void
test_set(void **state)
{
	struct addr_set set = {0};

	(void)state;
	assert_int_equal(addr_set_find(&set, STR("joe")), 0);
	assert_true(addr_set_add(&set, STR("joe")));
	assert_false(addr_set_add(&set, STR("Joe")));
	assert_true(addr_set_add(&set, STR("joe@b")));
	assert_false(addr_set_add(&set, STR("joe@B")));
	assert_true(addr_set_add(&set, STR("Joe@b")));
	assert_true(addr_set_add(&set, STR("\"a@b\"")));
	assert_false(addr_set_add(&set, STR("\"A@b\"")));
	assert_int_equal(set.count, 4);
	assert_true(str_eq(addr_set_get(&set, 0), STR("joe")));
	assert_true(str_eq(addr_set_get(&set, 2), STR("Joe@b")));
	assert_int_equal(addr_set_find(&set, STR("joe@B")), 1);
	assert_int_equal(addr_set_find(&set, STR("JOE@b")), 4);
	addr_set_free(&set);
	assert_int_equal(set.count, 0);
}

static void
add_to_set(void *ctx, struct str address)
{
	addr_set_add(ctx, address);
}

/* Time is bounded by the input's length, whatever it is: each of these would take minutes if
 * it were not. */
static void
test_large(void **state)
{
	static const char *const nasty[] = {
		"(,", "\"\\\",", "[,", "(", ")", "\\", "<", "\"a\" ", "a:", "a@b <", "((()", "\"", ".", "@a,",
	};
	struct buf in = {0}, out = {0};
	struct addr_set set = {0};
	clock_t start = clock();

	(void)state;
	for (int twice = 0; twice < 2; twice++)
		for (int i = 0; i < 10000; i++)
			buf_print(&in, "User %d <user%d@host%d.example>,\n ", i, i, i % 100);
	assert_int_equal(addr_parse_list(buf_view(&in), add_to_set, note_complaint, &set), 0);
	assert_int_equal(set.count, 10000);
	assert_true(str_eq(addr_set_get(&set, 9999), STR("user9999@host99.example")));
	addr_set_free(&set);

	for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
		in.len = out.len = 0;
		while (in.len < LIMIT_HEADER)
			buf_puts(&in, nasty[i]);
		assert_true(addr_parse_list(buf_view(&in), add_to_set, note_complaint, &out) > 0 ||
			    i == 8);
		assert_false(addr_change_list(buf_view(&in), qualify, NULL, &out));
	}
	assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
	buf_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_singles),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
