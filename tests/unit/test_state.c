/* The state of a run comes back from JSON bit for bit, and a wrong document is refused with the field's name. */
#include "support/unit.h"

#include <math.h>

#include "base/alloc.h"
#include "train/state.h"

static plm_train_state sample(void) {
  plm_train_state state;
  plm_train_state_init(&state);
  memcpy(state.run_id, "00112233445566778899aabbccddeeff", 33);
  state.step = 1234;
  state.updates = 1230;
  state.tokens = 1234567890123;
  state.seconds = 0.1 + 0.2;
  state.window.nll = 1e300 / 3;
  state.window.count = 77;
  for (int i = 0; i < PLM_GUARD_WINDOW; i++) state.guard.window[i] = 2.5 + sin(i) / 3;
  state.guard.seen = 1230;
  state.guard.skipped = 4;
  state.evaluation_due = true;
  state.best_step = 1000;
  state.best_eval_loss = nextafter(2.5, 3);
  snprintf(state.arithmetic.level, sizeof state.arithmetic.level, "avx512bf16");
  snprintf(state.train_hash, sizeof state.train_hash, "ffeeddccbbaa99887766554433221100");
  state.train_rules = state.eval_rules = 7;
  state.arithmetic.threads = 2;
  state.options = json_pack("{s:s}", "learning-rate", "0.0004");
  return state;
}

static json_t *written(const plm_train_state *state) {
  json_t *document = NULL;
  assert_ok(plm_train_state_write(state, &document));
  char *text = NULL;
  assert_ok(plm_json_dump(document, &text));
  json_decref(document);
  assert_ok(plm_json_parse(text, strlen(text), 8, "state", &document)); /* through the text, as a file would */
  plm_free(text);
  return document;
}

static void the_state_survives_bit_for_bit(void **unused) {
  (void)unused;
  plm_train_state state = sample(), back;
  json_t *document = written(&state);
  assert_ok(plm_train_state_read(document, "state", &back));
  assert_true(json_equal(back.options, state.options));
  json_t *again = written(&back);
  assert_true(json_equal(document, again));
  assert_memory_equal(&back.window, &state.window, sizeof back.window);
  assert_memory_equal(back.guard.window, state.guard.window, sizeof back.guard.window);
  assert_true(back.seconds == state.seconds && back.best_eval_loss == state.best_eval_loss);
  assert_true(isnan(back.plateau_loss));
  assert_string_equal(back.train_hash, state.train_hash);
  assert_int_equal(back.train_rules, 7);
  json_decref(document);
  json_decref(again);
  plm_train_state_free(&state);
  plm_train_state_free(&back);
}

static void every_missing_field_is_named(void **unused) {
  (void)unused;
  plm_train_state state = sample(), back;
  json_t *document = written(&state);
  const char *name;
  json_t *value;
  json_object_foreach(document, name, value) {
    json_t *without = json_copy(document);
    json_object_del(without, name);
    if (strcmp(name, "train_rules") == 0 || strcmp(name, "eval_rules") == 0) { /* came later: 0 */
      assert_ok(plm_train_state_read(without, "state", &back));
      assert_int_equal(name[0] == 't' ? back.train_rules : back.eval_rules, 0);
      plm_train_state_free(&back);
      json_decref(without);
      continue;
    }
    assert_fails(plm_train_state_read(without, "state", &back), PLM_E_CHECKPOINT, name);
    json_decref(without);
  }
  json_decref(document);
  plm_train_state_free(&state);
}

static void nonsense_is_refused(void **unused) {
  (void)unused;
  plm_train_state state = sample(), back;
  json_t *document = written(&state);
  json_object_set_new(document, "updates", json_integer(99999));
  assert_fails(plm_train_state_read(document, "state", &back), PLM_E_CHECKPOINT, "counters");
  json_object_set_new(document, "updates", json_string("ten"));
  assert_fails(plm_train_state_read(document, "state", &back), PLM_E_CHECKPOINT, "updates");
  json_object_set_new(document, "stream_version", json_integer(99));
  assert_fails(plm_train_state_read(document, "state", &back), PLM_E_CHECKPOINT, "stream_version");
  json_decref(document);
  plm_train_state_free(&state);
}

/* Version 1 did not say which library, processor and program computed. */
static void version_1_is_still_read(void **unused) {
  (void)unused;
  plm_train_state state = sample(), back;
  json_t *document = written(&state);
  json_object_set_new(document, "version", json_integer(1));
  json_object_del(document, "arithmetic.products");
  json_object_del(document, "arithmetic.cpu");
  json_object_del(document, "arithmetic.program");
  json_object_set_new(document, "arithmetic.onednn", json_true());
  assert_ok(plm_train_state_read(document, "state", &back));
  assert_int_equal(back.step, state.step);
  assert_string_equal(back.arithmetic.products, "unknown");
  assert_string_equal(back.arithmetic.program, "unknown");
  json_decref(document);
  plm_train_state_free(&state);
  plm_train_state_free(&back);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_state_survives_bit_for_bit),
      cmocka_unit_test(every_missing_field_is_named),
      cmocka_unit_test(nonsense_is_refused),
      cmocka_unit_test(version_1_is_still_read),
  };
  return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
