/* Checkpoints without faults: what is saved comes back, equal runs give equal files, and what is not this run's is
 * refused by name. Faults: tests/fault. */
#define _GNU_SOURCE
#include "support/tiny_run.h"
#include "support/warnings.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "checkpoint/internal.h"
#include "checkpoint/manifest.h"
#include "formats/safetensors.h"

static const char *in_run(const tiny_run *run, const char *name) {
  static char paths[4][1024];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", run->directory, name);
  return path;
}

static void save_step(tiny_run *run, int64_t step) {
  tiny_run_set(run, step);
  assert_ok(tiny_run_save(run, step));
}

static plm_status load(tiny_run *run, const char *name) {
  json_t *state = NULL;
  plm_status status = plm_training_load(in_run(run, name), run->model, run->optimiser, &state);
  json_decref(state);
  return status;
}

/* ---- saving ---- */

static void what_is_saved_comes_back(void **state) {
  (void)state;
  static const char *const files[] = {"MANIFEST.json",         "config.json",        "model.safetensors",
                                      "optimizer.safetensors", "protlm_state.json",  "special_tokens_map.json",
                                      "tokenizer_config.json", "trainer_state.json", "vocab.txt"};
  tiny_run run;
  char **names, target[64] = "";
  size_t count;
  tiny_run_create(&run, "back", 8, true);
  save_step(&run, 500);
  tiny_run_check(&run, 500, false, "saving");
  assert_ok(plm_directory_list(in_run(&run, "checkpoint-500"), &names, &count));
  assert_int_equal(count, sizeof files / sizeof *files);
  for (size_t i = 0; i < count; i++) assert_string_equal(names[i], files[i]);
  plm_names_free(names, count);
  assert_true(readlink(in_run(&run, "latest"), target, sizeof target - 1) > 0);
  assert_string_equal(target, "checkpoint-500");
  json_t *trainer_state;
  assert_ok(plm_json_load(in_run(&run, "checkpoint-500/trainer_state.json"), &trainer_state));
  assert_int_equal(json_integer_value(json_object_get(trainer_state, "global_step")), 500);
  json_decref(trainer_state);
  tiny_run_destroy(&run);
}

static void assert_same_file(const char *a, const char *b) {
  char hash_a[33], hash_b[33];
  int64_t bytes_a, bytes_b;
  assert_ok(plm_file_hash(a, hash_a, &bytes_a));
  assert_ok(plm_file_hash(b, hash_b, &bytes_b));
  assert_string_equal(hash_a, hash_b);
}

static void equal_runs_give_equal_tensor_files(void **state) {
  (void)state;
  tiny_run a, b;
  tiny_run_create(&a, "equal-a", 8, false);
  tiny_run_create(&b, "equal-b", 8, false);
  save_step(&a, 7);
  save_step(&b, 7);
  assert_same_file(in_run(&a, "checkpoint-7/model.safetensors"), in_run(&b, "checkpoint-7/model.safetensors"));
  assert_same_file(in_run(&a, "checkpoint-7/optimizer.safetensors"), in_run(&b, "checkpoint-7/optimizer.safetensors"));
  tiny_run_destroy(&a);
  tiny_run_destroy(&b);
}

static void saving_a_step_again_leaves_it(void **state) {
  (void)state;
  tiny_run run;
  char before[33], after[33];
  int64_t bytes;
  tiny_run_create(&run, "again", 4, false);
  save_step(&run, 3);
  assert_ok(plm_file_hash(in_run(&run, "checkpoint-3/MANIFEST.json"), before, &bytes));
  tiny_run_set(&run, 4);
  assert_ok(tiny_run_save(&run, 3));
  assert_ok(plm_file_hash(in_run(&run, "checkpoint-3/MANIFEST.json"), after, &bytes));
  assert_string_equal(before, after);
  tiny_run_check(&run, 3, false, "saving again");
  tiny_run_destroy(&run);
}

