/* SPDX-License-Identifier: ISC */
#include "dns.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a name server that knows these and plays tricks --- */

enum { A = 1, CNAME = 5, MX = 15, AAAA = 28 };
enum trick {
	PLAIN,
	FORMERR = 1, /* to EDNS; else plain */
	SERVFAIL = 2,
	NXDOMAIN = 3,
	SILENT = 16,
	TCP_ONLY,    /* truncated over UDP */
	FORGED,      /* others' answers come before the right one */
	REFERRAL,    /* no answer, no authority, no recursion */
	GARBAGE,     /* a record that goes beyond the end */
};

static const struct zone {
	const char *name;
	int type;
	enum trick trick;
	struct { const char *owner; int type; const char *data; } rr[6];
} zone[] = {
	{"plain.test", A, PLAIN, {{"plain.test", A, "192.0.2.1"}, {"plain.test", A, "192.0.2.2"},
				  {"plain.test", A, "192.0.2.3"}}},
	{"plain.test", AAAA, PLAIN, {{"plain.test", AAAA, "2001:db8::1"}}},
	{"four.test", A, PLAIN, {{"four.test", A, "192.0.2.4"}}},
	{"four.test", AAAA, SERVFAIL, {{0}}},
	{"six.test", A, SERVFAIL, {{0}}},
	{"six.test", AAAA, PLAIN, {{"six.test", AAAA, "2001:db8::6"}}},
	{"slow.test", A, SILENT, {{0}}},
	{"broken.test", A, SERVFAIL, {{0}}},
	{"broken.test", MX, SERVFAIL, {{0}}},
	{"refers.test", MX, REFERRAL, {{0}}},
	{"garbage.test", A, GARBAGE, {{0}}},
	{"old.test", A, FORMERR, {{"old.test", A, "192.0.2.5"}}},
	{"big.test", A, TCP_ONLY, {{"big.test", A, "192.0.2.6"}, {"big.test", A, "192.0.2.7"}}},
	{"forged.test", A, FORGED, {{"forged.test", A, "192.0.2.8"}}},
	{"alias.test", A, PLAIN, {{"alias.test", CNAME, "real.test"},
				  {"real.test", A, "192.0.2.9"}}},
	{"half.test", A, PLAIN, {{"half.test", CNAME, "real.test"}}},
	{"real.test", A, PLAIN, {{"real.test", A, "192.0.2.10"}}},
	{"loop.test", A, PLAIN, {{"loop.test", CNAME, "pool.test"},
				 {"pool.test", CNAME, "loop.test"}}},
	{"other.test", A, PLAIN, {{"unasked.test", A, "192.0.2.11"}}},
	{"single", A, PLAIN, {{"single", A, "192.0.2.12"}}},
	{"two.test", MX, PLAIN, {{"two.test", MX, "20 b.test"}, {"two.test", MX, "10 A.test"},
				 {"two.test", MX, "30 a.TEST"}, {"two.test", MX, "5 b.test"},
				 {"two.test", MX, "40 ."}}},
	{"equal.test", MX, PLAIN, {{"equal.test", MX, "1 a.test"}, {"equal.test", MX, "1 b.test"},
				   {"equal.test", MX, "1 c.test"}, {"equal.test", MX, "0 z.test"},
				   {"equal.test", MX, "2 y.test"}}},
	{"alias.test", MX, PLAIN, {{"alias.test", CNAME, "real.test"},
				   {"real.test", MX, "7 mx.test"}}},
	{"half.test", MX, PLAIN, {{"half.test", CNAME, "two.test"}}},
	{"null.test", MX, PLAIN, {{"null.test", MX, "0 ."}}},
	{"plain.test", MX, PLAIN, {{0}}},
};

static size_t
put_name(unsigned char *dst, const char *name)
{
	struct str rest = str_of(strcmp(name, ".") ? name : "");
	size_t n = 0;

	while (rest.len > 0) {
		struct str label = str_cut(&rest, '.');
		dst[n++] = (unsigned char)label.len;
		memcpy(dst + n, label.ptr, label.len);
		n += label.len;
	}
	dst[n++] = 0;
	return n;
}

