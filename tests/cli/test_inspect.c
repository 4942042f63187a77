/* `protlm inspect` on fixtures: the forward pass against PyTorch's numbers, a batch against its promises, tokens,
 * parameters, slices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/program.h"
#include "data/alphabet.h"
#include "formats/safetensors.h"
#include "support/scratch.h"
#include "support/unit.h"

#define FIXTURES PLM_SOURCE_DIR "/tests/fixtures/parity/"
#define HF_TOLERANCE 1e-4 /* model_spec 1.3, against transformers in fp32 */

enum { CLS = 0, EOS = 2, UNK = 3, MASK = 32, MOST_TOKENS = 256 };

static const int32_t *ints(const plm_safetensors *file, const char *name, int64_t *ret_count) {
  const plm_tensor_info *t = plm_safetensors_find(file, name);
  if (t == NULL) fail_msg("no tensor %s in %s", name, plm_safetensors_path(file));
  if (strcmp(t->dtype, "I32") != 0) fail_msg("%s is %s, not I32", name, t->dtype);
  *ret_count = t->bytes / 4;
  return t->data;
}

/* ---- forward ---- */

/* A sequence that a FASTA file can hold: whole, without <unk>; <mask> is written as it is. */
static bool is_plain(const int32_t *tokens, int64_t n) {
  if (tokens[0] != CLS || tokens[n - 1] != EOS) return false;
  for (int64_t i = 1; i + 1 < n; i++)
    if (tokens[i] == UNK) return false;
  return true;
}

/* Rows of `expected` at `want` and of `got` at `at` agree; returns the largest difference. */
static void compare_rows(const plm_safetensors *expected, int64_t want, const plm_safetensors *got, int64_t at,
                         int64_t rows, const char *name) {
  const plm_tensor_info *e = plm_safetensors_find(expected, name), *g = plm_safetensors_find(got, name);
  assert_non_null(e);
  if (g == NULL) fail_msg("%s is not written", name);
  assert_string_equal(g->dtype, "F32");
  assert_int_equal(e->shape[1], g->shape[1]);
  const int64_t C = e->shape[1];
  for (int64_t i = 0; i < rows * C; i++) {
    float a, b;
    memcpy(&a, (const char *)e->data + 4 * (want * C + i), 4);
    memcpy(&b, (const char *)g->data + 4 * (at * C + i), 4);
    if (!(fabs((double)a - (double)b) <= HF_TOLERANCE))
      fail_msg("%s: element %lld is %g, expected %g", name, (long long)i, (double)b, (double)a);
  }
}

/* Writes the plain sequences of a case as FASTA; says how many, and which. */
static int write_plain_sequences(const plm_safetensors *expected, int64_t chosen[8]) {
  const plm_alphabet *alphabet = plm_alphabet_esm2();
  int64_t N, bounds;
  const int32_t *tokens = ints(expected, "tokens", &N), *cu = ints(expected, "cu_seqlens", &bounds);
  char fasta[4096];
  size_t used = 0;
  int count = 0;
  for (int64_t s = 0; s + 1 < bounds; s++) {
    if (!is_plain(tokens + cu[s], cu[s + 1] - cu[s])) continue;
    chosen[count++] = s;
    used += (size_t)snprintf(fasta + used, sizeof fasta - used, ">s%lld\n", (long long)s);
    for (int32_t i = cu[s] + 1; i + 1 < cu[s + 1]; i++)
      used += (size_t)snprintf(fasta + used, sizeof fasta - used, "%s", alphabet->tokens[tokens[i]]);
    used += (size_t)snprintf(fasta + used, sizeof fasta - used, "\n");
  }
  if (count > 0) scratch_write("plain.fasta", fasta, used);
  return count;
}

static int masks_run; /* <mask> tokens of all cases */

