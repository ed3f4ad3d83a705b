/* SPDX-License-Identifier: ISC */
#include "tls.h"
#include "clock.h"
#include "config.h"
#include "curve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls {
	int fd;
	bool ready;       /* the handshake is complete */
	bool ended;       /* the server's end of file, or an error of the socket */
	int error;        /* its errno, 0: end of file */
	const struct trust *trust;
	const struct identity *me;
	br_ssl_client_context client;
	unsigned char buffer[BR_SSL_BUFSIZE_BIDI]; /* last: mostly never touched */
};

/* In our order of preference: routers have no AES instructions. */
struct suite {
	uint16_t id;
	const char *name; /* OpenSSL's */
};

static const struct suite suites[] = {
	{BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"},
	{BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"},
	{BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"},
	{BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"},
	{BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"},
};

/* For servers of the past (TLS_LEGACY), behind those. */
static const struct suite old_suites[] = {
	{BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256"},
	{BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256"},
	{BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, "ECDHE-ECDSA-AES256-SHA384"},
	{BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, "ECDHE-RSA-AES256-SHA384"},
	{BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA"},
	{BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA"},
	{BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA"},
	{BR_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA"},
	{BR_TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256"},
	{BR_TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384"},
	{BR_TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256"},
	{BR_TLS_RSA_WITH_AES_256_CBC_SHA256, "AES256-SHA256"},
	{BR_TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA"},
	{BR_TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA"},
	{BR_TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA"},
};

enum {
	SUITES = sizeof suites / sizeof suites[0],
	ALL_SUITES = SUITES + (CONFIG_TLS_LEGACY ? sizeof old_suites / sizeof old_suites[0] : 0),
};

static const struct suite *
suite_at(size_t i)
{
	return CONFIG_TLS_LEGACY && i >= SUITES ? &old_suites[i - SUITES] : &suites[i];
}

/* By hand and not with br_ssl_client_init_full: what is not named here is not linked. All of
 * it is constant-time, and the smallest that is. */
static void
choose_algorithms(br_ssl_engine_context *e)
{
	uint16_t ids[ALL_SUITES];

	for (size_t i = 0; i < ALL_SUITES; i++)
		ids[i] = suite_at(i)->id;
	br_ssl_engine_set_suites(e, ids, ALL_SUITES);
	br_ssl_engine_set_versions(e, CONFIG_TLS_LEGACY ? BR_TLS10 : BR_TLS12, BR_TLS12);
	br_ssl_engine_set_hash(e, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(e, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(e, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(e, br_tls12_sha384_prf);
	br_ssl_engine_set_ec(e, &curve_all);
	br_ssl_engine_set_ecdsa(e, br_ecdsa_i31_vrfy_asn1);
	br_ssl_engine_set_rsavrfy(e, br_rsa_i31_pkcs1_vrfy);
	br_ssl_engine_set_aes_ctr(e, &br_aes_ct_ctr_vtable);
	br_ssl_engine_set_ghash(e, sizeof(size_t) > 4 ? br_ghash_ctmul64 : br_ghash_ctmul);
	br_ssl_engine_set_gcm(e, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
	br_ssl_engine_set_chacha20(e, br_chacha20_ct_run);
	br_ssl_engine_set_poly1305(e, br_poly1305_ctmul_run);
	br_ssl_engine_set_chapol(e, &br_sslrec_in_chapol_vtable,
				 &br_sslrec_out_chapol_vtable);
}

/* TLS 1.0 and 1.1, CBC, RSA's own key exchange. */
static void
add_old_algorithms(br_ssl_client_context *c)
{
	br_ssl_engine_context *e = &c->eng;

	br_ssl_engine_set_hash(e, br_md5_ID, &br_md5_vtable);
	br_ssl_engine_set_hash(e, br_sha1_ID, &br_sha1_vtable);
	br_ssl_engine_set_prf10(e, br_tls10_prf);
	br_ssl_engine_set_cbc(e, &br_sslrec_in_cbc_vtable, &br_sslrec_out_cbc_vtable);
	br_ssl_engine_set_aes_cbc(e, &br_aes_ct_cbcenc_vtable, &br_aes_ct_cbcdec_vtable);
	br_ssl_engine_set_des_cbc(e, &br_des_ct_cbcenc_vtable, &br_des_ct_cbcdec_vtable);
	br_ssl_client_set_rsapub(c, br_rsa_i31_public);
}

struct tls *
tls_open(int fd, struct str name, struct trust *trust, struct identity *me)
{
	struct tls *t = buf_array(NULL, 1, sizeof *t);
	br_ssl_engine_context *e = &t->client.eng;
	unsigned char seed[32];

	t->fd = fd;
	t->ready = t->ended = false;
	t->error = 0;
	t->trust = trust;
	trust_expect(trust, name);
	br_ssl_client_zero(&t->client);
	choose_algorithms(e);
	if (CONFIG_TLS_LEGACY)
		add_old_algorithms(&t->client);
	t->me = me;
	me->asked = false;
	br_ssl_client_set_client_certificate(&t->client, &me->vtable);
	br_ssl_engine_add_flags(e, BR_OPT_NO_RENEGOTIATION);
	br_ssl_engine_set_x509(e, &trust->vtable);
	/* Both directions at once: pipelined commands are written while replies wait. */
	br_ssl_engine_set_buffer(e, t->buffer, sizeof t->buffer, 1);
	/* BearSSL's own seeder wants /dev/urandom, which a sandbox has not; it is left to say
	 * so where we have nothing either. */
	if (clock_secret(seed, sizeof seed) == 0)
		br_ssl_engine_inject_entropy(e, seed, sizeof seed);
	explicit_bzero(seed, sizeof seed);
	br_ssl_client_reset(&t->client, trust->address_len > 0 ? NULL : trust->name, 0);
	return t;
}

void
tls_free(struct tls *t)
{
	if (!t)
		return;
	/* The keys; the buffer only holds what was about to be sent or has been read. */
	explicit_bzero(&t->client, sizeof t->client);
	buf_release(t);
}

/* Whether bytes moved; what ends the connection goes into t, once. n is send's or recv's. */
static bool
moved(struct tls *t, ssize_t n)
{
	if (n > 0)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (!t->ended)
		t->error = n < 0 ? errno : 0;
	t->ended = true;
	return false;
}

static bool
send_record(struct tls *t)
{
	size_t len;
	const unsigned char *bytes = br_ssl_engine_sendrec_buf(&t->client.eng, &len);

	if (!bytes || t->ended)
		return false;
	ssize_t n = send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!moved(t, n))
		return false;
	br_ssl_engine_sendrec_ack(&t->client.eng, (size_t)n);
	return true;
}

/* Even when sending has failed: an alert that says why may be here. */
static bool
receive_record(struct tls *t)
{
	size_t len;
	unsigned char *room = br_ssl_engine_recvrec_buf(&t->client.eng, &len);

	if (!room)
		return false;
	ssize_t n = recv(t->fd, room, len, MSG_DONTWAIT);
	if (!moved(t, n))
		return false;
	br_ssl_engine_recvrec_ack(&t->client.eng, (size_t)n);
	return true;
}

int
tls_pump(struct tls *t)
{
	/* A bound, because a server could send empty records faster than we take them. */
	for (unsigned rounds = 0; rounds < 64; rounds++) {
		bool sent = send_record(t), received = receive_record(t);
		if (!sent && !received)
			break;
	}
	unsigned state = br_ssl_engine_current_state(&t->client.eng);
	if (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP))
		t->ready = true;
	if (state & BR_SSL_RECVAPP) /* what came before the end is read first */
		return 0;
	return t->ended || state == BR_SSL_CLOSED ? -1 : 0;
}

short
tls_events(const struct tls *t)
{
	unsigned state = br_ssl_engine_current_state(&t->client.eng);

	if (t->ended)
		return 0;
	return (short)((state & BR_SSL_RECVREC ? POLLIN : 0) |
		       (state & BR_SSL_SENDREC ? POLLOUT : 0));
}

bool
tls_ready(const struct tls *t)
{
	return t->ready;
}

size_t
tls_read(struct tls *t, void *dst, size_t cap)
{
	size_t len;
	const unsigned char *bytes = br_ssl_engine_recvapp_buf(&t->client.eng, &len);

	if (!bytes || cap == 0)
		return 0;
	if (len > cap)
		len = cap;
	memcpy(dst, bytes, len);
	br_ssl_engine_recvapp_ack(&t->client.eng, len);
	return len;
}

size_t
tls_write(struct tls *t, const void *src, size_t len)
{
	size_t cap;
	unsigned char *room = br_ssl_engine_sendapp_buf(&t->client.eng, &cap);

	if (!room || len == 0)
		return 0;
	if (len > cap)
		len = cap;
	memcpy(room, src, len);
	br_ssl_engine_sendapp_ack(&t->client.eng, len);
	return len;
}

void
tls_flush(struct tls *t)
{
	br_ssl_engine_flush(&t->client.eng, 0);
}

/* Not br_sslio_close: it waits, and with unread data it spins. */
void
tls_close(struct tls *t)
{
	tls_flush(t);
	while (send_record(t))
		;
	br_ssl_engine_close(&t->client.eng);
	while (send_record(t))
		;
}

/* BearSSL's error numbers that a server or its administrator can bring about. */
static const struct {
	short error;
	const char *words;
} meanings[] = {
	{BR_ERR_UNSUPPORTED_VERSION, "the server does not speak TLS here, or not TLS 1.2"},
	{BR_ERR_BAD_VERSION, "the server changed the TLS version"},
	{BR_ERR_TOO_LARGE, "the server sent a record that is too large"},
	{BR_ERR_BAD_MAC, "a record was damaged on its way"},
	{BR_ERR_NO_RANDOM, "the kernel gives no random bytes"},
	{BR_ERR_UNKNOWN_TYPE, "the server does not speak TLS here"},
	{BR_ERR_UNEXPECTED, "the server sent a record out of place"},
	{BR_ERR_BAD_CIPHER_SUITE, "the server chose a cipher that was not offered"},
	{BR_ERR_LIMIT_EXCEEDED, "the server's key exchange is larger than supported"},
	{BR_ERR_BAD_FINISHED, "the handshake was tampered with"},
	{BR_ERR_INVALID_ALGORITHM, "the server signs with an unsupported curve or hash"},
	{BR_ERR_BAD_SIGNATURE, "the server does not own its certificate's key"},
	{BR_ERR_WRONG_KEY_USAGE, "the certificate's key does not fit the cipher"},
	{BR_ERR_RECV_FATAL_ALERT + BR_ALERT_HANDSHAKE_FAILURE,
	 CONFIG_TLS_LEGACY ? "the server accepts none of our ciphers" :
	 "the server accepts none of our ciphers (TLS 1.2, ECDHE with RSA or ECDSA, AES-GCM or "
	 "ChaCha20)"},
	{BR_ERR_RECV_FATAL_ALERT + BR_ALERT_PROTOCOL_VERSION,
	 "the server does not accept TLS 1.2 (TLS 1.3 only?)"},
	{BR_ERR_RECV_FATAL_ALERT + BR_ALERT_INSUFFICIENT_SECURITY,
	 "the server finds our ciphers too weak"},
	{BR_ERR_RECV_FATAL_ALERT + BR_ALERT_INTERNAL_ERROR,
	 "the server had an internal error"},
	{BR_ERR_RECV_FATAL_ALERT + 112, /* unrecognized_name */
	 "the server does not know the name that it was called by"},
};

/* Before TLS 1.3 there is not one alert for each of these, and what servers take for a missing
 * certificate is one of many. */
static const char *
words_for_refusal(const struct identity *me, int alert)
{
	if (me->count == 0)
		return "the server wants a client certificate: set tls_cert";
	if (alert == BR_ALERT_CERTIFICATE_EXPIRED)
		return "the server says that our certificate (tls_cert) has expired";
	if (alert == BR_ALERT_UNKNOWN_CA)
		return "the server does not know the CA of our certificate (tls_cert)";
	return "the server does not accept our certificate (tls_cert)";
}

static const char *
words_for(const struct identity *me, int error)
{
	int alert = error - BR_ERR_RECV_FATAL_ALERT;

	if (me->asked && alert >= BR_ALERT_HANDSHAKE_FAILURE && alert <= BR_ALERT_DECODE_ERROR)
		return words_for_refusal(me, alert);
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
		if (meanings[i].error == error)
			return meanings[i].words;
	}
	if (error >= BR_ERR_SEND_FATAL_ALERT)
		return "the server broke the protocol";
	if (error >= BR_ERR_RECV_FATAL_ALERT)
		return "the server refused with an alert";
	return "the server's handshake is malformed";
}

struct outcome
tls_failure(const struct tls *t)
{
	int error = br_ssl_engine_last_error(&t->client.eng);

	if (t->trust->why.text[0])
		return t->trust->why;
	if (error != BR_ERR_OK)
		return outcome_make(TEMPFAIL, 7, 5, "TLS with %.64s: %s (error %d)",
				    t->trust->name, words_for(t->me, error), error);
	if (br_ssl_engine_current_state(&t->client.eng) == BR_SSL_CLOSED)
		return outcome_make(DELIVERED, 0, 0, "closed");
	return outcome_make(TEMPFAIL, 4, 2, "TLS with %.64s: connection lost: %s",
			    t->trust->name,
			    t->error ? strerror(t->error) : "it ended without close_notify");
}

void
tls_describe(const struct tls *t, struct buf *out)
{
	const br_ssl_session_parameters *session = &t->client.eng.session;
	const char *name = NULL;

	for (size_t i = 0; i < ALL_SUITES; i++) {
		if (suite_at(i)->id == session->cipher_suite)
			name = suite_at(i)->name;
	}
	if (name)
		buf_print(out, "TLSv1.%d %s", session->version - BR_TLS10, name);
	else
		buf_puts(out, "nothing agreed on");
}
