/* json.c - strict reading of JSON over jansson. Writing: json_write.c. */
#include "base/json.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

enum { LARGEST_FILE = 64 << 20, FILE_DEPTH = 100 };

/* ---- memory ---- */

/* jansson 2.14 takes a failed growth of its token buffer for success, and then runs past the token's end. So, where it
 * has our allocator, the first allocation that fails while it parses leaves it by longjmp. What it holds at that moment
 * we free ourselves: the blocks of a parse are a list, until the document is whole and lives on by its own rules. */
typedef struct block {
  struct block *previous, *next; /* NULL outside a parse */
} block;
enum { BLOCK_HEADER = 16 };
_Static_assert(sizeof(block) <= BLOCK_HEADER, "what follows the header is aligned for any object");

typedef struct parse {
  block list; /* a ring through this head */
  jmp_buf out_of_memory;
} parse;
static _Thread_local parse *current_parse;

static void *allocate(size_t bytes) {
  void *memory = NULL;
  parse *p = current_parse;
  plm_status status =
      bytes > SIZE_MAX - BLOCK_HEADER ? PLM_E_RESOURCE : plm_alloc_bytes(&memory, BLOCK_HEADER + bytes, 1);
  if (status != PLM_OK && p != NULL) longjmp(p->out_of_memory, 1);
  if (status != PLM_OK) return NULL;
  if (p != NULL) {
    block *b = memory;
    *b = (block){.previous = &p->list, .next = p->list.next};
    b->next->previous = b;
    p->list.next = b;
  }
  return (char *)memory + BLOCK_HEADER;
}

static void release(void *memory) {
  if (memory == NULL) return;
  block *b = (block *)(void *)((char *)memory - BLOCK_HEADER);
  if (b->next != NULL) {
    b->previous->next = b->next;
    b->next->previous = b->previous;
  }
  plm_free(b);
}

void plm_json_use_our_allocator(void) { json_set_alloc_funcs(allocate, release); }

/* Take every block out of the list; free them too when there is no document that owns them. */
static void end_parse(parse *p, bool keep) {
  for (block *b = p->list.next, *next; b != &p->list; b = next) {
    next = b->next;
    *b = (block){0};
    if (!keep) plm_free(b);
  }
  current_parse = NULL;
}

/* json_loadb, except that *ret_ran_out tells a lack of memory from a bad document. *p is the caller's: what a function
 * has itself changed since setjmp is indeterminate after longjmp (C17 7.13.2.1). */
static json_t *load(parse *p, const char *text, size_t bytes, size_t flags, json_error_t *error, bool *ret_ran_out) {
  p->list = (block){&p->list, &p->list};
  current_parse = p;
  if (setjmp(p->out_of_memory) != 0) {
    end_parse(p, false);
    *ret_ran_out = true;
    return NULL;
  }
  json_t *document = json_loadb(text, bytes, flags, error);
  end_parse(p, true);
  *ret_ran_out = document == NULL && error->text[0] == '\0'; /* of another allocator: it then finds no words */
  return document;
}

/* ---- parsing ---- */

/* jansson's own limit of nesting is fixed at 2048; ours is the caller's. Brackets in strings don't count. */
static plm_status check_depth(const char *text, size_t bytes, int max_depth, const char *what) {
  int depth = 0, line = 1;
  size_t line_start = 0;
  bool is_in_string = false;
  for (size_t i = 0; i < bytes; i++) {
    char c = text[i];
    if (c == '\n') {
      line++;
      line_start = i + 1;
    }
    if (is_in_string) {
      if (c == '\\') i++;
      if (c == '"') is_in_string = false;
      continue;
    }
    if (c == '"') is_in_string = true;
    if (c == '}' || c == ']') depth--;
    if ((c == '{' || c == '[') && ++depth > max_depth)
      return plm_fail(PLM_E_INPUT, "%s:%d:%zu: nested more than %d deep", what, line, i - line_start + 1, max_depth);
  }
  return PLM_OK;
}

static plm_status parse_text(const char *text, size_t bytes, int max_depth, size_t flags, const char *what,
                             json_t **ret_document) {
  PLM_TRY(check_depth(text, bytes, max_depth, what));
  parse p;
  json_error_t error;
  bool ran_out;
  json_t *document = load(&p, text, bytes, flags, &error, &ran_out);
  if (ran_out) return plm_fail(PLM_E_RESOURCE, "out of memory while reading %s", what);
  if (document != NULL) {
    *ret_document = document;
    return PLM_OK;
  }
  return plm_fail(PLM_E_INPUT, "%s:%d:%d: not valid JSON: %s", what, error.line, error.column, error.text);
}

plm_status plm_json_parse(const char *text, size_t bytes, int max_depth, const char *what, json_t **ret_document) {
  return parse_text(text, bytes, max_depth, JSON_REJECT_DUPLICATES, what, ret_document);
}

