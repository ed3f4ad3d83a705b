/* SPDX-License-Identifier: ISC */
#include "trust.h"
#include "cert.h"
#include "codec.h"
#include "date.h"
#include "fmt.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CHAIN = 16,   /* certificates taken from the server */
	ANCHORS = 16, /* taken from the bundle: those that the chain names */
	PATH = 8,     /* from the leaf to the last one before the anchor */
	STEPS = 32,   /* of the search: a server may send a maze */
	LONGEST_ANCHOR = 16 << 10,
};

struct trust_work {
	struct buf der;          /* what the server sent, one behind the other */
	size_t end[CHAIN];       /* where each ends in der */
	struct cert cert[CHAIN]; /* parsed; subject.len 0: malformed. The first is the leaf */
	size_t count;
	bool too_big;
	struct buf anchor_der[ANCHORS];
	struct cert anchor[ANCHORS];
	size_t anchors;
	const struct cert *path[PATH];
	unsigned steps;
	const struct cert *dead_end; /* where the search first found no issuer */
	br_x509_minimal_context minimal;
};

#define REPLACE_OR_PIN ": have it replaced, or set tls_pin"

/* Says why, once: of several paths the first one's fault is told. Returns false. */
static bool __attribute__((format(printf, 3, 4)))
refuse(struct trust *t, const struct cert *c, const char *fmt, ...)
{
	char words[LIMIT_OUTCOME_TEXT], subject[48], issuer[48];
	bool leaf = c == &t->work->cert[0];
	va_list ap;

	if (t->why.text[0])
		return false;
	va_start(ap, fmt);
	fmt_vprint(words, sizeof words, fmt, ap);
	va_end(ap);
	cert_print_name(c->subject, subject, sizeof subject);
	cert_print_name(c->issuer, issuer, sizeof issuer);
	if (str_eq(c->subject, c->issuer))
		fmt_print(issuer, sizeof issuer, "itself");
	t->why = outcome_make(TEMPFAIL, 7, 5, "%s%.64s (%s, issued by %s) %s",
			      leaf ? "certificate of " : "CA certificate",
			      leaf ? t->name : "", subject, issuer, words);
	return false;
}

/* The same where it is not about one certificate, or where a digest needs the room. */
static bool __attribute__((format(printf, 2, 3)))
refuse_server(struct trust *t, const char *fmt, ...)
{
	char words[LIMIT_OUTCOME_TEXT];
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(words, sizeof words, fmt, ap);
	va_end(ap);
	t->why = outcome_make(TEMPFAIL, 7, 5, "%.64s: %s", t->name, words);
	return false;
}

static void
print_digest(const unsigned char digest[32], char hex[65])
{
	for (size_t i = 0; i < 32; i++)
		fmt_print(hex + 2 * i, 3, "%02x", digest[i]);
}

static void
print_time(int64_t wall, char *dst, size_t cap)
{
	struct buf b = {0};

	date_print_iso(wall, &b);
	fmt_print(dst, cap, "%.*s UTC", (int)b.len, b.ptr);
	buf_free(&b);
}

/* Without a believable clock (tls_clock floor) it is at least as late as the build. */
static bool
check_dates(struct trust *t, const struct cert *c)
{
	const struct trust_config *config = t->config;
	bool known = config->now.believable;
	int64_t now = known ? config->now.wall : config->floor;
	char when[40], today[40];

	if (c->not_after < now) {
		print_time(c->not_after, when, sizeof when);
		return refuse(t, c, "expired on %s: have it renewed, or set tls_pin", when);
	}
	if (known && c->not_before > now) {
		print_time(c->not_before, when, sizeof when);
		print_time(now, today, sizeof today);
		return refuse(t, c, "is not valid before %s: is the clock right (%s)?", when,
			      today);
	}
	return true;
}

/* What holds for each certificate of a path and for the anchor. */
static bool
check_any(struct trust *t, const struct cert *c)
{
	const char *flaw = NULL;

	if (!c->v3)
		flaw = "is not of X.509 version 3";
	else if (c->contradictory)
		flaw = "has an extension twice or two signature algorithms";
	else if (c->unknown_critical)
		flaw = "has a critical extension that is not understood";
	else if (c->constrained)
		flaw = "has name constraints, which are not supported";
	else if (c->not_for_servers)
		flaw = "is not for servers (extended key usage)";
	else if (c->key.key_type == 0)
		flaw = "has no key that is supported (RSA to 4096 bits, P-256, P-384, P-521)";
	else if (c->key.key_type == BR_KEYTYPE_RSA && c->key.key.rsa.nlen < 2048 / 8)
		flaw = "has an RSA key of less than 2048 bits";
	if (flaw)
		return refuse(t, c, "%s" REPLACE_OR_PIN, flaw);
	return check_dates(t, c);
}

