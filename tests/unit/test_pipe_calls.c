/* SPDX-License-Identifier: ISC */
/* Each call of the system that the delivery to a command makes fails once, in each of its processes:
 * then it is not delivered, or the command has had the whole message. */
#include "calls.h"
#include "pipe.h"

#include <signal.h>
#include <sys/prctl.h>

CALL(int, pipe2, (int ends[2], int flags), ends, flags)
CALL(int, dup2, (int from, int to), from, to)

static bool no_directories;

int
chdir(const char *path)
{
	if (no_directories)
		errno = EACCES;
	return no_directories || call_fails("chdir") ? -1 : REAL(chdir)(path);
}

/* Of the keeper, who cannot tell us otherwise. */
static bool *no_session;
static bool no_sessions;

pid_t
setsid(void)
{
	*no_session = no_sessions || call_fails("setsid");
	return *no_session ? -1 : REAL(setsid)();
}

/* Whose calls fail: ours, or those of the command's keeper, or of what becomes the command. */
static unsigned generation, failing;

pid_t
_Fork(void)
{
	if (call_fails("fork"))
		return -1;
	pid_t pid = REAL(_Fork)();
	generation += pid == 0;
	calls.counting = generation == failing;
	return pid;
}

static char top[] = "/tmp/test_pipe_calls.XXXXXX";
static struct user user;

static int
set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(top));
	no_session = mmap(NULL, sizeof *no_session, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	user = (struct user){.uid = getuid(), .gid = getgid()};
	buf_puts(&user.name, "joe");
	buf_puts(&user.home, top);
	/* A command that did not come to be reads nothing. */
	signal(SIGPIPE, SIG_IGN);
	/* What is left of a session would become ours. */
	return chdir(top) || prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int
tear_down(void **state)
{
	(void)state;
	buf_free(&user.name);
	buf_free(&user.home);
	unlink("kept");
	return chdir("/") || rmdir(top);
}

static const char kept[] = "Return-Path: <joe@example.org>\nDelivered-To: root@router\n"
	"Subject: x\n\nx\n";

static void
expect_kept(void)
{
	char text[256] = "";
	int fd = open("kept", O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof text) < 0 || strcmp(text, kept))
		fail_msg("%s %u of %u fails: delivered, but not whole", calls.failed, calls.fail_at, failing);
	close(fd);
}

static int
run_command(struct str command)
{
	struct pipe_job job = {
		.command = command, .user = &user, .sender = STR("joe@example.org"),
		.rcpt = STR("root@router"), .content = {.head = STR("Subject: x\n\nx\n"), .fd = -1},
		.seconds = 20,
	};

	unlink("kept");
	count_calls();
	calls.counting = failing == 0;
	struct outcome o = pipe_deliver(&job);
	calls.counting = false;
	/* A keeper that nobody waited for may be on its way out; more than that there is not. */
	while (REAL(waitpid)(-1, NULL, 0) > 0)
		;
	if (o.verdict == DELIVERED)
		expect_kept();
	/* Without its pipes nothing is begun. */
	if (strncmp(calls.failed, "pipe2", 5) == 0)
		assert_non_null(strstr(o.text, "starting"));
	errno = calls.error;
	return o.verdict == DELIVERED ? 0 : -1;
}

static int
run(void)
{
	return run_command(STR("exec cat >$HOME/kept"));
}

static void
test_command(void **state)
{
	(void)state;
	each_call_fails("a command", run, EIO, " fcntl close poll read ");
	calls.error = EIO;
	for (failing = 1; failing < 3; failing++) {
		unsigned heard = 0;
		for (calls.fail_at = 1; calls.fail_at < 20; calls.fail_at++)
			heard += run() != 0;
		assert_true(heard >= 3);
	}
}

/* The keeper kills a whole group, which must be its own. */
static void
test_keeper_without_session(void **state)
{
	(void)state;
	bool seen = false;

	failing = 1;
	calls.error = EPERM;
	for (calls.fail_at = 1; calls.fail_at < 10 && !seen; calls.fail_at++) {
		int rc = run();
		seen = *no_session;
		assert_true(!seen || rc != 0);
	}
	assert_true(seen);
}

/* Who gives the message dies before it has said that this was all. */
static void
die_at_wait(const char *call)
{
	if (strcmp(call, "waitpid") == 0)
		raise(SIGKILL);
}

/* That, in a process group with one who waits for the end of all that was begun: how he ends. */
static int
run_and_die(void)
{
	int status;
	pid_t bystander = fork();

	if (bystander == 0) {
		setpgid(0, 0);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		pid_t giver = fork();
		if (giver == 0) {
			calls.before = die_at_wait;
			_exit(run());
		}
		if (REAL(waitpid)(giver, &status, 0) != giver || !WIFSIGNALED(status))
			_exit(1);
		while (REAL(waitpid)(-1, NULL, 0) > 0)
			;
		_exit(42);
	}
	assert_int_equal(REAL(waitpid)(bystander, &status, 0), bystander);
	return status;
}

/* The keeper kills its session then; where it could not have one, nobody. */
static void
test_keeper_kills_its_own(void **state)
{
	(void)state;
	failing = calls.fail_at = 0;
	for (unsigned n = 0; n < 2; n++) {
		no_sessions = n == 1;
		int status = run_and_die();
		assert_int_equal(*no_session, no_sessions);
		no_sessions = false;
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 42);
	}
}

/* A command that can be in no directory, not even the root, does not run in ours. */
static void
test_no_directory(void **state)
{
	(void)state;
	failing = calls.fail_at = 0;
	no_directories = true;
	int rc = run();
	no_directories = false;
	assert_int_equal(rc, -1);
	assert_int_equal(access("kept", F_OK), -1);
}

static void
test_keeper_interrupted(void **state)
{
	(void)state;
	failing = 1;
	calls.error = EINTR;
	for (calls.fail_at = 1; calls.fail_at < 10; calls.fail_at++)
		assert_int_equal(run(), 0);
	calls.fail_at = 0;
}

/* Who waits for a command that takes its time looks at it less and less often. */
static void
test_patience(void **state)
{
	(void)state;
	failing = 0;
	assert_int_equal(run_command(STR("sleep .4; exec cat >$HOME/kept")), 0);
	assert_in_range(calls.count, 1, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_keeper_without_session),
		cmocka_unit_test(test_keeper_kills_its_own),
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_keeper_interrupted),
		cmocka_unit_test(test_patience),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
