/* SPDX-License-Identifier: ISC */
#include "spool.h"
#include "clock.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* All of it. */
static void
print_whole(const struct envelope *e, struct buf *out)
{
	struct envelope copy = *e;

	envelope_print_head(e, out);
	for (size_t n = 0; n < e->rcpt_count; n++)
		envelope_print_rcpt(&e->rcpts[n], out);
	envelope_print_end(&copy, out);
}

static const struct stamp now = {1795341234, 100000, 7, true};
static const struct envelope_rcpt rcpts[] = {
	{.address = {"root", 4}}, {.address = {"bob@mail.example", 16}},
};

static char top[] = "/tmp/test_spool.XXXXXX";
static char path[sizeof top + 8];
static struct spool spool;

/* The clock module and flock as these tests need them: numbers that come twice, and something
 * that happens between an open and its lock, or before a wait for one. */
static uint64_t next_random;
static unsigned repeats;
static void (*before_lock)(void), (*before_wait)(void);

uint64_t
clock_differ(const struct stamp *moment)
{
	(void)moment;
	if (repeats > 0)
		repeats--;
	else
		next_random++;
	return next_random;
}

int64_t
clock_ms(void)
{
	return 1;
}

void
clock_read(struct stamp *s)
{
	*s = now;
}

int
flock(int fd, int operation)
{
	void (*hook)(void) = before_lock;

	before_lock = NULL;
	if (hook)
		hook();
	if (before_wait && !(operation & LOCK_NB))
		before_wait();
	return (int)syscall(SYS_flock, fd, operation);
}

static struct buf open_why;

static off_t
size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

/* Each test has a spool of its own, new and empty. */
static int
set_up(void **state)
{
	struct conf c = {.spooldir = path};

	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	memcpy(path, top, sizeof top - 1);
	memcpy(path + sizeof top - 1, "/spool", 7);
	assert_int_equal(spool_open(&spool, &c, &open_why), 0);
	return 0;
}

static void
remove_all(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static int
tear_down(void **state)
{
	(void)state;
	spool_close(&spool);
	remove_all();
	return 0;
}

static bool
exists(char state, const char *id)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof name, "%c%s", state, id);
	return fstatat(spool.dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
path_ends(int fd, const char *name)
{
	return file_is(fd, spool.dir, name) == 1;
}

/* A draft with envelope and body, and the fixed line for its commit. */
static struct spool_draft
write_draft(const char *body, struct buf *fixed)
{
	struct envelope e = {
		.length = strlen(body),
		.arrived = now,
		.sender = STR("alice@router.example"),
		.rcpts = rcpts,
		.rcpt_count = 2,
	};
	struct spool_draft d;
	struct buf head = {0};

	assert_int_equal(spool_create(&spool, &now, &d), 0);
	print_whole(&e, &head);
	e.offset = head.len;
	assert_int_equal(file_write(d.fd, buf_view(&head)), 0);
	assert_int_equal(file_write(d.fd, str_of(body)), 0);
	envelope_print_fixed(&e, fixed);
	buf_free(&head);
	return d;
}

static void
queue_message(const char *body, char id[SPOOL_ID + 1])
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft(body, &fixed);

	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	assert_int_equal(d.fd, -1);
	memcpy(id, d.id, SPOOL_ID + 1);
	buf_free(&fixed);
}

static struct spool_claim
claim(char state, const char *id)
{
	struct spool_claim c;

	assert_int_equal(spool_claim(&spool, state, str_of(id), &c), SPOOL_OK);
	return c;
}

/* What spool_read makes of an open file. */
static struct {
	struct buf text, log;
	struct envelope e;
	struct journal j;
	const char *why;
	int rc, err;
} got;

static void
read_back(struct spool_claim *c)
{
	journal_free(&got.j);
	envelope_free(&got.e);
	errno = 0;
	c->size = (uint64_t)lseek(c->fd, 0, SEEK_END);
	got.rc = spool_read(c, &got.text, &got.log, &got.e, &got.j, &got.why);
	got.err = errno;
}

static void
forget_read(void)
{
	journal_free(&got.j);
	envelope_free(&got.e);
	buf_free(&got.text);
	buf_free(&got.log);
}

/* A line for the message of that id. */
static void
print_outcome(const char *id, const char *set, enum verdict v, struct buf *line)
{
	struct outcome o = outcome_make(v, 0, 0, "words");
	struct envelope nobody = {0};
	struct journal j;

	journal_fold((struct str){0}, str_of(id), &nobody, &j);
	journal_print_outcome(&j, &now, str_of(set), &o, line);
	journal_free(&j);
}

static void
append_outcome(struct spool_claim *c, const char *set, enum verdict v, bool sync)
{
	struct buf line = {0};

	print_outcome(c->id, set, v, &line);
	assert_int_equal(spool_append(&spool, c, buf_view(&line), sync), 0);
	buf_free(&line);
}

static unsigned visited;
static char visited_states[16];

static void
count_visit(void *ctx, char state, struct str id)
{
	assert_ptr_equal(ctx, &spool);
	assert_true(spool_is_id(id));
	visited_states[visited++ % sizeof visited_states] = state;
}

static unsigned
count_messages(void)
{
	visited = 0;
	assert_int_equal(spool_walk(&spool, count_visit, &spool), 0);
	return visited;
}

