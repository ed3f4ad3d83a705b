/* SPDX-License-Identifier: ISC */
/* Each call of the system that the spool makes fails once: it must say so, and nothing may be left
 * behind. */
#include "calls.h"
#include "clock.h"
#include "file.h"
#include "spool.h"

static const struct envelope_rcpt rcpts[] = {{.address = {"root", 4}}};
static char top[] = "/tmp/test_spool_calls.XXXXXX";
static char path[sizeof top + 8];
static struct conf conf = {.spooldir = path, .spool_count_limit = 1, .spool_size_limit = 1 << 30,
	.spool_min_free = 1};
static struct spool spool;
static struct stamp now;
static struct buf why;

static int
set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(path, sizeof path, "%s/spool", top);
	clock_read(&now);
	assert_int_equal(spool_open(&spool, &conf, &why), 0);
	spool.count_limit = 1000;
	return 0;
}

static void
empty(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s/*", path);
	assert_int_equal(system(command), 0);
}

static int
tear_down(void **state)
{
	(void)state;
	empty();
	spool_close(&spool);
	buf_free(&why);
	assert_int_equal(rmdir(path), 0);
	return rmdir(top);
}

/* How many files there are whose names begin so. */
static unsigned found;

static void
count_name(void *ctx, struct str name)
{
	found += name.ptr[0] == *(const char *)ctx;
}

static unsigned
files(char state)
{
	found = 0;
	assert_int_equal(file_walk(spool.dir, count_name, &state), 0);
	return found;
}

static int
done(int rc)
{
	calls.counting = false;
	return rc;
}

/* --- messages --- */

static struct buf fixed;
static size_t head_len;

static unsigned rcpt_count = 1;

static void
write_draft(struct spool_draft *d, size_t length)
{
	struct envelope e = {.length = length, .arrived = now, .sender = STR("a@b.example"),
		.rcpts = rcpts, .rcpt_count = rcpt_count};
	struct buf head = {0};

	envelope_print_head(&e, &head);
	for (unsigned i = 0; i < rcpt_count; i++)
		envelope_print_rcpt(&rcpts[0], &head);
	envelope_print_end(&e, &head);
	head_len = e.offset = head.len;
	assert_int_equal(file_write(d->fd, buf_view(&head)), 0);
	assert_int_equal(file_write_at(d->fd, STR("\n"), (off_t)(head.len + length) - 1), 0);
	fixed.len = 0;
	envelope_print_fixed(&e, &fixed);
	buf_free(&head);
}

static void
queue(size_t length, char id[SPOOL_ID + 1])
{
	struct spool_draft d;

	assert_int_equal(spool_create(&spool, &now, &d), 0);
	write_draft(&d, length);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	memcpy(id, d.id, SPOOL_ID + 1);
}

static char id[SPOOL_ID + 1];
static struct spool_claim c;

/* A message of its own for a run, claimed. */
static void
queue_and_claim(size_t length)
{
	empty();
	queue(length, id);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &c), SPOOL_OK);
}

/* --- the directory --- */

static int
run_open(void)
{
	struct spool s;

	count_calls();
	if (done(spool_open(&s, &conf, &why)))
		return -1;
	spool_close(&s);
	return 0;
}

static unsigned syncs;

static void
note_sync(const char *call)
{
	syncs += strcmp(call, "fsync") == 0;
}

/* What could not be made durable is so the next time. */
static int
run_make(void)
{
	assert_true(rmdir(path) == 0 || errno == ENOENT);
	int rc = run_open(), err = errno;
	if (rc) {
		char failed[sizeof calls.failed];
		strcpy(failed, calls.failed);
		unsigned at = calls.fail_at;
		calls.fail_at = syncs = 0;
		calls.before = note_sync;
		assert_int_equal(run_open(), 0);
		assert_true(syncs > 0 || strcmp(failed, "fstat2") == 0);
		calls.before = NULL;
		calls.fail_at = at;
		strcpy(calls.failed, failed);
	}
	errno = err;
	return rc;
}

static void
test_open(void **state)
{
	(void)state;
	each_call_fails("opening", run_open, EIO, "");
	each_call_fails("opening a new one", run_make, EIO, " close fchmod openat3 ");
	assert_int_equal(rmdir(path), 0);
	spool_close(&spool);
	assert_int_equal(spool_open(&spool, &conf, &why), 0);
}

