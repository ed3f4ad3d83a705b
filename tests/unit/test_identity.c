/* SPDX-License-Identifier: ISC */
/* Certificates and keys in every form that openssl writes. */
#include "curve.h"
#include "fmt.h"
#include "identity.h"
#include "pem.h"
#include "trust.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/test_identity.XXXXXX";

/* NAME.crt of a key NAME.key, and that key in other forms. */
static const char script[] =
	"exec 2>log; set -e; umask 77\n"
	"openssl genrsa -out rsa.key 2048\n"
	"openssl rsa -in rsa.key -traditional -out rsa-pkcs1\n"
	"openssl genrsa -out rsa4096.key 4096\n"
	"for c in prime256v1 secp384r1 secp521r1 secp256k1; do\n"
	"	openssl ecparam -name $c -genkey -out $c.key\n"
	"	openssl pkcs8 -topk8 -nocrypt -in $c.key -out $c-pkcs8\n"
	"done\n"
	"openssl ec -in prime256v1.key -no_public -out no-public\n"
	"openssl genpkey -algorithm ed25519 -out ed25519.key\n"
	"openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key\n"
	"openssl pkey -in rsa.key -aes128 -passout pass:x -out encrypted-pkcs8\n"
	"openssl rsa -in rsa.key -traditional -aes128 -passout pass:x -out encrypted-pkcs1\n"
	"for k in *.key; do\n"
	"	openssl req -new -x509 -key $k -subj /CN=${k%.key} -out ${k%.key}.crt\n"
	"done\n"
	"cat rsa.key prime256v1.crt >wrong-pair\n"
	"{ echo 'Of this device:'; cat prime256v1.key prime256v1.crt rsa.crt; } >both\n"
	"for i in 1 2 3 4 5 6 7 8; do cat rsa.crt; done >many.crt\n"
	"sed 's/^M/N/' rsa.crt >damaged.crt\n"
	"cat prime256v1.crt damaged.crt >damaged-chain.crt\n"
	"sed 3d rsa.key >damaged.key\n"
	": >empty\n"
	"echo hello >foreign\n"
	"cp rsa.key open; chmod 604 open\n";

static int
in_dir(const char *command)
{
	char line[sizeof script + 100];

	fmt_print(line, sizeof line, "cd %s && { %s\n}", dir, command);
	return system(line);
}

static int
make_files(void **state)
{
	(void)state;
	return mkdtemp(dir) && in_dir(script) == 0 ? 0 : -1;
}

static int
remove_files(void **state)
{
	(void)state;
	return in_dir("rm -r \"$PWD\"");
}

/* A path in dir; "": none. */
static void
find(const char *name, char path[300])
{
	path[0] = '\0';
	if (*name)
		fmt_print(path, 300, "%s/%s", dir, name);
}

static int
load(struct identity *me, const char *cert, const char *key, struct outcome *why)
{
	char cert_path[300], key_path[300];

	find(cert, cert_path);
	find(key, key_path);
	*why = (struct outcome){0};
	return identity_load(me, cert_path, key_path, why);
}

/* Offers what types has; the hash that is chosen, or -1. */
static int
choose(struct identity *me, uint32_t types)
{
	br_ssl_client_certificate choice = {.hash_id = 99};

	me->vtable->choose(&me->vtable, NULL, types, &choice);
	if (!choice.chain)
		return -1;
	assert_ptr_equal(choice.chain, me->chain);
	assert_int_equal(choice.chain_len, me->count);
	assert_int_equal(choice.auth_type,
			 me->key.type == BR_KEYTYPE_RSA ? BR_AUTH_RSA : BR_AUTH_ECDSA);
	return choice.hash_id;
}

/* A signature is one by the certificate's key. */
static void
check_signature(struct identity *me, unsigned id)
{
	unsigned char hash[64], data[512], got[64];
	size_t len = trust_hash(id)->len;
	struct cert c;

	assert_int_equal(cert_parse(&c, buf_view(&me->cert[0])), 0);
	memset(hash, 0x5a, sizeof hash);
	memcpy(data, hash, len);
	size_t n = me->vtable->do_sign(&me->vtable, (int)id, len, data, sizeof data);
	assert_int_not_equal(n, 0);
	if (c.key.key_type == BR_KEYTYPE_EC) {
		assert_true(br_ecdsa_i31_vrfy_asn1(&curve_all, hash, len, &c.key.key.ec, data, n));
	} else {
		assert_true(br_rsa_i31_pkcs1_vrfy(data, n, trust_hash(id)->oid, len,
						  &c.key.key.rsa, got));
		assert_memory_equal(got, hash, len);
	}
	assert_int_equal(me->vtable->do_sign(&me->vtable, (int)id, len, data, 100), 0);
}

