/* safetensors: whatever is not a well-formed file is refused with a reason, what we write is what the reference writer
 * writes. */
#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "formats/safetensors.h"
#include "support/scratch.h"

/* ---- making files byte by byte ---- */

static char bytes[1 << 16];

/* A file of `header`, announced as `announced` bytes, and `data` zero bytes. */
static void make_file(const char *name, uint64_t announced, const char *header, size_t header_bytes, size_t data) {
  memcpy(bytes, &announced, sizeof announced);
  memcpy(bytes + 8, header, header_bytes);
  memset(bytes + 8 + header_bytes, 0, data);
  scratch_write(name, bytes, 8 + header_bytes + data);
}

#define A "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}"

static void malformed_files_are_refused_with_a_reason(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
    const char *words;
  } refused[] = {
      /* 2: not a JSON object from '{' to '}' and spaces */
      {"", 0, "begin with '{'"},
      {" {\"a\":" A "}", 8, "begin with '{'"},
      {"[1,2]", 0, "begin with '{'"},
      {"{\"a\":" A, 8, "JSON"},
      {"{\"a\":" A "}\n", 8, "end with '}'"},
      {"{\"a\":" A "} x", 8, "end with '}'"},
      {"{\"a\":" A "}{}", 8, "JSON"},
      {"{\"\xff\xfe\":" A "}", 8, "JSON"},
      {"{'a':" A "}", 8, "JSON"},
      /* 3: two tensors of one name, or one member twice */
      {"{\"a\":" A ",\"a\":" A "}", 8, "JSON"},
      {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "JSON"},
      /* 4: metadata other than strings */
      {"{\"__metadata__\":[],\"a\":" A "}", 8, "__metadata__"},
      {"{\"__metadata__\":{\"format\":1},\"a\":" A "}", 8, "__metadata__"},
      {"{\"__metadata__\":null,\"a\":" A "}", 8, "__metadata__"},
      /* 5: entries of another form */
      {"{\"a\":3}", 0, "'a' is not an object"},
      {"{\"a\":null}", 0, "'a' is not an object"},
      {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'a' is not an object"},
      {"{\"a\":{\"dtype\":5,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "'a' is not an object"},
      {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "'a' is not an object"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, "'a' is not an object"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "not a list"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "non-negative"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "non-negative"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2e0],\"data_offsets\":[0,8]}}", 8, "non-negative"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8, "non-negative"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}", 8, "non-negative"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]}}", 8, "JSON"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "dimensions"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,8]}}", 8, "data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,1e1]}}", 8, "data_offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"0\":0}}}", 8, "data_offsets"},
      /* 6: offsets outside the data */
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "not within"},
      {"{\"a\":" A "}", 7, "not within"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775799,9223372036854775807]}}", 8,
       "not within"},
      /* 7: shape, type and bytes disagree or overflow */
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "make 96 bits"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "more elements"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807,0],\"data_offsets\":[0,0]}}", 0,
       "more elements"},
      {"{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}", 8, "more bits"},
      {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "make 4 bits"},
      /* 8: overlap, hole, rest */
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole"},
      {"{\"a\":" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "overlap"},
      {"{\"a\":" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16, "hole"},
      {"{\"a\":" A "}", 9, "the tensors fill 8"},
      {"{}", 1, "the tensors fill 0"},
      /* 9: depth, NUL and broken escapes in names */
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[[[[2]]]],\"data_offsets\":[0,8]}}", 8, "deep"},
      {"{\"a\\u0000b\":" A "}", 8, "JSON"},
      {"{\"\\ud800\":" A "}", 8, "JSON"},
      {"{\"\\udc00\\ud800\":" A "}", 8, "JSON"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    plm_safetensors *file;
    make_file("bad", strlen(refused[i].header), refused[i].header, strlen(refused[i].header), refused[i].data);
    assert_fails(plm_safetensors_open(scratch_path("bad"), &file), PLM_E_INPUT, refused[i].words);
    assert_non_null(strstr(plm_error_message(), "bad"));
  }
}

