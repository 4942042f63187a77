/* plmd_read.c - see plmd_read.h; layout in plmd_format.h. */
#include "data/plmd_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "data/plmd_format.h"
#include "data/read/sequence_sink.h"

static plm_status damaged(const char *path, const char *why) {
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: the packed file is damaged: %s", path, why),
                  "make it again from the original file, or copy it again");
}

/* There is one layout for given counts, so every place must be exactly where it belongs. Counts are bounded first: no
 * sum overflows. */
static bool is_layout_right(const plm_packed_file_summary *s, uint64_t bytes) {
  uint64_t count = (uint64_t)s->count, residues = (uint64_t)s->residues, table = (count + 1) * 8;
  if (s->count < 1 || s->residues < s->count || count > bytes / 8 || residues > bytes || s->names_bytes > bytes)
    return false;
  if (s->longest < 1 || s->longest > PLMD_LONGEST || s->file_bytes != bytes) return false;
  if (s->offsets_at != plm_round_up(PLMD_RESIDUES_AT + residues, 8)) return false;
  uint64_t end = s->offsets_at + table;
  if (s->names_bytes == 0) return s->names_at == 0 && s->name_offsets_at == 0 && end == bytes - PLMD_SUMMARY_BYTES;
  if (s->names_at != end || s->name_offsets_at != plm_round_up(end + s->names_bytes, 8)) return false;
  return s->name_offsets_at + table == bytes - PLMD_SUMMARY_BYTES;
}

/* What is reported and refused by letter is taken from the histogram: it counts every residue once. */
static bool is_histogram_right(const plm_packed_file_summary *s) {
  int64_t left = s->residues;
  for (int c = 0; c < 256; c++) {
    if (s->histogram[c] < 0 || s->histogram[c] > left) return false;
    left -= s->histogram[c];
  }
  return left == 0;
}

/* Kinds that this program does not know, a newer one's, are nobody's business here. */
static bool are_notes_right(const plm_packed_file_summary *s) {
  bool right = s->rules >= 0 && s->duplicate_names >= 0 && s->duplicate_names <= s->count;
  right = right && s->empty_dropped >= 0 && s->stops_dropped >= 0 && s->skipped_invalid >= 0;
  for (int i = 0; i < PLM_NOTES; i++) {
    const plm_noted *n = &s->notes[i];
    right = right && n->count >= 0 && n->first.line >= 0 && n->first.column >= 0 && n->first.is_row <= 1 &&
            (n->character & ~PLM_NOTE_BYTE) <= 0x10FFFF;
  }
  return right;
}

/* Starts ascend from 0 to `total` by steps of least..most; *ret_longest is the longest step. */
static bool do_ascend(const uint64_t *starts, int64_t count, uint64_t total, uint64_t least, uint64_t most,
                      uint64_t *ret_longest) {
  uint64_t longest = 0;
  bool right = starts[0] == 0 && starts[count] == total;
  for (int64_t i = 0; i < count; i++) {
    uint64_t step = starts[i + 1] - starts[i]; /* a descent becomes a number greater than `most` */
    right &= (step >= least) & (step <= most);
    longest = step > longest ? step : longest;
  }
  *ret_longest = longest;
  return right;
}

