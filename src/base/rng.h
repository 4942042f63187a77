/* rng.h - counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
 * 3").
 *
 * There is no generator state anywhere in protlm. A random number is a pure function of (seed, stream, a, b, c): who
 * needs one says what it is for, and gets the same one in any process, thread, rank, batch or restart.
 *
 *   key     = seed (64 bits), mixed with the stream
 *   counter = a (64 bits), b (32 bits), c (32 bits); what they mean is fixed per stream below
 *
 * This list is part of the promise that batches can be reproduced (stream_version in checkpoints). Append; never
 * renumber.
 */
#ifndef PLM_BASE_RNG_H
#define PLM_BASE_RNG_H

#include <stdint.h>

typedef enum plm_rng_stream {
  PLM_RNG_CROP = 1,    /* a = sequence id, b = epoch, c = 0: crop offset */
  PLM_RNG_MASK = 2,    /* a = sequence id, b = epoch, c = token position in the uncropped sequence */
  PLM_RNG_SHUFFLE = 3, /* a = round input of the Feistel permutation, b = epoch, c = round */
  PLM_RNG_INIT = 4,    /* a = element index / 4, b, c = hash of the parameter's name */
  PLM_RNG_DROPOUT = 5, /* a = element index, b = step, c = site */
  PLM_RNG_EVAL = 6,    /* a = hash of the residues, b = mask draw number, c = token position */
  PLM_RNG_SPLIT = 7,   /* a = hash of the residues: --eval-fraction */
} plm_rng_stream;

/* Four independent uniform 32-bit words. */
typedef struct plm_rng_block {
  uint32_t word[4];
} plm_rng_block;

plm_rng_block plm_rng(uint64_t seed, plm_rng_stream stream, uint64_t a, uint32_t b, uint32_t c);

/* The bare Philox 4x32-10 bijection, as published (known-answer vectors in the test). */
plm_rng_block plm_philox(const uint32_t key[2], const uint32_t counter[4]);

/* [0,1) with 32 bits. */
static inline double plm_rng_unit(uint32_t word) { return word * 0x1p-32; }

/* Uniform over 0..n-1, n >= 1, by the high half of a 64-bit product (bias < n / 2^32 of a percent for the n we use). */
static inline uint32_t plm_rng_below(uint32_t word, uint32_t n) { return (uint32_t)(((uint64_t)word * n) >> 32); }

/* Two standard normal numbers from two words (Box-Muller). */
void plm_rng_normal(uint32_t u, uint32_t v, double normal[2]);

#endif