static void
test_forms(void **state)
{
	static const struct {
		const char *cert, *key;
		size_t count;
	} cases[] = {
		{"rsa.crt", "rsa.key", 1},
		{"rsa.crt", "rsa-pkcs1", 1},
		{"rsa4096.crt", "rsa4096.key", 1},
		{"prime256v1.crt", "prime256v1.key", 1},
		{"prime256v1.crt", "prime256v1-pkcs8", 1},
		{"prime256v1.crt", "no-public", 1},
		{"secp384r1.crt", "secp384r1.key", 1},
		{"secp384r1.crt", "secp384r1-pkcs8", 1},
		{"secp521r1.crt", "secp521r1.key", 1},
		{"both", "", 2},
		{"both", "both", 2},
	};
	struct identity me;
	struct outcome why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (load(&me, cases[i].cert, cases[i].key, &why))
			fail_msg("%s: %s", cases[i].key, why.text);
		assert_int_equal(me.count, cases[i].count);
		check_signature(&me, br_sha256_ID);
		check_signature(&me, br_sha512_ID);
		identity_free(&me);
	}
	assert_int_equal(load(&me, "", "", &why), 0);
	assert_int_equal(me.count, 0);
	identity_free(&me);
}

/* What the server takes, and what is taken of that. */
static void
test_choice(void **state)
{
	enum { ANY = 0x7c, RSA = 0, EC = 8 };
	struct identity me;
	struct outcome why;

	(void)state;
	assert_int_equal(load(&me, "rsa.crt", "rsa.key", &why), 0);
	assert_int_equal(choose(&me, ANY << RSA | ANY << EC), br_sha256_ID);
	assert_int_equal(choose(&me, 1 << br_sha512_ID << RSA | ANY << EC), br_sha512_ID);
	assert_int_equal(choose(&me, ANY << EC), -1);
	assert_int_equal(choose(&me, 1 << br_sha224_ID | 1 << br_md5_ID), -1);
	assert_int_equal(choose(&me, 0), -1);
	identity_free(&me);
	assert_int_equal(load(&me, "both", "", &why), 0);
	assert_int_equal(choose(&me, ANY << RSA | 1 << br_sha384_ID << EC), br_sha384_ID);
	assert_int_equal(choose(&me, ANY << RSA), -1);
	identity_free(&me);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *cert, *key, *words;
	} cases[] = {
		{"nothing.crt", "rsa.key", "tls_cert /*/nothing.crt: No such file"},
		{"rsa.crt", "nothing.key", "tls_key /*/nothing.key: No such file"},
		{"empty", "rsa.key", "tls_cert /*/empty holds no certificate"},
		{"foreign", "rsa.key", "tls_cert /*/foreign holds no certificate"},
		{"rsa.key", "rsa.key", "tls_cert /*/rsa.key holds no certificate"},
		{"damaged.crt", "rsa.key", "tls_cert /*/damaged.crt holds a certificate that is damaged"},
		{"damaged-chain.crt", "prime256v1.key", "holds a certificate that is damaged"},
		{"many.crt", "rsa.key", "tls_cert /*/many.crt holds too many"},
		{"rsa.crt", "empty", "tls_key /*/empty holds no private key"},
		{"rsa.crt", "foreign", "tls_key /*/foreign holds no private key"},
		{"rsa.crt", "", "tls_key /*/rsa.crt holds no private key"},
		{"rsa.crt", "encrypted-pkcs1", "tls_key /*/encrypted-pkcs1 holds a private key "
					       "that is encrypted or damaged"},
		{"rsa.crt", "encrypted-pkcs8", "encrypted or damaged"},
		{"rsa.crt", "damaged.key", "encrypted or damaged"},
		{"rsa.crt", "rsa4096.key", "holds another key than tls_cert's"},
		{"rsa.crt", "prime256v1.key", "holds another key than tls_cert's"},
		{"prime256v1.crt", "secp384r1.key", "holds another key than tls_cert's"},
		{"prime256v1.crt", "secp256k1.key", "holds another key than tls_cert's"},
		{"wrong-pair", "", "holds another key than tls_cert's"},
		{"ed25519.crt", "ed25519.key", "holds a key that is not supported"},
		{"rsa.crt", "ed25519.key", "holds a key that is not supported"},
		{"pss.crt", "pss.key", "holds a key that is not supported"},
		{"secp256k1.crt", "secp256k1.key", "holds a key that is not supported"},
		{"rsa.crt", "open", "tls_key /*/open can be read by others: chmod 600"},
	};
	struct identity me;
	struct outcome why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		/* A '*' is the directory. */
		const char *star = strchr(cases[i].words, '*');
		struct str head = str_upto(str_of(cases[i].words),
					   star ? (size_t)(star - cases[i].words) : 0);
		assert_int_equal(load(&me, cases[i].cert, cases[i].key, &why), -1);
		assert_int_equal(me.count, 0);
		identity_free(&me);
		assert_int_equal(why.verdict, TEMPFAIL);
		if (!str_starts(str_of(why.text), head) ||
		    !strstr(why.text, star ? star + 1 : cases[i].words))
			fail_msg("%s: expected \"%s\": %s", cases[i].key, cases[i].words, why.text);
	}
}

/* Not a byte beyond, and nothing taken for a key that is only part of one. */
static void
test_cut(void **state)
{
	static const char *const names[] = {
		"rsa.key", "rsa-pkcs1", "prime256v1.key", "prime256v1-pkcs8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[300];
		find(names[i], path);
		struct pem p = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
		struct buf der = {0};
		assert_true(pem_take(&p, PEM_KEY, &der));
		close(p.fd);
		for (size_t len = 0; len < der.len; len++) {
			struct cert_key k;
			char *cut = malloc(len + 1);
			memcpy(cut + 1, der.ptr, len);
			assert_int_equal(cert_parse_key(&k, (struct str){cut + 1, len}), -1);
			free(cut);
		}
		buf_free(&der);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
