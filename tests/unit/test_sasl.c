/* SPDX-License-Identifier: ISC */
#include "codec.h"
#include "fmt.h"
#include "sasl.h"

#include <bearssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* RFC 7677 section 3. */
#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT64 "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SERVER_FIRST "r=" SERVER_NONCE ",s=" SALT64 ",i=4096"
#define CLIENT_FINAL "c=biws,r=" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define NO_SIGNATURE "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char out[LIMIT_SASL];

static void
begin(struct sasl *s, const char *mechanism, const char *user, const char *password)
{
	assert_int_equal(sasl_pick(s, str_of(mechanism), STR("")), 0);
	sasl_start(s, str_of(user), str_of(password), STR(NONCE));
}

static void
expect(struct sasl *s, struct str challenge, struct str want)
{
	const char *why = NULL;
	ptrdiff_t n = sasl_step(s, challenge, out, sizeof out, &why);

	assert_null(why);
	assert_int_equal(n, want.len);
	assert_memory_equal(out, want.ptr, want.len);
}

static void
expect_failure(struct sasl *s, const char *challenge, const char *words)
{
	const char *why = NULL;

	assert_int_equal(sasl_step(s, str_of(challenge), out, sizeof out, &why), -1);
	assert_non_null(why);
	assert_non_null(strstr(why, words));
}

static void
test_pick(void **state)
{
	static const struct {
		const char *offered, *allowed, *name;
	} cases[] = {
		{"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "", "SCRAM-SHA-256"},
		{"login plain", "", "PLAIN"},
		{"LOGIN", "", "LOGIN"},
		{"LOGIN cram-md5 ", "", "CRAM-MD5"},
		{"PLAIN LOGIN CRAM-MD5", "login plain", "LOGIN"},
		{"PLAIN LOGIN CRAM-MD5", "XOAUTH2,plain", "PLAIN"},
		{"GSSAPI NTLM", "", NULL},
		{"", "", NULL},
		{"PLAINX XPLAIN SCRAM-SHA-256-PLUS", "", NULL},
		{"PLAIN", "LOGIN", NULL},
		{"PLAIN", " ", NULL},
	};
	struct sasl s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int rc = sasl_pick(&s, str_of(cases[i].offered), str_of(cases[i].allowed));
		assert_int_equal(rc, cases[i].name ? 0 : -1);
		if (rc == 0)
			assert_string_equal(sasl_name(&s), cases[i].name);
	}
}

static void
test_plain(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "PLAIN", "tim", "tan=stan,staaf");
	assert_true(sasl_client_first(&s));
	expect(&s, STR(""), STR("\0tim\0tan=stan,staaf"));
	assert_int_equal(sasl_finish(&s, &why), 0);
	expect_failure(&s, "", "last step");

	sasl_start(&s, (struct str){"a\0b", 3}, STR("x"), STR(NONCE));
	expect_failure(&s, "", "NUL");
	sasl_start(&s, STR("x"), (struct str){"a\0b", 3}, STR(NONCE));
	expect_failure(&s, "", "NUL");
}

static void
test_login(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "LOGIN", "tim", "secret");
	assert_false(sasl_client_first(&s));
	expect(&s, STR("Benutzername:"), STR("tim"));
	expect(&s, STR(""), STR("secret"));
	assert_int_equal(sasl_finish(&s, &why), 0);
	expect_failure(&s, "Password:", "last step");
}

static void
test_cram_md5(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "CRAM-MD5", "tim", "tanstaaftanstaaf");
	assert_false(sasl_client_first(&s));
	expect(&s, STR("<1896.697170952@postoffice.reston.mci.net>"),
	       STR("tim b913a602c7eda7a495b4e6e7334d3890"));
	assert_int_equal(sasl_finish(&s, &why), 0);
	expect_failure(&s, "<again@x>", "last step");
}

static void
test_scram(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "SCRAM-SHA-256", "user", "pencil");
	assert_true(sasl_client_first(&s));
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	expect(&s, STR(SERVER_FIRST), STR(CLIENT_FINAL));
	/* 235 before the proof is not enough. */
	assert_int_equal(sasl_finish(&s, &why), -1);
	assert_non_null(strstr(why, "has not shown"));
	why = NULL;
	expect(&s, STR(SERVER_FINAL), STR(""));
	assert_true(s.done);
	assert_int_equal(sasl_finish(&s, &why), 0);
	assert_null(why);
	expect_failure(&s, "", "last step");
}

static void
test_scram_escapes_user(void **state)
{
	struct sasl s;

	(void)state;
	begin(&s, "SCRAM-SHA-256", "a=b,\303\274", "pencil");
	expect(&s, STR(""), STR("n,,n=a=3Db=2C\303\274,r=" NONCE));
}