static void
test_ids(void **state)
{
	struct spool_draft a, b;
	struct stamp later = now;

	(void)state;
	assert_true(spool_is_id(STR("0123456789abcdfv")));
	assert_false(spool_is_id(STR("0123456789abcdfw")));
	assert_false(spool_is_id(STR("0123456789abcdF0")));
	assert_false(spool_is_id(STR("0123456789abcdf")));
	assert_false(spool_is_id(STR("0123456789abcdf00")));
	assert_false(spool_is_id(STR("../../../etc/pas")));
	assert_false(spool_is_id(STR("")));

	later.wall++;
	assert_int_equal(spool_create(&spool, &now, &a), 0);
	assert_int_equal(spool_create(&spool, &later, &b), 0);
	assert_true(spool_is_id(str_of(a.id)));
	assert_int_equal(spool_id_time(str_of(a.id)), now.wall);
	assert_true(strcmp(a.id, b.id) < 0);
	spool_abort(&spool, &a);
	spool_abort(&spool, &b);
	later.wall = -5;
	assert_int_equal(spool_create(&spool, &later, &a), 0);
	assert_int_equal(spool_id_time(str_of(a.id)), 0);
	spool_abort(&spool, &a);
}

static void
test_round_trip(void **state)
{
	struct buf fixed = {0};
	struct stat st;

	(void)state;
	mode_t mask = umask(0777);
	struct spool_draft d = write_draft("Subject: x\n\nbody\n", &fixed);
	umask(mask);
	assert_true(exists('T', d.id));
	assert_int_equal(fstat(d.fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(count_messages(), 0);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	assert_false(exists('T', d.id));
	assert_int_equal(count_messages(), 1);

	struct spool_claim c = claim('Q', d.id);
	assert_int_equal(fcntl(c.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(c.fd, F_GETFD) & FD_CLOEXEC);
	assert_string_equal(c.id, d.id);
	read_back(&c);
	assert_int_equal(got.rc, 0);
	assert_int_equal(got.e.rcpt_count, 2);
	assert_true(str_eq(got.e.sender, STR("alice@router.example")));
	assert_int_equal(got.e.length, 17);
	assert_int_equal(size_of(c.fd), got.e.offset + got.e.length);
	assert_int_equal(journal_pending(&got.j), 2);
	char body[32] = "";
	assert_int_equal(file_read_at(c.fd, body, 17, (off_t)got.e.offset), 17);
	assert_string_equal(body, "Subject: x\n\nbody\n");

	append_outcome(&c, "0", DELIVERED, true);
	assert_true(fcntl(c.journal, F_GETFD) & FD_CLOEXEC);
	append_outcome(&c, "*", TEMPFAIL, false);
	assert_int_equal(fstat(c.fd, &st), 0);
	assert_int_equal(size_of(c.fd), st.st_size);
	read_back(&c);
	assert_int_equal(got.j.rcpts[0].fate, JOURNAL_SENT);
	assert_int_equal(got.j.rcpts[1].attempts, 1);
	assert_int_equal(got.j.skipped, 0);
	assert_int_equal(spool_remove(&spool, &c), 0);
	assert_int_equal(c.fd, -1);
	assert_int_equal(c.journal, -1);
	assert_int_equal(spool_sync(&spool), 0);
	assert_int_equal(count_messages(), 0);
	forget_read();
	buf_free(&fixed);
}

static void
test_abort(void **state)
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft("x\n", &fixed);

	(void)state;
	spool_abort(&spool, &d);
	assert_int_equal(d.fd, -1);
	assert_false(exists('T', d.id));
	assert_false(exists('Q', d.id));
	buf_free(&fixed);
}

/* What could not be read back is refused, and leaves nothing. */
static void
test_commit_refuses(void **state)
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft("x\n", &fixed);

	(void)state;
	memcpy(fixed.ptr + 17, "0016777217", 10);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), -1);
	assert_int_equal(errno, EFBIG);
	assert_false(exists('T', d.id) || exists('Q', d.id));
	buf_free(&fixed);
}

/* Another message that has the name already stays, whatever made it, and ours gets another. */
static void
test_commit_never_overwrites(void **state)
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft("x\n", &fixed);
	char name[32], id[SPOOL_ID + 1];
	struct stat st;

	(void)state;
	memcpy(id, d.id, sizeof id);
	snprintf(name, sizeof name, "Q%s", id);
	int fd = file_create(spool.dir, name, 0600);
	assert_int_equal(file_write(fd, STR("other")), 0);
	close(fd);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	assert_string_not_equal(d.id, id);
	assert_true(exists('Q', d.id));
	assert_false(exists('T', id));
	assert_int_equal(fstatat(spool.dir, name, &st, 0), 0);
	assert_int_equal(st.st_size, 5);
	buf_free(&fixed);
}

/* The directory cannot be synced: no message, no name, an error. */
static void
test_commit_without_sync(void **state)
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft("x\n", &fixed);
	int good = spool.dir;

	(void)state;
	spool.dir = open(path, O_PATH | O_DIRECTORY);
	assert_true(spool.dir >= 0);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), -1);
	assert_int_equal(errno, EBADF);
	close(spool.dir);
	spool.dir = good;
	assert_false(exists('T', d.id) || exists('Q', d.id));
	buf_free(&fixed);
}

static void
test_sweep(void **state)
{
	struct buf fixed = {0};
	struct spool_draft left = write_draft("x\n", &fixed), held;
	char queued[SPOOL_ID + 1];

	(void)state;
	close(left.fd); /* as a crash does */
	held = write_draft("y\n", &fixed);
	queue_message("z\n", queued);
	int other = openat(spool.dir, "Tooshort", O_CREAT | O_WRONLY, 0600);
	close(other);
	spool_sweep(&spool);
	assert_false(exists('T', left.id));
	assert_true(exists('T', held.id));
	assert_true(exists('Q', queued));
	assert_true(faccessat(spool.dir, "Tooshort", F_OK, 0) == 0);
	spool_abort(&spool, &held);
	buf_free(&fixed);
}