static size_t
put_data(unsigned char *dst, int type, const char *text)
{
	struct str data = str_of(text);
	uint64_t preference = 0;

	if (type == A || type == AAAA)
		return (size_t)inet_pton(type == A ? AF_INET : AF_INET6, text, dst) *
		       (type == A ? 4 : 16);
	if (type == CNAME)
		return put_name(dst, text);
	str_number(str_cut(&data, ' '), 65535, &preference);
	dst[0] = (unsigned char)(preference >> 8);
	dst[1] = (unsigned char)preference;
	return 2 + put_name(dst + 2, data.ptr);
}

/* Adds the records of z behind n bytes of msg; the new length. */
static size_t
put_records(unsigned char *msg, size_t n, const struct zone *z)
{
	for (size_t i = 0; i < 6 && z->rr[i].owner; i++) {
		n += put_name(msg + n, z->rr[i].owner);
		memcpy(msg + n, (unsigned char[]){0, (unsigned char)z->rr[i].type, 0, 1, 0, 0, 0, 9},
		       8);
		size_t len = put_data(msg + n + 10, z->rr[i].type, z->rr[i].data);
		msg[n + 8] = 0;
		msg[n + 9] = (unsigned char)len;
		n += 10 + len;
		msg[7]++;
	}
	return n;
}

/* Makes the answer in place of the query; 0: none. */
static size_t
respond(unsigned char *msg, size_t len, bool tcp, enum trick *trick)
{
	char name[256];
	size_t at = 12, n = 0;
	const struct zone *z = NULL;
	bool edns = msg[11] == 1;

	if (len < 17)
		return 0;
	while (msg[at] != 0 && at + msg[at] + 1 < len) {
		memcpy(name + n, msg + at + 1, msg[at]);
		n += msg[at];
		name[n++] = '.';
		at += 1 + msg[at];
	}
	name[n - 1] = '\0';
	at += 5;
	for (size_t i = 0; i < sizeof zone / sizeof *zone && !z; i++)
		if (strcmp(zone[i].name, name) == 0 && zone[i].type == msg[at - 3])
			z = &zone[i];
	*trick = z ? z->trick : strncmp(name, "no", 2) == 0 ? NXDOMAIN : PLAIN;
	/* Each query asks for recursion and has one question. */
	if (msg[2] != 1 || msg[5] != 1 || len != at + (edns ? 11 : 0) || *trick == SILENT)
		return 0;
	memset(msg + 6, 0, 6);
	msg[2] = 0x81;
	msg[3] = 0x80;
	if (*trick == SERVFAIL || *trick == NXDOMAIN || (*trick == FORMERR && edns))
		msg[3] |= (unsigned char)*trick;
	else if (*trick == TCP_ONLY && !tcp)
		msg[2] |= 2;
	else if (*trick == REFERRAL)
		msg[3] = 0;
	else if (*trick == GARBAGE)
		msg[7] = 1;
	else if (z)
		at = put_records(msg, at, z);
	return at;
}

static void
serve_datagram(int fd)
{
	unsigned char msg[1500];
	struct sockaddr_in peer;
	socklen_t peer_len = sizeof peer;
	enum trick trick = PLAIN;
	ssize_t n = recvfrom(fd, msg, sizeof msg, 0, (struct sockaddr *)&peer, &peer_len);
	size_t len = n > 0 ? respond(msg, (size_t)n, false, &trick) : 0;

	if (trick == FORGED) {
		int stranger = socket(AF_INET, SOCK_DGRAM, 0);
		msg[len - 1] ^= 0x40;
		sendto(stranger, msg, len, 0, (struct sockaddr *)&peer, peer_len);
		close(stranger);
		msg[0] ^= 1;
		sendto(fd, msg, len, 0, (struct sockaddr *)&peer, peer_len);
		msg[0] ^= 1;
		msg[13] ^= 1;
		sendto(fd, msg, len, 0, (struct sockaddr *)&peer, peer_len);
		msg[13] ^= 1;
		sendto(fd, "x", 1, 0, (struct sockaddr *)&peer, peer_len);
		msg[len - 1] ^= 0x40;
	}
	if (len > 0)
		sendto(fd, msg, len, 0, (struct sockaddr *)&peer, peer_len);
}

