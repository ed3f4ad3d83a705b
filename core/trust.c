/* SPDX-License-Identifier: ISC */
#include "trust.h"
#include "cert.h"
#include "codec.h"
#include "config.h"
#include "curve.h"
#include "date.h"
#include "dns.h"
#include "fmt.h"
#include "pem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHAIN = 16,   /* certificates taken from the server */
	ANCHORS = 16, /* taken from the bundle: those that the chain names */
	PATH = 8,     /* from the leaf to the last one before the anchor */
	STEPS = 32,   /* of the search: a server may send a maze */
	RSA_BITS = CONFIG_TLS_LEGACY ? 1024 : 2048, /* of a key, at least */
	/* What the leaf's key must be for: one of these. */
	LEAF_USES = CERT_DIGITAL_SIGNATURE | (CONFIG_TLS_LEGACY ? CERT_KEY_ENCIPHERMENT : 0),
	DAY = 10,     /* of "2026-11-22 10:38:16", to the day and all of it */
	SECOND = 19,
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
	const struct cert *dead_end; /* where the search first found no issuer, */
	bool forged;                 /* only some of that name who have not signed it */
};

static void
print_time(int64_t wall, size_t len, char *dst, size_t cap)
{
	struct buf b = {0};

	date_print_iso(wall, &b);
	fmt_print(dst, cap, "%.*s", STR_ARG(str_upto(buf_view(&b), len)));
	buf_free(&b);
}

/* Says why, the remedy first, which certificate behind: a queue's line has less room than we
 * have. NULL for c: where it is not about one; else once: of several paths the first one's
 * fault is told. Returns false. */
static bool __attribute__((format(printf, 3, 4)))
refuse(struct trust *t, const struct cert *c, const char *fmt, ...)
{
	char words[LIMIT_OUTCOME_TEXT], subject[48], issuer[48], from[DAY + 1], to[DAY + 1];
	va_list ap;

	if (c && t->why.text[0])
		return false;
	va_start(ap, fmt);
	fmt_vprint(words, sizeof words, fmt, ap);
	va_end(ap);
	if (!c) {
		t->why = outcome_make(TEMPFAIL, 7, 5, "%s", words);
		return false;
	}
	cert_print_name(c->subject, subject, sizeof subject);
	cert_print_name(c->issuer, issuer, sizeof issuer);
	print_time(c->not_before, DAY, from, sizeof from);
	print_time(c->not_after, DAY, to, sizeof to);
	t->why = outcome_make(TEMPFAIL, 7, 5, "certificate of %.64s%s %s (%s, issued by %s, "
			      "%s to %s)", t->name, c == &t->work->cert[0] ? "" : "'s CA",
			      words, subject, str_eq(c->subject, c->issuer) ? "itself" : issuer,
			      from, to);
	return false;
}

/* What no setting but a pin could mend. */
static bool
refuse_flaw(struct trust *t, const struct cert *c, const char *flaw)
{
	return refuse(t, c, "%s: have it replaced, or set tls_pin", flaw);
}