static int check_case(const char *name) {
  plm_safetensors *expected, *got;
  char path[512], line[2048];
  int64_t chosen[8], n, bounds, positions;
  snprintf(path, sizeof path, FIXTURES "%s/expected_forward.safetensors", name);
  assert_ok(plm_safetensors_open(path, &expected));
  int count = write_plain_sequences(expected, chosen);
  if (count > 0) {
    snprintf(line, sizeof line,
             "inspect forward --model " FIXTURES
             "%s --fasta {}/plain.fasta --dtype fp32 --layers all --output {}/forward.safetensors",
             name);
    program_result r = program_line(NULL, line, scratch_path(""));
    program_expect(&r, 0);
    assert_ok(plm_safetensors_open(scratch_path("forward.safetensors"), &got));
    const int32_t *cu = ints(got, "cu_seqlens", &bounds), *cu_expected = ints(expected, "cu_seqlens", &n),
                  *tokens = ints(got, "tokens", &positions), *tokens_expected = ints(expected, "tokens", &n);
    assert_int_equal(bounds, count + 1);
    for (int64_t i = 0; i < positions; i++) masks_run += tokens[i] == MASK;
    for (int s = 0; s < count; s++) {
      int64_t rows = cu[s + 1] - cu[s], want = cu_expected[chosen[s]];
      assert_memory_equal(tokens + cu[s], tokens_expected + want, (size_t)rows * 4);
      compare_rows(expected, want, got, cu[s], rows, "logits");
      for (int layer = 0;; layer++) {
        char hidden[40];
        snprintf(hidden, sizeof hidden, "hidden_states.%d", layer);
        if (plm_safetensors_find(expected, hidden) == NULL) break;
        compare_rows(expected, want, got, cu[s], rows, hidden);
      }
    }
    plm_safetensors_close(got);
  }
  plm_safetensors_close(expected);
  return count;
}

/* ... of which four rows of the embedding are no token's, and J is one. */
static void a_model_with_more_tokens_gives_transformers_numbers(void **state) {
  (void)state;
  plm_safetensors *expected, *got;
  int64_t n, count;
  scratch_write_text("extended.fasta", ">p\nMKJTAYIAKQRJXLLsWV\n"); /* as make_models.py has it */
  program_result r =
      program_line(NULL,
                   "inspect forward --model " PLM_SOURCE_DIR
                   "/tests/fixtures/models/extended --fasta {}/extended.fasta --dtype fp32 --layers none "
                   "--output {}/extended.safetensors",
                   scratch_path(""));
  program_expect(&r, 0);
  assert_ok(plm_safetensors_open(PLM_SOURCE_DIR "/tests/fixtures/models/extended_forward.safetensors", &expected));
  assert_ok(plm_safetensors_open(scratch_path("extended.safetensors"), &got));
  const int32_t *tokens = ints(got, "tokens", &count), *tokens_expected = ints(expected, "tokens", &n);
  assert_int_equal(count, n);
  assert_memory_equal(tokens, tokens_expected, (size_t)n * sizeof *tokens);
  assert_int_equal(tokens[3], 35); /* J */
  compare_rows(expected, 0, got, 0, n, "logits");
  plm_safetensors_close(got);
  plm_safetensors_close(expected);
}

static void forward_gives_pytorchs_numbers(void **state) {
  static const char *const cases[] = {"d8", "d8_v4_names", "d10", "d16_half_inv_freq", "d24", "d32_eps1e-12", "d64"};
  int sequences = 0;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) sequences += check_case(cases[i]);
  assert_true(sequences >= 10);
  assert_true(masks_run >= 10);
}

static void a_sequence_does_not_depend_on_its_file(void **state) {
  static const char *const files[] = {">a\nMKVLAGIPDE\n", ">x\nGGG\n>a\nMKVLAGIPDE\n>y\nWWWWWWWWWWWWWWWWWWWWWW\n"};
  plm_safetensors *got[2];
  (void)state;
  for (int i = 0; i < 2; i++) {
    char line[1024], output[32];
    snprintf(output, sizeof output, "alone%d.safetensors", i);
    scratch_write_text("records.fasta", files[i]);
    snprintf(line, sizeof line, "inspect forward --model " FIXTURES "d16_half_inv_freq --fasta {} --output %s",
             scratch_path(output));
    program_result r = program_line(NULL, line, scratch_path("records.fasta"));
    program_expect(&r, 0);
    assert_ok(plm_safetensors_open(scratch_path(output), &got[i]));
  }
  const plm_tensor_info *alone = plm_safetensors_find(got[0], "logits"),
                        *among = plm_safetensors_find(got[1], "logits");
  /* <cls> G G G <eos> come first */
  assert_memory_equal(alone->data, (const char *)among->data + 5 * 33 * 4, (size_t)alone->bytes);
  plm_safetensors_close(got[0]);
  plm_safetensors_close(got[1]);
}