/* A process that dies leaves a draft that is swept, never a message. */
static void
test_killed_writer(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct spool_draft d;
		spool_create(&spool, &now, &d);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(count_messages(), 0);
	spool_sweep(&spool);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
test_claim_busy_and_gone(void **state)
{
	char id[SPOOL_ID + 1];
	struct spool_claim other;

	(void)state;
	queue_message("x\n", id);
	struct spool_claim c = claim('Q', id);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &other), SPOOL_BUSY);
	assert_int_equal(other.fd, -1);
	spool_release(&other);
	spool_release(&c);
	c = claim('Q', id);
	assert_int_equal(spool_remove(&spool, &c), 0);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &other), SPOOL_GONE);
	assert_int_equal(spool_claim(&spool, 'Q', STR("no id"), &other), SPOOL_GONE);
	assert_int_equal(spool_claim(&spool, 'Q', STR("/etc/passwd12345"), &other), SPOOL_GONE);
}

/* A draft is not seen as a message; while it is committed it is busy. */
static void
test_commit_holds_the_lock(void **state)
{
	struct buf fixed = {0};
	struct spool_draft d = write_draft("x\n", &fixed);
	struct spool_claim c;
	char from[32], to[32];

	(void)state;
	assert_int_equal(spool_claim(&spool, 'Q', str_of(d.id), &c), SPOOL_GONE);
	snprintf(from, sizeof from, "T%s", d.id);
	snprintf(to, sizeof to, "Q%s", d.id);
	assert_int_equal(renameat(spool.dir, from, spool.dir, to), 0);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(d.id), &c), SPOOL_BUSY);
	/* Taken back by its writer: nobody got hold of it. */
	spool_abort(&spool, &d);
	assert_int_equal(spool_claim(&spool, 'Q', str_of(d.id), &c), SPOOL_GONE);
	buf_free(&fixed);
}

static char raced[SPOOL_ID + 1];

static void
operator_holds(void)
{
	char from[32], to[32];

	snprintf(from, sizeof from, "Q%s", raced);
	snprintf(to, sizeof to, "H%s", raced);
	assert_int_equal(renameat(spool.dir, from, spool.dir, to), 0);
}

static void
sweeper_comes(void)
{
	spool_sweep(&spool);
}

/* Between an open and its lock the name came to mean something else. */
static void
test_looks_again_after_locking(void **state)
{
	struct spool_claim c;
	struct spool_draft d;

	(void)state;
	queue_message("x\n", raced);
	before_lock = operator_holds;
	assert_int_equal(spool_claim(&spool, 'Q', str_of(raced), &c), SPOOL_GONE);
	assert_null(before_lock);
	c = claim('H', raced);
	spool_release(&c);

	before_lock = sweeper_comes;
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	assert_null(before_lock);
	assert_true(exists('T', d.id));
	spool_abort(&spool, &d);
}

/* No message gets another's name, and so takes its place. */
static void
test_id_taken(void **state)
{
	char id[SPOOL_ID + 1], other[SPOOL_ID + 1];
	struct spool_claim held;
	struct spool_draft d;

	(void)state;
	queue_message("x\n", id);
	repeats = 3;
	queue_message("y\n", other);
	assert_int_equal(repeats, 0);
	assert_string_not_equal(other, id);
	assert_true(exists('Q', id) && exists('Q', other) && !exists('T', id));
	/* One that is held may have the same id: then it stays held. */
	held = claim('Q', other);
	assert_int_equal(spool_move(&spool, &held, 'H'), 0);
	next_random--;
	queue_message("z\n", id);
	assert_string_equal(id, other);
	held = claim('H', other);
	assert_int_equal(spool_move(&spool, &held, 'Q'), -1);
	assert_int_equal(errno, EEXIST);
	spool_release(&held);
	assert_true(exists('Q', id) && exists('H', id));
	held = claim('Q', id);
	assert_int_equal(spool_move(&spool, &held, 'H'), -1);
	assert_int_equal(errno, EEXIST);
	spool_release(&held);
	assert_true(exists('Q', id) && exists('H', id));
	/* Nor while it is another's draft; and there is an end to trying. */
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	struct spool_draft late;
	repeats = 1000000;
	assert_int_equal(spool_create(&spool, &now, &late), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(late.fd, -1);
	repeats = 0;
	assert_true(exists('T', d.id));
	spool_abort(&spool, &d);
}

static void
test_claim_refuses_strangers(void **state)
{
	static const char id[] = "0000000000000001";
	char real[SPOOL_ID + 1], name[32];
	struct spool_claim c;

	(void)state;
	queue_message("x\n", real);
	snprintf(name, sizeof name, "Q%s", real);
	for (int kind = 0; kind < 4; kind++) {
		int rc = kind == 0 ? symlinkat(name, spool.dir, "Q0000000000000001") :
			 kind == 1 ? mkfifoat(spool.dir, "Q0000000000000001", 0600) :
			 kind == 2 ? mkdirat(spool.dir, "Q0000000000000001", 0700) :
				     linkat(spool.dir, name, spool.dir, "Q0000000000000001", 0);
		assert_int_equal(rc, 0);
		errno = 0;
		assert_int_equal(spool_claim(&spool, 'Q', str_of(id), &c), SPOOL_ERROR);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(c.fd, -1);
		assert_int_equal(spool_is_file(&spool, &c), kind == 3);
		assert_int_equal(spool_move(&spool, &c, 'C'), 0);
		assert_true(exists('C', id));
		/* There is nothing that it could say of. */
		assert_true(spool_is_file(&spool, &c));
		assert_int_equal(renameat(spool.dir, "C0000000000000001", spool.dir,
					  "Q0000000000000001"), 0);
		assert_int_equal(spool_peek(&spool, 'Q', str_of(id), &c), -1);
		assert_int_equal(spool_touch(&spool, str_of(id)), -1);
		unlinkat(spool.dir, "Q0000000000000001", kind == 2 ? AT_REMOVEDIR : 0);
	}
	/* The link gone, the message is ours again. */
	c = claim('Q', real);
	spool_release(&c);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(spool.dir, name, 12345, 12345, 0), 0);
		assert_int_equal(spool_claim(&spool, 'Q', str_of(real), &c), SPOOL_ERROR);
		assert_int_equal(errno, EINVAL);
	}
}

