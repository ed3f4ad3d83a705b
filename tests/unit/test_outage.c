/* SPDX-License-Identifier: ISC */
#include "outage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct route
mx(const char *domain, uint32_t key)
{
	return (struct route){.kind = ROUTE_MX, .domain = str_of(domain), .key = key};
}

static void
test_by_domain(void **state)
{
	struct outage_list l = {0};
	struct outcome why = outcome_make(TEMPFAIL, 4, 1, "refused");
	struct route dead = mx("a.example", 7), same_key = mx("b.example", 7);
	struct route smarthost = {.kind = ROUTE_SMARTHOST, .key = ROUTE_SMARTHOST_KEY};

	(void)state;
	assert_null(outage_find(&l, &dead, 0));
	assert_false(outage_may_be(&l, 7, 0));
	outage_add(&l, &dead, 400, 600, 9000, &why);
	assert_string_equal(outage_find(&l, &dead, 999)->text, "refused");
	assert_null(outage_find(&l, &dead, 1000));
	/* Whoever finds a domain of the same key brings nobody down with it. */
	assert_null(outage_find(&l, &same_key, 999));
	assert_true(outage_may_be(&l, 7, 999));
	assert_false(outage_may_be(&l, 7, 1000));
	assert_null(outage_find(&l, &smarthost, 999));
	outage_clear(&l);
}

/* Two senders' smarthosts: one being dead says nothing of the other. */
static void
test_by_servers(void **state)
{
	struct outage_list l = {0};
	struct outcome why = outcome_make(TEMPFAIL, 4, 1, "refused");
	struct route first = {.kind = ROUTE_SMARTHOST, .servers = 1, .key = ROUTE_SMARTHOST_KEY + 1};
	struct route second = {.kind = ROUTE_SMARTHOST, .servers = 2, .key = ROUTE_SMARTHOST_KEY + 2};

	(void)state;
	outage_add(&l, &first, 400, 600, 9000, &why);
	assert_non_null(outage_find(&l, &first, 999));
	assert_null(outage_find(&l, &second, 999));
	assert_true(outage_may_be(&l, first.key, 999));
	assert_false(outage_may_be(&l, second.key, 999));
	outage_clear(&l);
}

static void
test_full(void **state)
{
	struct outage_list l = {0};
	struct outcome why = outcome_make(TEMPFAIL, 4, 1, "refused");
	char name[32] = "x00.example";

	(void)state;
	for (int n = 0; n <= OUTAGES; n++) {
		name[1] = (char)('0' + n / 10);
		name[2] = (char)('0' + n % 10);
		struct route r = mx(name, (uint32_t)n + 10);
		outage_add(&l, &r, n, 1000, 9000, &why);
	}
	/* The one that would have ended first has made room. */
	struct route first = mx("x00.example", 10), second = mx("x01.example", 11);
	struct route last = mx("x32.example", 42);
	assert_null(outage_find(&l, &first, 1));
	assert_non_null(outage_find(&l, &second, 1));
	assert_non_null(outage_find(&l, &last, 1));
	outage_clear(&l);
}

/* Milliseconds until it may be tried again, after it failed at this time. */
static int64_t
quiet(struct outage_list *l, const struct route *r, int64_t now, const struct outcome *why)
{
	int64_t until = now;

	outage_add(l, r, now, 100, 400, why);
	while (outage_find(l, r, until))
		until++;
	return until - now;
}

/* Logins that are refused get rarer; whatever else is wrong may end at any time. */
static void
test_refused_logins(void **state)
{
	struct outage_list l = {0};
	struct outcome lost = outcome_make(TEMPFAIL, 4, 2, "lost"), refused = lost;
	struct route r = mx("a.example", 7), other = mx("b.example", 8);

	(void)state;
	refused.code = 535;
	assert_int_equal(quiet(&l, &r, 1, &lost), 100);
	assert_int_equal(quiet(&l, &r, 1000, &lost), 100);
	assert_int_equal(quiet(&l, &r, 2000, &refused), 100);
	assert_int_equal(quiet(&l, &r, 3000, &refused), 150);
	assert_int_equal(quiet(&l, &other, 3000, &refused), 100);
	assert_int_equal(quiet(&l, &r, 4000, &refused), 225);
	assert_int_equal(quiet(&l, &r, 5000, &refused), 337);
	assert_int_equal(quiet(&l, &r, 6000, &refused), 400);
	assert_int_equal(quiet(&l, &r, 7000, &refused), 400);
	assert_int_equal(quiet(&l, &r, 8000, &lost), 100);
	assert_int_equal(quiet(&l, &r, 9000, &refused), 100);
	assert_int_equal(quiet(&l, &r, 9900, &refused), 150);
	outage_end(&l, &r);
	assert_null(outage_find(&l, &r, 9901));
	assert_non_null(outage_find(&l, &other, 3001));
	assert_int_equal(quiet(&l, &r, 10000, &refused), 100);
	outage_clear(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_domain),
		cmocka_unit_test(test_by_servers),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_refused_logins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
