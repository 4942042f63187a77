/* sequence_refusals.c - see sequence_refusals.h */
#include "data/read/sequence_refusals.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static const char *column_words(int column, char ret_words[32]) {
  ret_words[0] = '\0';
  if (column > 0) snprintf(ret_words, 32, " (column %d)", column);
  return ret_words;
}

plm_status plm_refuse_nul(void) {
  plm_fail(PLM_E_INPUT,
           "a NUL byte inside a sequence: this is a binary file, or it was damaged when a disk or a copy failed");
  return plm_hint(PLM_E_INPUT, "copy the file again from where it came from");
}

/* A '>' that begins a line, and any in a comment, stays as it is. Behind the first in a line of residues comes a name,
 * which may hold more of them. */
plm_status plm_refuse_glued_record(const plm_mending *mending, int column) {
  char where[32], line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT, "'>' inside a sequence%s: a name must start its line; two records stand in one here",
           column_words(column, where));
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "make two rows of it, each with its own name");
  return plm_hint(PLM_E_INPUT, "put it on a line of its own: %s",
                  plm_mending_line(mending, "awk '!/^[ \\t]*[>;#]/ { sub(/>/, \"\\n>\") } { print }'", line));
}

plm_status plm_refuse_carriage_return(const plm_mending *mending) {
  char line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT, "a carriage return inside a name's line: the lines end in carriage returns alone");
  return plm_hint(PLM_E_INPUT, "make them newlines: %s",
                  plm_mending_line(mending, "awk '{ gsub(/\\r/, \"\\n\") } { print }'", line));
}

/* Which of the two it was written in: ISO 8859-1 has control characters where Windows has dashes and quotes. */
static plm_status refuse_encoding(const plm_mending *mending, plm_character character, int column) {
  char where[32], line[PLM_MENDING_LINE], words[PLM_CHARACTER_WORDS];
  const bool is_windows = character.code < 0xA0;
  const char *encoding = is_windows ? "Windows-1252" : "Latin-1 (ISO 8859-1)";
  plm_fail(PLM_E_INPUT, "%s inside a sequence%s is no character of UTF-8: the %s may be in %s",
           plm_character_words(character, words), column_words(column, where), mending->path == NULL ? "row" : "file",
           encoding);
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "decode the rows as %s and write them as UTF-8", encoding);
  return plm_hint(
      PLM_E_INPUT, "convert it: %s",
      plm_mending_line(mending, is_windows ? "iconv -f WINDOWS-1252 -t UTF-8" : "iconv -f ISO-8859-1 -t UTF-8", line));
}

static plm_status refuse_look_alike(const plm_mending *mending, plm_character character, char letter, int column) {
  char where[32], line[PLM_MENDING_LINE], words[PLM_CHARACTER_WORDS], text[5], filter[64];
  plm_fail(PLM_E_INPUT, "%s%s looks like '%c' and is another character: it is not an amino acid",
           plm_character_words(character, words), column_words(column, where), letter);
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "write the row again with '%c' for it", letter);
  snprintf(filter, sizeof filter, "sed '/^>/!s/%s/%c/g'", plm_character_text(character.code, text), letter);
  return plm_hint(PLM_E_INPUT, "write '%c' for it: %s", letter, plm_mending_line(mending, filter, line));
}

plm_status plm_refuse_character(const plm_mending *mending, plm_character character, int column) {
  char where[32], words[PLM_CHARACTER_WORDS];
  const char letter = plm_character_looks_like(character.code);
  if (!character.is_valid) return refuse_encoding(mending, character, column);
  if (letter != 0) return refuse_look_alike(mending, character, letter, column);
  plm_fail(PLM_E_INPUT, "%s is not an amino acid%s", plm_character_words(character, words),
           column_words(column, where));
  return plm_hint(PLM_E_INPUT,
                  "correct the file, or choose --on-invalid x to read such characters as X, or skip to leave those "
                  "sequences out");
}

plm_status plm_refuse_token(const plm_mending *mending, const char *token, int bytes, int column) {
  char where[32], word[PLM_SHELL_WORD];
  const char *path = mending->path;
  if (strncasecmp(token, "<mask>", (size_t)bytes) == 0) {
    plm_fail(PLM_E_INPUT, "'<mask>' inside a sequence%s: a place to ask a model about is no residue",
             column_words(column, where));
    if (path == NULL) path = mending->rows_of;
    return plm_hint(PLM_E_INPUT, "`protlm inspect forward --model M --fasta %s` asks the model there",
                    plm_shell_word(path != NULL ? path : "FILE", word));
  }
  plm_fail(PLM_E_INPUT, "'%.*s' inside a sequence%s is a special token of a model, and no residue", bytes, token,
           column_words(column, where));
  return plm_hint(PLM_E_INPUT, "take it out of the sequence: protlm puts special tokens where they belong");
}
