/* SPDX-License-Identifier: ISC */
#include "route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "complain.h"

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
		{"", "joe", ROUTE_LOCAL, "joe", "joe@router.example", "joe"},
		{"", "joe@Router.Example", ROUTE_LOCAL, "joe@Router.Example",
		 "joe@Router.Example", "joe"},
		{"local_domains lan", "joe@lan", ROUTE_LOCAL, "joe@lan", "joe@lan", "joe"},
		{"", "joe@localhost", ROUTE_LOCAL, "joe@localhost", "joe@localhost", "joe"},
		{"", "joe@b.example", ROUTE_MX, "joe@b.example", "joe@b.example", "b.example"},
		{"", "\"a@b c\"@b.example", ROUTE_MX, "\"a@b c\"@b.example", "\"a@b c\"@b.example",
		 "b.example"},
		/* With a smarthost. */
		{"smarthost s.example", "joe", ROUTE_LOCAL, "joe", "joe@router.example", "joe"},
		{"smarthost s.example", "joe@b.example", ROUTE_SMARTHOST, "joe@b.example",
		 "joe@b.example", ""},
		/* No users of its own. */
		{"adminaddr a@b.example", "root", ROUTE_MX, "a@b.example", "a@b.example",
		 "b.example"},
		{"adminaddr a@b.example", "x@c.example", ROUTE_MX, "x@c.example", "x@c.example",
		 "c.example"},
		{"adminaddr a@b.example\nsmarthost s.example", "root@localhost", ROUTE_SMARTHOST,
		 "a@b.example", "a@b.example", ""},
		{"adminaddr joe", "root", ROUTE_LOCAL, "joe", "joe@router.example", "joe"},
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
		struct route r = route_find(&c, STR("me@router.example"), str_of(cases[i].address));
		assert_int_equal(r.kind, cases[i].kind);
		assert_true(str_eq(r.address, str_of(cases[i].to)));
		assert_true(str_eq(r.domain, str_of(cases[i].domain)));
		assert_int_equal(r.servers, r.kind == ROUTE_SMARTHOST);
		if (r.kind == ROUTE_MX)
			assert_in_range(r.key, ROUTE_FIRST_KEY, ROUTE_LOCAL_KEY - 1);
		else if (r.kind == ROUTE_LOCAL)
			assert_in_range(r.key, ROUTE_LOCAL_KEY, UINT32_MAX - 1);
		else
			assert_int_equal(r.key, ROUTE_SMARTHOST_KEY + 1);
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
	struct route local = route_find(&c, STR(""), STR("joe"));
	struct route mx = route_find(&c, STR(""), STR("a@mail.example"));
	struct route same = route_find(&c, STR(""), STR("b@MAIL.Example"));
	struct route other = route_find(&c, STR(""), STR("a@mail2.example"));
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

/* Which of up to eight smarthosts take a sender's mail: bit 0 is the first line. */
static void
test_sender(void **state)
{
	static const char two_shops[] =
		"smarthost a from=*@shop.example\nsmarthost b from=joe@shop.example\n"
		"smarthost c\nsmarthost d from=@Other.Example\nsmarthost e from=<>\nsmarthost f\n";
	static const struct {
		const char *conf, *sender;
		unsigned servers;
	} cases[] = {
		{two_shops, "ann@shop.example", 1},
		{two_shops, "ANN@Shop.Example", 1},
		{two_shops, "joe@shop.example", 3},
		{two_shops, "Joe@SHOP.example", 3},
		{two_shops, "ann@other.example", 1 << 3},
		{two_shops, "ann@another.example", 1 << 2 | 1 << 5},
		{two_shops, "ann@my.shop.example", 1 << 2 | 1 << 5},
		{two_shops, "", 1 << 4},
		/* A domain by itself; wildcards in it. */
		{"smarthost a from=shop.example", "joe@shop.example", 1},
		{"smarthost a from=*.example", "joe@a.b.example", 1},
		{"smarthost a from=@*.example", "joe@example", 0},
		{"smarthost a from=*", "joe@a.example", 1},
		{"smarthost a from=*", "", 0},
		{"smarthost a from=@*", "", 0},
		{"smarthost a from=*@*", "", 0},
		{"smarthost a from=<>", "joe@a.example", 0},
		{"smarthost a from=shop.example", "\"a@shop.example\"@b.example", 0},
		/* Wildcards anywhere, and more than one. */
		{"smarthost a from=cron-*@*", "cron-7@a.example", 1},
		{"smarthost a from=cron-*@*", "xcron-7@a.example", 0},
		{"smarthost a from=*a*a*b@x", "aaaaaaab@x", 1},
		{"smarthost a from=*a*a*b@x", "aaaaaaaa@x", 0},
		{"smarthost a from=a*@x", "a@x", 1},
		{"smarthost a from=a@x**", "a@x", 1},
		{"smarthost a from=a@x", "a@xy", 0},
		{"smarthost a from=a@xy", "a@x", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct conf c;

		configure(&c, cases[i].conf);
		struct route r = route_find(&c, str_of(cases[i].sender), STR("x@mail.example"));
		assert_int_equal(r.kind, ROUTE_SMARTHOST);
		if (r.servers != cases[i].servers)
			fail_msg("%s: %s: %u", cases[i].conf, cases[i].sender, r.servers);
		assert_int_equal(r.key, ROUTE_SMARTHOST_KEY + r.servers);
		assert_true(r.key < ROUTE_FIRST_KEY);
		conf_free(&c);
	}
}

static void
test_same_servers(void **state)
{
	struct conf c;

	(void)state;
	configure(&c, "smarthost a from=x.example\nsmarthost b from=y.example\n");
	struct route x = route_find(&c, STR("a@x.example"), STR("joe@mail.example"));
	struct route same = route_find(&c, STR("b@x.example"), STR("ann@other.example"));
	struct route y = route_find(&c, STR("a@y.example"), STR("joe@mail.example"));
	struct route nobodys = route_find(&c, STR("a@z.example"), STR("joe@mail.example"));
	assert_true(route_same(&x, &same));
	assert_false(route_same(&x, &y));
	assert_int_not_equal(x.key, y.key);
	assert_false(route_same(&x, &nobodys));
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_same_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
