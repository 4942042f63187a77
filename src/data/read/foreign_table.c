/* foreign_table.c - tables of columns. See foreign_file.h.
 *
 * A table is one if its first rows have equally many fields and one column holds nothing but sequences.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/read/foreign_internal.h"

enum { COLUMNS = PLM_FOREIGN_COLUMNS, ROWS = 50, SHORTEST = 10, SHORTEST_NAMED = 2 };

/* ---- rows ---- */

/* Behind an opening quote: where the field ends. Quotes in it are doubled. */
static const char *closing_quote(const char *at, const char *end) {
  while (at < end && !(*at == '"' && (at + 1 == end || at[1] != '"'))) at += *at == '"' ? 2 : 1;
  return at < end ? at : end;
}

int plm_foreign_split(plm_foreign_line line, char delimiter, plm_foreign_line fields[COLUMNS], bool *ret_quoted) {
  const char *at = line.text, *end = line.text + line.bytes;
  int count = 0;
  while (count < COLUMNS) {
    while (delimiter == ' ' && at < end && isblank((unsigned char)*at)) at++;
    if (delimiter == ' ' && at == end) return count;
    while (at < end && *at == ' ' && delimiter != ' ') at++;
    const bool quote = at < end && *at == '"';
    const char *begin = at + quote, *close = quote ? closing_quote(begin, end) : NULL;
    if (quote) at = close;
    while (at < end && (delimiter == ' ' ? !isblank((unsigned char)*at) : *at != delimiter)) at++;
    fields[count++] = plm_foreign_trimmed(begin, quote ? close : at);
    *ret_quoted = *ret_quoted || quote;
    if (at == end) return count;
    at++;
  }
  return count;
}

/* The next row: lines as long as the quotation marks are odd, where fields may hold line breaks. */
static bool next_row(const plm_foreign_look *look, char delimiter, size_t *at, plm_foreign_line *ret_row) {
  plm_foreign_line line;
  size_t marks = 0, begin = *at;
  while (plm_foreign_next_line(look, at, &line)) {
    for (size_t i = 0; i < line.bytes; i++) marks += line.text[i] == '"';
    *ret_row =
        (plm_foreign_line){.text = look->text + begin, .bytes = (size_t)(line.text - look->text) + line.bytes - begin};
    if (marks % 2 == 0 || (delimiter != ',' && delimiter != ';')) return true;
  }
  return false;
}

typedef struct column {
  plm_foreign_line title; /* in the first row */
  int filled, residues;   /* of the rows below it */
  int chains;             /* those of chains that are joined by ':' */
  size_t letters, bases;  /* bases: those that are letters of nucleotides too */
  int distinct;
  plm_foreign_line seen[ROWS];
} column;

