/* SPDX-License-Identifier: ISC */
/* Doing nothing for a while. A signal that is caught ends it early. */
#ifndef NAP_H
#define NAP_H

void nap(int ms);

/* Naps for *ms, which becomes twice as long for the next time, up to a quarter second. */
void nap_longer(int *ms);

#endif
