/* plmd_write.c - see plmd_write.h; layout in plmd_format.h. */
#include "data/plmd_write.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/alphabet.h"
#include "data/plmd_format.h"
#include "data/plmd_names.h"

enum { BUFFER_BYTES = 1 << 20, OFFSETS_AT_ONCE = 4096, PAIRS = 1 << 16 };

/* Small writes collected; histogram and hash are taken over whole buffers. */
typedef struct buffer {
  char *data;
  size_t used;
} buffer;

struct plm_packed_file_writer {
  plm_writer *file, *names_file;
  char *names_path;
  buffer residues, names;
  uint32_t *pairs; /* [PAIRS] of letters, counted and not yet in the histogram */
  int64_t folded;  /* residues of which they are, in units of 2^31 */
  plm_hasher *hasher;
  uint32_t *lengths, *name_lengths;
  plm_packed_names duplicates; /* hashes of names, lines */
  size_t lengths_capacity, name_lengths_capacity;
  plm_packed_file_summary summary;
};

plm_status plm_packed_file_writer_open(const char *path, plm_packed_file_writer **ret_writer) {
  plm_status status = PLM_OK;
  plm_packed_file_writer *writer = NULL;
  const char magic[PLMD_RESIDUES_AT] = PLMD_MAGIC;
  PLM_TRY(PLM_NEW(&writer, 1));
  PLM_TRY_GOTO(PLM_NEW(&writer->residues.data, BUFFER_BYTES), fail);
  PLM_TRY_GOTO(PLM_NEW(&writer->names.data, BUFFER_BYTES), fail);
  PLM_TRY_GOTO(PLM_NEW(&writer->pairs, PAIRS), fail);
  PLM_TRY_GOTO(plm_hasher_create(&writer->hasher), fail);
  PLM_TRY_GOTO(plm_sprintf(&writer->names_path, "%s.names", path), fail);
  PLM_TRY_GOTO(plm_writer_open(path, &writer->file), fail);
  PLM_TRY_GOTO(plm_writer_open(writer->names_path, &writer->names_file), fail);
  PLM_TRY_GOTO(plm_writer_write(writer->file, magic, sizeof magic), fail);
  *ret_writer = writer;
  return PLM_OK;
fail:
  plm_packed_file_writer_abandon(writer);
  return status;
}

static void free_writer(plm_packed_file_writer *writer) {
  plm_free(writer->residues.data);
  plm_free(writer->names.data);
  plm_free(writer->pairs);
  plm_hasher_destroy(writer->hasher);
  plm_free(writer->names_path);
  plm_free(writer->lengths);
  plm_free(writer->name_lengths);
  plm_packed_names_clear(&writer->duplicates);
  plm_free(writer);
}

void plm_packed_file_writer_abandon(plm_packed_file_writer *writer) {
  if (writer == NULL) return;
  plm_writer_abandon(writer->names_file);
  plm_writer_abandon(writer->file);
  free_writer(writer);
}

int64_t plm_packed_file_writer_count(const plm_packed_file_writer *writer) { return writer->summary.count; }

/* Letters are counted in pairs, half as many as there are letters; the few hundred pairs that occur stay in the cache. */
/* `bytes` is even but at the end. */
static void count_letters(const char *text, size_t bytes, uint32_t *pairs, int64_t histogram[256]) {
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t eight;
    memcpy(&eight, text + i, sizeof eight);
    pairs[eight & 0xFFFF]++;
    pairs[eight >> 16 & 0xFFFF]++;
    pairs[eight >> 32 & 0xFFFF]++;
    pairs[eight >> 48]++;
  }
  for (; i < bytes; i++) histogram[(unsigned char)text[i]]++;
}

static void fold_pairs(uint32_t *pairs, int64_t histogram[256]) {
  for (size_t i = 0; i < PAIRS; i++) {
    histogram[i & 0xFF] += pairs[i];
    histogram[i >> 8] += pairs[i];
  }
  memset(pairs, 0, PAIRS * sizeof *pairs);
}

