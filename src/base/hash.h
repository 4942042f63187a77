/* hash.h - the two hashes protlm stores on disk: XXH3 (content) and CRC-32C (TensorBoard records). */
#ifndef PLM_BASE_HASH_H
#define PLM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

/* XXH3-64 of a buffer; the same on every machine. */
uint64_t plm_hash64(const void *data, size_t bytes);
uint64_t plm_hash64_text(const char *text);

/* Streaming XXH3-128, printed as 32 hex digits. */
typedef struct plm_hasher plm_hasher;
PLM_CHECKED plm_status plm_hasher_create(plm_hasher **ret_hasher);
void plm_hasher_destroy(plm_hasher *hasher);
void plm_hasher_update(plm_hasher *hasher, const void *data, size_t bytes);
void plm_hasher_hex(const plm_hasher *hasher, char hex[33]); /* of all bytes so far */

/* CRC-32C (Castagnoli), start with crc = 0. */
uint32_t plm_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