/* 1: the first eight bytes */
static void a_header_beyond_the_file_is_refused(void **state) {
  (void)state;
  plm_safetensors *file;
  scratch_write("short", "\2\0\0\0\0\0\0", 7);
  assert_fails(plm_safetensors_open(scratch_path("short"), &file), PLM_E_INPUT, "too few");
  scratch_write("empty", "", 0);
  assert_fails(plm_safetensors_open(scratch_path("empty"), &file), PLM_E_INPUT, "too few");
  static const struct {
    uint64_t announced;
    const char *words;
  } sizes[] = {
      {3, "cut off"},
      {100000000, "cut off"},
      {100000001, "header of 100000001"},
      {UINT64_MAX, "header of"},
      {UINT64_MAX - 7, "header of"},
      {1ull << 63, "header of"},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    make_file("lying", sizes[i].announced, "{}", 2, 0);
    assert_fails(plm_safetensors_open(scratch_path("lying"), &file), PLM_E_INPUT, sizes[i].words);
  }
  assert_int_equal(plm_safetensors_open(scratch_path("absent"), &file), PLM_E_INPUT);
  assert_int_equal(plm_safetensors_open(scratch_path(""), &file), PLM_E_INPUT);
}

static void unusual_but_legal_files_are_read(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data, count;
  } accepted[] = {
      {"{}", 0, 0},
      {"{}      ", 0, 0},
      {"{\"__metadata__\":{}}", 0, 0},
      {"{\"b\":" B ",\"a\":" A "}", 12, 2},
      {"{\"a\":" A ",\"z\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[8,8]}}", 8, 2},
      {"{\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":" A "}", 8, 2},
      {"{\"s\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, 1},
      {"{\"s\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, 1},
      {"{\"s\":{\"dtype\":\"Q7\",\"shape\":[3],\"data_offsets\":[0,5]}}", 5, 1},
      {"{\"\\ud83e\\uddec\":" A "}", 8, 1},
  };
  for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
    plm_safetensors *file;
    make_file("good", strlen(accepted[i].header), accepted[i].header, strlen(accepted[i].header), accepted[i].data);
    assert_ok(plm_safetensors_open(scratch_path("good"), &file));
    assert_int_equal(plm_safetensors_count(file), accepted[i].count);
    plm_safetensors_close(file);
  }
}

static void every_cut_and_every_flipped_bit_ends_in_a_status(void **state) {
  (void)state;
  static const char header[] = "{\"a\":" A ",\"b\":" B ",\"__metadata__\":{\"format\":\"pt\"}}";
  enum { HEADER = sizeof header - 1, SIZE = 8 + HEADER + 12 };
  make_file("whole", HEADER, header, HEADER, 12);
  for (size_t size = 0; size < SIZE; size++) {
    plm_safetensors *file;
    scratch_write("cut", bytes, size);
    assert_int_equal(plm_safetensors_open(scratch_path("cut"), &file), PLM_E_INPUT);
  }
  for (size_t bit = 0; bit < 8 * SIZE; bit++) {
    plm_safetensors *file;
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    scratch_write("flipped", bytes, SIZE);
    plm_status status = plm_safetensors_open(scratch_path("flipped"), &file);
    if (status == PLM_OK)
      plm_safetensors_close(file);
    else
      assert_int_equal(status, PLM_E_INPUT);
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
  }
}

