/* sequence_text.c - see sequence_text.h.
 *
 * Nearly every line is of upper-case letters, and the others are mostly of letters: one pass without branches, which
 * the compiler makes into vector code, tells those. First places are looked for only while they are not known; how
 * many of a letter there are is counted later, over whole buffers (plmd_write.c).
 */
#define _GNU_SOURCE
#include "data/read/sequence_text.h"

#include <string.h>
#include <strings.h>

#include "data/read/characters.h"
#include "data/read/sequence_refusals.h"

static const char other_character = '?'; /* stands for one beyond ASCII that is read as X */

bool plm_sequence_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static size_t space_at(const char *text, size_t bytes) {
  if ((unsigned char)*text < 0x80) return plm_sequence_is_blank(*text);
  const plm_character character = plm_character_at(text, bytes);
  return character.is_valid && plm_character_is_space(character.code) ? character.bytes : 0;
}

void plm_sequence_skip_blanks(const char **text, size_t *bytes) {
  for (size_t space; *bytes > 0 && (space = space_at(*text, *bytes)) > 0; *bytes -= space) *text += space;
}

void plm_sequence_trim(const char **text, size_t *bytes) {
  plm_sequence_skip_blanks(text, bytes);
  while (*bytes > 0) {
    size_t back = 1;
    while (back < 4 && back < *bytes && ((*text)[*bytes - back] & 0xC0) == 0x80) back++;
    if (space_at(*text + *bytes - back, back) != back) return;
    *bytes -= back;
  }
}

/* ---- notes ---- */

static bool is_known(const plm_sequence_sink *sink, plm_note kind) {
  return sink->notes.kinds[kind].count > 0 || (sink->taken.noted >> kind & 1) != 0;
}

void plm_sequence_note(plm_sequence_sink *sink, plm_note kind, int64_t count, plm_place place, uint32_t character) {
  if (count <= 0) return;
  if ((sink->taken.noted >> kind & 1) == 0) sink->pending.kinds[kind] = (plm_noted){0};
  plm_note_add(&sink->pending, kind, count, place, character);
  sink->taken.noted |= 1u << kind;
}

static void note_here(plm_sequence_sink *sink, plm_note kind) {
  plm_place place = sink->place;
  place.column = 0;
  plm_sequence_note(sink, kind, 1, place, 0);
}

/* ---- looking at a whole piece ---- */

/* All letters of one case, the first's, without 'J', which is to be said. */
static bool is_plain(const char *text, size_t bytes) {
  const unsigned char base = text[0] & 0x20 ? 'a' : 'A', j = base + 9;
  unsigned char wrong = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    wrong |= (unsigned char)(((unsigned char)(c - base) >= 26) | (c == j));
  }
  return wrong == 0;
}

typedef struct piece_looks {
  bool has_upper, has_lower, has_j, has_marks, has_other; /* marks: '*', '-', '.' */
} piece_looks;

static piece_looks look_at(const char *text, size_t bytes) {
  unsigned char upper = 0, lower = 0, j = 0, marks = 0, other = 0;
  for (size_t i = 0; i < bytes; i++) {
    const unsigned char c = (unsigned char)text[i];
    const unsigned char is_upper = (unsigned char)(c - 'A') < 26, is_lower = (unsigned char)(c - 'a') < 26;
    const unsigned char is_mark = (c == '*') | (c == '-') | (c == '.');
    upper |= is_upper;
    lower |= is_lower;
    j |= (unsigned char)((c | 0x20) == 'j');
    marks |= is_mark;
    other |= (unsigned char)!(is_upper | is_lower | is_mark);
  }
  return (piece_looks){.has_upper = upper, .has_lower = lower, .has_j = j, .has_marks = marks, .has_other = other};
}