/* As when checkpoints were moved to another disk, linked from here, and cleaned away there. */
static void a_link_that_leads_nowhere_does_not_stop_a_save(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "nowhere", 4, false);
  assert_int_equal(symlink("/no/such/place", in_run(&run, "checkpoint-3")), 0);
  save_step(&run, 3);
  tiny_run_check(&run, 3, false, "saving over a link");
  tiny_run_destroy(&run);
}

/* A parameter's value, or a moment's, made not finite. */
static void poison(tiny_run *run, bool weight, float value) {
  const plm_params *params = plm_model_get_params(run->model);
  int index = 0;
  while (params->items[index].train_offset < 0) index++;
  if (!weight) {
    tiny_run_poison_state(run, params->items[index].name, ".exp_avg_sq", value);
    return;
  }
  float *values;
  assert_ok(PLM_NEW(&values, params->items[index].count));
  assert_ok(plm_model_get(run->model, index, values));
  values[1] = value;
  assert_ok(plm_model_set(run->model, index, values));
  plm_free(values);
}

static void what_is_not_finite_is_never_saved(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "nan", 4, false);
  save_step(&run, 1);
  tiny_run_set(&run, 2);
  poison(&run, true, NAN);
  assert_fails(tiny_run_save(&run, 2), PLM_E_NUMERIC, "word_embeddings.weight is not finite at element 1");
  tiny_run_set(&run, 2);
  poison(&run, false, INFINITY);
  assert_fails(tiny_run_save(&run, 2), PLM_E_NUMERIC, "exp_avg_sq is not finite at element 0");
  tiny_run_check(&run, 1, false, "a save that was refused");
  char **names;
  size_t count;
  assert_ok(plm_directory_list(run.directory, &names, &count));
  assert_int_equal(count, 2); /* checkpoint-1 and latest */
  plm_names_free(names, count);
  tiny_run_destroy(&run);
}

/* ---- refusing what is not this run's ---- */

static void another_model_is_refused_with_words(void **state) {
  (void)state;
  tiny_run small, large;
  tiny_run_create(&small, "other", 4, false);
  tiny_run_create(&large, "other", 8, false);
  save_step(&small, 1);
  assert_fails(load(&large, "checkpoint-1"), PLM_E_CHECKPOINT, "hidden_size 4; this run's has 8");
  assert_fails(load(&large, "checkpoint-1"), PLM_E_CHECKPOINT, "another --output-dir");
  tiny_run_destroy(&small);
  tiny_run_destroy(&large);
}

/* Make the manifest of an altered directory true again, so that only the tensors are wrong. */
static void reseal(const char *directory) {
  plm_manifest old, new;
  assert_ok(plm_manifest_read(directory, &old));
  new = old;
  new.count = 0;
  for (size_t i = 0; i < old.count; i++) assert_ok(plm_manifest_add_existing(&new, directory, old.files[i].name));
  char *path;
  assert_ok(plm_path_join(directory, PLM_MANIFEST_NAME, &path));
  assert_ok(plm_file_remove(path));
  plm_free(path);
  assert_ok(plm_manifest_write(&new, directory));
}

typedef struct altered {
  plm_tensor_info entries[128];
  size_t count;
} altered;

static plm_status fill_from_entry(void *user, const plm_tensor_info *entry, void *buffer) {
  (void)user;
  if (entry->data != NULL)
    memcpy(buffer, entry->data, (size_t)entry->bytes);
  else
    memset(buffer, 0, (size_t)entry->bytes);
  return PLM_OK;
}

/* checkpoint-1 with one of its tensor files rewritten by `alter`. */
static void alter_tensors(tiny_run *run, const char *file, void (*alter)(altered *tensors)) {
  char *path, *changed;
  plm_safetensors *tensors;
  altered list = {.count = 0};
  tiny_run_remove(run, 1);
  save_step(run, 1);
  assert_ok(plm_sprintf(&path, "%s/checkpoint-1/%s", run->directory, file));
  assert_ok(plm_sprintf(&changed, "%s/changed", run->directory));
  assert_ok(plm_safetensors_open(path, &tensors));
  for (size_t i = 0; i < plm_safetensors_count(tensors); i++)
    list.entries[list.count++] = *plm_safetensors_at(tensors, i);
  alter(&list);
  const plm_tensor_list tensor_list = {.items = list.entries, .count = list.count, .fill = fill_from_entry};
  assert_ok(plm_safetensors_write(changed, &tensor_list, NULL, NULL));
  plm_safetensors_close(tensors);
  assert_ok(plm_file_rename(changed, path));
  plm_free(changed);
  plm_free(path);
  reseal(in_run(run, "checkpoint-1"));
}

