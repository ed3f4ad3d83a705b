/* SPDX-License-Identifier: ISC */
/* Handshakes with `openssl s_server` on 127.0.0.1, one for each of the certificates that
 * scripts/make-test-certs makes. */
#include "codec.h"
#include "fmt.h"
#include "pem.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define MAIL "mail.example" /* whom most of the certificates are for */

enum { PATIENCE = 10 }; /* seconds for one handshake; nothing waits that long when it works */

static char dir[] = "/tmp/test_tls.XXXXXX";
static int bundle;

struct server {
	pid_t pid;
	int out, in, fd; /* its standard output, standard input, our connection */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A file of dir. */
static int
open_file(const char *name, int flags)
{
	char path[300];

	fmt_print(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void
read_file(const char *name, struct buf *b)
{
	int fd = open_file(name, O_RDONLY);
	ssize_t n;

	while ((n = read(fd, buf_room(b, 4096), 4096)) > 0)
		b->len += (size_t)n;
	close(fd);
}

static void
write_file(const char *name, struct str text)
{
	int fd = open_file(name, O_WRONLY | O_CREAT | O_TRUNC);

	assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
	close(fd);
}

static int
run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Who we are, nobody at first. */
static struct identity me;

static void
become(const char *name)
{
	char cert[300] = "", key[300] = "";
	struct outcome why;

	if (*name) {
		fmt_print(cert, sizeof cert, "%s/%s.pem", dir, name);
		fmt_print(key, sizeof key, "%s/%s.key", dir, name);
	}
	identity_free(&me);
	assert_int_equal(identity_load(&me, cert, key, &why), 0);
}

static int
make_certs(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir) || run((char *[]){TOP "/scripts/make-test-certs", dir, NULL}))
		return -1;
	bundle = open_file("ca.pem", O_RDONLY);
	become("");
	return 0;
}

static int
remove_certs(void **state)
{
	(void)state;
	close(bundle);
	return run((char *[]){"rm", "-rf", dir, NULL});
}

/* The port from "ACCEPT 127.0.0.1:PORT". */
static unsigned short
read_port(int fd)
{
	struct buf b = {0};
	unsigned short port = 0;
	int64_t deadline = now_ms() + PATIENCE * 1000;

	while (!port && now_ms() < deadline) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n = poll(&p, 1, 1000) > 0 ? read(fd, buf_room(&b, 200), 200) : 0;
		if (n < 0 || (n == 0 && p.revents))
			break;
		b.len += (size_t)n;
		const char *at = strstr(buf_cstr(&b), "ACCEPT 127.0.0.1:");
		if (at && strchr(at, '\n'))
			port = (unsigned short)strtoul(at + 17, NULL, 10);
	}
	buf_free(&b);
	return port;
}

/* Writes what is behind a file's first certificate to the file "chain"; false: nothing is. */
static bool
write_chain(const char *pem)
{
	struct buf all = {0};

	read_file(pem, &all);
	struct str rest = str_of(strstr(buf_cstr(&all), "-----END CERTIFICATE-----\n") + 26);
	bool any = rest.len > 0;
	write_file("chain", rest);
	buf_free(&all);
	return any;
}