static void note_marks(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  const char *stop =
      taken->first_stop == SIZE_MAX && !is_known(sink, PLM_NOTE_INNER_STOPS) ? memchr(text, '*', bytes) : NULL;
  if (stop != NULL) {
    taken->first_stop = taken->length + (size_t)(stop - text);
    taken->first_stop_at = sink->place;
    taken->first_stop_at.column = 0;
  }
  if (is_known(sink, PLM_NOTE_GAPS)) return;
  if (memchr(text, '-', bytes) != NULL || memchr(text, '.', bytes) != NULL) note_here(sink, PLM_NOTE_GAPS);
}

/* ---- "nan" among upper-case letters ---- */

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

/* Three lower-case letters that no other lower-case letter touches, and an upper-case one does. `follows`: 0 = the
 * sequence ends. */
static bool is_nan_at(const char *residues, size_t at, char follows) {
  const char before = at > 0 ? residues[at - 1] : '\0';
  return memcmp(residues + at, "nan", 3) == 0 && !is_lower(before) && !is_lower(follows) &&
         (is_upper(before) || is_upper(follows));
}

/* The residues from `from` on have come just now; of the three before them only now is known what follows. */
static void look_for_nan(plm_sequence_sink *sink, size_t from) {
  plm_sequence_taken *taken = &sink->taken;
  const char *residues = sink->residues;
  const size_t length = taken->length;
  if (taken->is_nan_open && length > from && is_nan_at(residues, from - 3, residues[from]))
    plm_sequence_note(sink, PLM_NOTE_NAN, 1, taken->end, 0);
  if (length > from) taken->is_nan_open = false;
  for (size_t at = from > 2 ? from - 2 : 0; at + 3 <= length;) {
    const char *found = memmem(residues + at, length - at, "nan", 3);
    if (found == NULL) break;
    at = (size_t)(found - residues);
    if (at + 3 == length)
      taken->is_nan_open = true;
    else if (is_nan_at(residues, at, residues[at + 3]))
      note_here(sink, PLM_NOTE_NAN);
    at += 3;
  }
}

void plm_sequence_close_nan(plm_sequence_sink *sink) {
  plm_sequence_taken *taken = &sink->taken;
  if (!taken->is_nan_open) return;
  taken->is_nan_open = false;
  if (is_nan_at(sink->residues, taken->length - 3, '\0')) plm_sequence_note(sink, PLM_NOTE_NAN, 1, taken->end, 0);
}

/* ---- one character after the other ---- */

/* A special token of a model at `text`, as people write it into sequences: its bytes, or 0. */
static size_t token_at(const char *text, size_t bytes) {
  static const char *const tokens[] = {"<mask>",   "<cls>", "<eos>", "<pad>", "<unk>",
                                       "<null_1>", "<sep>", "</s>",  "<s>"};
  for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
    const size_t length = strlen(tokens[i]);
    if (length <= bytes && strncasecmp(text, tokens[i], length) == 0) return length;
  }
  return 0;
}

/* "&gt;", "&#62;": bytes of it, or 0. */
static size_t entity_at(const char *text, size_t bytes) {
  static const char *const entities[] = {"&gt;",  "&lt;",   "&nbsp;", "&amp;",  "&#62;",
                                         "&#60;", "&#160;", "&#x3e;", "&#x3c;", "&#xa0;"};
  for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
    if (strlen(entities[i]) <= bytes && strncasecmp(text, entities[i], strlen(entities[i])) == 0)
      return strlen(entities[i]);
  return 0;
}

/* "<br>", "</p>", "<mas>": bytes of it, or 0 for none and for a token. */
static size_t tag_at(const char *text, size_t bytes) {
  size_t n = bytes > 1 && text[1] == '/' ? 2 : 1;
  const size_t name = n;
  while (n < bytes && n < 20 &&
         (is_upper((char)(text[n] & ~0x20)) || (n > name && memchr(" /_0123456789", text[n], 13) != NULL)))
    n++;
  return n > name && n < bytes && text[n] == '>' && token_at(text, bytes) == 0 ? n + 1 : 0;
}

