/* SPDX-License-Identifier: ISC */
/* Each call of the system that a local worker makes fails, once or from then on. It delivers to those
 * it should and to nobody else, and what it cannot find out it says: no .forward, list or right is
 * passed over. It writes to a mailbox when the runner has said so, and keeps it locked until then. */
#include "calls.h"
#include "file.h"
#include "local.h"
#include "sandbox.h"
#include "user.h"

enum { PATIENCE = 20 }; /* seconds, with a worker that waits for what does not come */

static char top[] = "/tmp/test_local_calls.XXXXXX";
static char box[sizeof top + 8], list[sizeof top + 8];
static struct conf conf = {
	.mailbox = box, .forward = true, .default_user = "nobody", .aliases = "aliases",
	.mailname = "router.example", .local_domains = "",
};
static const struct str old = STR("From ann Thu Jan  1 00:00:00 1970\n\nold mail\n\n");
static const struct str letter = STR("Subject: x\n\nhello\n");

/* What the worker's process leaves when it ends. */
static struct {
	char failed[sizeof calls.failed];
	bool became;
} *left;

/* --- who is who, and with which rights --- */

int
sandbox_become(uid_t uid, gid_t gid)
{
	(void)uid;
	(void)gid;
	if (call_fails("sandbox_become"))
		return -1;
	left->became = true;
	return 0;
}

void
sandbox_follow(pid_t parent)
{
	(void)parent;
}

void
sandbox_outlive(void)
{
}

void
sandbox_close(const int *keep, size_t count)
{
	(void)keep;
	(void)count;
}

static enum user_result
somebody(struct str name, struct user *u)
{
	*u = (struct user){.uid = geteuid(), .gid = getegid()};
	buf_str(&u->name, name);
	buf_puts(&u->home, top);
	return USER_FOUND;
}

enum user_result
user_of_mail(struct user_file *f, struct str name, struct user *u)
{
	(void)f;
	*u = (struct user){0};
	errno = EIO;
	return str_eq(name, STR("unknown")) ? USER_UNKNOWN :
		str_eq(name, STR("unread")) ? USER_ERROR : somebody(name, u);
}

enum user_result
user_by_id(struct user_file *f, uid_t uid, struct user *u)
{
	(void)f;
	(void)uid;
	return somebody(STR("nobody"), u);
}

void
user_without_rights(struct user_file *f, struct str name, struct user *u)
{
	(void)f;
	somebody(name, u);
}

void
user_free(struct user *u)
{
	buf_free(&u->name);
	buf_free(&u->home);
}

/* --- the worker --- */

_Noreturn void
_exit(int status)
{
	memcpy(left->failed, calls.failed, sizeof left->failed);
	calls.counting = false;
	for (;;)
		syscall(SYS_exit_group, status);
}

static struct alias_file aliases;
static struct journal_rcpt rcpt;

_Noreturn static void
work(struct worker_link *runner)
{
	alarm(PATIENCE);
	local_run(&(struct local_job){
		.conf = &conf, .aliases = &aliases, .rcpt = &rcpt, .address = rcpt.address,
		.full = STR("joe@router.example"), .sender = STR("ann@far.example"),
		.id = STR("0123456789abcdef"), .host = STR("router.example"), .date = 1000000000,
		.content = {.head = letter, .fd = -1},
	}, (count_calls(), runner));
}

/* --- the runner --- */

/* What it answers to a place: what it should, that it could not be written down, nothing but its
 * end; or it goes deaf, then or before. */
static enum { GO, FINISH, HANG_UP, DEAF, BORN_DEAF } answer;

static struct {
	bool told;               /* where it will write */
	bool spoke, delivered;
	struct outcome outcome;
	char expansion[256];
} heard;

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_size;
}

static void
say(struct worker_link *l, enum worker_kind kind)
{
	worker_send_wait(l, &(struct worker_frame){.kind = kind, .fd = -1});
}

static bool
is_locked(void)
{
	int fd = open(box, O_RDONLY);
	bool is = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

	close(fd);
	return is;
}

static void
hear(struct worker_link *l, const struct worker_frame *f, off_t before)
{
	if (f->kind == WORKER_MAILBOX) {
		assert_int_equal(size_of(box), before);
		assert_int_equal(f->place[2], before);
		heard.told = true;
		if (answer == HANG_UP)
			shutdown(l->fd, SHUT_RDWR);
		else if (answer == DEAF)
			shutdown(l->fd, SHUT_RD);
		if (answer != HANG_UP)
			say(l, answer == FINISH ? WORKER_FINISH : WORKER_GO);
		return;
	}
	assert_false(heard.spoke);
	heard.spoke = true;
	heard.outcome = f->outcome;
	heard.delivered = f->kind == WORKER_OUTCOME && f->outcome.verdict == DELIVERED;
	snprintf(heard.expansion, sizeof heard.expansion, "%.*s", STR_ARG(f->payload));
	if (heard.delivered && heard.told && calls.fail_at == 0)
		assert_true(is_locked());
	say(l, WORKER_GO);
}

