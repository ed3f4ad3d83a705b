/* SPDX-License-Identifier: ISC */
/* How mail comes in, from a descriptor (submit) and in an SMTP session. Each call of the
 * system fails once: what is refused is not in the queue, nor half of it, and the reason
 * is said; what is accepted is there. */
#include "calls.h"
#include "complain.h"
#include "silence.h"
#include "clock.h"
#include "file.h"
#include "limit.h"
#include "session.h"
#include "submit.h"

#include <sysexits.h>

#define HEADER "From: ann@far.example\n"

static char top[] = "/tmp/test_submit_calls.XXXXXX";
static struct site site;
static struct spool spool;
static struct submission sub;
static struct buf why;
static char id[SPOOL_ID + 1];

void
clock_read(struct stamp *s)
{
	*s = (struct stamp){1795341234, 100000, 7, true};
}

int64_t
clock_ms(void)
{
	return 100000;
}

uint64_t
clock_differ(const struct stamp *now)
{
	static uint64_t number;

	(void)now;
	return ++number;
}

/* --- where they play ---------------------------------------------------------------- */

static void
remove_name(void *ctx, struct str name)
{
	(void)ctx;
	if (name.ptr[0] != '.')
		assert_int_equal(unlinkat(spool.dir, name.ptr, 0), 0);
}

static void
empty(void)
{
	assert_int_equal(file_walk(spool.dir, remove_name, NULL), 0);
}

/* The site, the queue, and a message that comes to one recipient elsewhere. */
static int
set_up(void **state)
{
	struct buf line = {0};

	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	buf_print(&line, "spooldir %s", top);
	conf_init(&site.conf);
	conf_set(&site.conf, buf_view(&line), "-O", complain, NULL);
	conf_finish(&site.conf, "router.example", complain, NULL);
	assert_int_equal(spool_open(&spool, &site.conf, &why), 0);
	buf_free(&line);
	sub = (struct submission){
		.conf = &site.conf, .aliases = &site.aliases, .passwd = &site.passwd,
		.users = &site.users, .sender = STR("ann@far.example"),
	};
	addr_set_add(&sub.rcpts, STR("bob@far.example"));
	calls.error = ENOSPC;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	calls.fail_at = calls.lasting = 0;
	empty();
	addr_set_free(&sub.rcpts);
	buf_free(&why);
	spool_close(&spool);
	conf_free(&site.conf);
	return rmdir(top);
}

static void
count_name(void *ctx, struct str name)
{
	unsigned *found = ctx;

	*found += name.ptr[0] != '.';
	assert_true(name.ptr[0] != 'T');
}

/* How many messages are queued; there is nothing else. */
static unsigned
queued(void)
{
	unsigned found = 0;

	assert_int_equal(file_walk(spool.dir, count_name, &found), 0);
	return found;
}

