/* made_up.h - a family that no paper has: what a program adds that is not in families/.
 *
 * It differs from ESM-2 in every seam: norms behind the blocks, learned positions, no token dropout, an
 * alphabet without X whose amino acids are no neighbours and whose special tokens stand in every window, no
 * biases in q, k and v.
 */
#ifndef TESTS_SUPPORT_MADE_UP_H
#define TESTS_SUPPORT_MADE_UP_H

#include "model/family.h"

extern const plm_family made_up_family;

/* The family and its alphabet, into their registries; once. */
void made_up_register(void);

/* Three layers of width 24. */
plm_model_config made_up_config(void);

#endif
