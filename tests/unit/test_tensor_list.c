/* Lists of tensors: what is written from one is read into another, and a file that holds anything else is refused by
 * the name of the tensor. */
#include "support/unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "formats/safetensors.h"
#include "support/scratch.h"

enum { COUNT = 4, BYTES = 64 };

/* The values behind a list: `key` says whose. */
typedef struct store {
  uint8_t values[COUNT][BYTES];
  size_t taken;
} store;

static plm_status fill(void *user, const plm_tensor_info *tensor, void *buffer) {
  memcpy(buffer, ((store *)user)->values[tensor->key], (size_t)tensor->bytes);
  return PLM_OK;
}

static plm_status take(void *user, const plm_tensor_info *tensor, const void *data) {
  store *s = user;
  s->taken++;
  memcpy(s->values[tensor->key], data, (size_t)tensor->bytes);
  return PLM_OK;
}

static plm_status make(store *s, plm_tensor_list *ret_list) {
  static const int64_t shape[PLM_TENSOR_MAX_DIMS] = {2, 1, 3, 1, 1, 1, 1, 1};
  *ret_list = (plm_tensor_list){.fill = fill, .take = take, .user = s, .foreign = ", which nobody asked for"};
  PLM_TRY(plm_tensor_list_add(ret_list, "z", "F32", 3, shape, NULL, 0));
  PLM_TRY(plm_tensor_list_add(ret_list, "many", "BF16", PLM_TENSOR_MAX_DIMS, shape, NULL, 1));
  PLM_TRY(plm_tensor_list_add(ret_list, "scalar", "I64", 0, NULL, NULL, 2));
  return plm_tensor_list_add(ret_list, "bytes", "U8", 1, shape, NULL, 3);
}

static void what_is_filled_is_taken(void **state) {
  (void)state;
  store from = {0}, to = {0};
  plm_tensor_list out, in;
  for (size_t i = 0; i < COUNT; i++) memset(from.values[i], (int)i + 1, BYTES);
  assert_ok(make(&from, &out));
  assert_ok(make(&to, &in));
  assert_int_equal(out.items[0].bytes, 24);
  assert_int_equal(plm_tensor_list_bytes(&out), 24 + 12 + 8 + 2);
  const char *path = scratch_path("filled");
  int64_t bytes;
  char hash[33], again[33];
  assert_ok(plm_safetensors_write(path, &out, hash, &bytes));
  assert_ok(plm_file_hash(path, again, &bytes));
  assert_string_equal(hash, again);
  assert_ok(plm_tensor_list_read(&in, path));
  assert_int_equal(to.taken, COUNT);
  for (size_t i = 0; i < COUNT; i++) assert_memory_equal(to.values[i], from.values[i], (size_t)out.items[i].bytes);
  plm_tensor_list_free(&in);
  plm_tensor_list_free(&out);
}

/* Where the values lie in host memory, `data` is enough; names are the list's own. */
static void values_in_memory_need_no_fill(void **state) {
  (void)state;
  static const int32_t values[] = {3, 1, 4};
  const int64_t shape = 3;
  char name[] = "pi";
  store to = {0};
  plm_tensor_list list = {0}, in = {.take = take, .user = &to};
  assert_ok(plm_tensor_list_add(&list, name, "I32", 1, &shape, values, 0));
  assert_ok(plm_tensor_list_add(&in, name, "I32", 1, &shape, NULL, 2));
  name[0] = 'x';
  assert_ok(plm_safetensors_write(scratch_path("memory"), &list, NULL, NULL));
  assert_ok(plm_tensor_list_read(&in, scratch_path("memory")));
  assert_memory_equal(to.values[2], values, sizeof values);
  plm_tensor_list_free(&in);
  plm_tensor_list_free(&list);
}

static void any_other_tensor_is_refused_by_name(void **state) {
  (void)state;
  static const int64_t shape[] = {2, 1, 3};
  static const struct {
    const char *name, *dtype;
    int dims;
    plm_status status;
    const char *words;
  } first[] = {
      {"z", "F32", 3, PLM_OK, NULL},
      {"other", "F32", 3, PLM_E_INPUT, "refused lacks z"},
      {"z", "F32", 2, PLM_E_INPUT, "refused: z is F32 [2, 1], this model's is F32 [2, 1, 3]"},
      {"z", "F64", 3, PLM_E_INPUT, "refused: z is F64 [2, 1, 3], this model's is F32"},
      {"z", "F32", 0, PLM_E_INPUT, "z is F32 [], this"},
  };
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
    static const uint8_t zeros[64];
    store to = {0};
    plm_tensor_list out = {0}, in = {.take = take, .user = &to};
    assert_ok(plm_tensor_list_add(&in, "z", "F32", 3, shape, NULL, 0));
    assert_ok(plm_tensor_list_add(&out, first[i].name, first[i].dtype, first[i].dims, shape, zeros, 0));
    assert_ok(plm_file_remove(scratch_path("refused")));
    assert_ok(plm_safetensors_write(scratch_path("refused"), &out, NULL, NULL));
    if (first[i].status == PLM_OK)
      assert_ok(plm_tensor_list_read(&in, scratch_path("refused")));
    else
      assert_fails(plm_tensor_list_read(&in, scratch_path("refused")), first[i].status, first[i].words);
    assert_int_equal(to.taken, first[i].status == PLM_OK);
    plm_tensor_list_free(&in);
    plm_tensor_list_free(&out);
  }
}

static void what_nobody_takes_is_named(void **state) {
  (void)state;
  store s = {0};
  plm_tensor_list all, names;
  assert_ok(make(&s, &all));
  assert_ok(plm_safetensors_write(scratch_path("all"), &all, NULL, NULL));
  for (size_t left_out = 0; left_out < COUNT; left_out++) {
    char words[64];
    assert_ok(make(&s, &names));
    snprintf(words, sizeof words, "all holds %s, which nobody asked for", names.items[left_out].name);
    names.items[left_out] = names.items[--names.count];
    assert_fails(plm_tensor_list_read(&names, scratch_path("all")), PLM_E_INPUT, words);
    names.take = NULL; /* names are compared even where nothing is read */
    assert_fails(plm_tensor_list_read(&names, scratch_path("all")), PLM_E_INPUT, words);
    plm_tensor_list_free(&names);
  }
  plm_tensor_list_free(&all);
}

static plm_status write_and_read(void) {
  store s = {0};
  plm_tensor_list list;
  plm_status status = make(&s, &list);
  if (status == PLM_OK) status = plm_safetensors_write(scratch_path("alloc"), &list, NULL, NULL);
  if (status == PLM_OK) status = plm_tensor_list_read(&list, scratch_path("alloc"));
  plm_tensor_list_free(&list);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  int64_t live = plm_alloc_live();
  plm_status status = PLM_E_RESOURCE;
  for (int64_t n = 1; status == PLM_E_RESOURCE; n++) {
    assert_ok(plm_file_remove(scratch_path("alloc")));
    plm_alloc_fail_at(n);
    status = write_and_read();
    plm_alloc_fail_at(0);
    assert_int_equal(plm_alloc_live(), live);
  }
  assert_int_equal(status, PLM_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_filled_is_taken),
      cmocka_unit_test(values_in_memory_need_no_fill),
      cmocka_unit_test(any_other_tensor_is_refused_by_name),
      cmocka_unit_test(what_nobody_takes_is_named),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("tensor_list", tests, scratch_setup, scratch_teardown);
}
