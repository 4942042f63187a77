/* reading_notes.h - what reading changed, left out or noticed: by kind, how often, and where first.
 *
 * The notes are part of the packed form's summary, so a start from the cache tells the same as the one that read the
 * file. A kind's number is its place in files that exist: new kinds go to the end.
 */
#ifndef PLM_DATA_READING_NOTES_H
#define PLM_DATA_READING_NOTES_H

#include <stddef.h>
#include <stdint.h>

/* Number of the rules by which text becomes sequences. To be raised whenever some file is read otherwise than before:
 * then no packed form of older rules is used, and a resume can say why its data differs. 0: files before there was a
 * number. */
enum { PLM_READING_RULES = 2 };

typedef enum plm_note {
  PLM_NOTE_STOPS,        /* '*' at the end of sequences, dropped */
  PLM_NOTE_EMPTY,        /* records without a residue, left out */
  PLM_NOTE_SKIPPED,      /* sequences left out for characters that are no amino acids */
  PLM_NOTE_PLACEHOLDERS, /* "Sequence unavailable", "nan": records left out */
  PLM_NOTE_COMMENTS,     /* what follows ';' or '#' at a line's start or behind white space, dropped */
  PLM_NOTE_SEPARATORS,   /* lines between records ("--", as grep writes; "//", "====="), dropped */
  PLM_NOTE_TITLES,       /* the line under ">P1;name" of PIR records, dropped */
  PLM_NOTE_BYTE_ORDER_MARKS,
  PLM_NOTE_UNNAMED,      /* records without a name, numbered */
  PLM_NOTE_NAMES_CUT,    /* names longer than PLM_NAME_BYTES */
  PLM_NOTE_SPACES,       /* white space of Unicode, dropped */
  PLM_NOTE_CHARACTERS,   /* characters that are no letters, kept to be read as X */
  PLM_NOTE_LOWERCASE,    /* lower-case letters; with PLM_LOWERCASE_X they become X */
  PLM_NOTE_INNER_STOPS,  /* '*' inside */
  PLM_NOTE_GAPS,         /* '-' and '.' */
  PLM_NOTE_J,            /* letters that ESM-2 has no token for */
  PLM_NOTE_NAN,          /* "nan" in lower case among upper-case letters: warned of */
  PLM_NOTE_MASK_TOKENS,  /* "<mask>" in a sequence */
  PLM_NOTE_IDS_NOT_USED, /* HDF5: no data set of ids fits the sequences (rows are numbered) */
  PLM_NOTE_CUT_BLOCKS,   /* bgzip files without their end mark */
  PLM_NOTE_BYTES_BEHIND, /* bytes after compressed data that are none, left out */
  PLM_NOTE_DUPLICATES,   /* records whose name an earlier one has (by hash) */
  PLM_NOTE_METADATA,     /* HDF5: datasets that tell of the file ("species"), left out */
  PLM_NOTES
} plm_note;

/* Where: `line` is of the text (from 1) in FASTA, a row (from 0) in HDF5; `column` counts characters from 1, 0 when it
 * says nothing. */
typedef struct plm_place {
  int64_t line;
  int32_t column;
  uint16_t source; /* which of the files that were read one after the other, from 0; UINT16_MAX: that one or later */
  uint16_t is_row;
} plm_place;

typedef struct plm_noted {
  int64_t count;
  plm_place first;
  uint32_t character; /* the first one, as Unicode numbers it; 0 where a kind is not about one */
  uint32_t zero;
} plm_noted;
_Static_assert(sizeof(plm_noted) == 32, "as it stands in files");

typedef struct plm_reading_notes {
  plm_noted kinds[PLM_NOTES];
} plm_reading_notes;

#define PLM_NOTE_BYTE 0x80000000u /* in `character`: it is a byte that is no valid UTF-8 */

/* `count` more of a kind, the first of them at `place`. */
void plm_note_add(plm_reading_notes *notes, plm_note kind, int64_t count, plm_place place, uint32_t character);

/* The names by which the files that were read are called. */
typedef struct plm_note_sources {
  const char *const *names;
  size_t count;
} plm_note_sources;

enum { PLM_PLACE_TEXT = 512 };

/* "b.fasta:12", "b.fasta:12, column 3", "x.h5, row 7"; "" for no place. Returns `ret_text`. */
const char *plm_place_text(const plm_place *place, const plm_note_sources *sources, char ret_text[PLM_PLACE_TEXT]);

#endif