static void
serve_stream(int listener)
{
	unsigned char msg[1500];
	enum trick trick;
	int fd = accept(listener, NULL, NULL);
	ssize_t n = recv(fd, msg, 2, MSG_WAITALL);

	if (n == 2 && msg[0] == 0 && recv(fd, msg + 2, msg[1], MSG_WAITALL) == msg[1]) {
		size_t len = respond(msg + 2, msg[1], true, &trick);
		msg[0] = (unsigned char)(len >> 8);
		msg[1] = (unsigned char)len;
		/* In three pieces, as TCP may. */
		for (size_t at = 0; at < len + 2; at += at == 0 ? 1 : at == 1 ? 9 : len)
			send(fd, msg + at, at == 0 ? 1 : at == 1 ? 9 : len + 2 - at, MSG_NOSIGNAL);
	}
	close(fd);
}

static unsigned short server_port;
static pid_t server_pid;

static int
bind_loopback(int type, unsigned short port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
start_server(void **state)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof sa;
	int udp, tcp = -1;

	(void)state;
	do {
		udp = bind_loopback(SOCK_DGRAM, 0);
		getsockname(udp, (struct sockaddr *)&sa, &len);
		server_port = ntohs(sa.sin_port);
		tcp = bind_loopback(SOCK_STREAM, server_port);
		if (tcp < 0)
			close(udp);
	} while (tcp < 0);
	if (listen(tcp, 8))
		return -1;
	server_pid = fork();
	if (server_pid == 0) {
		struct pollfd p[2] = {{udp, POLLIN, 0}, {tcp, POLLIN, 0}};
		alarm(60);
		while (poll(p, 2, -1) > 0) {
			if (p[0].revents)
				serve_datagram(udp);
			if (p[1].revents)
				serve_stream(tcp);
		}
		_exit(0);
	}
	close(udp);
	close(tcp);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	kill(server_pid, SIGKILL);
	return waitpid(server_pid, NULL, 0) == server_pid ? 0 : -1;
}

/* --- what it is asked --- */

/* Where nothing listens on 127.0.0.2, the kernel says so at once. */
static const char two_servers[] = "# comment\nsearch example.org\nnameserver 127.0.0.2\n"
				  "nameserver\t127.0.0.1 # second\n";

static struct dns
resolver(const char *resolv_conf, const char *hosts)
{
	struct dns d;

	dns_init(&d, STR(""), str_of(resolv_conf), str_of(hosts));
	for (size_t i = 0; i < d.server_count; i++)
		dns_set_port(&d.server[i], server_port);
	return d;
}

/* "2001:db8::1 192.0.2.1", or "4.4.3 words". */
static const char *
addresses(const struct dns *d, const char *name, int family, int64_t ms, size_t cap)
{
	static struct buf text;
	struct dns_address list[LIMIT_DNS_ADDRESSES];
	struct outcome why;

	text.len = 0;
	int n = dns_addresses(d, str_of(name), family, clock_ms() + ms, list, cap, &why);
	for (int i = 0; i < n; i++) {
		buf_puts(&text, i > 0 ? " " : "");
		dns_print_address(&list[i], &text);
	}
	if (n < 0) {
		outcome_print_status(&why, &text);
		buf_print(&text, " %s", why.text);
	}
	return buf_cstr(&text);
}

static const char *
exchangers(const struct dns *d, const char *domain, uint32_t seed, size_t cap)
{
	static struct buf text;
	struct dns_mx list[LIMIT_DNS_MX];
	struct outcome why;

	text.len = 0;
	int n = dns_mail_exchangers(d, str_of(domain), seed, clock_ms() + 5000, list, cap, &why);
	for (int i = 0; i < n; i++)
		buf_print(&text, "%s%u %s", i > 0 ? ", " : "", list[i].preference, list[i].host);
	if (n < 0) {
		outcome_print_status(&why, &text);
		buf_print(&text, " %s", why.text);
	}
	return buf_cstr(&text);
}

