/* SPDX-License-Identifier: ISC */
/* The least a program can do that takes a message and keeps it: reads standard input, writes
 * a file, fsync, rename, fsync of the directory. usage: floor DIRECTORY < message */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	static char buffer[16384];
	char draft[32], name[32];
	ssize_t n;

	if (argc != 2 || chdir(argv[1]))
		return 1;
	long pid = (long)getpid();
	snprintf(draft, sizeof draft, "T%ld", pid);
	snprintf(name, sizeof name, "Q%ld", pid);
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL, 0600);
	while ((n = read(0, buffer, sizeof buffer)) > 0)
		if (write(fd, buffer, (size_t)n) != n)
			return 1;
	return dir < 0 || n < 0 || fsync(fd) || rename(draft, name) || fsync(dir);
}
