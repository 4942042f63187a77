/* foreign_table.c - tables of columns, bare lists of sequences, and records whose letters stand in the header. See
 * foreign_file.h.
 *
 * A table is one if its first rows have equally many fields and one column holds nothing but sequences.
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/read/foreign_internal.h"
#include "data/read/gzip_text.h"
#include "data/read/sequence_file.h"

enum { COLUMNS = 128, ROWS = 50, SHORTEST = 10, SHORTEST_NAMED = 2 };

/* ---- rows ---- */

/* Behind an opening quote: where the field ends. Quotes in it are doubled. */
static const char *closing_quote(const char *at, const char *end) {
  while (at < end && !(*at == '"' && (at + 1 == end || at[1] != '"'))) at += *at == '"' ? 2 : 1;
  return at < end ? at : end;
}

static plm_foreign_line trimmed(const char *begin, const char *end) {
  while (begin < end && isblank((unsigned char)*begin)) begin++;
  while (begin < end && isblank((unsigned char)end[-1])) end--;
  return (plm_foreign_line){.text = begin, .bytes = (size_t)(end - begin)};
}

/* The fields of a line, without quotes; the delimiter ' ' stands for any run of blanks. Returns how many, COLUMNS at
 * most. */
static int split(plm_foreign_line line, char delimiter, plm_foreign_line fields[COLUMNS], bool *ret_quoted) {
  const char *at = line.text, *end = line.text + line.bytes;
  int count = 0;
  while (count < COLUMNS) {
    while (delimiter == ' ' && at < end && isblank((unsigned char)*at)) at++;
    if (delimiter == ' ' && at == end) return count;
    const bool quote = at < end && *at == '"' && delimiter != ' ';
    const char *begin = at + quote, *close = quote ? closing_quote(begin, end) : NULL;
    if (quote) at = close;
    while (at < end && (delimiter == ' ' ? !isblank((unsigned char)*at) : *at != delimiter)) at++;
    fields[count++] = trimmed(begin, quote ? close : at);
    *ret_quoted = *ret_quoted || quote;
    if (at == end) return count;
    at++;
  }
  return count;
}

typedef struct column {
  plm_foreign_line title; /* in the first row */
  int filled, residues;   /* of the rows below it */
  size_t letters;
  bool repeats; /* the same text twice, one below the other */
  plm_foreign_line before;
} column;

typedef struct table {
  char delimiter;
  bool quoted, header, comments; /* comments: stand above it */
  int columns, rows;             /* rows: below the first */
  int sequence, id;              /* columns; -1: none */
  column column[COLUMNS];
} table;

/* Nothing, or what programs write for it. */
static bool is_missing(plm_foreign_line field) {
  static const char *const words[] = {"", "nan", "NaN", "NA", "N/A", "None", "null", "NULL", "-"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i]) == field.bytes && memcmp(words[i], field.text, field.bytes) == 0) return true;
  return false;
}

static void add_field(column *c, plm_foreign_line field) {
  if (is_missing(field)) return;
  c->filled++;
  c->residues += plm_foreign_is_residues(field.text, field.bytes, 1);
  c->letters += field.bytes;
  c->repeats = c->repeats || (c->before.bytes == field.bytes && memcmp(c->before.text, field.text, field.bytes) == 0);
  c->before = field;
}

/* Above a table; "sep=;" is Excel's. A header may begin with '#' too. */
static bool is_comment(plm_foreign_line line, char delimiter, int fields) {
  if (line.bytes >= 4 && memcmp(line.text, "sep=", 4) == 0) return true;
  return line.text[0] == '#' && (fields < 2 || delimiter == ' ');
}

