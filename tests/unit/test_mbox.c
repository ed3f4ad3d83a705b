/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "fmt.h"
#include "mbox.h"

#include <errno.h>
#include <fcntl.h>
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define HEAD "From joe@example.org Thu Jan  1 00:00:00 1970\n" \
	"Return-Path: <joe@example.org>\nDelivered-To: root@router\n"
#define OTHER "From amy@example.org Thu Jan  1 00:00:01 1970\nSubject: other\n\nhello\n\n"

static char dir[32], box[64], dotlock[72];

/* What another program does at the moment when we ask for the lock. */
static void (*on_flock)(void);

int
flock(int fd, int operation)
{
	void (*act)(void) = on_flock;

	on_flock = NULL;
	if (act)
		act();
	return (int)syscall(SYS_flock, fd, operation);
}

/* A delivery, and what its callback saw. */
struct trial {
	struct mbox m;
	struct mbox_job job;
	struct mbox_place place;
	unsigned intended;
	int refuse;       /* what intend answers */
	off_t size_then;  /* the mailbox's size when intend was called */
};

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

static int
intend(void *ctx, const struct mbox_place *place)
{
	struct trial *t = ctx;

	t->intended++;
	t->place = *place;
	t->size_then = size_of(box);
	return t->refuse;
}

static struct trial
trial(struct str message)
{
	return (struct trial){.job = {
		.path = box, .sender = STR("joe@example.org"), .rcpt = STR("root@router"),
		.content = {.head = message, .fd = -1, .pos = 1 /* given whole */},
		.intend = intend,
	}};
}

static struct outcome
deliver(struct trial *t)
{
	t->job.ctx = t;
	t->intended = 0;
	struct outcome o = mbox_deliver(&t->m, &t->job);
	mbox_release(&t->m);
	assert_int_equal(size_of(dotlock), -1);
	return o;
}

static void
expect_verdict(const struct outcome *o, enum verdict verdict, const char *words)
{
	if (o->verdict != verdict || !strstr(o->text, words))
		fail_msg("verdict %d \"%s\", expected %d \"%s\"", o->verdict, o->text,
			 verdict, words);
}

static void
expect_delivered(struct trial *t)
{
	struct outcome o = deliver(t);

	expect_verdict(&o, DELIVERED, "delivered to ");
	assert_int_equal(o.subject, 0);
	assert_int_equal(o.detail, 0);
}

static void
expect_box(struct str want)
{
	struct buf got = {0};

	assert_int_equal(file_load(box, 1 << 24, &got), 0);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.ptr, want.ptr, want.len);
	buf_free(&got);
}

static void
fill_box(struct str text)
{
	int fd = open(box, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, text), 0);
	close(fd);
}

static void
append_box(struct str text)
{
	int fd = open(box, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, text), 0);
	close(fd);
}

static int
set_up(void **state)
{
	(void)state;
	strncpy(dir, "/tmp/test_mbox.XXXXXX", sizeof dir);
	if (!mkdtemp(dir))
		return -1;
	fmt_print(box, sizeof box, "%s/joe", dir);
	fmt_print(dotlock, sizeof dotlock, "%s.lock", box);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(dotlock);
	unlink(box);
	return rmdir(dir);
}

