/* hash.c - thin over libxxhash; CRC-32C by table. */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"

uint64_t plm_hash64(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }
uint64_t plm_hash64_text(const char *text) { return plm_hash64(text, strlen(text)); }

struct plm_hasher {
  XXH3_state_t *state; /* allocated by the library: it needs an alignment of its own */
};

plm_status plm_hasher_create(plm_hasher **ret_hasher) {
  plm_hasher *hasher;
  PLM_TRY(PLM_NEW(&hasher, 1));
  hasher->state = XXH3_createState();
  if (hasher->state == NULL) {
    plm_free(hasher);
    return plm_fail(PLM_E_RESOURCE, "out of memory: hash state");
  }
  plm_hasher_reset(hasher);
  *ret_hasher = hasher;
  return PLM_OK;
}

void plm_hasher_destroy(plm_hasher *hasher) {
  if (hasher == NULL) return;
  XXH3_freeState(hasher->state);
  plm_free(hasher);
}

void plm_hasher_reset(plm_hasher *hasher) { XXH3_128bits_reset(hasher->state); }
void plm_hasher_update(plm_hasher *hasher, const void *data, size_t bytes) { XXH3_128bits_update(hasher->state, data, bytes); }

void plm_hasher_hex(const plm_hasher *hasher, char hex[33]) {
  XXH128_hash_t hash = XXH3_128bits_digest(hasher->state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

uint32_t plm_crc32c(uint32_t crc, const void *data, size_t bytes) {
  const unsigned char *p = data;
  crc = ~crc;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
  }
  return ~crc;
}
