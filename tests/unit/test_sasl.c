/* SPDX-License-Identifier: ISC */
#include "codec.h"
#include "conf.h"
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
/* The same with other headers (RFC has none): computed with Python's hashlib. */
#define PLUS_HEADER "p=tls-server-end-point,,"
#define PLUS_FINAL "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj" \
	"JCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==,r=" SERVER_NONCE \
	",p=aQRxmgw5leIFvCppVrnNxJjSlVUNpHcDxkBonPlt6Mo="
#define PLUS_SERVER_FINAL "v=/OcDoYRfpgFSwaD8zw+ZVHvjGVRNnMoJ9awfTTgn+MY="
#define UNMATCHED_FINAL "c=eSws,r=" SERVER_NONCE ",p=FoqiHTtQEDE8lz1CdaEe3tK4mS+iMDTl77SPyDS53DY="
#define NO_SIGNATURE "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char out[LIMIT_SASL];
static char channel[SASL_BINDING]; /* bound to: 0, 1, 2... */

/* mechanism alone is offered, and allowed. */
static void
begin_in(struct sasl *s, const char *mechanism, const char *user, const char *password,
	 struct str binding, const char *nonce)
{
	for (size_t i = 0; i < sizeof channel; i++)
		channel[i] = (char)i;
	assert_int_equal(sasl_pick(s, str_of(mechanism), str_of(mechanism), binding), 0);
	sasl_start(s, str_of(user), str_of(password), str_of(nonce));
}

static void
begin(struct sasl *s, const char *mechanism, const char *user, const char *password)
{
	begin_in(s, mechanism, user, password, STR(""), NONCE);
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
		const char *offered, *allowed, *name, *bound; /* bound: where there is a binding */
	} cases[] = {
		{"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", "", "SCRAM-SHA-256", "SCRAM-SHA-256"},
		{"login plain", "", "PLAIN", "PLAIN"},
		{"LOGIN", "", "LOGIN", "LOGIN"},
		{"LOGIN cram-md5 ", "", "CRAM-MD5", "CRAM-MD5"},
		{"PLAIN LOGIN CRAM-MD5", "login plain", "LOGIN", "LOGIN"},
		{"PLAIN LOGIN CRAM-MD5", "XOAUTH2,plain", "PLAIN", "PLAIN"},
		{"GSSAPI DIGEST-MD5", "", NULL, NULL},
		{"", "", NULL, NULL},
		{"PLAINX XPLAIN SCRAM-SHA-256-PLUS", "", NULL, "SCRAM-SHA-256-PLUS"},
		{"PLAIN", "LOGIN", NULL, NULL},
		{"PLAIN", " ", NULL, NULL},
		{"SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256", "", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"},
		{"SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS", "", NULL, "SCRAM-SHA-256-PLUS"},
		{"SCRAM-SHA-1 CRAM-MD5", "", "SCRAM-SHA-1", "SCRAM-SHA-1"},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "scram-sha-256 scram-sha-256-plus",
		 "SCRAM-SHA-256", "SCRAM-SHA-256"},
		{"LOGIN NTLM PLAIN", "", "PLAIN", "PLAIN"},
		{"XOAUTH2 NTLM", "", "NTLM", "NTLM"},
		{"NTLM CRAM-MD5", "", "CRAM-MD5", "CRAM-MD5"},
		/* A password is no token, unless the server knows only those. */
		{"XOAUTH2 LOGIN", "", "LOGIN", "LOGIN"},
		{"XOAUTH2 OAUTHBEARER", "", "OAUTHBEARER", "OAUTHBEARER"},
		{"XOAUTH2", "", "XOAUTH2", "XOAUTH2"},
		{"LOGIN XOAUTH2 PLAIN", "XOAUTH2", "XOAUTH2", "XOAUTH2"},
		{"EXTERNAL", "", NULL, NULL},
		{"EXTERNAL PLAIN", "PLAIN EXTERNAL", "PLAIN", "PLAIN"},
		{"EXTERNAL PLAIN", "EXTERNAL", "EXTERNAL", "EXTERNAL"},
	};
	struct sasl s;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
		const char *name = i % 2 ? cases[i / 2].bound : cases[i / 2].name;
		int rc = sasl_pick(&s, str_of(cases[i / 2].offered), str_of(cases[i / 2].allowed),
				   i % 2 ? STR("binding") : STR(""));
		assert_int_equal(rc, name ? 0 : -1);
		if (rc == 0)
			assert_string_equal(sasl_name(&s), name);
	}
}

