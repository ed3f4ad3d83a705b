/* SPDX-License-Identifier: ISC */
/* Each call of the system that an attempt makes for its journal fails, once or from then on. Whatever
 * it says has happened must be on the disk, synced, as one sees it who reads the file anew; and what
 * the disk did not take must be written when it can be. */
#include "attempt.h"
#include "calls.h"
#include "silence.h"
#include "clock.h"
#include "file.h"

/* A clock that goes on whenever it is looked at, and a log that is nobody's. */
static int64_t ms = 1;
static uint64_t number;

int64_t
clock_ms(void)
{
	return ms += 100000;
}

void
clock_read(struct stamp *s)
{
	*s = (struct stamp){1795341234, 100000, 7, true};
}

uint64_t
clock_differ(const struct stamp *now)
{
	(void)now;
	return ++number;
}

void
clock_random(void *bytes, size_t len)
{
	number++;
	memcpy(bytes, &number, len < sizeof number ? len : sizeof number);
}

static char top[] = "/tmp/test_attempt_calls.XXXXXX";
static struct conf conf = {.spooldir = top, .mailname = "router.example", .bounce_to = "",
	.postmaster = "root"};
static struct spool spool;
static char id[SPOOL_ID + 1];
static struct attempt a;
static bool dirty; /* written, not synced */
static unsigned syncs;

static void
watch_syncs(const char *call)
{
	syncs += strcmp(call, "fdatasync") == 0;
	dirty = strcmp(call, "write") == 0 || (dirty && strcmp(call, "fdatasync"));
}

static void
empty(void)
{
	char command[96];

	snprintf(command, sizeof command, "rm -rf %s/*", top);
	assert_int_equal(system(command), 0);
}

static int
set_up(void **state)
{
	struct buf why = {0};

	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(spool_open(&spool, &conf, &why), 0);
	buf_free(&why);
	calls.before = watch_syncs;
	calls.error = EIO;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	calls.fail_at = calls.lasting = 0;
	calls.before = NULL;
	empty();
	spool_close(&spool);
	return rmdir(top);
}

/* Q<id> with recipients root and bob. */
static void
queue(void)
{
	static const struct envelope_rcpt rcpts[] = {
		{.address = {"root", 4}}, {.address = {"bob@far.example", 15}},
	};
	struct envelope e = {.length = 3, .sender = STR("ann@far.example"), .rcpts = rcpts,
		.rcpt_count = 2};
	struct buf head = {0}, fixed = {0};
	struct spool_draft d;

	empty();
	clock_read(&e.arrived);
	assert_int_equal(spool_create(&spool, &e.arrived, &d), 0);
	envelope_print_head(&e, &head);
	for (unsigned n = 0; n < 2; n++)
		envelope_print_rcpt(&rcpts[n], &head);
	envelope_print_end(&e, &head);
	e.offset = head.len;
	buf_puts(&head, "\nx\n");
	assert_int_equal(file_write(d.fd, buf_view(&head)), 0);
	envelope_print_fixed(&e, &fixed);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	memcpy(id, d.id, sizeof id);
	buf_free(&head);
	buf_free(&fixed);
}

static void
begin(void)
{
	queue();
	assert_int_equal(attempt_open(&a, &spool, &conf, str_of(id)), SPOOL_OK);
	dirty = false;
}

