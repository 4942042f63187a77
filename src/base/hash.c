/* hash.c - XXH3 from the library's headers, so that its state lives in our memory; CRC-32C eight bytes at a time. */
#include "base/hash.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"

/* ---- XXH3 ---- */

uint64_t plm_hash64(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }
uint64_t plm_hash64_text(const char *text) { return plm_hash64(text, strlen(text)); }

struct plm_hasher {
  XXH3_state_t state; /* wants 64-byte alignment, which plm_alloc gives */
};

plm_status plm_hasher_create(plm_hasher **ret_hasher) {
  PLM_TRY(PLM_NEW(ret_hasher, 1));
  XXH3_128bits_reset(&(*ret_hasher)->state);
  return PLM_OK;
}

void plm_hasher_destroy(plm_hasher *hasher) { plm_free(hasher); }
void plm_hasher_update(plm_hasher *hasher, const void *data, size_t bytes) {
  XXH3_128bits_update(&hasher->state, data, bytes);
}

void plm_hasher_hex(const plm_hasher *hasher, char hex[33]) {
  XXH128_hash_t hash = XXH3_128bits_digest(&hasher->state);
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

/* ---- CRC-32C ---- */

/* crc_table[k][b]: what byte b, followed by k zero bytes, does to the remainder (Kounavis and Berry 2005, "slicing by
 * 8"). */
static uint32_t crc_table[8][256];
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

static void fill_crc_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
    crc_table[0][byte] = crc;
  }
  for (int k = 1; k < 8; k++)
    for (int byte = 0; byte < 256; byte++) {
      uint32_t before = crc_table[k - 1][byte];
      crc_table[k][byte] = (before >> 8) ^ crc_table[0][before & 0xFF];
    }
}

uint32_t plm_crc32c(uint32_t crc, const void *data, size_t bytes) {
  const unsigned char *p = data;
  pthread_once(&crc_table_once, fill_crc_table);
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    crc = crc_table[7][crc & 0xFF] ^ crc_table[6][crc >> 8 & 0xFF] ^ crc_table[5][crc >> 16 & 0xFF] ^
          crc_table[4][crc >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
  }
  for (; bytes > 0; bytes--, p++) crc = (crc >> 8) ^ crc_table[0][(crc ^ *p) & 0xFF];
  return ~crc;
}
