/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "fmt.h"
#include "limit.h"
#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* An open file with that text. */
static int
open_text(struct str text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(file_write(fd, text), 0);
	return fd;
}

/* Takes all blocks of that kind: "[DER][DER]". */
static void
expect(const char *want, struct str text, struct str kind)
{
	struct pem p = {.fd = open_text(text)};
	struct buf der = {0}, got = {0};

	while (pem_take(&p, kind, &der))
		buf_print(&got, "[%.*s]", STR_ARG(buf_view(&der)));
	assert_string_equal(buf_cstr(&got), want);
	buf_free(&der);
	buf_free(&got);
	close(p.fd);
}

#define CERT(text) "-----BEGIN CERTIFICATE-----\n" text "-----END CERTIFICATE-----\n"

static void
test_blocks(void **state)
{
	static const struct {
		const char *want, *text;
	} cases[] = {
		{"", ""},
		{"", "no certificate\n"},
		{"[abcdef]", CERT("YWJj\nZGVm\n")},
		{"[abcdef]", "# a comment\r\n" CERT("YWJj\r\nZGVm\r\n") "\r\nanother"},
		{"[abc][def]", CERT("YWJj\n") CERT("ZGVm\n")},
		{"[abc]", "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----"},
		{"[abc]", "-----BEGIN TRUSTED CERTIFICATE-----\nYWJj\n"
			  "-----END TRUSTED CERTIFICATE-----\n"},
		/* Malformed ones are empty and end where they end. */
		{"[][def]", CERT("YW?j\n") CERT("ZGVm\n")},
		{"[][def]", CERT("YWJj\nYQ\nYWJj\n") CERT("ZGVm\n")},
		{"[]", CERT("")},
		/* One that does not end is none, and does not take the next one with it. */
		{"", "-----BEGIN CERTIFICATE-----\nYWJj\n"},
		{"[def]", "-----BEGIN CERTIFICATE-----\nYWJj\n" CERT("ZGVm\n")},
		/* Other kinds. */
		{"[def]", "-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n"
			  CERT("ZGVm\n")},
		{"", "-----BEGIN CERTIFICATE REQUEST-----\nYWJj\n"
		     "-----END CERTIFICATE REQUEST-----\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect(cases[i].want, str_of(cases[i].text), PEM_CERTIFICATE);
}

static void
test_keys(void **state)
{
	(void)state;
	expect("[abc]", STR(CERT("ZGVm\n") "-----BEGIN PRIVATE KEY-----\nYWJj\n"
			    "-----END PRIVATE KEY-----\n"), PEM_KEY);
	expect("[abc]", STR("-----BEGIN EC PARAMETERS-----\nZGVm\n-----END EC PARAMETERS-----\n"
			    "-----BEGIN EC PRIVATE KEY-----\nYWJj\n-----END EC PRIVATE KEY-----\n"),
	       PEM_KEY);
	expect("[]", STR("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
			 "DEK-Info: AES-128-CBC,00\n\nYWJj\n-----END RSA PRIVATE KEY-----\n"),
	       PEM_KEY);
}

/* Lines and blocks at and over the limits. */
static void
test_long(void **state)
{
	struct buf text = {0};
	struct pem p = {0};
	struct buf der = {0};

	(void)state;
	for (size_t i = 0; i < 5000; i++)
		buf_putc(&text, '#');
	buf_puts(&text, "\n-----BEGIN CERTIFICATE-----\n");
	for (size_t i = 0; i < LIMIT_PEM_BLOCK / 32; i++)
		buf_puts(&text, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=\n");
	buf_puts(&text, "-----END CERTIFICATE-----\n");
	p.fd = open_text(buf_view(&text));
	assert_true(pem_take(&p, PEM_CERTIFICATE, &der));
	assert_int_equal(der.len, LIMIT_PEM_BLOCK);
	close(p.fd);

	text.len -= strlen("-----END CERTIFICATE-----\n");
	buf_puts(&text, "YWJj\n-----END CERTIFICATE-----\n" CERT("ZGVm\n"));
	p = (struct pem){.fd = open_text(buf_view(&text))};
	assert_true(pem_take(&p, PEM_CERTIFICATE, &der));
	assert_int_equal(der.len, 0);
	assert_true(pem_take(&p, PEM_CERTIFICATE, &der));
	assert_int_equal(der.len, 3);
	close(p.fd);
	buf_free(&text);
	buf_free(&der);
}

static char dir[] = "/tmp/test_pem.XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[300];

	fmt_print(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
put(const char *name, struct str text)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(file_write(fd, text), 0);
	close(fd);
}

/* How many certificates are found at a path. */
static size_t
count(const char *path)
{
	struct pem p = {.fd = pem_open(path)};
	struct buf der = {0};
	size_t n = 0;

	assert_true(p.fd >= 0);
	for (; pem_take(&p, PEM_CERTIFICATE, &der); n++)
		assert_int_equal(der.len, 3);
	buf_free(&der);
	close(p.fd);
	return n;
}

static void
test_directory(void **state)
{
	static const char *const names[] = {
		"a.pem", "b.crt", "c.txt", "0a1b2c3d.0", "link.pem", "lost.pem", "fifo.pem",
		"large.pem", "sub.pem",
	};

	(void)state;
	assert_int_equal(pem_open(path_of("nothing")), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pem_open(dir), -1);
	assert_int_equal(errno, ENODATA);

	/* No newline at the end; not by its name; a link to another file; nothing behind it; what
	 * is no file. */
	put("a.pem", STR("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----"));
	put("b.crt", STR("Of this\n" CERT("YWJj\n") CERT("YWJj\n")));
	put("c.txt", STR(CERT("YWJj\n")));
	put("0a1b2c3d.0", STR(CERT("YWJj\n")));
	assert_int_equal(symlink("c.txt", path_of("link.pem")), 0);
	assert_int_equal(symlink("gone.txt", path_of("lost.pem")), 0);
	assert_int_equal(mkfifo(path_of("fifo.pem"), 0600), 0);
	assert_int_equal(mkdir(path_of("sub.pem"), 0700), 0);
	assert_int_equal(count(dir), 4);
	assert_int_equal(count(path_of("b.crt")), 2);

	put("large.pem", STR(""));
	assert_int_equal(truncate(path_of("large.pem"), LIMIT_PEM_DIRECTORY / 2), 0);
	assert_int_equal(count(dir), 4);
	assert_int_equal(truncate(path_of("large.pem"), LIMIT_PEM_DIRECTORY), 0);
	assert_int_equal(pem_open(dir), -1);
	assert_int_equal(errno, EFBIG);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(remove(path_of(names[i])), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