static void
test_round_trip(void **state)
{
	static const struct { struct str content, want; } cases[] = {
		{STR("Subject: x\n\nbody\n"), STR(HEAD "Subject: x\n\nbody\n\n")},
		{STR("Subject: x\n\nbody"), STR(HEAD "Subject: x\n\nbody\n\n")},
		{STR(""), STR(HEAD "\n")},
		{STR("\n"), STR(HEAD "\n\n")},
		{STR("\na\0b\r\n\0"), STR(HEAD "\na\0b\r\n\0\n\n")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trial t = trial(cases[i].content);
		fill_box(STR(OTHER));
		expect_delivered(&t);
		struct buf want = {0};
		buf_puts(&want, OTHER);
		buf_str(&want, cases[i].want);
		expect_box(buf_view(&want));
		buf_free(&want);
		assert_int_equal(t.intended, 1);
		assert_int_equal(t.place.start, sizeof OTHER - 1);
		assert_int_equal(t.size_then, sizeof OTHER - 1);
	}
	struct trial t = trial(STR("\nx\n"));
	t.job.sender = STR("");
	t.job.date = 86400;
	fill_box(STR(""));
	expect_delivered(&t);
	expect_box(STR("From MAILER-DAEMON Fri Jan  2 00:00:00 1970\nReturn-Path: <>\n"
		       "Delivered-To: root@router\n\nx\n\n"));
}

/* Every content is read from memory, a file and memory again, cut at every place. */
static void
test_quoting(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{"\nFrom me\n", "\n>From me\n\n"},
		{"\n>From me\n>>>From \n", "\n>>From me\n>>>>From \n\n"},
		{"\n From me\nfrom me\nFrom\nFrom:\nFrommer\n", "\n From me\nfrom me\nFrom\nFrom:\nFrommer\n\n"},
		{"\nFro\nFFrom x\n>Fro>From x\nF>From x", "\nFro\nFFrom x\n>Fro>From x\nF>From x\n\n"},
		{"\nFrom ", "\n>From \n\n"},
		{"\nFrom", "\nFrom\n\n"},
		{"\n>>", "\n>>\n\n"},
		{"\n>\nF", "\n>\nF\n\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str in = str_of(cases[i].in);
		char path[64];
		fmt_print(path, sizeof path, "%s/content", dir);
		int fd = file_create(AT_FDCWD, path, 0600);
		assert_int_equal(file_write(fd, in), 0);
		unlink(path);
		for (size_t cut = 0; cut <= in.len; cut++) {
			struct trial t = trial(str_upto(in, cut));
			t.job.content.fd = fd;
			t.job.content.offset = cut;
			t.job.content.length = cut < in.len;
			t.job.content.tail = str_from(in, cut + 1);
			fill_box(STR(""));
			expect_delivered(&t);
			struct buf want = {0};
			buf_print(&want, "%s%s", HEAD, cases[i].out);
			expect_box(buf_view(&want));
			buf_free(&want);
		}
		close(fd);
	}
}

static void
test_large_content(void **state)
{
	struct buf content = {0}, want = {0};

	(void)state;
	buf_puts(&want, HEAD);
	for (unsigned i = 0; i < 20000; i++) {
		buf_print(&content, "%sline %u\n", i % 3 ? "" : "From ", i);
		buf_print(&want, "%sline %u\n", i % 3 ? "" : ">From ", i);
	}
	buf_putc(&want, '\n');
	struct trial t = trial(buf_view(&content));
	fill_box(STR(""));
	expect_delivered(&t);
	expect_box(buf_view(&want));
	t.job.has_previous = true;
	t.job.previous = t.place;
	expect_delivered(&t);
	assert_int_equal(t.intended, 0);
	expect_box(buf_view(&want));
	buf_free(&content);
	buf_free(&want);
}

/* Strict readers know a From_ line by the empty line before it. */
static void
test_missing_empty_line(void **state)
{
	static const struct { struct str before, feeds; } cases[] = {
		{STR("From a\n\nno newline"), STR("\n\n")}, {STR("From a\n\nno empty line\n"), STR("\n")},
		{STR("From a\n\nx\n\n"), STR("")}, {STR("x"), STR("\n\n")}, {STR("\n"), STR("")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trial t = trial(STR("\nx\n"));
		struct buf want = {0};
		fill_box(cases[i].before);
		expect_delivered(&t);
		buf_str(&want, cases[i].before);
		buf_str(&want, cases[i].feeds);
		buf_puts(&want, HEAD "\nx\n\n");
		expect_box(buf_view(&want));
		assert_int_equal(t.place.start, cases[i].before.len);
		buf_free(&want);
	}
}

/* Crash at every byte of what is written, before it with and without an empty line; what the
 * fragment looks like afterwards: cut short, or (after a power cut) full size with NULs. */
static void
test_fragment_is_replaced(void **state)
{
	static const struct { struct str before, ours; } cases[] = {
		{STR(OTHER), STR(HEAD "\nFrom here\nsay From bob\n\n")},
		{STR(OTHER "end"), STR("\n\n" HEAD "\nFrom here\nsay From bob\n\n")},
		{STR(OTHER "end\n"), STR("\n" HEAD "\nFrom here\nsay From bob\n\n")},
		{STR(""), STR(HEAD "\nFrom here\nsay From bob\n\n")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trial t = trial(STR("\nFrom here\nsay From bob\n"));
		fill_box(cases[i].before);
		expect_delivered(&t);
		struct buf want = {0};
		size_t start = cases[i].before.len, end = (size_t)size_of(box);
		assert_int_equal(file_load(box, 1 << 20, &want), 0);
		assert_int_equal(end, start + cases[i].ours.len + 1); /* one '>' */
		t.job.has_previous = true;
		t.job.previous = t.place;
		for (size_t cut = start; cut < end; cut++)
			for (int power_cut = 0; power_cut < 2; power_cut++) {
				assert_int_equal(truncate(box, (off_t)cut), 0);
				if (power_cut)
					assert_int_equal(truncate(box, (off_t)end), 0);
				expect_delivered(&t);
				expect_box(buf_view(&want));
				assert_int_equal(t.intended, 1);
				assert_int_equal(t.place.start, start);
			}
		expect_delivered(&t);
		assert_int_equal(t.intended, 0);
		expect_box(buf_view(&want));
		append_box(STR(OTHER));
		expect_delivered(&t);
		assert_int_equal(t.intended, 0);
		buf_puts(&want, OTHER);
		expect_box(buf_view(&want));
		buf_free(&want);
	}
}

/* A fragment of every length, then foreign mail as other programs write it: at once, or after
 * a line feed or two (which may be all that our copy lacked). */
static void
test_fragment_before_foreign_mail(void **state)
{
	static const char before[] = OTHER, ours[] = HEAD "\nsay From amy@example.org to\n\n";
	static const char *const foreign[] = {
		OTHER, "\n" OTHER, "\n\n" OTHER,
		"From joe@example.net Thu Jan  1 00:00:00 1970\nReturn-Path: <joe@\n\nx\n",
	};
	unsigned whole = 0;

	(void)state;
	for (size_t f = 0; f < sizeof foreign / sizeof *foreign; f++)
		for (size_t cut = 0; cut < sizeof ours - 1; cut++) {
			struct trial t = trial(STR("\nsay From amy@example.org to\n"));
			struct buf tail = {0}, want = {0};
			struct stat st;
			buf_add(&tail, ours, cut);
			buf_puts(&tail, foreign[f]);
			fill_box(STR(before));
			append_box(buf_view(&tail));
			assert_int_equal(stat(box, &st), 0);
			t.job.has_previous = true;
			t.job.previous = (struct mbox_place){st.st_dev, st.st_ino, sizeof before - 1};
			expect_delivered(&t);
			buf_puts(&want, before);
			if (str_starts(buf_view(&tail), STR(ours))) {
				whole++;
				buf_str(&want, buf_view(&tail));
			} else {
				for (size_t i = 0; i < cut; i++)
					buf_putc(&want, '\n');
				buf_puts(&want, foreign[f]);
				buf_puts(&want, f == 3 ? "\n" : "");
				buf_puts(&want, ours);
				assert_int_equal(t.place.start, st.st_size);
			}
			expect_box(buf_view(&want));
			buf_free(&tail);
			buf_free(&want);
		}
	assert_int_equal(whole, 1 + 2);
}

/* The tail begins as ours would, but is another's: nothing of it is touched. */
static void
test_similar_mail_is_not_ours(void **state)
{
	static const char *const tails[] = {
		HEAD "Subject: From joe\nReceived: id 2\n\nsay From bob\n\n",
		HEAD "Subject: From joe\nReceived: id 1\n\nsay From joe\n\n" OTHER,
		"From joe@example.org Thu Jan  1 00:00:00 1971\n\nx\n\n",
		"edited by hand\n",
		"\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		struct trial t = trial(STR("Subject: From joe\nReceived: id 1\n\nsome text\n"));
		struct buf want = {0};
		struct stat st;
		fill_box(str_of(tails[i]));
		assert_int_equal(stat(box, &st), 0);
		t.job.has_previous = true;
		t.job.previous = (struct mbox_place){st.st_dev, st.st_ino, 0};
		expect_delivered(&t);
		buf_puts(&want, tails[i]);
		buf_puts(&want, i == 3 ? "\n" : ""); /* an empty line is missing there */
		buf_puts(&want, HEAD "Subject: From joe\nReceived: id 1\n\nsome text\n\n");
		expect_box(buf_view(&want));
		buf_free(&want);
	}
}

static void
test_other_place(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	fill_box(STR(""));
	expect_delivered(&t);
	t.job.has_previous = true;
	struct mbox_place real = t.place, wrong[] = {real, real};
	/* As it may be after a boot. */
	t.job.previous = real;
	t.job.previous.device++;
	off_t whole = size_of(box);
	expect_delivered(&t);
	assert_int_equal(t.intended, 0);
	assert_int_equal(size_of(box), whole);
	wrong[0].inode++;
	wrong[1].start = 1 << 20;
	for (size_t i = 0; i < 2; i++) {
		off_t before = size_of(box);
		t.job.previous = wrong[i];
		expect_delivered(&t);
		assert_int_equal(t.intended, 1);
		assert_int_equal(size_of(box), before + (off_t)sizeof HEAD - 1 + 4);
	}
}

static void
test_intend_refuses(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	t.refuse = -1;
	fill_box(STR(OTHER));
	struct outcome o = deliver(&t);
	expect_verdict(&o, TEMPFAIL, "could not be recorded beforehand");
	expect_box(STR(OTHER));
}

static void
test_disk_full(void **state)
{
	struct rlimit old, small;
	struct buf content = {0};

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		buf_puts(&content, "From 0123456789\n");
	struct trial t = trial(buf_view(&content));
	fill_box(STR(OTHER "x"));
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	signal(SIGXFSZ, SIG_IGN);
	for (small.rlim_cur = sizeof OTHER; small.rlim_cur < 60000; small.rlim_cur += 7919) {
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		struct outcome o = deliver(&t);
		setrlimit(RLIMIT_FSIZE, &old);
		expect_verdict(&o, TEMPFAIL, box);
		assert_int_equal(t.intended, 1);
		expect_box(STR(OTHER "x"));
	}
	buf_free(&content);
}

static void
test_content_unreadable(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	fill_box(STR(OTHER));
	t.job.content.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	t.job.content.length = 10; /* which are not there */
	struct outcome o = deliver(&t);
	close(t.job.content.fd);
	expect_verdict(&o, TEMPFAIL, box);
	expect_box(STR(OTHER));
}

static void
test_unfit_mailbox(void **state)
{
	struct trial t = trial(STR("\nx\n"));
	char other[80];
	struct outcome o;

	(void)state;
	fmt_print(other, sizeof other, "%s.other", box);
	assert_int_equal(symlink(other, box), 0);
	int fd = file_create(AT_FDCWD, other, 0600);
	o = deliver(&t);
	expect_verdict(&o, TEMPFAIL, "symbolic link");
	assert_int_equal(size_of(other), 0);
	unlink(box);
	assert_int_equal(link(other, box), 0);
	o = deliver(&t);
	expect_verdict(&o, TEMPFAIL, "second name");
	unlink(other);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 1, 1), 0);
		o = deliver(&t);
		expect_verdict(&o, TEMPFAIL, "somebody else");
		assert_int_equal(size_of(box), 0);
	}
	close(fd);
	unlink(box);
	assert_int_equal(mkfifo(box, 0600), 0);
	o = deliver(&t);
	expect_verdict(&o, TEMPFAIL, "not a regular file");
	assert_int_equal(t.intended, 0);
}

