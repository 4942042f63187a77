/* plmd_format.h - the bytes of a .plmd file (overview in dataset.h).
 *
 *   0            magic, 64 bytes: "PLMDATA1" and zeros
 *   64           residues, back to back
 *   offsets_at   u64 [count+1] start of each sequence in `residues`; 8-aligned
 *   names_at     names, back to back; absent (0) when no sequence has one
 *   name_offsets_at u64 [count+1] start of each name in `names`; 8-aligned; absent with them
 *   size - 4096  summary: counts, histogram, hash, and the places above
 *
 * The summary stands at the end because only then is it known: the file is written front to back in one go, and a file
 * cut short has none. All numbers are little-endian, so on the machines we run on the file is used as it is.
 */
#ifndef PLM_DATA_PLMD_FORMAT_H
#define PLM_DATA_PLMD_FORMAT_H

#include <stdint.h>

#include "data/reading_notes.h"

#define PLMD_MAGIC "PLMDATA1"
enum { PLMD_MAGIC_BYTES = 8, PLMD_RESIDUES_AT = 64, PLMD_SUMMARY_BYTES = 4096 };

/* Positions of tokens and of sequences in a batch are 32 bits wide; this leaves room for the special tokens. */
enum { PLMD_LONGEST = INT32_MAX - 2 };

#define PLMD_NOTES 32 /* room for kinds to come */
enum { PLMD_SOURCES = 768 };
_Static_assert((int)PLM_NOTES <= PLMD_NOTES, "the notes fit into a summary");

typedef struct plm_packed_file_summary {
  char magic[PLMD_MAGIC_BYTES];
  uint64_t file_bytes;
  uint64_t offsets_at, names_at, names_bytes, name_offsets_at;
  /* which files, of what size and time, this was made from; 0: not a cache (see dataset_cache.h) */
  uint64_t source_key;
  int64_t count, residues, longest;
  int64_t empty_dropped, stops_dropped, skipped_invalid; /* as in the notes, which older files have not */
  int64_t duplicate_names;
  char content_hash[40]; /* 32 hex digits, NUL */
  int64_t histogram[256];
  plm_noted notes[PLMD_NOTES]; /* by plm_note */
  int64_t rules;               /* PLM_READING_RULES of the program that made it; 0: it had no notes either */
  /* Names of the files that were read, in order, without directories, each with its NUL; those for which there is room.
   * Then zeros. */
  char sources[PLMD_SOURCES];
  char reserved[PLMD_SUMMARY_BYTES - 14 * 8 - 40 - 256 * 8 - PLMD_NOTES * 32 - 8 - PLMD_SOURCES - 8 - 8];
  uint64_t version;  /* 1 */
  uint64_t checksum; /* XXH3-64 of what stands before it in the summary */
} plm_packed_file_summary;

_Static_assert(sizeof(plm_packed_file_summary) == PLMD_SUMMARY_BYTES, "the summary is 4096 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               ".plmd files are mapped as they are, which needs a little-endian machine");

#endif