static void layers_and_slices_choose(void **state) {
  (void)state;
  scratch_write_text("records.fasta", ">a\nMKVLAGIPDE\n");
  program_result r = program_line(
      NULL, "inspect forward --model " FIXTURES "d8 --fasta {} --layers 0,-1 --slice tokens --slice logits[0:2,4:6]",
      scratch_path("records.fasta"));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "hidden_states.0 ");
  program_expect_words(&r, r.out, "hidden_states.3 ");
  assert_null(strstr(r.out, "hidden_states.1"));
  program_expect_words(&r, r.out, "logits[0:2,4:6]\n");
}

/* The line after the title of `name`, and those that follow: place, then the likeliest tokens. */
static void expect_predictions(const char *out, const char *name, const float *logits, const int32_t *tokens,
                               int64_t n) {
  char title[64];
  snprintf(title, sizeof title, ">%s  ", name);
  const char *line = strstr(out, title);
  if (line == NULL) fail_msg("no %s in %s", title, out);
  for (int64_t i = 0; i < n; i++) {
    if (tokens[i] != MASK) continue;
    const float *row = logits + i * 33;
    double total = 0;
    int best = 0, used = 0, shown = 0;
    for (int v = 0; v < 33; v++) total += exp((double)row[v]);
    for (int v = 0; v < 33; v++) best = row[v] > row[best] ? v : best;
    long long place;
    char token[16];
    double probability, before = 1;
    line = strchr(line, '\n') + 1;
    assert_int_equal(sscanf(line, "%lld %15s %lf", &place, token, &probability), 3);
    assert_int_equal(place, i); /* token i is residue i: <cls> stands before the first */
    assert_string_equal(token, plm_alphabet_esm2()->tokens[best]);
    assert_true(fabs(probability - exp((double)row[best]) / total) < 1e-5);
    for (const char *p = strstr(line, token); p != NULL && *p != '\n' && *p != '\0'; p += used) {
      assert_int_equal(sscanf(p, "%15s %lf%n", token, &probability, &used), 2);
      assert_true(probability <= before);
      before = probability;
      shown++;
    }
    assert_int_equal(shown, 5);
  }
}

static void the_model_is_asked_at_masks(void **state) {
  plm_safetensors *got;
  int64_t N, bounds;
  (void)state;
  scratch_write_text("masks.fasta", ">one\nMK<mask>TAYIAK\n>none\nMKVLAG\n>three\n<mask>KV<mask>LAG\nIP<mask>\n");
  program_result r = program_line(
      NULL, "inspect forward --model " FIXTURES "d16_half_inv_freq --fasta {}/masks.fasta --output {}/m.safetensors",
      scratch_path(""));
  program_expect(&r, 0);
  assert_ok(plm_safetensors_open(scratch_path("m.safetensors"), &got));
  const int32_t *tokens = ints(got, "tokens", &N), *cu = ints(got, "cu_seqlens", &bounds);
  const float *logits = plm_safetensors_find(got, "logits")->data;
  assert_int_equal(bounds, 4);
  expect_predictions(r.out, "one", logits, tokens, cu[1]);
  expect_predictions(r.out, "three", logits + cu[2] * 33, tokens + cu[2], cu[3] - cu[2]);
  assert_null(strstr(r.out, ">none"));
  plm_safetensors_close(got);
}

/* ---- batch ---- */

#define STREAM "--model esm2_t6_8M --train {}/stream.fasta --seed 7 --batch-tokens 200 --max-length 40 "

static void write_stream(void) {
  char fasta[1 << 14];
  size_t used = 0;
  for (int i = 0; i < 40; i++) {
    used += (size_t)snprintf(fasta + used, sizeof fasta - used, ">p%d\n", i);
    for (int j = 0; j < 10 + 2 * i; j++) fasta[used++] = "LAGVSERTIDPKQNFYMHWC"[(i * 7 + j * 3) % 20];
    fasta[used++] = '\n';
  }
  scratch_write("stream.fasta", fasta, used);
}

static plm_safetensors *inspect_batch(int step, const char *more) {
  plm_safetensors *batch;
  char line[1024];
  snprintf(line, sizeof line, "inspect batch " STREAM "--step %d --output {}/batch.safetensors %s", step, more);
  program_result r = program_line(NULL, line, scratch_path(""));
  program_expect(&r, 0);
  assert_ok(plm_safetensors_open(scratch_path("batch.safetensors"), &batch));
  return batch;
}