/* A file with that text, at its beginning. */
static int
input(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_int_equal(file_write(fd, str_of(text)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* --- submit ------------------------------------------------------------------------- */

/* len bytes of a message, in one piece; more: that more is wanted. What came of it. */
static int
feed(const char *text, size_t len, bool more)
{
	struct intake *i = submit_open(&sub, &spool, &why);

	assert_int_equal(submit_feed(i, (struct str){text, len}), more);
	return submit_commit(i, id);
}

/* A piece that begins with text and then has more lines than are worked on at a time. */
static int
feed_long(const char *text, bool more)
{
	enum { LEN = 64 << 10 };
	char *piece = malloc(LEN);
	size_t len = strlen(text);

	memset(piece, '\n', LEN);
	memcpy(piece, text, len);
	int status = feed(piece, LEN, more);
	free(piece);
	return status;
}

static void
refused(int status, int wanted, const char *reason)
{
	assert_int_equal(status, wanted);
	if (!strstr(buf_cstr(&why), reason))
		fail_msg("not \"%s\": %s", reason, buf_cstr(&why));
	assert_int_equal(queued(), 0);
}

static bool
is_read(void)
{
	return strncmp(calls.failed, "read", 4) == 0;
}

static int
run(void)
{
	int in = input(HEADER "\nhello\n");

	addr_set_add(&sub.rcpts, STR("bob@far.example"));
	count_calls();
	int status = submit(&sub, in, &spool, id, &why);
	calls.counting = false;
	close(in);
	if (status)
		refused(status, is_read() ? EX_NOINPUT : EX_TEMPFAIL,
			strerror(calls.error));
	else
		assert_int_equal(queued(), 1);
	empty();
	errno = calls.error;
	return status ? -1 : 0;
}

static void
test_each_call(void **state)
{
	(void)state;
	each_call_fails("submit", run, ENOSPC, " close ");
	each_call_interrupted("submit", run);
}

/* The first reason is the one that is said, whatever is still to come. */
static void
test_refused_at_first(void **state)
{
	(void)state;
	site.conf.recipient_limit = 1;
	addr_set_add(&sub.rcpts, STR("eve@far.example"));
	refused(feed_long(HEADER "\n", false), EX_TEMPFAIL, "recipient_limit is 1");
}

/* The same where it shows by the end alone that the header is over. */
static void
test_refused_at_the_end(void **state)
{
	(void)state;
	site.conf.recipient_limit = 1;
	addr_set_add(&sub.rcpts, STR("eve@far.example"));
	refused(feed("hello", 5, true), EX_TEMPFAIL, "recipient_limit is 1");
}

/* A last line without an end is given one, which counts. */
static void
test_header_too_long_by_its_end(void **state)
{
	char *header = malloc(LIMIT_HEADER);

	(void)state;
	memset(header, 'x', LIMIT_HEADER);
	memcpy(header, "X: ", 3);
	refused(feed(header, LIMIT_HEADER, true), EX_DATAERR, "header is too long");
	addr_set_add(&sub.rcpts, STR("bob@far.example"));
	assert_int_equal(feed(header, LIMIT_HEADER - 1, true), EX_OK);
	free(header);
}

static void
test_no_room(void **state)
{
	(void)state;
	spool.min_free = UINT64_MAX;
	refused(feed_long(HEADER "\n", false), EX_TEMPFAIL, "spool_min_free");
}

/* What could not be written makes the rest useless: whoever sends it may stop. */
static void
test_full_disk(void **state)
{
	struct intake *i = submit_open(&sub, &spool, &why);

	(void)state;
	assert_true(submit_feed(i, STR(HEADER "\nhello\n")));
	calls.fail_at = 1;
	count_calls();
	for (unsigned n = 0; !calls.failed[0]; n++) {
		bool more = submit_feed(i, STR("The quick brown fox jumps over the lazy dog\n"));
		assert_int_equal(more, !calls.failed[0]);
		assert_true(n < 10000);
	}
	calls.counting = false;
	assert_string_equal(calls.failed, "write1");
	refused(submit_commit(i, id), EX_TEMPFAIL, strerror(ENOSPC));
}

/* --- a session ---------------------------------------------------------------------- */

#define MESSAGE "MAIL FROM:<ann@far.example>\r\nRCPT TO:<bob@far.example>\r\nDATA\r\n" \
	HEADER "\r\nhello\r\n.\r\n"

static unsigned told; /* that a message is queued */

static void
tell(void *ctx)
{
	assert_ptr_equal(ctx, &told);
	told++;
}

static unsigned
count_in(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

/* A client that sends two messages and goes. */
static int
run_session(void)
{
	const struct session session = {&site, &spool, tell, &told};
	int in = input(MESSAGE MESSAGE), out = memfd_create("output", MFD_CLOEXEC);
	struct buf said = {0};

	told = 0;
	count_calls();
	int status = session_run(&session, in, out);
	calls.counting = false;
	assert_int_equal(file_load_fd(out, 1 << 20, &said), 0);
	/* 250 is what means that it is safe, and whoever delivers hears of no other. */
	unsigned safe = count_in(buf_cstr(&said), "\r\n250 2.0.0 ");
	assert_int_equal(queued(), told);
	assert_true(safe == told || status == EX_IOERR);
	if (is_read() && calls.error != EINTR)
		assert_int_equal(status, EX_IOERR);
	buf_free(&said);
	close(in);
	close(out);
	empty();
	errno = calls.error;
	return status || told < 2 ? -1 : 0;
}

static void
test_session(void **state)
{
	(void)state;
	each_call_fails("session", run_session, ENOSPC, " fstat1 close ");
	each_call_interrupted("session", run_session);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_each_call), T(test_refused_at_first), T(test_refused_at_the_end),
		T(test_header_too_long_by_its_end), T(test_no_room), T(test_full_disk),
		T(test_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
