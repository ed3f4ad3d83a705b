/* SPDX-License-Identifier: ISC */
#include "cert.h"
#include "fmt.h"

#include <string.h>

enum { /* DER tags */
	BOOLEAN = 0x01,
	INTEGER = 0x02,
	BIT_STRING = 0x03,
	OCTET_STRING = 0x04,
	OID = 0x06,
	UTC_TIME = 0x17,
	GENERALIZED_TIME = 0x18,
	SEQUENCE = 0x30,
	SET = 0x31,
	VERSION = 0xa0,
	ISSUER_ID = 0x81,
	SUBJECT_ID = 0x82,
	EXTENSIONS = 0xa3,
	DNS_NAME = 0x82,
	IP_ADDRESS = 0x87,
};

/* Object identifiers' content. */
#define RSA_ENCRYPTION STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
#define RSA_WITH       STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01") /* then 4: MD5, 5: SHA-1, 11-13 */
#define ECDSA_SHA1     STR("\x2a\x86\x48\xce\x3d\x04\x01")
#define ECDSA_WITH     STR("\x2a\x86\x48\xce\x3d\x04\x03")     /* then 2-4: SHA-2 */
#define EC_PUBLIC_KEY  STR("\x2a\x86\x48\xce\x3d\x02\x01")
#define P256           STR("\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define P384           STR("\x2b\x81\x04\x00\x22")
#define P521           STR("\x2b\x81\x04\x00\x23")
#define ANY_PURPOSE    STR("\x55\x1d\x25\x00")
#define SERVER_AUTH    STR("\x2b\x06\x01\x05\x05\x07\x03\x01")

enum { /* X of the extensions 2.5.29.X */
	SUBJECT_KEY = 14,
	KEY_USAGE = 15,
	SUBJECT_ALT_NAME = 17,
	ISSUER_ALT_NAME = 18,
	BASIC_CONSTRAINTS = 19,
	NAME_CONSTRAINTS = 30,
	POLICIES = 32,
	AUTHORITY_KEY = 35,
	EXT_KEY_USAGE = 37,
};

static unsigned char
byte(struct str s, size_t i)
{
	return (unsigned char)s.ptr[i];
}

static bool
is_next(struct str in, unsigned tag)
{
	return in.len > 0 && byte(in, 0) == tag;
}

/* Errors are latched: a range in which something was not as it should be has no pointer any
 * more, nothing more is found in it, and at the end it has not ended. */
static struct str
fail(struct str *in)
{
	*in = (struct str){0};
	return *in;
}

static bool
ended(struct str in)
{
	return in.ptr && in.len == 0;
}

/* Takes one element off *in and returns its content. DER: the shortest form of a length; and
 * none above 65535. */
static struct str
take_any(struct str *in)
{
	if (in->len < 2)
		return fail(in);
	size_t len = byte(*in, 1), head = 2;
	if (len >= 0x80) {
		head += len - 0x80;
		if (head < 3 || head > 4 || in->len < head)
			return fail(in);
		len = byte(*in, 2);
		if (head == 4)
			len = len << 8 | byte(*in, 3);
		if (len < (head == 3 ? 0x80u : 0x100u))
			return fail(in);
	}
	if (len > in->len - head)
		return fail(in);
	struct str value = {in->ptr + head, len};
	in->ptr += head + len;
	in->len -= head + len;
	return value;
}

static struct str
take(struct str *in, unsigned tag)
{
	return is_next(*in, tag) ? take_any(in) : fail(in);
}

/* The same, with tag and length. */
static struct str
take_whole(struct str *in, unsigned tag)
{
	struct str whole = *in;

	if (!take(in, tag).ptr)
		return *in;
	whole.len -= in->len;
	return whole;
}

/* Seconds since 1970. RFC 5280 4.1.2.5: always with seconds, always UTC. */
static int64_t
take_time(struct str *in)
{
	static const struct { unsigned char min, max; } range[] = {
		{1, 12}, {1, 31}, {0, 23}, {0, 59}, {0, 59}, /* month to second */
	};
	size_t digits = is_next(*in, UTC_TIME) ? 2 : 4;
	struct str s = take(in, digits == 2 ? UTC_TIME : GENERALIZED_TIME);
	uint64_t n, v[5];

	if (s.len != digits + 11 || byte(s, s.len - 1) != 'Z' ||
	    str_number(str_upto(s, digits), 9999, &n)) {
		fail(in);
		return 0;
	}
	for (size_t i = 0; i < 5; i++) {
		struct str two = str_upto(str_from(s, digits + 2 * i), 2);
		if (str_number(two, range[i].max, &v[i]) || v[i] < range[i].min) {
			fail(in);
			return 0;
		}
	}
	int64_t year = (int64_t)n, month = (int64_t)v[0], day = (int64_t)v[1];
	if (digits == 2)
		year += year < 50 ? 2000 : 1900;
	/* Years begin in March, so that a leap day is the last of its year. */
	year -= month < 3;
	day += (153 * ((month + 9) % 12) + 2) / 5 - 1;
	day += 365 * year + year / 4 - year / 100 + year / 400 - 719468;
	return day * 86400 + (int64_t)(v[2] * 3600 + v[3] * 60 + v[4]);
}

