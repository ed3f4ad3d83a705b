/* SPDX-License-Identifier: ISC */
#include "route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
complain(void *ctx, enum conf_severity severity, const char *source, unsigned line, const char *what)
{
	(void)ctx;
	(void)severity;
	fail_msg("%s:%u: %s", source, line, what);
}

static void
configure(struct conf *c, const char *text)
{
	conf_init(c);
	conf_parse(c, str_of(text), "f", complain, NULL);
	conf_finish(c, "router.example", complain, NULL);
}

static void
test_find(void **state)
{
	static const struct {
		const char *conf, *address;
		enum route_kind kind;
		const char *to, *told, *domain;
	} cases[] = {
		/* A device with mailboxes, by MX. */
		{"", "joe", ROUTE_LOCAL, "joe", "joe@router.example", ""},
		{"", "joe@Router.Example", ROUTE_LOCAL, "joe@Router.Example",
		 "joe@Router.Example", ""},
		{"local_domains lan", "joe@lan", ROUTE_LOCAL, "joe@lan", "joe@lan", ""},
		{"", "joe@localhost", ROUTE_LOCAL, "joe@localhost", "joe@localhost", ""},
		{"", "joe@b.example", ROUTE_MX, "joe@b.example", "joe@b.example", "b.example"},
		{"", "\"a@b c\"@b.example", ROUTE_MX, "\"a@b c\"@b.example", "\"a@b c\"@b.example",
		 "b.example"},
		/* With a smarthost. */
		{"smarthost s.example", "joe", ROUTE_LOCAL, "joe", "joe@router.example", ""},
		{"smarthost s.example", "joe@b.example", ROUTE_SMARTHOST, "joe@b.example",
		 "joe@b.example", ""},
		/* No users of its own. */
		{"adminaddr a@b.example", "root", ROUTE_MX, "a@b.example", "a@b.example",
		 "b.example"},
		{"adminaddr a@b.example", "x@c.example", ROUTE_MX, "x@c.example", "x@c.example",
		 "c.example"},
		{"adminaddr a@b.example\nsmarthost s.example", "root@localhost", ROUTE_SMARTHOST,
		 "a@b.example", "a@b.example", ""},
		{"adminaddr joe", "root", ROUTE_LOCAL, "joe", "joe@router.example", ""},
		/* Everything to the smarthost. */
		{"nullclient\nsmarthost s.example", "joe", ROUTE_SMARTHOST, "joe",
		 "joe@router.example", ""},
		{"nullclient\nsmarthost s.example", "joe@localhost", ROUTE_SMARTHOST,
		 "joe@localhost", "joe@router.example", ""},
		{"nullclient\nsmarthost s.example", "joe@router.example", ROUTE_SMARTHOST,
		 "joe@router.example", "joe@router.example", ""},
		{"nullclient\nsmarthost s.example\nadminaddr a@b.example", "root", ROUTE_SMARTHOST,
		 "a@b.example", "a@b.example", ""},
		{"nullclient\nsmarthost s.example\nadminaddr a@b.example", "root@router.example",
		 ROUTE_SMARTHOST, "root@router.example", "root@router.example", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf told = {0};
		struct conf c;

		configure(&c, cases[i].conf);
		struct route r = route_find(&c, str_of(cases[i].address));
		assert_int_equal(r.kind, cases[i].kind);
		assert_true(str_eq(r.address, str_of(cases[i].to)));
		assert_true(str_eq(r.domain, str_of(cases[i].domain)));
		if (r.kind == ROUTE_MX)
			assert_true(r.key > ROUTE_SMARTHOST);
		else
			assert_int_equal(r.key, r.kind);
		route_print_address(&c, &r, &told);
		assert_string_equal(buf_cstr(&told), cases[i].told);
		buf_free(&told);
		conf_free(&c);
	}
}

static void
test_same(void **state)
{
	struct conf c;

	(void)state;
	configure(&c, "");
	struct route local = route_find(&c, STR("joe"));
	struct route mx = route_find(&c, STR("a@mail.example"));
	struct route same = route_find(&c, STR("b@MAIL.Example"));
	struct route other = route_find(&c, STR("a@mail2.example"));
	assert_int_equal(mx.key, same.key);
	assert_true(route_same(&mx, &same));
	assert_int_not_equal(mx.key, other.key);
	assert_false(route_same(&mx, &other));
	assert_false(route_same(&mx, &local));
	/* A shared key is not enough. */
	other.key = mx.key;
	assert_false(route_same(&mx, &other));
	conf_free(&c);
}

static void
test_mailbox(void **state)
{
	static const struct {
		const char *mailbox, *address, *path;
	} cases[] = {
		{"/var/mail/%u", "joe", "/var/mail/joe"},
		{"/var/mail/%u", "Joe@Router.Example", "/var/mail/joe"},
		{"/home/%u/mbox-%u", "joe", "/home/joe/mbox-joe"},
		{"/root/mbox", "joe", "/root/mbox"},
		{"/a%%u/%%%u%%", "joe", "/a%u/%joe%"},
		{"/var/mail/%u", "\"j o\\\"e\"@lan", "/var/mail/j o\"e"},
		{"/var/mail/%u", "a..b", "/var/mail/a..b"},
		{"/var/mail/%u", "...", "/var/mail/..."},
		{"/var/mail/%u", "100%u", "/var/mail/100%u"},
		{"/var/mail/%u", "..", NULL},
		{"/var/mail/%u", "\".\"@lan", NULL},
		{"/var/mail/%u", "../root", NULL},
		{"/var/mail/%u", "\"a\\/b\"@lan", NULL},
		{"/var/mail/%u", "\"\"@lan", NULL},
		{"/root/mbox", "a/b", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf path = {0}, line = {0};
		struct conf c;

		buf_print(&line, "mailbox %s", cases[i].mailbox);
		configure(&c, buf_cstr(&line));
		if (cases[i].path) {
			assert_int_equal(route_mailbox(&c, str_of(cases[i].address), &path), 0);
			assert_string_equal(buf_cstr(&path), cases[i].path);
		} else {
			assert_int_equal(route_mailbox(&c, str_of(cases[i].address), &path), -1);
			assert_int_equal(path.len, 0);
		}
		buf_free(&path);
		buf_free(&line);
		conf_free(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_mailbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