static void floating_point_types_become_f32_at_any_alignment(void **state) {
  (void)state;
  /* One byte in front puts all the others at odd addresses. */
  static const char header[] =
      "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[1,17]},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[17,23]},\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[23,39]},"
      "\"f\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[39,47]}}";
  static const uint16_t half[8] = {0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0x7e00, 0x8000},
                        brain[3] = {0x3f80, 0xc2f7, 0x7fc0};
  static const double wide[2] = {0.1, 1e300};
  static const float single[2] = {-0.0f, 0.3f};
  size_t n = sizeof header - 1;
  make_file("types", n, header, n, 47);
  memcpy(bytes + 8 + n + 1, half, 16);
  memcpy(bytes + 8 + n + 17, brain, 6);
  memcpy(bytes + 8 + n + 23, wide, 16);
  memcpy(bytes + 8 + n + 39, single, 8);
  scratch_write("types", bytes, 8 + n + 47);
  plm_safetensors *file;
  float got[8];
  assert_ok(plm_safetensors_open(scratch_path("types"), &file));
  assert_ok(plm_tensor_to_f32(file, plm_safetensors_find(file, "h"), got));
  const float expected[6] = {1, -2, 0x1p-24f, -0x1.ff8p-15f, 65504, INFINITY};
  for (int i = 0; i < 6; i++) assert_true(got[i] == expected[i]);
  assert_true(isnan(got[6]) && got[7] == 0 && signbit(got[7]));
  assert_ok(plm_tensor_to_f32(file, plm_safetensors_find(file, "b"), got));
  assert_true(got[0] == 1 && got[1] == -123.5f && isnan(got[2]));
  assert_ok(plm_tensor_to_f32(file, plm_safetensors_find(file, "d"), got));
  assert_true(got[0] == 0.1f && isinf(got[1]));
  assert_ok(plm_tensor_to_f32(file, plm_safetensors_find(file, "f"), got));
  assert_memory_equal(got, single, sizeof single);
  assert_fails(plm_tensor_to_f32(file, plm_safetensors_find(file, "pad"), got), PLM_E_INPUT, "'pad' has type U8");
  assert_null(plm_safetensors_find(file, "x"));
  plm_safetensors_close(file);
}

/* ---- writing ---- */

static plm_status write_list(const char *path, const plm_tensor_info *items, size_t count, plm_tensor_fill *fill) {
  const plm_tensor_list list = {
      .items = (plm_tensor_info *)(uintptr_t)items,
      .count = count,
      .fill = fill,
      .user = (void *)(uintptr_t)items,
  };
  return plm_safetensors_write(path, &list, NULL, NULL);
}

static const char *fixture(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/tests/fixtures/parity/%s", PLM_SOURCE_DIR, name);
  return path;
}

static void assert_same_file(const char *a, const char *b) {
  plm_mapping x, y;
  assert_ok(plm_file_map(a, &x));
  assert_ok(plm_file_map(b, &y));
  assert_int_equal(x.bytes, y.bytes);
  assert_memory_equal(x.data, y.data, x.bytes);
  plm_file_unmap(&x);
  plm_file_unmap(&y);
}

static void files_of_the_reference_writer_are_written_again_byte_for_byte(void **state) {
  (void)state;
  static const char *const names[] = {"d8/model.safetensors", "d8_v4_names/model.safetensors",
                                      "d8/expected_forward.safetensors", "d64/expected_grads.safetensors"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    plm_safetensors *file;
    char hash[33];
    int64_t size, again;
    assert_ok(plm_safetensors_open(fixture(names[i]), &file));
    const char *copy = scratch_path("copy.safetensors");
    assert_ok(plm_file_remove(copy));
    const plm_tensor_list list = {
        .items = (plm_tensor_info *)(uintptr_t)plm_safetensors_at(file, 0),
        .count = plm_safetensors_count(file),
    };
    assert_ok(plm_safetensors_write(copy, &list, hash, &size));
    assert_same_file(fixture(names[i]), copy);
    assert_int_equal(strlen(hash), 32);
    assert_ok(plm_file_size(copy, &again));
    assert_int_equal(size, again);
    plm_safetensors_close(file);
  }
}

static plm_status fill_counting(void *user, const plm_tensor_info *tensor, void *buffer) {
  size_t i = (size_t)(tensor - (const plm_tensor_info *)user);
  for (int64_t k = 0; k < tensor->bytes; k++) ((uint8_t *)buffer)[k] = (uint8_t)(16 * i + (size_t)k);
  return PLM_OK;
}