typedef struct table {
  char delimiter;
  bool quoted, header, comments; /* comments: stand above it */
  bool short_header;             /* R gives its row names no title */
  bool apostrophes;              /* around fields */
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

/* Chains of a complex, joined by ':'. */
static bool is_chains(plm_foreign_line field) {
  const char *at = field.text, *end = at + field.bytes, *colon;
  int chains = 1;
  for (; (colon = memchr(at, ':', (size_t)(end - at))) != NULL; at = colon + 1, chains++)
    if (!plm_foreign_is_residues(at, (size_t)(colon - at), SHORTEST)) return false;
  return chains > 1 && plm_foreign_is_residues(at, (size_t)(end - at), SHORTEST);
}

static bool is_among(plm_foreign_line field, const plm_foreign_line *fields, int count) {
  for (int i = 0; i < count; i++)
    if (fields[i].bytes == field.bytes && memcmp(fields[i].text, field.text, field.bytes) == 0) return true;
  return false;
}

static void add_field(column *c, plm_foreign_line field) {
  if (is_missing(field)) return;
  const bool chains = is_chains(field);
  c->chains += chains;
  c->residues += chains || plm_foreign_is_residues(field.text, field.bytes, 1);
  c->letters += field.bytes;
  for (size_t i = 0; i < field.bytes; i++) c->bases += strchr("ACGTUNacgtun", field.text[i]) != NULL;
  if (!is_among(field, c->seen, c->distinct)) c->seen[c->distinct++] = field;
  c->filled++;
}

/* The line below the titles in Markdown. */
static bool is_rule(plm_foreign_line line) {
  for (size_t i = 0; i < line.bytes; i++)
    if (strchr("|-:+= \t", line.text[i]) == NULL) return false;
  return true;
}

/* Above a table; "sep=;" is Excel's. A header may begin with '#' too. */
static bool is_comment(plm_foreign_line line, char delimiter, int fields) {
  if (line.bytes >= 4 && memcmp(line.text, "sep=", 4) == 0) return true;
  if (line.text[0] == '{' || (line.bytes >= 2 && memcmp(line.text, "\"{", 2) == 0)) return true; /* facts, as JSON */
  return line.text[0] == '#' && (fields < 2 || delimiter == ' ');
}

static void make_room_for_row_names(table *t) {
  for (int i = t->columns++; i > 0; i--) t->column[i].title = t->column[i - 1].title;
  t->column[0].title = (plm_foreign_line){.text = "", .bytes = 0};
  t->short_header = true;
}

/* False where rows differ in their number of fields. */
static bool survey(const plm_foreign_look *look, table *t) {
  plm_foreign_line line, fields[COLUMNS];
  size_t at = 0;
  while (t->rows < ROWS && next_row(look, t->delimiter, &at, &line)) {
    if (line.bytes == 0 || (t->delimiter == '|' && is_rule(line))) continue;
    int count = plm_foreign_split(line, t->delimiter, fields, &t->quoted);
    if (t->columns == 0 && is_comment(line, t->delimiter, count)) {
      t->comments = true;
      continue;
    }
    if (t->columns == 0) {
      t->columns = count;
      for (int i = 0; i < count; i++) t->column[i].title = fields[i];
      continue;
    }
    if (t->rows == 0 && count == t->columns + 1 && count <= COLUMNS) make_room_for_row_names(t);
    if (count != t->columns) return false;
    for (int i = 0; i < count; i++) {
      add_field(&t->column[i], fields[i]);
      t->apostrophes = t->apostrophes || (fields[i].text > line.text && fields[i].text[-1] == '\'');
    }
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

static bool is_of_nucleotides(const column *c) { return c->letters > 0 && c->bases * 10 >= c->letters * 9; }

/* The column of sequences: not nucleotides if there is another; by its title, else the one with the longest. Where there is one row only, it is no title. */
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
    if (!is_of_nucleotides(c)) mean += (size_t)1 << 41;
    if (mean <= longest) continue;
    longest = mean;
    t->sequence = i;
  }
}

/* In `tenths` of the rows, or more. Without a header the first row counts too. */
static bool tells_apart(const table *t, int i, int tenths) {
  const column *c = &t->column[i];
  int first = !t->header, rows = t->rows + first, new = first && !is_among(c->title, c->seen, c->distinct);
  return (c->distinct + new) * 10 >= rows * tenths && (c->filled + first) * 10 >= rows * tenths;
}

static void choose_id(table *t) {
  t->id = -1;
  for (int i = 0; i < t->columns && t->header && t->id < 0; i++)
    if (i != t->sequence && tells_apart(t, i, 9) && is_title(t->column[i].title, plm_foreign_is_id_name)) t->id = i;
  for (int i = 0; i < t->columns && t->id < 0; i++)
    if (i != t->sequence && tells_apart(t, i, 10)) t->id = i;
}

static bool understand(const plm_foreign_look *look, char delimiter, table *t) {
  *t = (table){.delimiter = delimiter};
  if (!survey(look, t)) return false;
  choose_sequence(t);
  if (t->sequence < 0) return false;
  plm_foreign_line title = t->column[t->sequence].title;
  t->header = t->rows > 0 && (t->short_header || is_title(title, plm_foreign_is_sequence_name) ||
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

/* Fields between quotes, which may hold the delimiter, doubled quotes and line breaks, become fields of awk: r is what of
 * the row is left, l the next line. */
static void unquote(plm_text *program, char delimiter) {
  const char *letter = delimiter == '\t' ? "\\t" : (const char[]){delimiter, '\0'};
  plm_text_printf(
      program,
      "if(/\"/){r=$0 FS; n=0; for(;;){sub(/^ +/,\"\",r); if(r==\"\")break; q=0; if(r~/^\"/){"
      "while(!(q=match(r,/^\"([^\"]|\"\")*\"[^\"%s]*[%s]/))){if((getline l)<1){print \"a quote is not closed\" "
      ">\"/dev/stderr\"; exit 1} sub(/\\r$/,\"\",l); r=substr(r,1,length(r)-1) \" \" l FS}} "
      "if(q){f=substr(r,2,RLENGTH-2); r=substr(r,RLENGTH+1); sub(/\"[^\"]*$/,\"\",f); gsub(/\"\"/,\"\\\"\",f)} "
      "else{i=index(r,FS); f=substr(r,1,i-1); r=substr(r,i+1)} $(++n)=f}} ",
      letter, letter);
}

static void print_row(plm_text *program, const table *t) {
  int sequence = t->sequence + 1;
  bool chains = t->column[t->sequence].chains > 0;
  char name[32] = "++c";
  if (t->id >= 0) snprintf(name, sizeof name, "$%d", t->id + 1);
  if (t->delimiter == '|' && t->id >= 0) plm_text_printf(program, "gsub(/^ +| +$/,\"\",$%d); ", t->id + 1);
  if (t->delimiter != ' ' && t->delimiter != '\t') plm_text_printf(program, "gsub(/ /,\"\",$%d); ", sequence);
  if (t->delimiter != ' ') /* what programs write where nothing is, as is_missing has it, is not letters */
    plm_text_printf(program, "sub(/^(nan|NaN|NA|N\\/A|None|null|NULL|-)$/,\"\",$%d); ", sequence);
  if (chains)
    plm_text_printf(program,
                    "m=split($%d,b,\":\"); a=%s; for(i=1;i<=m;i++)print \">\" a (m>1?\"_\" i:\"\") \"\\n\" b[i]}",
                    sequence, name);
  else
    plm_text_printf(program, "print \">\" %s \"\\n\" $%d}", name, sequence);
}

static plm_status build(const plm_foreign_look *look, const table *t, char **ret_program) {
  plm_text program = {0};
  const bool skip = t->header && !(t->comments && t->column[0].title.text[0] == '#');
  /* Of a longer file no one knows whether there are quotes further on. */
  const bool seen = look->bytes <= PLM_FOREIGN_WHOLE && memchr(look->text, '"', look->bytes) == NULL;
  const bool quotes = t->quoted || (!seen && (t->delimiter == ',' || t->delimiter == ';'));
  plm_text_printf(&program, "awk%s '{sub(/\\r$/,\"\")} %s%sNF{", separator(t->delimiter),
                  t->comments ? "!/^(#|sep=|\"?[{])/&&" : "", t->delimiter == '|' ? "/[^-|:+= \\t]/&&" : "");
  if (t->apostrophes) plm_text_append(&program, "gsub(/\\047/,\"\"); ");
  if (quotes) unquote(&program, t->delimiter);
  if (skip) plm_text_append(&program, "if(!h++)next; ");
  print_row(&program, t);
  plm_text_append(&program, "'");
  return plm_text_take(&program, ret_program);
}

static plm_status say_table(const plm_foreign_look *look, const table *t) {
  char what[300], title[80] = "", *program;
  const char *kind = t->delimiter == '\t'  ? "a table (TSV)"
                     : t->delimiter == ' ' ? "a table, its columns separated by blanks"
                                           : "a table (CSV)";
  plm_foreign_line name = t->column[t->sequence].title;
  if (t->header) plm_printable(name.text, name.bytes, title, sizeof title);
  snprintf(what, sizeof what, "%s with sequences in column %d%s%s%s%s", kind, t->sequence + 1, t->header ? ", '" : "",
           title, t->header ? "'" : "",
           t->column[t->sequence].chains > 0 ? ", chains joined by ':', which become sequences of their own" : "");
  PLM_TRY(build(look, t, &program));
  plm_status status = plm_foreign_filter(look, what, program);
  plm_free(program);
  return status;
}

static bool is_number(plm_foreign_line field) {
  for (size_t i = 0; i < field.bytes; i++)
    if (field.text[i] == '\0' || strchr("0123456789.eE+-", field.text[i]) == NULL) return false;
  return field.bytes > 0;
}

/* Tabular output (-outfmt 6): two names, then ten numbers. */
static bool is_hits(const plm_foreign_look *look) {
  plm_foreign_line line, fields[COLUMNS];
  bool quoted = false;
  size_t at = 0;
  do {
    if (!plm_foreign_next_line(look, &at, &line)) return false;
  } while (line.bytes == 0 || line.text[0] == '#');
  int count = plm_foreign_split(line, '\t', fields, &quoted);
  for (int i = 2; i < count; i++)
    if (!is_number(fields[i])) return false;
  return count == 12;
}

/* A table without a column that is known to hold sequences: at least three rows of equally many fields. */
static plm_status say_other_table(const plm_foreign_look *look, char delimiter) {
  table *t;
  PLM_TRY(PLM_NEW(&t, 1));
  *t = (table){.delimiter = delimiter};
  bool regular = survey(look, t) && t->rows >= 2, hits = delimiter == '\t' && is_hits(look);
  plm_free(t);
  if (!regular && !hits) return PLM_OK;
  if (hits)
    return plm_hint(plm_foreign_name(look, "a table of hits of BLAST, DIAMOND or MMseqs2, without sequences in it"),
                    "give the FASTA file that was searched; the names of the hits are in column 2");
  plm_foreign_name(look, delimiter == '\t' ? "a table (TSV), and none of its columns looks like sequences"
                                           : "a table (CSV), and none of its columns looks like sequences");
  return plm_hint(PLM_E_INPUT, "protlm needs a line '>name' and a line of letters for each sequence");
}

plm_status plm_foreign_table_check(const plm_foreign_look *look) {
  static const char delimiters[] = {'\t', ',', ';', '|', ' '};
  plm_status status = plm_foreign_list_check(look);
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
