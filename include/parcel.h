/* SPDX-License-Identifier: ISC */
/*
 * A message on its way from the runner to a relay worker: all that the worker must know of it,
 * its file aside, as the payload of a frame.
 */
#ifndef PARCEL_H
#define PARCEL_H

#include "encode.h"
#include "notify.h"

struct parcel {
	struct str sender;
	struct notify notify;      /* of the message */
	uint64_t offset, length;   /* of the stored message in the descriptor's file */
	unsigned facts;            /* encode.h's */
	bool by_data;              /* not by BDAT: there may have been trouble with that before */
	struct str head, tail;     /* around the stored message */
	size_t rcpt_count;
	/* for each: its number (see worker_frame), its address, what is asked of it */
	uint32_t *numbers;
	struct str *rcpts;
	struct notify *notifies;
};

void parcel_print(const struct parcel *p, struct buf *out);
/* Ranges of payload; the arrays allocated. 0, or -1: malformed. */
int parcel_parse(struct str payload, struct parcel *p);
void parcel_free(struct parcel *p);

#endif