static void drop_one(altered *tensors) { tensors->count--; }
static void add_one(altered *tensors) {
  tensors->entries[tensors->count++] =
      (plm_tensor_info){.name = "lm_head.unheard_of.exp_avg", .dtype = "F32", .dims = 1, .shape = {3}, .bytes = 12};
}
static void reshape_one(altered *tensors) {
  plm_tensor_info *last = &tensors->entries[tensors->count - 1];
  *last = (plm_tensor_info){.name = last->name, .dtype = "F32", .dims = 1, .shape = {3}, .bytes = 12};
}
static void retype_one(altered *tensors) {
  plm_tensor_info *last = &tensors->entries[tensors->count - 1];
  last->dtype = "I32";
}

static void tensors_missing_added_or_misshapen_are_named(void **state) {
  (void)state;
  static const struct {
    const char *file;
    void (*alter)(altered *tensors);
    const char *words;
  } cases[] = {
      {"optimizer.safetensors", drop_one, "optimizer.safetensors lacks lm_head.layer_norm.weight.exp_avg_sq"},
      {"optimizer.safetensors", add_one, "optimizer.safetensors holds lm_head.unheard_of.exp_avg"},
      {"optimizer.safetensors", reshape_one,
       "lm_head.layer_norm.weight.exp_avg_sq is F32 [3], this model's is F32 [4]"},
      {"optimizer.safetensors", retype_one, "lm_head.layer_norm.weight.exp_avg_sq is I32 [4]"},
      {"model.safetensors", drop_one, "model.safetensors lacks lm_head.layer_norm.weight"},
      {"model.safetensors", add_one, "model.safetensors holds lm_head.unheard_of.exp_avg"},
      {"model.safetensors", reshape_one, "lm_head.layer_norm.weight"},
  };
  tiny_run run;
  tiny_run_create(&run, "tensors", 4, false);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    alter_tensors(&run, cases[i].file, cases[i].alter);
    assert_ok(plm_checkpoint_verify(in_run(&run, "checkpoint-1")));
    assert_fails(load(&run, "checkpoint-1"), PLM_E_CHECKPOINT, cases[i].words);
  }
  tiny_run_destroy(&run);
}

static void manifests_of_the_future_are_refused_kindly(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "future", 4, false);
  save_step(&run, 1);
  plm_manifest manifest;
  assert_ok(plm_manifest_read(in_run(&run, "checkpoint-1"), &manifest));
  snprintf(manifest.kind, sizeof manifest.kind, "adapter");
  assert_ok(plm_file_remove(in_run(&run, "checkpoint-1/MANIFEST.json")));
  assert_ok(plm_manifest_write(&manifest, in_run(&run, "checkpoint-1")));
  assert_fails(load(&run, "checkpoint-1"), PLM_E_CHECKPOINT, "of kind 'adapter'");
  tiny_run_destroy(&run);
}

/* ---- listing, falling back, pruning ---- */