static struct server
start_server(const char *cert, const char *const *options)
{
	char pem[300], key[300], chain[300];
	const char *argv[32] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept",
				"1", "-rev", "-cert", pem, "-key", key};
	size_t argc = 11;
	int out[2], in[2];

	fmt_print(pem, sizeof pem, "%s/%s.pem", dir, cert);
	fmt_print(key, sizeof key, "%s/%s.key", dir, cert);
	fmt_print(chain, sizeof chain, "%s/chain", dir);
	if (write_chain(strrchr(pem, '/') + 1)) {
		argv[argc++] = "-cert_chain";
		argv[argc++] = chain;
	}
	for (size_t i = 0; options && options[i]; i++)
		argv[argc++] = options[i];
	argv[argc] = NULL;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	struct server s = {.pid = fork(), .out = out[0], .in = in[1], .fd = -1};
	if (s.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	close(out[1]);
	close(in[0]);

	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(read_port(s.out)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_not_equal(a.sin_port, 0);
	s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s.fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(fcntl(s.fd, F_SETFL, O_NONBLOCK), 0);
	return s;
}

static void
kill_server(struct server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

static void
stop_server(struct server *s)
{
	kill_server(s);
	close(s->fd);
	close(s->in);
	close(s->out);
}

/* Pumps until the connection is over (-1), there is something to read (1), or, unless
 * reading, the handshake is complete (0). */
static int
pump(struct tls *t, int fd, bool reading)
{
	int64_t deadline = now_ms() + PATIENCE * 1000;

	for (;;) {
		if (tls_pump(t))
			return -1;
		if (tls_ready(t) && !reading)
			return 0;
		if (tls_ready(t) && tls_events(t) == 0)
			return 1;
		struct pollfd p = {fd, tls_events(t), 0};
		assert_true(now_ms() < deadline);
		poll(&p, 1, 1000);
	}
}

static struct trust_config
config(void)
{
	return (struct trust_config){
		.verify = true,
		.ca = bundle,
		.ca_name = "ca.pem",
		.clock = CONF_CLOCK_STRICT,
		.now = {.wall = 1750000000, .believable = true}, /* June 2025 */
		.floor = 1700000000,
	};
}

/* tls-server-end-point of the last server. */
static struct buf binding;

/* The words of the failure, or "verified" or "accepted". */
static const char *
handshake_with(const struct trust_config *c, const char *name, const char *cert,
	       const char *const *options)
{
	static char words[LIMIT_OUTCOME_TEXT];
	struct server s = start_server(cert, options);
	struct trust trust;

	trust_init(&trust, c);
	struct tls *t = tls_open(s.fd, str_of(name), &trust, &me);
	if (pump(t, s.fd, false) == 0) {
		fmt_print(words, sizeof words, trust.verified ? "verified" : "accepted");
		assert_int_equal(trust.why.text[0], 0);
	} else {
		struct outcome o = tls_failure(t);
		assert_int_equal(o.verdict, TEMPFAIL);
		assert_int_equal(o.subject, 7);
		/* Only then is it the server who refuses. */
		assert_int_equal(trust.verified, strstr(o.text, "tls_cert") != NULL);
		memcpy(words, o.text, sizeof words);
	}
	binding.len = 0;
	buf_add(&binding, trust.binding, trust.binding_len);
	tls_free(t);
	trust_free(&trust);
	stop_server(&s);
	if (getenv("TLS_WORDS"))
		print_message("# %s: %s\n", cert, words);
	return words;
}

static void
expect(const char *words, const struct trust_config *c, const char *name, const char *cert,
       const char *const *options)
{
	const char *got = handshake_with(c, name, cert, options);

	if (!strstr(got, words))
		fail_msg("%s for %s, expected \"%s\": %s", cert, name, words, got);
}

static const char *const weak[] = {"-cipher", "DEFAULT@SECLEVEL=0", NULL};

static void
test_certificates(void **state)
{
	static const struct {
		const char *cert, *name, *words;
	} cases[] = {
		{"good", MAIL, "verified"},
		{"good", "MAIL.example.", "verified"},
		{"good", "mail.example.net", "this host, but other.example"},
		{"good", "127.0.0.1", "this host, but other.example"},
		{"goodrsa", MAIL, "verified"},
		{"p384", MAIL, "verified"},
		{"p521", MAIL, "verified"},
		{"anypurpose", MAIL, "verified"},
		{"wildcard", "x.mail.example", "verified"},
		{"wildcard", "x.y.mail.example", "this host, but *.example"},
		{"wildcard", "mail.example", "this host, but *.example"},
		{"wildcard", ".mail.example", "this host, but *.example"},
		{"address", "127.0.0.1", "verified"},
		{"address", "::1", "verified"},
		{"address", "127.0.0.2", "does not name this host: "},
		{"address", "mail.example", "does not name this host: "},
		{"wrongname", MAIL, "does not name this host"},
		{"expired", MAIL, "expired on 2024-01-02 03:04:05 UTC"},
		{"future", MAIL, "is not valid before 2039-01-01 00:00:00 UTC"},
		{"unknown", MAIL, "leads to CN=Unknown CA, which is not in ca.pem"},
		{"forged", MAIL, "was not signed by the CA of that name"},
		{"selfsigned", MAIL, "the self-signed certificate of mail.example"},
		{"pinnedself", MAIL, "verified"},
		{"nosan", "nosan", "has no subjectAltName"},
		{"wrongusage", MAIL, "is not for servers"},
		{"critical", MAIL, "critical extension"},
		{"caleaf", MAIL, "is a CA's"},
		{"oldissuer", MAIL, "mail.example's CA expired on 2020-01-01 00:00:00 UTC"},
		{"noissuer", MAIL, "may not issue"},
		{"pathlong", MAIL, "path length"},
		{"noversion", MAIL, "version 3"},
		{"chain", MAIL, "verified"},
		{"chainroot", MAIL, "verified"},
		{"shuffled", MAIL, "verified"},
		{"doubled", MAIL, "verified"},
		{"onlyold", MAIL, "(CN=Lower CA, issued by CN=Upper CA, 2010-01-01 to 2020-01-01)"},
		{"missing", MAIL, "leads to CN=Lower CA"},
		{"alone", MAIL, "leads to CN=Lower CA"},
		{"constrained", MAIL, "name constraints"},
		{"leafissued", MAIL, "may not issue"},
	};
	struct trust_config c = config();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect(cases[i].words, &c, cases[i].name, cases[i].cert, NULL);
	expect("less than 2048 bits", &c, MAIL, "weak", weak);
	expect("signed with SHA-1", &c, MAIL, "sha1", weak);
	expect("signed with SHA-1 or MD5", &c, MAIL, "md5", weak);
}

static void
test_unverified(void **state)
{
	struct trust_config c = config();

	(void)state;
	c.verify = false;
	expect("accepted", &c, MAIL, "good", NULL);
	expect("accepted", &c, MAIL, "unknown", NULL);
	expect("accepted", &c, MAIL, "weak", weak);
}

/* What a shell command about $cert prints. */
static void
read_command(const char *shell, const char *cert, struct buf *out)
{
	char command[400], path[300];

	fmt_print(path, sizeof path, "%s/%s", dir, cert);
	fmt_print(command, sizeof command, "cert=%s; %s", path, shell);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	out->len += fread(buf_room(out, 8192), 1, 8192, f);
	assert_int_equal(pclose(f), 0);
	assert_true(out->len > 0);
}

/* The SHA-256 that openssl prints for a certificate of dir, and for its public key. */
static void
read_fingerprint(const char *cert, unsigned char out[32])
{
	struct buf b = {0};

	read_command("openssl x509 -in $cert.pem -noout -fingerprint -sha256", cert, &b);
	struct str s = buf_view(&b);
	str_cut(&s, '=');
	assert_int_equal(trust_parse_sha256(str_trim(s), out), 0);
	buf_free(&b);
}

static void
read_pin(const char *cert, unsigned char out[32])
{
	struct buf b = {0};

	read_command("openssl pkey -in $cert.key -pubout -outform DER | sha256sum", cert, &b);
	assert_int_equal(trust_parse_sha256(str_upto(buf_view(&b), 64), out), 0);
	buf_free(&b);
}

/* RFC 5929 4.1: the certificate by its signature's hash, by SHA-256 for those that are weak. */
static void
test_binding(void **state)
{
	static const struct {
		const char *cert, *hash;
	} cases[] = {
		{"good", "sha256"}, {"goodrsa", "sha256"}, {"sha384", "sha384"},
		{"sha512", "sha512"}, {"sha1", "sha256"}, {"md5", "sha256"},
	};
	struct trust_config c = config();

	(void)state;
	c.verify = false;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf want = {0}, got = {0};
		char command[100];
		expect("accepted", &c, MAIL, cases[i].cert, weak);
		codec_hex(buf_view(&binding), &got);
		fmt_print(command, sizeof command, "openssl x509 -in $cert.pem -outform DER | %ssum",
			  cases[i].hash);
		read_command(command, cases[i].cert, &want);
		assert_true(str_eq(buf_view(&got), str_upto(buf_view(&want),
							    str_find(buf_view(&want), ' '))));
		buf_free(&want);
		buf_free(&got);
	}
	buf_free(&binding);
}

static void
test_pins(void **state)
{
	struct trust_config c = config();
	unsigned char out[32];

	(void)state;
	c.now = (struct stamp){0}; /* 1970: a pin needs no clock */
	read_fingerprint("selfsigned", c.fingerprint);
	c.has_fingerprint = true;
	expect("verified", &c, "other.name", "selfsigned", NULL);
	expect("does not match tls_fingerprint", &c, MAIL, "good", NULL);
	c.verify = false;
	expect("does not match tls_fingerprint", &c, MAIL, "good", NULL);
	read_pin("selfsigned", c.pin);
	c.has_pin = true;
	expect("verified", &c, MAIL, "selfsigned", NULL);
	c.has_fingerprint = false;
	expect("verified", &c, MAIL, "selfsigned", NULL);
	expect("does not match tls_pin", &c, MAIL, "good", NULL);

	assert_int_equal(trust_parse_sha256(STR("00"), out), -1);
	assert_int_equal(trust_parse_sha256(STR(""), out), -1);
}

static void
test_clock(void **state)
{
	struct trust_config c = config();

	(void)state;
	c.now = (struct stamp){.wall = 5};
	expect("clock is not set (it says 1970-01-01 00:00:05 UTC)", &c, MAIL, "good", NULL);
	c.clock = CONF_CLOCK_FLOOR;
	expect("verified", &c, MAIL, "good", NULL);
	expect("verified", &c, MAIL, "chain", NULL);
	expect("verified", &c, MAIL, "future", NULL);
	expect("verified", &c, MAIL, "expired", NULL);
	c.floor = 1750000000;
	expect("expired on", &c, MAIL, "expired", NULL);
	c.now = (struct stamp){.wall = 4000000000, .believable = true};
	expect("expired on", &c, MAIL, "good", NULL);
}

static void
test_bundles(void **state)
{
	struct trust_config c = config();

	(void)state;
	c.ca = -1;
	c.ca_error = ENODATA;
	expect("ca.pem (No data available): set tls_ca_file", &c, MAIL, "good", NULL);
	write_file("bad.pem",
		   STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
		       "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"
		       "-----BEGIN CERTIFICATE-----\nAAAA"));
	c.ca = open_file("bad.pem", O_RDONLY);
	expect("leads to", &c, MAIL, "good", NULL);
	close(c.ca);

	/* CRLF, long lines of comment, no end of line at the end. */
	struct buf good = {0}, odd = {0};
	read_file("ca.pem", &good);
	for (size_t i = 0; i < 5000; i++)
		buf_putc(&odd, '#');
	for (size_t i = 0; i < good.len; i++) {
		if (good.ptr[i] == '\n')
			buf_putc(&odd, '\r');
		buf_putc(&odd, good.ptr[i]);
	}
	write_file("odd.pem", str_upto(buf_view(&odd), odd.len - 2));
	c.ca = open_file("odd.pem", O_RDONLY);
	expect("verified", &c, MAIL, "good", NULL);
	close(c.ca);
	buf_free(&good);
	buf_free(&odd);

	/* A directory has some of them more than once. */
	char path[300];
	fmt_print(path, sizeof path, "%s/ca", dir);
	c.ca = pem_open(path);
	expect("verified", &c, MAIL, "chain", NULL);
	expect("leads to CN=Unknown CA", &c, MAIL, "unknown", NULL);
	close(c.ca);
}