static bool
check_signature(struct trust *t, const struct cert *c)
{
	if (c->signature == CERT_SHA1)
		return refuse(t, c, "is signed with SHA-1" REPLACE_OR_PIN);
	if (c->signature != CERT_SHA2)
		return refuse(t, c, "is signed in an unsupported way (neither RSA PKCS#1 "
			      "nor ECDSA)" REPLACE_OR_PIN);
	return true;
}

/* below: how many certificates stand between this one and the key it vouches for. */
static bool
check_issuer(struct trust *t, const struct cert *c, size_t below)
{
	if (!check_any(t, c))
		return false;
	if (!c->ca || !(c->key_usage & CERT_KEY_CERT_SIGN))
		return refuse(t, c, "may not issue certificates, but did");
	if (c->path_length >= 0 && (size_t)c->path_length + 1 < below)
		return refuse(t, c, "has a path length that allows no CA this far below it");
	return true;
}

static bool
names_us(const struct trust *t, const struct cert *leaf)
{
	if (t->address_len > 0)
		return cert_names_address(leaf,
			(struct str){(const char *)t->address, t->address_len});
	return cert_names_host(leaf, str_of(t->name));
}

/* in_bundle: the administrator has put this very certificate among the anchors. */
static bool
check_leaf(struct trust *t, const struct cert *leaf, bool in_bundle)
{
	if (!check_any(t, leaf) || !check_signature(t, leaf))
		return false;
	if (leaf->ca && !in_bundle)
		return refuse(t, leaf, "is a CA's, not a server's" REPLACE_OR_PIN);
	if (!(leaf->key_usage & CERT_DIGITAL_SIGNATURE))
		return refuse(t, leaf, "must not be used for signatures" REPLACE_OR_PIN);
	if (leaf->names.len == 0)
		return refuse(t, leaf, "has no subjectAltName (a common name does not count)"
			      REPLACE_OR_PIN);
	if (!names_us(t, leaf)) {
		struct str other = str_upto(cert_first_host(leaf), 64);
		return refuse(t, leaf, "does not name this host%s%.*s: use a name it has, or "
			      "set tls_pin", other.len > 0 ? ", but " : "", STR_ARG(other));
	}
	return true;
}

/* Whether the server's certificates ask for this anchor. */
static bool
is_named(const struct trust_work *w, const struct cert *anchor)
{
	if (str_eq(anchor->der, w->cert[0].der))
		return true;
	for (size_t i = 0; i < w->count; i++) {
		if (w->cert[i].issuer.len > 0 && str_eq(w->cert[i].issuer, anchor->subject))
			return true;
	}
	return false;
}

/* The bundle, read a piece at a time: a worker must not hold 200 kB for one certificate. */
struct pem {
	int fd;
	off_t offset;
	struct str ready; /* in space: read, not yet looked at */
	char space[2048];
};

/* Fills the space behind what is ready. False: there is no more, or no room. */
static bool
fill(struct pem *p)
{
	size_t have = p->ready.len;

	if (have > 0)
		memmove(p->space, p->ready.ptr, have);
	p->ready.ptr = p->space;
	ssize_t n = pread(p->fd, p->space + have, sizeof p->space - have, p->offset);
	if (n <= 0)
		return false;
	p->offset += n;
	p->ready.len += (size_t)n;
	return true;
}

/* A line longer than the space comes in pieces. */
static bool
take_line(struct pem *p, struct str *line)
{
	if (str_find(p->ready, '\n') == p->ready.len && !fill(p) && p->ready.len == 0)
		return false;
	*line = str_trim(str_cut(&p->ready, '\n'));
	return true;
}

/* The next certificate's DER. False: there is none. */
static bool
take_pem(struct pem *p, struct buf *der)
{
	struct str line;
	bool inside = false;

	while (take_line(p, &line)) {
		if (str_eq(line, STR("-----BEGIN CERTIFICATE-----"))) {
			inside = true;
			der->len = 0;
		} else if (inside && str_eq(line, STR("-----END CERTIFICATE-----"))) {
			return true;
		} else if (inside) {
			ptrdiff_t n = codec_unbase64(line, buf_room(der, line.len), line.len);
			inside = n >= 0 && der->len <= LONGEST_ANCHOR;
			der->len += inside ? (size_t)n : 0;
		}
	}
	return false;
}

