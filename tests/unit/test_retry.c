/* SPDX-License-Identifier: ISC */
#include "retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY };

static const int64_t today = 1795341234;
static const struct journal unbound = {0};
static const struct retry_policy policy = {MINUTE, 4 * HOUR};

static struct journal_rcpt
deferred(uint32_t attempts, struct stamp last_at)
{
	return (struct journal_rcpt){.attempts = attempts, .last_at = last_at};
}

static int64_t
wait_for(uint32_t attempts, struct stamp last_at, struct stamp now)
{
	struct journal_rcpt r = deferred(attempts, last_at);

	return retry_wait(&policy, &r, 42, &now);
}

static void
test_new_is_due(void **state)
{
	(void)state;
	assert_int_equal(wait_for(0, (struct stamp){today, 0, 1, true},
				  (struct stamp){today, 0, 1, true}), 0);
}

static void
test_growth(void **state)
{
	static const int64_t want[] = {60, 90, 135, 203, 305, 458, 687, 1031, 1547, 2321,
				       3482, 5223, 7835, 11753, 14400, 14400};
	struct stamp at = {today, 1000, 1, true};
	bool spread = false;

	(void)state;
	for (uint32_t n = 1; n <= 16; n++) {
		int64_t wait = wait_for(n, at, at), exact = want[n - 1];
		assert_in_range(wait, exact * 88 / 100, exact * 112 / 100);
		assert_int_equal(wait_for(n, at, at), wait);
		spread |= wait != exact;
	}
	assert_true(spread);
	assert_in_range(wait_for(UINT32_MAX, at, at), 12672, 16128);
}

static void
test_jitter_differs(void **state)
{
	struct stamp at = {today, 1000, 1, true};
	struct journal_rcpt r = deferred(8, at);
	int64_t low = INT64_MAX, high = 0, sum = 0;

	(void)state;
	for (uint32_t salt = 0; salt < 1000; salt++) {
		int64_t wait = retry_wait(&policy, &r, salt, &at);
		low = wait < low ? wait : low;
		high = wait > high ? wait : high;
		sum += wait;
	}
	assert_in_range(low, 908, 925);
	assert_in_range(high, 1137, 1154);
	assert_in_range(sum / 1000, 1010, 1052);
}

static void
test_odd_policies(void **state)
{
	struct stamp at = {today, 1000, 1, true};
	struct journal_rcpt r = deferred(50, at);

	(void)state;
	assert_int_equal(retry_wait(&(struct retry_policy){0, 0}, &r, 1, &at), 1);
	assert_int_equal(retry_wait(&(struct retry_policy){1, 2}, &r, 1, &at), 2);
	assert_in_range(retry_wait(&(struct retry_policy){0, 100}, &r, 1, &at), 88, 112);
	assert_in_range(retry_wait(&(struct retry_policy){300, 100}, &r, 1, &at), 88, 112);
	assert_true(retry_wait(&(struct retry_policy){1, UINT64_MAX}, &r, 1, &at) > YEAR);
	assert_true(retry_wait(&(struct retry_policy){UINT64_MAX, UINT64_MAX}, &r, 1, &at) >
		    YEAR);
}