static void
test_protocols(void **state)
{
	static const struct {
		const char *words;
		const char *options[6];
	} cases[] = {
		{"verified", {"-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", NULL}},
		{"verified", {"-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", NULL}},
		{"verified", {"-groups", "X25519", NULL}},
		{"verified", {"-groups", "P-384", NULL}},
		{"none of our ciphers", {"-cipher", "ECDHE-ECDSA-AES256-SHA384", NULL}},
		{"TLS 1.3 only?", {"-tls1_3", NULL}},
		{"none of our ciphers", {"-tls1_1", "-cipher", "ALL@SECLEVEL=0", NULL}},
		{"verified", {"-tls1_2", "-verify", "1", NULL}},
		{"wants a client certificate: set tls_cert", {"-tls1_2", "-Verify", "1", NULL}},
	};
	struct trust_config c = config();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect(cases[i].words, &c, MAIL, "good", cases[i].options);
}

/* A server that wants a certificate which leads to ca.pem. */
static void
test_identities(void **state)
{
	static const struct {
		const char *client, *server, *words;
	} cases[] = {
		{"client", "good", "verified"},
		{"client", "goodrsa", "verified"},
		{"clientrsa", "good", "verified"},
		{"clientrsa4096", "good", "verified"},
		{"clientp384", "good", "verified"},
		{"clientstranger", "good", "does not know the CA of our certificate (tls_cert)"},
		{"clientold", "good", "our certificate (tls_cert) has expired"},
		{"wrongname", "good", "does not accept our certificate (tls_cert)"},
		{"client", "unknown", "leads to CN=Unknown CA"},
	};
	static const char *const algorithms[] = {
		"RSA+SHA256:ECDSA+SHA256", "RSA+SHA384:ECDSA+SHA384", "RSA+SHA512:ECDSA+SHA512",
	};
	char ca[300];
	const char *options[] = {
		"-tls1_2", "-Verify", "3", "-verify_return_error", "-CAfile", ca, "-client_sigalgs",
		NULL, NULL,
	};
	struct trust_config c = config();

	(void)state;
	fmt_print(ca, sizeof ca, "%s/ca.pem", dir);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		become(cases[i].client);
		options[7] = algorithms[i % 3];
		expect(cases[i].words, &c, MAIL, cases[i].server, options);
		assert_true(me.asked || strcmp(cases[i].server, "good") != 0);
	}
	expect("verified", &c, MAIL, "good", NULL);
	assert_false(me.asked);
	become("");
	expect("wants a client certificate: set tls_cert", &c, MAIL, "good", options);
}

