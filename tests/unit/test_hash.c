/* Hashes on disk are the published ones, however the bytes arrive. */
#include "support/unit.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/rng.h"

/* Values of `xxhsum -H3` and `xxhsum -H2` (xxHash 0.8.1). */
static void xxh3_is_as_published(void **state) {
  (void)state;
  assert_true(plm_hash64("", 0) == 0x2d06800538d394c2u);
  assert_true(plm_hash64_text("a") == 0xe6c632b61e964e1fu);
  assert_true(plm_hash64_text("abc") == 0x78af5f94892f3950u);
  const struct {
    const char *text, *hex;
  } cases[] = {{"", "99aa06d3014798d86001c324468d497f"},
               {"a", "a96faf705af16834e6c632b61e964e1f"},
               {"abc", "06b05ab6733a618578af5f94892f3950"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plm_hasher *hasher;
    char hex[33];
    assert_ok(plm_hasher_create(&hasher));
    plm_hasher_update(hasher, cases[i].text, strlen(cases[i].text));
    plm_hasher_hex(hasher, hex);
    assert_string_equal(hex, cases[i].hex);
    plm_hasher_destroy(hasher);
  }
  plm_hasher_destroy(NULL);
}

/* RFC 3720 appendix B.4, and the customary check value. */
static void crc32c_is_as_published(void **state) {
  (void)state;
  unsigned char bytes[32];
  assert_true(plm_crc32c(0, "123456789", 9) == 0xE3069283u);
  assert_true(plm_crc32c(0, "", 0) == 0);
  memset(bytes, 0, sizeof bytes);
  assert_true(plm_crc32c(0, bytes, sizeof bytes) == 0x8A9136AAu);
  memset(bytes, 0xFF, sizeof bytes);
  assert_true(plm_crc32c(0, bytes, sizeof bytes) == 0x62A8AB43u);
  for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
  assert_true(plm_crc32c(0, bytes, sizeof bytes) == 0x46DD794Eu);
}

static void pieces_hash_like_the_whole(void **state) {
  (void)state;
  enum { BYTES = 10000 };
  unsigned char data[BYTES];
  for (uint32_t i = 0; i < BYTES; i++) data[i] = (unsigned char)plm_rng(1, PLM_RNG_INIT, i, 0, 0).word[0];
  plm_hasher *hasher;
  char whole[33], pieces[33];
  assert_ok(plm_hasher_create(&hasher));
  plm_hasher_update(hasher, data, BYTES);
  plm_hasher_hex(hasher, whole);
  plm_hasher_destroy(hasher);
  uint32_t crc = plm_crc32c(0, data, BYTES);
  for (uint32_t seed = 0; seed < 20; seed++) {
    uint32_t pieces_crc = 0;
    assert_ok(plm_hasher_create(&hasher));
    for (size_t at = 0, take; at < BYTES; at += take) {
      take = plm_rng_below(plm_rng(seed, PLM_RNG_INIT, at, 1, 0).word[0], 700);
      if (take > BYTES - at) take = BYTES - at;
      plm_hasher_update(hasher, data + at, take);
      pieces_crc = plm_crc32c(pieces_crc, data + at, take);
    }
    plm_hasher_hex(hasher, pieces);
    plm_hasher_destroy(hasher);
    assert_string_equal(pieces, whole);
    assert_int_equal(pieces_crc, crc);
  }
}

static void a_failed_allocation_is_a_status(void **state) {
  (void)state;
  plm_hasher *hasher = NULL;
  plm_alloc_fail_at(1);
  assert_fails(plm_hasher_create(&hasher), PLM_E_RESOURCE, "out of memory");
  assert_null(hasher);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(xxh3_is_as_published),
      cmocka_unit_test(crc32c_is_as_published),
      cmocka_unit_test(pieces_hash_like_the_whole),
      cmocka_unit_test(a_failed_allocation_is_a_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
