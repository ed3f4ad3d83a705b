/* SPDX-License-Identifier: ISC */
#include "identity.h"
#include "config.h"
#include "curve.h"
#include "file.h"
#include "pem.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST_ECDSA = 139 }; /* as bearssl_ec.h has it */

/* key: "tls_cert" or "tls_key". words: NULL for errno's. */
static int
refuse(struct outcome *why, const char *key, const char *path, const char *words)
{
	*why = outcome_make(TEMPFAIL, 7, 0, "%s %.100s%s %s", key, path, words ? "" : ":",
			    words ? words : strerror(errno));
	return -1;
}

/* The public key of the first is left in *public, whose bytes stay in me->cert[0]. */
static const char *
take_chain(struct identity *me, struct pem *p, br_x509_pkey *public)
{
	struct cert c;

	while (me->count < IDENTITY_CHAIN && pem_take(p, PEM_CERTIFICATE, &me->cert[me->count])) {
		struct str der = buf_view(&me->cert[me->count]);
		if (cert_parse(&c, der))
			return "holds a certificate that is damaged";
		if (me->count == 0)
			*public = c.key;
		me->chain[me->count++] = (br_x509_certificate){(unsigned char *)der.ptr, der.len};
	}
	return me->count == 0 ? "holds no certificate (PEM)" :
	       me->count == IDENTITY_CHAIN ? "holds too many certificates: only ours and what "
	       "leads to the server's CA belong there" : NULL;
}

static int
load_chain(struct identity *me, const char *path, br_x509_pkey *public, struct outcome *why)
{
	struct pem p = {.fd = file_open(path, O_RDONLY | O_NONBLOCK)};

	if (p.fd < 0)
		return refuse(why, "tls_cert", path, NULL);
	const char *flaw = take_chain(me, &p, public);
	close(p.fd);
	return flaw ? refuse(why, "tls_cert", path, flaw) : 0;
}

/* Whether the key is that of the certificate. */
static bool
belongs(const struct identity *me, const br_x509_pkey *public)
{
	const struct cert_key *k = &me->key;
	const br_ec_public_key *ec = &public->key.ec;
	unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];

	if (k->type != public->key_type)
		return false;
	if (k->type == BR_KEYTYPE_RSA)
		return str_eq(k->modulus, (struct str){(const char *)public->key.rsa.n,
						       public->key.rsa.nlen});
	return k->ec.xlen > 0 && k->ec.xlen <= BR_EC_KBUF_PRIV_MAX_SIZE &&
	       curve_all.mulgen(point, k->ec.x, k->ec.xlen, ec->curve) == ec->qlen &&
	       memcmp(point, ec->q, ec->qlen) == 0;
}

/* NULL, or what is wrong with what was found at a path, if it was found. */
static const char *
check_key(struct identity *me, bool found, const br_x509_pkey *public)
{
	if (!found)
		return "holds no private key (PEM)";
	if (cert_parse_key(&me->key, buf_view(&me->key_der)))
		return "holds a private key that is encrypted or damaged: \"openssl pkey\" decrypts";
	if (me->key.type == 0 || public->key_type == 0)
		return "holds a key that is not supported (RSA to 4096 bits, P-256, P-384, P-521 are)";
	if (!belongs(me, public))
		return "holds another key than tls_cert's certificate has";
	return NULL;
}

static int
load_key(struct identity *me, const char *path, const br_x509_pkey *public,
	 struct outcome *why)
{
	struct pem p = {.fd = file_open(path, O_RDONLY | O_NONBLOCK)};
	struct stat st;

	if (p.fd < 0 || fstat(p.fd, &st))
		return refuse(why, "tls_key", path, NULL);
	if (st.st_mode & S_IRWXO) {
		close(p.fd);
		return refuse(why, "tls_key", path, "can be read by others: chmod 600 it");
	}
	/* All of it at once: memory that moves leaves a copy behind. */
	buf_room(&me->key_der, LIMIT_PEM_BLOCK + sizeof p.space);
	const char *flaw = check_key(me, pem_take(&p, PEM_KEY, &me->key_der), public);
	close(p.fd);
	explicit_bzero(&p, sizeof p);
	if (flaw)
		return refuse(why, "tls_key", path, flaw);
	me->key.ec.curve = public->key.ec.curve;
	return 0;
}