static void
read_all(struct tls *t, int fd, char *dst, size_t len)
{
	size_t have = 0;

	while (have < len) {
		assert_int_equal(pump(t, fd, true), 1);
		have += tls_read(t, dst + have, len - have);
	}
}

/* s_server -rev sends each line back reversed. */
static void
test_data(void **state)
{
	struct trust_config c = config();
	struct server s = start_server("good", NULL);
	struct trust trust;
	char got[100];
	struct buf words = {0};

	(void)state;
	trust_init(&trust, &c);
	struct tls *t = tls_open(s.fd, STR("mail.example"), &trust, &me);
	assert_int_equal(tls_write(t, "x", 1), 0);
	assert_int_equal(tls_read(t, got, sizeof got), 0);
	assert_int_equal(pump(t, s.fd, false), 0);
	tls_describe(t, &words);
	assert_string_equal(buf_cstr(&words), "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305");
	buf_free(&words);

	assert_int_equal(tls_write(t, "hello\n", 6), 6);
	tls_flush(t);
	read_all(t, s.fd, got, 6);
	assert_memory_equal(got, "olleh\n", 6);
	/* Pipelined: written while bytes wait to be read. */
	assert_int_equal(tls_write(t, "one\n", 4), 4);
	tls_flush(t);
	assert_int_equal(pump(t, s.fd, true), 1);
	assert_int_equal(tls_write(t, "two\n", 4), 4);
	tls_flush(t);
	read_all(t, s.fd, got, 8);
	assert_memory_equal(got, "eno\nowt\n", 8);

	/* What came before the end is read first; one without close_notify is a failure. */
	assert_int_equal(tls_write(t, "three\n", 6), 6);
	tls_flush(t);
	assert_int_equal(pump(t, s.fd, true), 1);
	kill_server(&s);
	for (size_t i = 0; i < 3; i++) {
		tls_write(t, "four\n", 5);
		tls_flush(t);
		assert_int_equal(tls_pump(t), 0);
	}
	read_all(t, s.fd, got, 6);
	assert_memory_equal(got, "eerht\n", 6);
	assert_int_equal(pump(t, s.fd, true), -1);
	assert_int_equal(tls_failure(t).verdict, TEMPFAIL);
	assert_int_equal(tls_failure(t).subject, 4);
	tls_close(t);
	tls_free(t);
	trust_free(&trust);
	stop_server(&s);
}

