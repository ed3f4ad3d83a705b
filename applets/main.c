/* SPDX-License-Identifier: ISC */
#include "applets.h"
#include "buf.h"
#include "config.h"
#include "file.h"
#include "fmt.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/auxv.h>
#include <sysexits.h>
#include <unistd.h>

static const struct applet {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
} applets[] = {
#define APPLET(name, help) {#name, name##_main, help},
#include "applets.def"
#undef APPLET
};

enum { APPLETS = sizeof applets / sizeof *applets };

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const struct applet *
find(const char *name)
{
	for (size_t n = 0; n < APPLETS; n++)
		if (strcmp(applets[n].name, name) == 0)
			return &applets[n];
	return NULL;
}

static int
usage(int fd)
{
	struct buf out = {0};

	buf_puts(&out, "mtabox " VERSION ": a device's mail system\n\n"
		 "usage: mtabox APPLET [argument...]\n"
		 "       mtabox --install [-s] DIR    make links to the applets (-s: symbolic)\n"
		 "       mtabox --version\n\napplets, also by a link of that name:\n");
	for (size_t n = 0; n < APPLETS; n++)
		buf_print(&out, "  %-12s%s\n", applets[n].name, applets[n].help);
	file_write(fd, buf_view(&out));
	buf_free(&out);
	return fd == STDOUT_FILENO ? EX_OK : EX_USAGE;
}

#define NEW ".mtabox.new"

/* A link for each applet in dir, in place of one that is there. */
static int
install(const char *dir, bool symbolic)
{
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (at < 0 || len < 0) {
		log_error("cannot install into %s:", dir);
		return EX_CANTCREAT;
	}
	self[len] = '\0';
	for (size_t n = 0; n < APPLETS; n++) {
		/* Under another name first: what is there works until ours does. */
		unlinkat(at, NEW, 0);
		if ((symbolic ? symlinkat(self, at, NEW) : linkat(AT_FDCWD, self, at, NEW, 0)) ||
		    renameat(at, NEW, at, applets[n].name)) {
			log_error("cannot make %s/%s%s:", dir, applets[n].name,
				  errno == EXDEV ? " (use --install -s)" : "");
			unlinkat(at, NEW, 0);
			return EX_CANTCREAT;
		}
		unlinkat(at, NEW, 0); /* a link renamed to its own file stays */
	}
	close(at);
	return EX_OK;
}

static int
version(void)
{
	return file_write(STDOUT_FILENO, STR("mtabox " VERSION "\n")) ? EX_IOERR : EX_OK;
}

static int
run(const struct applet *a, int argc, char **argv)
{
	log_name(a->name);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return version();
	return a->main(argc, argv);
}

static int
mtabox_main(int argc, char **argv)
{
	const struct applet *a;

	if (argc < 2)
		return usage(STDERR_FILENO);
	if (strcmp(argv[1], "--help") == 0)
		return usage(STDOUT_FILENO);
	if (strcmp(argv[1], "--version") == 0)
		return version();
	if (strcmp(argv[1], "--install") == 0) {
		bool symbolic = argc > 2 && strcmp(argv[2], "-s") == 0;
		if (argc == 3 + symbolic)
			return install(argv[2 + symbolic], symbolic);
		return usage(STDERR_FILENO);
	}
	if (!(a = find(base_name(argv[1])))) {
		log_error("no applet '%s' (mtabox --help lists them)", argv[1]);
		return EX_USAGE;
	}
	return run(a, argc - 1, argv + 1);
}

/* Nothing that we open may become standard input, output or error by accident: a log line
 * would go into a message. A missing standard input stays unreadable: it is no empty mail. */
static void
open_standard(void)
{
	struct pollfd fds[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};

	if (poll(fds, 3, 0) <= 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		if ((fds[fd].revents & POLLNVAL) &&
		    file_open_null(fd == STDIN_FILENO ? O_WRONLY : O_RDWR) != fd)
			_exit(EX_OSERR);
}

int
main(int argc, char **argv)
{
	const struct applet *a = argc > 0 ? find(base_name(argv[0])) : NULL;

	open_standard();
	/* Errors of a write like any other. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (getauxval(AT_SECURE)) {
		static char *nothing[1];
		environ = nothing;
		prlimit(0, RLIMIT_CORE, &(struct rlimit){0, 0}, NULL);
	}
	return a ? run(a, argc, argv) : mtabox_main(argc, argv);
}
