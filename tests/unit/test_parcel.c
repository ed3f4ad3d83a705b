/* SPDX-License-Identifier: ISC */
#include "parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint32_t numbers[] = {3, UINT32_MAX};
static struct str rcpts[] = {{"joe@x.example", 13}, {"\"a b\"@y.example", 15}};
static struct notify notifies[2];

/* In memory of its own size, so that a look behind its end is seen. */
static int
parse(struct str payload, struct parcel *p)
{
	char *copy = malloc(payload.len);

	memcpy(copy, payload.ptr, payload.len);
	int rc = parcel_parse((struct str){copy, payload.len}, p);
	if (rc) {
		parcel_free(p);
		free(copy);
	}
	return rc;
}

static struct parcel
example(void)
{
	notifies[0] = (struct notify){NOTIFY_SUCCESS | NOTIFY_DELAY, STR("rfc822;joe@x.example")};
	return (struct parcel){
		.sender = STR("me@z.example"),
		.notify = {NOTIFY_HDRS, STR("q+3D1")},
		.offset = 412, .length = INT64_MAX,
		.facts = ENCODE_EIGHTBIT | ENCODE_OPAQUE,
		.by_data = true,
		.head = STR("Date: now\n12 me\n"), .tail = STR("\n--end--\n"),
		.rcpt_count = 2, .numbers = numbers, .rcpts = rcpts, .notifies = notifies,
	};
}

static void
assert_str(struct str is, struct str wanted)
{
	assert_int_equal(is.len, wanted.len);
	if (wanted.len)
		assert_memory_equal(is.ptr, wanted.ptr, wanted.len);
}

static void
assert_notify(const struct notify *is, const struct notify *wanted)
{
	assert_int_equal(is->asks, wanted->asks);
	assert_str(is->id, wanted->id);
}

/* Head and tail may look like what stands before them: only their lengths count. */
static void
test_round_trip(void **state)
{
	struct parcel in = example(), out;
	struct buf payload = {0};

	(void)state;
	parcel_print(&in, &payload);
	assert_int_equal(parcel_parse(buf_view(&payload), &out), 0);
	assert_str(out.sender, in.sender);
	assert_notify(&out.notify, &in.notify);
	assert_int_equal(out.offset, in.offset);
	assert_int_equal(out.length, in.length);
	assert_int_equal(out.facts, in.facts);
	assert_true(out.by_data);
	assert_str(out.head, in.head);
	assert_str(out.tail, in.tail);
	assert_int_equal(out.rcpt_count, 2);
	for (size_t n = 0; n < 2; n++) {
		assert_int_equal(out.numbers[n], numbers[n]);
		assert_str(out.rcpts[n], rcpts[n]);
		assert_notify(&out.notifies[n], &notifies[n]);
	}
	parcel_free(&out);
	buf_free(&payload);
}

/* A bounce: nobody sends it, and nothing surrounds it. */
static void
test_nothing_said(void **state)
{
	struct parcel in = {.rcpt_count = 1, .numbers = numbers, .rcpts = rcpts}, out;
	struct notify none = {0};
	struct buf payload = {0};

	(void)state;
	in.notifies = &none;
	parcel_print(&in, &payload);
	assert_int_equal(parcel_parse(buf_view(&payload), &out), 0);
	assert_int_equal(out.sender.len + out.head.len + out.tail.len, 0);
	assert_notify(&out.notify, &none);
	assert_notify(&out.notifies[0], &none);
	assert_false(out.by_data);
	parcel_free(&out);
	buf_free(&payload);
}

/* Less than all, or more, is nothing. */
static void
test_cut(void **state)
{
	struct parcel in = example(), out;
	struct buf payload = {0};

	(void)state;
	parcel_print(&in, &payload);
	for (size_t len = 0; len < payload.len; len++)
		assert_int_equal(parse(str_upto(buf_view(&payload), len), &out), -1);
	buf_putc(&payload, 'x');
	assert_int_equal(parse(buf_view(&payload), &out), -1);
	buf_free(&payload);
}

static void
test_malformed(void **state)
{
	static const char *const table[] = {
		"",
		"\n",
		"0 5 0 0 1 0 0 0\n",              /* the rest is missing */
		"0 5 0 0 0 0 0 0\n\n",            /* no recipient */
		"0 5 0 0 2 0 0 0\n\n0 a@x\n\n",   /* not so many */
		"0 5 0 0 9999 0 0 0\n\n0 a@x\n\n", /* nor could there be */
		"-1 5 0 0 1 0 0 0\n\n0 a@x\n\n",
		"0 9223372036854775808 0 0 1 0 0 0\n\n0 a@x\n\n",
		"0 5 128 0 1 0 0 0\n\n0 a@x\n\n", /* a fact that nobody knows */
		"0 5 0 2 1 0 0 0\n\n0 a@x\n\n",
		"0 5 0 0 1 1 0 0\n\n0 a@x\n\n",   /* lengths that lead behind the end */
		"0 5 0 0 1 x 0 0\n\n0 a@x\n\n",   /* or are none */
		"0 5 0 0 1 0 x 0\n\n0 a@x\n\n",
		"0 5 0 0 1 0 0 x\n\n0 a@x\n\n",
		"0 5 0 0 1 1 x 0\n\n0 a@x\n\ns",
		"0 5 0 0 1 0 1 x\n\n0 a@x\n\nh",
		"0 5 0 0 1 0 18446744073709551615 1\n\n0 a@x\n\n",
		"0 5 0 0 1 0 0 0\n\n4294967296 a@x\n\n",
		"0 5 0 0 1 0 0 0\n\na@x\n\n",
		"0 5 0 0 1 0 0 0\n NOTIFY=NEVER\n0 a@x\n\n",
		"0 5 0 0 1 0 0 0\n\n0 a@x\n RET=FULL\n",
	};
	struct parcel p;

	(void)state;
	for (size_t n = 0; n < sizeof table / sizeof *table; n++)
		if (parse(str_of(table[n]), &p) != -1)
			fail_msg("taken: %s", table[n]);
	assert_int_equal(parcel_parse(STR("0 5 0 0 1 0 0 0\n\n0 a@x\n\n"), &p), 0);
	parcel_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nothing_said),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
