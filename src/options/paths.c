/* paths.c - one word that stands for several files: a list by commas, or a pattern that no shell has seen. It is no
 * file's name, and the line to type is said. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "options/internal.h"

/* ---- what is meant ---- */

/* What a word came apart into. */
typedef struct pieces {
  plm_string_list names;
  size_t there;        /* files of these names, where they are a list's */
  const char *example; /* one of them */
} pieces;

static plm_status add_piece(pieces *p, const char *piece, size_t length, plm_arena *memory) {
  char name[4096];
  const char *path;
  while (length > 0 && strchr(" \t\n", *piece) != NULL) piece++, length--;
  while (length > 0 && strchr(" \t\n", piece[length - 1]) != NULL) length--;
  if (length == 0 || length >= sizeof name) return PLM_OK;
  memcpy(name, piece, length);
  name[length] = '\0';
  PLM_TRY(plm_option_expand_home(name, name, memory, &path));
  PLM_TRY(plm_string_list_append(memory, &p->names, path));
  if (!plm_file_exists(path)) return PLM_OK;
  if (p->there++ == 0) p->example = p->names.items[p->names.count - 1];
  return PLM_OK;
}

static plm_status split_at(const char *item, const char *separators, plm_arena *memory, pieces *ret_pieces) {
  const char *rest = item, *word;
  size_t length;
  *ret_pieces = (pieces){0};
  while ((word = plm_option_next_word(&rest, separators, &length)) != NULL)
    PLM_TRY(add_piece(ret_pieces, word, length, memory));
  return PLM_OK;
}

/* "$HOME/x", "${DATA}/x": what the shell would have made of it, where that is a file. */
static plm_status expand_variable(const char *item, plm_arena *memory, pieces *ret_pieces) {
  char name[256], path[4096];
  const bool has_brace = item[0] == '$' && item[1] == '{';
  const char *from = item + 1 + has_brace;
  const size_t length = item[0] != '$' ? 0 : strcspn(from, has_brace ? "}" : "/.");
  *ret_pieces = (pieces){0};
  if (length == 0 || length >= sizeof name || (has_brace && from[length] != '}')) return PLM_OK;
  memcpy(name, from, length);
  name[length] = '\0';
  const char *value = getenv(name);
  if (value == NULL || snprintf(path, sizeof path, "%s%s", value, from + length + has_brace) >= (int)sizeof path)
    return PLM_OK;
  if (plm_file_exists(path)) PLM_TRY(add_piece(ret_pieces, path, strlen(path), memory));
  return PLM_OK;
}

/* "file:///data/x" */
static plm_status strip_scheme(const char *item, plm_arena *memory, pieces *ret_pieces) {
  static const char scheme[] = "file://";
  const char *path = item + sizeof scheme - 1;
  *ret_pieces = (pieces){0};
  if (strncmp(item, scheme, sizeof scheme - 1) != 0) return PLM_OK;
  if (strncmp(path, "localhost/", 10) == 0) path += 9;
  return plm_file_exists(path) ? add_piece(ret_pieces, path, strlen(path), memory) : PLM_OK;
}

static bool is_address(const char *item) {
  return strncmp(item, "https://", 8) == 0 || strncmp(item, "http://", 7) == 0 || strncmp(item, "ftp://", 6) == 0;
}

/* By commas, where one file is there; by semicolons or blanks, which mistyped names may hold too, where all are. */
static plm_status split_list(const char *item, plm_arena *memory, pieces *ret_pieces) {
  static const char *const separators[] = {",", ";", ":", " \t\n"};
  if (item[0] == '[') { /* as Python writes it */
    PLM_TRY(split_at(item, "[]'\",", memory, ret_pieces));
    if (ret_pieces->there > 0 && ret_pieces->there == ret_pieces->names.count) return PLM_OK;
  }
  for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
    if (strpbrk(item, separators[i]) == NULL) continue;
    PLM_TRY(split_at(item, separators[i], memory, ret_pieces));
    if (ret_pieces->there > 0 && (i == 0 || ret_pieces->there == ret_pieces->names.count)) return PLM_OK;
  }
  *ret_pieces = (pieces){0};
  return PLM_OK;
}

static bool is_pattern(const char *item) { return strpbrk(item, "*?[{") != NULL; }

static plm_status match_pattern(const char *item, plm_arena *memory, pieces *ret_pieces) {
  glob_t found;
  *ret_pieces = (pieces){0};
  if (!is_pattern(item) || glob(item, GLOB_BRACE | GLOB_NOCHECK, NULL, &found) != 0) return PLM_OK;
  plm_status status = PLM_OK;
  for (size_t i = 0; i < found.gl_pathc && status == PLM_OK; i++)
    if (plm_file_exists(found.gl_pathv[i]))
      status = plm_string_list_append(memory, &ret_pieces->names, found.gl_pathv[i]);
  globfree(&found);
  if (ret_pieces->names.count > 0) ret_pieces->example = ret_pieces->names.items[0];
  return status;
}

/* ---- the line to type ---- */