/* Without the zeros in front. */
static struct str
take_unsigned(struct str *in)
{
	struct str n = take(in, INTEGER);

	if (n.len == 0 || byte(n, 0) >= 0x80)
		return fail(in);
	while (n.len > 0 && byte(n, 0) == 0)
		n = str_from(n, 1);
	return n;
}

static bool
parse_rsa(struct str bits, br_x509_pkey *key)
{
	struct str pair = take(&bits, SEQUENCE);
	struct str n = take_unsigned(&pair), e = take_unsigned(&pair);

	key->key.rsa = (br_rsa_public_key){
		.n = (unsigned char *)n.ptr, .nlen = n.len, /* BearSSL has no const here */
		.e = (unsigned char *)e.ptr, .elen = e.len,
	};
	/* Whoever has an exponent of 1 has nothing to keep secret; one of kilobytes would keep
	 * us busy for minutes. */
	if (n.len <= BR_X509_BUFSIZE_SIG && n.len + e.len <= BR_X509_BUFSIZE_KEY &&
	    (e.len > 1 || (e.len == 1 && byte(e, 0) >= 3)))
		key->key_type = BR_KEYTYPE_RSA;
	return ended(bits) && ended(pair);
}

/* Only uncompressed points. */
static void
parse_ec(struct str curve, struct str point, br_x509_pkey *key)
{
	if (str_eq(curve, P256) && point.len == 65)
		key->key.ec.curve = BR_EC_secp256r1;
	else if (str_eq(curve, P384) && point.len == 97)
		key->key.ec.curve = BR_EC_secp384r1;
	else if (str_eq(curve, P521) && point.len == 133)
		key->key.ec.curve = BR_EC_secp521r1;
	else
		return;
	key->key_type = BR_KEYTYPE_EC;
	key->key.ec.q = (unsigned char *)point.ptr;
	key->key.ec.qlen = point.len;
}

static bool
parse_key(struct str spki, br_x509_pkey *key)
{
	struct str body = take(&spki, SEQUENCE), algorithm = take(&body, SEQUENCE);
	struct str oid = take(&algorithm, OID), bits = take(&body, BIT_STRING);

	if (!ended(body) || bits.len == 0 || byte(bits, 0) != 0)
		return false;
	bits = str_from(bits, 1);
	if (str_eq(oid, RSA_ENCRYPTION))
		return parse_rsa(bits, key);
	if (str_eq(oid, EC_PUBLIC_KEY))
		parse_ec(take(&algorithm, OID), bits, key);
	return true;
}

/* SHA-256, 384 and 512 follow each other, here and in BearSSL's numbers. */
static void
parse_algorithm(struct cert *c, struct str algorithm)
{
	struct str body = take(&algorithm, SEQUENCE), oid = take(&body, OID);

	if (oid.len == 0)
		return;
	struct str family = str_upto(oid, oid.len - 1);
	unsigned last = byte(oid, oid.len - 1), first = 0;
	if (str_eq(family, RSA_WITH)) {
		c->signer = BR_KEYTYPE_RSA;
		first = 11;
	} else if (str_eq(family, ECDSA_WITH)) {
		c->signer = BR_KEYTYPE_EC;
		first = 2;
	} else if (str_eq(oid, ECDSA_SHA1)) {
		c->signer = BR_KEYTYPE_EC;
		c->signature = CERT_SHA1;
		c->hash = br_sha256_ID;
	}
	if (first == 11 && (last == 4 || last == 5)) {
		c->signature = last == 4 ? CERT_MD5 : CERT_SHA1;
		c->hash = br_sha256_ID;
	} else if (first > 0 && last >= first && last <= first + 2) {
		c->signature = CERT_SHA2;
		c->hash = (unsigned char)(br_sha256_ID + last - first);
	}
}