/* A minute's wait, begun at a clock of one kind and looked at by another. */
static void
test_clocks(void **state)
{
	static const struct {
		const char *name;
		struct stamp last, now;
		int64_t passed; /* seconds of the wait that count; MINUTE: due */
	} cases[] = {
		{"same boot", {today, 1000, 1, 1}, {today + 20, 21000, 1, 1}, 20},
		{"same boot, set back", {today, 9000000, 1, 1}, {today, 21000, 1, 1}, 21},
		{"same boot, set back, due", {today, 9000000, 1, 1}, {today, 81000, 1, 1}, 81},
		{"same boot, due", {today, 1000, 1, 1}, {today + 90, 91000, 1, 1}, MINUTE + 30},
		{"1970", {20, 1000, 1, 0}, {40, 21000, 1, 0}, 20},
		{"2038", {0x7ffffff0, 1000, 1, 1}, {0x80000004, 21000, 1, 1}, 20},
		{"2080", {3471292800, 1000, 1, 1}, {3471292820, 21000, 1, 1}, 20},
		{"back 3 days", {today, 1000, 1, 1}, {today - 3 * DAY, 21000, 1, 1}, 20},
		{"56 years at NTP", {20, 1000, 1, 0}, {today, 21000, 1, 1}, 20},
		{"56 years, believed", {today, 1000, 1, 1},
			{today + 56LL * YEAR, 21000, 1, 1}, 20},
		{"reboot, wall", {today, 9000000, 1, 1}, {today + 30, 21000, 2, 1}, 30},
		{"reboot, wall due", {today, 9000000, 1, 1}, {today + DAY, 1000, 2, 1}, DAY},
		{"reboot into 1970", {today, 9000000, 1, 1}, {20, 21000, 2, 0}, 21},
		{"reboot in 1970", {20, 9000000, 1, 0}, {20, 21000, 2, 0}, 21},
		{"reboot in 1970, due", {20, 9000000, 1, 0}, {80, 81000, 2, 0}, 81},
		{"reboot, back 3 days", {today, 9000000, 1, 1},
			{today - 3 * DAY, 21000, 2, 1}, 21},
		{"no boot id", {20, 1000, 0, 0}, {40, 21000, 0, 0}, 20},
		{"no boot id, long up", {20, 9000000, 0, 0}, {20, 9005000, 0, 0}, 5},
		{"no boot id, rebooted", {20, 9000000, 0, 0}, {20, 21000, 0, 0}, 21},
		{"no boot id, wall", {today, 1000, 0, 1}, {today + 50, 21000, 0, 1}, 50},
		{"boot id now known", {20, 1000, 0, 0}, {40, 21000, 2, 0}, 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t full = wait_for(1, cases[i].last, cases[i].last);
		int64_t want = full - cases[i].passed, got;
		got = wait_for(1, cases[i].last, cases[i].now);
		if (got != (want > 0 ? want : 0))
			fail_msg("%s: %lld", cases[i].name, (long long)got);
	}
}

/* The journal of a message that arrived at the first event and was deferred at each other;
 * with bounce_to, it failed at the second, and the bounce was deferred. */
static struct journal
history(const struct stamp *events, size_t count, const char *bounce_to, struct buf *log)
{
	static const struct envelope_rcpt rcpt = {.address = {"bob@mail.example", 16}};
	struct envelope e = {.arrived = events[0], .rcpts = &rcpt, .rcpt_count = 1};
	struct outcome later = outcome_make(TEMPFAIL, 4, 1, "later");
	struct outcome never = outcome_make(PERMFAIL, 1, 1, "never");
	struct journal j;

	for (size_t i = 1; i < count; i++) {
		if (bounce_to && i == 1) {
			journal_print_outcome(&unbound, &events[i], STR("0"), &never, log);
			journal_print_bounce(&unbound, &events[i], STR("0"), str_of(bounce_to), log);
		} else {
			journal_print_outcome(&unbound, &events[i], STR("*"), &later, log);
		}
	}
	journal_fold(buf_view(log), (struct str){0}, &e, &j);
	assert_int_equal(j.skipped, 0);
	return j;
}

static bool
expired(const struct stamp *events, size_t count, struct stamp now)
{
	struct buf log = {0};
	struct journal j = history(events, count, NULL, &log);
	bool is = retry_outlived(5 * DAY, &j, &j.rcpts[0], &now);

	journal_free(&j);
	buf_free(&log);
	return is;
}
#define EXPIRED(now, ...) expired((struct stamp[]){__VA_ARGS__}, \
	sizeof((struct stamp[]){__VA_ARGS__}) / sizeof(struct stamp), now)
#define NOW(...) ((struct stamp){__VA_ARGS__})