plm_status plm_sequence_check_structure(const plm_sequence_sink *sink, const char *text, size_t bytes, int column) {
  const plm_character character = plm_character_at(text, bytes);
  size_t length;
  if (*text == '&' && (length = entity_at(text, bytes)) > 0)
    return plm_refuse_entity(&sink->mending, text, (int)length, column);
  if (*text == '<' && (length = tag_at(text, bytes)) > 0)
    return plm_refuse_tag(&sink->mending, text, (int)length, column);
  /* '›' of Windows-1252, '»' of Latin-1 */
  if (!character.is_valid && column == 1 && (character.code == 0x9B || character.code == 0xBB))
    return plm_refuse_character(&sink->mending, character, column);
  if (character.is_valid && plm_character_looks_like(character.code) == '>')
    return plm_refuse_name_mark(&sink->mending, character, column);
  return PLM_OK;
}

static void keep_as_x(plm_sequence_sink *sink, char residue, uint32_t character, plm_place place) {
  plm_sequence_taken *taken = &sink->taken;
  if (sink->invalid == PLM_INVALID_SKIP && !taken->skipping) {
    taken->skipping = true;
    taken->skipped_at = place;
    taken->skipped_for = character;
  }
  if (!is_known(sink, PLM_NOTE_CHARACTERS)) plm_sequence_note(sink, PLM_NOTE_CHARACTERS, 1, place, character);
  sink->residues[taken->length++] = residue;
}

/* A comment begins a line or stands behind white space; rows of HDF5 have no lines. */
static bool begins_comment(const plm_sequence_sink *sink, const char *text, size_t at) {
  if (text[at] != ';' && text[at] != '#') return false;
  return sink->place.is_row == 0 && (at > 0 ? plm_sequence_is_blank(text[at - 1]) : sink->place.column == 1);
}

/* The character at `at` is no letter of ASCII. *ret_used: bytes of it, or of the token that it begins. */
static plm_status take_odd(plm_sequence_sink *sink, const char *text, size_t bytes, size_t at, plm_place place,
                           size_t *ret_used) {
  const plm_character character = plm_character_at(text + at, bytes - at);
  const size_t token = token_at(text + at, bytes - at);
  const bool is_refused = sink->invalid == PLM_INVALID_ERROR;
  *ret_used = token > 0 ? token : character.bytes;
  if (token == 0 && text[at] == '\0') return plm_refuse_nul();
  if (token == 0 && text[at] == '>') return plm_refuse_glued_record(&sink->mending, place.column);
  if (token == 0 && character.is_valid && plm_character_is_space(character.code)) {
    plm_sequence_note(sink, PLM_NOTE_SPACES, 1, place, character.code);
    return PLM_OK;
  }
  if (token > 0 && is_refused) return plm_refuse_token(&sink->mending, text + at, (int)token, place.column);
  if (is_refused) return plm_refuse_character(&sink->mending, character, place.column);
  if (token == strlen("<mask>") && (text[at + 1] | 0x20) == 'm')
    plm_sequence_note(sink, PLM_NOTE_MASK_TOKENS, 1, place, 0);
  const bool is_ascii = token == 0 && character.is_valid && character.code < 0x80;
  keep_as_x(sink, is_ascii ? text[at] : other_character,
            character.is_valid ? character.code : PLM_NOTE_BYTE | character.code, place);
  return PLM_OK;
}

/* ---- "<mask>", where it is kept ---- */

plm_status plm_sequence_close_mask(plm_sequence_sink *sink) {
  plm_sequence_taken *taken = &sink->taken;
  const size_t bytes = taken->mask_bytes;
  size_t used; /* 1: '<' alone is odd, and letters follow it */
  if (bytes == 0) return PLM_OK;
  taken->mask_bytes = 0;
  PLM_TRY(take_odd(sink, taken->mask, bytes, 0, taken->mask_at, &used));
  memcpy(sink->residues + taken->length, taken->mask + 1, bytes - 1);
  taken->length += bytes - 1;
  return PLM_OK;
}