/* DEFAULT FALSE. */
static bool
take_boolean(struct str *in)
{
	if (!is_next(*in, BOOLEAN))
		return false;
	struct str b = take_any(in);
	if (b.len != 1)
		fail(in);
	return b.len == 1 && byte(b, 0) != 0;
}

static bool
parse_basic_constraints(struct cert *c, struct str value)
{
	struct str body = take(&value, SEQUENCE);

	c->ca = take_boolean(&body);
	if (is_next(body, INTEGER)) {
		struct str n = take_unsigned(&body);
		if (n.len <= 1)
			c->path_length = n.len == 0 ? 0 : byte(n, 0);
	}
	return ended(value) && ended(body);
}

static bool
parse_key_usage(struct cert *c, struct str value)
{
	struct str bits = take(&value, BIT_STRING);

	if (!ended(value) || bits.len == 0 || byte(bits, 0) > 7)
		return false;
	c->key_usage = bits.len > 1 ? byte(bits, 1) : 0;
	if (bits.len == 2)
		c->key_usage &= 0xffu << byte(bits, 0); /* bits that do not count */
	return true;
}

static bool
parse_purposes(struct cert *c, struct str value)
{
	struct str list = take(&value, SEQUENCE);

	c->not_for_servers = true;
	while (list.len > 0) {
		struct str oid = take(&list, OID);
		if (str_eq(oid, SERVER_AUTH) || str_eq(oid, ANY_PURPOSE))
			c->not_for_servers = false;
	}
	return ended(value) && ended(list);
}

static bool
parse_extension(struct cert *c, struct str extension, uint64_t *seen)
{
	struct str oid = take(&extension, OID);
	bool critical = take_boolean(&extension);
	struct str value = take(&extension, OCTET_STRING);
	unsigned id = 0; /* no extension's that we know */

	if (!ended(extension))
		return false;
	if (oid.len == 3 && str_starts(oid, STR("\x55\x1d")) && byte(oid, 2) < 64)
		id = byte(oid, 2);
	if (id != 0 && *seen >> id & 1)
		c->contradictory = true;
	*seen |= (uint64_t)1 << id;
	switch (id) {
	case BASIC_CONSTRAINTS:
		return parse_basic_constraints(c, value);
	case KEY_USAGE:
		return parse_key_usage(c, value);
	case EXT_KEY_USAGE:
		return parse_purposes(c, value);
	case SUBJECT_ALT_NAME:
		c->names = take(&value, SEQUENCE);
		return ended(value);
	case NAME_CONSTRAINTS:
		c->constrained = true;
		return true;
	case SUBJECT_KEY: /* these tell, but ask for nothing */
	case ISSUER_ALT_NAME:
	case AUTHORITY_KEY:
	case POLICIES:
		return true;
	}
	c->unknown_critical |= critical;
	return true;
}

/* What is behind the key: two relics that nobody uses, then the extensions. */
static bool
parse_rest(struct cert *c, struct str rest)
{
	uint64_t seen = 0;

	if (is_next(rest, ISSUER_ID))
		take_any(&rest);
	if (is_next(rest, SUBJECT_ID))
		take_any(&rest);
	if (ended(rest))
		return true;
	struct str body = take(&rest, EXTENSIONS), list = take(&body, SEQUENCE);
	while (list.len > 0) {
		if (!parse_extension(c, take(&list, SEQUENCE), &seen))
			return false;
	}
	return ended(rest) && ended(body) && ended(list);
}

int
cert_parse(struct cert *c, struct str der)
{
	*c = (struct cert){.der = der, .path_length = -1, .key_usage = ~0u};

	struct str body = take(&der, SEQUENCE), whole = take_whole(&body, SEQUENCE);
	struct str algorithm = take_whole(&body, SEQUENCE), bits = take(&body, BIT_STRING);
	if (!ended(der) || !ended(body) || bits.len == 0 || byte(bits, 0) != 0)
		return -1;
	c->signed_part = whole;
	c->signature_bytes = str_from(bits, 1);

	struct str tbs = take(&whole, SEQUENCE);
	if (is_next(tbs, VERSION)) {
		struct str version = take_any(&tbs);
		c->v3 = str_eq(take(&version, INTEGER), STR("\x02"));
	}
	take(&tbs, INTEGER); /* the serial number */
	struct str inner = take_whole(&tbs, SEQUENCE);
	c->issuer = take_whole(&tbs, SEQUENCE);
	struct str validity = take(&tbs, SEQUENCE);
	c->not_before = take_time(&validity);
	c->not_after = take_time(&validity);
	c->subject = take_whole(&tbs, SEQUENCE);
	c->spki = take_whole(&tbs, SEQUENCE);
	parse_algorithm(c, inner);
	c->contradictory = !str_eq(inner, algorithm);
	if (!ended(validity) || !parse_key(c->spki, &c->key) || !parse_rest(c, tbs))
		return -1;
	return 0;
}

