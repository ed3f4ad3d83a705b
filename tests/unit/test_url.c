/* SPDX-License-Identifier: ISC */
#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
test_accepted(void **state)
{
	static const struct {
		const char *in, *printed, *user;
		enum url_tls tls;
	} cases[] = {
		{"mail.example", "smtp://mail.example:25", "", URL_TLS_OFFERED},
		{"mail.example:2525", "smtp://mail.example:2525", "", URL_TLS_OFFERED},
		{"mail.example:587", "smtp+starttls://mail.example:587", "", URL_TLS_STARTTLS},
		{"mail.example:465", "smtps://mail.example:465", "", URL_TLS_IMPLICIT},
		{"joe@mail.example:587", "smtp+starttls://joe@mail.example:587", "joe", URL_TLS_STARTTLS},
		{"192.0.2.1", "smtp://192.0.2.1:25", "", URL_TLS_OFFERED},
		{"[2001:db8::1]:465", "smtps://[2001:db8::1]:465", "", URL_TLS_IMPLICIT},
		{"[::ffff:192.0.2.1]", "smtp://[::ffff:192.0.2.1]:25", "", URL_TLS_OFFERED},
		{"smtp://mail.example:587", "smtp://mail.example:587", "", URL_TLS_OFFERED},
		{"SMTPS://Mail.Example", "smtps://Mail.Example:465", "", URL_TLS_IMPLICIT},
		{"smtps://mail.example.:10465", "smtps://mail.example:10465", "", URL_TLS_IMPLICIT},
		{"smtp+starttls://a_b-c.example", "smtp+starttls://a_b-c.example:587", "",
		 URL_TLS_STARTTLS},
		{"smtps://joe@example.org@mail.example", "smtps://joe%40example.org@mail.example:465",
		 "joe@example.org", URL_TLS_IMPLICIT},
		{"smtps://a%40b%25%3a%C3%a9@mail.example", "smtps://a%40b%25%3A%C3%A9@mail.example:465",
		 "a@b%:\xc3\xa9", URL_TLS_IMPLICIT},
		{"lmtp://[::1]", "lmtp://[::1]:24", "", URL_TLS_OFFERED},
		{"smtp+unix:/run/relay", "smtp+unix:/run/relay", "", URL_TLS_NONE},
		{"lmtp+unix:/run/l@m:25", "lmtp+unix:/run/l@m:25", "", URL_TLS_NONE},
		{"smtp+unix:joe@/run/relay", "smtp+unix:joe@/run/relay", "joe", URL_TLS_NONE},
		{"smtp://mail.example:1", "smtp://mail.example:1", "", URL_TLS_OFFERED},
		{"smtp://mail.example:65535", "smtp://mail.example:65535", "", URL_TLS_OFFERED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct url url, again;
		struct buf out = {0};
		const char *why = NULL;

		if (url_parse(str_of(cases[i].in), &url, &why))
			fail_msg("%s: %s", cases[i].in, why);
		assert_string_equal(url.user, cases[i].user);
		assert_int_equal(url.tls, cases[i].tls);
		assert_int_equal(url.is_unix, url.host[0] == '/');
		assert_int_equal(url.lmtp, cases[i].in[0] == 'l');
		url_print(&url, &out);
		assert_string_equal(buf_cstr(&out), cases[i].printed);

		/* What is printed means the same. */
		assert_int_equal(url_parse(buf_view(&out), &again, &why), 0);
		assert_memory_equal(&url, &again, sizeof url);
		buf_free(&out);
	}
}

static void
expect_refused(struct str in, const char *word)
{
	struct url url;
	const char *why = NULL;

	if (url_parse(in, &url, &why) != -1)
		fail_msg("accepted: %.*s", STR_ARG(in));
	if (!strstr(why, word))
		fail_msg("%.*s: %s", STR_ARG(in), why);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *in, *word;
	} cases[] = {
		{"", "no host"},
		{"smtp://", "no host"},
		{".", "no host"},
		{":25", "no host"},
		{"smtps://:465", "no host"},
		{"http://mail.example", "scheme"},
		{"socks5://mail.example", "scheme"},
		{"pipe+unix:/run/x", "scheme"},
		{"mail.example:0", "1 to 65535"},
		{"mail.example:65536", "1 to 65535"},
		{"mail.example:", "1 to 65535"},
		{"mail.example:25x", "1 to 65535"},
		{"mail.example:-1", "1 to 65535"},
		{"smtp://mail.example:25/", "1 to 65535"},
		{"[::1]x", "1 to 65535"},
		{"[::1]25", "1 to 65535"},
		{"smtp://mail.example/", "letters"},
		{"mail.example#comment", "letters"},
		{"m\xc3\xa4il.example", "xn--"},
		{"2001:db8::1", "brackets"},
		{"[2001:db8::1", "brackets"},
		{"[mail.example]", "brackets"},
		{"[192.0.2.1]", "brackets"},
		{"[fe80::1%eth0]", "brackets"},
		{"[]:25", "brackets"},
		{"[1:2]", "brackets"},
		{"[:]:25", "brackets"},
		{"[1::2::3]", "brackets"},
		{"mail example", "blanks"},
		{"mail.example\r\nQUIT", "blanks"},
		{"mail.example from=*@b.example", "blanks"},
		{"@mail.example", "no user"},
		{"joe:secret@mail.example", "auth_file"},
		{"smtps://joe:secret@mail.example", "auth_file"},
		{"joe%@mail.example", "hex digits"},
		{"joe%4@mail.example", "hex digits"},
		{"joe%zz@mail.example", "hex digits"},
		{"joe%00@mail.example", "control"},
		{"joe%0d%0aQUIT@mail.example", "control"},
		{"smtp+unix:run/relay", "begins with '/'"},
		{"smtp+unix:", "begins with '/'"},
		{"smtp+unix:joe@", "begins with '/'"},
	};
	char big[400];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_refused(str_of(cases[i].in), cases[i].word);
	expect_refused(STR("mail\0.example"), "blanks");
	memset(big, 'a', sizeof big);
	expect_refused((struct str){big, 254}, "too long");
	big[256] = '@';
	expect_refused((struct str){big, 300}, "too long");
	memcpy(big, "smtp+unix:/", 11);
	expect_refused((struct str){big, 10 + 108}, "107 bytes");
}