/* "y" where an offer to bind could have been taken out of the server's list, and only there. */
static void
keep(void *ctx, enum conf_severity severity, const char *source, unsigned line, const char *what)
{
	(void)severity;
	(void)source;
	(void)line;
	buf_puts(ctx, what);
}

/* What the configuration lets pass as a mechanism is one. */
static void
test_names_in_the_configuration(void **state)
{
	static const char before[] = "auth_mechanisms: must be among ";
	struct buf words = {0};
	struct conf conf;
	struct sasl s;
	size_t count = 0;

	(void)state;
	conf_init(&conf);
	conf_parse(&conf, STR("auth_mechanisms SCRAM-SHA-512"), "conf", keep, &words);
	assert_true(str_starts(buf_view(&words), STR("auth_mechanisms: must be among ")));
	struct str names = str_from(buf_view(&words), sizeof before - 1);
	for (; names.len > 0; count++) {
		struct str name = str_cut(&names, ' ');
		assert_int_equal(sasl_pick(&s, name, name, STR("binding")), 0);
		assert_true(str_eq(str_of(sasl_name(&s)), name));
	}
	assert_int_equal(count, 11);
	conf_free(&conf);
	buf_free(&words);
}

static void
test_pick_notices_what_is_missing(void **state)
{
	static const struct {
		const char *offered, *allowed, *binding, *header;
	} cases[] = {
		{"SCRAM-SHA-256", "", "x", "y,,"},
		{"SCRAM-SHA-1", "", "x", "y,,"},
		{"SCRAM-SHA-256", "", "", "n,,"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "x", "n,,"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS SCRAM-SHA-256", "x", "y,,"},
		{"SCRAM-SHA-256 SCRAM-SHA-512-PLUS", "", "x", "n,,"},
		{"SCRAM-SHA-256 scram-sha-256-plus", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "x", "n,,"},
		{"SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "", "x", "p=tls-server-end-point,,"},
	};
	struct sasl s;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(sasl_pick(&s, str_of(cases[i].offered), str_of(cases[i].allowed),
					   str_of(cases[i].binding)), 0);
		sasl_start(&s, STR("u"), STR("p"), STR(NONCE));
		ptrdiff_t n = sasl_step(&s, STR(""), out, sizeof out, &why);
		assert_true(n > 0);
		struct str got = {out, (size_t)n};
		assert_true(str_starts(got, str_of(cases[i].header)));
		assert_true(str_eq(str_from(got, strlen(cases[i].header)), STR("n=u,r=" NONCE)));
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
	expect_failure(&s, "", "control character");
	sasl_start(&s, STR("x"), (struct str){"a\0b", 3}, STR(NONCE));
	expect_failure(&s, "", "control character");
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
test_scram_sha_1(void **state)
{
	/* RFC 5802 section 5. */
	static const char nonce[] = "fyko+d2lbbFgONRv9qkxdawL";
	static const char first[] = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
				    "s=QSXCR+Q6sek8bf92,i=4096";
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin_in(&s, "SCRAM-SHA-1", "user", "pencil", STR(""), nonce);
	expect(&s, STR(""), STR("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"));
	expect(&s, str_of(first), STR("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
				      "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
	expect(&s, STR("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), STR(""));
	assert_int_equal(sasl_finish(&s, &why), 0);

	/* A signature of the other hash's length is none. */
	begin_in(&s, "SCRAM-SHA-1", "user", "pencil", STR(""), nonce);
	expect(&s, STR(""), STR("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"));
	assert_true(sasl_step(&s, str_of(first), out, sizeof out, &why) > 0);
	expect_failure(&s, SERVER_FINAL, "malformed");

	/* Bound to a channel: computed with Python's hashlib. */
	begin_in(&s, "SCRAM-SHA-1-PLUS", "user", "pencil", (struct str){channel, 32}, nonce);
	expect(&s, STR(""), STR(PLUS_HEADER "n=user,r=fyko+d2lbbFgONRv9qkxdawL"));
	expect(&s, str_of(first),
	       STR("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,"
		   "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=z8dLQJmun2sA+XpCkRPSWO61Enc="));
	expect(&s, STR("v=if1R+hByy96r9wlpTEFxowaJvkg="), STR(""));
	assert_int_equal(sasl_finish(&s, &why), 0);
}

static void
test_scram_plus(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin_in(&s, "SCRAM-SHA-256-PLUS", "user", "pencil",
		 (struct str){channel, sizeof channel}, NONCE);
	assert_true(sasl_refused_binding(&s));
	expect(&s, STR(""), STR(PLUS_HEADER "n=user,r=" NONCE));
	assert_true(sasl_refused_binding(&s));
	expect(&s, STR(SERVER_FIRST), STR(PLUS_FINAL));
	assert_false(sasl_refused_binding(&s));
	expect(&s, STR(PLUS_SERVER_FINAL), STR(""));
	assert_int_equal(sasl_finish(&s, &why), 0);

	/* The proof of another channel's exchange is none. */
	begin_in(&s, "SCRAM-SHA-256-PLUS", "user", "pencil",
		 (struct str){channel, sizeof channel}, NONCE);
	expect(&s, STR(""), STR(PLUS_HEADER "n=user,r=" NONCE));
	expect(&s, STR(SERVER_FIRST), STR(PLUS_FINAL));
	expect_failure(&s, SERVER_FINAL, "not ours");

	/* No binding, but the server is told that it could have been. */
	assert_int_equal(sasl_pick(&s, STR("SCRAM-SHA-256"), STR(""), STR("x")), 0);
	sasl_start(&s, STR("user"), STR("pencil"), STR(NONCE));
	expect(&s, STR(""), STR("y,,n=user,r=" NONCE));
	expect(&s, STR(SERVER_FIRST), STR(UNMATCHED_FINAL));
	assert_false(sasl_refused_binding(&s));
	expect(&s, STR("v=dI4KpiQJwBr1+V+K6U1dA6l6I4I9DUNXWND4pcpRU3U="), STR(""));
}

/* The server says what is wrong; its verdict follows and would not be believed if good. */
static void
test_scram_errors(void **state)
{
	struct sasl s;
	const char *why;

	(void)state;
	begin(&s, "SCRAM-SHA-256", "user", "pencil");
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	expect(&s, STR(SERVER_FIRST), STR(CLIENT_FINAL));
	expect(&s, STR("e=invalid-proof"), STR(""));
	assert_string_equal(s.error, "invalid-proof");
	assert_int_equal(sasl_finish(&s, &why), -1);
	expect_failure(&s, SERVER_FINAL, "last step");

	begin_in(&s, "SCRAM-SHA-256-PLUS", "user", "pencil", (struct str){channel, 32}, NONCE);
	expect(&s, STR(""), STR(PLUS_HEADER "n=user,r=" NONCE));
	expect(&s, STR("e=unsupported-channel-binding-type"), STR(""));
	assert_string_equal(s.error, "unsupported-channel-binding-type");
	assert_true(sasl_refused_binding(&s));
	assert_int_equal(sasl_finish(&s, &why), -1);

	begin(&s, "SCRAM-SHA-256", "user", "pencil");
	expect(&s, STR(""), STR("n,,n=user,r=" NONCE));
	expect(&s, STR("e=an-error-that-is-longer-than-there-is-any-reason-for-at-all-so-it-is-cut"),
	       STR(""));
	assert_string_equal(s.error,
			    "an-error-that-is-longer-than-there-is-any-reason-for-at-all-so-");
}

static void
test_ntlm(void **state)
{
	struct sasl s;
	const char *why;

	(void)state;
	begin(&s, "NTLM", "user", "pencil");
	assert_false(sasl_client_first(&s));
	assert_true(sasl_takes_prose(&s));
	assert_int_equal(sasl_step(&s, STR(""), out, sizeof out, &why), 32);
	assert_memory_equal(out, "NTLMSSP\0\1\0\0\0", 12);
	assert_false(sasl_takes_prose(&s));
	expect_failure(&s, "NTLMSSP", "malformed");
	begin(&s, "LOGIN", "user", "pencil");
	assert_false(sasl_takes_prose(&s));
}

static void
test_external(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "EXTERNAL", "fred@example.com", "");
	assert_true(sasl_client_first(&s));
	expect(&s, STR(""), STR("fred@example.com"));
	assert_int_equal(sasl_finish(&s, &why), 0);
	expect_failure(&s, "", "last step");
}

#define TOKEN "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="

/* RFC 7628 section 4, without host and port, which are for tokens that need them. */
static void
test_oauthbearer(void **state)
{
	struct sasl s;
	const char *why = NULL;

	(void)state;
	begin(&s, "OAUTHBEARER", "user@example.com", TOKEN);
	assert_true(sasl_client_first(&s));
	expect(&s, STR(""), STR("n,a=user@example.com,\1auth=Bearer " TOKEN "\1\1"));
	assert_int_equal(sasl_finish(&s, &why), 0);

	expect(&s, STR("{\"status\":\"invalid_token\",\"scope\":\"example_scope\","
		       "\"openid-configuration\":\"https://example.com/.well-known/"
		       "openid-configuration\"}"), STR("\1"));
	assert_string_equal(s.error, "invalid_token");
	expect_failure(&s, "", "last step");

	begin(&s, "OAUTHBEARER", "a,b=c", "x");
	expect(&s, STR(""), STR("n,a=a=2Cb=3Dc,\1auth=Bearer x\1\1"));
	begin(&s, "OAUTHBEARER", "a\1b", "x");
	expect_failure(&s, "", "control character");
	begin(&s, "OAUTHBEARER", "a", "x\1host=elsewhere");
	expect_failure(&s, "", "control character");
}

static void
test_xoauth2(void **state)
{
	static const struct {
		const char *json, *error;
	} cases[] = {
		{"{\"status\":\"401\",\"schemes\":\"bearer\"}", "401"},
		{"{ \"schemes\" : \"Bearer\" , \"Status\" : \"400\" }", "400"},
		{"{\"status\":401}", "{\"status\":401}"},
		{"{\"status\":\"", "{\"status\":\""},
		{"{\"status\"", "{\"status\""},
		{"no JSON", "no JSON"},
		{"", ""},
	};
	struct sasl s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		begin(&s, "XOAUTH2", "someuser@example.com", TOKEN);
		assert_true(sasl_client_first(&s));
		expect(&s, STR(""), STR("user=someuser@example.com\1auth=Bearer " TOKEN "\1\1"));
		expect(&s, str_of(cases[i].json), STR(""));
		assert_string_equal(s.error, cases[i].error);
		expect_failure(&s, cases[i].json, "last step");
	}
}

/* A token of the length that is promised, and one more than fits at all. */
static void
test_long_tokens(void **state)
{
	static const char *const names[] = {"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"};
	static char token[LIMIT_SASL + 1];
	char user[256];
	struct sasl s;
	const char *why;

	(void)state;
	memset(token, 'x', sizeof token);
	memset(user, 'u', sizeof user);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		begin(&s, names[i], "", "");
		s.user = (struct str){user, sizeof user};
		s.password = (struct str){token, LIMIT_PASSWORD};
		s.step = i == 1; /* LOGIN's second is the password */
		assert_true(sasl_step(&s, STR(""), out, sizeof out, &why) >= LIMIT_PASSWORD);
		begin(&s, names[i], "", "");
		s.password = (struct str){token, sizeof token};
		s.step = i == 1;
		expect_failure(&s, "", "too long");
	}
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
	static const char *const names[] = {
		"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "NTLM",
		"OAUTHBEARER", "XOAUTH2", "EXTERNAL",
	};
	char user[600];
	const char *why;
	struct sasl s;

	(void)state;
	memset(user, '=', sizeof user);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		/* Each length up to what fits, and one heap block per length for the sanitiser. */
		for (size_t cap = 0; cap <= 64; cap++) {
			struct buf b = {0};
			begin_in(&s, names[i], "user", "password", STR("x"), NONCE);
			char *dst = buf_room(&b, 64) + 64 - cap;
			ptrdiff_t n = sasl_step(&s, STR("x"), dst, cap, &why);
			assert_true(n == -1 || (size_t)n <= cap);
			assert_true(n > 0 || cap < 56);
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
		cmocka_unit_test(test_names_in_the_configuration),
		cmocka_unit_test(test_pick_notices_what_is_missing),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_cram_md5),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_scram_sha_1),
		cmocka_unit_test(test_scram_plus),
		cmocka_unit_test(test_scram_errors),
		cmocka_unit_test(test_ntlm),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_oauthbearer),
		cmocka_unit_test(test_xoauth2),
		cmocka_unit_test(test_long_tokens),
		cmocka_unit_test(test_scram_escapes_user),
		cmocka_unit_test(test_scram_refuses_liars),
		cmocka_unit_test(test_scram_refuses_bad_challenges),
		cmocka_unit_test(test_scram_ignores_extensions),
		cmocka_unit_test(test_buffers_are_bounded),
		cmocka_unit_test(test_wipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