static bool
exists(char state)
{
	char name[2 + SPOOL_ID];

	snprintf(name, sizeof name, "%c%s", state, id);
	return faccessat(spool.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What one reads who comes after a crash. */
static struct {
	struct buf text, log;
	struct envelope e;
	struct journal j;
} disk;

static void
forget(void)
{
	journal_free(&disk.j);
	envelope_free(&disk.e);
	buf_free(&disk.text);
	buf_free(&disk.log);
}

static void
read_disk(void)
{
	const char *why;
	struct spool_claim c;

	assert_int_equal(spool_peek(&spool, 'Q', str_of(id), &c), 0);
	forget();
	assert_int_equal(spool_read(&c, &disk.text, &disk.log, &disk.e, &disk.j, &why), 0);
	spool_release(&c);
}

static void
verdict(size_t n, enum verdict v)
{
	struct outcome o = outcome_make(v, 1, 1, "words");

	attempt_record(&a, n, &o, STR("local"));
}

static void
expect_synced(const char *what, enum journal_fate fate)
{
	read_disk();
	if (disk.j.rcpts[0].fate != fate)
		fail_msg("%s: %s fails, and it is said to be on disk", what, calls.failed);
	if (dirty)
		fail_msg("%s: %s fails, and it is not synced", what, calls.failed);
}

/* RUN with each call failing, once and lastingly. It leaves the attempt open. */
static void
each(const char *what, void (*run)(const char *what))
{
	for (unsigned lasting = 0; lasting < 2; lasting++)
		for (unsigned n = 0;; n++) {
			begin();
			calls.fail_at = n;
			calls.lasting = lasting;
			run(what);
			calls.counting = false;
			calls.lasting = false;
			attempt_close(&a);
			forget();
			if (n > 0 && !calls.failed[0])
				break;
			assert_true(n < 50);
		}
}

/* A final verdict, while another recipient waits. */
static void
run_write(const char *what)
{
	verdict(0, DELIVERED);
	count_calls();
	bool written = attempt_write(&a, true);
	if (!written && !calls.lasting)
		written = attempt_write(&a, true);
	calls.counting = false;
	assert_true(written || calls.lasting);
	if (!written) {
		/* The disk has recovered. What is due later is not done now, and then it is. */
		calls.fail_at = 0;
		dirty = true;
		count_calls();
		assert_true(attempt_write(&a, false));
		calls.counting = false;
	}
	expect_synced(what, JOURNAL_SENT);
}

/* The same at the end of a pass. */
static void
run_conclude_some(const char *what)
{
	verdict(0, DELIVERED);
	count_calls();
	enum attempt_next next = attempt_conclude(&a);
	calls.counting = false;
	if (next == ATTEMPT_STUCK) {
		calls.fail_at = 0;
		count_calls();
		next = attempt_conclude(&a);
		calls.counting = false;
	}
	assert_int_equal(next, ATTEMPT_LATER);
	expect_synced(what, JOURNAL_SENT);
}

/* The last ones: the file goes; where it cannot, it says that all is done. */
static void
run_conclude_all(const char *what)
{
	verdict(0, DELIVERED);
	verdict(1, DELIVERED);
	count_calls();
	enum attempt_next next = attempt_conclude(&a);
	calls.counting = false;
	if (next == ATTEMPT_STUCK) {
		assert_true(exists('Q'));
		if (!calls.lasting) /* the removal alone has failed */
			expect_synced(what, JOURNAL_SENT);
		calls.fail_at = 0;
		/* It cannot be removed, but it can be written to again. */
		calls.before = watch_syncs;
		count_calls();
		assert_true(attempt_write(&a, true));
		calls.counting = false;
		expect_synced(what, JOURNAL_SENT);
		count_calls();
		next = attempt_conclude(&a);
		calls.counting = false;
	}
	assert_int_equal(next, ATTEMPT_REMOVED);
	assert_false(exists('Q'));
}

static void
run_mailbox(const char *what)
{
	static const uint64_t place[3] = {1, 2, 3};

	count_calls();
	int rc = attempt_write_mailbox(&a, 0, place);
	calls.counting = false;
	assert_int_equal(a.journal.rcpts[0].has_mailbox, rc == 0);
	if (rc)
		return;
	expect_synced(what, JOURNAL_PENDING);
	assert_true(disk.j.rcpts[0].has_mailbox);
}

/* Who is to be told of a failure. */
static void
run_bounce(const char *what)
{
	verdict(0, PERMFAIL);
	assert_int_equal(attempt_conclude(&a), ATTEMPT_BOUNCE);
	syncs = 0;
	count_calls();
	bool added = attempt_add_bounce(&a);
	bool written = attempt_write(&a, true);
	calls.counting = false;
	assert_true(added);
	if (!written) {
		calls.fail_at = 0;
		count_calls();
		assert_true(attempt_write(&a, true));
		calls.counting = false;
	}
	/* Behind it may stand the facts that its text is made of, which need no sync. */
	assert_true(syncs > 0);
	dirty = false;
	expect_synced(what, JOURNAL_FAILED);
	assert_int_equal(disk.j.count, 3);
}

static void
run_warning(const char *what)
{
	verdict(0, TEMPFAIL);
	verdict(1, TEMPFAIL);
	assert_int_equal(attempt_conclude(&a), ATTEMPT_LATER);
	syncs = 0;
	count_calls();
	bool added = attempt_add_warning(&a, 0);
	calls.counting = false;
	if (!added)
		return;
	assert_true(syncs > 0);
	dirty = false;
	expect_synced(what, JOURNAL_PENDING);
	assert_int_equal(disk.j.count, 3);
}

static void
run_hold(const char *what)
{
	(void)what;
	count_calls();
	enum spool_result r = attempt_hold(&a);
	calls.counting = false;
	assert_int_equal(r, exists('H') ? SPOOL_GONE : SPOOL_ERROR);
	assert_int_equal(exists('Q'), !exists('H'));
	assert_int_equal(a.claim.fd, -1);
}

static void
test_attempt(void **state)
{
	(void)state;
	each("a verdict", run_write);
	each("a pass", run_conclude_some);
	each("the end", run_conclude_all);
	each("a place", run_mailbox);
	each("a bounce", run_bounce);
	each("a warning", run_warning);
	each("a hold", run_hold);
}

/* What cannot be opened or read now is there later; only what is damaged is set aside. */
static void
test_open(void **state)
{
	(void)state;
	for (unsigned damaged = 0; damaged < 2; damaged++)
		for (unsigned n = 1;; n++) {
			char name[2 + SPOOL_ID];
			queue();
			snprintf(name, sizeof name, "Q%s", id);
			int fd = openat(spool.dir, name, O_WRONLY);
			if (damaged)
				assert_int_equal(file_write(fd, STR("no envelope")), 0);
			close(fd);
			calls.fail_at = n;
			count_calls();
			enum spool_result r = attempt_open(&a, &spool, &conf, str_of(id));
			calls.counting = false;
			bool rename = strcmp(calls.failed, "renameat21") == 0;
			if (!calls.failed[0] || strncmp(calls.failed, "close", 5) == 0) {
				assert_int_equal(r, damaged ? SPOOL_GONE : SPOOL_OK);
				assert_true(exists(damaged ? 'C' : 'Q'));
			} else {
				assert_int_equal(r, rename ? SPOOL_ERROR : SPOOL_BUSY);
				assert_true(exists('Q'));
			}
			if (r == SPOOL_OK)
				attempt_close(&a);
			else
				assert_int_equal(a.claim.fd, -1);
			if (!calls.failed[0])
				break;
		}
}

/* What is no file is set aside, or stays; what is one, though not ours alone, stays. */
static void
test_open_strangers(void **state)
{
	char name[2 + SPOOL_ID];

	(void)state;
	for (unsigned is_file = 0; is_file < 2; is_file++)
		for (unsigned n = 1;; n++) {
			queue();
			snprintf(name, sizeof name, "Q%s", id);
			if (is_file) {
				assert_int_equal(linkat(spool.dir, name, spool.dir, "other", 0), 0);
			} else {
				assert_int_equal(unlinkat(spool.dir, name, 0), 0);
				assert_int_equal(mkdirat(spool.dir, name, 0700), 0);
			}
			calls.fail_at = n;
			count_calls();
			enum spool_result r = attempt_open(&a, &spool, &conf, str_of(id));
			calls.counting = false;
			bool aside = !is_file && (!calls.failed[0] ||
						  strncmp(calls.failed, "close", 5) == 0);
			assert_true(exists(aside ? 'C' : 'Q'));
			assert_false(exists(aside ? 'Q' : 'C'));
			assert_true(aside ? r == SPOOL_GONE : r == SPOOL_ERROR || r == SPOOL_BUSY);
			assert_int_equal(a.claim.fd, -1);
			if (!calls.failed[0])
				break;
			assert_int_not_equal(n, 20);
		}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {T(test_attempt), T(test_open), T(test_open_strangers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