/* What cannot be parsed is no anchor. */
static void
find_anchors(struct trust_work *w, int fd)
{
	struct pem p = {.fd = fd};
	struct buf der = {0};
	struct cert c;

	while (w->anchors < ANCHORS && take_pem(&p, &der)) {
		if (cert_parse(&c, buf_view(&der)) || !is_named(w, &c))
			continue;
		w->anchor_der[w->anchors] = der;
		w->anchor[w->anchors++] = c;
		der = (struct buf){0};
	}
	buf_free(&der);
}

static void
set_up_minimal(br_x509_minimal_context *m, const br_x509_trust_anchor *anchor)
{
	br_x509_minimal_init(m, &br_sha256_vtable, anchor, 1);
	br_x509_minimal_set_rsa(m, br_rsa_i31_pkcs1_vrfy);
	br_x509_minimal_set_ecdsa(m, &br_ec_all_m31, br_ecdsa_i31_vrfy_asn1);
	br_x509_minimal_set_hash(m, br_sha256_ID, &br_sha256_vtable);
	br_x509_minimal_set_hash(m, br_sha384_ID, &br_sha384_vtable);
	br_x509_minimal_set_hash(m, br_sha512_ID, &br_sha512_vtable);
	br_x509_minimal_set_minrsa(m, 2048 / 8);
}

/* A time at which the certificate is valid: check_dates has decided, and knows more. */
static void
set_time(br_x509_minimal_context *m, const struct cert *c)
{
	enum { DAY = 86400, DAYS_BEFORE_1970 = 719528 };
	int64_t since_year_0 = c->not_before + (int64_t)DAYS_BEFORE_1970 * DAY;

	br_x509_minimal_set_time(m, (uint32_t)(since_year_0 / DAY),
				 (uint32_t)(since_year_0 % DAY));
}

/* BearSSL's own judgement of path[0] to path[depth - 1] below the anchor. */
static unsigned
run_minimal(struct trust *t, size_t depth, const struct cert *anchor, unsigned flags)
{
	br_x509_minimal_context *m = &t->work->minimal;
	br_x509_trust_anchor a = {
		.dn = {(unsigned char *)anchor->subject.ptr, anchor->subject.len},
		.flags = flags,
		.pkey = anchor->key,
	};
	const br_x509_class *v = &br_x509_minimal_vtable;

	set_up_minimal(m, &a);
	v->start_chain(&m->vtable, t->address_len > 0 ? NULL : t->name);
	for (size_t i = 0; i < depth; i++) {
		const struct cert *c = t->work->path[i];
		set_time(m, c);
		v->start_cert(&m->vtable, (uint32_t)c->der.len);
		v->append(&m->vtable, (const unsigned char *)c->der.ptr, c->der.len);
		v->end_cert(&m->vtable);
	}
	return v->end_chain(&m->vtable);
}

static const char *
minimal_words(unsigned err)
{
	switch (err) {
	case BR_ERR_X509_NOT_TRUSTED:
		return "was not signed by the CA of that name in the bundle";
	case BR_ERR_X509_BAD_SIGNATURE:
	case BR_ERR_X509_WRONG_KEY_TYPE:
		return "comes with a chain in which a signature is wrong";
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return "comes with a chain that has a critical extension not understood";
	case BR_ERR_X509_BAD_SERVER_NAME:
		return "is for other names";
	case BR_ERR_X509_UNSUPPORTED:
	case BR_ERR_X509_LIMIT_EXCEEDED:
		return "comes with a chain that uses what is not supported";
	default:
		return "comes with a malformed chain";
	}
}

static bool
check_path(struct trust *t, size_t depth, const struct cert *anchor)
{
	const struct cert *leaf = t->work->path[0];
	bool in_bundle = str_eq(anchor->der, leaf->der);

	for (size_t i = 1; i < depth; i++) {
		const struct cert *c = t->work->path[i];
		if (!check_issuer(t, c, i) || !check_signature(t, c))
			return false;
	}
	if (!in_bundle && !check_issuer(t, anchor, depth))
		return false;
	unsigned err = run_minimal(t, depth, anchor, in_bundle ? 0 : BR_X509_TA_CA);
	return err == 0 || refuse(t, leaf, "%s (BearSSL error %u)", minimal_words(err), err);
}

