/* SPDX-License-Identifier: ISC */
/* Each call that brings a password about fails once: there is none then, and it is said why. */
#include "secret.h"
#include "calls.h"
#include "complain.h"

CALL(int, pipe2, (int ends[2], int flags), ends, flags)

static char path[] = "/tmp/mtabox-secret.XXXXXX";
static struct conf conf;
static const char entry[] = "joe|mail.example:Waldmeister\n";

static int
set_up(void **state)
{
	struct buf lines = {0};
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0 || write(fd, entry, sizeof entry - 1) != sizeof entry - 1)
		return -1;
	close(fd);
	buf_print(&lines, "auth_file %s\nconnect_timeout 5\npassword_command echo Waldmeister\n", path);
	conf_init(&conf);
	conf_parse(&conf, buf_view(&lines), "f", complain, NULL);
	buf_free(&lines);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	conf_free(&conf);
	return unlink(path);
}

/* 0, or -1: nothing was found, and why has words. */
static int
verdict(int rc, struct buf *text, const struct outcome *why)
{
	calls.counting = false;
	if (rc) {
		assert_int_equal(why->verdict, TEMPFAIL);
		assert_int_equal(why->subject, 7);
		assert_true(strlen(why->text) > 10);
	} else {
		assert_non_null(strstr(buf_cstr(text), "Waldmeister"));
	}
	buf_wipe(text);
	/* Without a pipe there are no ends of one to close, and nobody to give them to. */
	if (strcmp(calls.failed, "pipe21") == 0)
		assert_int_equal(calls.count, calls.fail_at);
	errno = calls.error;
	return rc;
}

static int
load(void)
{
	struct outcome why = {0};
	struct buf text = {0};

	count_calls();
	return verdict(secret_load(&conf, &text, &why), &text, &why);
}

static int
ask(void)
{
	struct url server = {.user = "joe", .host = "mail.example"};
	struct outcome why = {0};
	struct buf text = {0};

	count_calls();
	return verdict(secret_ask(&conf, &server, &text, &why), &text, &why);
}

static void
test_file(void **state)
{
	(void)state;
	each_call_fails("auth_file", load, EIO, " close ");
	each_call_interrupted("auth_file", load);
}

/* That a command ended well is part of what it says. */
static void
test_command(void **state)
{
	(void)state;
	each_call_fails("password_command", ask, EIO, " close ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
