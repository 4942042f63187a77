/* foreign_words.c - what the chapters about foreign files have in common: their words, lines and letters. See
 * foreign_file.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "data/read/foreign_internal.h"
#include "data/read/sequence_file.h"

/* ---- words ---- */

static plm_status hint_pipe(const plm_mending *source, const char *const *filters, size_t count, const char *words) {
  char line[PLM_MENDING_LINE];
  return plm_hint(PLM_E_INPUT, "%s%s%s", words,
                  plm_sequence_file_is_stream(source->path) ? "put this before protlm in the pipe: " : "",
                  plm_mending_pipe(source, filters, count, line));
}

plm_status plm_foreign_file_hint(const char *path, bool compressed, const char *filter, const char *words) {
  return hint_pipe(&(plm_mending){.path = path, .is_compressed = compressed}, &filter, 1, words);
}

plm_status plm_foreign_name(const plm_foreign_look *look, const char *what) {
  return plm_fail(PLM_E_INPUT, "%s: this is %s; FASTA (plain or gzip), HDF5 or .plmd is needed",
                  plm_sequence_file_words(look->path), what);
}

plm_status plm_foreign_filter(const plm_foreign_look *look, const char *what, const char *filter) {
  const char *const filters[] = {look->marked ? "tail -c +4" : NULL, look->returns ? "tr '\\r' '\\n'" : NULL, filter};
  const plm_mending source = {.path = look->path, .is_compressed = look->compressed};
  plm_foreign_name(look, what);
  return hint_pipe(&source, filters, sizeof filters / sizeof *filters, "make FASTA of it: ");
}

/* ---- looking ---- */

bool plm_foreign_next_line(const plm_foreign_look *look, size_t *at, plm_foreign_line *ret_line) {
  if (*at >= look->bytes) return false;
  const char *begin = look->text + *at, *end = memchr(begin, '\n', look->bytes - *at);
  if (end == NULL && look->bytes > PLM_FOREIGN_WHOLE) return false;
  size_t bytes = end != NULL ? (size_t)(end - begin) : look->bytes - *at;
  *at += bytes + (end != NULL);
  if (bytes > 0 && begin[bytes - 1] == '\r') bytes--;
  *ret_line = (plm_foreign_line){.text = begin, .bytes = bytes};
  return true;
}

plm_foreign_line plm_foreign_trimmed(const char *begin, const char *end) {
  while (begin < end && isblank((unsigned char)*begin)) begin++;
  while (begin < end && isblank((unsigned char)end[-1])) end--;
  if (end - begin >= 2 && *begin == '\'' && end[-1] == '\'') begin++, end--;
  return (plm_foreign_line){.text = begin, .bytes = (size_t)(end - begin)};
}

bool plm_foreign_starts_with(const plm_foreign_look *look, const char *words) {
  size_t bytes = strlen(words);
  return look->bytes >= bytes && strncasecmp(look->text, words, bytes) == 0;
}

const char *plm_foreign_find(const char *text, size_t bytes, const char *words) {
  size_t length = strlen(words);
  for (size_t i = 0; i + length <= bytes; i++)
    if (strncasecmp(text + i, words, length) == 0) return text + i;
  return NULL;
}

bool plm_foreign_holds(const plm_foreign_look *look, const char *words) {
  return plm_foreign_find(look->text, look->bytes, words) != NULL;
}

bool plm_foreign_is_residues(const char *text, size_t bytes, size_t least) {
  size_t letters = 0, upper = 0, rare = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '-' || c == '*') continue;
    if (c >= 128 || !isalpha(c)) return false;
    letters++;
    upper += isupper(c) != 0;
    rare += strchr("BJOUZbjouz", c) != NULL;
  }
  /* Words of lower-case letters are mostly words. */
  return letters >= least && letters > 0 && rare * 10 <= letters && (upper == letters || (upper == 0 && letters >= 20));
}

static bool is_among(const char *text, size_t bytes, const char *const *names) {
  for (; *names != NULL; names++)
    if (strlen(*names) == bytes && strncasecmp(text, *names, bytes) == 0) return true;
  return false;
}

bool plm_foreign_is_sequence_name(const char *text, size_t bytes) {
  static const char *const names[] = {"sequence",
                                      "sequences",
                                      "seq",
                                      "seqs",
                                      "protein_sequence",
                                      "protein_seq",
                                      "protein sequence",
                                      "aa",
                                      "aas",
                                      "aa_seq",
                                      "aaseq",
                                      "aa_sequence",
                                      "sequence_aa",
                                      "amino_acid_sequence",
                                      "aminoacid",
                                      "amino acid sequence",
                                      "mutated_sequence",
                                      "peptide",
                                      "primary",
                                      "protein",
                                      "seq_aa",
                                      "aa sequence",
                                      "full_sequence",
                                      "sequence_alignment_aa",
                                      "translation",
                                      NULL};
  return is_among(text, bytes, names);
}

bool plm_foreign_is_id_name(const char *text, size_t bytes) {
  static const char *const names[] = {
      "id",      "ids",        "name",   "names", "accession",   "entry",      "acc",    "entry_id", "uniprot_id",
      "uniprot", "protein_id", "seq_id", "seqid", "sequence_id", "identifier", "header", "label",    "primaryaccession",
      "pdb_id",  "pdb",        "title",  "gene",  "mutant",      NULL};
  return is_among(text, bytes, names);
}
