/* internal.h - what the chapters of the option table share. Only src/options includes it. */
#ifndef PLM_OPTIONS_INTERNAL_H
#define PLM_OPTIONS_INTERNAL_H

#include "base/alloc.h"
#include "base/text.h"
#include "protlm/options.h"

enum { PLM_LONGEST_OPTION = 64 }; /* longer names are not even compared */

/* One value of any type; the member is chosen by the option's type. PATHS: `string` is one item. */
typedef struct plm_option_value {
  bool flag;
  int64_t integer;
  double number;
  const char *string; /* NULL = not given */
} plm_option_value;

/* value.c: text to value and back. `subject` begins the message ("--seed x"); strings are copied into `memory`. */
PLM_CHECKED plm_status plm_option_value_parse(const plm_option *option, const char *text, const char *subject,
                                              plm_arena *memory, plm_option_value *ret_value);
/* all types but PATHS */
void plm_option_value_load(const plm_option *option, const void *options, plm_option_value *ret_value);
/* all types but PATHS */
void plm_option_value_store(const plm_option *option, void *options, const plm_option_value *value);
bool plm_option_value_equal(const plm_option *option, const plm_option_value *a, const plm_option_value *b);
void plm_option_value_write(const plm_option *option, const plm_option_value *value, plm_text *out);
void plm_option_range_write(const plm_option *option, plm_text *out); /* "must be at least 1"; nothing without limits */

bool plm_option_flag_read(const char *text, bool *ret_flag); /* "true", "no", "1"; false: none of these */
bool plm_option_is_path(const plm_option *option);
/* plm_path_expand_home into `memory` */
PLM_CHECKED plm_status plm_option_expand_home(const char *text, const char *subject, plm_arena *memory,
                                              const char **ret_path);

/* options.c */
/* words of aliases and choices; NULL at the end */
const char *plm_option_next_word(const char **rest, const char *separators, size_t *ret_length);
/* no default, and nobody gave one */
bool plm_option_is_unset(const plm_option_values *values, const plm_option *option);
plm_string_list *plm_option_list(const plm_option_values *values, size_t offset);
PLM_CHECKED plm_status plm_string_list_append(plm_arena *memory, plm_string_list *list, const char *item);
/* Set by an option that is known, under the `name` that was written. `subject` begins the messages. */
PLM_CHECKED plm_status plm_option_apply(plm_option_values *values, const plm_option *option, const char *name,
                                        const char *text, plm_option_source source, const char *subject);
PLM_CHECKED plm_status plm_option_apply_empty_list(plm_option_values *values, const plm_option *option,
                                                   plm_option_source source);
/* for a name of other programs, `no-` before it or not; NULL. value: what was given to it, NULL = not known */
const char *plm_option_foreign_advice(const plm_option_table *table, const char *name, const char *value);
/* PLM_E_USAGE with the nearest name or the advice for a foreign one. `spelled` is shown, `dashes` (0, 1, 2) stand
 * before suggestions. */
plm_status plm_option_fail_unknown(const plm_option_table *table, const char *spelled, const char *name,
                                   const char *value, int dashes, const char *where);

/* paths.c */
/* PLM_E_USAGE with the line to type where one of `items` is no file's name but stands for several. option: NULL for
 * positional arguments; `place` begins the message. */
PLM_CHECKED plm_status plm_option_check_files(const plm_option *option, const plm_string_list *items,
                                              plm_option_source source, const char *place, plm_arena *memory);

/* yaml_write.c: quoted where need be */
void plm_option_yaml_write(const char *text, plm_text *out);

/* help.c: how help, man page and completions name an option's value: its `argument`, or one for its type; ""
 * for flags. */
const char *plm_option_argument(const plm_option *option);
bool plm_option_is_on_by_default(const plm_option *option); /* a flag shown as --[no-]name */

#endif
