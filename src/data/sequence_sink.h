/* sequence_sink.h - what happens to a sequence between an input file and the .plmd: letters checked, white space and
 * final '*' removed, empty ones dropped, everything counted. The readers of FASTA and HDF5 hand it text in pieces.
 *
 * Failures say what is wrong with the text; the reader puts file and line in front (plm_error_prefix).
 */
#ifndef PLM_DATA_SEQUENCE_SINK_H
#define PLM_DATA_SEQUENCE_SINK_H

#include <stdbool.h>

#include "data/alphabet.h"
#include "data/plmd_write.h"
#include "data/reading_notes.h"

enum { PLM_NAME_BYTES = 4096 }; /* longer names are cut */

typedef struct plm_sequence_sink {
  plm_packed_file_writer *writer; /* borrowed */
  plm_invalid invalid;
  bool keep_masks;   /* "<mask>" becomes PLM_MASK_LETTER; else it is refused */
  size_t mask_bytes; /* of a "<mask>" that has begun, 0: none has; it may go on in the next line */
  plm_reading_notes notes;
  plm_place place; /* of what is handed over next; the reader's to set */
  char name[PLM_NAME_BYTES];
  size_t name_bytes;
  char *residues;
  size_t length, capacity;
  bool (*interrupted)(void); /* NULL: never */
  bool skipping;             /* this sequence holds an invalid letter and is left out */
} plm_sequence_sink;

void plm_sequence_sink_init(plm_sequence_sink *sink, plm_packed_file_writer *writer, plm_invalid invalid);
void plm_sequence_sink_clear(plm_sequence_sink *sink);

/* More of the name of the sequence to come; more of its text; its end. */
void plm_sequence_sink_name(plm_sequence_sink *sink, const char *text, size_t bytes);
PLM_CHECKED plm_status plm_sequence_sink_text(plm_sequence_sink *sink, const char *text, size_t bytes);
/* PLM_STOPPED: interrupted. */
PLM_CHECKED plm_status plm_sequence_sink_end(plm_sequence_sink *sink);

#endif