/* One delivery, to its end. */
static void
deliver(void)
{
	struct worker_link ours, theirs;
	struct worker_frame f;
	int status;
	off_t before = size_of(box);

	memset(&heard, 0, sizeof heard);
	memset(left, 0, sizeof *left);
	assert_int_equal(worker_pair(&ours, &theirs), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ours.fd);
		work(&theirs);
	}
	worker_close(&theirs);
	if (answer == BORN_DEAF)
		shutdown(ours.fd, SHUT_RD);
	while (answer != BORN_DEAF && (answer != DEAF || !heard.told)) {
		if (worker_receive_wait(&ours, &f) != 1)
			break;
		hear(&ours, &f, before);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	worker_close(&ours);
	strcpy(calls.failed, left->failed);
	if (status)
		fail_msg("%s: the worker ended with status %x", calls.failed, (unsigned)status);
}

/* --- what must be so --- */

static void
fill(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, str_of(text)), 0);
	close(fd);
}

static void
empty(void)
{
	char command[96];

	snprintf(command, sizeof command, "rm -rf %s/* %s/.forward", top, top);
	assert_int_equal(system(command), 0);
}

/* How many copies stand behind the old mail. */
static unsigned
copies(void)
{
	struct buf text = {0};
	unsigned n = 0;

	if (access(box, F_OK))
		return 0;
	assert_int_equal(file_load(box, 1 << 20, &text), 0);
	for (const char *at = buf_cstr(&text); (at = strstr(at, "\n\nhello\n\n")); at++)
		n++;
	buf_free(&text);
	return n;
}

static int
as_failed(bool done)
{
	errno = calls.error;
	return done ? 0 : -1;
}

static bool has_box;

/* To box. Where it is not said to be there, nothing is, or the runner knows where. */
static int
run_mbox(void)
{
	empty();
	if (has_box)
		fill(box, old.ptr);
	deliver();
	assert_int_equal(heard.expansion[0], '\0');
	if (heard.delivered) {
		assert_true(left->became && heard.told);
		assert_int_equal(copies(), 1);
	} else if (heard.spoke) {
		assert_int_equal(heard.outcome.verdict, TEMPFAIL);
		if (strncmp(calls.failed, "ftruncate", 9) && !calls.lasting)
			assert_int_equal(copies(), 0);
	} else {
		assert_true(copies() == 0 || heard.told);
	}
	return as_failed(heard.delivered);
}

static const char *forward, *included, *expected;

/* Others take the recipient's place, these or nobody. */
static int
run_expand(void)
{
	empty();
	if (forward) {
		char path[sizeof top + 16];
		snprintf(path, sizeof path, "%s/.forward", top);
		fill(path, forward);
	}
	if (included)
		fill(list, included);
	deliver();
	assert_false(heard.delivered);
	assert_int_equal(copies(), 0);
	if (heard.expansion[0]) {
		assert_true(left->became);
		assert_string_equal(heard.expansion, expected);
	} else if (heard.spoke) {
		assert_int_equal(heard.outcome.verdict, TEMPFAIL);
		/* Who cannot become another user has no other reason than that. */
		if (!strstr(heard.outcome.text, strerror(EIO)) && calls.failed[0] != 's')
			fail_msg("%s fails, and it says: %s", calls.failed, heard.outcome.text);
	}
	return as_failed(heard.expansion[0]);
}

/* In an mbox's place for what may fail: its mark, descriptors that are closed, and talk, each piece
 * of which has a second chance. */
#define TALK " sendmsg recvmsg poll close "

static void
each_fails_lastingly(const char *what, int (*run)(void), const char *may)
{
	each_call_fails(what, run, EIO, may);
	calls.lasting = true;
	for (calls.fail_at = 1; calls.fail_at < 100; calls.fail_at++) {
		calls.error = EIO;
		run();
		if (!calls.failed[0])
			break;
	}
	calls.lasting = false;
	calls.fail_at = 0;
}

static void
test_mailbox(void **state)
{
	(void)state;
	rcpt = (struct journal_rcpt){.kind = JOURNAL_MAILBOX, .address = STR("joe")};
	has_box = true;
	each_fails_lastingly("to a mailbox", run_mbox, TALK "lstat open1 write1 unlink ");
	has_box = false;
	/* Its directory is looked at, and where that cannot be the recipient makes it. */
	each_fails_lastingly("to a new mailbox", run_mbox, TALK "lstat fstat write1 openat unlink ");
}

