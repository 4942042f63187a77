/* sequence_sink.c - see sequence_sink.h; a piece of text is sequence_text.c's. */
#include "data/read/sequence_sink.h"

#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/plmd_format.h"
#include "data/read/sequence_text.h"

static const plm_sequence_taken nothing_taken = {.first_stop = SIZE_MAX};

void plm_sequence_sink_init(plm_sequence_sink *sink, plm_packed_file_writer *writer, plm_invalid invalid) {
  *sink = (plm_sequence_sink){.writer = writer, .invalid = invalid, .taken = nothing_taken};
}

void plm_sequence_sink_clear(plm_sequence_sink *sink) {
  plm_free(sink->residues);
  sink->residues = NULL;
  sink->capacity = 0;
}

/* ---- name ---- */

static void begin(plm_sequence_sink *sink) {
  if (sink->taken.begun) return;
  sink->taken.begun = true;
  sink->taken.record = sink->taken.end = sink->place;
  sink->taken.record.column = sink->taken.end.column = 0;
}

/* FNV-1a: the same in whatever pieces the name comes. */
static uint64_t hash_on(uint64_t hash, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
  return hash;
}

void plm_sequence_sink_name(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  size_t room = PLM_NAME_BYTES - taken->name_bytes, piece = bytes < room ? bytes : room;
  begin(sink);
  memcpy(sink->name + taken->name_bytes, text, piece);
  taken->name_bytes += piece;
  taken->name_cut += bytes - piece;
  taken->name_tail = hash_on(taken->name_tail, text + piece, bytes - piece);
}

static uint64_t hash_name(const plm_sequence_sink *sink) {
  const plm_sequence_taken *taken = &sink->taken;
  const uint64_t kept = plm_hash64(sink->name, taken->name_bytes);
  if (taken->name_cut == 0) return kept;
  const uint64_t parts[3] = {kept, taken->name_tail, taken->name_cut};
  return plm_hash64(parts, sizeof parts);
}

/* ---- what stands in the place of a sequence ---- */

/* A web page's no-break spaces are blanks. Returns the bytes of `ret_plain`, which are no more. */
static size_t with_plain_blanks(const char *text, size_t bytes, char ret_plain[PLM_PLACEHOLDER_BYTES]) {
  size_t used = 0;
  for (const char *at = text, *end = text + bytes; at < end;) {
    const char *start = at;
    size_t left = (size_t)(end - at);
    plm_sequence_skip_blanks(&at, &left);
    ret_plain[used++] = at > start ? ' ' : *at++;
  }
  return used;
}

/* As tools print it: BioMart; Python, pandas, R and databases for a missing value. "NAN", "NONE", "NULL" and "NA" are
 * peptides. */
static bool is_placeholder(const char *text, size_t bytes) {
  static const char *const placeholders[] = {"Sequence unavailable",
                                             "sequence unavailable",
                                             "nan",
                                             "NaN",
                                             "None",
                                             "null",
                                             "N/A",
                                             "n/a",
                                             "#N/A",
                                             "<NA>",
                                             "undefined"};
  char plain[PLM_PLACEHOLDER_BYTES];
  const size_t count = with_plain_blanks(text, bytes, plain);
  for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++)
    if (strlen(placeholders[i]) == count && memcmp(plain, placeholders[i], count) == 0) return true;
  return false;
}

/* Only at the start of a sequence is it asked. */
static bool hold(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  plm_sequence_trim(&text, &bytes);
  if (bytes >= PLM_PLACEHOLDER_BYTES || !is_placeholder(text, bytes)) return false;
  memcpy(taken->held, text, bytes);
  taken->held_bytes = bytes;
  taken->held_at = sink->place;
  return true;
}

/* More came: then it was text like any other. */
static plm_status release(plm_sequence_sink *sink) {
  plm_sequence_taken *taken = &sink->taken;
  const size_t bytes = taken->held_bytes;
  const plm_place now = sink->place;
  taken->held_bytes = 0;
  sink->place = taken->held_at;
  PLM_TRY(PLM_GROW(&sink->residues, &sink->capacity, bytes));
  PLM_TRY(plm_sequence_take_text(sink, taken->held, bytes));
  sink->place = now;
  return PLM_OK;
}

/* ---- text ---- */