static void only_checkpoints_are_listed_newest_first(void **state) {
  (void)state;
  tiny_run run;
  plm_checkpoint_info *list;
  size_t count;
  tiny_run_create(&run, "list", 4, false);
  for (int64_t step = 9; step <= 11; step++) save_step(&run, step);
  static const char *const others[] = {"checkpoint-",      "checkpoint-x",    "checkpoint-09",
                                       "checkpoint-5.bak", "my-checkpoint-5", "checkpoint-99999999999999999999"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_ok(plm_directory_make(in_run(&run, others[i])));
  assert_ok(plm_file_rename(in_run(&run, "checkpoint-9"), in_run(&run, "checkpoint-8")));
  assert_ok(plm_checkpoint_list(run.directory, true, &list, &count));
  assert_int_equal(count, 3);
  assert_int_equal(list[0].step, 11);
  assert_int_equal(list[1].step, 10);
  assert_int_equal(list[1].state, PLM_CHECKPOINT_GOOD);
  const plm_params *params = plm_model_get_params(run.model);
  assert_true(list[1].bytes > 4000 &&
              list[1].bytes < plm_checkpoint_bytes(4 * (params->parameters + 2 * params->trainable)));
  assert_int_equal(list[2].step, 8);
  assert_int_equal(list[2].state, PLM_CHECKPOINT_DAMAGED);
  assert_non_null(strstr(list[2].problem, "holds step 9, not 8"));
  plm_checkpoint_list_free(list, count);
  tiny_run_destroy(&run);
}

static void a_damaged_newest_is_passed_over_loudly(void **state) {
  (void)state;
  tiny_run run;
  char *path = NULL;
  json_t *document = NULL;
  tiny_run_create(&run, "fallback", 4, false);
  assert_ok(tiny_run_load_newest(&run, &path, &document));
  assert_null(path);
  save_step(&run, 1);
  save_step(&run, 2);
  assert_ok(plm_file_replace(in_run(&run, "checkpoint-2/model.safetensors"), "x", 1));
  warnings_listen();
  assert_ok(tiny_run_load_newest(&run, &path, &document));
  warnings_stop();
  assert_non_null(strstr(path, "/checkpoint-1"));
  assert_non_null(strstr(warnings_text(), "checkpoint-2/model.safetensors has 1 byte"));
  tiny_run_assert_is(&run, 1);
  plm_free(path);
  json_decref(document);
  assert_ok(plm_file_replace(in_run(&run, "checkpoint-1/vocab.txt"), "x", 1));
  assert_fails(tiny_run_load_newest(&run, &path, &document), PLM_E_CHECKPOINT, "all 2 checkpoints are damaged");
  tiny_run_destroy(&run);
}

/* A directory called checkpoint-<step> may be transformers' own. */
static void what_others_wrote_is_not_judged_replaced_or_removed(void **state) {
  (void)state;
  tiny_run run;
  plm_checkpoint_info *list;
  size_t count;
  char *path = NULL;
  int64_t step = -1;
  static const char *const files[] = {"checkpoint-2/trainer_state.json", "checkpoint-5/optimizer.pt",
                                      "checkpoint-9/adapter_config.json"};
  static const char *const writers[] = {"another program", "transformers' Trainer", "transformers' Trainer"};
  tiny_run_create(&run, "mixed", 4, false);
  for (size_t i = 0; i < 3; i++) {
    char name[64];
    snprintf(name, sizeof name, "%.12s", files[i]);
    assert_ok(plm_directory_make(in_run(&run, name)));
    assert_ok(plm_file_replace(in_run(&run, files[i]), "{}", 2));
  }
  assert_ok(plm_checkpoint_find_newest(run.directory, &path, &step));
  assert_null(path);
  save_step(&run, 1);
  save_step(&run, 3);
  assert_ok(plm_directory_make(in_run(&run, "checkpoint-8"))); /* anybody's */
  assert_ok(plm_checkpoint_list(run.directory, true, &list, &count));
  assert_int_equal(count, 6);
  static const int64_t steps[] = {9, 8, 5, 3, 2, 1};
  for (size_t i = 0, k = 0; i < count; i++) {
    assert_int_equal(list[i].step, steps[i]);
    const bool foreign = steps[i] != 3 && steps[i] != 1;
    assert_int_equal(list[i].is_ours, steps[i] == 3 || steps[i] == 1);
    assert_int_equal(list[i].state, foreign ? PLM_CHECKPOINT_FOREIGN : PLM_CHECKPOINT_GOOD);
    if (foreign && steps[i] != 8) assert_non_null(strstr(list[i].problem, writers[k++]));
  }
  plm_checkpoint_list_free(list, count);
  assert_ok(plm_checkpoint_find_newest(run.directory, &path, &step));
  assert_int_equal(step, 3);
  plm_free(path);
  assert_ok(plm_checkpoint_prune(run.directory, 1, NULL, 0));
  for (size_t i = 0; i < 3; i++) assert_true(plm_file_exists(in_run(&run, files[i])));
  assert_false(plm_file_exists(in_run(&run, "checkpoint-1")));
  const plm_checkpoint_content content = {.count = 0};
  assert_fails(plm_checkpoint_save(run.directory, 5, &content, NULL), PLM_E_USAGE,
               "checkpoint-5 is in the way: it was written by transformers' Trainer");
  assert_true(plm_file_exists(in_run(&run, files[1])));
  tiny_run_destroy(&run);
}

static void pruning_keeps_the_newest_the_chosen_and_the_damaged(void **state) {
  (void)state;
  tiny_run run;
  tiny_run_create(&run, "prune", 4, false);
  for (int64_t step = 1; step <= 6; step++) save_step(&run, step);
  assert_ok(plm_file_replace(in_run(&run, "checkpoint-5/vocab.txt"), "x", 1));
  const int64_t chosen[] = {2};
  assert_ok(plm_checkpoint_prune(run.directory, 0, NULL, 0));
  assert_true(tiny_run_has(&run, 1));
  assert_ok(plm_checkpoint_prune(run.directory, 2, chosen, 1));
  assert_true(tiny_run_has(&run, 6) && tiny_run_has(&run, 4) && tiny_run_has(&run, 2));
  assert_false(tiny_run_has(&run, 3) || tiny_run_has(&run, 1));
  assert_true(plm_file_exists(in_run(&run, "checkpoint-5")));
  tiny_run_destroy(&run);
}

static void only_leftovers_of_ours_are_reclaimed(void **state) {
  (void)state;
  static const char *const ours[] = {"tmp-12-0123456789abcdef0123456789abcdef",
                                     ".trash-7-0123456789abcdef0123456789abcdef", "tmp-log.jsonl-4711-0"};
  static const char *const others[] = {"tmp",    "tmp-notes",  "tmp-12",           "tmp-12-0123456789abcdef",
                                       ".trash", "tmp-2024-x", "checkpoint-1.old", "tmp-4711-0"};
  tiny_run run;
  tiny_run_create(&run, "reclaim", 4, false);
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) assert_ok(plm_directory_make(in_run(&run, ours[i])));
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_ok(plm_directory_make(in_run(&run, others[i])));
  assert_ok(plm_checkpoint_reclaim(run.directory));
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) assert_false(plm_file_exists(in_run(&run, ours[i])));
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_true(plm_file_exists(in_run(&run, others[i])));
  tiny_run_destroy(&run);
}

