/* json.h - JSON: strict reading with messages a person can use (over jansson), and one-line writing.
 *
 * Documents are jansson's json_t: what jansson gives, it takes back, and nothing of it is given to plm_free.
 */
#ifndef PLM_BASE_JSON_H
#define PLM_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "protlm/status.h"

/* Have jansson allocate by base/alloc, for the whole process and before its first document: for `main` of our programs.
 * A program that uses jansson itself keeps its allocator, and this code works with it. */
void plm_json_use_our_allocator(void);

/* Parse `bytes` bytes: UTF-8, no duplicate names, nothing after the document but white space, nesting at most
 * `max_depth`. `what` names the source in messages ("config.json"), which give line and column. Free with json_decref.
 * PLM_E_INPUT. */
PLM_CHECKED plm_status plm_json_parse(const char *text, size_t bytes, int max_depth, const char *what,
                                      json_t **ret_document);
PLM_CHECKED plm_status plm_json_load(const char *path, json_t **ret_document); /* a file, at most 64 MiB */

/* The same where integers may be wider than 64 bits (transformers writes 1e30 so): every number is a double. */
PLM_CHECKED plm_status plm_json_load_wide(const char *path, json_t **ret_document);

/* Members of an object. `what` names the source. Absent or null: *ret_value is left as it is (set the default first)
 * unless `required`. Wrong type or out of range is PLM_E_INPUT naming the member. Integers must be JSON integers (1.0
 * is not). */
PLM_CHECKED plm_status plm_json_get_int(const json_t *object, const char *what, const char *name, bool required,
                                        int64_t min, int64_t max, int64_t *ret_value);
PLM_CHECKED plm_status plm_json_get_double(const json_t *object, const char *what, const char *name, bool required,
                                           double *ret_value);
PLM_CHECKED plm_status plm_json_get_bool(const json_t *object, const char *what, const char *name, bool required,
                                         bool *ret_value);
PLM_CHECKED plm_status plm_json_get_string(const json_t *object, const char *what, const char *name, bool required,
                                           const char **ret_value); /* borrowed */

/* A double that must survive exactly is stored as its bits, a hex string. */
PLM_CHECKED plm_status plm_json_set_exact(json_t *object, const char *name, double value);
PLM_CHECKED plm_status plm_json_get_exact(const json_t *object, const char *what, const char *name, double *ret_value);

/* A string of bytes that somebody else chose: names of files, of sequences, of machines. What is not valid UTF-8, which
 * json_string and json_pack refuse as they do a lack of memory, becomes U+FFFD. New reference; NULL only when out of
 * memory. */
json_t *plm_json_string(const char *bytes);

/* Text of a document, indented by 2 and ending in a newline; keys in insertion order. Free with plm_free. */
PLM_CHECKED plm_status plm_json_dump(const json_t *document, char **ret_text);

/* The same as a file of `directory`: a new one (plm_file_create), or in place of what was there
 * (plm_file_replace_text). */
PLM_CHECKED plm_status plm_json_create(const char *directory, const char *name, const json_t *document, char *ret_hash,
                                       int64_t *ret_bytes);
PLM_CHECKED plm_status plm_json_replace(const char *directory, const char *name, const json_t *document);

/* ---- one line of log.jsonl: fixed buffer, 9 significant digits, non-finite numbers are null ---- */
typedef struct plm_json_line {
  char text[4096]; /* always a valid prefix; `{"step":1,"loss":2.5` */
  size_t length;
  bool truncated;
} plm_json_line;
void plm_json_line_begin(plm_json_line *line);
void plm_json_line_int(plm_json_line *line, const char *name, int64_t value);
void plm_json_line_number(plm_json_line *line, const char *name, double value);
PLM_CHECKED plm_status plm_json_line_end(plm_json_line *line); /* adds "}\n"; PLM_E_BUG if it did not fit */

#endif
