/* foreign_header.c - records whose letters stand in the header. See foreign_file.h. */
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "data/read/foreign_internal.h"
#include "data/read/gzip_text.h"
#include "data/read/sequence_file.h"

enum { COLUMNS = PLM_FOREIGN_COLUMNS, HEADERS = 50, SHORTEST = 10 };

/* What of a header holds the letters, as the line that makes two lines of it; NULL: nothing does. */
static const char *header_filter(plm_foreign_line header) {
  static const struct {
    char delimiter;
    const char *filter;
  } ways[] = {
      {'\t', "awk -F'\\t' '/^>/{sub(/\\r$/,\"\"); print $1 \"\\n\" $NF}'"},
      {',', "awk -F, '/^>/{sub(/\\r$/,\"\"); print $1 \"\\n\" $NF}'"},
      {';', "awk -F';' '/^>/{sub(/\\r$/,\"\"); print $1 \"\\n\" $NF}'"},
      {'|', "awk -F'|' '/^>/{sub(/\\r$/,\"\"); print $1 \"\\n\" $NF}'"},
      {' ', "awk '/^>/{print $1 \"\\n\" $NF}'"},
  };
  plm_foreign_line fields[COLUMNS];
  bool quoted = false;
  if (plm_foreign_is_residues(header.text, header.bytes, SHORTEST))
    return "awk '/^>/{sub(/\\r$/,\"\"); print \">\" ++n \"\\n\" substr($0,2)}'";
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    int count = plm_foreign_split(header, ways[i].delimiter, fields, &quoted);
    if (count < 2 || count == COLUMNS) continue;
    if (plm_foreign_is_residues(fields[count - 1].text, fields[count - 1].bytes, SHORTEST)) return ways[i].filter;
  }
  return NULL;
}

/* The filter that mends all headers that are seen, or NULL; *ret_headers: how many. */
static const char *filter_of_headers(const plm_foreign_look *look, int most, int *ret_headers) {
  plm_foreign_line line;
  const char *filter = NULL;
  *ret_headers = 0;
  for (size_t at = 0; *ret_headers < most && plm_foreign_next_line(look, &at, &line);) {
    if (line.bytes < 2 || line.text[0] != '>') continue;
    const char *found = header_filter((plm_foreign_line){.text = line.text + 1, .bytes = line.bytes - 1});
    if (found == NULL || (filter != NULL && found != filter)) return NULL;
    filter = found;
    ++*ret_headers;
  }
  return filter;
}

static plm_status hint_headers(const plm_foreign_look *look, plm_status status) {
  int headers;
  const char *filter = filter_of_headers(look, HEADERS, &headers);
  if (filter != NULL)
    plm_foreign_file_hint(look->path, look->compressed, filter, "the letters stand in the header lines; move them: ");
  return status;
}

plm_status plm_foreign_header_check(const plm_foreign_look *look) {
  plm_foreign_line line;
  char counted[PLM_COUNTED_TEXT];
  int headers;
  if (look->bytes > PLM_FOREIGN_WHOLE || plm_sequence_file_is_regular(look->path)) return PLM_OK;
  for (size_t at = 0; plm_foreign_next_line(look, &at, &line);)
    if (line.bytes > 0 && line.text[0] != '>') return PLM_OK;
  if (filter_of_headers(look, INT_MAX, &headers) == NULL) return PLM_OK;
  plm_fail(PLM_E_INPUT, "%s: no sequence: %s without residues", plm_sequence_file_words(look->path),
           plm_counted(headers, "name", "names", counted));
  return hint_headers(look, PLM_E_INPUT);
}

static plm_status first_block(plm_gzip_text *text, plm_foreign_look *look) {
  PLM_TRY(plm_gzip_text_read(text, 1, &look->text, &look->bytes));
  look->compressed = plm_gzip_text_is_compressed(text);
  return PLM_OK;
}

plm_status plm_foreign_file_header_hint(const char *path, plm_status status) {
  plm_error_record first;
  plm_gzip_text *text;
  plm_foreign_look look = {.path = path};
  if (!plm_sequence_file_is_regular(path)) return status;
  plm_error_take(status, &first);
  plm_status opened = plm_gzip_text_open(path, 1, NULL, &text);
  plm_status read = opened == PLM_OK ? first_block(text, &look) : opened;
  status = plm_error_give(&first);
  if (read == PLM_OK) hint_headers(&look, status);
  if (opened == PLM_OK) status = plm_gzip_text_close(text, status);
  return status;
}