static plm_status load_file(const char *path, size_t flags, json_t **ret_document) {
  char *text;
  size_t bytes;
  PLM_TRY(plm_file_read(path, LARGEST_FILE, &text, &bytes));
  plm_status status = parse_text(text, bytes, FILE_DEPTH, flags, path, ret_document);
  plm_free(text);
  return status;
}

plm_status plm_json_load(const char *path, json_t **ret_document) {
  return load_file(path, JSON_REJECT_DUPLICATES, ret_document);
}

plm_status plm_json_load_wide(const char *path, json_t **ret_document) {
  return load_file(path, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, ret_document);
}

/* ---- members ---- */

static const char *kind_of(const json_t *value) {
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      return "an object";
    case JSON_ARRAY:
      return "an array";
    case JSON_STRING:
      return "a string";
    case JSON_INTEGER:
      return "an integer";
    case JSON_REAL:
      return "a number that is not an integer";
    case JSON_TRUE:
      return "true";
    case JSON_FALSE:
      return "false";
    case JSON_NULL:
      break;
  }
  return "null";
}

static plm_status fail_kind(const char *what, const char *name, const char *expected, const json_t *value) {
  return plm_fail(PLM_E_INPUT, "%s: \"%s\" must be %s, but it is %s", what, name, expected, kind_of(value));
}

/* *ret_value is NULL for an optional member that is absent or null. */
static plm_status find_member(const json_t *object, const char *what, const char *name, bool required,
                              const json_t **ret_value) {
  if (!json_is_object(object))
    return plm_fail(PLM_E_INPUT, "%s: an object was expected, in which \"%s\" is looked for", what, name);
  const json_t *value = json_object_get(object, name);
  if (json_is_null(value)) value = NULL;
  if (value == NULL && required) return plm_fail(PLM_E_INPUT, "%s: \"%s\" is missing", what, name);
  *ret_value = value;
  return PLM_OK;
}

plm_status plm_json_get_int(const json_t *object, const char *what, const char *name, bool required, int64_t min,
                            int64_t max, int64_t *ret_value) {
  const json_t *value;
  PLM_TRY(find_member(object, what, name, required, &value));
  if (value == NULL) return PLM_OK;
  if (!json_is_integer(value)) return fail_kind(what, name, "an integer", value);
  int64_t number = json_integer_value(value);
  if (number < min || number > max)
    return plm_fail(PLM_E_INPUT, "%s: \"%s\" is %" PRId64 ", but must be between %" PRId64 " and %" PRId64, what, name,
                    number, min, max);
  *ret_value = number;
  return PLM_OK;
}

plm_status plm_json_get_double(const json_t *object, const char *what, const char *name, bool required,
                               double *ret_value) {
  const json_t *value;
  PLM_TRY(find_member(object, what, name, required, &value));
  if (value == NULL) return PLM_OK;
  if (!json_is_number(value)) return fail_kind(what, name, "a number", value);
  *ret_value = json_number_value(value);
  return PLM_OK;
}

plm_status plm_json_get_bool(const json_t *object, const char *what, const char *name, bool required, bool *ret_value) {
  const json_t *value;
  PLM_TRY(find_member(object, what, name, required, &value));
  if (value == NULL) return PLM_OK;
  if (!json_is_boolean(value)) return fail_kind(what, name, "true or false", value);
  *ret_value = json_is_true(value);
  return PLM_OK;
}

plm_status plm_json_get_string(const json_t *object, const char *what, const char *name, bool required,
                               const char **ret_value) {
  const json_t *value;
  PLM_TRY(find_member(object, what, name, required, &value));
  if (value == NULL) return PLM_OK;
  if (!json_is_string(value)) return fail_kind(what, name, "a string", value);
  *ret_value = json_string_value(value);
  return PLM_OK;
}

/* ---- 64 bits as 16 hexadecimal digits ---- */

plm_status plm_json_set_exact(json_t *object, const char *name, double value) {
  uint64_t bits;
  char digits[17];
  memcpy(&bits, &value, sizeof bits);
  snprintf(digits, sizeof digits, "%016" PRIx64, bits);
  if (json_object_set_new(object, name, json_string(digits)) == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "out of memory while writing \"%s\"", name);
}

plm_status plm_json_get_exact(const json_t *object, const char *what, const char *name, double *ret_value) {
  const char *digits = NULL;
  PLM_TRY(plm_json_get_string(object, what, name, true, &digits));
  if (strlen(digits) != 16 || strspn(digits, "0123456789abcdef") != 16)
    return plm_fail(PLM_E_INPUT, "%s: \"%s\" must be 16 hexadecimal digits, but it is \"%.40s\"", what, name, digits);
  uint64_t bits = 0;
  for (int i = 0; i < 16; i++) bits = bits << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
  memcpy(ret_value, &bits, sizeof bits);
  return PLM_OK;
}