static bool
is_on_path(const struct trust_work *w, size_t depth, const struct cert *c)
{
	for (size_t i = 0; i < depth; i++) {
		if (w->path[i] == c)
			return true;
	}
	return false;
}

/* Depth first from path[depth - 1] upwards, anchors before the server's own. */
static bool
climb(struct trust *t, size_t depth)
{
	struct trust_work *w = t->work;
	const struct cert *top = w->path[depth - 1];
	bool issuer = false;

	for (size_t i = 0; i < w->anchors && w->steps > 0; i++) {
		if (!str_eq(w->anchor[i].subject, top->issuer))
			continue;
		issuer = true;
		w->steps--;
		if (check_path(t, depth, &w->anchor[i]))
			return true;
	}
	for (size_t i = 1; i < w->count && depth < PATH && w->steps > 0; i++) {
		const struct cert *c = &w->cert[i];
		if (!str_eq(c->subject, top->issuer) || is_on_path(w, depth, c))
			continue;
		issuer = true;
		w->steps--;
		w->path[depth] = c;
		if (climb(t, depth + 1))
			return true;
	}
	if (!issuer && !w->dead_end)
		w->dead_end = top;
	return false;
}

static bool
refuse_self_signed(struct trust *t)
{
	char hex[65];

	print_digest(t->leaf_sha256, hex);
	return refuse_server(t, "the certificate is self-signed: if it is the right one, set "
			     "tls_fingerprint %s", hex);
}

/* No path leads to the bundle, unless one did and its fault has been told. */
static bool
refuse_unknown(struct trust *t, const struct cert *leaf)
{
	const struct cert *top = t->work->dead_end ? t->work->dead_end : leaf;
	char missing[48];

	cert_print_name(top->issuer, missing, sizeof missing);
	return refuse(t, leaf, "leads to %s, which is neither in %s nor sent by the server: "
		      "add it there, or set tls_pin", missing, t->config->ca_name);
}

/* Whether there is what a check needs. */
static bool
can_check(struct trust *t)
{
	const struct trust_config *config = t->config;
	char now[40];

	if (!config->now.believable && config->clock == CONF_CLOCK_STRICT) {
		print_time(config->now.wall, now, sizeof now);
		return refuse_server(t, "the clock is not set (it says %s), so no certificate "
				     "can be checked: set it or use tls_clock floor or tls_pin",
				     now);
	}
	if (config->ca < 0)
		return refuse_server(t, "no certificate can be checked without the CA bundle "
				     "%.64s: set tls_ca_file or tls_pin", config->ca_name);
	if (t->work->too_big)
		return refuse_server(t, "the server sent too many certificates: set tls_pin");
	return true;
}

static bool
check_chain(struct trust *t)
{
	struct trust_work *w = t->work;
	const struct cert *leaf = &w->cert[0], *same = NULL;

	if (!can_check(t))
		return false;
	find_anchors(w, t->config->ca);
	for (size_t i = 0; i < w->anchors && !same; i++)
		same = str_eq(w->anchor[i].der, leaf->der) ? &w->anchor[i] : NULL;
	if (!same && str_eq(leaf->subject, leaf->issuer))
		return refuse_self_signed(t);
	if (!check_leaf(t, leaf, same))
		return false;
	w->path[0] = leaf;
	w->steps = STEPS;
	return same ? check_path(t, 1, same) : climb(t, 1) || refuse_unknown(t, leaf);
}

static void
sha256(struct str s, unsigned char out[32])
{
	br_sha256_context c;

	br_sha256_init(&c);
	br_sha256_update(&c, s.ptr, s.len);
	br_sha256_out(&c, out);
}

/* The administrator has seen this very certificate or key: nothing else counts. */
static bool
check_pins(struct trust *t, const struct cert *leaf)
{
	const struct trust_config *config = t->config;
	const char *what = NULL;
	unsigned char spki[32], *have = spki;
	char hex[65];

	sha256(leaf->spki, spki);
	if (config->has_pin && memcmp(config->pin, spki, 32))
		what = "tls_pin";
	if (config->has_fingerprint && memcmp(config->fingerprint, t->leaf_sha256, 32)) {
		what = "tls_fingerprint";
		have = t->leaf_sha256;
	}
	if (!what)
		return true;
	print_digest(have, hex);
	return refuse_server(t, "the certificate does not match %s; if it was renewed, set "
			     "%s", what, hex);
}

