/* SPDX-License-Identifier: ISC */
#include "dns.h"
#include "clock.h"
#include "ip.h"
#include "rr.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	DNS_PORT = 53,
	ROUNDS = 3,          /* over all servers; they wait 1 s, 2 s, 4 s */
	FIRST_WAIT = 1000,
	TCP_WAIT = 5000,
	SECOND_FAMILY_WAIT = 3000,
	ALIAS_QUESTIONS = 4, /* asked anew where an answer ends in an alias */
};

static const char loopback[IP4] = {127, 0, 0, 1};

/* --- addresses --- */

static char *
address_bytes(const struct dns_address *a)
{
	size_t at = a->sa.ss_family == AF_INET6 ? offsetof(struct sockaddr_in6, sin6_addr) :
						  offsetof(struct sockaddr_in, sin_addr);

	return (char *)&a->sa + at;
}

static void
set_address(struct dns_address *a, int family, const void *bytes)
{
	memset(a, 0, sizeof *a);
	a->sa.ss_family = (sa_family_t)family;
	a->len = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	memcpy(address_bytes(a), bytes, family == AF_INET6 ? IP6 : IP4);
}

struct str
dns_address_bytes(const struct dns_address *a)
{
	return (struct str){address_bytes(a), a->sa.ss_family == AF_INET6 ? IP6 : IP4};
}

void
dns_set_port(struct dns_address *a, unsigned short port)
{
	in_port_t wire = htons(port);

	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
		       offsetof(struct sockaddr_in6, sin6_port), "ports have one place");
	memcpy((char *)&a->sa + offsetof(struct sockaddr_in, sin_port), &wire, sizeof wire);
}

int
dns_parse_address(struct str s, struct dns_address *a)
{
	unsigned char bytes[IP6];
	size_t len = ip_parse(s, bytes);

	if (len == 0)
		return -1;
	set_address(a, len == IP6 ? AF_INET6 : AF_INET, bytes);
	return 0;
}

void
dns_print_address(const struct dns_address *a, struct buf *out)
{
	struct str bytes = dns_address_bytes(a);

	ip_print((const unsigned char *)bytes.ptr, bytes.len, out);
}

/* --- the name servers --- */

/* "127.0.0.1#5353", "fe80::1%eth0": resolv.conf may name a server on a link. */
static void
add_server(struct dns *d, struct str word)
{
	struct dns_address *a = &d->server[d->server_count];
	struct str s = str_cut(&word, '#');
	struct ifreq link = {0};
	uint64_t port = DNS_PORT;

	if (d->server_count == DNS_SERVERS || dns_parse_address(str_cut(&s, '%'), a))
		return;
	d->server_count++;
	str_number(word, 65535, &port);
	dns_set_port(a, (unsigned short)port);
	if (s.len > 0 && s.len < sizeof link.ifr_name && a->sa.ss_family == AF_INET6) {
		memcpy(link.ifr_name, s.ptr, s.len);
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (ioctl(fd, SIOCGIFINDEX, &link) == 0)
			memcpy((char *)&a->sa + offsetof(struct sockaddr_in6, sin6_scope_id),
			       &link.ifr_ifindex, sizeof link.ifr_ifindex);
		close(fd);
	}
}

/* Takes a word off *line, blanks before it aside; empty at the end. */
static struct str
take_word(struct str *line)
{
	size_t n = 0;

	*line = str_trim(*line);
	while (n < line->len && !str_is_blank(line->ptr[n]))
		n++;
	struct str word = str_upto(*line, n);
	*line = str_from(*line, n);
	return word;
}

void
dns_init(struct dns *d, struct str servers, struct str resolv_conf, struct str hosts)
{
	*d = (struct dns){.hosts = hosts};
	while (servers.len > 0)
		add_server(d, take_word(&servers));
	if (d->server_count > 0)
		resolv_conf.len = 0;
	while (resolv_conf.len > 0) {
		struct str line = str_cut(&resolv_conf, '\n');
		if (str_eq(take_word(&line), STR("nameserver")))
			add_server(d, take_word(&line));
	}
	if (d->server_count == 0)
		add_server(d, STR("127.0.0.1"));
}

