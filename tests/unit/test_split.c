/* A split follows the content of sequences, not their place in the file, and leaks nothing. */
#include "support/unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "support/scratch.h"
#include "support/sequences.h"

enum { DISTINCT = 300, COPIES = 2 };

/* Each of 300 proteins twice, the second time in lower case; from `start` on, going round. */
static plm_dataset *open_twice(const char *name, int start) {
  static char text[DISTINCT * COPIES * 120], residues[128];
  char *at = text;
  for (int i = 0; i < DISTINCT * COPIES; i++) {
    int k = (i + start) % (DISTINCT * COPIES);
    made_up_protein(30, k % DISTINCT, 20, 100, residues);
    for (char *c = residues; k >= DISTINCT && *c != '\0'; c++) *c = (char)tolower(*c);
    at += sprintf(at, ">p%d\n%s\n", k % DISTINCT, residues);
  }
  return open_text(name, text);
}

/* side[protein] = 1 if any of its copies is in the view. */
static void mark(const plm_view *view, int side[DISTINCT]) {
  memset(side, 0, DISTINCT * sizeof *side);
  for (int64_t i = 0; i < view->count; i++) {
    char name[16];
    plm_dataset_name(view->dataset, plm_view_id(view, i), name, sizeof name);
    side[atoi(name + 1)] = 1;
    if (i > 0) assert_true(view->ids[i] > view->ids[i - 1]);
  }
}

static void identical_sequences_fall_on_one_side_whatever_the_order(void **state) {
  (void)state;
  int train_side[DISTINCT], eval_side[DISTINCT], first[DISTINCT];
  for (int start = 0; start < 500; start += 171) {
    plm_view train, eval;
    char name[32];
    snprintf(name, sizeof name, "order-%d.fasta", start);
    plm_dataset *dataset = open_twice(name, start);
    assert_ok(plm_dataset_split(dataset, 0.1, 7, &train, &eval));
    assert_int_equal(train.count + eval.count, DISTINCT * COPIES);
    assert_int_equal(eval.count, DISTINCT * COPIES / 10);
    mark(&train, train_side);
    mark(&eval, eval_side);
    for (int i = 0; i < DISTINCT; i++) assert_int_equal(train_side[i] + eval_side[i], 1);
    if (start == 0) memcpy(first, eval_side, sizeof first);
    assert_memory_equal(first, eval_side, sizeof first);
    plm_view_free(&train);
    plm_view_free(&eval);
    plm_dataset_close(dataset);
  }
}

static void the_seed_changes_the_split(void **state) {
  (void)state;
  plm_view train, eval, other_train, other_eval;
  plm_dataset *dataset = open_twice("seeds.fasta", 0);
  assert_ok(plm_dataset_split(dataset, 0.5, 1, &train, &eval));
  assert_ok(plm_dataset_split(dataset, 0.5, 2, &other_train, &other_eval));
  int64_t same = 0;
  for (int64_t i = 0; i < eval.count; i++)
    for (int64_t j = 0; j < other_eval.count; j++) same += eval.ids[i] == other_eval.ids[j];
  assert_in_range(same, DISTINCT * COPIES * 0.15, DISTINCT * COPIES * 0.35);
  plm_view_free(&train);
  plm_view_free(&eval);
  plm_view_free(&other_train);
  plm_view_free(&other_eval);
  plm_dataset_close(dataset);
}

static void both_sides_get_something(void **state) {
  (void)state;
  plm_view train, eval;
  plm_dataset *dataset = open_text("two.fasta", ">a\nMKV\n>b\nACD\n");
  const double fractions[] = {1e-9, 0.5, 0.999999};
  for (size_t i = 0; i < 3; i++) {
    assert_ok(plm_dataset_split(dataset, fractions[i], 1, &train, &eval));
    assert_int_equal(train.count, 1);
    assert_int_equal(eval.count, 1);
    plm_view_free(&train);
    plm_view_free(&eval);
  }
  assert_fails(plm_dataset_split(dataset, 0, 1, &train, &eval), PLM_E_USAGE, "between 0 and 1");
  assert_fails(plm_dataset_split(dataset, 1, 1, &train, &eval), PLM_E_USAGE, "between 0 and 1");
  plm_dataset_close(dataset);
  dataset = open_text("same.fasta", ">a\nMKV\n>b\nmkv\n");
  assert_fails(plm_dataset_split(dataset, 0.5, 1, &train, &eval), PLM_E_INPUT, "cannot be split");
  plm_dataset_close(dataset);
}

static void shared_sequences_are_counted_case_blind(void **state) {
  (void)state;
  int64_t shared;
  plm_view train_view, eval_view;
  plm_dataset *train = open_text("train.fasta", ">a\nMKV\n>b\nACDE\n>c\nWWW\n>d\nMKV\n");
  plm_dataset *eval = open_text("eval.fasta", ">x\nmkv\n>y\nACD\n>z\nMKV\n>w\nACDEF\n>v\nwWw\n");
  plm_view_all(train, &train_view);
  plm_view_all(eval, &eval_view);
  assert_ok(plm_dataset_count_shared(&train_view, &eval_view, &shared));
  assert_int_equal(shared, 3);
  int64_t only_b[] = {1};
  assert_ok(plm_dataset_count_shared(&(plm_view){.dataset = train, .count = 1, .ids = only_b}, &eval_view, &shared));
  assert_int_equal(shared, 0);
  plm_dataset_close(train);
  plm_dataset_close(eval);
}

static void the_residue_hash_reads_every_letter(void **state) {
  (void)state;
  static char text[10000];
  memset(text, 'A', sizeof text);
  for (int64_t length = 1; length < (int64_t)sizeof text; length += 1 + length / 7) {
    uint64_t hash = plm_residue_hash(text, length);
    assert_int_not_equal(hash, plm_residue_hash(text, length + 1));
    for (int64_t i = 0; i < length; i += 1 + length / 50) {
      text[i] = 'C';
      assert_int_not_equal(hash, plm_residue_hash(text, length));
      text[i] = 'a';
      assert_int_equal(hash, plm_residue_hash(text, length));
      text[i] = 'A';
    }
  }
}

static void every_failed_allocation_is_survived(void **state) {
  (void)state;
  plm_dataset *dataset = open_twice("failing.fasta", 0);
  int64_t live = plm_alloc_live(), shared;
  plm_status status = PLM_E_RESOURCE;
  for (int n = 1; status != PLM_OK; n++) {
    plm_view train = {0}, eval = {0};
    plm_alloc_fail_at(n);
    status = plm_dataset_split(dataset, 0.5, 1, &train, &eval);
    if (status == PLM_OK) status = plm_dataset_count_shared(&train, &eval, &shared);
    plm_alloc_fail_at(0);
    plm_view_free(&train);
    plm_view_free(&eval);
    assert_int_equal(plm_alloc_live(), live);
    assert_true(status == PLM_OK || status == PLM_E_RESOURCE);
  }
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(identical_sequences_fall_on_one_side_whatever_the_order),
      cmocka_unit_test(the_seed_changes_the_split),
      cmocka_unit_test(both_sides_get_something),
      cmocka_unit_test(shared_sequences_are_counted_case_blind),
      cmocka_unit_test(the_residue_hash_reads_every_letter),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