/* Judges what the server has sent. */
static bool
judge(struct trust *t)
{
	struct trust_work *w = t->work;
	struct cert *leaf = &w->cert[0];
	size_t start = 0;

	if (w->count == 0)
		return refuse_server(t, "the server sent no certificate");
	for (size_t i = 0; i < w->count; start = w->end[i++]) {
		struct cert *c = &w->cert[i];
		if (cert_parse(c, (struct str){w->der.ptr + start, w->end[i] - start}))
			*c = (struct cert){0};
	}
	if (leaf->subject.len == 0)
		return refuse_server(t, "the server's certificate is malformed");
	cert_print_name(leaf->subject, t->subject, sizeof t->subject);
	cert_print_name(leaf->issuer, t->issuer, sizeof t->issuer);
	sha256(leaf->der, t->leaf_sha256);
	if (leaf->key.key_type == 0)
		return check_any(t, leaf);
	if (t->config->has_fingerprint || t->config->has_pin)
		return t->verified = check_pins(t, leaf);
	if (t->config->verify)
		return t->verified = check_chain(t);
	return true;
}

static void
forget(struct trust_work *w)
{
	for (size_t i = 0; i < w->anchors; i++)
		buf_free(&w->anchor_der[i]);
	buf_free(&w->der);
	*w = (struct trust_work){0};
}

/* br_x509_class from here on: the engine hands the certificates in as they arrive. */

static struct trust *
trust_of(const br_x509_class **ctx)
{
	return (struct trust *)(void *)ctx;
}

static void
start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct trust *t = trust_of(ctx);

	(void)server_name; /* trust_expect knows it, for address literals too */
	forget(t->work);
	t->verified = false;
	t->why = (struct outcome){0};
}

static void
start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct trust_work *w = trust_of(ctx)->work;

	if (w->count == CHAIN || length > LIMIT_CHAIN - w->der.len)
		w->too_big = true;
}

static void
append(const br_x509_class **ctx, const unsigned char *bytes, size_t len)
{
	struct trust_work *w = trust_of(ctx)->work;

	if (!w->too_big)
		buf_add(&w->der, bytes, len);
}

static void
end_cert(const br_x509_class **ctx)
{
	struct trust_work *w = trust_of(ctx)->work;

	if (!w->too_big)
		w->end[w->count++] = w->der.len;
}

static unsigned
end_chain(const br_x509_class **ctx)
{
	struct trust *t = trust_of(ctx);

	if (!judge(t))
		return BR_ERR_X509_NOT_TRUSTED;
	t->why = (struct outcome){0}; /* of the paths tried before the right one */
	return 0;
}

static const br_x509_pkey *
get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct trust *t = (const struct trust *)(const void *)ctx;

	if (usages)
		*usages = BR_KEYTYPE_SIGN; /* all that ECDHE needs; check_leaf has looked */
	return &t->work->cert[0].key;
}

static const br_x509_class vtable = {
	sizeof(struct trust), start_chain, start_cert, append, end_cert, end_chain, get_pkey,
};

void
trust_init(struct trust *t, const struct trust_config *config)
{
	*t = (struct trust){.vtable = &vtable, .config = config};
	t->work = buf_array(NULL, 1, sizeof *t->work);
	*t->work = (struct trust_work){0};
}

void
trust_free(struct trust *t)
{
	forget(t->work);
	free(t->work);
	t->work = NULL;
}

void
trust_expect(struct trust *t, const char *name)
{
	struct str s = str_of(name);

	if (s.len > 1 && s.ptr[s.len - 1] == '.')
		s.len--;
	if (s.len >= sizeof t->name)
		s.len = 0; /* no host has such a name, and no certificate is for none */
	fmt_print(t->name, sizeof t->name, "%.*s", STR_ARG(s));
	t->address_len = 0;
	if (inet_pton(AF_INET, t->name, t->address) == 1)
		t->address_len = 4;
	else if (inet_pton(AF_INET6, t->name, t->address) == 1)
		t->address_len = 16;
}

int
trust_parse_sha256(struct str s, unsigned char out[32])
{
	return codec_unhex(s, out, 32) == 32 ? 0 : -1;
}