static void
test_addresses(void **state)
{
	static const struct { const char *name; int family; const char *want; } rows[] = {
		{"plain.test", AF_UNSPEC, "2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.3"},
		{"PLAIN.Test.", AF_INET, "192.0.2.1 192.0.2.2 192.0.2.3"},
		{"plain.test", AF_INET6, "2001:db8::1"},
		{"four.test", AF_UNSPEC, "192.0.2.4"},
		{"six.test", AF_UNSPEC, "2001:db8::6"},
		{"broken.test", AF_UNSPEC, "4.4.3 looking up broken.test: only failures from name "
					   "server 127.0.0.2 or another"},
		{"garbage.test", AF_INET, "4.4.3 looking up garbage.test: only failures from name "
					  "server 127.0.0.2 or another"},
		{"nowhere.test", AF_UNSPEC, "5.1.2 no such domain: nowhere.test"},
		{"nothing.test", AF_INET6, "5.1.2 no such domain: nothing.test"},
		{"real.test", AF_INET6, "5.4.4 real.test has no IPv6 address"},
		{"nil.test", AF_UNSPEC, "5.4.4 nil.test has no address"},
		{"old.test", AF_INET, "192.0.2.5"},
		{"big.test", AF_INET, "192.0.2.6 192.0.2.7"},
		{"forged.test", AF_INET, "192.0.2.8"},
		{"alias.test", AF_INET, "192.0.2.9"},
		{"half.test", AF_INET, "192.0.2.10"},
		{"loop.test", AF_INET, "4.4.3 looking up loop.test: only failures from name server "
				       "127.0.0.2 or another"},
		{"other.test", AF_INET, "5.4.4 other.test has no IPv4 address"},
		{"single", AF_INET, "192.0.2.12"},
		{"b\xc3\xbc" "cher.de", AF_UNSPEC, "5.1.2 not a domain name (labels of 1 to 63 "
						   "ASCII characters): b\xc3\xbc" "cher.de"},
		{"a..b", AF_UNSPEC, "5.1.2 not a domain name (labels of 1 to 63 ASCII characters): "
				    "a..b"},
	};
	struct dns d = resolver(two_servers, "");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(addresses(&d, rows[i].name, rows[i].family, 5000,
					      LIMIT_DNS_ADDRESSES), rows[i].want);
	assert_string_equal(addresses(&d, "plain.test", AF_UNSPEC, 5000, 3),
			    "2001:db8::1 192.0.2.1 192.0.2.2");
}

static void
test_silence(void **state)
{
	struct dns d = resolver("nameserver 127.0.0.1", "");
	int64_t start = clock_ms();

	(void)state;
	assert_string_equal(addresses(&d, "slow.test", AF_UNSPEC, 30, 1),
			    "4.4.3 looking up slow.test: no answer from name server 127.0.0.1");
	assert_in_range(clock_ms() - start, 30, 900);
	assert_string_equal(addresses(&d, "plain.test", AF_UNSPEC, 0, 1),
			    "4.4.3 looking up plain.test: no answer from name server 127.0.0.1");
	d = resolver("nameserver 127.0.0.2", "");
	start = clock_ms();
	assert_string_equal(addresses(&d, "plain.test", AF_UNSPEC, 20000, 1),
			    "4.4.3 looking up plain.test: no answer from name server 127.0.0.2");
	assert_in_range(clock_ms() - start, 0, 900);
}

