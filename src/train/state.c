/* state.c - see state.h. Contents: how it changes; to JSON and back, by one table of fields. */
#include "train/state.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "data/sampler.h"
#include "checkpoint/checkpoint.h"

enum { STATE_VERSION = 2 };

/* FIELD_LATER_INT: a number that files of any version may lack, and then 0; FIELD_RANKS: one that is not written, and
 * not there, where it is 1 */
typedef enum field_type {
  FIELD_INT,
  FIELD_LATER_INT,
  FIELD_RANKS,
  FIELD_EXACT,
  FIELD_BOOL,
  FIELD_TEXT,
  FIELD_WINDOW,
  FIELD_MEASURES
} field_type;

typedef struct field {
  const char *name;
  field_type type;
  size_t offset, size; /* size: of the buffer, FIELD_TEXT */
  int since;           /* the first version that has it; read as "unknown" from older files */
} field;

#define FIELD_SINCE(version, type, member) \
  { #member, type, offsetof(plm_train_state, member), sizeof((plm_train_state *)0)->member, version }
#define FIELD(type, member) FIELD_SINCE(1, type, member)

static const field fields[] = {
    FIELD(FIELD_TEXT, run_id),
    FIELD(FIELD_INT, step),
    FIELD(FIELD_INT, updates),
    FIELD(FIELD_INT, tokens),
    FIELD(FIELD_INT, residues),
    FIELD(FIELD_EXACT, seconds),
    FIELD(FIELD_INT, steps_per_epoch),
    FIELD(FIELD_INT, global_batch_sequences),
    FIELD(FIELD_INT, warmup),
    FIELD(FIELD_EXACT, window.nll),
    FIELD(FIELD_INT, window.count),
    FIELD(FIELD_EXACT, window.grad_norm),
    FIELD(FIELD_EXACT, window.learning_rate),
    FIELD(FIELD_INT, window.residues),
    FIELD(FIELD_EXACT, window.seconds),
    FIELD(FIELD_EXACT, window.waited),
    FIELD(FIELD_WINDOW, guard.window),
    FIELD(FIELD_INT, guard.seen),
    FIELD(FIELD_INT, guard.nonfinite_in_a_row),
    FIELD(FIELD_INT, guard.skipped),
    FIELD(FIELD_INT, guard.spikes),
    FIELD(FIELD_EXACT, last_loss),
    FIELD(FIELD_BOOL, evaluation_due),
    FIELD(FIELD_EXACT, first_eval_loss),
    FIELD(FIELD_MEASURES, last_eval),
    FIELD(FIELD_EXACT, best_eval_loss),
    FIELD(FIELD_INT, best_step),
    FIELD(FIELD_EXACT, plateau_loss),
    FIELD(FIELD_INT, plateau_count),
    FIELD(FIELD_BOOL, forgetting_said),
    FIELD(FIELD_TEXT, train_hash),
    FIELD(FIELD_TEXT, eval_hash),
    FIELD(FIELD_LATER_INT, train_rules),
    FIELD(FIELD_LATER_INT, eval_rules),
    FIELD(FIELD_RANKS, arithmetic.ranks),
    FIELD(FIELD_INT, arithmetic.threads),
    FIELD(FIELD_INT, arithmetic.micro_batch_tokens),
    FIELD(FIELD_TEXT, arithmetic.level),
    FIELD(FIELD_TEXT, arithmetic.dtype),
    FIELD(FIELD_TEXT, arithmetic.threading),
    FIELD_SINCE(2, FIELD_TEXT, arithmetic.products),
    FIELD_SINCE(2, FIELD_TEXT, arithmetic.cpu),
    FIELD_SINCE(2, FIELD_TEXT, arithmetic.program),
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

void plm_train_state_init(plm_train_state *state) {
  memset(state, 0, sizeof *state);
  state->best_step = -1;
  state->arithmetic.ranks = 1;
  state->last_loss = state->window.grad_norm = state->window.learning_rate = NAN;
  state->first_eval_loss = state->best_eval_loss = state->plateau_loss = NAN;
}

void plm_train_state_free(plm_train_state *state) {
  if (state == NULL) return;
  json_decref(state->options);
  state->options = NULL;
}

/* ---- how it changes ---- */

void plm_train_state_begin(plm_train_state *state) { plm_uuid(state->run_id); }

plm_status plm_train_state_share_name(plm_train_state *state, plm_comm *comm) {
  return plm_agree_on_first(comm, "state", state->run_id, sizeof state->run_id);
}

void plm_train_state_settle(plm_train_state *state, const plm_train_settings *settings,
                            const plm_arithmetic *arithmetic, json_t *options, const plm_data_identity *data) {
  json_decref(state->options);
  state->options = options;
  snprintf(state->train_hash, sizeof state->train_hash, "%s", data->train_hash);
  snprintf(state->eval_hash, sizeof state->eval_hash, "%s", data->eval_hash);
  state->train_rules = data->train_rules;
  state->eval_rules = data->eval_rules;
  state->steps_per_epoch = settings->steps_per_epoch;
  state->global_batch_sequences = settings->batch_sequences;
  state->warmup = settings->schedule.W;
  state->arithmetic = *arithmetic;
  plm_guard_configure(&state->guard, settings->o->max_nonfinite, settings->o->skip_spikes);
}

void plm_train_state_count_step(plm_train_state *state, const plm_step_outcome *outcome) {
  const plm_control *control = &outcome->control;
  const plm_loss_sums *sums = &control->objective[0]; /* the state has a window for one */
  plm_log_window *window = &state->window;
  state->step++;
  state->tokens += control->tokens;
  state->residues += control->residues;
  if (outcome->verdict == PLM_GUARD_APPLY) {
    state->updates += sums->count > 0;
    window->nll += sums->nll;
    window->count += sums->count;
  }
  window->grad_norm = outcome->grad_norm;
  window->learning_rate = outcome->learning_rate;
  window->residues += control->residues;
  window->waited += control->data_wait;
}

void plm_train_state_set_clocks(plm_train_state *state, double seconds, double window_seconds) {
  state->seconds = seconds;
  state->window.seconds = window_seconds;
}

void plm_train_state_close_window(plm_train_state *state) {
  const plm_log_window *window = &state->window;
  state->last_loss = window->count > 0 ? window->nll / (double)window->count : NAN;
  state->window = (plm_log_window){.grad_norm = window->grad_norm, .learning_rate = window->learning_rate};
}

void plm_train_state_set_evaluation_due(plm_train_state *state, bool due) { state->evaluation_due = due; }

/* Patience: absolute in loss, counted after warm-up and 500 steps, before which the loss may sit on the frequency
 * plateau. */
static void count_patience(plm_train_state *state, const plm_train_settings *settings, double loss) {
  if (state->updates < settings->schedule.W || state->step < 500) return;
  if (isnan(state->plateau_loss) || loss < state->plateau_loss - settings->o->early_stopping_threshold) {
    state->plateau_loss = loss;
    state->plateau_count = 0;
  } else {
    state->plateau_count++;
  }
}

bool plm_train_state_add_evaluation(plm_train_state *state, const plm_train_settings *settings,
                                    const plm_record *metrics) {
  const double loss = plm_record_number(metrics, PLM_MEASURE_EVAL_LOSS);
  state->last_eval = *metrics;
  if (state->step == 0) state->first_eval_loss = loss;
  count_patience(state, settings, loss);
  state->evaluation_due = false;
  if (state->forgetting_said || state->step == 0 || state->updates < settings->schedule.W) return false;
  state->forgetting_said = loss > state->first_eval_loss;
  return state->forgetting_said;
}

void plm_train_state_set_best(plm_train_state *state, int64_t step, double eval_loss) {
  state->best_step = step;
  state->best_eval_loss = eval_loss;
}

/* ---- the guard's window: 64 doubles as one string of hex digits ---- */

static plm_status set_window(json_t *object, const char *name, const double *values) {
  char digits[PLM_GUARD_WINDOW * 16 + 1];
  for (int i = 0; i < PLM_GUARD_WINDOW; i++) {
    uint64_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    snprintf(digits + 16 * i, 17, "%016" PRIx64, bits);
  }
  if (json_object_set_new(object, name, json_string(digits)) == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "out of memory while writing \"%s\"", name);
}

static plm_status get_window(const json_t *object, const char *what, const char *name, double *ret_values) {
  const char *digits = "";
  PLM_TRY(plm_json_get_string(object, what, name, true, &digits));
  if (strlen(digits) != PLM_GUARD_WINDOW * 16 || strspn(digits, "0123456789abcdef") != PLM_GUARD_WINDOW * 16)
    return plm_fail(PLM_E_INPUT, "%s: \"%s\" must be %d hexadecimal digits", what, name, PLM_GUARD_WINDOW * 16);
  for (int i = 0; i < PLM_GUARD_WINDOW; i++) {
    uint64_t bits = 0;
    for (int j = 0; j < 16; j++) {
      char digit = digits[16 * i + j];
      bits = bits << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    memcpy(&ret_values[i], &bits, sizeof bits);
  }
  return PLM_OK;
}

/* ---- the last values of those measures that have a field of their own ---- */

static plm_status write_measures(json_t *object, const plm_record *record) {
  for (int i = 0; i < PLM_MEASURES; i++) {
    const char *name = plm_measure_at(i)->state;
    if (name != NULL) PLM_TRY(plm_json_set_exact(object, name, plm_record_number(record, i)));
  }
  return PLM_OK;
}

static plm_status read_measures(const json_t *object, const char *what, plm_record *record) {
  for (int i = 0; i < PLM_MEASURES; i++) {
    double value;
    if (plm_measure_at(i)->state == NULL) continue;
    PLM_TRY(plm_json_get_exact(object, what, plm_measure_at(i)->state, &value));
    plm_record_set(record, i, value);
  }
  return PLM_OK;
}

/* ---- fields ---- */

static plm_status write_field(json_t *object, const field *f, const plm_train_state *state) {
  const void *at = (const char *)state + f->offset;
  int failed = 0;
  switch (f->type) {
    case FIELD_RANKS:
      if (*(const int64_t *)at <= 1) return PLM_OK; /* as files from before there were several */
      /* fall through */
    case FIELD_INT:
    case FIELD_LATER_INT:
      failed = json_object_set_new(object, f->name, json_integer(*(const int64_t *)at));
      break;
    case FIELD_BOOL:
      failed = json_object_set_new(object, f->name, json_boolean(*(const bool *)at));
      break;
    case FIELD_TEXT:
      failed = json_object_set_new(object, f->name, json_string(at));
      break;
    case FIELD_EXACT:
      return plm_json_set_exact(object, f->name, *(const double *)at);
    case FIELD_WINDOW:
      return set_window(object, f->name, at);
    case FIELD_MEASURES:
      return write_measures(object, at);
  }
  return failed == 0 ? PLM_OK : plm_fail(PLM_E_RESOURCE, "out of memory while writing \"%s\"", f->name);
}

static plm_status read_field(const json_t *object, const char *what, const field *f, plm_train_state *state) {
  void *at = (char *)state + f->offset;
  const char *text = NULL;
  switch (f->type) {
    case FIELD_INT:
      return plm_json_get_int(object, what, f->name, true, INT64_MIN, INT64_MAX, at);
    case FIELD_LATER_INT:
      return plm_json_get_int(object, what, f->name, false, INT64_MIN, INT64_MAX, at);
    case FIELD_RANKS:
      return plm_json_get_int(object, what, f->name, false, 1, INT32_MAX, at);
    case FIELD_BOOL:
      return plm_json_get_bool(object, what, f->name, true, at);
    case FIELD_EXACT:
      return plm_json_get_exact(object, what, f->name, at);
    case FIELD_WINDOW:
      return get_window(object, what, f->name, at);
    case FIELD_MEASURES:
      return read_measures(object, what, at);
    case FIELD_TEXT:
      PLM_TRY(plm_json_get_string(object, what, f->name, true, &text));
      if (strlen(text) >= f->size) return plm_fail(PLM_E_INPUT, "%s: \"%s\" is too long", what, f->name);
      memcpy(at, text, strlen(text) + 1);
      return PLM_OK;
  }
  return PLM_OK;
}

plm_status plm_train_state_write(const plm_train_state *state, json_t **ret_document) {
  plm_status status = PLM_OK;
  json_t *object = json_object();
  if (object == NULL || json_object_set_new(object, "version", json_integer(STATE_VERSION)) != 0 ||
      json_object_set_new(object, "stream_version", json_integer(PLM_STREAM_VERSION)) != 0 ||
      (state->options != NULL && json_object_set(object, "options", state->options) != 0))
    status = plm_fail(PLM_E_RESOURCE, "out of memory while writing the state");
  for (int i = 0; i < FIELD_COUNT && status == PLM_OK; i++) status = write_field(object, &fields[i], state);
  if (status != PLM_OK) {
    json_decref(object);
    return status;
  }
  *ret_document = object;
  return PLM_OK;
}

static plm_status read_document(const json_t *document, const char *what, plm_train_state *state) {
  int64_t version = 0, stream_version = 0;
  PLM_TRY(plm_json_get_int(document, what, "version", true, 1, STATE_VERSION, &version));
  PLM_TRY(plm_json_get_int(document, what, "stream_version", true, 1, PLM_STREAM_VERSION, &stream_version));
  for (int i = 0; i < FIELD_COUNT; i++) {
    const field *f = &fields[i];
    if (f->since <= version)
      PLM_TRY(read_field(document, what, f, state));
    else
      memcpy((char *)state + f->offset, "unknown", sizeof "unknown"); /* texts only, so far */
  }
  json_t *options = json_object_get(document, "options");
  if (!json_is_object(options)) return plm_fail(PLM_E_INPUT, "%s: \"options\" is missing", what);
  if (state->step < 0 || state->updates < 0 || state->updates > state->step || state->guard.seen < 0)
    return plm_fail(PLM_E_INPUT, "%s: counters contradict each other", what);
  state->options = json_incref(options);
  return PLM_OK;
}

plm_status plm_train_state_read(const json_t *document, const char *what, plm_train_state *ret_state) {
  plm_train_state state;
  plm_train_state_init(&state);
  PLM_TRY(plm_as_checkpoint_failure(read_document(document, what, &state)));
  *ret_state = state;
  return PLM_OK;
}