static void ids_are_hex_and_differ(void **state) {
  (void)state;
  char a[33], b[33];
  plm_uuid(a);
  plm_uuid(b);
  assert_int_equal(strspn(a, "0123456789abcdef"), 32);
  assert_string_not_equal(a, b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_saved_comes_back),
      cmocka_unit_test(equal_runs_give_equal_tensor_files),
      cmocka_unit_test(saving_a_step_again_leaves_it),
      cmocka_unit_test(a_link_that_leads_nowhere_does_not_stop_a_save),
      cmocka_unit_test(what_is_not_finite_is_never_saved),
      cmocka_unit_test(another_model_is_refused_with_words),
      cmocka_unit_test(tensors_missing_added_or_misshapen_are_named),
      cmocka_unit_test(manifests_of_the_future_are_refused_kindly),
      cmocka_unit_test(only_checkpoints_are_listed_newest_first),
      cmocka_unit_test(a_damaged_newest_is_passed_over_loudly),
      cmocka_unit_test(what_others_wrote_is_not_judged_replaced_or_removed),
      cmocka_unit_test(pruning_keeps_the_newest_the_chosen_and_the_damaged),
      cmocka_unit_test(only_leftovers_of_ours_are_reclaimed),
      cmocka_unit_test(ids_are_hex_and_differ),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