static int
run_room(void)
{
	count_calls();
	return done(spool_room(&spool, &why));
}

static void
test_room(void **state)
{
	(void)state;
	queue(10, id);
	each_call_fails("looking for room", run_room, EIO, " fstatat1 close1 ");
	spool.min_free = 0;
	each_call_fails("looking for room", run_room, EIO, " fstatat1 close1 ");
	/* Without one of its limits it looks no further. */
	spool.size_limit = 20;
	assert_int_equal(spool_room(&spool, &why), -1);
	calls.error = EIO;
	calls.fail_at = 4;
	count_calls();
	assert_int_equal(done(spool_room(&spool, &why)), 0);
	assert_string_equal(calls.failed, "fstatat1"); /* it is gone: of no size */
	calls.fail_at = 0;
	spool.size_limit = 0;
	spool.count_limit = 1;
	spool.listing = 0;
	assert_int_equal(spool_room(&spool, &why), -1);
}

static void
ignore(void *ctx, char state, struct str of)
{
	(void)ctx;
	(void)state;
	(void)of;
}

static int
run_walk(void)
{
	count_calls();
	return done(spool_walk(&spool, ignore, NULL));
}

static int
run_sync(void)
{
	count_calls();
	return done(spool_sync(&spool));
}

static int
run_find(void)
{
	count_calls();
	return done(spool_find(&spool, str_of(id)) == 'Q' ? 0 : -1);
}

static void
test_walk(void **state)
{
	(void)state;
	queue(10, id);
	each_call_fails("listing", run_walk, EIO, " close1 ");
	each_call_fails("syncing", run_sync, EIO, "");
	each_call_fails("finding", run_find, EIO, "");
}

/* --- drafts --- */

static int
run_create(void)
{
	struct spool_draft d;
	mode_t mask = umask(0777);

	count_calls();
	int rc = done(spool_create(&spool, &now, &d)), err = errno;
	umask(mask);
	if (rc == 0) {
		spool_abort(&spool, &d);
		assert_int_equal(d.fd, -1);
	}
	assert_int_equal(files('T'), 0);
	errno = err;
	return rc;
}

static int
run_commit(void)
{
	struct spool_draft d;

	empty();
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	write_draft(&d, 100);
	count_calls();
	int rc = done(spool_commit(&spool, &d, buf_view(&fixed))), err = errno;
	assert_int_equal(d.fd, -1);
	assert_int_equal(files('T'), 0);
	assert_int_equal(files('Q'), rc == 0);
	errno = err;
	return rc;
}

static int
run_memory(void)
{
	struct spool s;
	struct spool_draft d;

	spool_open_memory(&s);
	count_calls();
	int rc = done(spool_create(&s, &now, &d));
	if (rc == 0) {
		write_draft(&d, 100);
		calls.counting = true;
		rc = done(spool_commit(&s, &d, buf_view(&fixed)));
	}
	int err = errno;
	spool_close(&s);
	errno = err;
	return rc;
}

static void
test_drafts(void **state)
{
	(void)state;
	each_call_fails("a draft", run_create, EIO, "");
	each_call_fails("a commit", run_commit, EIO, " close1 ");
	each_call_fails("a commit", run_commit, ENOSPC, " close1 ");
	each_call_interrupted("a draft", run_create);
	each_call_interrupted("a commit", run_commit);
	each_call_fails("in memory", run_memory, EIO, "");
	buf_free(&fixed);
}

/* The last name it had is not on the disk: who comes after a power cut must find nothing. */
static void
test_commit_taken_back(void **state)
{
	struct spool_draft d;

	(void)state;
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	write_draft(&d, 100);
	calls.before = note_sync;
	calls.fail_at = syncs = 0;
	count_calls();
	assert_int_equal(done(spool_commit(&spool, &d, buf_view(&fixed))), 0);
	assert_int_equal(syncs, 2); /* the file, the directory */
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	write_draft(&d, 100);
	calls.error = EIO;
	syncs = 0;
	for (calls.fail_at = 1; calls.fail_at < 100; calls.fail_at++) {
		count_calls();
		int rc = done(spool_commit(&spool, &d, buf_view(&fixed)));
		if (strcmp(calls.failed, "fsync2") == 0) {
			assert_int_equal(rc, -1);
			assert_int_equal(syncs, 3); /* and the name that was taken back */
			break;
		}
		assert_int_equal(spool_create(&spool, &now, &d), 0);
		write_draft(&d, 100);
		syncs = 0;
	}
	assert_true(calls.fail_at < 100);
	calls.fail_at = 0;
	calls.before = NULL;
	buf_free(&fixed);
}