/* BearSSL has no const here. */
static unsigned char *
take_part(struct str *in, size_t *len)
{
	struct str n = take_unsigned(in);

	*len = n.len;
	return (unsigned char *)n.ptr;
}

static int
parse_rsa_key(struct cert_key *k, struct str body)
{
	br_rsa_private_key *r = &k->rsa;
	size_t unused;

	k->modulus = take_unsigned(&body);
	if (k->modulus.len > 0) {
		r->n_bitlen = (uint32_t)k->modulus.len * 8;
		for (unsigned top = byte(k->modulus, 0); top < 0x80; top <<= 1)
			r->n_bitlen--;
	}
	take_part(&body, &unused); /* the exponents */
	take_part(&body, &unused);
	r->p = take_part(&body, &r->plen);
	r->q = take_part(&body, &r->qlen);
	r->dp = take_part(&body, &r->dplen);
	r->dq = take_part(&body, &r->dqlen);
	r->iq = take_part(&body, &r->iqlen);
	k->type = BR_KEYTYPE_RSA;
	return ended(body) ? 0 : -1;
}

int
cert_parse_key(struct cert_key *k, struct str der)
{
	struct str body = take(&der, SEQUENCE);

	*k = (struct cert_key){0};
	take(&body, INTEGER); /* a version, in each of the three */
	if (is_next(body, SEQUENCE)) { /* PKCS#8 */
		struct str algorithm = take_any(&body), oid = take(&algorithm, OID);
		der = take(&body, OCTET_STRING);
		if (der.ptr && !str_eq(oid, RSA_ENCRYPTION) && !str_eq(oid, EC_PUBLIC_KEY))
			return 0;
		body = take(&der, SEQUENCE);
		take(&body, INTEGER);
	}
	if (!ended(der))
		return -1;
	if (!is_next(body, OCTET_STRING))
		return parse_rsa_key(k, body);
	struct str secret = take_any(&body);
	k->type = BR_KEYTYPE_EC;
	k->ec.x = (unsigned char *)secret.ptr;
	k->ec.xlen = secret.len;
	return body.ptr ? 0 : -1;
}

static bool
matches(struct str pattern, struct str host)
{
	if (str_starts(pattern, STR("*."))) {
		pattern = str_from(pattern, 2);
		if (str_find(pattern, '.') == pattern.len || str_cut(&host, '.').len == 0)
			return false;
	}
	return host.len > 0 && str_ieq(pattern, host);
}

/* Takes GeneralNames off *names up to the first of this kind. */
static bool
next_name(struct str *names, unsigned tag, struct str *name)
{
	while (names->len > 0) {
		bool found = is_next(*names, tag);
		*name = take_any(names);
		if (found)
			return true;
	}
	return false;
}

bool
cert_names_host(const struct cert *c, struct str host)
{
	struct str names = c->names, name;

	while (next_name(&names, DNS_NAME, &name))
		if (matches(name, host))
			return true;
	return false;
}

bool
cert_names_address(const struct cert *c, struct str address)
{
	struct str names = c->names, name;

	while (next_name(&names, IP_ADDRESS, &name))
		if (str_eq(name, address))
			return true;
	return false;
}

struct str
cert_first_host(const struct cert *c)
{
	struct str names = c->names, name;

	return next_name(&names, DNS_NAME, &name) ? name : (struct str){0};
}

void
cert_print_name(struct str name, char *dst, size_t cap)
{
	struct str parts = take(&name, SEQUENCE), best = {0};
	bool common = false;

	while (parts.len > 0 && !common) {
		struct str set = take(&parts, SET), pair = take(&set, SEQUENCE);
		common = str_eq(take(&pair, OID), STR("\x55\x04\x03"));
		best = take_any(&pair);
	}
	if (best.len == 0)
		best = STR("no name");
	fmt_print(dst, cap, "%s%.*s", common ? "CN=" : "", STR_ARG(best));
	for (char *p = dst; *p; p++) {
		if (str_is_control(*p))
			*p = '?';
	}
}
