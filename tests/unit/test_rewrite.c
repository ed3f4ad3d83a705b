/* SPDX-License-Identifier: ISC */
#include "rewrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
no_complaint(void *ctx, enum conf_severity severity, const char *source, unsigned line,
	     const char *what)
{
	(void)ctx, (void)severity, (void)line;
	fail_msg("%s: %s", source, what);
}

static void
note_problem(void *ctx, unsigned line, const char *what, struct str piece)
{
	buf_print(ctx, "%u %s: %.*s\n", line, what, STR_ARG(piece));
}

/* What a device with these settings makes of an address: in From, Sender, To and as the
 * envelope's sender. "=" is: stays. */
static const struct {
	const char *conf, *users;
	const char *in, *from, *sender, *to, *envelope;
} cases[] = {
	/* Without settings addresses get the device's name. */
	{"", "", "root", "root@r.example", "root@r.example", "root@r.example", "root@r.example"},
	{"", "", "\"a b\"", "\"a b\"@r.example", "\"a b\"@r.example", "\"a b\"@r.example",
	 "\"a b\"@r.example"},
	{"", "", "root@r.example", "=", "=", "=", "="},
	{"", "", "root@localhost", "=", "=", "=", "="},
	{"", "", "joe@x.example", "=", "=", "=", "="},
	{"", "", "joe@no", "=", "=", "=", "="},
	/* qualify */
	{"qualify q.example", "", "root", "root@q.example", "root@q.example", "root@q.example",
	 "root@q.example"},
	{"qualify q.example", "", "root@r.example", "=", "=", "=", "="},
	{"qualify no", "", "root", "=", "=", "=", "root@r.example"},
	{"qualify off", "", "root", "=", "=", "=", "root@r.example"},
	{"qualify yes", "", "root", "root@r.example", "root@r.example", "root@r.example",
	 "root@r.example"},
	/* masquerade: what is this device's */
	{"masquerade m.example", "", "root", "root@m.example", "root@m.example", "root@r.example",
	 "root@m.example"},
	{"masquerade m.example", "", "root@R.Example", "root@m.example", "root@m.example", "=",
	 "root@m.example"},
	{"masquerade m.example", "", "root@localhost", "root@m.example", "root@m.example", "=",
	 "root@m.example"},
	{"masquerade @m.example\nlocal_domains l.example", "", "a@l.example", "a@m.example",
	 "a@m.example", "=", "a@m.example"},
	{"masquerade m.example", "", "joe@x.example", "=", "=", "=", "="},
	{"masquerade m.example", "", "\"a@b\"", "\"a@b\"@m.example", "\"a@b\"@m.example",
	 "\"a@b\"@r.example", "\"a@b\"@m.example"},
	{"masquerade joe@", "", "root", "joe@r.example", "joe@r.example", "root@r.example",
	 "joe@r.example"},
	{"masquerade joe@\nlocal_domains l.example", "", "a@l.example", "joe@l.example",
	 "joe@l.example", "=", "joe@l.example"},
	{"masquerade joe@\nqualify q.example", "", "root", "joe@q.example", "joe@q.example",
	 "root@q.example", "joe@q.example"},
	{"masquerade joe@\nqualify no", "", "root", "joe", "joe", "=", "joe@r.example"},
	{"masquerade joe@m.example", "", "root", "joe@m.example", "joe@m.example",
	 "root@r.example", "joe@m.example"},
	{"masquerade joe@m.example\nqualify no", "", "root", "joe@m.example", "joe@m.example", "=",
	 "joe@m.example"},
	{"masquerade joe@m.example", "", "a@x.example", "=", "=", "=", "="},
	{"masquerade joe@m.example\nnullclient\nsmarthost s.example", "", "root@r.example",
	 "joe@m.example", "joe@m.example", "=", "joe@m.example"},
	{"masquerade \"\\\"a@b\\\"@m.example\"", "", "root", "\"a@b\"@m.example",
	 "\"a@b\"@m.example", "root@r.example", "\"a@b\"@m.example"},
	/* from_override no: all senders, but nobody else */
	{"masquerade joe@m.example\nfrom_override no", "", "a@x.example", "joe@m.example", "=",
	 "=", "joe@m.example"},
	{"masquerade m.example\nfrom_override no", "", "a@x.example", "a@m.example", "=", "=",
	 "a@m.example"},
	{"masquerade m.example\nfrom_override no", "", "a@m.example", "=", "=", "=", "="},
	{"masquerade m.example\nfrom_override no", "", "root", "root@m.example",
	 "root@m.example", "root@r.example", "root@m.example"},
	/* virtual_users come first */
	{"masquerade m.example", "root joe@v.example\n", "root", "joe@v.example", "joe@v.example",
	 "root@r.example", "joe@v.example"},
	{"from_override no\nmasquerade m.example", "ROOT: joe@v.example", "Root@r.example",
	 "joe@v.example", "joe@v.example", "=", "joe@v.example"},
	{"", "root joe@v.example\n", "root@x.example", "=", "=", "=", "="},
	{"", "root joe@v.example\n", "roo", "roo@r.example", "roo@r.example", "roo@r.example",
	 "roo@r.example"},
	{"", "root root@r.example\n", "root@r.example", "=", "=", "=", "="},
	/* The null sender. */
	{"masquerade joe@m.example\nfrom_override no\nqualify q.example", "", "", NULL, NULL, NULL,
	 "="},
};

