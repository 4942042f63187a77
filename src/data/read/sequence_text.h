/* sequence_text.h - a piece of a sequence's text becomes residues: the inner part of sequence_sink.h. */
#ifndef PLM_DATA_SEQUENCE_TEXT_H
#define PLM_DATA_SEQUENCE_TEXT_H

#include "data/read/sequence_sink.h"

bool plm_sequence_is_blank(char c); /* ASCII white space */

/* Leaves out white space at the start; at both ends. Of Unicode too, and what has no width. */
void plm_sequence_skip_blanks(const char **text, size_t *bytes);
void plm_sequence_trim(const char **text, size_t *bytes);

/* Structure at `text` (bytes > 0) that is written in other characters, which no policy reads as residues: '>' that only
 * looks so, HTML's "&gt;", tags. Fails for it. */
PLM_CHECKED plm_status plm_sequence_check_structure(const plm_sequence_sink *sink, const char *text, size_t bytes,
                                                    int column);

/* Of the sequence that is being taken, at `place`; counts once the sequence is kept. */
void plm_sequence_note(plm_sequence_sink *sink, plm_note kind, int64_t count, plm_place place, uint32_t character);

/* Appends to the residues. There is room for all of it. */
PLM_CHECKED plm_status plm_sequence_take_text(plm_sequence_sink *sink, const char *text, size_t bytes);

/* What only began like "<mask>" is text like any other, when nothing follows. There is room for it. */
PLM_CHECKED plm_status plm_sequence_close_mask(plm_sequence_sink *sink);

/* "nan" at the residues' very end, when nothing follows. */
void plm_sequence_close_nan(plm_sequence_sink *sink);

#endif
