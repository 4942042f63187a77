/* config.c - a configuration file: YAML, one mapping of option names to scalars or lists of scalars.
 *
 * All the rest of YAML is refused with its place: nesting, anchors, tags, several documents, names given twice. A value
 * of null (or none) leaves the option as it is. Scalars are read as texts and then like words of the command line, so
 * `yes` is no trap and 16K works. A wrong name or value is PLM_E_USAGE, as on the command line; a file that cannot be
 * read or is no YAML is PLM_E_INPUT.
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "options/internal.h"

enum { LARGEST_FILE = 1 << 20, LONGEST_PLACE = 300 };

typedef struct reader {
  plm_option_values *values;
  const char *path;
  yaml_parser_t parser;
  char name[PLM_LONGEST_OPTION + 1]; /* the key, as it was written */
  int *line;                         /* [table->count] where an option was given, 0 = not yet */
} reader;

static plm_status fail_at(const reader *r, plm_status code, yaml_mark_t mark, const char *words) {
  return plm_fail(code, "%s:%zu:%zu: %s", r->path, mark.line + 1, mark.column + 1, words);
}

static plm_status next_event(reader *r, yaml_event_t *ret_event) {
  if (yaml_parser_parse(&r->parser, ret_event)) return PLM_OK;
  const yaml_parser_t *p = &r->parser;
  if (p->error == YAML_MEMORY_ERROR) return plm_fail(PLM_E_RESOURCE, "out of memory while reading %s", r->path);
  const char *problem = p->problem != NULL ? p->problem : "it cannot be read";
  if (p->context != NULL && strstr(p->context, "alias") != NULL) { /* *.fasta */
    plm_status status = plm_fail(PLM_E_INPUT, "%s:%zu:%zu: a word that begins with * means something else in YAML",
                                 r->path, p->problem_mark.line + 1, p->problem_mark.column + 1);
    return plm_hint(status, "list the files one by one, as in train: [a.fasta, b.fasta]");
  }
  if (p->error == YAML_READER_ERROR)
    return plm_fail(PLM_E_INPUT, "%s: not valid YAML at byte %zu: %s", r->path, p->problem_offset, problem);
  return plm_fail(PLM_E_INPUT, "%s:%zu:%zu: not valid YAML: %s", r->path, p->problem_mark.line + 1,
                  p->problem_mark.column + 1, problem);
}

/* What an event must be, and what the reader says if it is not. */
static plm_status expect_scalar(const reader *r, const yaml_event_t *event, const char *otherwise) {
  if (event->type == YAML_ALIAS_EVENT)
    return fail_at(r, PLM_E_INPUT, event->start_mark, "aliases (*name) are not supported: write the value");
  if (event->type != YAML_SCALAR_EVENT) return fail_at(r, PLM_E_INPUT, event->start_mark, otherwise);
  if (event->data.scalar.anchor != NULL)
    return fail_at(r, PLM_E_INPUT, event->start_mark, "anchors (&name) are not supported");
  if (event->data.scalar.tag != NULL)
    return fail_at(r, PLM_E_INPUT, event->start_mark, "tags (!name) are not supported");
  if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
    return fail_at(r, PLM_E_INPUT, event->start_mark, "a value with a NUL character");
  return PLM_OK;
}

static bool is_null(const yaml_event_t *event) {
  const char *text = (const char *)event->data.scalar.value;
  if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 ||
         strcmp(text, "NULL") == 0;
}

/* A name that is no option's. What stands behind it decides about the words. */
static plm_status fail_unknown_key(reader *r, const yaml_event_t *key) {
  char place[LONGEST_PLACE], words[LONGEST_PLACE];
  yaml_event_t next;
  const char *name = (const char *)key->data.scalar.value;
  snprintf(place, sizeof place, "%.200s:%zu:%zu: ", r->path, key->start_mark.line + 1, key->start_mark.column + 1);
  snprintf(words, sizeof words, "%.100s", name);
  PLM_TRY(next_event(r, &next));
  const char *value = next.type != YAML_SCALAR_EVENT ? NULL
                      : is_null(&next)               ? "null"
                                                     : (const char *)next.data.scalar.value;
  plm_status status = plm_option_fail_unknown(r->values->table, words, name, value, 0, place);
  if (next.type == YAML_MAPPING_START_EVENT && plm_option_foreign_advice(r->values->table, name, NULL) == NULL)
    plm_hint(status, "options stand at the top level of the file, not below %s:", words);
  yaml_event_delete(&next);
  return status;
}

static plm_status find_key(reader *r, const yaml_event_t *key, const plm_option **ret_option) {
  PLM_TRY(expect_scalar(r, key, "an option's name was expected"));
  const char *name = (const char *)key->data.scalar.value;
  const plm_option *option = strlen(name) > 1 ? plm_option_find(r->values->table, name) : NULL;
  char words[LONGEST_PLACE];
  if (option == NULL) return fail_unknown_key(r, key);
  if (option->command_line_only) {
    snprintf(words, sizeof words, "%s belongs on the command line, not into a file", option->name);
    return fail_at(r, PLM_E_USAGE, key->start_mark, words);
  }
  int *line = &r->line[option - r->values->table->options];
  if (*line != 0) {
    snprintf(words, sizeof words, "%s is given twice: also on line %d", option->name, *line);
    return fail_at(r, PLM_E_USAGE, key->start_mark, words);
  }
  *line = (int)key->start_mark.line + 1;
  snprintf(r->name, sizeof r->name, "%.64s", name);
  *ret_option = option;
  return PLM_OK;
}

