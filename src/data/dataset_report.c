/* dataset_report.c - what reading a dataset changed, left out or noticed, in words: a line a kind, with the first
 * place. The same lines whether the text was read now or by an earlier start. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "data/read/characters.h"
#include "data/plmd_read.h"
#include "protlm/log.h"

enum { LINE_BYTES = PLM_PLACE_TEXT + 256 };

typedef struct report {
  const plm_dataset *dataset;
  void (*line)(void *user, const char *text);
  void *user;
} report;

/* What follows the count, for one and for several. */
static const struct note_words {
  plm_note kind;
  const char *one, *several;
} note_words[] = {
    {PLM_NOTE_STOPS, "'*' at the end of sequences removed", "'*' at the end of sequences removed"},
    {PLM_NOTE_EMPTY, "empty sequence left out", "empty sequences left out"},
    {PLM_NOTE_SKIPPED, "sequence left out for characters that are no amino acids",
     "sequences left out for characters that are no amino acids"},
    {PLM_NOTE_PLACEHOLDERS,
     "record left out that has a placeholder (\"Sequence unavailable\", \"nan\", ...) for its sequence",
     "records left out that have a placeholder (\"Sequence unavailable\", \"nan\", ...) for their sequence"},
    {PLM_NOTE_COMMENTS, "comment dropped (';' or '#')", "comments dropped (';' or '#')"},
    {PLM_NOTE_SEPARATORS, "line between records (such as '--') dropped",
     "lines between records (such as '--') dropped"},
    {PLM_NOTE_TITLES, "title line of a PIR record dropped", "title lines of PIR records dropped"},
    {PLM_NOTE_BYTE_ORDER_MARKS, "byte order mark dropped", "byte order marks dropped"},
    {PLM_NOTE_SPACES, "white-space character of Unicode dropped", "white-space characters of Unicode dropped"},
    {PLM_NOTE_UNNAMED, "record without a name, called by its number",
     "records without a name, called by their numbers"},
    {PLM_NOTE_NAMES_CUT, "name cut to 4,096 bytes", "names cut to 4,096 bytes"},
    {PLM_NOTE_DUPLICATES, "sequence has a name that an earlier one has",
     "sequences have a name that an earlier one has"},
    {PLM_NOTE_IDS_NOT_USED,
     "HDF5 file with ids that are not used: none are as many as its sequences (--hdf5-ids names others)",
     "HDF5 files with ids that are not used: none are as many as the sequences (--hdf5-ids names others)"},
    {PLM_NOTE_METADATA,
     "HDF5 dataset left out whose name (species, version, date, ...) tells of the file, not of a protein",
     "HDF5 datasets left out whose names (species, version, date, ...) tell of the file, not of a protein"},
    {PLM_NOTE_MASK_TOKENS, "'<mask>' read as X; `protlm inspect forward` asks the model there",
     "'<mask>' read as X; `protlm inspect forward` asks the model there"},
};

const char *plm_dataset_note_place(const plm_dataset *dataset, plm_note kind, char ret_text[PLM_PLACE_TEXT]) {
  const plm_note_sources sources = {.names = (const char *const *)dataset->sources, .count = dataset->source_count};
  return plm_place_text(&dataset->info.notes.kinds[kind].first, &sources, ret_text);
}

/* "TEXT (first: U+00A0, a.fasta:12, column 3)" */
static void say(const report *r, const char *text, int kind) {
  char line[LINE_BYTES], place[PLM_PLACE_TEXT] = "", words[PLM_CHARACTER_WORDS + 2] = "";
  if (kind >= 0 && kind < PLM_NOTES) {
    const uint32_t character = r->dataset->info.notes.kinds[kind].character;
    const plm_character first = {
        .code = character & ~PLM_NOTE_BYTE,
        .is_valid = (character & PLM_NOTE_BYTE) == 0,
    };
    plm_dataset_note_place(r->dataset, (plm_note)kind, place);
    if (character != 0) {
      plm_character_words(first, words);
      strcat(words, ", ");
    }
  }
  if (place[0] == '\0')
    snprintf(line, sizeof line, "%s", text);
  else
    snprintf(line, sizeof line, "%s (first: %s%s)", text, words, place);
  r->line(r->user, line);
}

static void say_letters(void *user, char letter, const char *text) {
  const int kind = letter == 'a'   ? PLM_NOTE_LOWERCASE
                   : letter == '*' ? PLM_NOTE_INNER_STOPS
                   : letter == 'J' ? PLM_NOTE_J
                   : letter == '-' ? PLM_NOTE_GAPS
                   : letter == 0   ? PLM_NOTE_CHARACTERS
                                   : -1;
  say(user, text, kind);
}

void plm_dataset_report(const plm_dataset *dataset, const plm_alphabet *alphabet, const plm_alphabet_policy *policy,
                        void (*line)(void *user, const char *text), void *user) {
  const plm_dataset_info *info = &dataset->info;
  report r = {.dataset = dataset, .line = line, .user = user};
  for (size_t i = 0; i < sizeof note_words / sizeof *note_words; i++) {
    const struct note_words *words = &note_words[i];
    const int64_t n = info->notes.kinds[words->kind].count;
    char count[PLM_NUMBER_TEXT], text[256];
    if (n <= 0 || (words->kind == PLM_NOTE_MASK_TOKENS && policy->masks)) continue;
    snprintf(text, sizeof text, "%s %s", plm_count_text(n, count), n == 1 ? words->one : words->several);
    const bool is_of_file = words->kind == PLM_NOTE_IDS_NOT_USED || words->kind == PLM_NOTE_METADATA;
    say(&r, text, is_of_file ? -1 : (int)words->kind);
  }
  plm_alphabet_report(alphabet, policy, info->histogram, say_letters, &r);
}

static void log_line(void *user, const char *text) { plm_info("%s: %s", (const char *)user, text); }

void plm_dataset_log(const plm_dataset *dataset, const plm_alphabet *alphabet, const plm_alphabet_policy *policy) {
  plm_dataset_report(dataset, alphabet, policy, log_line, (void *)(uintptr_t)dataset->info.source);
}

bool plm_dataset_looks_like_nucleotides(const plm_dataset_info *info, int *opt_percent) {
  static const char nucleotides[] = "ACGTUNacgtun";
  int64_t letters = 0, found = 0;
  for (int c = 'A'; c <= 'z'; c++) letters += plm_alphabet_is_letter(c) ? info->histogram[c] : 0;
  for (const char *c = nucleotides; *c != '\0'; c++) found += info->histogram[(unsigned char)*c];
  if (letters < 200 || (letters - found) * 10 > letters) return false;
  if (opt_percent != NULL) *opt_percent = (int)(100.0 * (double)found / (double)letters);
  return true;
}
