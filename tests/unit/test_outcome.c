/* SPDX-License-Identifier: ISC */
#include "outcome.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>
#include <cmocka.h>

static void
expect_status(const struct outcome *o, const char *want)
{
	struct buf b = {0};

	outcome_print_status(o, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void
test_zero_value_delays(void **state)
{
	struct outcome o = {0};

	(void)state;
	assert_int_equal(o.verdict, TEMPFAIL);
	expect_status(&o, "4.0.0");
	assert_int_equal(outcome_sysexit(&o), EX_TEMPFAIL);
	assert_string_equal(outcome_word(&o), "deferred");
}

static void
test_text_is_one_safe_line(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a\r\nb\tc\033[1m\177", "a??b?c?[1m?"},
		{"gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200"},
		{"csi \302\233m", "csi ??m"},           /* a C1 control */
		{"latin \374 end", "latin ? end"},      /* no UTF-8 */
		{"cut \342\202", "cut ??"},             /* ends within a character */
		{"long \300\257", "long ??"},           /* overlong '/' */
		{"half \355\240\200", "half ???"},      /* a surrogate */
		{"over \364\220\200\200", "over ????"}, /* above U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct outcome o = outcome_make(PERMFAIL, 1, 1, "%s", cases[i].in);
		assert_string_equal(o.text, cases[i].out);
	}
}

static void
test_text_is_bounded(void **state)
{
	char fits[LIMIT_OUTCOME_TEXT], wide[2 * LIMIT_OUTCOME_TEXT + 2];
	struct outcome o;

	(void)state;
	memset(fits, 'x', sizeof fits - 1);
	fits[sizeof fits - 1] = '\0';
	o = outcome_make(TEMPFAIL, 0, 0, "%s", fits);
	assert_string_equal(o.text, fits);
	o = outcome_make(TEMPFAIL, 0, 0, "%sy", fits);
	assert_int_equal(strlen(o.text), sizeof o.text - 1);
	assert_string_equal(o.text + strlen(o.text) - 4, "x...");

	/* Two bytes a character, at each alignment: the cut stands between two. */
	for (size_t shift = 0; shift < 2; shift++) {
		memset(wide, 'x', sizeof wide);
		for (size_t i = shift; i + 2 < sizeof wide; i += 2)
			memcpy(wide + i, "\303\274", 2);
		wide[sizeof wide - 2] = '\0';
		o = outcome_make(TEMPFAIL, 0, 0, "%s", wide);
		assert_true(strlen(o.text) < sizeof o.text);
		assert_string_equal(o.text + strlen(o.text) - 5, "\303\274...");
		assert_null(strchr(o.text, '?'));
	}
}

static void
test_errno_never_bounces(void **state)
{
	static const struct {
		int err;
		const char *status;
	} cases[] = {
		{ENOSPC, "4.3.1"}, {EDQUOT, "4.2.2"}, {EIO, "4.3.0"}, {EACCES, "4.2.0"},
		{ECONNREFUSED, "4.4.1"}, {ECONNRESET, "4.4.2"}, {ENOMEM, "4.3.0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct outcome o = outcome_from_errno(cases[i].err, "opening /var/mail/joe");
		expect_status(&o, cases[i].status);
		assert_int_equal(o.code, 0);
	}
	for (int err = 0; err < 200; err++)
		assert_int_equal(outcome_from_errno(err, "x").verdict, TEMPFAIL);
	assert_string_equal(outcome_from_errno(EACCES, "opening x").text,
			    "opening x: Permission denied");
	struct outcome o = outcome_from_file(ENOSPC, "writing to", "/var/mail/joe");
	assert_string_equal(o.text, "writing to /var/mail/joe: No space left on device");
	assert_int_equal(o.subject, 3);
	assert_int_equal(o.detail, 1);
}

static void
test_reply(void **state)
{
	static const struct {
		unsigned code;
		const char *text, *status, *words;
		enum verdict verdict;
	} cases[] = {
		{250, "2.1.5 Ok", "2.1.5", "Ok", DELIVERED},
		{250, "ok queued", "2.0.0", "ok queued", DELIVERED},
		{550, "5.7.1  Relaying denied ", "5.7.1", "Relaying denied", PERMFAIL},
		{550, "No such user", "5.1.1", "No such user", PERMFAIL},
		{552, "too big", "5.3.4", "too big", PERMFAIL},
		{553, "odd", "5.1.3", "odd", PERMFAIL},
		{554, "no", "5.0.0", "no", PERMFAIL},
		{250, "", "2.0.0", "", DELIVERED},
		{599, "", "5.0.0", "the server gave no reason", PERMFAIL},
		{450, "4.3.2 ", "4.3.2", "the server gave no reason", TEMPFAIL},
		{421, "bye", "4.3.2", "bye", TEMPFAIL},
		{450, "busy", "4.2.0", "busy", TEMPFAIL},
		{451, "4.7.1 Greylisted", "4.7.1", "Greylisted", TEMPFAIL},
		{451, "local", "4.3.0", "local", TEMPFAIL},
		{452, "full", "4.3.1", "full", TEMPFAIL},
		{455, "?", "4.0.0", "?", TEMPFAIL},
		{354, "go on", "4.0.0", "go on", TEMPFAIL},
		/* Disagreeing, malformed or misplaced: words like any other. */
		{450, "5.1.1 liar", "4.2.0", "5.1.1 liar", TEMPFAIL},
		{550, "2.0.0 liar", "5.1.1", "2.0.0 liar", PERMFAIL},
		{354, "4.1.1 liar", "4.0.0", "4.1.1 liar", TEMPFAIL},
		{550, "5.1.1000 x", "5.1.1", "5.1.1000 x", PERMFAIL},
		{554, "5.1 x", "5.0.0", "5.1 x", PERMFAIL},
		{554, "5.1.1.1 x", "5.0.0", "5.1.1.1 x", PERMFAIL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct outcome o = outcome_from_reply(cases[i].code, str_of(cases[i].text));
		expect_status(&o, cases[i].status);
		assert_string_equal(o.text, cases[i].words);
		assert_int_equal(o.verdict, cases[i].verdict);
		assert_int_equal(o.code, cases[i].code);
	}
}

/* What is about us is told by the code, or by the status of a permanent refusal. */
static void
test_login(void **state)
{
	static const struct {
		unsigned code;
		const char *text;
		bool login;
	} cases[] = {
		{530, "5.7.0 Authentication required", true},
		{530, "Must issue a STARTTLS command first", true},
		{534, "5.7.9 too weak", true},
		{535, "wrong", true},
		{538, "5.7.11 in clear", true},
		{550, "5.7.8 who are you", true},
		{554, "5.7.9 too weak", true},
		{550, "5.7.10 TLS first", true},
		{550, "5.7.11 TLS first", true},
		{550, "5.7.0 spam", false},
		{554, "5.7.1 relay access denied", false},
		{550, "5.7.7 altered", false},
		{550, "5.7.12 no", false},
		{550, "5.1.8 no", false},
		{533, "no", false},
		{454, "4.7.0 not now", false},
		{451, "4.7.8 not now", false},
		{432, "4.7.12 change it", false},
		{250, "2.7.8 well", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outcome o = outcome_from_reply(cases[i].code, str_of(cases[i].text));
		if (outcome_is_login(&o) != cases[i].login)
			fail_msg("%u %s", cases[i].code, cases[i].text);
	}
}

static void
test_exit(void **state)
{
	static const struct {
		int status;
		const char *enhanced;
		int back;
	} cases[] = {
		{0, "2.0.0", 0},
		{EX_USAGE, "5.3.5", EX_UNAVAILABLE},
		{EX_DATAERR, "5.6.0", EX_UNAVAILABLE},
		{EX_NOUSER, "5.1.1", EX_NOUSER},
		{EX_NOHOST, "5.1.2", EX_UNAVAILABLE},
		{EX_UNAVAILABLE, "5.3.0", EX_UNAVAILABLE},
		{EX_SOFTWARE, "5.3.0", EX_UNAVAILABLE},
		{EX_CANTCREAT, "5.2.0", EX_UNAVAILABLE},
		{EX_NOPERM, "5.7.1", EX_NOPERM},
		{EX_TEMPFAIL, "4.3.0", EX_TEMPFAIL},
		{1, "4.3.0", EX_TEMPFAIL},
		{127, "4.3.0", EX_TEMPFAIL},
		{EX_OSERR, "4.3.0", EX_TEMPFAIL},
		{EX_CONFIG, "4.3.0", EX_TEMPFAIL},
	};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		o = outcome_from_exit(cases[i].status << 8, "|filter");
		expect_status(&o, cases[i].enhanced);
		assert_int_equal(outcome_sysexit(&o), cases[i].back);
	}
	o = outcome_from_exit(9, "|filter");
	expect_status(&o, "4.3.0");
	assert_string_equal(o.text, "|filter: killed by signal 9");
	assert_string_equal(outcome_from_exit(3 << 8, "|filter").text, "|filter: exit status 3");
}

static void
test_parse_status(void **state)
{
	static const char *const bad[] = {
		"", "4", "4.7", "4.7.", "4..1", "3.0.0", "44.1.1", "4.1000.1", "4.0.0001",
		"4.7.1 ", "4.7.1.1", ".7.1", "4.-7.1",
	};
	struct outcome o = {0};

	(void)state;
	assert_int_equal(outcome_parse_status(STR("5.999.0"), &o), 0);
	expect_status(&o, "5.999.0");
	assert_string_equal(outcome_word(&o), "bounced");
	assert_int_equal(outcome_parse_status(STR("2.1.5"), &o), 0);
	assert_string_equal(outcome_word(&o), "sent");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(outcome_parse_status(str_of(bad[i]), &o), -1);
	expect_status(&o, "2.1.5");
}

static void
test_final(void **state)
{
	static const struct {
		struct outcome o;
		int exit;
		const char *reply;
	} cases[] = {
		{{.verdict = DELIVERED, .code = 250}, EX_OK, "250 2.0.0"},
		{{.verdict = TEMPFAIL, .subject = 4, .detail = 1}, EX_TEMPFAIL, "4.4.1"},
		{{.verdict = TEMPFAIL, .code = 421, .subject = 7}, EX_TEMPFAIL, "421 4.7.0"},
		{{.verdict = TEMPFAIL, .code = 535, .subject = 7, .detail = 8}, EX_NOPERM, "535 4.7.8"},
		{{.verdict = TEMPFAIL, .subject = 7, .detail = 5}, EX_NOPERM, "4.7.5"},
		{{.verdict = PERMFAIL, .subject = 1, .detail = 1, .code = 550}, EX_NOUSER, "550 5.1.1"},
		{{.verdict = PERMFAIL, .subject = 1, .detail = 10}, EX_UNAVAILABLE, "5.1.10"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = {0};
		assert_int_equal(outcome_final_sysexit(&cases[i].o), cases[i].exit);
		outcome_print_reply(&cases[i].o, &out);
		assert_string_equal(buf_cstr(&out), cases[i].reply);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_value_delays),
		cmocka_unit_test(test_text_is_one_safe_line),
		cmocka_unit_test(test_text_is_bounded),
		cmocka_unit_test(test_errno_never_bounces),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_parse_status),
		cmocka_unit_test(test_final),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
