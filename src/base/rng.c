/* rng.c - Philox 4x32-10. */
#include "base/rng.h"

#include <math.h>

enum { ROUNDS = 10 };

plm_rng_block plm_philox(const uint32_t key[2], const uint32_t counter[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u; /* Weyl sequence: golden ratio, sqrt(3) - 1 */
    k1 += 0xBB67AE85u;
  }
  return (plm_rng_block){{c0, c1, c2, c3}};
}

plm_rng_block plm_rng(uint64_t seed, plm_rng_stream stream, uint64_t a, uint32_t b, uint32_t c) {
  /* The stream enters through one Philox call on the seed, so that close seeds and streams share nothing. */
  const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t stream_counter[4] = {(uint32_t)stream, 0, 0, 0x706c6d31u /* "plm1" */};
  plm_rng_block key = plm_philox(seed_key, stream_counter);
  const uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, c};
  return plm_philox(key.word, counter);
}

void plm_rng_normal(uint32_t u, uint32_t v, double normal[2]) {
  double radius = sqrt(-2.0 * log((u + 0.5) * 0x1p-32));
  double angle = 6.283185307179586476925 * plm_rng_unit(v);
  normal[0] = radius * cos(angle);
  normal[1] = radius * sin(angle);
}
