/* safetensors_index.c - sharded sets (model_spec 2.3): model.safetensors.index.json and the files it names. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "formats/safetensors_internal.h"

static const char INDEX_NAME[] = "model.safetensors.index.json";

/* ---- reading ---- */

/* The shard called `name`, opened when it is met for the first time. */
static plm_status open_shard(plm_safetensors *set, const char *name, plm_safetensors **ret_shard) {
  for (size_t i = 0; i < set->shard_count; i++) {
    if (strcmp(plm_path_name(set->shards[i]->path), name) != 0) continue;
    *ret_shard = set->shards[i];
    return PLM_OK;
  }
  if (!plm_path_is_plain(name))
    return plm_fail(PLM_E_INPUT, "%s: '%.200s' is not the plain name of a file beside it", set->path, name);
  char *directory = NULL, *path = NULL;
  plm_status status;
  PLM_TRY(plm_path_parent(set->path, &directory));
  PLM_TRY_GOTO(plm_path_join(directory, name, &path), out);
  if (!plm_file_exists(path)) {
    status = plm_fail(PLM_E_INPUT, "%s names %s, which is missing", set->path, name);
    goto out;
  }
  PLM_TRY_GOTO(plm_safetensors_open(path, &set->shards[set->shard_count]), out);
  *ret_shard = set->shards[set->shard_count++];
out:
  plm_free(path);
  plm_free(directory);
  return status;
}

static plm_status read_map(plm_safetensors *set, json_t *map) {
  const char *name;
  json_t *value;
  size_t members = json_object_size(map);
  PLM_TRY(PLM_NEW(&set->items, members));
  PLM_TRY(PLM_NEW(&set->shards, members));
  json_object_foreach(map, name, value) {
    plm_safetensors *shard = NULL;
    if (!json_is_string(value))
      return plm_fail(PLM_E_INPUT, "%s: weight_map '%.200s' is not a file name", set->path, name);
    PLM_TRY(open_shard(set, json_string_value(value), &shard));
    const plm_tensor_info *info = plm_safetensors_find(shard, name);
    if (info == NULL)
      return plm_fail(PLM_E_INPUT, "%s says that tensor '%.200s' is in %s, but it is not", set->path, name,
                      json_string_value(value));
    set->items[set->count++] = *info;
  }
  plm_safetensors_sort(set);
  return PLM_OK;
}

plm_status plm_safetensors_open_index(const char *index_path, plm_safetensors **ret_set) {
  plm_safetensors *set;
  json_t *document = NULL;
  plm_status status;
  PLM_TRY(PLM_NEW(&set, 1));
  PLM_TRY_GOTO(plm_strdup(index_path, &set->path), out);
  PLM_TRY_GOTO(plm_json_load(index_path, &document), out);
  json_t *map = json_object_get(document, "weight_map");
  if (!json_is_object(map)) {
    status = plm_fail(PLM_E_INPUT, "%s: weight_map is not an object", index_path);
    goto out;
  }
  PLM_TRY_GOTO(read_map(set, map), out);
  *ret_set = set;
out:
  json_decref(document);
  if (status != PLM_OK) plm_safetensors_close(set);
  return status;
}

/* ---- writing ---- */

static bool is_stale(const char *name) {
  size_t length = strlen(name), tail = strlen(".safetensors");
  return strcmp(name, INDEX_NAME) == 0 ||
         (strncmp(name, "model", 5) == 0 && length > tail && strcmp(name + length - tail, ".safetensors") == 0);
}

static plm_status remove_stale(const char *directory) {
  char **names;
  size_t count;
  plm_status status = PLM_OK;
  PLM_TRY(plm_directory_list(directory, &names, &count));
  for (size_t i = 0; i < count && status == PLM_OK; i++) {
    if (!is_stale(names[i])) continue;
    char *path;
    PLM_TRY_GOTO(plm_path_join(directory, names[i], &path), out);
    status = plm_file_remove(path);
    plm_free(path);
  }
out:
  plm_names_free(names, count);
  return status;
}

/* HF's greedy rule: a shard takes tensors in order while they fit; one that exceeds the limit alone gets a shard of its
 * own. shard_of[i] = shard of entry i; returns the number of shards. */
static size_t divide(const plm_tensor_list *list, int64_t limit, uint32_t *shard_of) {
  uint32_t shard = 0;
  int64_t used = 0;
  for (size_t i = 0; i < list->count; i++) {
    int64_t bytes = list->items[i].bytes;
    if (i > 0 && limit > 0 && bytes > limit - used) {
      shard++;
      used = 0;
    }
    shard_of[i] = shard;
    used += bytes;
  }
  return (size_t)shard + 1;
}

static void name_shard(size_t shard, size_t shards, char name[64]) {
  if (shards == 1)
    snprintf(name, 64, "model.safetensors");
  else
    snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
}

static plm_status write_index(const char *directory, const plm_tensor_list *list, const uint32_t *shard_of,
                              size_t shards) {
  json_t *map = json_object();
  bool is_complete = map != NULL;
  for (size_t i = 0; i < list->count; i++) {
    char name[64];
    name_shard(shard_of[i], shards, name);
    is_complete = is_complete && json_object_set_new(map, list->items[i].name, json_string(name)) == 0;
  }
  json_t *document =
      json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)plm_tensor_list_bytes(list), "weight_map", map);
  is_complete = is_complete && document != NULL;
  plm_status status = is_complete ? plm_json_replace(directory, INDEX_NAME, document)
                                  : plm_fail(PLM_E_RESOURCE, "out of memory writing %s", INDEX_NAME);
  json_decref(document);
  return status;
}

plm_status plm_safetensors_write_sharded(const char *directory, const plm_tensor_list *list, int64_t max_shard_bytes) {
  uint32_t *shard_of;
  plm_status status;
  PLM_TRY(remove_stale(directory));
  PLM_TRY(PLM_NEW(&shard_of, list->count + 1));
  size_t shards = divide(list, max_shard_bytes, shard_of), first = 0;
  for (size_t shard = 0; shard < shards; shard++) {
    char name[64], *path;
    plm_tensor_list part = *list;
    part.items += first;
    for (part.count = 0; first < list->count && shard_of[first] == shard; first++) part.count++;
    name_shard(shard, shards, name);
    PLM_TRY_GOTO(plm_path_join(directory, name, &path), out);
    status = plm_safetensors_write(path, &part, NULL, NULL);
    plm_free(path);
    if (status != PLM_OK) goto out;
  }
  if (shards > 1) PLM_TRY_GOTO(write_index(directory, list, shard_of, shards), out);
  status = plm_directory_sync(directory);
out:
  plm_free(shard_of);
  return status;
}
