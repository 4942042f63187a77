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

plm_status plm_refuse_nul_between(const plm_mending *mending) {
  char line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT,
           "a NUL byte between records, as in the databases and a3m files of MMseqs2 and ColabFold: this is not FASTA");
  return plm_hint(PLM_E_INPUT, "take the NUL bytes out: %s", plm_mending_line(mending, "tr -d '\\000'", line));
}

plm_status plm_refuse_name_mark(const plm_mending *mending, plm_character character, int column) {
  char where[32], line[PLM_MENDING_LINE], words[PLM_CHARACTER_WORDS], text[5], filter[160];
  plm_fail(PLM_E_INPUT, "%s%s looks like '>' and is another character: it begins no record",
           plm_character_words(character, words), column_words(column, where));
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "correct the row");
  plm_character_text(character.code, text);
  snprintf(filter, sizeof filter,
           "awk '{ sub(/^[^A-Za-z>;#]*%s/, \">\") } !/^[ \\t]*[>;#]/ { sub(/%s/, \"\\n>\") } { print }'", text, text);
  return plm_hint(PLM_E_INPUT, "write '>' for it: %s", plm_mending_line(mending, filter, line));
}

plm_status plm_refuse_entity(const plm_mending *mending, const char *entity, int bytes, int column) {
  char where[32], line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT, "'%.*s' inside a sequence%s: this text comes from a web page (HTML)", bytes, entity,
           column_words(column, where));
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "correct the row");
  return plm_hint(
      PLM_E_INPUT, "write the characters it stands for: %s",
      plm_mending_line(
          mending,
          "awk '{ gsub(/&nbsp;|&#160;|&#x[aA]0;/, \" \"); gsub(/&gt;|&#62;|&#x3[eE];/, \">\"); gsub(/&lt;|&#60;|&#x3[cC];/, "
          "\"<\"); gsub(/&amp;/, \"\\\\&\") } !/</ && !/^[ \\t]*[>;#]/ { sub(/>/, \"\\n>\") } "
          "{ print }'",
          line));
}

plm_status plm_refuse_tag(const plm_mending *mending, const char *tag, int bytes, int column) {
  char where[32], line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT,
           "'%.*s' inside a sequence%s is a tag (of HTML, or a token that no model here has), and no residue", bytes,
           tag, column_words(column, where));
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "take it out of the row");
  return plm_hint(PLM_E_INPUT, "take tags out of the sequences: %s",
                  plm_mending_line(mending, "sed '/^[[:blank:]]*>/!s/<[^<>]*>//g'", line));
}

/* A '>' that begins a line, and any in a comment or a title of PIR, stays as it is. Behind the first in a line of
 * residues comes a name, which may hold more of them; but where four capitals stand directly before one, a sequence was
 * written behind the name, and the next record begins. */
static const char split_records[] =
    "awk 't { t = 0; print; next } !/^[ \\t]*[>;#]/ { sub(/>/, \"\\n>\"); while (match($0, /[ "
    "\\t][A-Z*-]*[A-Z*][A-Z*][A-Z*][A-Z*]>/)) $0 = substr($0, 1, RSTART + RLENGTH - 2) \"\\n\" substr($0, RSTART + "
    "RLENGTH - 1) } { t = />[PFDRNX][1-3LCX];[^\\n]*$/; print }'";

plm_status plm_refuse_glued_record(const plm_mending *mending, int column) {
  char where[32], line[PLM_MENDING_LINE];
  plm_fail(PLM_E_INPUT, "'>' inside a sequence%s: a name must start its line; two records stand in one here",
           column_words(column, where));
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "make two rows of it, each with its own name");
  return plm_hint(PLM_E_INPUT, "put it on a line of its own: %s", plm_mending_line(mending, split_records, line));
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

/* All of its script at once: where one is, there are others. */
static void write_letters(uint32_t code, char *ret_filter, size_t room) {
  size_t used = (size_t)snprintf(ret_filter, room, "sed '/^>/!{");
  char text[5];
  uint32_t other;
  for (size_t i = 0; (other = plm_character_alike(code, i)) != 0; i++)
    used += (size_t)snprintf(ret_filter + used, room - used, "s/%s/%c/g;", plm_character_text(other, text),
                             plm_character_looks_like(other));
  snprintf(ret_filter + used, room - used, "}'");
}

static plm_status refuse_look_alike(const plm_mending *mending, plm_character character, char letter, int column) {
  char where[32], line[PLM_MENDING_LINE], words[PLM_CHARACTER_WORDS], filter[1024];
  plm_fail(PLM_E_INPUT, "%s%s looks like '%c' and is another character: it is not an amino acid",
           plm_character_words(character, words), column_words(column, where), letter);
  if (mending->path == NULL) return plm_hint(PLM_E_INPUT, "write the row again with '%c' for it", letter);
  write_letters(character.code, filter, sizeof filter);
  return plm_hint(PLM_E_INPUT, "write '%c' for it: %s", letter, plm_mending_line(mending, filter, line));
}

/* Each chain as a record: NAME, NAME_2, ... In PIR a title belongs under each name, and is no sequence. */
static plm_status refuse_chain_break(const plm_mending *mending, char mark, int column) {
  char where[32], line[PLM_MENDING_LINE], filter[320];
  plm_fail(PLM_E_INPUT, "'%c' inside a sequence%s is no amino acid: %s writes it between chains", mark,
           column_words(column, where), mark == ':' ? "ColabFold" : "Modeller");
  snprintf(
      filter, sizeof filter,
      "awk '/^>/ { name = $1; n = 1; p = t = /^>[PFDRNX][1-3LCX];/; print; next } t { t = 0; print; next } { k = "
      "split($0, part, \"%c\"); for (i = 1; i <= k; i++) { if (i > 1) { print name \"_\" ++n; if (p) print \"chain \" "
      "n }; print part[i] } }'",
      mark);
  return plm_hint(PLM_E_INPUT, "make a record of each chain: %s", plm_mending_line(mending, filter, line));
}

plm_status plm_refuse_character(const plm_mending *mending, plm_character character, int column) {
  char where[32], words[PLM_CHARACTER_WORDS];
  const char letter = plm_character_looks_like(character.code);
  if (!character.is_valid) return refuse_encoding(mending, character, column);
  if ((character.code == ':' || character.code == '/') && mending->path != NULL)
    return refuse_chain_break(mending, (char)character.code, column);
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
                    path == NULL             ? "FILE"
                    : strcmp(path, "-") == 0 ? "-"
                                             : plm_shell_word(path, word));
  }
  plm_fail(PLM_E_INPUT, "'%.*s' inside a sequence%s is a special token of a model, and no residue", bytes, token,
           column_words(column, where));
  return plm_hint(PLM_E_INPUT, "take it out of the sequence: protlm puts special tokens where they belong");
}