/* False where rows differ in their number of fields. */
static bool survey(const plm_foreign_look *look, table *t) {
  plm_foreign_line line, fields[COLUMNS];
  size_t at = 0;
  while (t->rows < ROWS && plm_foreign_next_line(look, &at, &line)) {
    if (line.bytes == 0) continue;
    int count = split(line, t->delimiter, fields, &t->quoted);
    if (t->columns == 0 && is_comment(line, t->delimiter, count)) {
      t->comments = true;
      continue;
    }
    if (t->columns == 0) {
      t->columns = count;
      for (int i = 0; i < count; i++) t->column[i].title = t->column[i].before = fields[i];
      continue;
    }
    if (count != t->columns) return false;
    for (int i = 0; i < count; i++) add_field(&t->column[i], fields[i]);
    t->rows++;
  }
  return t->columns >= 2;
}

/* A title is said by its first word to be one, even behind a '#'. */
static bool is_title(plm_foreign_line title, bool (*names)(const char *text, size_t bytes)) {
  while (title.bytes > 0 && strchr("# ", *title.text) != NULL) {
    title.text++;
    title.bytes--;
  }
  return names(title.text, title.bytes);
}

/* The column of sequences: by its title, else the one with the longest. Where there is one row only, it is no title. */
static void choose_sequence(table *t) {
  size_t longest = 0;
  t->sequence = -1;
  for (int i = 0; i < t->columns; i++) {
    const column *c = &t->column[i];
    bool named = t->rows > 0 && is_title(c->title, plm_foreign_is_sequence_name);
    size_t mean = t->rows > 0 ? (c->filled > 0 ? c->letters / (size_t)c->filled : 0) : c->title.bytes;
    bool residues = t->rows > 0 ? c->filled > 0 && c->residues * 10 >= c->filled * 9
                                : plm_foreign_is_residues(c->title.text, c->title.bytes, SHORTEST);
    if (!residues || mean < (named ? SHORTEST_NAMED : SHORTEST)) continue;
    if (named) mean += (size_t)1 << 40;
    if (mean <= longest) continue;
    longest = mean;
    t->sequence = i;
  }
}

static void choose_id(table *t) {
  t->id = -1;
  for (int i = 0; i < t->columns && t->header && t->id < 0; i++)
    if (i != t->sequence && is_title(t->column[i].title, plm_foreign_is_id_name)) t->id = i;
  for (int i = 0; i < t->columns && t->id < 0; i++)
    if (i != t->sequence && t->column[i].filled == t->rows && !t->column[i].repeats) t->id = i;
}

static bool understand(const plm_foreign_look *look, char delimiter, table *t) {
  *t = (table){.delimiter = delimiter};
  if (!survey(look, t)) return false;
  choose_sequence(t);
  if (t->sequence < 0) return false;
  plm_foreign_line title = t->column[t->sequence].title;
  t->header = t->rows > 0 && (is_title(title, plm_foreign_is_sequence_name) ||
                              !plm_foreign_is_residues(title.text, title.bytes, SHORTEST_NAMED));
  choose_id(t);
  return true;
}

/* ---- the line that makes FASTA of it ---- */

/* Fields of awk as people write them: -F, -F'\t' -F';'. */
static const char *separator(char delimiter) {
  switch (delimiter) {
    case ',':
      return " -F,";
    case '\t':
      return " -F'\\t'";
    case ';':
      return " -F';'";
    case '|':
      return " -F'|'";
    default:
      return "";
  }
}

/* Delimiters between quotes are made blanks, and the quotes left out. */
static void unquote(plm_text *program, char delimiter) {
  char letter[3] = {delimiter, '\0', '\0'};
  plm_text_printf(
      program, "n=split($0,q,\"\\\"\"); s=\"\"; for(i=1;i<=n;i++){if(i%%2==0)gsub(/[%s]/,\" \",q[i]); s=s q[i]} $0=s; ",
      delimiter == '\t' ? "\\t" : letter);
}