static void
test_hosts(void **state)
{
	static const char hosts[] = "# 192.0.2.99 plain.test\n"
				    "192.0.2.31 Mail.test mail # plain.test\n"
				    "nonsense mail.test\n"
				    "  2001:db8::31\t\tmail.test   mx\r\n"
				    "192.0.2.32 mail.test.org\n"
				    "192.0.2.33 mx mx mail.test";
	static const struct { const char *name; int family; const char *want; } rows[] = {
		{"mail.test", AF_UNSPEC, "2001:db8::31 192.0.2.31 192.0.2.33"},
		{"MAIL", AF_UNSPEC, "192.0.2.31"},
		{"mx.", AF_UNSPEC, "2001:db8::31 192.0.2.33"},
		{"mail.test", AF_INET, "192.0.2.31 192.0.2.33"},
		{"four.test", AF_INET, "192.0.2.4"},
		{"localhost", AF_UNSPEC, "::1 127.0.0.1"},
		{"x.LocalHost", AF_INET, "127.0.0.1"},
		{"nolocalhost", AF_UNSPEC, "5.1.2 no such domain: nolocalhost"},
		{"192.0.2.1", AF_UNSPEC, "192.0.2.1"},
		{"[192.0.2.1]", AF_UNSPEC, "192.0.2.1"},
		{"[IPv6:2001:DB8::1]", AF_UNSPEC, "2001:db8::1"},
		{"[2001:db8::1]", AF_INET6, "2001:db8::1"},
		{"2001:db8::1", AF_INET, "5.4.4 2001:db8::1 has no IPv4 address"},
	};
	struct dns d = resolver("", hosts);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(addresses(&d, rows[i].name, rows[i].family, 5000,
					      LIMIT_DNS_ADDRESSES), rows[i].want);
	d = resolver("", "127.0.1.1 localhost\n");
	assert_string_equal(addresses(&d, "localhost", AF_UNSPEC, 5000, 4), "127.0.1.1");
}

static void
test_exchangers(void **state)
{
	static const struct { const char *domain, *want; } rows[] = {
		{"two.test", "5 b.test, 10 a.test"},
		{"Alias.Test", "7 mx.test"},
		{"half.test", "5 b.test, 10 a.test"},
		{"null.test", "5.1.10 null.test takes no mail (null MX)"},
		{"Plain.test.", "0 plain.test"},
		{"[192.0.2.1]", "0 [192.0.2.1]"},
		{"nowhere.test", "5.1.2 no such domain: nowhere.test"},
		{"-", "0 -"},
		{"broken.test", "4.4.3 looking up broken.test: only failures from name server "
				"127.0.0.1"},
		{"refers.test", "4.4.3 looking up refers.test: only failures from name server "
				"127.0.0.1"},
		{"x@y z", "5.1.2 not a domain name (labels of 1 to 63 ASCII characters): x@y z"},
	};
	struct dns d = resolver("", "");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(exchangers(&d, rows[i].domain, 1, LIMIT_DNS_MX), rows[i].want);
	assert_string_equal(exchangers(&d, "two.test", 1, 1), "5 b.test");
}

/* Each order of three equal hosts comes up about as often as another. */
static void
test_shuffle(void **state)
{
	static const char *const orders[] = {"a b c", "a c b", "b a c", "b c a", "c a b", "c b a"};
	struct dns d = resolver("", "");
	unsigned seen[6] = {0};

	(void)state;
	for (uint32_t seed = 0; seed < 600; seed++) {
		const char *got = exchangers(&d, "equal.test", seed * 2654435761u, LIMIT_DNS_MX);
		char order[] = {got[12], ' ', got[22], ' ', got[32], '\0'};
		assert_true(str_starts(str_of(got), STR("0 z.test, 1 ")));
		assert_string_equal(got + strlen(got) - 10, ", 2 y.test");
		for (int i = 0; i < 6; i++)
			seen[i] += strcmp(order, orders[i]) == 0;
	}
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 60, 140);
	/* Hosts that do not fit are the worst ones. */
	const char *best = exchangers(&d, "equal.test", 7, 3);
	assert_true(str_starts(str_of(best), STR("0 z.test, 1 ")));
	assert_int_equal(strlen(best), strlen("0 z.test, 1 a.test, 1 b.test"));
}

