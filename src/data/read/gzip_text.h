/* gzip_text.h - text that may be compressed (plain, gzip or bgzf), from a file or from a stream, in blocks.
 *
 * What the text says is the reader's business; that it is whole is looked after here. The reader says in which line of
 * the text it is, since that is all a user can be told about a place in compressed data.
 */
#ifndef PLM_DATA_GZIP_TEXT_H
#define PLM_DATA_GZIP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

typedef struct plm_gzip_text plm_gzip_text;

/* `path`, or "-" for standard input; borrowed. `threads` decompress bgzf. A stream is given up when `interrupted` says
 * so; NULL: never. */
PLM_CHECKED plm_status plm_gzip_text_open(const char *path, int threads, bool (*interrupted)(void),
                                          plm_gzip_text **ret_text);

/* The next block, valid until the next call; *ret_bytes is 0 at the end. `line`: where the text before it ended.
 * PLM_E_INPUT: damaged, cut short or unreadable. */
PLM_CHECKED plm_status plm_gzip_text_read(plm_gzip_text *text, int64_t line, const char **ret_block, size_t *ret_bytes);

/* Whether it is gzip, of whatever maker. */
bool plm_gzip_text_is_compressed(const plm_gzip_text *text);

/* At its end: what is read all the same, and should be said. */
typedef struct plm_gzip_oddities {
  bool lacks_end_mark;  /* bgzip's: all blocks are whole, and so is the last line, but blocks may have been cut off */
  int64_t bytes_behind; /* the compressed data, which are no gzip data, and left out as gzip does */
} plm_gzip_oddities;
plm_gzip_oddities plm_gzip_text_oddities(const plm_gzip_text *text);

/* Damaged compressed data decompresses to nonsense until its checksum is reached: where the reader refused what it was
 * given, with `status`, damage that is found in the rest is the failure, else `status` stays it. */
PLM_CHECKED plm_status plm_gzip_text_blame(plm_gzip_text *text, int64_t line, plm_status status);

/* Reading ended with `status`. Why a stream ended is more than what that did to its text: then that is returned, with
 * its words, else `status`. */
PLM_CHECKED plm_status plm_gzip_text_close(plm_gzip_text *text, plm_status status);

#endif