static plm_status build(const table *t, char **ret_program) {
  plm_text program = {0};
  plm_text_printf(&program, "awk%s '%sNF%s{", separator(t->delimiter), t->comments ? "!/^(#|sep=)/&&" : "",
                  t->header && !(t->comments && t->column[0].title.text[0] == '#') ? "&&h++" : "");
  plm_text_append(&program, "sub(/\\r$/,\"\"); ");
  if (t->quoted) unquote(&program, t->delimiter);
  if (t->id >= 0)
    plm_text_printf(&program, "print \">\" $%d \"\\n\" $%d}'", t->id + 1, t->sequence + 1);
  else
    plm_text_printf(&program, "print \">\" ++c \"\\n\" $%d}'", t->sequence + 1);
  return plm_text_take(&program, ret_program);
}

static plm_status say_table(const plm_foreign_look *look, const table *t) {
  char what[300], title[80] = "", *program;
  const char *kind = t->delimiter == '\t'  ? "a table (TSV)"
                     : t->delimiter == ' ' ? "a table, its columns separated by blanks"
                                           : "a table (CSV)";
  plm_foreign_line name = t->column[t->sequence].title;
  if (t->header) plm_printable(name.text, name.bytes, title, sizeof title);
  snprintf(what, sizeof what, "%s with sequences in column %d%s%s%s", kind, t->sequence + 1, t->header ? ", '" : "",
           title, t->header ? "'" : "");
  PLM_TRY(build(t, &program));
  plm_status status = plm_foreign_filter(look, what, program);
  plm_free(program);
  return status;
}

/* A table without a column that is known to hold sequences: at least three rows of equally many fields. */
static plm_status say_other_table(const plm_foreign_look *look, char delimiter) {
  table *t;
  PLM_TRY(PLM_NEW(&t, 1));
  *t = (table){.delimiter = delimiter};
  bool regular = survey(look, t) && t->rows >= 2;
  plm_free(t);
  if (!regular) return PLM_OK;
  plm_foreign_name(look, delimiter == '\t' ? "a table (TSV), and none of its columns looks like sequences"
                                           : "a table (CSV), and none of its columns looks like sequences");
  return plm_hint(PLM_E_INPUT, "protlm needs a line '>name' and a line of letters for each sequence");
}

/* ---- bare lists ---- */

/* Lines of letters alone. */
static plm_status check_list(const plm_foreign_look *look) {
  plm_foreign_line line;
  size_t at = 0, first = 0, last = 0;
  int lines = 0;
  bool even = true; /* all but the last are as long: one sequence, wrapped */
  while (lines < ROWS && plm_foreign_next_line(look, &at, &line)) {
    if (line.bytes == 0) continue;
    if (!plm_foreign_is_residues(line.text, line.bytes, SHORTEST_NAMED)) return PLM_OK;
    if (lines++ == 0) first = line.bytes;
    even = even && (lines < 3 || last == first) && line.bytes <= first;
    last = line.bytes;
  }
  if (lines == 0 || (lines == 1 && first < SHORTEST)) return PLM_OK;
  if (lines > 1 && even && first >= 50)
    return plm_foreign_filter(look, "one sequence without a name", "awk 'NR==1{print \">sequence\"} {print}'");
  return plm_foreign_filter(look, "a list of sequences without names, one a line",
                            "awk 'NF{sub(/\\r$/,\"\"); print \">\" ++n \"\\n\" $0}'");
}

plm_status plm_foreign_table_check(const plm_foreign_look *look) {
  static const char delimiters[] = {'\t', ',', ';', '|', ' '};
  plm_status status = check_list(look);
  if (status != PLM_OK || look->text[0] == '@') return status;
  table *t;
  PLM_TRY(PLM_NEW(&t, 1));
  bool found = false;
  for (size_t i = 0; i < sizeof delimiters && !found; i++) found = understand(look, delimiters[i], t);
  if (found) status = say_table(look, t);
  plm_free(t);
  if (status == PLM_OK) status = say_other_table(look, '\t');
  return status != PLM_OK ? status : say_other_table(look, ',');
}

/* ---- letters in the header ---- */

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
    int count = split(header, ways[i].delimiter, fields, &quoted);
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
  const char *filter = filter_of_headers(look, ROWS, &headers);
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
