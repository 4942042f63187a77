/* data.c - what a run directory says about the run. Everything but the directory itself may be missing: a report
 * of a run that is still going, or that died at its first step, shows what there is. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/file.h"
#include "report/internal.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

/* ---- log.jsonl ---- */

static plm_status add_line(plm_report_run *run, size_t *capacity, const json_t *json) {
  plm_record record;
  void *values = NULL;
  plm_record_from_json(json, &record);
  PLM_TRY(plm_arena_alloc(run->memory, (size_t)plm_measure_count() * sizeof(double), &values));
  for (int i = 0; i < plm_measure_count(); i++) ((double *)values)[i] = plm_record_number(&record, i);
  PLM_TRY(PLM_GROW(&run->lines, capacity, run->line_count + 1));
  run->lines[run->line_count++] = (plm_report_line){
      .is_eval = record.cell[PLM_MEASURE_EVAL_LOSS].kind != PLM_CELL_EMPTY,
      .value = values,
  };
  return PLM_OK;
}

static plm_status read_lines(plm_log_reader *reader, plm_report_run *run) {
  size_t capacity = 0;
  for (;;) {
    const char *text;
    size_t bytes;
    int64_t step;
    json_t *json = NULL;
    PLM_TRY(plm_log_reader_next(reader, &text, &bytes, &step, &json));
    if (text == NULL) return PLM_OK;
    plm_status status = add_line(run, &capacity, json);
    json_decref(json);
    PLM_TRY(status);
  }
}

static plm_status read_log(plm_report_run *run) {
  plm_log_reader reader = {0};
  char *path;
  PLM_TRY(plm_path_join(run->directory, PLM_LOG_NAME, &path));
  plm_status status = plm_log_reader_open(path, &reader);
  if (status == PLM_OK) status = read_lines(&reader, run);
  plm_log_reader_close(&reader);
  plm_free(path);
  return status;
}

/* ---- config.yaml ---- */

static bool is_null(const yaml_node_t *node) {
  const char *value = (const char *)node->data.scalar.value;
  return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (strcmp(value, "null") == 0 || strcmp(value, "~") == 0);
}

static void append_scalar(const yaml_node_t *node, plm_text *text) {
  if (node != NULL && node->type == YAML_SCALAR_NODE && !is_null(node))
    plm_text_append_bytes(text, (const char *)node->data.scalar.value, node->data.scalar.length);
}

/* A scalar as it stands, null as nothing; a list as its items, separated by spaces. */
static void node_text(yaml_document_t *document, const yaml_node_t *node, plm_text *text) {
  append_scalar(node, text);
  if (node->type != YAML_SEQUENCE_NODE) return;
  for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
    if (item > node->data.sequence.items.start) plm_text_append(text, " ");
    append_scalar(yaml_document_get_node(document, *item), text);
  }
}

static plm_status keep_text(plm_report_run *run, yaml_document_t *document, const yaml_node_t *node,
                            const char **ret_text) {
  plm_text text = {0};
  plm_text_append(&text, "");
  if (node != NULL) node_text(document, node, &text);
  plm_status status = text.status;
  if (status == PLM_OK) status = plm_arena_strdup(run->memory, text.data, ret_text);
  plm_text_free(&text);
  return status;
}

static plm_status add_setting(plm_report_run *run, size_t *capacity, yaml_document_t *document,
                              const yaml_node_pair_t *pair) {
  const yaml_node_t *key = yaml_document_get_node(document, pair->key),
                    *value = yaml_document_get_node(document, pair->value), *first = value;
  if (key == NULL || value == NULL || key->type != YAML_SCALAR_NODE) return PLM_OK;
  plm_setting setting = {.count = 1};
  if (value->type == YAML_SEQUENCE_NODE) {
    const yaml_node_item_t *start = value->data.sequence.items.start;
    setting.count = (size_t)(value->data.sequence.items.top - start);
    first = setting.count > 0 ? yaml_document_get_node(document, *start) : NULL;
  }
  PLM_TRY(plm_arena_strdup(run->memory, (const char *)key->data.scalar.value, &setting.name));
  PLM_TRY(keep_text(run, document, value, &setting.value));
  PLM_TRY(keep_text(run, document, first, &setting.first));
  PLM_TRY(PLM_GROW(&run->settings, capacity, run->setting_count + 1));
  run->settings[run->setting_count++] = setting;
  return PLM_OK;
}

static plm_status parse_settings(plm_report_run *run, const char *yaml, size_t bytes) {
  yaml_parser_t parser;
  yaml_document_t document;
  size_t capacity = 0;
  plm_status status = PLM_OK;
  if (!yaml_parser_initialize(&parser)) return plm_fail(PLM_E_RESOURCE, "out of memory: config.yaml");
  yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, bytes);
  if (yaml_parser_load(&parser, &document)) {
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root != NULL && root->type == YAML_MAPPING_NODE)
      for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
           pair < root->data.mapping.pairs.top && status == PLM_OK; pair++)
        status = add_setting(run, &capacity, &document, pair);
    yaml_document_delete(&document);
  }
  yaml_parser_delete(&parser);
  return status;
}