static plm_status flush_residues(plm_packed_file_writer *writer) {
  const buffer full = writer->residues;
  writer->residues.used = 0;
  count_letters(full.data, full.used, writer->pairs, writer->summary.histogram);
  if (writer->summary.residues >> 31 != writer->folded) { /* before a count could overflow */
    writer->folded = writer->summary.residues >> 31;
    fold_pairs(writer->pairs, writer->summary.histogram);
  }
  plm_hasher_update(writer->hasher, full.data, full.used);
  return plm_writer_write(writer->file, full.data, full.used);
}

static plm_status flush_names(plm_packed_file_writer *writer) {
  const buffer full = writer->names;
  writer->names.used = 0;
  return plm_writer_write(writer->names_file, full.data, full.used);
}

static plm_status add_residues(plm_packed_file_writer *writer, const char *residues, size_t length) {
  for (size_t done = 0; done < length;) {
    size_t room = BUFFER_BYTES - writer->residues.used, piece = length - done < room ? length - done : room;
    memcpy(writer->residues.data + writer->residues.used, residues + done, piece);
    writer->residues.used += piece;
    done += piece;
    if (writer->residues.used == BUFFER_BYTES) PLM_TRY(flush_residues(writer));
  }
  return PLM_OK;
}

static plm_status add_name(plm_packed_file_writer *writer, const char *name, size_t bytes) {
  PLM_ASSERT(bytes <= BUFFER_BYTES);
  if (writer->names.used + bytes > BUFFER_BYTES) PLM_TRY(flush_names(writer));
  memcpy(writer->names.data + writer->names.used, name, bytes);
  writer->names.used += bytes;
  return PLM_OK;
}

plm_status plm_packed_file_writer_add(plm_packed_file_writer *writer, const plm_packed_record *record) {
  const size_t length = record->length;
  PLM_ASSERT(length > 0 && length <= PLMD_LONGEST);
  plm_packed_file_summary *summary = &writer->summary;
  size_t index = (size_t)summary->count;
  PLM_TRY(PLM_GROW(&writer->lengths, &writer->lengths_capacity, index + 1));
  PLM_TRY(PLM_GROW(&writer->name_lengths, &writer->name_lengths_capacity, index + 1));
  PLM_TRY(plm_packed_names_add(&writer->duplicates, index, record));
  PLM_TRY(add_name(writer, record->name, record->name_bytes));
  PLM_TRY(add_residues(writer, record->residues, length));
  writer->lengths[index] = (uint32_t)length;
  writer->name_lengths[index] = (uint32_t)record->name_bytes;
  summary->count++;
  summary->residues += (int64_t)length;
  summary->names_bytes += record->name_bytes;
  if ((int64_t)length > summary->longest) summary->longest = (int64_t)length;
  return PLM_OK;
}

/* ---- the end of the file ---- */

static plm_status pad_to_8(plm_packed_file_writer *writer) {
  const char zeros[8] = {0};
  return plm_writer_write(writer->file, zeros, (size_t)(-plm_writer_bytes(writer->file) & 7));
}

/* Cumulative sums of `lengths`, count + 1 of them, also into `hasher` if there is one. */
static plm_status write_offsets(plm_packed_file_writer *writer, const uint32_t *lengths, plm_hasher *opt_hasher,
                                uint64_t *ret_at) {
  PLM_TRY(pad_to_8(writer));
  *ret_at = (uint64_t)plm_writer_bytes(writer->file);
  uint64_t piece[OFFSETS_AT_ONCE], sum = 0;
  size_t used = 0, count = (size_t)writer->summary.count;
  for (size_t i = 0; i <= count; i++) {
    piece[used++] = sum;
    if (i < count) sum += lengths[i];
    if (used < OFFSETS_AT_ONCE && i < count) continue;
    if (opt_hasher != NULL) plm_hasher_update(opt_hasher, piece, used * sizeof *piece);
    PLM_TRY(plm_writer_write(writer->file, piece, used * sizeof *piece));
    used = 0;
  }
  return PLM_OK;
}

