/* SPDX-License-Identifier: ISC */
/*
 * DNS messages (RFC 1035; EDNS0, RFC 6891): questions written, answers judged and read. Every
 * byte of an answer may be hostile: reads are bounded, a compressed name leads backwards only.
 * Names are text here: lower case, no final dot, "" for the root; a byte in an answer that
 * has no place in a host name becomes '?'. No socket: dns.h has those.
 */
#ifndef RR_H
#define RR_H

#include "str.h"

enum {
	RR_NAME = 256,                 /* a name as text, with its NUL */
	RR_QUERY = 12 + 255 + 4 + 11,  /* the longest query */
	RR_DATAGRAM = 1232,            /* the longest answer over UDP that we ask for */
};

enum rr_type { RR_A = 1, RR_CNAME = 5, RR_MX = 15, RR_AAAA = 28 };

/* What came of a query; of two, the lower one leaves more to hope for. */
enum rr_fate {
	RR_SILENT,    /* nothing that answers this query */
	RR_TRUNCATED, /* did not fit: ask over TCP */
	RR_FAILED,    /* the server cannot say, or says what cannot be read */
	RR_NO_NAME,   /* there is no such name */
	RR_ANSWER,    /* the answer, possibly without a record of the type */
};

/* Makes name of a domain name: printable ASCII, labels of 1 to 63, 253 in all, one final dot
 * allowed. 0, or -1. */
int rr_name(struct str text, char name[RR_NAME]);

/* Writes the question for name's records of type, recursion desired; returns its length.
 * edns: announces RR_DATAGRAM, else 512 is the limit. */
size_t rr_query(unsigned char query[RR_QUERY], uint16_t id, const char *name,
		enum rr_type type, bool edns);

/* Judges bytes that came from the server asked: id, question (without regard to case) and
 * every record of the answer are checked. An empty answer from a server that neither recurses
 * nor has authority counts as RR_FAILED. */
enum rr_fate rr_judge(struct str answer, struct str query);

struct rr {
	char owner[RR_NAME];
	unsigned type;             /* 0: a class that is not the Internet's */
	struct str address;        /* A: 4 bytes, AAAA: 16; borrowed from the answer */
	unsigned short preference; /* MX */
	char host[RR_NAME];        /* MX, CNAME */
};

/* The records of the answer section, one after the other. */
struct rr_walk {
	struct str answer;
	size_t pos;
	unsigned left;
};

/* Before the first record of an answer that has a question. */
struct rr_walk rr_start(struct str answer);
/* 1: the next record, 0: no further one, -1: malformed (never after RR_ANSWER). */
int rr_next(struct rr_walk *w, struct rr *record);

/* The next record of name and type; false: none. */
bool rr_find(struct rr_walk *w, const char *name, enum rr_type type, struct rr *record);

/* Follows the answer's aliases from name, which becomes where they end; true if it moved. */
bool rr_follow(struct str answer, char name[RR_NAME]);

#endif