static void
test_proxy(void **state)
{
	static const struct {
		const char *in, *printed;
	} cases[] = {
		{"gw.example", "socks5://gw.example:1080"},
		{"gw.example:465", "socks5://gw.example:465"},
		{"Socks5://joe@[::1]:9050", "socks5://joe@[::1]:9050"},
		{"smtp://gw.example", NULL},
		{"socks5://", NULL},
		{"joe:secret@gw.example", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = {0};
		const char *why = NULL;
		struct url url;
		int rc = url_parse_proxy(str_of(cases[i].in), &url, &why);

		assert_int_equal(rc, cases[i].printed ? 0 : -1);
		if (rc)
			continue;
		assert_true(url.is_proxy);
		url_print(&url, &out);
		assert_string_equal(buf_cstr(&out), cases[i].printed);
		buf_free(&out);
	}
}

static void
test_longest(void **state)
{
	char big[600];
	struct url url;
	const char *why;

	(void)state;
	memset(big, 'a', sizeof big);
	big[255] = '@';
	assert_int_equal(url_parse((struct str){big, 256 + 253}, &url, &why), 0);
	assert_int_equal(strlen(url.user), 255);
	assert_int_equal(strlen(url.host), 253);
	memcpy(big, "lmtp+unix:/", 11);
	assert_int_equal(url_parse((struct str){big, 10 + 107}, &url, &why), 0);
	assert_int_equal(strlen(url.host), 107);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