static plm_status copy_names(plm_packed_file_writer *writer) {
  plm_mapping names;
  PLM_TRY(flush_names(writer));
  PLM_TRY(plm_writer_close(&writer->names_file, NULL));
  plm_status status = plm_file_map(writer->names_path, &names);
  if (status == PLM_OK) {
    status = plm_packed_names_duplicates(&writer->duplicates, names.data, writer->name_lengths,
                                         (size_t)writer->summary.count, &writer->summary.notes[PLM_NOTE_DUPLICATES]);
    if (status == PLM_OK) status = plm_writer_write(writer->file, names.data, names.bytes);
    plm_file_unmap(&names);
  }
  plm_status removed = plm_file_remove(writer->names_path);
  return status != PLM_OK ? status : removed;
}

/* While reading, only the first place of these was looked for. */
static void count_by_letter(plm_packed_file_summary *summary) {
  const int64_t *histogram = summary->histogram;
  int64_t lower = 0, others = 0;
  for (int c = 'a'; c <= 'z'; c++) lower += histogram[c];
  for (int c = 0; c < 256; c++) others += plm_alphabet_is_letter(c) ? 0 : histogram[c];
  summary->notes[PLM_NOTE_LOWERCASE].count = lower;
  summary->notes[PLM_NOTE_CHARACTERS].count = others;
  summary->notes[PLM_NOTE_INNER_STOPS].count = histogram['*'];
  summary->notes[PLM_NOTE_GAPS].count = histogram['-'] + histogram['.'];
  summary->notes[PLM_NOTE_J].count = histogram['J'] + histogram['j'];
}

static void put_notes(plm_packed_file_summary *summary, const plm_reading_notes *notes) {
  const plm_noted duplicates = summary->notes[PLM_NOTE_DUPLICATES];
  memcpy(summary->notes, notes->kinds, sizeof notes->kinds);
  summary->notes[PLM_NOTE_DUPLICATES] = duplicates;
  count_by_letter(summary);
  summary->rules = PLM_READING_RULES;
  summary->empty_dropped = summary->notes[PLM_NOTE_EMPTY].count;
  summary->stops_dropped = summary->notes[PLM_NOTE_STOPS].count;
  summary->skipped_invalid = summary->notes[PLM_NOTE_SKIPPED].count;
  summary->duplicate_names = duplicates.count;
}

static void put_sources(plm_packed_file_summary *summary, const plm_note_sources *sources) {
  size_t used = 0;
  for (size_t i = 0; i < sources->count; i++) {
    const char *name = plm_path_name(sources->names[i]);
    const size_t bytes = strlen(name) + 1;
    if (bytes > sizeof summary->sources - used) return;
    memcpy(summary->sources + used, name, bytes);
    used += bytes;
  }
}

static plm_status write_tail(plm_packed_file_writer *writer, const plm_packed_origin *origin) {
  plm_packed_file_summary *summary = &writer->summary;
  PLM_TRY(flush_residues(writer));
  fold_pairs(writer->pairs, summary->histogram);
  PLM_TRY(write_offsets(writer, writer->lengths, writer->hasher, &summary->offsets_at));
  if (summary->names_bytes > 0) {
    summary->names_at = (uint64_t)plm_writer_bytes(writer->file);
    PLM_TRY(copy_names(writer));
    PLM_TRY(write_offsets(writer, writer->name_lengths, NULL, &summary->name_offsets_at));
  } else {
    plm_writer_abandon(writer->names_file);
    writer->names_file = NULL;
  }
  memcpy(summary->magic, PLMD_MAGIC, PLMD_MAGIC_BYTES);
  summary->version = 1;
  summary->file_bytes = (uint64_t)plm_writer_bytes(writer->file) + sizeof *summary;
  summary->source_key = origin->source_key;
  put_notes(summary, origin->notes);
  put_sources(summary, &origin->sources);
  plm_hasher_hex(writer->hasher, summary->content_hash);
  summary->checksum = plm_hash64(summary, offsetof(plm_packed_file_summary, checksum));
  return plm_writer_write(writer->file, summary, sizeof *summary);
}

plm_status plm_packed_file_writer_close(plm_packed_file_writer *writer, const plm_packed_origin *origin) {
  plm_status status = write_tail(writer, origin);
  if (status == PLM_OK) status = plm_writer_close(&writer->file, NULL);
  plm_packed_file_writer_abandon(writer);
  return status;
}