/* "-rev" ends with close_notify on a line of "CLOSE". */
static void
test_close(void **state)
{
	struct trust_config c = config();
	struct server s = start_server("goodrsa", NULL);
	struct trust trust;
	char got[100];

	(void)state;
	trust_init(&trust, &c);
	struct tls *t = tls_open(s.fd, STR("mail.example"), &trust, &me);
	assert_int_equal(pump(t, s.fd, false), 0);
	assert_int_equal(tls_write(t, "CLOSE\n", 6), 6);
	tls_flush(t);
	for (int r; (r = pump(t, s.fd, true)) == 1;)
		assert_true(tls_read(t, got, sizeof got) > 0);
	assert_int_equal(tls_failure(t).verdict, DELIVERED);
	tls_free(t);
	trust_free(&trust);
	stop_server(&s);
}

/* Ours: with unread data waiting it must neither spin nor wait. */
static void
test_own_close(void **state)
{
	struct trust_config c = config();
	struct server s = start_server("good", NULL);
	struct trust trust;

	(void)state;
	trust_init(&trust, &c);
	struct tls *t = tls_open(s.fd, STR("mail.example"), &trust, &me);
	assert_int_equal(pump(t, s.fd, false), 0);
	assert_int_equal(tls_write(t, "hello\n", 6), 6);
	tls_flush(t);
	assert_int_equal(pump(t, s.fd, true), 1);
	tls_close(t);
	tls_close(t);
	tls_free(t);
	trust_free(&trust);
	stop_server(&s);
}