/* A server that only pretends to know the password. */
static void
test_scram_refuses_liars(void **state)
{
	static const struct {
		const char *server_final, *words;
	} cases[] = {
		{"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "not ours"},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "malformed"}, /* spare bits */
		{NO_SIGNATURE, "not ours"},
		{"v=6rri", "malformed"},
		{"v=", "malformed"},
		{"", "malformed"},
		{SERVER_FIRST, "malformed"},
		{"e=invalid-proof", "does not accept"},
		{"e=other-error", "reports an error"},
	};
	struct sasl s;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(&s, "SCRAM-SHA-256", "user", "pencil");
		expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
		expect(&s, STR(SERVER_FIRST), STR(CLIENT_FINAL));
		expect_failure(&s, cases[i].server_final, cases[i].words);
		assert_int_equal(sasl_finish(&s, &why), -1);
		/* No second try. */
		expect_failure(&s, SERVER_FINAL, "last step");
	}
}

static void
test_scram_refuses_bad_challenges(void **state)
{
	static const struct {
		const char *server_first, *words;
	} cases[] = {
		{"r=" NONCE ",s=" SALT64 ",i=4096", "nonce"},
		{"r=rOprNGfwEbeRWgbNEkqP%x,s=" SALT64 ",i=4096", "nonce"},
		{"r=,s=" SALT64 ",i=4096", "nonce"},
		{"m=ext," SERVER_FIRST, "malformed"},
		{"", "malformed"},
		{"r=" SERVER_NONCE, "malformed"},
		{"r=" SERVER_NONCE ",i=4096,s=" SALT64, "malformed"},
		{"r=" SERVER_NONCE ",s=,i=4096", "salt"},
		{"r=" SERVER_NONCE ",s=W22Z*J0S,i=4096", "salt"},
		{"r=" SERVER_NONCE ",s=" SALT64 ",i=", "iterations"},
		{"r=" SERVER_NONCE ",s=" SALT64 ",i=0", "iterations"},
		{"r=" SERVER_NONCE ",s=" SALT64 ",i=-1", "iterations"},
		{"r=" SERVER_NONCE ",s=" SALT64 ",i=1000001", "iterations"},
		{"r=" SERVER_NONCE ",s=" SALT64 ",i=18446744073709551617", "iterations"},
	};
	struct sasl s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(&s, "SCRAM-SHA-256", "user", "pencil");
		expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
		expect_failure(&s, cases[i].server_first, cases[i].words);
		/* What a step that failed left behind is no signature to compare with. */
		expect_failure(&s, NO_SIGNATURE, "last step");
	}
}

static void
test_scram_ignores_extensions(void **state)
{
	struct sasl s;

	(void)state;
	begin(&s, "SCRAM-SHA-256", "user", "pencil");
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	const char *why = NULL;
	ptrdiff_t n = sasl_step(&s, STR("r=" NONCE "x,s=" SALT64 ",i=1,q=new"), out, sizeof out,
				&why);
	assert_int_equal(n, strlen("c=biws,r=" NONCE "x,p=") + 44);
}

static void
test_buffers_are_bounded(void **state)
{
	static const char *const names[] = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"};
	char user[600];
	const char *why;
	struct sasl s;

	(void)state;
	memset(user, '=', sizeof user);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		/* Each length up to what fits, and one heap block per length for the sanitiser. */
		for (size_t cap = 0; cap <= 64; cap++) {
			struct buf b = {0};
			begin(&s, names[i], "user", "password");
			char *dst = buf_room(&b, 64) + 64 - cap;
			ptrdiff_t n = sasl_step(&s, STR("x"), dst, cap, &why);
			assert_true(n == -1 || (size_t)n < cap);
			assert_true(n > 0 || cap < 48);
			buf_free(&b);
		}
	}
	/* A password that does not fit is not left lying about in part. */
	begin(&s, "PLAIN", "user", "password");
	assert_int_equal(sasl_step(&s, STR(""), out, 10, &why), -1);
	assert_memory_equal(out, "\0\0\0\0\0\0\0\0\0\0", 10);
	begin(&s, "SCRAM-SHA-256", "", "x");
	s.user = (struct str){user, sizeof user};
	expect_failure(&s, "", "too long");
	begin(&s, "SCRAM-SHA-256", "user", "x");
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	assert_int_equal(sasl_step(&s, STR(SERVER_FIRST), out, 30, &why), -1);
}

static void
test_wipe(void **state)
{
	static const struct sasl zero;
	struct sasl s;

	(void)state;
	begin(&s, "SCRAM-SHA-256", "user", "pencil");
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	sasl_wipe(&s);
	assert_memory_equal(&s, &zero, sizeof s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_cram_md5),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_scram_escapes_user),
		cmocka_unit_test(test_scram_refuses_liars),
		cmocka_unit_test(test_scram_refuses_bad_challenges),
		cmocka_unit_test(test_scram_ignores_extensions),
		cmocka_unit_test(test_buffers_are_bounded),
		cmocka_unit_test(test_wipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