static void
print_digest(const unsigned char digest[32], char hex[65])
{
	for (size_t i = 0; i < 32; i++)
		fmt_print(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Without a believable clock (tls_clock floor) it is at least as late as the build. */
static bool
check_dates(struct trust *t, const struct cert *c)
{
	const struct trust_config *config = t->config;
	bool known = config->now.believable;
	int64_t now = known ? config->now.wall : config->floor;
	char when[SECOND + 1], today[SECOND + 1];

	if (c->not_after < now) {
		print_time(c->not_after, SECOND, when, sizeof when);
		return refuse(t, c, "expired on %s UTC: have it renewed, or set tls_pin", when);
	}
	if (known && c->not_before > now) {
		print_time(c->not_before, SECOND, when, sizeof when);
		print_time(now, SECOND, today, sizeof today);
		return refuse(t, c, "is not valid before %s UTC: is the clock right (%s UTC)?",
			      when, today);
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
	else if (c->key.key_type == BR_KEYTYPE_RSA && c->key.key.rsa.nlen < RSA_BITS / 8)
		flaw = CONFIG_TLS_LEGACY ? "has an RSA key of less than 1024 bits" :
		       "has an RSA key of less than 2048 bits";
	return flaw ? refuse_flaw(t, c, flaw) : check_dates(t, c);
}

static bool
check_signature(struct trust *t, const struct cert *c)
{
	if (c->signature == CERT_SHA2 || (CONFIG_TLS_LEGACY && c->signature == CERT_SHA1))
		return true;
	return refuse_flaw(t, c, c->signature == CERT_OTHER ?
			   "is signed in an unsupported way (neither RSA PKCS#1 nor ECDSA)" :
			   "is signed with SHA-1 or MD5");
}

/* Whether c may issue for what is path[depth - 1]. */
static bool
check_issuer(struct trust *t, const struct cert *c, size_t depth)
{
	const struct cert *const *path = t->work->path;
	int below = 0; /* CAs, without those that are the one above by another key */

	for (size_t i = 1; i < depth; i++)
		below += !str_eq(path[i]->subject, path[i]->issuer);
	if (!check_any(t, c))
		return false;
	if (!c->ca || !(c->key_usage & CERT_KEY_CERT_SIGN))
		return refuse_flaw(t, c, "may not issue certificates, but did");
	if (c->path_length >= 0 && c->path_length < below)
		return refuse_flaw(t, c, "has a path length that allows no CA this far below it");
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
	/* The administrator's own word for it needs no signature. */
	if (!check_any(t, leaf) || (!in_bundle && !check_signature(t, leaf)))
		return false;
	if (leaf->ca && !in_bundle)
		return refuse_flaw(t, leaf, "is a CA's, not a server's");
	if (!(leaf->key_usage & LEAF_USES))
		return refuse_flaw(t, leaf, "must not be used for signatures");
	if (leaf->names.len == 0)
		return refuse_flaw(t, leaf,
				   "has no subjectAltName (a common name does not count)");
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

/* A directory has a bundle besides what it was made of. */
static bool
is_anchor(const struct trust_work *w, const struct cert *c)
{
	for (size_t i = 0; i < w->anchors; i++)
		if (str_eq(w->anchor[i].der, c->der))
			return true;
	return false;
}

/* What cannot be parsed is no anchor. */
static void
find_anchors(struct trust_work *w, int fd)
{
	struct pem p = {.fd = fd};
	struct buf der = {0};
	struct cert c;

	while (w->anchors < ANCHORS && pem_take(&p, PEM_CERTIFICATE, &der)) {
		if (cert_parse(&c, buf_view(&der)) || !is_named(w, &c) || is_anchor(w, &c))
			continue;
		w->anchor_der[w->anchors] = der;
		w->anchor[w->anchors++] = c;
		der = (struct buf){0};
	}
	buf_free(&der);
}

const struct trust_hash *
trust_hash(unsigned id)
{
	static const struct trust_hash sha1 = {&br_sha1_vtable, BR_HASH_OID_SHA1, br_sha1_SIZE};
	static const struct trust_hash from_sha256[] = {
		{&br_sha256_vtable, BR_HASH_OID_SHA256, br_sha256_SIZE},
		{&br_sha384_vtable, BR_HASH_OID_SHA384, br_sha384_SIZE},
		{&br_sha512_vtable, BR_HASH_OID_SHA512, br_sha512_SIZE},
	};

	if (CONFIG_TLS_LEGACY && id == br_sha1_ID)
		return &sha1;
	return id >= br_sha256_ID && id <= br_sha512_ID ? &from_sha256[id - br_sha256_ID] : NULL;
}

/* Its length. */
static size_t
digest(unsigned id, struct str s, unsigned char *out)
{
	const struct trust_hash *h = trust_hash(id);
	br_hash_compat_context hash;

	h->class->init(&hash.vtable);
	h->class->update(&hash.vtable, s.ptr, s.len);
	h->class->out(&hash.vtable, out);
	return h->len;
}

/* Whether this key has made the signature of a certificate that check_signature passed. */
static bool
is_signed_by(const struct cert *c, const br_x509_pkey *key)
{
	const unsigned char *signature = (const unsigned char *)c->signature_bytes.ptr;
	unsigned char want[br_sha512_SIZE], have[br_sha512_SIZE];
	unsigned id = c->signature == CERT_SHA1 ? br_sha1_ID : c->hash;
	size_t len = digest(id, c->signed_part, want);

	if (key->key_type != c->signer)
		return false;
	if (key->key_type == BR_KEYTYPE_EC)
		return br_ecdsa_i31_vrfy_asn1(&curve_all, want, len, &key->key.ec, signature,
					      c->signature_bytes.len);
	return br_rsa_i31_pkcs1_vrfy(signature, c->signature_bytes.len,
				     trust_hash(id)->oid, len, &key->key.rsa,
				     have) && memcmp(have, want, len) == 0;
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

/* Depth first from path[depth - 1] upwards, anchors before the server's own. Only whoever has
 * signed it is looked at closely: a name alone is anybody's. */
static bool
climb(struct trust *t, size_t depth)
{
	struct trust_work *w = t->work;
	const struct cert *top = w->path[depth - 1];
	bool named = false, issued = false;

	for (size_t i = 0; i < w->anchors + w->count && w->steps > 0; i++) {
		bool anchor = i < w->anchors;
		const struct cert *c = anchor ? &w->anchor[i] : &w->cert[i - w->anchors];
		if (!str_eq(c->subject, top->issuer) || is_on_path(w, depth, c))
			continue;
		named = true;
		w->steps--;
		/* A key that we do not know is told of. */
		if (c->key.key_type != 0 && !is_signed_by(top, &c->key))
			continue;
		issued = true;
		if (!check_issuer(t, c, depth))
			continue;
		if (anchor)
			return true;
		if (depth == PATH || !check_signature(t, c))
			continue;
		w->path[depth] = c;
		if (climb(t, depth + 1))
			return true;
	}
	if (!issued && !w->dead_end) {
		w->dead_end = top;
		w->forged = named;
	}
	return false;
}

static bool
refuse_self_signed(struct trust *t)
{
	char hex[65];

	print_digest(t->leaf_sha256, hex);
	return refuse(t, NULL, "set tls_fingerprint %s if the self-signed certificate of %.64s "
			     "is the right one", hex, t->name);
}

static bool
refuse_size(struct trust *t)
{
	return refuse(t, NULL, "%.64s sent too many certificates: set tls_pin", t->name);
}

/* No path leads to the bundle, unless one did and its fault has been told. */
static bool
refuse_unknown(struct trust *t, const struct cert *leaf)
{
	const struct cert *top = t->work->dead_end;
	const char *bundle = t->config->ca_name;
	char missing[48];

	if (t->why.text[0])
		return false;
	if (!top)
		return refuse_size(t);
	if (t->work->forged)
		return refuse(t, top, "was not signed by the CA of that name: update %s, or "
			      "distrust the server", bundle);
	cert_print_name(top->issuer, missing, sizeof missing);
	return refuse(t, leaf, "leads to %s, which is not in %s: add it there, or set tls_pin",
		      missing, bundle);
}

/* Whether there is what a check needs. */
static bool
can_check(struct trust *t)
{
	const struct trust_config *config = t->config;
	char now[SECOND + 1];

	if (!config->now.believable && config->clock == CONF_CLOCK_STRICT) {
		print_time(config->now.wall, SECOND, now, sizeof now);
		return refuse(t, NULL, "%.64s: the clock is not set (it says %s UTC), so no "
				     "certificate can be checked: set it, or use tls_clock "
				     "floor or tls_pin", t->name, now);
	}
	if (config->ca < 0)
		return refuse(t, NULL, "%.64s: no certificate can be checked without the CA "
				     "bundle %.64s (%s): set tls_ca_file or tls_pin", t->name,
				     config->ca_name, strerror(config->ca_error));
	if (t->work->too_big)
		return refuse_size(t);
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
	if (w->anchors == 0 && str_eq(leaf->subject, leaf->issuer))
		return refuse_self_signed(t);
	if (!check_leaf(t, leaf, same))
		return false;
	w->path[0] = leaf;
	w->steps = STEPS;
	return same || climb(t, 1) || refuse_unknown(t, leaf);
}

/* The administrator has seen this very certificate or key: nothing else counts. */
static bool
check_pins(struct trust *t, const struct cert *leaf)
{
	const struct trust_config *config = t->config;
	const char *what = NULL;
	unsigned char spki[32], *have = spki;
	char hex[65];

	digest(br_sha256_ID, leaf->spki, spki);
	if (config->has_pin && memcmp(config->pin, spki, 32))
		what = "tls_pin";
	if (config->has_fingerprint && memcmp(config->fingerprint, t->leaf_sha256, 32)) {
		what = "tls_fingerprint";
		have = t->leaf_sha256;
	}
	if (!what)
		return true;
	print_digest(have, hex);
	return refuse(t, NULL, "set %s %s if %.64s has a new certificate: it does not match %s",
		      what, hex, t->name, what);
}

/* Judges what the server has sent. */
static bool
judge(struct trust *t)
{
	struct trust_work *w = t->work;
	struct cert *leaf = &w->cert[0];
	size_t start = 0;

	if (w->count == 0)
		return refuse(t, NULL, "%.64s sent no certificate", t->name);
	for (size_t i = 0; i < w->count; start = w->end[i++]) {
		struct cert *c = &w->cert[i];
		if (cert_parse(c, (struct str){w->der.ptr + start, w->end[i] - start}))
			*c = (struct cert){0};
	}
	if (leaf->subject.len == 0)
		return refuse(t, NULL, "the certificate of %.64s is malformed", t->name);
	digest(br_sha256_ID, leaf->der, t->leaf_sha256);
	if (leaf->hash)
		t->binding_len = digest(leaf->hash, leaf->der, t->binding);
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
	t->binding_len = 0;
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

	/* All that ECDHE needs, or RSA's own exchange; check_leaf has looked. */
	if (usages)
		*usages = BR_KEYTYPE_SIGN | (CONFIG_TLS_LEGACY ? BR_KEYTYPE_KEYX : 0);
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
	buf_release(t->work);
	t->work = NULL;
}

void
trust_expect(struct trust *t, struct str name)
{
	struct dns_address literal;

	if (name.len > 1 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len >= sizeof t->name)
		name.len = 0; /* no host has such a name, and no certificate is for none */
	fmt_print(t->name, sizeof t->name, "%.*s", STR_ARG(name));
	t->address_len = 0;
	if (dns_parse_address(str_of(t->name), &literal) == 0) {
		struct str bytes = dns_address_bytes(&literal);
		memcpy(t->address, bytes.ptr, bytes.len);
		t->address_len = bytes.len;
	}
}

static void
describe(const struct cert *c, struct buf *out)
{
	char subject[128], issuer[128];

	cert_print_name(c->subject, subject, sizeof subject);
	cert_print_name(c->issuer, issuer, sizeof issuer);
	buf_print(out, "%s, issued by %s, valid from ", subject, issuer);
	date_print_iso(c->not_before, out);
	buf_puts(out, " to ");
	date_print_iso(c->not_after, out);
	buf_puts(out, " UTC");
}

void
trust_describe(const struct trust *t, struct buf *out)
{
	const struct trust_work *w = t->work;
	unsigned char spki[32];

	if (w->cert[0].subject.len == 0)
		return;
	for (size_t i = 0; i < w->count; i++) {
		buf_print(out, "certificate %u: ", (unsigned)i + 1);
		if (w->cert[i].subject.len > 0)
			describe(&w->cert[i], out);
		else
			buf_puts(out, "malformed");
		buf_putc(out, '\n');
	}
	digest(br_sha256_ID, w->cert[0].spki, spki);
	buf_puts(out, "tls_fingerprint ");
	codec_hex((struct str){(const char *)t->leaf_sha256, sizeof t->leaf_sha256}, out);
	buf_puts(out, "\ntls_pin ");
	codec_hex((struct str){(const char *)spki, sizeof spki}, out);
	buf_putc(out, '\n');
}

int
trust_parse_sha256(struct str s, unsigned char out[32])
{
	return codec_unhex(s, out, 32) == 32 ? 0 : -1;
}