typedef struct mistake {
  const plm_option *option; /* NULL: positional */
  const plm_string_list *items;
  size_t at; /* of items */
  pieces found;
  bool is_list;    /* or a pattern */
  const char *why; /* the advice; NULL: the usual one */
  plm_option_source source;
} mistake;

/* A pattern for the shell to see: all is quoted but the pattern itself. */
static void write_pattern(const char *pattern, plm_text *out) {
  for (const char *c = pattern; *c != '\0'; c++) {
    const bool is_plain = (unsigned char)*c >= 0x80 || strchr(" \t\n'\"$&;()<>|\\`!#~", *c) == NULL;
    plm_text_append(out, is_plain ? "" : "\\");
    plm_text_append_bytes(out, c, 1);
  }
}

static void write_names(const mistake *m, const plm_string_list *names, size_t most, plm_text *out) {
  char word[PLM_SHELL_WORD];
  const bool is_yaml = m->source == PLM_FROM_CONFIG;
  for (size_t i = 0; i < names->count && i < most; i++) {
    plm_text_append(out, i == 0 ? "" : is_yaml ? ", " : " ");
    if (is_yaml)
      plm_option_yaml_write(names->items[i], out);
    else
      plm_text_append(out, plm_shell_word(names->items[i], word));
  }
  if (names->count > most) plm_text_append(out, ", ...");
}

/* All items, what was found in the place of the one that is wrong; "train: [a, b]" or "--train a b". */
static void write_line(const mistake *m, plm_text *out) {
  enum { MOST_MATCHES = 8 };
  const bool is_yaml = m->source == PLM_FROM_CONFIG;
  if (m->option != NULL) plm_text_printf(out, is_yaml ? "%s: [" : "--%s ", m->option->name);
  for (size_t i = 0; i < m->items->count; i++) {
    const plm_string_list alone = {.items = &m->items->items[i], .count = 1};
    plm_text_append(out, i == 0 ? "" : is_yaml ? ", " : " ");
    if (i != m->at)
      write_names(m, &alone, 1, out);
    else if (m->is_list || is_yaml)
      write_names(m, &m->found.names, m->is_list ? m->found.names.count : MOST_MATCHES, out);
    else
      write_pattern(m->items->items[i], out);
  }
  plm_text_append(out, is_yaml ? "]" : "");
}

static plm_status fail_one_for_several(const mistake *m, const char *place) {
  plm_text line = {0};
  char *words;
  const bool is_yaml = m->source == PLM_FROM_CONFIG;
  plm_status status;
  if (m->option != NULL) plm_text_printf(&line, is_yaml ? "%s " : "--%s ", m->option->name);
  PLM_TRY(plm_text_take(&line, &words));
  status = plm_fail(PLM_E_USAGE, "%s%s%.200s: no file has this name, but %.200s is there", place, words,
                    m->items->items[m->at], m->found.example);
  plm_free(words);
  write_line(m, &line);
  PLM_TRY(plm_text_take(&line, &words));
  const char *advice = m->why != NULL                      ? m->why
                       : is_yaml                           ? "list the files"
                       : m->source == PLM_FROM_ENVIRONMENT ? "the variable holds one name; on the command line"
                       : m->is_list                        ? "each file is a word of its own"
                                                           : "without the quotes the shell puts the names in its place";
  plm_hint(status, "%s: %s", advice, words);
  plm_free(words);
  return status;
}

static plm_status fail_address(const mistake *m, const char *place) {
  char word[PLM_SHELL_WORD];
  const char *item = m->items->items[m->at];
  plm_status status = plm_fail(PLM_E_USAGE, "%s%.200s: this is an address, and protlm fetches no data", place, item);
  return plm_hint(status, "fetch it first, and give the file: `curl -L -O %s`", plm_shell_word(item, word));
}

plm_status plm_option_check_files(const plm_option *option, const plm_string_list *items, plm_option_source source,
                                  const char *place, plm_arena *memory) {
  for (size_t i = 0; i < items->count; i++) {
    mistake m = {.option = option, .items = items, .at = i, .is_list = true, .source = source};
    if (plm_file_exists(items->items[i])) continue;
    PLM_TRY(split_list(items->items[i], memory, &m.found));
    if (m.found.names.count > 0) return fail_one_for_several(&m, place);
    if (is_address(items->items[i])) return fail_address(&m, place);
    m.why = "a file is given by its path";
    PLM_TRY(strip_scheme(items->items[i], memory, &m.found));
    if (m.found.names.count > 0) return fail_one_for_several(&m, place);
    m.why = "the shell alone puts variables in, and not between single quotes";
    PLM_TRY(expand_variable(items->items[i], memory, &m.found));
    if (m.found.names.count > 0) return fail_one_for_several(&m, place);
    m.why = NULL;
    m.is_list = false;
    PLM_TRY(match_pattern(items->items[i], memory, &m.found));
    if (m.found.names.count > 0) return fail_one_for_several(&m, place);
  }
  return PLM_OK;
}