static void
put_file(const char *name)
{
	close(openat(spool.dir, name, O_CREAT | O_WRONLY, 0600));
}

/* A name that means another file by now is not ours to take away. */
static void
test_abort_leaves_others(void **state)
{
	struct spool_draft d;
	char name[32];

	(void)state;
	for (const char *at = "TQ"; *at; at++) {
		assert_int_equal(spool_create(&spool, &now, &d), 0);
		snprintf(name, sizeof name, "T%s", d.id);
		assert_int_equal(unlinkat(spool.dir, name, 0), 0);
		snprintf(name, sizeof name, "%c%s", *at, d.id);
		put_file(name);
		spool_abort(&spool, &d);
		assert_int_equal(files(*at), 1);
		empty();
	}
}

/* --- claims --- */

static int
claimed(enum spool_result r)
{
	if (r == SPOOL_OK)
		return 0;
	assert_int_equal(r, SPOOL_ERROR);
	return -1;
}

static int
run_claim(void)
{
	count_calls();
	int rc = done(claimed(spool_claim(&spool, 'Q', str_of(id), &c))), err = errno;
	assert_true(rc == 0 || c.fd == -1);
	spool_release(&c);
	errno = err;
	return rc;
}

static int
run_peek(void)
{
	count_calls();
	int rc = done(spool_peek(&spool, 'Q', str_of(id), &c)), err = errno;
	spool_release(&c);
	errno = err;
	return rc;
}

/* What cannot be read is no damage: the reason is the error's. */
static int
run_show(void)
{
	struct buf text = {0}, log = {0};
	struct envelope e = {0};
	struct journal j = {0};
	const char *words;

	count_calls();
	int rc = done(spool_show(&spool, 'Q', str_of(id), &c, &text, &log, &e, &j, &words));
	int err = errno;
	assert_true(rc == 0 || !words || strcmp(words, strerror(err)) == 0);
	assert_true(rc == 0 || words || c.fd == -1);
	spool_release(&c);
	journal_free(&j);
	envelope_free(&e);
	buf_free(&text);
	buf_free(&log);
	errno = err;
	return rc;
}

static int
run_touch(void)
{
	count_calls();
	return done(spool_touch(&spool, str_of(id)));
}

static int
run_touch_runner(void)
{
	count_calls();
	return done(spool_touch_runner(&spool));
}

static int
run_lock_runner(void)
{
	int fd;

	count_calls();
	int rc = done(claimed(spool_lock_runner(&spool, false, &fd)));
	if (fd >= 0)
		close(fd);
	assert_true(rc == 0 || fd == -1);
	return rc;
}

static int
run_runner_time(void)
{
	count_calls();
	return done(spool_runner_time(&spool) ? 0 : -1);
}

static void
test_claim(void **state)
{
	(void)state;
	queue(10, id);
	each_call_fails("a claim", run_claim, EIO, "");
	each_call_fails("opening", run_peek, EIO, "");
	each_call_fails("showing", run_show, EIO, " pread1 ");
	empty();
	queue(5000, id);
	each_call_fails("showing a long one", run_show, EIO, " pread1 fstat1 pread2 ");
	empty();
	queue(10, id);
	each_call_fails("touching", run_touch, EIO, " close1 ");
	each_call_fails("waking", run_touch_runner, EIO, " close1 ");
	each_call_fails("the runner's lock", run_lock_runner, EIO, "");
	/* It is the same each time, and so no touch. */
	each_call_fails("when it was woken", run_runner_time, EIO, "");
}

/* What others do between two of our calls. */
static char race_name[32];
static const char *race_call;
static unsigned race_nth;
static void (*race)(void);

