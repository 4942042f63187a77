/* json_write.c - JSON as text: whole documents, and the lines of log.jsonl.
 *
 * jansson can write too, but prints 1e-05 as 1.0000000000000001e-05; ours writes the fewest digits that read back as
 * the same number, as Python does, so that a config.json of ours differs from Hugging Face's only where the model does.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

/* One character of `text` (`available` > 0 bytes) as it stands in a JSON string; *ret_used is what it took. Not valid
 * UTF-8: U+FFFD. */
static const char *escape(const char *text, size_t available, size_t *ret_used, char ret_escaped[8]) {
  size_t length = plm_utf8_length(text, available);
  *ret_used = length > 0 ? length : 1;
  if (length == 0) return "\\ufffd";
  unsigned char c = (unsigned char)*text;
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (c < 0x20 || c == 0x7f)
    snprintf(ret_escaped, 8, "\\u%04x", c);
  else
    snprintf(ret_escaped, 8, "%.*s", (int)length, text);
  return ret_escaped;
}

json_t *plm_json_string(const char *bytes) {
  plm_text text = {0};
  char *utf8;
  plm_text_append(&text, "");
  for (size_t i = 0, used, length = strlen(bytes); i < length; i += used) {
    size_t valid = plm_utf8_length(bytes + i, length - i);
    used = valid > 0 ? valid : 1;
    plm_text_append_bytes(&text, valid > 0 ? bytes + i : "\xEF\xBF\xBD", valid > 0 ? valid : 3);
  }
  if (plm_text_take(&text, &utf8) != PLM_OK) return NULL;
  json_t *string = json_string(utf8);
  plm_free(utf8);
  return string;
}

/* ---- documents ---- */

static void write_string(plm_text *out, const char *text, size_t length) {
  plm_text_append(out, "\"");
  for (size_t i = 0, used; i < length; i += used) {
    char escaped[8];
    plm_text_append(out, escape(text + i, length - i, &used, escaped));
  }
  plm_text_append(out, "\"");
}

/* A number that is not an integer keeps a point or an exponent, so that it is not one when read again. */
static void write_real(plm_text *out, double value) {
  char number[PLM_NUMBER_TEXT];
  plm_text_append(out, plm_number_text(value, number));
  if (strpbrk(number, ".e") == NULL) plm_text_append(out, ".0");
}

static void write_value(plm_text *out, const json_t *value, size_t indent);

static void new_line(plm_text *out, size_t indent) {
  plm_text_append(out, "\n");
  plm_text_repeat(out, ' ', indent);
}

static void write_object(plm_text *out, const json_t *object, size_t indent) {
  const char *name, *separator = "{";
  json_t *member;
  json_object_foreach((json_t *)(uintptr_t)object, name, member) {
    plm_text_append(out, separator);
    new_line(out, indent + 2);
    write_string(out, name, strlen(name));
    plm_text_append(out, ": ");
    write_value(out, member, indent + 2);
    separator = ",";
  }
  if (json_object_size(object) == 0)
    plm_text_append(out, "{");
  else
    new_line(out, indent);
  plm_text_append(out, "}");
}

static void write_array(plm_text *out, const json_t *array, size_t indent) {
  plm_text_append(out, "[");
  size_t count = json_array_size(array);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) plm_text_append(out, ",");
    new_line(out, indent + 2);
    write_value(out, json_array_get(array, i), indent + 2);
  }
  if (count > 0) new_line(out, indent);
  plm_text_append(out, "]");
}

static void write_value(plm_text *out, const json_t *value, size_t indent) {
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      write_object(out, value, indent);
      break;
    case JSON_ARRAY:
      write_array(out, value, indent);
      break;
    case JSON_STRING:
      write_string(out, json_string_value(value), json_string_length(value));
      break;
    case JSON_INTEGER:
      plm_text_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
      break;
    case JSON_REAL:
      write_real(out, json_real_value(value));
      break;
    case JSON_TRUE:
      plm_text_append(out, "true");
      break;
    case JSON_FALSE:
      plm_text_append(out, "false");
      break;
    case JSON_NULL:
      plm_text_append(out, "null");
      break;
  }
}

plm_status plm_json_dump(const json_t *document, char **ret_text) {
  PLM_ASSERT(document != NULL); /* what an allocation failure while building it leaves */
  plm_text out = {0};
  write_value(&out, document, 0);
  plm_text_append(&out, "\n");
  return plm_text_take(&out, ret_text);
}

plm_status plm_json_create(const char *directory, const char *name, const json_t *document, char *ret_hash,
                           int64_t *ret_bytes) {
  char *text;
  PLM_TRY(plm_json_dump(document, &text));
  plm_status status = plm_file_create(directory, name, text, ret_hash, ret_bytes);
  plm_free(text);
  return status;
}

plm_status plm_json_replace(const char *directory, const char *name, const json_t *document) {
  char *text;
  PLM_TRY(plm_json_dump(document, &text));
  plm_status status = plm_file_replace_text(directory, name, text);
  plm_free(text);
  return status;
}

/* ---- lines ---- */

enum { CLOSING = 3 }; /* "}\n" and the NUL must still fit */

static bool put(plm_json_line *line, const char *words) {
  size_t length = strlen(words);
  if (line->length + length + CLOSING > sizeof line->text) return false;
  memcpy(line->text + line->length, words, length + 1);
  line->length += length;
  return true;
}

static bool put_string(plm_json_line *line, const char *text) {
  size_t length = strlen(text);
  bool fits = put(line, "\"");
  for (size_t i = 0, used; fits && i < length; i += used) {
    char escaped[8];
    fits = put(line, escape(text + i, length - i, &used, escaped));
  }
  return fits && put(line, "\"");
}

/* `,"name":value`; a member that does not fit is left out whole and remembered. */
static void put_member(plm_json_line *line, const char *name, const char *value) {
  size_t before = line->length;
  if (put(line, before > 1 ? "," : "") && put_string(line, name) && put(line, ":") && put(line, value)) return;
  line->truncated = true;
  line->length = before;
  line->text[before] = '\0';
}

void plm_json_line_begin(plm_json_line *line) {
  line->text[0] = '{';
  line->text[1] = '\0';
  line->length = 1;
  line->truncated = false;
}

void plm_json_line_int(plm_json_line *line, const char *name, int64_t value) {
  char number[PLM_NUMBER_TEXT];
  snprintf(number, sizeof number, "%" PRId64, value);
  put_member(line, name, number);
}

void plm_json_line_number(plm_json_line *line, const char *name, double value) {
  char number[PLM_NUMBER_TEXT];
  put_member(line, name, isfinite(value) ? plm_number_digits(value, 9, number) : "null");
}

plm_status plm_json_line_end(plm_json_line *line) {
  memcpy(line->text + line->length, "}\n", CLOSING);
  line->length += 2;
  if (line->truncated) return plm_fail(PLM_E_BUG, "a line of JSON has more than %zu bytes", sizeof line->text);
  return PLM_OK;
}
