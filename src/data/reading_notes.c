/* reading_notes.c - see reading_notes.h */
#include "data/reading_notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void plm_note_add(plm_reading_notes *notes, plm_note kind, int64_t count, plm_place place, uint32_t character) {
  plm_noted *noted = &notes->kinds[kind];
  if (count <= 0) return;
  if (noted->count == 0) noted->first = place, noted->character = character;
  noted->count += count;
}

const char *plm_place_text(const plm_place *place, const plm_note_sources *sources, char ret_text[PLM_PLACE_TEXT]) {
  char unknown[32], column[32] = "";
  const char *name = unknown;
  ret_text[0] = '\0';
  if (place->line <= 0 && place->is_row == 0) return ret_text;
  snprintf(unknown, sizeof unknown, "file %d", place->source + 1);
  if (place->source < sources->count && place->source < UINT16_MAX) name = sources->names[place->source];
  if (strcmp(name, "-") == 0) name = "standard input";
  if (place->column > 0) snprintf(column, sizeof column, ", column %" PRId32, place->column);
  if (place->is_row != 0)
    snprintf(ret_text, PLM_PLACE_TEXT, "%.400s, row %" PRId64 "%s", name, place->line, column);
  else
    snprintf(ret_text, PLM_PLACE_TEXT, "%.400s:%" PRId64 "%s", name, place->line, column);
  return ret_text;
}