static bool
wait_for(int fd, short events, int64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do {
		int64_t left = until - clock_ms();
		n = left > 0 ? poll(&p, 1, (int)left) : 0;
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static bool
should_retry(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The socket is connected, so that only the server's datagrams arrive; of those, the ones
 * that do not answer this query are forgeries or late, and passed over. */
static enum rr_fate
exchange_datagrams(int fd, struct str query, int64_t until, struct buf *answer)
{
	enum rr_fate fate = RR_SILENT;
	ssize_t n = send(fd, query.ptr, query.len, MSG_NOSIGNAL);

	while (fate == RR_SILENT && (n >= 0 || should_retry(n)) &&
	       wait_for(fd, POLLIN, until)) {
		answer->len = 0;
		n = recv(fd, buf_room(answer, RR_DATAGRAM), RR_DATAGRAM, 0);
		answer->len = n > 0 ? (size_t)n : 0;
		fate = rr_judge(buf_view(answer), query);
	}
	return fate;
}

/* Sends or receives all of len bytes. */
static bool
transfer(int fd, short events, char *bytes, size_t len, int64_t until)
{
	while (len > 0 && wait_for(fd, events, until)) {
		ssize_t n = events == POLLIN ? recv(fd, bytes, len, 0) :
					       send(fd, bytes, len, MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (!should_retry(n)) {
			return false;
		}
	}
	return len == 0;
}

/* Over TCP a length in two bytes stands before each message, RFC 1035 4.2.2. */
static enum rr_fate
exchange_stream(int fd, struct str query, int64_t until, struct buf *answer)
{
	char frame[2 + RR_QUERY] = {(char)(query.len >> 8), (char)query.len};

	memcpy(frame + 2, query.ptr, query.len);
	if (!transfer(fd, POLLOUT, frame, 2 + query.len, until) ||
	    !transfer(fd, POLLIN, frame, 2, until))
		return RR_SILENT;
	size_t len = (size_t)(unsigned char)frame[0] << 8 | (unsigned char)frame[1];
	answer->len = 0;
	if (!transfer(fd, POLLIN, buf_room(answer, len), len, until))
		return RR_SILENT;
	answer->len = len;
	return rr_judge(buf_view(answer), query);
}

/* A socket of its own for each query: the kernel picks a port that is hard to guess. */
static enum rr_fate
exchange(const struct dns *d, size_t server, int type, struct str query, int64_t until,
	 struct buf *answer)
{
	const struct dns_address *to = &d->server[server];
	enum rr_fate fate = RR_SILENT;
	int fd = socket(to->sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return RR_SILENT;
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 || errno == EINPROGRESS)
		fate = type == SOCK_DGRAM ? exchange_datagrams(fd, query, until, answer) :
					    exchange_stream(fd, query, until, answer);
	close(fd);
	return fate;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Asks the servers in turn until one knows. Only the first round speaks EDNS: what it makes
 * an old server, or a filter on the way, refuse or drop is asked again without. */
static enum rr_fate
ask(const struct dns *d, const char *name, enum rr_type type, int64_t deadline,
    struct buf *answer)
{
	unsigned char bytes[RR_QUERY];
	enum rr_fate fate = RR_SILENT, best = RR_SILENT;
	uint16_t id;

	for (unsigned turn = 0; turn < ROUNDS * d->server_count; turn++) {
		unsigned round = turn / d->server_count;
		size_t server = turn % d->server_count;
		int64_t now = clock_ms();
		if (now >= deadline)
			break;
		clock_random(&id, sizeof id);
		struct str query = {(char *)bytes, rr_query(bytes, id, name, type, round == 0)};
		fate = exchange(d, server, SOCK_DGRAM, query,
				earlier(deadline, now + (FIRST_WAIT << round)), answer);
		if (fate == RR_TRUNCATED)
			fate = exchange(d, server, SOCK_STREAM, query,
					earlier(deadline, clock_ms() + TCP_WAIT), answer);
		if (fate >= RR_NO_NAME)
			return fate;
		if (fate > best)
			best = fate;
	}
	return best;
}

/* The same for the name at the end of the aliases, which name becomes. */
static enum rr_fate
resolve(const struct dns *d, char name[RR_NAME], enum rr_type type, int64_t deadline,
	struct buf *answer)
{
	struct rr record;

	for (int i = 0; i < ALIAS_QUESTIONS; i++) {
		enum rr_fate fate = ask(d, name, type, deadline, answer);
		if (fate != RR_ANSWER || !rr_follow(buf_view(answer), name))
			return fate;
		struct rr_walk w = rr_start(buf_view(answer));
		if (rr_find(&w, name, type, &record))
			return fate;
	}
	return RR_FAILED;
}

/* Words for what is not RR_ANSWER. */
static int
fail(const struct dns *d, enum rr_fate fate, struct str name, struct outcome *why)
{
	struct buf server = {0};

	if (fate == RR_NO_NAME) {
		*why = outcome_make(PERMFAIL, 1, 2, "no such domain: %.*s", STR_ARG(name));
		return -1;
	}
	dns_print_address(&d->server[0], &server);
	*why = outcome_make(TEMPFAIL, 4, 3, "looking up %.*s: %s from name server %s%s",
			    STR_ARG(name), fate == RR_SILENT ? "no answer" : "only failures",
			    buf_cstr(&server), d->server_count > 1 ? " or another" : "");
	buf_free(&server);
	return -1;
}

static int
check_name(struct str text, char name[RR_NAME], struct outcome *why)
{
	if (rr_name(text, name) == 0)
		return 0;
	*why = outcome_make(PERMFAIL, 1, 2, "not a domain name (labels of 1 to 63 ASCII "
			    "characters): %.*s", STR_ARG(text));
	return -1;
}

/* --- names to addresses --- */

/* Addresses found so far: IPv6, and IPv4. */
struct pool {
	int family; /* wanted, or AF_UNSPEC */
	size_t count[2];
	unsigned char bytes[2][LIMIT_DNS_ADDRESSES][IP6];
};

static void
pool_add(struct pool *p, int family, const void *bytes)
{
	int row = family == AF_INET;

	if ((p->family == AF_UNSPEC || p->family == family) &&
	    p->count[row] < LIMIT_DNS_ADDRESSES)
		memcpy(p->bytes[row][p->count[row]++], bytes, row ? IP4 : IP6);
}

/* Alternating, so that a family without a route costs one attempt and not all. */
static int
pool_write(const struct pool *p, struct dns_address *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < 2 * LIMIT_DNS_ADDRESSES && n < cap; i++) {
		size_t row = i % 2, at = i / 2;
		if (at < p->count[row])
			set_address(&out[n++], row ? AF_INET : AF_INET6, p->bytes[row][at]);
	}
	return (int)n;
}

/* "192.0.2.1", "[192.0.2.1]", "2001:db8::1", "[2001:db8::1]", "[IPv6:2001:db8::1]". */
static int
parse_literal(struct str s, struct dns_address *a)
{
	if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
		s = (struct str){s.ptr + 1, s.len - 2};
		if (str_istarts(s, STR("IPv6:")))
			s = str_from(s, 5);
	}
	return dns_parse_address(s, a);
}

static void
search_hosts(struct str hosts, struct str name, struct pool *p)
{
	struct dns_address a;

	while (hosts.len > 0) {
		struct str rest = str_cut(&hosts, '\n'), line = str_cut(&rest, '#');
		struct str address = take_word(&line), word;
		do
			word = take_word(&line);
		while (word.len > 0 && !str_ieq(word, name));
		if (word.len > 0 && dns_parse_address(address, &a) == 0)
			pool_add(p, a.sa.ss_family, address_bytes(&a));
	}
}

/* Never asked of a server, RFC 6761 6.3. */
static bool
is_localhost(struct str name)
{
	struct str tail = STR(".localhost");

	return str_ieq(name, str_from(tail, 1)) ||
	       (name.len > tail.len && str_ieq(str_from(name, name.len - tail.len), tail));
}

bool
dns_is_loopback(struct str name)
{
	struct dns_address a;

	if (dns_parse_address(name, &a))
		return is_localhost(name);
	struct str bytes = dns_address_bytes(&a);
	return bytes.len == IP4 ? bytes.ptr[0] == loopback[0] :
				  memcmp(bytes.ptr, &in6addr_loopback, IP6) == 0;
}

/* IPv4 first: where servers or filters drop the question for IPv6, as some do, its addresses
 * are known by then and that question has little time. */
static enum rr_fate
search_dns(const struct dns *d, const char *name, int64_t deadline, struct pool *p)
{
	enum rr_fate worst = RR_ANSWER;
	struct buf answer = {0};
	struct rr record;
	char end[RR_NAME];

	for (int row = 1; row >= 0 && worst != RR_SILENT; row--) {
		int family = row ? AF_INET : AF_INET6;
		enum rr_type type = row ? RR_A : RR_AAAA;
		if (p->family != AF_UNSPEC && p->family != family)
			continue;
		if (p->count[1] > 0)
			deadline = earlier(deadline, clock_ms() + SECOND_FAMILY_WAIT);
		memcpy(end, name, sizeof end);
		enum rr_fate fate = resolve(d, end, type, deadline, &answer);
		if (fate < worst)
			worst = fate;
		if (fate != RR_ANSWER)
			continue;
		struct rr_walk w = rr_start(buf_view(&answer));
		while (rr_find(&w, end, type, &record))
			pool_add(p, family, record.address.ptr);
	}
	buf_free(&answer);
	return worst;
}

static bool
pool_is_empty(const struct pool *p)
{
	return p->count[0] + p->count[1] == 0;
}

int
dns_addresses(const struct dns *d, struct str name, int family, int64_t deadline,
	      struct dns_address *out, size_t cap, struct outcome *why)
{
	struct pool p = {.family = family};
	enum rr_fate fate = RR_ANSWER;
	struct dns_address literal;
	char text[RR_NAME];

	if (parse_literal(name, &literal) == 0) {
		pool_add(&p, literal.sa.ss_family, address_bytes(&literal));
	} else if (check_name(name, text, why)) {
		return -1;
	} else {
		search_hosts(d->hosts, str_of(text), &p);
		if (pool_is_empty(&p) && is_localhost(str_of(text))) {
			pool_add(&p, AF_INET6, &in6addr_loopback);
			pool_add(&p, AF_INET, loopback);
		} else if (pool_is_empty(&p)) {
			fate = search_dns(d, text, deadline, &p);
		}
	}
	if (!pool_is_empty(&p))
		return pool_write(&p, out, cap);
	if (fate != RR_ANSWER)
		return fail(d, fate, name, why);
	*why = outcome_make(PERMFAIL, 4, 4, "%.*s has no %saddress", STR_ARG(name),
			    family == AF_INET ? "IPv4 " : family == AF_INET6 ? "IPv6 " : "");
	return -1;
}

/* --- mail exchangers --- */

static uint32_t
next_random(uint32_t *seed)
{
	uint32_t x = *seed ? *seed : 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *seed = x;
}

struct mx_list {
	struct dns_mx *mx;
	size_t count, cap;
	uint32_t seed;
};

static void
mx_remove(struct mx_list *l, size_t at)
{
	l->count--;
	memmove(l->mx + at, l->mx + at + 1, (l->count - at) * sizeof *l->mx);
}

/* Puts a host into its place by preference, at random among equals; each host once; the best
 * cap hosts stay. */
static void
mx_add(struct mx_list *l, unsigned short preference, const char *host)
{
	size_t at = 0, equals = 0;

	while (at < l->count && strcmp(l->mx[at].host, host) != 0)
		at++;
	if (at < l->count && l->mx[at].preference <= preference)
		return;
	if (at < l->count)
		mx_remove(l, at);
	for (at = 0; at < l->count && l->mx[at].preference < preference;)
		at++;
	while (at + equals < l->count && l->mx[at + equals].preference == preference)
		equals++;
	at += next_random(&l->seed) % (equals + 1);
	if (at == l->cap)
		return;
	if (l->count == l->cap)
		l->count--;
	memmove(l->mx + at + 1, l->mx + at, (l->count - at) * sizeof *l->mx);
	l->mx[at].preference = preference;
	memcpy(l->mx[at].host, host, strlen(host) + 1);
	l->count++;
}

/* Adds name's exchangers, or name itself where there is no MX record; nothing for a null MX
 * alone (beside others it says nothing). */
static enum rr_fate
search_mx(const struct dns *d, const char *name, int64_t deadline, struct mx_list *l)
{
	struct buf answer = {0};
	struct rr record;
	char end[RR_NAME];
	bool is_null = false;

	memcpy(end, name, sizeof end);
	enum rr_fate fate = resolve(d, end, RR_MX, deadline, &answer);
	if (fate == RR_ANSWER) {
		struct rr_walk w = rr_start(buf_view(&answer));
		while (rr_find(&w, end, RR_MX, &record))
			if (record.host[0])
				mx_add(l, record.preference, record.host);
			else
				is_null = true;
		if (l->count == 0 && !is_null)
			mx_add(l, 0, name);
	}
	buf_free(&answer);
	return fate;
}

int
dns_mail_exchangers(const struct dns *d, struct str domain, uint32_t seed, int64_t deadline,
		    struct dns_mx *out, size_t cap, struct outcome *why)
{
	struct mx_list list = {.mx = out, .cap = cap, .seed = seed};
	enum rr_fate fate = RR_ANSWER;
	struct dns_address literal;
	char name[RR_NAME];

	if (check_name(domain, name, why))
		return -1;
	if (parse_literal(domain, &literal) == 0)
		mx_add(&list, 0, name);
	else
		fate = search_mx(d, name, deadline, &list);
	if (fate != RR_ANSWER)
		return fail(d, fate, domain, why);
	if (list.count > 0)
		return (int)list.count;
	*why = outcome_make(PERMFAIL, 1, 10, "%.*s takes no mail (null MX)", STR_ARG(domain));
	return -1;
}