static plm_status apply_scalar(reader *r, const plm_option *option, const yaml_event_t *event) {
  const char *text = (const char *)event->data.scalar.value;
  char subject[2 * LONGEST_PLACE];
  snprintf(subject, sizeof subject, *text != '\0' ? "%.200s:%zu:%zu: %s %.100s" : "%.200s:%zu:%zu: %s '%s'", r->path,
           event->start_mark.line + 1, event->start_mark.column + 1, option->name, text);
  return plm_option_apply(r->values, option, r->name, text, PLM_FROM_CONFIG, subject);
}

/* `mark` is where the value begins. */
static plm_status check_files(const reader *r, const plm_option *option, yaml_mark_t mark) {
  char place[LONGEST_PLACE];
  if (option->type != PLM_OPT_PATHS || !plm_option_is_path(option)) return PLM_OK;
  snprintf(place, sizeof place, "%.200s:%zu:%zu: ", r->path, mark.line + 1, mark.column + 1);
  return plm_option_check_files(option, plm_option_list(r->values, option->offset), PLM_FROM_CONFIG, place,
                                r->values->memory);
}

/* The items of a list, after its start. */
static plm_status read_list(reader *r, const plm_option *option) {
  PLM_TRY(plm_option_apply_empty_list(r->values, option, PLM_FROM_CONFIG));
  for (;;) {
    yaml_event_t event;
    PLM_TRY(next_event(r, &event));
    bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
    plm_status status = is_end ? PLM_OK : expect_scalar(r, &event, "a list may hold only plain values");
    if (status == PLM_OK && !is_end) status = apply_scalar(r, option, &event);
    yaml_event_delete(&event);
    PLM_TRY(status);
    if (is_end) return PLM_OK;
  }
}

static plm_status read_value(reader *r, const plm_option *option) {
  yaml_event_t event;
  char words[LONGEST_PLACE];
  PLM_TRY(next_event(r, &event));
  plm_status status;
  if (event.type == YAML_SEQUENCE_START_EVENT && option->type == PLM_OPT_PATHS &&
      event.data.sequence_start.anchor == NULL) {
    status = read_list(r, option);
  } else if (event.type == YAML_SEQUENCE_START_EVENT && option->type != PLM_OPT_PATHS) {
    snprintf(words, sizeof words, "%s takes one value, not a list", option->name);
    status = fail_at(r, PLM_E_USAGE, event.start_mark, words);
  } else {
    snprintf(words, sizeof words, "the value of %s must not be nested or anchored", option->name);
    status = expect_scalar(r, &event, words);
    if (status != PLM_OK && event.type == YAML_MAPPING_START_EVENT)
      plm_hint(status, "options stand at the top level of the file, not below %s:", option->name);
    if (status == PLM_OK && !is_null(&event)) status = apply_scalar(r, option, &event);
  }
  if (status == PLM_OK) status = check_files(r, option, event.start_mark);
  yaml_event_delete(&event);
  return status;
}

/* The pairs of the mapping, after its start. */
static plm_status read_pairs(reader *r) {
  for (;;) {
    yaml_event_t key;
    const plm_option *option = NULL;
    PLM_TRY(next_event(r, &key));
    bool is_end = key.type == YAML_MAPPING_END_EVENT;
    plm_status status = is_end ? PLM_OK : find_key(r, &key, &option);
    yaml_event_delete(&key);
    PLM_TRY(status);
    if (is_end) return PLM_OK;
    PLM_TRY(read_value(r, option));
  }
}

/* What stands around the mapping: one document or none, which is empty or a mapping. */
static plm_status read_stream(reader *r) {
  int documents = 0;
  for (;;) {
    yaml_event_t event;
    PLM_TRY(next_event(r, &event));
    yaml_event_type_t type = event.type;
    yaml_mark_t mark = event.start_mark;
    bool is_empty = type == YAML_SCALAR_EVENT && is_null(&event);
    yaml_event_delete(&event);
    if (type == YAML_STREAM_END_EVENT) return PLM_OK;
    if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT || is_empty) continue;
    if (type == YAML_DOCUMENT_START_EVENT) {
      if (++documents > 1) return fail_at(r, PLM_E_INPUT, mark, "a second document; one is allowed");
      continue;
    }
    if (type != YAML_MAPPING_START_EVENT)
      return fail_at(r, PLM_E_INPUT, mark, "lines of the form `name: value` were expected");
    PLM_TRY(read_pairs(r));
  }
}

plm_status plm_options_read_config(plm_option_values *values, const char *path) {
  reader r = {.values = values, .path = path};
  char *text = NULL;
  size_t bytes;
  plm_status status;
  PLM_TRY_GOTO(PLM_NEW(&r.line, values->table->count), done);
  PLM_TRY_GOTO(plm_stream_read(path, LARGEST_FILE, &text, &bytes), done);
  if (!yaml_parser_initialize(&r.parser)) {
    status = plm_fail(PLM_E_RESOURCE, "out of memory while reading %s", path);
    goto done;
  }
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
  status = read_stream(&r);
  yaml_parser_delete(&r.parser);
done:
  plm_free(text);
  plm_free(r.line);
  return status;
}