/* Without the word that its place is on disk, nothing is written. */
static void
test_no_go(void **state)
{
	(void)state;
	rcpt = (struct journal_rcpt){.kind = JOURNAL_MAILBOX, .address = STR("joe")};
	has_box = true;
	assert_int_equal(run_mbox(), 0);
	for (answer = FINISH; answer <= HANG_UP; answer++) {
		assert_int_equal(run_mbox(), -1);
		assert_true(heard.told);
		assert_int_equal(copies(), 0);
	}
	/* Nor does it wait for who does not hear it, and nothing stays of what nobody knows. */
	for (; answer <= BORN_DEAF; answer++) {
		empty();
		fill(box, old.ptr);
		deliver();
		assert_int_equal(copies(), 0);
	}
	answer = GO;
}

static void
test_forward(void **state)
{
	(void)state;
	rcpt = (struct journal_rcpt){.kind = JOURNAL_ADDRESS, .address = STR("joe")};
	forward = "\\joe, bob@far.example\n";
	included = NULL;
	expected = "mailbox\naddress bob@far.example\n";
	each_fails_lastingly("a .forward", run_expand, TALK "lstat ");
	/* A part that it does not have any more. */
	rcpt.kind = JOURNAL_FORWARD_PART;
	rcpt.part = 12345;
	each_fails_lastingly("another .forward", run_expand, TALK "lstat ");
	/* No .forward, no part. */
	forward = NULL;
	expected = "mailbox\n";
	assert_int_equal(run_expand(), 0);
}

static void
read_aliases(const char *text)
{
	alias_free(&aliases);
	alias_parse(&aliases, str_of(text), NULL, NULL);
}

static void
test_aliases(void **state)
{
	char text[96];

	(void)state;
	forward = NULL;
	snprintf(text, sizeof text, "robot: \":include:%s\", joe\n", list);
	read_aliases(text);
	rcpt = (struct journal_rcpt){.kind = JOURNAL_ALIAS, .address = STR("robot")};
	included = "bob@far.example\n";
	expected = "address bob@far.example\naddress joe\n";
	each_fails_lastingly("a list", run_expand, TALK);
	/* A part that the file does not have any more. */
	rcpt.kind = JOURNAL_ALIAS_PART;
	rcpt.part = 12345;
	each_fails_lastingly("another list", run_expand, TALK);
	alias_free(&aliases);
}

static int
include_none(void *ctx, struct str path, struct buf *text)
{
	(void)ctx;
	(void)path;
	(void)text;
	return ENOENT;
}

static void
test_alias_part(void **state)
{
	struct alias_found found = {0};
	struct buf why = {0};
	char text[96];

	(void)state;
	snprintf(text, sizeof text, "robot: %s\n", box);
	read_aliases(text);
	assert_int_equal(alias_expand_fully(&aliases, STR("robot"), NULL, include_none, NULL, &found,
					    &why), ALIAS_EXPANDED);
	assert_int_equal(found.part_count, 1);
	rcpt = (struct journal_rcpt){
		.kind = JOURNAL_ALIAS_PART, .address = STR("robot"), .part = found.parts[0].id,
	};
	has_box = true;
	each_fails_lastingly("to a file", run_mbox, TALK "write1 unlink ");
	alias_found_free(&found);
	alias_free(&aliases);
	buf_free(&why);
}

/* Who cannot have a mailbox, who is not there, and of whom nobody can say whether he is. */
static void
test_nobody(void **state)
{
	static const struct {
		const char *name;
		bool becomes;
		enum verdict verdict;
	} cases[] = {
		{"\"a/b\"", true, PERMFAIL}, {"\"..\"", true, PERMFAIL},
		{"unknown", false, PERMFAIL}, {"unread", false, TEMPFAIL},
	};

	(void)state;
	for (unsigned n = 0; n < 2 * sizeof cases / sizeof *cases; n++) {
		conf.mailbox = n % 2 ? "/nowhere/%u" : box;
		rcpt = (struct journal_rcpt){
			.kind = JOURNAL_MAILBOX, .address = str_of(cases[n / 2].name),
		};
		empty();
		deliver();
		assert_true(heard.spoke);
		assert_int_equal(heard.outcome.verdict, cases[n / 2].verdict);
		assert_int_equal(left->became, cases[n / 2].becomes);
		assert_false(heard.told);
		assert_int_equal(access(box, F_OK), -1);
	}
	conf.mailbox = box;
}

static int
set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(box, sizeof box, "%s/box", top);
	snprintf(list, sizeof list, "%s/list", top);
	left = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(left != MAP_FAILED);
	answer = GO;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	empty();
	munmap(left, sizeof *left);
	return rmdir(top);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_mailbox), T(test_no_go), T(test_forward), T(test_aliases), T(test_alias_part),
		T(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