static void
test_append_after_a_torn_line(void **state)
{
	char id[SPOOL_ID + 1];

	(void)state;
	queue_message("x\n", id);
	struct spool_claim c = claim('Q', id);
	append_outcome(&c, "0", DELIVERED, true);
	assert_int_equal(file_write(c.journal, STR("sent 1795341235 10")), 0);
	spool_release(&c);

	c = claim('Q', id);
	read_back(&c);
	assert_int_equal(got.j.skipped, 1);
	assert_int_equal(journal_pending(&got.j), 1);
	assert_int_equal(got.log.ptr[got.log.len - 1], '\n');
	append_outcome(&c, "1", DELIVERED, true);
	read_back(&c);
	assert_int_equal(got.j.skipped, 1);
	assert_int_equal(journal_pending(&got.j), 0);
	spool_release(&c);
	forget_read();
}

/* A power cut may leave in a file's new block what stood there before. */
static void
test_lines_of_another_message(void **state)
{
	char id[SPOOL_ID + 1];
	struct buf lines = {0};

	(void)state;
	queue_message("x\n", id);
	struct spool_claim c = claim('Q', id);
	print_outcome("01liltsmdljkk0e2", "*", DELIVERED, &lines);
	print_outcome("", "*", DELIVERED, &lines);
	assert_int_equal(spool_append(&spool, &c, buf_view(&lines), true), 0);
	read_back(&c);
	assert_int_equal(got.j.skipped, 2);
	assert_int_equal(journal_pending(&got.j), 2);
	append_outcome(&c, "0", DELIVERED, true);
	read_back(&c);
	assert_int_equal(journal_pending(&got.j), 1);
	spool_release(&c);
	buf_free(&lines);
	forget_read();
}

/* Version 1 bound no line to its message. */
static void
test_lines_of_version_1(void **state)
{
	struct buf text = {0};

	(void)state;
	int fd = file_create(spool.dir, "Q0000000000000001", 0600);
	buf_puts(&text, "mtabox 1 message 0000000182 00000000000000002\n"
			"text 8bit=0 utf8=0 nul=0 longest=00000000000000001\n"
			"arrived 1795341234 86400123 5f3a9c0d11e2b3a4 1\n"
			"submitter 0 root\nsender joe\nrcpt ann\n\nx\n");
	print_outcome("", "0", DELIVERED, &text);
	assert_int_equal(file_write(fd, buf_view(&text)), 0);
	close(fd);
	struct spool_claim c = claim('Q', "0000000000000001");
	read_back(&c);
	assert_string_equal(got.why ? got.why : "", "");
	assert_int_equal(got.j.skipped, 0);
	assert_int_equal(journal_pending(&got.j), 0);
	spool_release(&c);
	buf_free(&text);
	forget_read();
}

/* No room for a line: what went in is taken out again, and the claim still works. */
static void
test_append_without_room(void **state)
{
	char id[SPOOL_ID + 1];
	struct rlimit old, small;
	struct stat st;

	(void)state;
	queue_message("x\n", id);
	struct spool_claim c = claim('Q', id);
	append_outcome(&c, "0", DELIVERED, true);
	off_t before = size_of(c.fd);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)before + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = spool_append(&spool, &c, STR("sent and much more than ten bytes\n"), true);
	int err = errno;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err, EFBIG);
	assert_int_equal(fstat(c.fd, &st), 0);
	assert_int_equal(st.st_size, before);
	assert_int_equal(size_of(c.fd), before);
	append_outcome(&c, "1", DELIVERED, true);
	read_back(&c);
	assert_int_equal(journal_pending(&got.j), 0);
	assert_int_equal(got.j.skipped, 0);
	spool_release(&c);
	forget_read();
}