static void a_batch_is_whole_and_masked(void **state) {
  int64_t N, n, bounds, S;
  (void)state;
  write_stream();
  plm_safetensors *batch = inspect_batch(3, "");
  const int32_t *tokens = ints(batch, "tokens", &N), *original = ints(batch, "original", &n);
  assert_int_equal(n, N);
  const int32_t *labels = ints(batch, "labels", &n), *cu = ints(batch, "cu_seqlens", &bounds);
  assert_int_equal(n, N);
  const int32_t *crop = ints(batch, "crop_offset", &S);
  assert_int_equal(bounds, S + 1);
  const plm_tensor_info *ids = plm_safetensors_find(batch, "sequence_id");
  assert_non_null(ids);
  assert_string_equal(ids->dtype, "I64");
  assert_int_equal(ids->shape[0], S);
  assert_int_equal(cu[0], 0);
  assert_int_equal(cu[S], N);
  assert_true(N > 100 && N < 300);
  int64_t predicted = 0;
  for (int64_t i = 0; i < N; i++) {
    if (labels[i] == -100) assert_int_equal(tokens[i], original[i]);
    if (labels[i] != -100) assert_int_equal(labels[i], original[i]);
    predicted += labels[i] != -100;
  }
  assert_true(predicted >= S);
  for (int64_t s = 0; s < S; s++) {
    assert_true(cu[s + 1] - cu[s] <= 40);
    assert_true((original[cu[s]] == CLS) == (crop[s] == 0));
  }
  plm_safetensors_close(batch);
}

/* What step 3 is does not depend on options that only say how a run is computed, logged or ended. */
static void a_batch_depends_on_the_stream_alone(void **state) {
  (void)state;
  write_stream();
  static const char *const more[] = {
      "", "--threads 1 --learning-rate 1 --max-steps 9 --micro-batch-tokens 50 --logging-steps 2"};
  plm_safetensors *batch[2];
  for (int i = 0; i < 2; i++) {
    batch[i] = inspect_batch(3, more[i]);
    remove(scratch_path("batch.safetensors")); /* the mapping stays */
  }
  for (size_t i = 0; i < plm_safetensors_count(batch[0]); i++) {
    const plm_tensor_info *a = plm_safetensors_at(batch[0], i), *b = plm_safetensors_find(batch[1], a->name);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, (size_t)a->bytes);
  }
  plm_safetensors_close(batch[0]);
  plm_safetensors_close(batch[1]);
}

static void an_epoch_holds_every_sequence_once(void **state) {
  int seen[40] = {0}, steps = 0;
  (void)state;
  write_stream();
  for (int64_t total = 0; total < 40; steps++) {
    plm_safetensors *batch = inspect_batch(steps + 1, "--records 0");
    const plm_tensor_info *ids = plm_safetensors_find(batch, "sequence_id");
    for (int64_t s = 0; s < ids->shape[0]; s++) {
      int64_t id;
      memcpy(&id, (const char *)ids->data + 8 * s, 8);
      assert_true(id >= 0 && id < 40);
      seen[id]++;
      total++;
    }
    plm_safetensors_close(batch);
    assert_true(steps < 40);
  }
  for (int i = 0; i < 40; i++) assert_int_equal(seen[i], 1);
}

static void a_person_sees_what_is_hidden(void **state) {
  (void)state;
  write_stream();
  program_result r = program_line(NULL, "inspect batch " STREAM "--records 2", scratch_path(""));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "step 1, epoch 1:");
  program_expect_words(&r, r.out, "[L] behind <mask>");
  program_expect_words(&r, r.out, "more: --records");
}

static void a_runs_configuration_serves_inspect(void **state) {
  (void)state;
  write_stream();
  program_result r = program_line(NULL, "inspect batch " STREAM "--step 5", scratch_path(""));
  program_expect(&r, 0);
  scratch_write_text("by_options", r.out);
  r = program_line(NULL, "train " STREAM "--output-dir {}/run --print-config", scratch_path(""));
  program_expect(&r, 0);
  scratch_write_text("config.yaml", r.out);
  r = program_line(NULL, "inspect batch --config {}/config.yaml --step 5", scratch_path(""));
  program_expect(&r, 0);
  assert_string_equal(r.out, scratch_read("by_options"));
}

/* ---- tokens and parameters ---- */

static void tokens_are_one_a_letter(void **state) {
  (void)state;
  scratch_write_text("odd.fasta", ">a first\nMKJ*XBUZO.-\n");
  program_result r = program_line(NULL, "inspect tokens --fasta {}", scratch_path("odd.fasta"));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "<cls> M K X X X B U Z O . - <eos>\n0 20 15 24 24 24 25 26 27 28 29 30 2\n");
}