/* A scripted peer: the bytes, then end of file. */
static struct outcome
talk(const char *bytes, size_t len)
{
	struct trust_config c = config();
	struct trust trust;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	trust_init(&trust, &c);
	struct tls *t = tls_open(fd[0], STR("mail.example"), &trust, &me);
	assert_int_equal(tls_pump(t), 0);
	assert_int_equal(tls_events(t), POLLIN);
	assert_int_equal(write(fd[1], bytes, len), (ssize_t)len);
	shutdown(fd[1], SHUT_WR);
	assert_int_equal(pump(t, fd[0], false), -1);
	struct outcome o = tls_failure(t);
	tls_free(t);
	trust_free(&trust);
	close(fd[0]);
	close(fd[1]);
	return o;
}

static void
test_nonsense(void **state)
{
	(void)state;
	struct outcome o = talk("220 mail.example ESMTP\r\n", 24);
	assert_int_equal(o.verdict, TEMPFAIL);
	assert_non_null(strstr(o.text, "does not speak TLS here"));
	o = talk("", 0);
	assert_int_equal(o.verdict, TEMPFAIL);
	assert_non_null(strstr(o.text, "connection lost"));
	o = talk("\x16\x03", 2);
	assert_non_null(strstr(o.text, "connection lost"));
	o = talk("\x15\x03\x03\x00\x02\x02\x28", 7); /* alert: fatal, handshake_failure */
	assert_non_null(strstr(o.text, "none of our ciphers"));
	o = talk("\x15\x03\x03\x00\x02\x02\x05", 7);
	assert_non_null(strstr(o.text, "(error 261)"));
}

