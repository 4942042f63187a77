/* hub_cache.c - a hub id looked up in the Hugging Face cache: read-only, offline.
 *
 *   <root>/models--facebook--esm2_t6_8M_UR50D/refs/main            a commit
 *                                            /snapshots/<commit>/  config.json, model.safetensors, ... (links to
 *                                                                  ../../blobs)
 *
 *   <root> = $HF_HUB_CACHE, or $HF_HOME/hub, or ${XDG_CACHE_HOME:-~/.cache}/huggingface/hub
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

/* "~/x" as huggingface_hub expands it. */
static plm_status expand_home(const char *variable, const char *path, const char *tail, char **ret_path) {
  char *expanded;
  PLM_TRY(plm_path_expand_home(path, variable, &expanded));
  plm_status status = plm_sprintf(ret_path, "%s%s", expanded, tail);
  plm_free(expanded);
  return status;
}

plm_status plm_model_hub_root(char **ret_root) {
  static const struct {
    const char *variable, *tail;
  } roots[] = {{"HF_HUB_CACHE", ""}, {"HF_HOME", "/hub"}, {"XDG_CACHE_HOME", "/huggingface/hub"}};
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
    const char *path = environment(roots[i].variable);
    if (path != NULL) return expand_home(roots[i].variable, path, roots[i].tail, ret_root);
  }
  return expand_home("the Hugging Face cache ~/.cache/huggingface", "~/.cache", "/huggingface/hub", ret_root);
}

/* ---- ids ---- */

typedef struct hub_id {
  char organisation[100], name[100], revision[100];
} hub_id;

/* Letters, digits and ._- (and / in revisions, which may be refs/pr/1); nothing that could leave the cache. */
static bool is_clean(const char *text, bool allow_slash) {
  if (text[0] == '\0' || text[0] == '.' || text[0] == '-' || text[0] == '/' || strstr(text, "..") != NULL) return false;
  for (const char *c = text; *c != '\0'; c++)
    if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL && !(allow_slash && *c == '/')) return false;
  return true;
}

static bool parse_id(const char *text, hub_id *ret_id) {
  char copy[sizeof ret_id->organisation];
  if (strlen(text) >= sizeof copy) return false;
  snprintf(copy, sizeof copy, "%s", text);
  char *at = strchr(copy, '@'), *slash;
  if (at != NULL) *at = '\0';
  slash = strchr(copy, '/');
  size_t length = strlen(copy);
  if (slash == NULL && !(strncmp(copy, "esm2_", 5) == 0 && length > 6 && strcmp(copy + length - 6, "_UR50D") == 0))
    return false;
  if (slash != NULL) *slash = '\0';
  snprintf(ret_id->organisation, sizeof ret_id->organisation, "%s", slash != NULL ? copy : "facebook");
  snprintf(ret_id->name, sizeof ret_id->name, "%s", slash != NULL ? slash + 1 : copy);
  snprintf(ret_id->revision, sizeof ret_id->revision, "%s", at != NULL ? at + 1 : "main");
  return is_clean(ret_id->organisation, false) && is_clean(ret_id->name, false) && is_clean(ret_id->revision, true);
}

bool plm_hub_is_id(const char *name) {
  hub_id id;
  return parse_id(name, &id);
}

/* ---- names that are nearly a published model's ---- */

enum { NAME = 100, MOST_NAMES = 64 };

/* Without regard to case, and to whether words are joined by - or _. */
static void fold(const char *text, char ret_text[NAME]) {
  size_t i = 0;
  for (; text[i] != '\0' && i < NAME - 1; i++)
    ret_text[i] = text[i] == '-' ? '_' : (char)tolower((unsigned char)text[i]);
  ret_text[i] = '\0';
}

/* The published models' names, folded and as they are. */
static size_t list_published(char folded[MOST_NAMES][NAME], char names[MOST_NAMES][NAME]) {
  size_t n = 0;
  for (int i = 0; plm_family_at(i) != NULL; i++)
    for (int j = 0; j < plm_family_at(i)->preset_count && n < MOST_NAMES; j++, n++) {
      snprintf(names[n], NAME, "%s_UR50D", plm_family_at(i)->presets[j].name);
      fold(names[n], folded[n]);
    }
  return n;
}

bool plm_hub_nearest(const char *organisation, const char *name, char ret_id[128]) {
  static const char *const owners[] = {"facebook"};
  char folded[MOST_NAMES][NAME], names[MOST_NAMES][NAME], word[NAME], owner[NAME];
  const char *list[MOST_NAMES];
  const size_t count = list_published(folded, names);
  for (size_t i = 0; i < count; i++) list[i] = folded[i];
  fold(name, word);
  fold(organisation, owner);
  const char *nearest = plm_nearest_name(word, list, count);
  if (nearest == NULL || strstr(word, "ur5") == NULL || plm_nearest_name(owner, owners, 1) == NULL) return false;
  for (size_t i = 0; i < count; i++)
    if (list[i] == nearest) snprintf(ret_id, 128, "facebook/%.99s", names[i]);
  return strncmp(ret_id + strlen("facebook/"), name, NAME) != 0 || strcmp(organisation, "facebook") != 0;
}