static plm_status verify(plm_dataset *dataset, plm_packed_file_summary *ret_summary) {
  const char *path = dataset->path, *data = dataset->file.data;
  size_t bytes = dataset->file.bytes;
  if (bytes < PLMD_RESIDUES_AT || memcmp(data, PLMD_MAGIC, PLMD_MAGIC_BYTES) != 0)
    return damaged(path, "it does not begin as a .plmd file");
  if (bytes < PLMD_RESIDUES_AT + PLMD_SUMMARY_BYTES) return damaged(path, "it is cut short");
  plm_packed_file_summary *s = ret_summary;
  memcpy(s, data + bytes - PLMD_SUMMARY_BYTES, sizeof *s); /* its place need not be aligned in a damaged file */
  if (memcmp(s->magic, PLMD_MAGIC, PLMD_MAGIC_BYTES) != 0) return damaged(path, "its end is missing (cut short?)");
  if (s->version != 1)
    return plm_hint(
        plm_fail(PLM_E_INPUT, "%s: the packed file has format version %" PRIu64 "; this program reads version 1", path,
                 s->version),
        "use a newer protlm, or make it again from the original file");
  if (s->checksum != plm_hash64(s, offsetof(plm_packed_file_summary, checksum)))
    return damaged(path, "the checksum of its summary is wrong");
  if (!is_layout_right(s, bytes) || !is_histogram_right(s) || !are_notes_right(s) ||
      memchr(s->content_hash, '\0', sizeof s->content_hash) != s->content_hash + 32)
    return damaged(path, "its sizes contradict each other");

  uint64_t longest;
  dataset->residues = data + PLMD_RESIDUES_AT;
  dataset->offsets = (const uint64_t *)(const void *)(data + s->offsets_at);
  if (!do_ascend(dataset->offsets, s->count, (uint64_t)s->residues, 1, PLMD_LONGEST, &longest) ||
      longest != (uint64_t)s->longest)
    return damaged(path, "its sequence offsets are wrong");
  if (s->names_bytes == 0) return PLM_OK;
  dataset->names = data + s->names_at;
  dataset->names_bytes = s->names_bytes;
  dataset->name_offsets = (const uint64_t *)(const void *)(data + s->name_offsets_at);
  if (!do_ascend(dataset->name_offsets, s->count, s->names_bytes, 0, PLM_NAME_BYTES, &longest))
    return damaged(path, "its name offsets are wrong");
  return PLM_OK;
}

static void fill_info(plm_dataset *dataset, const plm_packed_file_summary *s) {
  plm_dataset_info *info = &dataset->info;
  *info = (plm_dataset_info){
      .count = s->count,
      .residues = s->residues,
      .longest = s->longest,
      .duplicate_names = s->duplicate_names,
      .source = dataset->source,
      .path = dataset->path,
  };
  info->rules = s->rules;
  if (s->rules > 0) {
    memcpy(info->notes.kinds, s->notes, sizeof info->notes.kinds);
  } else {
    info->notes.kinds[PLM_NOTE_EMPTY].count = s->empty_dropped;
    info->notes.kinds[PLM_NOTE_STOPS].count = s->stops_dropped;
    info->notes.kinds[PLM_NOTE_SKIPPED].count = s->skipped_invalid;
    info->notes.kinds[PLM_NOTE_DUPLICATES].count = s->duplicate_names;
  }
  memcpy(info->histogram, s->histogram, sizeof info->histogram);
  memcpy(info->content_hash, s->content_hash, sizeof info->content_hash);
  dataset->source_key = s->source_key;
}

/* As it can be printed: it may come out of a file of somebody else's. */
static plm_status add_source(plm_dataset *dataset, size_t *capacity, const char *name) {
  char shown[PLM_PLACE_TEXT];
  PLM_TRY(PLM_GROW(&dataset->sources, capacity, dataset->source_count + 1));
  PLM_TRY(plm_strdup(plm_printable(name, strlen(name), shown, sizeof shown), &dataset->sources[dataset->source_count]));
  dataset->source_count++;
  return PLM_OK;
}

static plm_status fill_sources(plm_dataset *dataset, const plm_packed_file_summary *s,
                               const plm_note_sources *opt_sources) {
  size_t capacity = 0, at = 0;
  for (size_t i = 0; opt_sources != NULL && i < opt_sources->count; i++)
    PLM_TRY(add_source(dataset, &capacity, opt_sources->names[i]));
  while (opt_sources == NULL && at < sizeof s->sources && s->sources[at] != '\0') {
    const char *end = memchr(s->sources + at, '\0', sizeof s->sources - at);
    if (end == NULL) break;
    PLM_TRY(add_source(dataset, &capacity, s->sources + at));
    at = (size_t)(end - s->sources) + 1;
  }
  return PLM_OK;
}

