/* foreign_internal.h - what the chapters about foreign files share. See foreign_file.h. */
#ifndef PLM_DATA_FOREIGN_INTERNAL_H
#define PLM_DATA_FOREIGN_INTERNAL_H

#include "data/read/foreign_file.h"

/* The beginning of a file, without byte order mark and leading white space. */
typedef struct plm_foreign_look {
  const char *path;
  bool compressed;
  bool marked;  /* a byte order mark stood before it */
  bool returns; /* lines end with carriage returns alone, which are line feeds in `text` */
  const char *text;
  size_t bytes;
} plm_foreign_look;

typedef struct plm_foreign_line {
  const char *text; /* without its end */
  size_t bytes;
} plm_foreign_line;

/* More of a file is shown if it is longer. */
enum { PLM_FOREIGN_WHOLE = 1 << 15 };

/* The line at *at, which moves behind it; false at the end. A last line that may have been cut is none. */
bool plm_foreign_next_line(const plm_foreign_look *look, size_t *at, plm_foreign_line *ret_line);

/* Without blanks around it, and without apostrophes that stand as quotation marks. */
plm_foreign_line plm_foreign_trimmed(const char *begin, const char *end);

enum { PLM_FOREIGN_COLUMNS = 128 };

/* The fields of a line, without quotes; the delimiter ' ' stands for any run of blanks. Returns how many,
 * PLM_FOREIGN_COLUMNS at most. */
int plm_foreign_split(plm_foreign_line line, char delimiter, plm_foreign_line fields[PLM_FOREIGN_COLUMNS],
                      bool *ret_quoted);

/* In upper or lower case. plm_foreign_find: where it is, or NULL. */
bool plm_foreign_starts_with(const plm_foreign_look *look, const char *words);
bool plm_foreign_holds(const plm_foreign_look *look, const char *words);
const char *plm_foreign_find(const char *text, size_t bytes, const char *words);

/* Letters of at least `least` residues, in one case, as a whole sequence is written. */
bool plm_foreign_is_residues(const char *text, size_t bytes, size_t least);

/* Whether a column or a key of this name holds sequences, or what tells them apart. */
bool plm_foreign_is_sequence_name(const char *text, size_t bytes);
bool plm_foreign_is_id_name(const char *text, size_t bytes);

/* Fails: "this is `what`, not FASTA". */
plm_status plm_foreign_name(const plm_foreign_look *look, const char *what);
/* The same, with the line that puts it through `filter`. */
plm_status plm_foreign_filter(const plm_foreign_look *look, const char *what, const char *filter);

/* Of FASTA: fails where a stream, all of which is seen, has nothing but names that hold the letters. */
PLM_CHECKED plm_status plm_foreign_header_check(const plm_foreign_look *look);

/* PLM_OK: of none of the kinds that the chapter knows. */
PLM_CHECKED plm_status plm_foreign_text_check(const plm_foreign_look *look);
PLM_CHECKED plm_status plm_foreign_json_check(const plm_foreign_look *look);
PLM_CHECKED plm_status plm_foreign_list_check(const plm_foreign_look *look);
PLM_CHECKED plm_status plm_foreign_table_check(const plm_foreign_look *look);

#endif
