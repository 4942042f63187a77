/* reading_notes.c - see reading_notes.h */
#include "data/reading_notes.h"

void plm_note_add(plm_reading_notes *notes, plm_note kind, int64_t count, plm_place place, uint32_t character) {
  plm_noted *noted = &notes->kinds[kind];
  if (count <= 0) return;
  if (noted->count == 0) noted->first = place, noted->character = character;
  noted->count += count;
}