static void
come_between(const char *call)
{
	if (race_nth > 0 && strcmp(call, race_call) == 0 && --race_nth == 0)
		race();
}

static void
let_race(const char *call, unsigned nth, void (*what)(void))
{
	race_call = call;
	race_nth = nth;
	race = what;
	calls.before = come_between;
	count_calls();
}

static void
race_over(void)
{
	calls.counting = false;
	calls.before = NULL;
	assert_int_equal(race_nth, 0);
}

static void
it_goes(void)
{
	assert_int_equal(unlinkat(spool.dir, race_name, 0), 0);
}

static void
test_claim_of_one_that_goes(void **state)
{
	int fd;

	(void)state;
	/* Before it is looked at, before it is locked, before its name is. */
	for (unsigned n = 0; n < 3; n++) {
		static const struct { const char *call; unsigned nth; } when[] = {
			{"fstat", 1}, {"flock", 1}, {"fstatat", 1},
		};
		queue(10, id);
		snprintf(race_name, sizeof race_name, "Q%s", id);
		let_race(when[n].call, when[n].nth, it_goes);
		assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &c), SPOOL_GONE);
		race_over();
		assert_int_equal(c.fd, -1);
	}
	strcpy(race_name, "runner");
	let_race("flock", 1, it_goes);
	assert_int_equal(spool_lock_runner(&spool, false, &fd), SPOOL_OK);
	race_over();
	assert_int_equal(file_is(fd, spool.dir, "runner"), 1);
	close(fd);
}

/* --- what is in a message --- */

static unsigned attempts; /* of the first recipient */

static int
read_claimed(void)
{
	struct buf text = {0}, log = {0};
	struct envelope e;
	struct journal j;
	const char *what = NULL;
	int rc = done(spool_read(&c, &text, &log, &e, &j, &what)), err = errno;

	assert_true((rc == 0) == !what);
	/* A disk that is bad is not told as a message that is. */
	if (rc && err != EINVAL)
		assert_string_equal(what, strerror(err));
	if (rc == 0)
		attempts = j.rcpts[0].attempts;
	journal_free(&j);
	envelope_free(&e);
	buf_free(&text);
	buf_free(&log);
	errno = err;
	return rc;
}

static int
run_read(void)
{
	count_calls();
	int rc = read_claimed();
	if (rc == 0)
		assert_int_equal(attempts, 1);
	return rc;
}

static struct buf line;

static void
print_line(void)
{
	struct outcome o = outcome_make(TEMPFAIL, 0, 0, "words");
	struct envelope nobody = {0};
	struct journal j;

	line.len = 0;
	journal_fold((struct str){0}, str_of(id), &nobody, &j);
	journal_print_outcome(&j, &now, STR("*"), &o, &line);
	journal_free(&j);
}

/* Claimed anew: what is in it by then is what is read. */
static void
defer_and_claim(void)
{
	print_line();
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_NOTE), 0);
	spool_release(&c);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &c), SPOOL_OK);
}

static void
test_read(void **state)
{
	(void)state;
	/* All of it in one piece; larger than that, with its journal behind; with an envelope that is. */
	for (unsigned n = 0; n < 3; n++) {
		rcpt_count = n < 2 ? 1 : 1000;
		queue_and_claim(n ? 100000 : 10);
		defer_and_claim();
		each_call_fails("reading", run_read, EIO, "");
		each_call_interrupted("reading", run_read);
		spool_release(&c);
	}
	rcpt_count = 1;
	buf_free(&line);
	buf_free(&fixed);
}

static void
it_becomes_shorter(void)
{
	struct stat st;
	int fd = openat(spool.dir, race_name, O_WRONLY);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_size - 10), 0);
	close(fd);
}

/* Half a journal is no journal. */
static void
test_read_of_one_that_shrinks(void **state)
{
	(void)state;
	queue_and_claim(100000);
	defer_and_claim();
	snprintf(race_name, sizeof race_name, "Q%s", id);
	calls.before = come_between;
	race_call = "pread";
	race_nth = 2;
	race = it_becomes_shorter;
	assert_int_equal(run_read(), -1);
	race_over();
	assert_int_equal(errno, EINVAL);
	spool_release(&c);
	buf_free(&line);
	buf_free(&fixed);
}

