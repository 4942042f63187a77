/* sequence_sink.h - what happens to a sequence between an input file and the .plmd: letters checked, white space and
 * final '*' removed, what stands in the place of a sequence left out, everything counted, with the first place of each
 * kind. The readers of FASTA and HDF5 hand it text in pieces.
 *
 * A character that is no letter and is to be read as X is kept as one byte: itself if it is ASCII, else '?'.
 *
 * Failures say what is wrong with the text; the reader puts file and line in front (plm_error_prefix).
 */
#ifndef PLM_DATA_SEQUENCE_SINK_H
#define PLM_DATA_SEQUENCE_SINK_H

#include <stdbool.h>

#include "data/alphabet.h"
#include "data/read/mending.h"
#include "data/plmd_write.h"
#include "data/reading_notes.h"

enum { PLM_NAME_BYTES = 4096 };      /* longer names are cut */
enum { PLM_PLACEHOLDER_BYTES = 32 }; /* room for the longest */

/* The sequence that is being taken. */
typedef struct plm_sequence_taken {
  bool begun, skipping;  /* skipping: it holds an invalid letter and is left out */
  bool has_upper;        /* an upper-case letter among its residues */
  plm_place record, end; /* of its name, or else its first text; of the latest text */
  uint32_t noted;        /* bit k: kind k is among the sink's `pending` notes */
  plm_place skipped_at;
  uint32_t skipped_for; /* character */
  size_t name_bytes;    /* kept */
  uint64_t name_tail;   /* hash of what was cut off */
  size_t name_cut;      /* its bytes */
  size_t length;
  size_t first_stop; /* residues before the first '*'; SIZE_MAX: there is none */
  plm_place first_stop_at;
  bool is_nan_open; /* its residues end in "nan": what comes next decides */
  char held[PLM_PLACEHOLDER_BYTES];
  size_t held_bytes; /* its whole text so far: a placeholder, if nothing more comes */
  plm_place held_at;
  char mask[8]; /* what looks like the beginning of "<mask>": it may go on in the next line */
  size_t mask_bytes;
  plm_place mask_at;
} plm_sequence_taken;

typedef struct plm_sequence_sink {
  plm_packed_file_writer *writer; /* borrowed */
  plm_invalid invalid;
  bool keep_masks; /* "<mask>" becomes PLM_MASK_LETTER; else it is refused, or X */
  plm_reading_notes notes;
  plm_place place;     /* of what is handed over next; the reader's to set */
  plm_mending mending; /* of the file that is read, for remedies; path NULL: it is no text */
  plm_sequence_taken taken;
  plm_reading_notes pending; /* of the sequence that is being taken, where taken.noted says so */
  char name[PLM_NAME_BYTES];
  char *residues; /* [taken.length] */
  size_t capacity;
  int64_t comment_line;      /* the rest of this line is a comment; 0: of none */
  bool (*interrupted)(void); /* NULL: never */
} plm_sequence_sink;

void plm_sequence_sink_init(plm_sequence_sink *sink, plm_packed_file_writer *writer, plm_invalid invalid);
void plm_sequence_sink_clear(plm_sequence_sink *sink);

/* More of the name of the sequence to come (for one without a name: 0 bytes, at its place); more of its text; its end.
 * A piece of text ends between characters. */
void plm_sequence_sink_name(plm_sequence_sink *sink, const char *text, size_t bytes);
PLM_CHECKED plm_status plm_sequence_sink_text(plm_sequence_sink *sink, const char *text, size_t bytes);
/* PLM_STOPPED: interrupted. */
PLM_CHECKED plm_status plm_sequence_sink_end(plm_sequence_sink *sink);

#endif