/* `c` as the next byte of "<mask>", in either case; *ret_taken: it is that. */
static plm_status take_mask(plm_sequence_sink *sink, char c, plm_place place, bool *ret_taken) {
  static const char mask[] = "<mask>";
  plm_sequence_taken *taken = &sink->taken;
  const char lower = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  *ret_taken = false;
  if (lower != mask[taken->mask_bytes]) PLM_TRY(plm_sequence_close_mask(sink));
  if (lower != mask[taken->mask_bytes]) return PLM_OK;
  *ret_taken = true;
  if (taken->mask_bytes == 0) taken->mask_at = place;
  taken->mask[taken->mask_bytes++] = c;
  if (taken->mask_bytes < sizeof mask - 1) return PLM_OK;
  taken->mask_bytes = 0;
  plm_sequence_note(sink, PLM_NOTE_MASK_TOKENS, 1, taken->mask_at, 0);
  sink->residues[taken->length++] = PLM_MASK_LETTER;
  return PLM_OK;
}

static plm_status take_with_care(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_place place = sink->place;
  const bool has_columns = place.column > 0;
  for (size_t i = 0, used; i < bytes; i += used, place.column += has_columns && place.column < INT32_MAX) {
    const char c = text[i];
    bool is_mask = false;
    used = 1;
    if (plm_sequence_is_blank(c)) continue;
    if (c == '<' || c == '&' || (unsigned char)c >= 0x80)
      PLM_TRY(plm_sequence_check_structure(sink, text + i, bytes - i, place.column));
    if (sink->keep_masks) PLM_TRY(take_mask(sink, c, place, &is_mask));
    if (is_mask) continue;
    if (plm_alphabet_is_letter((unsigned char)c)) {
      sink->residues[sink->taken.length++] = c;
    } else if (begins_comment(sink, text, i)) {
      note_here(sink, PLM_NOTE_COMMENTS);
      sink->comment_line = place.line;
      return PLM_OK;
    } else {
      PLM_TRY(take_odd(sink, text, bytes, i, place, &used));
    }
  }
  return PLM_OK;
}

/* ---- a piece ---- */

static plm_status take_odd_piece(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  const size_t before = taken->length;
  const piece_looks looks = look_at(text, bytes);
  const char *kept = text;
  if (looks.has_other || taken->mask_bytes > 0) {
    PLM_TRY(take_with_care(sink, text, bytes));
    kept = sink->residues + before;
    bytes = taken->length - before;
    taken->length = before;
  } else {
    memcpy(sink->residues + before, text, bytes);
  }
  if (looks.has_marks) note_marks(sink, kept, bytes);
  if (looks.has_j && !is_known(sink, PLM_NOTE_J) && (memchr(kept, 'J', bytes) || memchr(kept, 'j', bytes)))
    note_here(sink, PLM_NOTE_J);
  if (looks.has_lower && !is_known(sink, PLM_NOTE_LOWERCASE)) note_here(sink, PLM_NOTE_LOWERCASE);
  taken->length = before + bytes;
  if (taken->is_nan_open || (looks.has_lower && (looks.has_upper || taken->has_upper || bytes <= 3)))
    look_for_nan(sink, before);
  taken->has_upper |= looks.has_upper;
  return PLM_OK;
}

/* Nothing in it is to be looked for. */
static bool is_nothing_new(const plm_sequence_sink *sink, const char *text, size_t bytes) {
  const plm_sequence_taken *taken = &sink->taken;
  if (taken->is_nan_open || taken->mask_bytes > 0 || !is_plain(text, bytes)) return false;
  return is_upper(text[0]) || (bytes > 3 && !taken->has_upper && is_known(sink, PLM_NOTE_LOWERCASE));
}

plm_status plm_sequence_take_text(plm_sequence_sink *sink, const char *text, size_t bytes) {
  plm_sequence_taken *taken = &sink->taken;
  if (bytes == 0) return PLM_OK;
  if (is_nothing_new(sink, text, bytes)) {
    memcpy(sink->residues + taken->length, text, bytes);
    taken->length += bytes;
    taken->has_upper |= is_upper(text[0]);
  } else {
    PLM_TRY(take_odd_piece(sink, text, bytes));
  }
  taken->end = sink->place;
  taken->end.column = 0;
  return PLM_OK;
}