static void odd_entries_are_written_and_read(void **state) {
  (void)state;
  const plm_tensor_info entries[] = {
      {.name = "u8", .dtype = "U8", .dims = 1, .shape = {3}, .bytes = 3},
      {.name = "quote\"back\\tab\t", .dtype = "F32", .dims = 2, .shape = {1, 2}, .bytes = 8},
      {.name = "scalar", .dtype = "I64", .dims = 0, .bytes = 8},
      {.name = "none", .dtype = "BF16", .dims = 2, .shape = {0, 5}, .bytes = 0},
  };
  plm_safetensors *file;
  const char *path = scratch_path("odd.safetensors");
  assert_ok(write_list(path, entries, 4, fill_counting));
  assert_ok(plm_safetensors_open(path, &file));
  for (size_t i = 0; i < 4; i++) {
    const plm_tensor_info *info = plm_safetensors_find(file, entries[i].name);
    assert_non_null(info);
    assert_string_equal(info->dtype, entries[i].dtype);
    assert_int_equal(info->dims, entries[i].dims);
    assert_int_equal(info->bytes, entries[i].bytes);
    for (int64_t k = 0; k < info->bytes; k++) assert_int_equal(((const uint8_t *)info->data)[k], 16 * i + (size_t)k);
  }
  plm_safetensors_close(file);
  assert_ok(write_list(scratch_path("nothing.safetensors"), NULL, 0, fill_counting));
  assert_ok(plm_safetensors_open(scratch_path("nothing.safetensors"), &file));
  assert_int_equal(plm_safetensors_count(file), 0);
  plm_safetensors_close(file);

  const plm_tensor_info twice[] = {entries[0], entries[0]};
  assert_fails(write_list(scratch_path("twice"), twice, 2, fill_counting), PLM_E_BUG, "two tensors");
  assert_false(plm_file_exists(scratch_path("twice")));
}

static plm_status fill_failing(void *user, const plm_tensor_info *tensor, void *buffer) {
  (void)user, (void)buffer;
  return tensor->name[0] == 'b' ? plm_fail(PLM_E_NUMERIC, "no") : PLM_OK;
}

static void a_failed_fill_leaves_no_file(void **state) {
  (void)state;
  const plm_tensor_info entries[] = {{.name = "a", .dtype = "U8", .dims = 1, .shape = {3}, .bytes = 3},
                                     {.name = "b", .dtype = "U8", .dims = 1, .shape = {3}, .bytes = 3}};
  assert_int_equal(write_list(scratch_path("half"), entries, 2, fill_failing), PLM_E_NUMERIC);
  assert_false(plm_file_exists(scratch_path("half")));
}

/* ---- sharded sets ---- */

static const plm_tensor_info five[] = {
    {.name = "e", .dtype = "U8", .dims = 1, .shape = {6}, .bytes = 6},
    {.name = "d", .dtype = "U8", .dims = 1, .shape = {4}, .bytes = 4},
    {.name = "c", .dtype = "U8", .dims = 1, .shape = {1}, .bytes = 1},
    {.name = "b", .dtype = "U8", .dims = 1, .shape = {20}, .bytes = 20},
    {.name = "a", .dtype = "U8", .dims = 1, .shape = {2}, .bytes = 2},
};

static plm_status write_five(const char *name, int64_t max_shard_bytes) {
  const plm_tensor_list list = {
      .items = (plm_tensor_info *)(uintptr_t)five,
      .count = 5,
      .fill = fill_counting,
      .user = (void *)(uintptr_t)five,
  };
  return plm_safetensors_write_sharded(scratch_path(name), &list, max_shard_bytes);
}

static void make_directory(const char *name) {
  assert_ok(plm_tree_remove(scratch_path(name)));
  assert_ok(plm_directory_create(scratch_path(name)));
}