/* br_ssl_client_certificate_class from here on. Which authorities the server names does not
 * matter: there is only this one certificate to offer. */

static struct identity *
identity_of(const br_ssl_client_certificate_class **ctx)
{
	return (struct identity *)(void *)ctx;
}

static void
ignore(const br_ssl_client_certificate_class **ctx)
{
	(void)ctx;
}

static void
ignore_start(const br_ssl_client_certificate_class **ctx, size_t len)
{
	(void)ctx;
	(void)len;
}

static void
ignore_bytes(const br_ssl_client_certificate_class **ctx, const unsigned char *bytes,
	     size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

/* types: bit X is set where the server takes RSA with hash X, bit 8 + X for ECDSA. */
static void
choose(const br_ssl_client_certificate_class **ctx, const br_ssl_client_context *client,
       uint32_t types, br_ssl_client_certificate *choice)
{
	/* The last ones are what there was before TLS 1.2: SHA-1, and MD5 together with it. */
	static const unsigned char hashes[] = {
		br_sha256_ID, br_sha384_ID, br_sha512_ID, br_sha1_ID, 0,
	};
	struct identity *me = identity_of(ctx);
	bool rsa = me->key.type == BR_KEYTYPE_RSA;
	size_t count = CONFIG_TLS_LEGACY ? sizeof hashes : 3;

	(void)client;
	me->asked = true;
	*choice = (br_ssl_client_certificate){0}; /* none */
	for (size_t i = 0; me->count > 0 && i < count && !choice->chain; i++)
		if (types >> (rsa ? 0 : 8) >> hashes[i] & 1)
			*choice = (br_ssl_client_certificate){
				.auth_type = rsa ? BR_AUTH_RSA : BR_AUTH_ECDSA,
				.hash_id = hashes[i],
				.chain = me->chain, .chain_len = me->count,
			};
}

/* The signature of a hash takes its place. Its length, or 0. */
static size_t
sign(const br_ssl_client_certificate_class **ctx, int id, size_t hash_len,
     unsigned char *data, size_t cap)
{
	const struct identity *me = identity_of(ctx);
	const struct trust_hash *h = trust_hash((unsigned)id);
	size_t len = (me->key.rsa.n_bitlen + 7) / 8;
	unsigned char hash[br_sha512_SIZE];

	memcpy(hash, data, hash_len);
	if (me->key.type == BR_KEYTYPE_EC)
		return cap < LONGEST_ECDSA ? 0 :
		       br_ecdsa_i31_sign_asn1(&curve_all, h->class, hash, &me->key.ec, data);
	return cap >= len && br_rsa_i31_pkcs1_sign(h ? h->oid : NULL, hash, hash_len, &me->key.rsa,
						   data) ? len : 0;
}

static const br_ssl_client_certificate_class vtable = {
	sizeof(struct identity), ignore, ignore_start, ignore_bytes, ignore, ignore, choose,
	NULL, sign,
};

int
identity_load(struct identity *me, const char *cert, const char *key, struct outcome *why)
{
	br_x509_pkey public;

	*me = (struct identity){.vtable = &vtable};
	if (!*cert)
		return 0;
	if (load_chain(me, cert, &public, why) == 0 &&
	    load_key(me, *key ? key : cert, &public, why) == 0)
		return 0;
	me->count = 0;
	return -1;
}

void
identity_free(struct identity *me)
{
	for (size_t i = 0; i < IDENTITY_CHAIN; i++)
		buf_free(&me->cert[i]);
	buf_wipe(&me->key_der);
	*me = (struct identity){0};
}