bool plm_hub_id_within(const char *text, char ret_id[128]) {
  static const char prefix[] = "models--";
  while (isspace((unsigned char)*text)) text++;
  const bool is_place = strncmp(text, prefix, strlen(prefix)) == 0;
  const int copied = snprintf(ret_id, 128, "%s", is_place ? text + strlen(prefix) : text);
  if (copied < 1 || copied >= 128) return false;
  size_t length = (size_t)copied;
  while (length > 0 && (isspace((unsigned char)ret_id[length - 1]) || ret_id[length - 1] == '/')) length--;
  ret_id[length] = '\0';
  char *dashes = is_place ? strstr(ret_id, "--") : NULL;
  if (dashes != NULL) {
    *dashes = '/';
    memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
  }
  return plm_hub_is_id(ret_id);
}

/* ---- looking up ---- */

/* What looks like a hub id is meant as a path where its first part is a directory. */
static plm_status fail_path(const hub_id *id, const char *name) {
  return plm_hint(
      plm_fail(PLM_E_INPUT, "there is no directory %s, and no model of that name in the Hugging Face cache", name),
      "%s is a directory here: look for another name in it", id->organisation);
}

static plm_status fail_absent(const hub_id *id, const char *root, const char *why) {
  bool is_main = strcmp(id->revision, "main") == 0;
  char name[sizeof id->organisation + sizeof id->name];
  snprintf(name, sizeof name, "%s/%s", id->organisation, id->name);
  PLM_TRY(plm_hub_check_family(name));
  if (plm_file_is_directory(id->organisation)) return fail_path(id, name);
  char nearest[128];
  if (plm_hub_nearest(id->organisation, id->name, nearest))
    return plm_hint(plm_fail(PLM_E_INPUT, "there is no model %s in the Hugging Face cache %s", name, root),
                    "did you mean %s?", nearest);
  if (plm_model_is_preset(id->name))
    return plm_hint(plm_fail(PLM_E_INPUT, "there is no model %s", name), "the published one is facebook/%s_UR50D",
                    id->name);
  return plm_hint(plm_fail(PLM_E_INPUT, "model %s/%s%s%s %s in the Hugging Face cache %s", id->organisation, id->name,
                           is_main ? "" : "@", is_main ? "" : id->revision, why, root),
                  "get it where there is a network: `hf download %s/%s%s%s` (HF_HOME says where the cache is)",
                  id->organisation, id->name, is_main ? "" : " --revision ", is_main ? "" : id->revision);
}

/* The commit that a branch or tag points to; a revision that is none of them may be a commit itself. */
static plm_status read_commit(const hub_id *id, const char *repository, char commit[128]) {
  char *path, *text = NULL;
  size_t bytes;
  snprintf(commit, 128, "%s", id->revision);
  PLM_TRY(plm_sprintf(&path, "%s/refs/%s", repository, id->revision));
  plm_status status = PLM_OK;
  if (plm_file_exists(path) && !plm_file_is_directory(path)) {
    PLM_TRY_GOTO(plm_file_read(path, 4096, &text, &bytes), out);
    snprintf(commit, 128, "%.*s", (int)strcspn(text, " \r\n"), text);
    if (!is_clean(commit, false)) status = plm_fail(PLM_E_INPUT, "%s does not hold the name of a commit", path);
  }
out:
  plm_free(text);
  plm_free(path);
  return status;
}

static plm_status find_snapshot(const hub_id *id, const char *root, const char *repository, char **ret_directory) {
  char commit[128], *directory, *config = NULL;
  plm_status status;
  if (!plm_file_is_directory(repository)) return fail_absent(id, root, "is not");
  PLM_TRY(read_commit(id, repository, commit));
  PLM_TRY(plm_sprintf(&directory, "%s/snapshots/%s", repository, commit));
  PLM_TRY_GOTO(plm_path_join(directory, "config.json", &config), out);
  if (!plm_file_is_directory(directory))
    status = fail_absent(id, root, "is not");
  else if (!plm_file_exists(config))
    status = fail_absent(id, root, "is not complete");
out:
  plm_free(config);
  if (status == PLM_OK)
    *ret_directory = directory;
  else
    plm_free(directory);
  return status;
}

plm_status plm_hub_cache_find(const char *name, char **ret_directory) {
  hub_id id;
  char *root, *repository = NULL;
  plm_status status;
  if (!parse_id(name, &id)) return plm_fail(PLM_E_INPUT, "'%s' is not a hub id", name);
  PLM_TRY(plm_model_hub_root(&root));
  PLM_TRY_GOTO(plm_sprintf(&repository, "%s/models--%s--%s", root, id.organisation, id.name), out);
  status = find_snapshot(&id, root, repository, ret_directory);
out:
  plm_free(repository);
  plm_free(root);
  return status;
}