static void shards_follow_the_greedy_rule_and_read_as_one(void **state) {
  (void)state;
  make_directory("set");
  scratch_write_text("set/model-00001-of-00009.safetensors", "stale");
  scratch_write_text("set/model.safetensors", "stale");
  scratch_write_text("set/other.safetensors", "kept");
  assert_ok(write_five("set", 10));
  assert_false(plm_file_exists(scratch_path("set/model-00001-of-00009.safetensors")));
  assert_false(plm_file_exists(scratch_path("set/model.safetensors")));
  assert_true(plm_file_exists(scratch_path("set/other.safetensors")));
  static const size_t counts[] = {2, 1, 1, 1}; /* e d | c | b, alone too large | a */
  for (size_t i = 0; i < 4; i++) {
    char name[64];
    plm_safetensors *shard;
    snprintf(name, sizeof name, "set/model-%05zu-of-00004.safetensors", i + 1);
    assert_ok(plm_safetensors_open(scratch_path(name), &shard));
    assert_int_equal(plm_safetensors_count(shard), counts[i]);
    plm_safetensors_close(shard);
  }
  plm_safetensors *set;
  assert_ok(plm_safetensors_open_index(scratch_path("set/model.safetensors.index.json"), &set));
  assert_int_equal(plm_safetensors_count(set), 5);
  for (size_t i = 0; i < 5; i++) {
    const plm_tensor_info *info = plm_safetensors_find(set, five[i].name);
    assert_int_equal(info->bytes, five[i].bytes);
    assert_int_equal(*(const uint8_t *)info->data, 16 * i);
  }
  assert_string_equal(plm_safetensors_at(set, 0)->name, "a");
  plm_safetensors_close(set);

  assert_ok(write_five("set", 0));
  assert_true(plm_file_exists(scratch_path("set/model.safetensors")));
  assert_false(plm_file_exists(scratch_path("set/model.safetensors.index.json")));
  assert_false(plm_file_exists(scratch_path("set/model-00001-of-00004.safetensors")));
}

static void lying_indexes_are_refused(void **state) {
  (void)state;
  make_directory("index");
  assert_ok(write_list(scratch_path("index/s.safetensors"), five, 2, fill_counting));
  static const struct {
    const char *text, *words;
  } refused[] = {
      {"{\"weight_map\": {\"e\": \"s.safetensors\", \"x\": \"s.safetensors\"}}", "'x'"},
      {"{\"weight_map\": {\"e\": \"gone.safetensors\"}}", "missing"},
      {"{\"weight_map\": {\"e\": \"../index/s.safetensors\"}}", "plain name"},
      {"{\"weight_map\": {\"e\": \"/etc/passwd\"}}", "plain name"},
      {"{\"weight_map\": {\"e\": \"a\\\\b\"}}", "plain name"},
      {"{\"weight_map\": {\"e\": \"\"}}", "plain name"},
      {"{\"weight_map\": {\"e\": 3}}", "not a file name"},
      {"{\"weight_map\": []}", "weight_map"},
      {"{}", "weight_map"},
      {"[", "JSON"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    plm_safetensors *set;
    scratch_write_text("index/model.safetensors.index.json", refused[i].text);
    assert_fails(plm_safetensors_open_index(scratch_path("index/model.safetensors.index.json"), &set), PLM_E_INPUT,
                 refused[i].words);
  }
}

/* ---- allocation failures ---- */

static plm_status write_and_read(void) {
  plm_safetensors *set;
  PLM_TRY(write_five("alloc", 10));
  PLM_TRY(plm_safetensors_open_index(scratch_path("alloc/model.safetensors.index.json"), &set));
  plm_safetensors_close(set);
  return PLM_OK;
}

static void failed_allocations_leave_nothing_behind(void **state) {
  (void)state;
  make_directory("alloc");
  int64_t live = plm_alloc_live();
  plm_status status = PLM_E_RESOURCE;
  for (int64_t n = 1; status != PLM_OK; n++) {
    plm_alloc_fail_at(n);
    status = write_and_read();
    plm_alloc_fail_at(0);
    assert_int_equal(plm_alloc_live(), live);
    if (status != PLM_OK) assert_int_equal(status, PLM_E_RESOURCE);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(malformed_files_are_refused_with_a_reason),
      cmocka_unit_test(a_header_beyond_the_file_is_refused),
      cmocka_unit_test(unusual_but_legal_files_are_read),
      cmocka_unit_test(every_cut_and_every_flipped_bit_ends_in_a_status),
      cmocka_unit_test(floating_point_types_become_f32_at_any_alignment),
      cmocka_unit_test(files_of_the_reference_writer_are_written_again_byte_for_byte),
      cmocka_unit_test(odd_entries_are_written_and_read),
      cmocka_unit_test(a_failed_fill_leaves_no_file),
      cmocka_unit_test(shards_follow_the_greedy_rule_and_read_as_one),
      cmocka_unit_test(lying_indexes_are_refused),
      cmocka_unit_test(failed_allocations_leave_nothing_behind),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