static plm_status read_settings(plm_report_run *run) {
  char *path, *yaml = NULL;
  size_t bytes = 0;
  PLM_TRY(plm_path_join(run->directory, "config.yaml", &path));
  plm_status status = plm_file_exists(path) ? plm_file_read(path, MAX_CONFIG_BYTES, &yaml, &bytes) : PLM_OK;
  if (status == PLM_OK && yaml != NULL) status = parse_settings(run, yaml, bytes);
  plm_free(yaml);
  plm_free(path);
  return status;
}

const plm_setting *plm_report_find_setting(const plm_report_run *run, const char *name) {
  for (size_t i = 0; i < run->setting_count; i++)
    if (strcmp(run->settings[i].name, name) == 0) return run->settings[i].value[0] != '\0' ? &run->settings[i] : NULL;
  return NULL;
}

const char *plm_report_setting(const plm_report_run *run, const char *name) {
  const plm_setting *setting = plm_report_find_setting(run, name);
  return setting != NULL ? setting->value : NULL;
}

/* ---- the other files ---- */

/* A JSON file that is absent or not JSON is no document, and no reason to have no report. */
static plm_status read_json(const char *directory, const char *name, json_t **ret_document) {
  char *path;
  PLM_TRY(plm_path_join(directory, name, &path));
  plm_status status = plm_file_exists(path) ? plm_json_load(path, ret_document) : PLM_OK;
  plm_free(path);
  if (status != PLM_E_INPUT) return status;
  plm_error_clear();
  return PLM_OK;
}

/* How far the run was to go: from the newest checkpoint, else from the options. */
static plm_status find_max_steps(plm_report_run *run) {
  json_t *state = NULL;
  run->max_steps = -1;
  if (run->checkpoint_count > 0) PLM_TRY(read_json(run->checkpoints[0].path, "trainer_state.json", &state));
  const json_t *max_steps = json_object_get(state, "max_steps");
  if (json_is_integer(max_steps)) run->max_steps = json_integer_value(max_steps);
  json_decref(state);
  const char *option = plm_report_setting(run, "max-steps"), *end;
  double number;
  if (run->max_steps < 0 && option != NULL && plm_number_parse(option, &end, &number) && *end == '\0' &&
      number < 0x1p62)
    run->max_steps = (int64_t)number;
  return PLM_OK;
}

static plm_status read_directory_name(const char *directory, plm_report_run *run) {
  size_t length = strlen(directory);
  while (length > 1 && directory[length - 1] == '/') length--;
  void *copy = NULL;
  PLM_TRY(plm_arena_alloc(run->memory, length + 1, &copy));
  memcpy(copy, directory, length);
  run->directory = copy;
  run->name = plm_path_name(run->directory);
  return PLM_OK;
}

plm_status plm_report_run_read(const char *directory, plm_report_run *ret_run) {
  plm_report_run run = {.max_steps = -1};
  char *final = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_arena_create(&run.memory), fail);
  PLM_TRY_GOTO(read_directory_name(directory, &run), fail);
  PLM_TRY_GOTO(plm_checkpoint_list(directory, false, &run.checkpoints, &run.checkpoint_count), fail);
  PLM_TRY_GOTO(read_log(&run), fail);
  PLM_TRY_GOTO(read_settings(&run), fail);
  PLM_TRY_GOTO(read_json(directory, "env.json", &run.environment), fail);
  PLM_TRY_GOTO(find_max_steps(&run), fail);
  PLM_TRY_GOTO(plm_path_join(directory, "final", &final), fail);
  run.has_final = plm_file_is_directory(final);
  plm_free(final);
  *ret_run = run;
  return PLM_OK;
fail:
  plm_report_run_free(&run);
  return status;
}

void plm_report_run_free(plm_report_run *run) {
  plm_checkpoint_list_free(run->checkpoints, run->checkpoint_count);
  json_decref(run->environment);
  plm_free(run->settings);
  plm_free(run->lines);
  plm_arena_destroy(run->memory);
  *run = (plm_report_run){0};
}

/* ---- questions ---- */

const plm_report_line *plm_report_last(const plm_report_run *run, bool is_eval) {
  for (size_t i = run->line_count; i-- > 0;)
    if (run->lines[i].is_eval == is_eval) return &run->lines[i];
  return NULL;
}

const plm_report_line *plm_report_best_eval(const plm_report_run *run) {
  const plm_report_line *best = NULL;
  for (size_t i = 0; i < run->line_count; i++) {
    const plm_report_line *line = &run->lines[i];
    if (!line->is_eval || !isfinite(plm_report_value(line, PLM_MEASURE_EVAL_LOSS))) continue;
    if (best == NULL || plm_report_value(line, PLM_MEASURE_EVAL_LOSS) < plm_report_value(best, PLM_MEASURE_EVAL_LOSS))
      best = line;
  }
  return best;
}

const plm_report_line *plm_report_eval_at(const plm_report_run *run, int64_t step) {
  for (size_t i = 0; i < run->line_count; i++)
    if (run->lines[i].is_eval && plm_report_value(&run->lines[i], PLM_MEASURE_STEP) == (double)step)
      return &run->lines[i];
  return NULL;
}