/* Deferrals leave room in the journal for what must be written. */
static void
test_append_leaves_room(void **state)
{
	char id[SPOOL_ID + 1], body[4000];

	(void)state;
	memset(body, 'x', sizeof body);
	body[sizeof body - 2] = '\n';
	body[sizeof body - 1] = '\0';
	queue_message(body, id);
	struct spool_claim c = claim('Q', id);
	read_back(&c);
	off_t start = size_of(c.fd);
	append_outcome(&c, "*", TEMPFAIL, false);
	assert_int_equal(ftruncate(c.journal, start + LIMIT_JOURNAL / 2), 0);
	append_outcome(&c, "*", TEMPFAIL, false);
	assert_int_equal(spool_append(&spool, &c, STR("deferred\n"), SPOOL_NOTE), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(spool_append(&spool, &c, STR("mailbox\n"), SPOOL_SYNCED_NOTE), -1);
	assert_int_equal(errno, EFBIG);
	append_outcome(&c, "0", DELIVERED, true);
	read_back(&c);
	assert_int_equal(got.rc, 0);
	assert_int_equal(got.j.rcpts[0].fate, JOURNAL_SENT);
	assert_int_equal(got.j.rcpts[1].attempts, 2);
	spool_release(&c);
	forget_read();
}

/* The claimed file was replaced behind our back: the journal of the other one stays clean. */
static void
test_append_only_to_the_claimed(void **state)
{
	char id[SPOOL_ID + 1], name[32];
	struct stat st;

	(void)state;
	queue_message("x\n", id);
	snprintf(name, sizeof name, "Q%s", id);
	struct spool_claim c = claim('Q', id);
	assert_int_equal(unlinkat(spool.dir, name, 0), 0);
	close(file_create(spool.dir, name, 0600));
	assert_int_equal(spool_append(&spool, &c, STR("x\n"), false), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(c.journal, -1);
	assert_int_equal(fstatat(spool.dir, name, &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	spool_release(&c);
}

/* An operator removed it by hand: its end is no failure. */
static void
test_removed_by_another(void **state)
{
	char id[SPOOL_ID + 1], name[32];

	(void)state;
	queue_message("x\n", id);
	snprintf(name, sizeof name, "Q%s", id);
	struct spool_claim c = claim('Q', id);
	append_outcome(&c, "0", DELIVERED, true);
	assert_int_equal(unlinkat(spool.dir, name, 0), 0);
	errno = 0;
	assert_int_equal(spool_append(&spool, &c, STR("x\n"), SPOOL_FINAL), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(spool_remove(&spool, &c), 0);
	assert_int_equal(c.fd, -1);
}

static void
expect_not_ours(const char *name, const char *why)
{
	int fd = openat(spool.dir, name, O_RDONLY);

	assert_true(fd >= 0);
	read_back(&(struct spool_claim){.fd = fd});
	assert_int_equal(got.rc, -1);
	assert_int_equal(got.err, EINVAL);
	if (!strstr(got.why, why))
		fail_msg("\"%s\" is not about \"%s\"", got.why, why);
	close(fd);
}

static void
test_read_refuses(void **state)
{
	char id[SPOOL_ID + 1], name[32];

	(void)state;
	queue_message("some body\n", id);
	snprintf(name, sizeof name, "Q%s", id);
	struct spool_claim c = claim('Q', id);
	append_outcome(&c, "*", TEMPFAIL, false);
	read_back(&c);
	off_t end = (off_t)(got.e.offset + got.e.length);
	off_t middle = (off_t)got.e.offset;
	assert_int_equal(ftruncate(c.journal, end + LIMIT_JOURNAL + 1), 0);
	expect_not_ours(name, "journal");
	assert_int_equal(ftruncate(c.journal, end + LIMIT_JOURNAL), 0);
	read_back(&c);
	assert_int_equal(got.rc, 0);
	assert_int_equal(got.j.skipped, 1);
	assert_int_equal(ftruncate(c.journal, end), 0);
	read_back(&c);
	assert_int_equal(got.rc, 0);
	assert_int_equal(got.log.len, 0);
	assert_int_equal(ftruncate(c.journal, end - 1), 0);
	expect_not_ours(name, "shorter");
	assert_int_equal(ftruncate(c.journal, middle - 1), 0);
	expect_not_ours(name, "shorter");
	assert_int_equal(ftruncate(c.journal, ENVELOPE_FIXED - 1), 0);
	expect_not_ours(name, "early");
	assert_int_equal(ftruncate(c.journal, 0), 0);
	expect_not_ours(name, "early");
	spool_release(&c);

	int fd = file_create(spool.dir, "other", 0600);
	char line[ENVELOPE_FIXED * 2];
	memset(line, 'x', sizeof line);
	assert_int_equal(file_write(fd, (struct str){line, sizeof line}), 0);
	expect_not_ours("other", "version");
	close(fd);

	/* That reading fails says nothing about the message. */
	fd = open(path, O_RDONLY | O_DIRECTORY);
	read_back(&(struct spool_claim){.fd = fd});
	assert_int_equal(got.rc, -1);
	assert_int_equal(got.err, EISDIR);
	close(fd);
	forget_read();
}

static void
test_move_and_walk(void **state)
{
	char a[SPOOL_ID + 1], b[SPOOL_ID + 1], k[SPOOL_ID + 1];
	struct spool_claim c;
	static const char *const strange[] = {
		"Q", "runner", "Q000000000000000", "Q00000000000000000", "Q000000000000000Z",
		"q0000000000000000", "X0000000000000000", "README", "T0000000000000000",
	};

	(void)state;
	queue_message("a\n", a);
	queue_message("b\n", b);
	queue_message("k\n", k);
	c = claim('Q', a);
	assert_int_equal(spool_move(&spool, &c, 'H'), 0);
	assert_int_equal(c.fd, -1);
	c = claim('Q', b);
	assert_int_equal(spool_move(&spool, &c, 'C'), 0);
	assert_true(exists('H', a) && exists('C', b) && exists('Q', k));
	assert_false(exists('Q', a) || exists('Q', b));
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
		close(file_create(spool.dir, strange[i], 0600));
	assert_int_equal(count_messages(), 3);
	assert_non_null(memchr(visited_states, 'H', 3));
	assert_non_null(memchr(visited_states, 'C', 3));
	assert_non_null(memchr(visited_states, 'Q', 3));
	assert_int_equal(count_messages(), 3);

	/* Back, but never over another. */
	char name[32];
	snprintf(name, sizeof name, "Q%s", a);
	close(file_create(spool.dir, name, 0600));
	c = claim('H', a);
	assert_int_equal(spool_move(&spool, &c, 'Q'), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlinkat(spool.dir, name, 0), 0);
	append_outcome(&c, "0", DELIVERED, true);
	assert_int_equal(spool_move(&spool, &c, 'Q'), 0);
	c = claim('Q', a);
	spool_release(&c);
}

static void
test_peek(void **state)
{
	char id[SPOOL_ID + 1];

	(void)state;
	queue_message("x\n", id);
	struct spool_claim c = claim('Q', id);
	struct spool_claim seen;
	assert_int_equal(spool_peek(&spool, 'Q', str_of(id), &seen), 0);
	assert_int_equal(seen.size, lseek(c.fd, 0, SEEK_END));
	read_back(&seen);
	assert_int_equal(got.rc, 0);
	spool_release(&seen);
	assert_int_equal(spool_peek(&spool, 'H', str_of(id), &seen), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(spool_peek(&spool, 'Q', STR("x"), &seen), -1);
	spool_release(&c);
	forget_read();
}

static int
truncate_message(struct spool_claim *c, size_t len)
{
	assert_int_equal(spool_open_journal(&spool, c), 0);
	int rc = ftruncate(c->journal, (off_t)len);
	spool_release(c);
	return rc;
}

static int
show(struct spool *s, char state, const char *id, struct spool_claim *c)
{
	journal_free(&got.j);
	envelope_free(&got.e);
	errno = 0;
	got.rc = spool_show(s, state, str_of(id), c, &got.text, &got.log, &got.e, &got.j,
			    &got.why);
	got.err = errno;
	return got.rc;
}

/* A runner has had it. */
static void
append_facts(struct spool_claim *c)
{
	struct envelope nobody = {0};
	struct journal j;
	struct buf line = {0};

	journal_fold((struct str){0}, str_of(c->id), &nobody, &j);
	journal_print_facts(&j, &now, 1, STR("x@y"), STR("router"), &line);
	assert_int_equal(spool_append(&spool, c, buf_view(&line), SPOOL_NOTE), 0);
	buf_free(&line);
	journal_free(&j);
}

/* As spool_peek says: it is not one of ours, and nothing is left of it. */
static void
shows_none(struct spool *s, char state, const char *id)
{
	struct spool_claim c;

	assert_int_equal(show(s, state, id, &c), -1);
	assert_int_equal(got.err, EINVAL);
	assert_null(got.why);
	assert_int_equal(c.fd, -1);
	assert_null(got.j.rcpts);
	assert_null(got.e.rcpts);
}

static void
shows(struct spool *s, char state, const char *id)
{
	struct spool_claim c;

	assert_int_equal(show(s, state, id, &c), 0);
	assert_null(got.why);
	assert_int_equal(got.e.rcpt_count, 2);
	assert_int_equal(c.size, size_of(c.fd));
	spool_release(&c);
}

static void
test_show_no_message(void **state)
{
	static const char id[] = "0000000000000001", name[] = "Q0000000000000001";
	char real[SPOOL_ID + 1], queued[32];
	struct spool_claim c;

	(void)state;
	queue_message("x\n", real);
	snprintf(queued, sizeof queued, "Q%s", real);
	for (int kind = 0; kind < (geteuid() == 0 ? 6 : 5); kind++) {
		int rc = kind == 0 ? symlinkat(queued, spool.dir, name) :
			 kind == 1 ? mkfifoat(spool.dir, name, 0600) :
			 kind == 2 ? mkdirat(spool.dir, name, 0700) :
			 kind == 3 ? symlinkat("/nowhere", spool.dir, name) :
			 kind == 4 ? mknodat(spool.dir, name, S_IFSOCK | 0600, 0) :
				     mknodat(spool.dir, name, S_IFCHR | 0600, 1 << 8 | 5);
		assert_int_equal(rc, 0);
		shows_none(&spool, 'Q', id);
		unlinkat(spool.dir, name, kind == 2 ? AT_REMOVEDIR : 0);
	}
	assert_int_equal(show(&spool, 'Q', id, &c), -1);
	assert_int_equal(got.err, ENOENT);
	assert_null(got.why);

	close(file_create(spool.dir, name, 0600));
	assert_int_equal(show(&spool, 'Q', id, &c), -1);
	assert_int_equal(got.err, EINVAL);
	assert_string_equal(got.why, "the file ends too early");
	assert_int_equal(c.size, 0);
	spool_release(&c);
	forget_read();
}

/* Whose it is and how many names it has: as long as no runner has looked, and where we are none. */
static void
test_show_strangers(void **state)
{
	struct spool users = spool;
	char id[SPOOL_ID + 1], name[32];

	(void)state;
	users.shared = true;
	users.uid = geteuid() + 1;
	queue_message("x\n", id);
	snprintf(name, sizeof name, "Q%s", id);
	shows(&spool, 'Q', id);
	shows_none(&users, 'Q', id);
	assert_int_equal(linkat(spool.dir, name, spool.dir, "other", 0), 0);
	shows_none(&spool, 'Q', id);
	assert_int_equal(unlinkat(spool.dir, "other", 0), 0);
	struct spool_claim c = claim('Q', id);
	append_facts(&c);
	assert_int_equal(linkat(spool.dir, name, spool.dir, "other", 0), 0);
	shows(&spool, 'Q', id);
	shows_none(&users, 'Q', id);
	if (geteuid() == 0) {
		assert_int_equal(fchown(c.fd, 12345, 12345), 0);
		shows(&spool, 'Q', id);
		assert_int_equal(fchown(c.fd, 0, 0), 0);
	}
	/* Whoever asks what is wrong with it is told. */
	assert_int_equal(spool_move(&spool, &c, 'C'), 0);
	shows_none(&spool, 'C', id);
	assert_int_equal(unlinkat(spool.dir, "other", 0), 0);
	shows(&spool, 'C', id);
	c = claim('C', id);
	assert_int_equal(spool_move(&spool, &c, 'H'), 0);
	shows(&spool, 'H', id);
	forget_read();
}

/* However much of the file the first read brings: 4096 bytes at most. */
static void
test_show_sizes(void **state)
{
	static char body[100001];
	char id[SPOOL_ID + 1];

	(void)state;
	queue_message("", id);
	struct spool_claim c = claim('Q', id);
	append_facts(&c);
	size_t least = (size_t)size_of(c.fd);
	spool_release(&c);
	memset(body, 'x', sizeof body - 1);
	body[sizeof body - 2] = '\n';
	const size_t sizes[] = {4095, 4096, 4097, 4096 + least, 8192, least + sizeof body - 1};
	for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
		size_t len = sizes[n] - least;
		queue_message(body + sizeof body - 1 - len, id);
		c = claim('Q', id);
		append_facts(&c);
		assert_int_equal(size_of(c.fd), sizes[n]);
		shows(&spool, 'Q', id);
		assert_int_equal(got.e.length, len);
		assert_true(got.j.has_facts);
		append_outcome(&c, "*", TEMPFAIL, true);
		shows(&spool, 'Q', id);
		assert_int_equal(got.j.rcpts[1].attempts, 1);
		/* Torn: not all of the message is there. */
		assert_int_equal(truncate_message(&c, got.e.offset + len - 1), 0);
		assert_int_equal(show(&spool, 'Q', id, &c), -1);
		assert_int_equal(got.err, EINVAL);
		assert_string_equal(got.why, "the message is shorter than its envelope says");
		spool_release(&c);
	}
	forget_read();
}

/* An envelope beyond that. */
static void
test_show_long_envelope(void **state)
{
	static char name[5000];
	struct envelope e = {
		.length = 2, .arrived = now, .rcpts = rcpts, .rcpt_count = 2,
		.name = {name, sizeof name},
	};
	struct buf head = {0}, fixed = {0};
	struct spool_draft d;

	(void)state;
	memset(name, 'n', sizeof name);
	assert_int_equal(spool_create(&spool, &now, &d), 0);
	print_whole(&e, &head);
	e.offset = head.len;
	envelope_print_fixed(&e, &fixed);
	buf_puts(&head, "x\n");
	assert_int_equal(file_write(d.fd, buf_view(&head)), 0);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	shows(&spool, 'Q', d.id);
	assert_int_equal(got.e.name.len, sizeof name);
	buf_free(&head);
	buf_free(&fixed);
	forget_read();
}

static void
test_room(void **state)
{
	char id[SPOOL_ID + 1];
	struct buf why = {0};

	(void)state;
	assert_int_equal(spool_room(&spool, &why), 0);
	spool.min_free = 1;
	spool.count_limit = 2;
	spool.size_limit = 1 << 20;
	queue_message("x\n", id);
	assert_int_equal(spool_room(&spool, &why), 0);
	assert_int_equal(why.len, 0);
	queue_message("x\n", id);
	assert_int_equal(spool_room(&spool, &why), -1);
	assert_non_null(strstr(buf_cstr(&why), "2 messages"));
	assert_non_null(strstr(buf_cstr(&why), "spool_count_limit is 2"));
	struct spool_claim c = claim('Q', id);
	assert_int_equal(spool_move(&spool, &c, 'C'), 0);
	why.len = 0;
	assert_int_equal(spool_room(&spool, &why), -1);

	spool.count_limit = 0;
	spool.size_limit = 100;
	why.len = 0;
	assert_int_equal(spool_room(&spool, &why), -1);
	assert_non_null(strstr(buf_cstr(&why), "spool_size_limit is 100"));

	spool.size_limit = 0;
	spool.min_free = UINT64_MAX;
	why.len = 0;
	assert_int_equal(spool_room(&spool, &why), -1);
	assert_non_null(strstr(buf_cstr(&why), "spool_min_free is 18446744073709551615"));
	buf_free(&why);
}

static void
on_alarm(int signal)
{
	(void)signal;
}

static void
test_runner(void **state)
{
	struct timespec old[2] = {{1, 0}, {1, 0}};
	struct stat st;
	int fd, other = 0;

	(void)state;
	assert_int_equal(spool_touch_runner(&spool), 0);
	assert_int_equal(spool_lock_runner(&spool, false, &fd), SPOOL_OK);
	assert_true(path_ends(fd, "runner"));
	assert_int_equal(spool_lock_runner(&spool, false, &other), SPOOL_BUSY);
	assert_int_equal(other, -1);
	/* Whoever waits for its end hears of a signal. */
	const struct sigaction alarm_sent = {.sa_handler = on_alarm};
	const struct itimerval soon = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000};
	const struct itimerval never = {.it_value.tv_usec = 0};
	sigaction(SIGALRM, &alarm_sent, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(spool_lock_runner(&spool, true, &other), SPOOL_BUSY);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(other, -1);
	assert_int_equal(futimens(fd, old), 0);
	assert_int_equal(spool_touch_runner(&spool), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_mtime > 1);

	/* Unlinked under the runner: another may run, and each knows by its lock. */
	assert_int_equal(unlinkat(spool.dir, "runner", 0), 0);
	assert_int_equal(spool_lock_runner(&spool, false, &other), SPOOL_OK);
	assert_true(path_ends(other, "runner"));
	assert_false(path_ends(fd, "runner"));
	close(fd);
	close(other);
	assert_int_equal(unlinkat(spool.dir, "runner", 0), 0);
	assert_int_equal(symlinkat("victim", spool.dir, "runner"), 0);
	assert_int_equal(spool_lock_runner(&spool, false, &fd), SPOOL_ERROR);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(spool_touch_runner(&spool), -1);
	assert_true(faccessat(spool.dir, "victim", F_OK, 0) != 0);
}

static int holder;

static void
end_holder(void)
{
	assert_int_equal(close(holder), 0);
	before_wait = NULL;
}

/* Whoever waits for a runner takes its place when it ends. */
static void
test_runner_waited_for(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(spool_lock_runner(&spool, false, &holder), SPOOL_OK);
	before_wait = end_holder;
	assert_int_equal(spool_lock_runner(&spool, true, &fd), SPOOL_OK);
	assert_null(before_wait);
	assert_int_equal(spool_lock_runner(&spool, false, &holder), SPOOL_BUSY);
	close(fd);
}

static void
test_touch(void **state)
{
	struct timespec old[2] = {{1, 0}, {1, 0}};
	char id[SPOOL_ID + 1], name[32];
	struct stat st;

	(void)state;
	queue_message("x\n", id);
	snprintf(name, sizeof name, "Q%s", id);
	assert_int_equal(utimensat(spool.dir, name, old, 0), 0);
	assert_int_equal(spool_touch(&spool, str_of(id)), 0);
	assert_int_equal(fstatat(spool.dir, name, &st, 0), 0);
	assert_true(st.st_mtime > 1);
	assert_int_equal(spool_touch(&spool, STR("0000000000000000")), -1);
	assert_int_equal(errno, ENOENT);
	assert_false(exists('Q', "0000000000000000"));
}

static void
test_open(void **state)
{
	char deep[sizeof path + 8], link_path[sizeof path + 8];
	struct conf c = {.spooldir = deep};
	struct spool s;
	struct stat st;

	(void)state;
	snprintf(deep, sizeof deep, "%s/a/b", top);
	assert_int_equal(spool_open(&s, &c, &open_why), -1);
	assert_int_equal(errno, ENOENT);
	snprintf(deep, sizeof deep, "%s/a", top);
	assert_int_equal(spool_open(&s, &c, &open_why), 0);
	assert_int_equal(fstat(s.dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_true(fcntl(s.dir, F_GETFD) & FD_CLOEXEC);
	spool_close(&s);
	assert_int_equal(s.dir, -1);
	/* As another process leaves it that has not synced its name. */
	assert_int_equal(chmod(deep, 03700), 0);
	assert_int_equal(spool_open(&s, &c, &open_why), 0);
	assert_int_equal(fstat(s.dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 02700);
	spool_close(&s);
	assert_int_equal(chmod(deep, 0700), 0);

	snprintf(link_path, sizeof link_path, "%s/l", top);
	assert_int_equal(symlink("a", link_path), 0);
	c.spooldir = link_path;
	assert_int_equal(spool_open(&s, &c, &open_why), 0);
	spool_close(&s);

	c.spooldir = deep;
	assert_int_equal(chmod(deep, 01777), 0);
	assert_int_equal(spool_open(&s, &c, &open_why), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(s.dir, -1);
	assert_non_null(strstr(buf_cstr(&open_why), "chmod o-w"));
	assert_int_equal(chmod(deep, 02770), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(deep, 65534, 0), 0);
		assert_int_equal(spool_open(&s, &c, &open_why), -1);
		assert_non_null(strstr(buf_cstr(&open_why), "belongs to uid 65534"));
		assert_int_equal(chown(deep, 0, 0), 0);
	}
	assert_int_equal(spool_open(&s, &c, &open_why), 0);
	spool_close(&s);
	assert_int_equal(rmdir(deep), 0);
	close(open(deep, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(spool_open(&s, &c, &open_why), -1);
	assert_int_equal(errno, ENOTDIR);
}

/* Whatever was tried, no descriptor stays open. */
static void
test_no_leak(void **state)
{
	struct buf fixed = {0};
	struct spool_claim c, other;
	char id[SPOOL_ID + 1];
	int fd, before = open("/dev/null", O_RDONLY);

	(void)state;
	for (int i = 0; i < 3; i++) {
		queue_message("x\n", id);
		struct spool_draft d = write_draft("y\n", &fixed);
		spool_abort(&spool, &d);
		c = claim('Q', id);
		append_outcome(&c, "*", TEMPFAIL, true);
		spool_claim(&spool, 'Q', str_of(id), &other);
		spool_sweep(&spool);
		count_messages();
		spool_touch_runner(&spool);
		assert_int_equal(spool_lock_runner(&spool, false, &fd), SPOOL_OK);
		spool_lock_runner(&spool, false, &other.fd);
		close(fd);
		assert_int_equal(spool_remove(&spool, &c), 0);
	}
	int after = open("/dev/null", O_RDONLY);
	assert_int_equal(after, before + 1);
	close(after);
	close(before);
	buf_free(&fixed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ids),
		TEST(test_round_trip),
		TEST(test_abort),
		TEST(test_commit_refuses),
		TEST(test_commit_never_overwrites),
		TEST(test_commit_without_sync),
		TEST(test_sweep),
		TEST(test_killed_writer),
		TEST(test_claim_busy_and_gone),
		TEST(test_commit_holds_the_lock),
		TEST(test_looks_again_after_locking),
		TEST(test_id_taken),
		TEST(test_claim_refuses_strangers),
		TEST(test_append_after_a_torn_line),
		TEST(test_lines_of_another_message),
		TEST(test_lines_of_version_1),
		TEST(test_append_without_room),
		TEST(test_append_leaves_room),
		TEST(test_append_only_to_the_claimed),
		TEST(test_removed_by_another),
		TEST(test_read_refuses),
		TEST(test_move_and_walk),
		TEST(test_peek),
		TEST(test_show_no_message),
		TEST(test_show_strangers),
		TEST(test_show_sizes),
		TEST(test_show_long_envelope),
		TEST(test_room),
		TEST(test_runner),
		TEST(test_runner_waited_for),
		TEST(test_touch),
		TEST(test_open),
		TEST(test_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