static void
expect_role(struct rewrite *r, enum header_role role, const char *in, const char *want)
{
	struct buf out = {0};

	if (!want)
		return;
	if (!rewrite_address(r, role, str_of(in), &out)) {
		assert_int_equal(out.len, 0);
		buf_puts(&out, "=");
	}
	assert_string_equal(buf_cstr(&out), want);
	buf_free(&out);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct conf conf;
		struct rewrite_users users;
		struct buf problems = {0}, out = {0};

		conf_init(&conf);
		conf_parse(&conf, STR("mailname r.example"), "f", no_complaint, NULL);
		conf_parse(&conf, str_of(cases[i].conf), cases[i].conf, no_complaint, NULL);
		conf_finish(&conf, "other.example", no_complaint, NULL);
		rewrite_parse_users(&users, str_of(cases[i].users), note_problem, &problems);
		assert_int_equal(problems.len, 0);

		struct rewrite r = {&conf, &users};
		expect_role(&r, HEADER_FROM, cases[i].in, cases[i].from);
		expect_role(&r, HEADER_SENDER, cases[i].in, cases[i].sender);
		expect_role(&r, HEADER_RCPT, cases[i].in, cases[i].to);
		rewrite_sender(&r, str_of(cases[i].in), &out);
		const char *want = cases[i].envelope;
		assert_string_equal(buf_cstr(&out), strcmp(want, "=") ? want : cases[i].in);
		rewrite_free_users(&users);
		conf_free(&conf);
		buf_free(&out);
	}
}

static void
test_users(void **state)
{
	static const char text[] =
		"# who is who\n"
		"\n"
		"root joe@v.example\n"
		"  ann\t:\tAnn <ann@v.example> \r\n"
		"o'neil:a@v.example\n"
		"bare\n"
		"colon:\n"
		"nowhere root\n"
		"two a@b c@d\n"
		"joe@x a@v.example\n"
		"ROOT other@v.example\n"
		": a@v.example\n"
		"last \"l l\"@v.example";
	static const char *const want[][2] = {
		{"root", "joe@v.example"}, {"ann", "ann@v.example"}, {"o'neil", "a@v.example"},
		{"last", "\"l l\"@v.example"},
	};
	struct buf problems = {0};
	struct rewrite_users users;
	struct conf conf;

	(void)state;
	conf_init(&conf);
	conf_finish(&conf, "r.example", no_complaint, NULL);
	rewrite_parse_users(&users, str_of(text), note_problem, &problems);
	assert_string_equal(buf_cstr(&problems),
			    "6 no address: bare\n"
			    "7 no address: colon:\n"
			    "8 an address without a domain: nowhere root\n"
			    "9 more than one word and no address in <>: two a@b c@d\n"
			    "10 not the name of a user: joe@x a@v.example\n"
			    "11 defined before, which counts: ROOT other@v.example\n"
			    "12 not the name of a user: : a@v.example\n");
	assert_int_equal(users.errors, 7);
	assert_int_equal(users.names.count, 4);
	struct rewrite r = {&conf, &users};
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		expect_role(&r, HEADER_FROM, want[i][0], want[i][1]);
	expect_role(&r, HEADER_FROM, "nowhere", "nowhere@r.example");
	rewrite_free_users(&users);
	assert_int_equal(users.names.count, 0);
	conf_free(&conf);
	buf_free(&problems);
}

/* More users than fit at first. */
static void
test_many_users(void **state)
{
	struct buf text = {0}, problems = {0}, name = {0}, want = {0};
	struct rewrite_users users;
	struct conf conf;

	(void)state;
	conf_init(&conf);
	conf_finish(&conf, "r.example", no_complaint, NULL);
	for (int i = 0; i < 1000; i++)
		buf_print(&text, "user%d a%d@v.example\n", i, 999 - i);
	rewrite_parse_users(&users, buf_view(&text), note_problem, &problems);
	assert_int_equal(users.errors, 0);
	struct rewrite r = {&conf, &users};
	for (int i = 0; i < 1000; i++) {
		name.len = want.len = 0;
		buf_print(&name, "user%d@localhost", i);
		buf_print(&want, "a%d@v.example", 999 - i);
		expect_role(&r, HEADER_SENDER, buf_cstr(&name), buf_cstr(&want));
	}
	rewrite_free_users(&users);
	conf_free(&conf);
	buf_free(&text);
	buf_free(&name);
	buf_free(&want);
}

/* An address has at most LIMIT_ADDRESS bytes, whatever it would become. */
static void
test_long(void **state)
{
	struct rewrite_users users = {0};
	struct buf in = {0}, out = {0};
	struct conf conf;

	(void)state;
	conf_init(&conf);
	conf_finish(&conf, "r.example", no_complaint, NULL);
	struct rewrite r = {&conf, &users};
	for (size_t len = LIMIT_ADDRESS - 12; len <= LIMIT_ADDRESS; len++) {
		bool fits = len + sizeof "@r.example" - 1 <= LIMIT_ADDRESS;
		in.len = out.len = 0;
		memset(buf_room(&in, len), 'x', len);
		in.len = len;
		assert_int_equal(rewrite_address(&r, HEADER_RCPT, buf_view(&in), &out), fits);
		assert_int_equal(out.len, fits ? len + 10 : 0);
		out.len = 0;
		rewrite_sender(&r, buf_view(&in), &out);
		assert_int_equal(out.len, fits ? len + 10 : len);
	}
	conf_free(&conf);
	buf_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_many_users),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