/* A child holds a lock until it is killed. */
static pid_t
hold(bool by_flock)
{
	int pipes[2];
	char c;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
		int fd = open(box, O_RDWR | O_CLOEXEC);
		if (by_flock ? flock(fd, LOCK_SH) : fcntl(fd, F_SETLK, &all))
			_exit(1);
		if (write(pipes[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &c, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void
test_foreign_locks(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	for (int by_flock = 0; by_flock < 2; by_flock++) {
		fill_box(STR(OTHER));
		pid_t pid = hold(by_flock);
		struct outcome o = deliver(&t);
		expect_verdict(&o, TEMPFAIL, "locked by another program");
		assert_int_equal(t.intended, 0);
		expect_box(STR(OTHER));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		expect_delivered(&t);
	}
}

static pid_t holder;

static void
end_holder(void)
{
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

static void
end_holder_later(void)
{
	on_flock = end_holder;
}

static void
test_waits_for_lock(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	fill_box(STR(""));
	holder = hold(true);
	on_flock = end_holder_later; /* before the second attempt */
	t.job.lock_seconds = 60;
	expect_delivered(&t);
	assert_null(on_flock);
	expect_box(STR(HEAD "\nx\n\n"));
}

static void
replace_box(void)
{
	char old[80];

	fmt_print(old, sizeof old, "%s.old", box);
	assert_int_equal(rename(box, old), 0);
	unlink(old);
	fill_box(STR(OTHER));
}

/* A mail reader puts a new file in the mailbox's place between our open and our lock. */
static void
test_replaced_before_lock(void **state)
{
	struct trial t = trial(STR("\nx\n"));

	(void)state;
	fill_box(STR(""));
	on_flock = replace_box;
	struct outcome o = deliver(&t);
	expect_verdict(&o, TEMPFAIL, "was replaced");
	expect_box(STR(OTHER));
	on_flock = replace_box;
	t.job.lock_seconds = 60;
	expect_delivered(&t);
	expect_box(STR(OTHER HEAD "\nx\n\n"));
}

static void
make_dotlock(const char *text, time_t age)
{
	time_t then = time(NULL) - age;
	int fd = file_create(AT_FDCWD, dotlock, 0600);

	assert_int_equal(file_write(fd, str_of(text)), 0);
	assert_int_equal(futimens(fd, (struct timespec[]){{then, 0}, {then, 0}}), 0);
	close(fd);
}

static void
set_box_age(time_t age)
{
	time_t then = time(NULL) - age;
	struct timespec times[] = {{then, 0}, {then, 0}};

	assert_int_equal(utimensat(AT_FDCWD, box, times, 0), 0);
}

static void
test_dotlock(void **state)
{
	static const struct { const char *text; time_t age, box_age; bool stale; } cases[] = {
		{"123\n", 0, 1000, false},
		{"123\n", 1000, 0, false}, /* its holder writes */
		{"123\n", 1000, 1000, true},
		{"", 290, 1000, false},
		{"", 310, 310, true},
		{"mtabox\n", 0, 0, true}, /* ours: whoever made it has no flock any more */
		{"mtabox\n1", 0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trial t = trial(STR("\nx\n"));
		fill_box(STR(OTHER));
		make_dotlock(cases[i].text, cases[i].age);
		set_box_age(cases[i].box_age);
		t.job.ctx = &t;
		struct outcome o = mbox_deliver(&t.m, &t.job);
		if (cases[i].stale) {
			expect_verdict(&o, DELIVERED, box);
			assert_int_equal(size_of(dotlock), 7);
		} else {
			expect_verdict(&o, TEMPFAIL, " has a .lock ");
			expect_box(STR(OTHER));
			assert_int_equal(size_of(dotlock), strlen(cases[i].text));
		}
		mbox_release(&t.m);
		off_t left = cases[i].stale ? -1 : (off_t)strlen(cases[i].text);
		assert_int_equal(size_of(dotlock), left);
		unlink(dotlock);
	}
}

static void
test_locked_until_released(void **state)
{
	struct trial t = trial(STR("\nx\n")), other = t;

	(void)state;
	fill_box(STR(""));
	t.job.ctx = &t;
	struct outcome o = mbox_deliver(&t.m, &t.job);
	expect_verdict(&o, DELIVERED, box);
	assert_int_equal(size_of(dotlock), 7);
	other.job.ctx = &other;
	o = mbox_deliver(&other.m, &other.job);
	expect_verdict(&o, TEMPFAIL, "locked");
	assert_int_equal(other.m.fd, -1);
	mbox_release(&other.m);
	assert_int_equal(size_of(dotlock), 7);
	mbox_release(&t.m);
	expect_delivered(&other);
}

/* As nobody in root's directory: no dotlock can be made, and that is no reason to fail. */
static void
test_directory_without_rights(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(mbox_create(box, 65534, 65534), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct trial t = trial(STR("\nx\n"));
		if (setgid(65534) || setuid(65534))
			_exit(1);
		t.job.ctx = &t;
		struct outcome o = mbox_deliver(&t.m, &t.job);
		_exit(o.verdict == DELIVERED && !t.m.dotlock ? 42 : 2);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 42);
	expect_box(STR(HEAD "\nx\n\n"));
}

static void
test_create(void **state)
{
	struct stat st;
	uid_t uid = geteuid() == 0 ? 12 : geteuid();

	(void)state;
	assert_int_equal(mbox_create(box, uid, 34), 0);
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, uid);
	/* An existing one with mail in it stays as it is. */
	fill_box(STR(OTHER));
	assert_int_equal(mbox_create(box, uid + 1, 34), 0);
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_uid, uid);
	expect_box(STR(OTHER));
	unlink(box);
	/* A crash left root's. */
	fill_box(STR(""));
	assert_int_equal(mbox_create(box, uid, 34), 0);
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_uid, uid);
	unlink(box);
	/* Other files are not given away. */
	if (geteuid() == 0) {
		fill_box(STR(OTHER));
		assert_int_equal(mbox_create(box, uid, 34), 0);
		assert_int_equal(stat(box, &st), 0);
		assert_int_equal(st.st_uid, 0);
		fill_box(STR(""));
		assert_int_equal(chown(box, 5, 5), 0);
		assert_int_equal(mbox_create(box, uid, 34), 0);
		assert_int_equal(stat(box, &st), 0);
		assert_int_equal(st.st_uid, 5);
		unlink(box);
	}
	/* A link is not followed. */
	assert_int_equal(symlink("elsewhere", box), 0);
	assert_int_equal(mbox_create(box, uid, 34), 0);
	assert_int_equal(stat(box, &st), -1);
	char missing[80];
	fmt_print(missing, sizeof missing, "%s/no/joe", dir);
	assert_int_equal(mbox_create(missing, uid, 34), geteuid() == 0 ? 0 : -1);
	unlink(box);
}

/* Where root does not create a mailbox: anything on the way is somebody else's, or can be
 * replaced by others. */
static void
test_create_only_on_roots_ground(void **state)
{
	static const struct { const char *link; mode_t home_mode; uid_t home, link_owner; bool ok; }
	cases[] = {
		{NULL, 0755, 0, 0, true},
		{NULL, 0755, 12, 0, false},
		{NULL, 0777, 0, 0, false},
		{NULL, 01777, 0, 0, true},
		{"../else", 0755, 0, 0, true},
		{"../else", 0755, 12, 12, false},
		{"../else", 01777, 0, 12, false},
		{"../else/loop", 0755, 0, 0, false},
		{"mail", 0755, 0, 0, false},
	};
	char home[64], mail[80], elsewhere[64], path[96], loop[80];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	fmt_print(home, sizeof home, "%s/home", dir);
	fmt_print(mail, sizeof mail, "%s/mail", home);
	fmt_print(elsewhere, sizeof elsewhere, "%s/else", dir);
	fmt_print(loop, sizeof loop, "%s/loop", elsewhere);
	fmt_print(path, sizeof path, "%s/joe", mail);
	assert_int_equal(mkdir(elsewhere, 0755), 0);
	assert_int_equal(symlink("../home/mail", loop), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(mkdir(home, 0755), 0);
		if (cases[i].link)
			assert_int_equal(symlink(cases[i].link, mail), 0);
		else
			assert_int_equal(mkdir(mail, 0777), 0);
		assert_int_equal(lchown(mail, cases[i].link_owner, 0), 0);
		assert_int_equal(chown(home, cases[i].home, 0), 0);
		assert_int_equal(chmod(home, cases[i].home_mode), 0);
		assert_int_equal(mbox_create(path, 12, 34), 0);
		bool there = stat(path, &st) == 0;
		if (there != cases[i].ok)
			fail_msg("case %zu", i);
		if (there)
			assert_int_equal(st.st_uid, 12);
		unlink(path);
		if (unlink(mail))
			rmdir(mail);
		assert_int_equal(rmdir(home), 0);
	}
	unlink(loop);
	rmdir(elsewhere);
}

/* A link that is longer than what is looked at of it: that much leads to root's own directory,
 * all of it through somebody else's. */
static void
test_create_by_long_link(void **state)
{
	char path[80], other[64], sub[80], link[80];
	struct buf target = {0};

	(void)state;
	if (geteuid() != 0)
		skip();
	fmt_print(other, sizeof other, "%s/other", dir);
	fmt_print(sub, sizeof sub, "%s/sub", other);
	fmt_print(link, sizeof link, "%s/link", dir);
	fmt_print(path, sizeof path, "%s/joe", link);
	while (target.len < 512)
		buf_puts(&target, "./");
	buf_puts(&target, "other/sub");
	assert_int_equal(mkdir(other, 0755), 0);
	assert_int_equal(chown(other, 12, 0), 0);
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(symlink(buf_cstr(&target), link), 0);
	assert_int_equal(mbox_create(path, 12, 34), 0);
	assert_int_equal(size_of(path), -1);
	buf_free(&target);
	unlink(link);
	rmdir(sub);
	rmdir(other);
}

/* What root left to the recipient. */
static void
test_deliver_creates(void **state)
{
	struct trial t = trial(STR("\nx\n"));
	struct stat st;

	(void)state;
	expect_delivered(&t);
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	expect_box(STR(HEAD "\nx\n\n"));
}

/* Killed between the two steps of making it, or a power cut that left zeros of the mark: its
 * mode says whose it was. */
static void
test_dotlock_without_mark(void **state)
{
	struct trial t = trial(STR("\nx\n"));
	struct stat st;

	(void)state;
	fill_box(STR(""));
	t.job.ctx = &t;
	struct outcome o = mbox_deliver(&t.m, &t.job);
	expect_verdict(&o, DELIVERED, box);
	assert_int_equal(stat(dotlock, &st), 0);
	mbox_release(&t.m);
	close(file_create(AT_FDCWD, dotlock, st.st_mode & 07777));
	expect_delivered(&t);
	int fd = file_create(AT_FDCWD, dotlock, st.st_mode & 07777);
	assert_int_equal(file_write(fd, STR("\0\0\0\0\0\0\0")), 0);
	close(fd);
	expect_delivered(&t);
	close(file_create(AT_FDCWD, dotlock, 0444));
	t.job.ctx = &t;
	o = mbox_deliver(&t.m, &t.job);
	expect_verdict(&o, TEMPFAIL, " has a .lock ");
	unlink(dotlock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_quoting),
		TEST(test_large_content),
		TEST(test_missing_empty_line),
		TEST(test_fragment_is_replaced),
		TEST(test_fragment_before_foreign_mail),
		TEST(test_similar_mail_is_not_ours),
		TEST(test_other_place),
		TEST(test_intend_refuses),
		TEST(test_disk_full),
		TEST(test_content_unreadable),
		TEST(test_unfit_mailbox),
		TEST(test_foreign_locks),
		TEST(test_waits_for_lock),
		TEST(test_replaced_before_lock),
		TEST(test_dotlock),
		TEST(test_locked_until_released),
		TEST(test_directory_without_rights),
		TEST(test_create),
		TEST(test_create_only_on_roots_ground),
		TEST(test_create_by_long_link),
		TEST(test_deliver_creates),
		TEST(test_dotlock_without_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