/* Feeds a chain to the engine as BearSSL would. */
static void
feed(struct trust *t, const struct str *certs, size_t count)
{
	t->vtable->start_chain(&t->vtable, NULL);
	for (size_t i = 0; i < count; i++) {
		const unsigned char *bytes = (const unsigned char *)certs[i].ptr;
		t->vtable->start_cert(&t->vtable, (uint32_t)certs[i].len);
		if (certs[i].len > 0)
			t->vtable->append(&t->vtable, bytes, certs[i].len);
		t->vtable->end_cert(&t->vtable);
	}
	bool passed = t->vtable->end_chain(&t->vtable) == 0;
	assert_int_equal(passed, t->why.text[0] == 0);
}

static void
read_der(const char *cert, struct buf *out)
{
	read_command("openssl x509 -in $cert.pem -outform DER", cert, out);
}

static void
test_hostile_chains(void **state)
{
	struct trust_config c = config();
	struct trust t;
	struct buf good = {0}, lower = {0}, maze = {0};
	struct str many[40];

	(void)state;
	read_der("good", &good);
	read_der("below", &lower);
	read_der("stranger", &maze);
	trust_init(&t, &c);
	trust_expect(&t, STR("mail.example"));
	feed(&t, NULL, 0);
	assert_non_null(strstr(t.why.text, "sent no certificate"));
	feed(&t, &(struct str){0}, 1);
	assert_non_null(strstr(t.why.text, "malformed"));

	struct str leaf = buf_view(&good);
	feed(&t, &leaf, 1);
	assert_true(t.verified);
	for (size_t i = 0; i < leaf.len; i++) {
		struct str cut = str_upto(leaf, i);
		feed(&t, &cut, 1);
		assert_false(t.verified);
	}
	for (size_t i = 0; i < leaf.len * 8; i += 3) {
		good.ptr[i / 8] ^= (char)(1 << i % 8);
		feed(&t, &leaf, 1);
		assert_false(t.verified);
		good.ptr[i / 8] ^= (char)(1 << i % 8);
	}

	struct buf nosigning = {0}; /* no server would use it */
	read_der("nosigning", &nosigning);
	feed(&t, &(struct str){nosigning.ptr, nosigning.len}, 1);
	assert_non_null(strstr(t.why.text, "must not be used for signatures"));
	buf_free(&nosigning);

	/* Too many, too large, and a maze of CAs that all name each other. */
	for (size_t i = 0; i < 40; i++)
		many[i] = leaf;
	feed(&t, many, 40);
	assert_non_null(strstr(t.why.text, "too many"));
	struct buf large = {0};
	memset(buf_room(&large, LIMIT_CHAIN + 1), 0x30, LIMIT_CHAIN + 1);
	large.len = LIMIT_CHAIN + 1;
	struct str two[2] = {leaf, buf_view(&large)};
	feed(&t, two, 2);
	assert_non_null(strstr(t.why.text, "too many"));
	many[0] = buf_view(&lower);
	for (size_t i = 1; i < 16; i++)
		many[i] = buf_view(&maze);
	feed(&t, many, 16);
	assert_non_null(strstr(t.why.text, "leads to CN=Lower CA"));
	trust_free(&t);
	buf_free(&large);
	buf_free(&good);
	buf_free(&lower);
	buf_free(&maze);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_unverified),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_own_close),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_hostile_chains),
	};

	return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