static size_t append_length;
static enum spool_weight append_weight;
static bool append_torn;

static int
run_append(void)
{
	struct stat before, after;
	char text[512] = "";

	queue_and_claim(append_length);
	assert_int_equal(read_claimed(), 0);
	if (append_torn) {
		assert_int_equal(spool_append(&spool, &c, STR("torn"), SPOOL_NOTE), 0);
		close(c.journal);
		c.journal = -1;
	}
	fstat(c.fd, &before);
	count_calls();
	int rc = done(spool_append(&spool, &c, buf_view(&line), append_weight)), err = errno;
	fstat(c.fd, &after);
	/* What could not be written is not there; what is, begins a line. */
	if (rc && strncmp(calls.failed, "write", 5) == 0)
		assert_int_equal(after.st_size, before.st_size);
	if (rc == 0) {
		file_read_at(c.fd, text, sizeof text, before.st_size);
		assert_memory_equal(text, append_torn ? "\ndef" : "def", 3);
	}
	spool_release(&c);
	errno = err;
	return rc;
}

static void
test_append(void **state)
{
	(void)state;
	print_line();
	for (unsigned n = 0; n < 6; n++) {
		append_torn = n & 1;
		append_length = n < 2 ? 10 : LIMIT_JOURNAL;
		append_weight = n < 2 ? SPOOL_FINAL : n < 4 ? SPOOL_NOTE : SPOOL_SYNCED_NOTE;
		each_call_fails("a line", run_append, EIO, "");
		each_call_fails("a line", run_append, ENOSPC, "");
		each_call_interrupted("a line", run_append);
	}
	buf_free(&line);
	buf_free(&fixed);
}

/* Only what is claimed is written to, whatever its name means by now. */
static void
another_comes(void)
{
	assert_int_equal(renameat(spool.dir, race_name, spool.dir, "aside"), 0);
	put_file(race_name);
}

static void
it_comes_back(void)
{
	assert_int_equal(renameat(spool.dir, "aside", spool.dir, race_name), 0);
}

static void
test_append_to_another(void **state)
{
	struct stat st;

	(void)state;
	print_line();
	queue_and_claim(10);
	snprintf(race_name, sizeof race_name, "Q%s", id);
	another_comes();
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_FINAL), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(c.journal, -1);
	/* And back between the opening and the look. */
	let_race("fstat", 2, it_comes_back);
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_FINAL), -1);
	race_over();
	assert_int_equal(errno, ENOENT);
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_FINAL), 0);
	/* It has no name any more: nobody would read it. */
	it_goes();
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_FINAL), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fstat(c.fd, &st), 0);
	assert_int_equal(st.st_size, head_len + 10 + line.len);
	spool_release(&c);
	buf_free(&line);
	buf_free(&fixed);
}

/* Whose journal cannot be told to be short enough gets no more notes. */
static void
test_append_unread(void **state)
{
	(void)state;
	print_line();
	queue_and_claim(LIMIT_JOURNAL);
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_NOTE), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(spool_append(&spool, &c, buf_view(&line), SPOOL_FINAL), 0);
	spool_release(&c);
	buf_free(&line);
	buf_free(&fixed);
}

static int
run_remove(void)
{
	queue_and_claim(10);
	count_calls();
	int rc = done(spool_remove(&spool, &c)), err = errno;
	assert_int_equal(files('Q'), rc != 0);
	spool_release(&c);
	errno = err;
	return rc;
}

static int
run_move(void)
{
	queue_and_claim(10);
	count_calls();
	int rc = done(spool_move(&spool, &c, 'H')), err = errno;
	assert_int_equal(files('H'), rc == 0);
	spool_release(&c);
	errno = err;
	return rc;
}

static void
test_end(void **state)
{
	(void)state;
	each_call_fails("removing", run_remove, EIO, " close1 ");
	each_call_fails("moving", run_move, EIO, " close1 ");
	buf_free(&fixed);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_open), T(test_room), T(test_walk), T(test_drafts), T(test_commit_taken_back),
		T(test_abort_leaves_others), T(test_claim), T(test_claim_of_one_that_goes),
		T(test_read), T(test_read_of_one_that_shrinks), T(test_append_unread),
		T(test_append), T(test_append_to_another), T(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
