/* plmd_names.c - see plmd_names.h. Hashes are sorted, which tells those that stand more than once; only if there are
 * any, the names are gone through once more for the first record that has one of them again. */
#include "data/plmd_names.h"

#include <stdbool.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "data/sort.h"

plm_status plm_packed_names_add(plm_packed_names *names, size_t index, const plm_packed_record *record) {
  const plm_place *place = &record->place;
  PLM_TRY(PLM_GROW(&names->lines, &names->lines_capacity, index + 1));
  names->lines[index] = place->line >= 0 && place->line < UINT32_MAX ? (uint32_t)place->line : UINT32_MAX;
  while (names->source_count <= place->source) {
    PLM_TRY(PLM_GROW(&names->sources, &names->sources_capacity, names->source_count + 1));
    names->sources[names->source_count++] = (plm_packed_source){.begin = index, .has_rows = place->is_row != 0};
  }
  if (record->name_bytes == 0) return PLM_OK;
  PLM_TRY(PLM_GROW(&names->hashes, &names->hashes_capacity, names->named + 1));
  names->hashes[names->named++] = record->name_hash;
  return PLM_OK;
}

void plm_packed_names_clear(plm_packed_names *names) {
  plm_free(names->hashes);
  plm_free(names->lines);
  plm_free(names->sources);
  *names = (plm_packed_names){0};
}

/* Sorts, and leaves in front, each once, those that stand more than once; *ret_repeats: what that was too many. */
static size_t leave_repeated(uint64_t *hashes, size_t count, int64_t *ret_repeats) {
  size_t repeated = 0;
  plm_sort_u64(hashes, count);
  for (size_t i = 1; i < count; i++) {
    if (hashes[i] != hashes[i - 1]) continue;
    ++*ret_repeats;
    if (repeated == 0 || hashes[repeated - 1] != hashes[i]) hashes[repeated++] = hashes[i];
  }
  return repeated;
}

static bool find(const uint64_t *sorted, size_t count, uint64_t hash, size_t *ret_at) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (sorted[middle] < hash)
      low = middle + 1;
    else
      high = middle;
  }
  *ret_at = low;
  return low < count && sorted[low] == hash;
}

/* The record whose name is the first to be there already, or `count`. `seen`: [repeated] false. */
static size_t first_again(const uint64_t *sorted, size_t repeated, bool *seen, const char *text,
                          const uint32_t *lengths, size_t count) {
  size_t at = 0;
  for (size_t i = 0; i < count; text += lengths[i++]) {
    if (lengths[i] == 0 || !find(sorted, repeated, plm_hash64(text, lengths[i]), &at)) continue;
    if (seen[at]) return i;
    seen[at] = true;
  }
  return count;
}

static plm_place place_of(const plm_packed_names *names, size_t index) {
  size_t source = names->source_count - 1;
  if (names->lines[index] == UINT32_MAX) return (plm_place){0};
  while (source > 0 && names->sources[source].begin > index) source--;
  return (plm_place){
      .line = names->lines[index],
      .source = (uint16_t)source,
      .is_row = names->sources[source].has_rows,
  };
}

plm_status plm_packed_names_duplicates(plm_packed_names *names, const char *text, const uint32_t *lengths, size_t count,
                                       plm_noted *ret_duplicates) {
  plm_noted noted = {0};
  bool *seen = NULL;
  const size_t repeated = leave_repeated(names->hashes, names->named, &noted.count);
  if (repeated > 0) {
    PLM_TRY(PLM_NEW(&seen, repeated));
    const size_t index = first_again(names->hashes, repeated, seen, text, lengths, count);
    if (index < count) noted.first = place_of(names, index);
    plm_free(seen);
  }
  *ret_duplicates = noted;
  return PLM_OK;
}
