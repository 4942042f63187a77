/* sequence_sink.c - see sequence_sink.h */
#include "data/sequence_sink.h"

#include <string.h>

#include "base/alloc.h"
#include "data/plmd_format.h"

void plm_sequence_sink_init(plm_sequence_sink *sink, plm_packed_file_writer *writer, plm_invalid invalid) {
  *sink = (plm_sequence_sink){.writer = writer, .invalid = invalid};
}

void plm_sequence_sink_clear(plm_sequence_sink *sink) {
  plm_free(sink->residues);
  sink->residues = NULL;
  sink->capacity = 0;
}

void plm_sequence_sink_name(plm_sequence_sink *sink, const char *text, size_t bytes) {
  size_t room = PLM_NAME_BYTES - sink->name_bytes, piece = bytes < room ? bytes : room;
  memcpy(sink->name + sink->name_bytes, text, piece);
  sink->name_bytes += piece;
}

/* Whether all are letters, gaps or '*': one pass without branches, which the compiler makes into vector code. */
static bool are_letters(const char *text, size_t bytes) {
  unsigned char wrong = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i], folded = (unsigned char)((c | 0x20) - 'a');
    wrong |= (unsigned char)((folded >= 26) & (c != '*') & (c != '-') & (c != '.'));
  }
  return wrong == 0;
}

static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static plm_status invalid_letter(unsigned char c) {
  if (c == '\0')
    return plm_hint(
        plm_fail(PLM_E_INPUT,
                 "a NUL byte inside a sequence: this is a binary file, or it was damaged when a disk or a copy failed"),
        "copy the file again from where it came from");
  if (c == ';')
    plm_fail(PLM_E_INPUT, "';' inside a sequence: comment lines are not part of the FASTA format");
  else if (c == '>')
    plm_fail(PLM_E_INPUT, "'>' inside a sequence: a name must start its line");
  else if (c > ' ' && c < 127)
    plm_fail(PLM_E_INPUT, "'%c' is not an amino acid", c);
  else
    plm_fail(PLM_E_INPUT, "a byte of value %d inside a sequence is not an amino acid", c);
  return plm_hint(
      PLM_E_INPUT,
      "correct the file, or choose --on-invalid x to read such characters as X, or skip to leave those sequences out");
}

static plm_status judge_letter(plm_sequence_sink *sink, unsigned char c) {
  if (plm_alphabet_is_letter(c)) return PLM_OK;
  if (sink->invalid == PLM_INVALID_ERROR || c == '\0') return invalid_letter(c);
  if (sink->invalid == PLM_INVALID_SKIP) sink->skipping = true;
  return PLM_OK;
}

/* What looked like the beginning of "<mask>" is none: its letters have been added, its '<' is to be judged. */
static plm_status give_up_mask(plm_sequence_sink *sink) {
  if (sink->mask_bytes == 0) return PLM_OK;
  sink->mask_bytes = 0;
  return judge_letter(sink, '<');
}

/* `c` as the next byte of "<mask>", in either case, where it is that. */
static plm_status take_mask(plm_sequence_sink *sink, unsigned char c, bool *ret_taken) {
  static const char mask[] = "<mask>";
  const char lower = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  *ret_taken = false;
  if (lower != mask[sink->mask_bytes]) PLM_TRY(give_up_mask(sink));
  if (lower != mask[sink->mask_bytes]) return PLM_OK;
  *ret_taken = true;
  sink->residues[sink->length++] = (char)c;
  if (++sink->mask_bytes < sizeof mask - 1) return PLM_OK;
  sink->length -= sink->mask_bytes;
  sink->mask_bytes = 0;
  sink->residues[sink->length++] = PLM_MASK_LETTER;
  plm_note_add(&sink->notes, PLM_NOTE_MASK_TOKENS, 1, sink->place, 0);
  return PLM_OK;
}

/* Text with something in it that is no letter. Room for all of it has been made. */
static plm_status add_with_care(plm_sequence_sink *sink, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    const unsigned char c = (unsigned char)text[i];
    bool taken = false;
    if (is_space(c)) continue;
    if (sink->keep_masks) PLM_TRY(take_mask(sink, c, &taken));
    if (taken) continue;
    PLM_TRY(judge_letter(sink, c));
    sink->residues[sink->length++] = (char)c;
  }
  return PLM_OK;
}

plm_status plm_sequence_sink_text(plm_sequence_sink *sink, const char *text, size_t bytes) {
  if (bytes == 0) return PLM_OK;
  if (bytes > (size_t)PLMD_LONGEST - sink->length)
    return plm_fail(PLM_E_INPUT, "a sequence of more than %d letters is no protein", PLMD_LONGEST);
  PLM_TRY(PLM_GROW(&sink->residues, &sink->capacity, sink->length + bytes));
  if (sink->mask_bytes > 0 || !are_letters(text, bytes)) return add_with_care(sink, text, bytes);
  memcpy(sink->residues + sink->length, text, bytes);
  sink->length += bytes;
  return PLM_OK;
}

plm_status plm_sequence_sink_end(plm_sequence_sink *sink) {
  PLM_TRY(give_up_mask(sink));
  size_t length = sink->length, name_bytes = sink->name_bytes, kept = length;
  sink->length = sink->name_bytes = 0;
  if (sink->interrupted != NULL && sink->interrupted()) return PLM_STOPPED;
  if (sink->skipping) {
    sink->skipping = false;
    plm_note_add(&sink->notes, PLM_NOTE_SKIPPED, 1, sink->place, 0);
    return PLM_OK;
  }
  while (kept > 0 && sink->residues[kept - 1] == '*') kept--;
  plm_note_add(&sink->notes, PLM_NOTE_STOPS, (int64_t)(length - kept), sink->place, 0);
  if (kept == 0) {
    plm_note_add(&sink->notes, PLM_NOTE_EMPTY, 1, sink->place, 0);
    return PLM_OK;
  }
  return plm_packed_file_writer_add(sink->writer, sink->name, name_bytes, sink->residues, kept);
}