plm_status plm_sequence_sink_text(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  begin(sink);
  if (bytes == 0 || (sink->comment_line != 0 && sink->comment_line == sink->place.line)) return PLM_OK;
  if (bytes > (size_t)PLMD_LONGEST - taken->length)
    return plm_fail(PLM_E_INPUT, "a sequence of more than %d letters is no protein", PLMD_LONGEST);
  if (taken->held_bytes > 0) {
    plm_sequence_trim(&text, &bytes);
    if (bytes == 0) return PLM_OK;
    PLM_TRY(release(sink));
  } else if (taken->length == 0 && bytes < PLM_PLACEHOLDER_BYTES && hold(sink, text, bytes)) {
    return PLM_OK;
  }
  const size_t room = taken->length + taken->mask_bytes + bytes;
  if (room > sink->capacity) PLM_TRY(PLM_GROW(&sink->residues, &sink->capacity, room)); /* not a call a line */
  return plm_sequence_take_text(sink, text, bytes);
}

/* ---- the end ---- */

static void drop(plm_sequence_sink *sink, plm_note kind, plm_place place, uint32_t character) {
  plm_note_add(&sink->notes, kind, 1, place, character);
  /* what was dropped with it is of the file, not of its residues */
  const plm_noted *comments = &sink->pending.kinds[PLM_NOTE_COMMENTS];
  if ((sink->taken.noted >> PLM_NOTE_COMMENTS & 1) != 0)
    plm_note_add(&sink->notes, PLM_NOTE_COMMENTS, comments->count, comments->first, 0);
}

/* Final stops are not residues. Returns how many residues are left. */
static size_t drop_stops(plm_sequence_sink *sink) {
  plm_sequence_taken *taken = &sink->taken;
  size_t kept = taken->length;
  while (kept > 0 && sink->residues[kept - 1] == '*') kept--;
  plm_sequence_note(sink, PLM_NOTE_STOPS, (int64_t)(taken->length - kept), taken->end, 0);
  if (taken->first_stop < kept) plm_sequence_note(sink, PLM_NOTE_INNER_STOPS, 1, taken->first_stop_at, 0);
  return kept;
}

static plm_status keep(plm_sequence_sink *sink, size_t length) {
  plm_sequence_taken *taken = &sink->taken;
  plm_sequence_close_nan(sink);
  if (taken->name_bytes == 0 && taken->record.is_row == 0)
    plm_sequence_note(sink, PLM_NOTE_UNNAMED, 1, taken->record, 0);
  if (taken->name_cut > 0) plm_sequence_note(sink, PLM_NOTE_NAMES_CUT, 1, taken->record, 0);
  for (int kind = 0; kind < PLM_NOTES && taken->noted >> kind != 0; kind++) {
    const plm_noted *noted = &sink->pending.kinds[kind];
    if ((taken->noted >> kind & 1) != 0)
      plm_note_add(&sink->notes, (plm_note)kind, noted->count, noted->first, noted->character);
  }
  const plm_packed_record record = {
      .name = sink->name,
      .name_bytes = taken->name_bytes,
      .name_hash = taken->name_bytes > 0 ? hash_name(sink) : 0,
      .residues = sink->residues,
      .length = length,
      .place = taken->record,
  };
  return plm_packed_file_writer_add(sink->writer, &record);
}

static plm_status settle(plm_sequence_sink *sink) {
  const plm_sequence_taken *taken = &sink->taken;
  if (sink->interrupted != NULL && sink->interrupted()) return PLM_STOPPED;
  PLM_TRY(plm_sequence_close_mask(sink));
  if (taken->skipping) {
    drop(sink, PLM_NOTE_SKIPPED, taken->skipped_at, taken->skipped_for);
    return PLM_OK;
  }
  if (taken->held_bytes > 0) {
    plm_place place = taken->held_at;
    place.column = 0;
    drop(sink, PLM_NOTE_PLACEHOLDERS, place, 0);
    return PLM_OK;
  }
  const size_t length = drop_stops(sink);
  if (length > 0) return keep(sink, length);
  plm_note_add(&sink->notes, PLM_NOTE_STOPS, (int64_t)taken->length, taken->end, 0);
  drop(sink, PLM_NOTE_EMPTY, taken->record, 0);
  return PLM_OK;
}

plm_status plm_sequence_sink_end(plm_sequence_sink *sink) {
  begin(sink);
  plm_status status = settle(sink);
  sink->comment_line = 0;
  sink->taken = nothing_taken;
  return status;
}