plm_status plm_packed_file_open(const char *path, const char *source, const plm_note_sources *opt_sources,
                                plm_dataset **ret_dataset) {
  plm_status status = PLM_OK;
  plm_dataset *dataset = NULL;
  plm_packed_file_summary summary;
  PLM_TRY(PLM_NEW(&dataset, 1));
  PLM_TRY_GOTO(plm_strdup(path, &dataset->path), fail);
  PLM_TRY_GOTO(plm_strdup(source, &dataset->source), fail);
  PLM_TRY_GOTO(plm_file_map(path, &dataset->file), fail);
  PLM_TRY_GOTO(verify(dataset, &summary), fail);
  fill_info(dataset, &summary);
  PLM_TRY_GOTO(fill_sources(dataset, &summary, opt_sources), fail);
  *ret_dataset = dataset;
  return PLM_OK;
fail:
  plm_dataset_close(dataset);
  return status;
}

void plm_dataset_close(plm_dataset *dataset) {
  if (dataset == NULL) return;
  if (dataset->file.base != NULL) plm_file_unmap(&dataset->file);
  for (size_t i = 0; i < dataset->source_count; i++) plm_free(dataset->sources[i]);
  plm_free(dataset->sources);
  plm_free(dataset->path);
  plm_free(dataset->source);
  plm_free(dataset);
}

plm_status plm_dataset_verify(const plm_dataset *dataset) {
  char hex[33];
  plm_hasher *hasher = NULL;
  PLM_TRY(plm_hasher_create(&hasher));
  plm_hasher_update(hasher, dataset->residues, (size_t)dataset->info.residues);
  plm_hasher_update(hasher, dataset->offsets, (size_t)(dataset->info.count + 1) * sizeof *dataset->offsets);
  plm_hasher_hex(hasher, hex);
  plm_hasher_destroy(hasher);
  return strcmp(hex, dataset->info.content_hash) == 0 ? PLM_OK
                                                      : damaged(dataset->path, "the hash of its content is wrong");
}

/* Written to is not yet changed: `touch` keeps files from the scratch purge, and a copy may put the
 * same bytes there. */
plm_status plm_dataset_check_unchanged(plm_dataset *dataset) {
  plm_mapping now;
  switch (plm_file_check_unchanged(dataset->path, &dataset->file)) {
    case PLM_FILE_UNCHANGED:
      return PLM_OK;
    case PLM_FILE_CUT:
      break;
    case PLM_FILE_TOUCHED:
      PLM_TRY(plm_file_map(dataset->path, &now));
      dataset->file.modified = now.modified;
      plm_file_unmap(&now);
      if (plm_dataset_verify(dataset) == PLM_OK) return PLM_OK;
  }
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: the packed file was changed while it was in use", dataset->path),
                  "put the file back that the run began with; give new data a new name");
}

/* ---- access ---- */

typedef struct span {
  uint64_t begin, length;
} span;

/* The file may be overwritten at any moment: even then nothing outside the mapping is read. */
static span find_span(const uint64_t *starts, int64_t id, uint64_t total) {
  uint64_t begin = starts[id], end = starts[id + 1];
  return begin <= end && end <= total ? (span){begin, end - begin} : (span){0};
}

const plm_dataset_info *plm_dataset_get_info(const plm_dataset *dataset) { return &dataset->info; }
int64_t plm_dataset_count(const plm_dataset *dataset) { return dataset->info.count; }

int64_t plm_dataset_length(const plm_dataset *dataset, int64_t id) {
  int64_t length;
  plm_dataset_residues(dataset, id, &length);
  return length;
}

const char *plm_dataset_residues(const plm_dataset *dataset, int64_t id, int64_t *ret_length) {
  const span s = find_span(dataset->offsets, id, (uint64_t)dataset->info.residues);
  *ret_length = (int64_t)s.length;
  return dataset->residues + s.begin;
}

bool plm_dataset_is_named(const plm_dataset *dataset, int64_t id) {
  return dataset->name_offsets != NULL && find_span(dataset->name_offsets, id, dataset->names_bytes).length > 0;
}

void plm_dataset_name(const plm_dataset *dataset, int64_t id, char *buffer, size_t bytes) {
  span s = {0};
  if (dataset->name_offsets != NULL) s = find_span(dataset->name_offsets, id, dataset->names_bytes);
  if (s.length == 0) {
    snprintf(buffer, bytes, "%" PRId64, id);
    return;
  }
  plm_printable(dataset->names + s.begin, s.length, buffer, bytes);
}
