/* foreign_list.c - bare lists of sequences, one a line, and one sequence that was wrapped. See foreign_file.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "data/read/foreign_internal.h"

enum { SHORTEST = 10, SHORTEST_NAMED = 2 };

typedef struct list {
  int lines;
  size_t first, last, shortest;
  bool even;                     /* all but the last are as long */
  bool header, quoted, comments; /* a title, quotes, or lines of comment stand with them */
} list;

/* A word that says what is below it. */
static bool is_heading(plm_foreign_line line) {
  if (plm_foreign_is_sequence_name(line.text, line.bytes)) return true;
  for (size_t i = 0; i < line.bytes; i++)
    if (!isalnum((unsigned char)line.text[i]) && strchr("_ -", line.text[i]) == NULL) return false;
  return !plm_foreign_is_residues(line.text, line.bytes, 1) && line.bytes <= 40;
}

/* False where a line is neither letters, nor a comment, nor the title of them. */
static bool survey_list(const plm_foreign_look *look, list *l) {
  plm_foreign_line line;
  bool named = false;
  for (size_t at = 0; plm_foreign_next_line(look, &at, &line);) {
    line = plm_foreign_trimmed(line.text, line.text + line.bytes);
    const bool quoted = line.bytes >= 2 && *line.text == '"' && line.text[line.bytes - 1] == '"';
    if (quoted) line.text++, line.bytes -= 2;
    l->quoted = l->quoted || quoted;
    if (line.bytes == 0) continue;
    if (line.text[0] == '#' && l->lines == 0 && !l->header) {
      l->comments = true;
      continue;
    }
    if (l->lines == 0 && !l->header && is_heading(line)) {
      l->header = true;
      named = plm_foreign_is_sequence_name(line.text, line.bytes);
      continue;
    }
    if (!plm_foreign_is_residues(line.text, line.bytes, SHORTEST_NAMED)) return false;
    if (l->lines++ == 0) l->first = l->shortest = line.bytes;
    l->even = (l->lines < 3 || (l->even && l->last == l->first)) && line.bytes <= l->first;
    l->last = line.bytes;
    if (line.bytes < l->shortest) l->shortest = line.bytes;
  }
  return l->lines > 0 && (l->lines > 1 || named || l->first >= SHORTEST) &&
         (!l->header || named || (l->lines > 1 && l->shortest >= SHORTEST));
}

/* Lines of letters alone. Those that are all as long may be a library of variants; one sequence that was wrapped has a
 * shorter line at its end, mostly. */
plm_status plm_foreign_list_check(const plm_foreign_look *look) {
  list l = {0};
  char what[200], filter[120];
  if (!survey_list(look, &l)) return PLM_OK;
  const bool wrapped = l.lines > 1 && l.even && l.last < l.first && !l.header && !l.quoted &&
                       (l.first == 60 || l.first == 70 || l.first == 80);
  if (wrapped)
    return plm_foreign_filter(
        look, "one sequence without a name, wrapped (if each line is a sequence, put a line '>name' above each)",
        "awk 'BEGIN{print \">sequence\"} !/^#/'");
  snprintf(what, sizeof what, "a list of sequences without names, one a line%s",
           l.lines > 1 && l.even && l.first >= 50 && !l.header
               ? " (if it is one sequence, wrapped, put one line '>name' above it)"
               : "");
  snprintf(filter, sizeof filter, "awk '{gsub(/[ \\t\\r\"\\047]/,\"\")} %sNF%s{print \">\" ++n \"\\n\" $0}'",
           l.comments ? "!/^#/&&" : "", l.header ? "&&h++" : "");
  return plm_foreign_filter(look, what, filter);
}