/* "192.0.2.1#53 " for each. */
static const char *
servers(const struct dns *d)
{
	static struct buf text;

	text.len = 0;
	for (size_t i = 0; i < d->server_count; i++) {
		struct sockaddr_in sa; /* ports have one place in all families */
		memcpy(&sa, &d->server[i].sa, sizeof sa);
		dns_print_address(&d->server[i], &text);
		buf_print(&text, "#%u ", ntohs(sa.sin_port));
	}
	return buf_cstr(&text);
}

static void
test_servers(void **state)
{
	struct dns d;

	(void)state;
	dns_init(&d, STR(""), STR("nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameservers 192.0.2.3\n"
			 "nameserver host.test\nnameserver\nnameserver fe80::1%lo\n"
			 "  nameserver 2001:db8::53 # x\r\nnameserver 192.0.2.9"), STR(""));
	assert_string_equal(servers(&d), "192.0.2.1#53 fe80::1#53 2001:db8::53#53 ");
	struct sockaddr_in6 link;
	memcpy(&link, &d.server[1].sa, sizeof link);
	assert_int_equal(link.sin6_scope_id, 1);
	dns_init(&d, STR(""), STR("nameserver 192.0.2.1#5353\nnameserver ::1#65536\n"), STR(""));
	assert_string_equal(servers(&d), "192.0.2.1#5353 ::1#53 ");
	/* Those that are named by themselves replace them. */
	dns_init(&d, STR("127.0.0.1#5353  ::1 192.0.2.2#9 192.0.2.3"),
		 STR("nameserver 192.0.2.1"), STR(""));
	assert_string_equal(servers(&d), "127.0.0.1#5353 ::1#53 192.0.2.2#9 ");
	dns_init(&d, STR(""), STR(""), STR(""));
	assert_string_equal(servers(&d), "127.0.0.1#53 ");
}

static void
test_literals(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{"192.0.2.1", "192.0.2.1"}, {"255.255.255.255", "255.255.255.255"},
		{"0.0.0.0", "0.0.0.0"}, {"::", "::"}, {"::1", "::1"}, {"1::", "1::"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"}, {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
		{"1:0:0:2:3:0:0:4", "1::2:3:0:0:4"}, {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"}, {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"::ffff:192.0.2.1", "::ffff:c000:201"}, {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"}, {"0:0:0:0:0:0:0:0", "::"},
		{"a::0001", "a::1"},
		{"", NULL}, {"1.2.3", NULL}, {"1.2.3.4.5", NULL}, {"1.2.3.256", NULL},
		{"1.2.3.04", NULL}, {"1.2.3.", NULL}, {" 1.2.3.4", NULL}, {"1.2.3.4 ", NULL},
		{"0x1.2.3.4", NULL}, {"-1.2.3.4", NULL}, {":", NULL}, {":::", NULL},
		{"1:2:3:4:5:6:7", NULL}, {"1:2:3:4:5:6:7:8:9", NULL}, {"1::2::3", NULL},
		{"1:2:3:4:5:6:7:8::", NULL}, {"::1:2:3:4:5:6:7:8", NULL}, {"12345::", NULL},
		{"1:", NULL}, {":1", NULL}, {"::1:", NULL}, {":1::", NULL}, {"g::", NULL},
		{"1.2.3.4::", NULL}, {"::1.2.3.4:5", NULL}, {"1:2:3:4:5:6:7:1.2.3.4", NULL},
		{"[::1]", NULL}, {"fe80::1%lo", NULL}, {"plain.test", NULL},
	};
	struct dns_address a;
	struct buf text = {0};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int got = dns_parse_address(str_of(rows[i].text), &a);
		assert_int_equal(got, rows[i].want ? 0 : -1);
		if (!rows[i].want)
			continue;
		text.len = 0;
		dns_print_address(&a, &text);
		assert_string_equal(buf_cstr(&text), rows[i].want);
		assert_int_equal(a.len, strchr(rows[i].text, ':') ? sizeof(struct sockaddr_in6) :
								    sizeof(struct sockaddr_in));
	}
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_exchangers),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_literals),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
