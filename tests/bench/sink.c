/* SPDX-License-Identifier: ISC */
/* A mail server that takes everything and keeps nothing, fast enough that what it measures is
 * the client: a thread for each connection, STARTTLS by OpenSSL, replies sent when no more
 * commands have arrived. The messages carry a line "Number: N", by which it knows whether each
 * has come. usage: sink ADDRESS PORT CERT KEY COUNT [EXTENSION...] < pipe
 *
 * Prints "ready"; when all COUNT messages are there, "all" and the nanosecond of the monotonic
 * clock; at the end of its standard input a line of counts, by their names. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct connection {
	int fd;
	SSL *ssl;
	size_t in_start, in_end, out_end;
	char in[32768], out[4096];
};

static SSL_CTX *tls;
static char **extensions;
static int count;
static atomic_uchar *seen;
static atomic_int connections, handshakes, resumed, messages, distinct, commands, failed;

static int
flush(struct connection *c)
{
	size_t done = 0;

	while (done < c->out_end) {
		int len = (int)(c->out_end - done);
		int n = c->ssl ? SSL_write(c->ssl, c->out + done, len) :
				 (int)write(c->fd, c->out + done, (size_t)len);
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	c->out_end = 0;
	return 0;
}

static int
say(struct connection *c, const char *fmt, ...)
{
	va_list ap;

	if (sizeof c->out - c->out_end < 512 && flush(c))
		return -1;
	va_start(ap, fmt);
	c->out_end += (size_t)vsnprintf(c->out + c->out_end, sizeof c->out - c->out_end, fmt, ap);
	va_end(ap);
	return 0;
}

/* More input: what has been said goes out first. */
static int
fill(struct connection *c)
{
	if (flush(c))
		return -1;
	c->in_end -= c->in_start;
	memmove(c->in, c->in + c->in_start, c->in_end);
	c->in_start = 0;
	int room = (int)(sizeof c->in - c->in_end);
	int n = c->ssl ? SSL_read(c->ssl, c->in + c->in_end, room) :
			 (int)read(c->fd, c->in + c->in_end, (size_t)room);
	if (n <= 0)
		return -1;
	c->in_end += (size_t)n;
	return 0;
}

/* The next line without its end, which becomes a 0, or NULL. */
static char *
line(struct connection *c)
{
	char *end;

	while (!(end = memchr(c->in + c->in_start, '\n', c->in_end - c->in_start)))
		if (fill(c))
			return NULL;
	char *start = c->in + c->in_start;
	c->in_start = (size_t)(end + 1 - c->in);
	if (end > start && end[-1] == '\r')
		end--;
	*end = '\0';
	return start;
}

/* The message number n is there. */
static void
arrived(int n)
{
	struct timespec now;

	messages++;
	if (n < 0 || n >= count || atomic_exchange(&seen[n], 1))
		return;
	if (++distinct == count) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		printf("all %lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
		fflush(stdout);
	}
}

static int
number_in(const char *s)
{
	return strncmp(s, "Number: ", 8) == 0 ? atoi(s + 8) : -1;
}

static int
take_data(struct connection *c)
{
	int n = -1;
	char *s;

	while ((s = line(c)) && strcmp(s, ".") != 0)
		n = n < 0 ? number_in(s) : n;
	if (!s)
		return -1;
	arrived(n);
	return say(c, "250 2.0.0 taken\r\n");
}

/* A chunk is taken for a whole header, where there is a number in it. */
static int
take_chunk(struct connection *c, const char *arguments, int *n)
{
	char *rest;
	size_t left = strtoul(arguments, &rest, 10);
	int last = strcasecmp(rest, " LAST") == 0; /* before fill moves it */

	while (left > 0) {
		if (c->in_start == c->in_end && fill(c))
			return -1;
		size_t have = c->in_end - c->in_start, len = have < left ? have : left;
		char *at = memmem(c->in + c->in_start, len, "\nNumber: ", 9);
		if (at)
			*n = atoi(at + 9);
		c->in_start += len;
		left -= len;
	}
	if (last) {
		arrived(*n);
		*n = -1;
	}
	return say(c, "250 2.0.0 taken\r\n");
}

static int
start_tls(struct connection *c)
{
	if (say(c, "220 go on\r\n") || flush(c) || c->ssl)
		return -1;
	c->ssl = SSL_new(tls);
	SSL_set_fd(c->ssl, c->fd);
	if (SSL_accept(c->ssl) != 1) {
		failed++;
		return -1;
	}
	handshakes++;
	resumed += SSL_session_reused(c->ssl);
	c->in_start = c->in_end = 0;
	return 0;
}

static int
hello(struct connection *c)
{
	say(c, "250-sink\r\n250-SIZE 0\r\n250-8BITMIME\r\n%s", c->ssl ? "" : "250-STARTTLS\r\n");
	for (char **e = extensions; *e; e++)
		say(c, "250-%s\r\n", *e);
	return say(c, "250 ENHANCEDSTATUSCODES\r\n");
}

static void
converse(struct connection *c)
{
	int rc = say(c, "220 sink ESMTP\r\n"), n = -1;
	char *s;

	while (rc == 0 && (s = line(c))) {
		commands++;
		if (strncasecmp(s, "EHLO", 4) == 0)
			rc = hello(c);
		else if (strncasecmp(s, "STARTTLS", 8) == 0)
			rc = start_tls(c);
		else if (strncasecmp(s, "BDAT ", 5) == 0)
			rc = take_chunk(c, s + 5, &n);
		else if (strncasecmp(s, "DATA", 4) == 0)
			rc = say(c, "354 go on\r\n") ? -1 : take_data(c);
		else if (strncasecmp(s, "QUIT", 4) == 0)
			rc = say(c, "221 bye\r\n") || flush(c) ? -1 : 1;
		else
			rc = say(c, "250 2.0.0 ok\r\n");
	}
}

static void *
serve(void *arg)
{
	struct connection *c = arg;

	converse(c);
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	ERR_clear_error();
	close(c->fd);
	free(c);
	return NULL;
}

static void *
listen_on(void *arg)
{
	int one = 1, fd, server = *(int *)arg;
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&small, 256 << 10);
	while ((fd = accept(server, NULL, NULL)) >= 0) {
		struct connection *c = malloc(sizeof *c);
		if (!c)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c->fd = fd;
		c->ssl = NULL;
		c->in_start = c->in_end = c->out_end = 0;
		connections++;
		if (pthread_create(&thread, &small, serve, c))
			return NULL;
	}
	return NULL;
}

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct rusage used;
	pthread_t thread;
	char c;

	if (argc < 6)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	count = atoi(argv[5]);
	extensions = argv + 6;
	seen = calloc((size_t)count, sizeof *seen);
	tls = SSL_CTX_new(TLS_server_method());
	if (!seen || SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		return 1;
	}
	a.sin_port = htons((in_port_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &a.sin_addr);
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(server, (struct sockaddr *)&a, sizeof a) || listen(server, 4096) ||
	    pthread_create(&thread, NULL, listen_on, &server)) {
		perror("sink");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	getrusage(RUSAGE_SELF, &used);
	printf("connections=%d handshakes=%d resumed=%d failed=%d messages=%d distinct=%d "
	       "commands=%d cpu=%.6f\n", connections, handshakes, resumed, failed, messages, distinct,
	       commands, seconds(used.ru_utime) + seconds(used.ru_stime));
	fflush(stdout);
	_exit(0);
}