static void expect_lines(const program_result *r, const char *const *lines) {
  for (; *lines != NULL; lines++) program_expect_words(r, r->out, *lines);
}

static void a_summary_tells_what_a_file_is(void **state) {
  static const char *const odd[] = {
      "odd.fasta\n  size       5 sequences, 35 residues\n",
      "  lengths    shortest 1, 1st quartile 6, median 6, 3rd quartile 10, longest 12, mean 7.0\n",
      "  long       0 (0.0 %) with more than 1,022 residues, which --max-length 1024 crops\n",
      "  repeats    1 (20.0 %) verbatim as an earlier one; 4 different\n",
      "  letters    A 5 (14.3 %)            I 2 (5.7 %)             Q 1 (2.9 %)\n",
      "* 1 (2.9 %)",
      "J 1 (2.9 %)",
      "2 '*' at the end of sequences removed",
      NULL,
  };
  static const char *const four[] = {
      "  size       4 sequences, 15 residues\n",
      "  lengths    shortest 1, 1st quartile 1.75, median 3, 3rd quartile 5, longest 8, mean 3.8\n",
      "  long       1 (25.0 %) with more than 4 residues, which --max-length 6 crops\n",
      "  names      0 sequences without a name, 0 with a name that an earlier one has\n",
      "  repeats    0 (0.0 %) verbatim as an earlier one; 4 different\n",
      "  letters    M 4 (26.7 %)  ",
      "  reading    nothing was changed or left out\n",
      NULL,
  };
  (void)state;
  scratch_write_text("odd.fasta", ">a x\nMKTAYIAKQR*\n>b\nMKVLAG\n>c\nmkvlag\n>c\nMKVJ*LA.GIPD*\n>d\nX\n>e\n");
  program_result r = program_line(&(program_options){.directory = scratch_path("")},
                                  "inspect tokens --fasta odd.fasta --summary", NULL);
  program_expect(&r, 0);
  expect_lines(&r, odd);
  assert_null(strstr(r.out, "<cls>"));
  scratch_write_text("four.fasta", ">a\nMKVLAGIP\n>b\nMKVL\n>c\nMK\n>d\nM\n");
  r = program_line(NULL, "inspect tokens --fasta {} --summary --max-length 6", scratch_path("four.fasta"));
  program_expect(&r, 0);
  expect_lines(&r, four);
  scratch_write_text("one.fasta", ">a\nM\n");
  r = program_line(NULL, "inspect tokens --fasta {} --summary", scratch_path("one.fasta"));
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "size       1 sequence, 1 residue\n");
  program_expect_words(&r, r.out, "shortest 1, 1st quartile 1, median 1, 3rd quartile 1, longest 1, mean 1.0\n");
}

static void parameters_are_listed_under_their_names(void **state) {
  (void)state;
  program_result r =
      program_line(NULL, "inspect params --model " FIXTURES "d8 --slice lm_head.bias[99999999999999999999]", NULL);
  program_expect(&r, 2);
  program_expect_words(&r, r.err, "outside 0:33");
  r = program_line(NULL, "inspect params --model " FIXTURES "d8 --slice lm_head.bias[0:3]", NULL);
  program_expect(&r, 0);
  program_expect_words(&r, r.out, "esm.encoder.layer.2.attention.self.value.weight");
  program_expect_words(&r, r.out, "lm_head.bias[0:3]\n");
  program_expect_words(&r, r.out, "parameters (the tied embedding counted once)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forward_gives_pytorchs_numbers),
      cmocka_unit_test(a_model_with_more_tokens_gives_transformers_numbers),
      cmocka_unit_test(a_sequence_does_not_depend_on_its_file),
      cmocka_unit_test(the_model_is_asked_at_masks),
      cmocka_unit_test(layers_and_slices_choose),
      cmocka_unit_test(a_batch_is_whole_and_masked),
      cmocka_unit_test(a_batch_depends_on_the_stream_alone),
      cmocka_unit_test(an_epoch_holds_every_sequence_once),
      cmocka_unit_test(a_person_sees_what_is_hidden),
      cmocka_unit_test(a_runs_configuration_serves_inspect),
      cmocka_unit_test(tokens_are_one_a_letter),
      cmocka_unit_test(a_summary_tells_what_a_file_is),
      cmocka_unit_test(parameters_are_listed_under_their_names),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
