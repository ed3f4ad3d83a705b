/* SPDX-License-Identifier: ISC */
#include "clock.h"
#include "secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "complain.h"

/* A configuration with an auth_file of this text and mode; NULL: none. */
static void
configure(struct conf *c, char path[], const char *text, mode_t mode, const char *command)
{
	struct buf lines = {0};
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	if (text) {
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		assert_int_equal(fchmod(fd, mode), 0);
	} else {
		unlink(path);
	}
	close(fd);
	buf_print(&lines, "auth_file %s\nconnect_timeout 5\npassword_command %s\n", path, command);
	conf_init(c);
	conf_parse(c, buf_view(&lines), "f", complain, NULL);
	buf_free(&lines);
}

static void
test_file(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *problem;
	} cases[] = {
		{NULL, 0, NULL},
		{"", 0600, NULL},
		{"joe|h:x\n", 0640, NULL},
		{"joe|h:x\n", 0604, "can be read by others: chmod 600 it"},
		{"joe|h:x\n", 0602, "can be read by others: chmod 600 it"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[] = "/tmp/mtabox-secret.XXXXXX";
		struct outcome why;
		struct buf text = {0};
		struct conf c;

		configure(&c, path, cases[i].text, cases[i].mode, "\"\"");
		assert_int_equal(secret_load(&c, &text, &why), cases[i].problem ? -1 : 0);
		if (cases[i].problem) {
			assert_non_null(strstr(why.text, cases[i].problem));
			assert_int_equal(why.verdict, TEMPFAIL);
		} else {
			assert_true(str_eq(buf_view(&text), str_of(cases[i].text)));
		}
		unlink(path);
		buf_wipe(&text);
		conf_free(&c);
	}
}

static void
test_command(void **state)
{
	static const struct {
		const char *command, *added; /* NULL: it fails */
	} cases[] = {
		{"echo \"$1 at $2\"; echo more", "\njoe|h.example:joe at h.example"},
		{"printf 'no newline'", "\njoe|h.example:no newline"},
		{"echo ' a:|#b '", "\njoe|h.example: a:|#b "},
		{"[ -z \"$SECRET_TEST\" ] && echo clean", "\njoe|h.example:clean"},
		{"echo x; exit 1", NULL},
		{"true", NULL},
		{"echo", NULL},
		{"kill -9 $$", NULL},
		{"head -c 4099 /dev/zero", NULL},
		{"head -c 1000000 /dev/zero", NULL},
		{"/none/such", NULL},
	};

	(void)state;
	setenv("SECRET_TEST", "x", 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[] = "/tmp/mtabox-secret.XXXXXX";
		const struct url server = {.host = "h.example", .user = "joe"};
		struct outcome why;
		struct buf text = {0};
		struct conf c;

		configure(&c, path, "ann|h:x", 0600, cases[i].command);
		assert_int_equal(secret_load(&c, &text, &why), 0);
		const char *before = text.ptr;
		int rc = secret_ask(&c, &server, &text, &why);
		assert_int_equal(rc, cases[i].added ? 0 : -1);
		assert_true(str_eq(buf_tail(&text, 7), str_of(cases[i].added)));
		/* Memory that moves leaves a copy behind. */
		assert_ptr_equal(text.ptr, before);
		if (rc)
			assert_string_equal(why.text, "password_command failed, or said nothing, "
					    "for joe at h.example");
		unlink(path);
		buf_wipe(&text);
		conf_free(&c);
	}
}

/* One that hears no alarm is ended when the time is over. */
static void
test_deaf_command(void **state)
{
	char path[] = "/tmp/mtabox-secret.XXXXXX";
	const struct url server = {.host = "h.example", .user = "joe"};
	struct outcome why;
	struct buf text = {0};
	struct conf c;

	(void)state;
	configure(&c, path, "ann|h:x", 0600, "trap '' ALRM; exec sleep 60");
	c.connect_timeout = 1;
	assert_int_equal(secret_load(&c, &text, &why), 0);
	int64_t begun = clock_ms();
	assert_int_equal(secret_ask(&c, &server, &text, &why), -1);
	assert_in_range(clock_ms() - begun, 900, 30000);
	unlink(path);
	buf_wipe(&text);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_deaf_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