static void
test_expiry(void **state)
{
	const int64_t week = 7 * DAY * 1000LL, y56 = 56LL * YEAR;

	(void)state;
	/* Plainly: not at five days, but after. */
	assert_false(EXPIRED(NOW(today + 5 * DAY, 5LL * DAY * 1000, 1, 1), {today, 0, 1, 1},
			     {today + 9, 9000, 1, 1}));
	assert_true(EXPIRED(NOW(today + 5 * DAY + 1, 5LL * DAY * 1000 + 1000, 1, 1),
			    {today, 0, 1, 1}, {today + 9, 9000, 1, 1}));
	/* Never without an attempt, nor in the first hour of a boot. */
	assert_false(EXPIRED(NOW(today + 7 * DAY, week, 1, 1), {today, 0, 1, 1}));
	assert_false(EXPIRED(NOW(today + 7 * DAY, HOUR * 1000 - 1, 2, 1), {today, 0, 1, 1},
			     {today + 5 * DAY, 5LL * DAY * 1000, 1, 1}));
	assert_true(EXPIRED(NOW(today + 7 * DAY, HOUR * 1000, 2, 1), {today, 0, 1, 1},
			    {today + 5 * DAY, 5LL * DAY * 1000, 1, 1}));
	/* Clock steps within the boot: 1970 to now, 56 years on, 3 days back. */
	assert_false(EXPIRED(NOW(today, 2 * HOUR * 1000, 1, 1), {20, 0, 1, 0},
			     {30, 10000, 1, 0}));
	assert_false(EXPIRED(NOW(today + y56, 2 * HOUR * 1000, 1, 1), {today, 0, 1, 1},
			     {today + 9, 9000, 1, 1}));
	assert_true(EXPIRED(NOW(today - 3 * DAY, week, 1, 1), {today, 0, 1, 1},
			    {today + 9, 9000, 1, 1}));
	/* An RTC that says 2080 after a reboot, set right within the hour, in either order
	 * of attempt and correction, or by another reboot. */
	assert_false(EXPIRED(NOW(today + y56, 60000, 2, 1), {today, 0, 1, 1},
			     {today + 9, 9000, 1, 1}));
	assert_false(EXPIRED(NOW(today + DAY, 2 * HOUR * 1000, 2, 1), {today, 0, 1, 1},
			     {today + y56, 60000, 2, 1}));
	assert_false(EXPIRED(NOW(today + DAY, 2 * HOUR * 1000, 3, 1), {today, 0, 1, 1},
			     {today + y56, 60000, 2, 1}));
	/* Nor for as long as it lasts. */
	assert_false(EXPIRED(NOW(today + y56, DAY * 1000, 2, 1), {today, 0, 1, 1},
			     {today + y56, 60000, 2, 1}, {today + y56, 2 * HOUR * 1000, 2, 1}));
	/* A clock that never is set: what boots have seen of it counts. */
	assert_false(EXPIRED(NOW(2 * HOUR, 2 * HOUR * 1000, 9, 0), {today, 0, 1, 1},
			     {20, 10000, 2, 0}));
	assert_true(EXPIRED(NOW(7 * DAY, week, 2, 0), {20, 0, 1, 0}, {20, 10000, 2, 0}));
}

static void
test_expiry_of_final_and_bounce(void **state)
{
	const struct stamp events[] = {
		{today, 0, 1, 1},
		{today + 6 * DAY, 6LL * DAY * 1000, 1, 1},
		{today + 6 * DAY + 60, 6LL * DAY * 1000 + 60000, 1, 1},
	};
	struct buf log = {0};
	struct journal j = history(events, 3, "alice@router.example", &log);

	(void)state;
	assert_int_equal(j.count, 2);
	assert_int_equal(j.rcpts[0].fate, JOURNAL_FAILED);
	assert_int_equal(j.rcpts[1].attempts, 1);
	struct stamp soon = NOW(today + 7 * DAY, 7LL * DAY * 1000, 1, 1);
	struct stamp late = NOW(today + 12 * DAY, 12LL * DAY * 1000, 1, 1);
	/* A bounce made after six days is tried for five more. */
	assert_false(retry_outlived(5 * DAY, &j, &j.rcpts[1], &soon));
	assert_true(retry_outlived(5 * DAY, &j, &j.rcpts[1], &late));
	assert_false(retry_outlived(5 * DAY, &j, &j.rcpts[0], &late));
	journal_free(&j);
	buf_free(&log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_is_due),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_jitter_differs),
		cmocka_unit_test(test_odd_policies),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_expiry_of_final_and_bounce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
