/* mistaken_file.c - files that are not what their names say, known by their first bytes, and files given in place of a
 * model's directory. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"

/* ---- what a file is ---- */

typedef struct beginning {
  char bytes[512]; /* and a NUL */
  size_t count;
} beginning;

static bool starts(const beginning *b, const char *with, size_t count) {
  return b->count >= count && memcmp(b->bytes, with, count) == 0;
}
#define STARTS(b, text) starts(b, "" text, sizeof text - 1)

static bool is_pointer(const beginning *b) { return STARTS(b, "version https://git-lfs"); }

static bool is_page(const beginning *b) {
  const char *c = STARTS(b, "\xEF\xBB\xBF") ? b->bytes + 3 : b->bytes;
  while (isspace((unsigned char)*c)) c++;
  return strncasecmp(c, "<!doctype", 9) == 0 || strncasecmp(c, "<html", 5) == 0 || strncasecmp(c, "<head", 5) == 0 ||
         strncmp(c, "<!--", 4) == 0 || strncmp(c, "<?xml", 5) == 0;
}

/* What the hub answers in place of a file. */
static bool is_answer(const beginning *b) {
  return STARTS(b, "Entry not found") || STARTS(b, "Access to model") || STARTS(b, "Repository not found") ||
         STARTS(b, "Invalid username or password") || STARTS(b, "{\"error\":");
}

/* A pickle of protocol 2 to 5, or torch.save's archive of one. */
static bool is_pickle(const beginning *b) {
  const bool archive = STARTS(b, "PK\x03\x04") && memmem(b->bytes, b->count, "data.pkl", 8) != NULL;
  return archive || (b->count > 2 && b->bytes[0] == '\x80' && b->bytes[1] >= 2 && b->bytes[1] <= 5);
}

static bool is_gguf(const beginning *b) { return STARTS(b, "GGUF"); }
static bool is_hdf5(const beginning *b) { return STARTS(b, "\x89HDF\r\n\x1a\n"); }
static bool is_archive(const beginning *b) {
  return STARTS(b, "PK\x03\x04") || STARTS(b, "\x1f\x8b") || STARTS(b, "BZh") ||
         STARTS(b,
                "\xFD"
                "7zXZ") ||
         STARTS(b, "\x28\xB5\x2F\xFD") || (b->count > 262 && memcmp(b->bytes + 257, "ustar", 5) == 0);
}
static bool is_gzip(const beginning *b) { return STARTS(b, "\x1f\x8b"); }
static bool is_empty(const beginning *b) { return b->count == 0; }
static bool is_fasta(const beginning *b) { return STARTS(b, ">"); }

typedef enum kind { UNKNOWN, POINTER, PAGE, ANSWER, PICKLE, GGUF, HDF5, GZIP, ARCHIVE, FASTA, EMPTY } kind;

static const struct {
  bool (*is)(const beginning *b);
  const char *words;
} kinds[] = {
    [POINTER] = {is_pointer, "a git-lfs pointer: a note of where the file is, and not the file itself"},
    [PAGE] = {is_page, "a web page (HTML), and not the file that the page shows"},
    [ANSWER] = {is_answer, "an answer of the hub's that the file could not be had, and not the file"},
    [PICKLE] = {is_pickle, "a Python pickle (torch.save), which is not read here"},
    [GGUF] = {is_gguf, "a GGUF file, of llama.cpp, which is not read here"},
    [HDF5] = {is_hdf5, "an HDF5 file (TensorFlow's weights), which is not read here"},
    [GZIP] = {is_gzip, "compressed with gzip, and has to be unpacked first"},
    [EMPTY] = {is_empty, "empty: its copy or download has not come to an end"},
    [ARCHIVE] = {is_archive, "an archive, which has to be unpacked first"},
    [FASTA] = {is_fasta, "a FASTA file: sequences, not a model"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static kind kind_of(const char *path) {
  plm_mapping file;
  beginning b = {0};
  if (plm_file_map(path, &file) != PLM_OK) {
    plm_error_clear();
    return UNKNOWN;
  }
  b.count = file.bytes < sizeof b.bytes - 1 ? file.bytes : sizeof b.bytes - 1;
  memcpy(b.bytes, file.data, b.count);
  plm_file_unmap(&file);
  for (int k = UNKNOWN + 1; k < KINDS; k++)
    if (kinds[k].is(&b)) return (kind)k;
  return UNKNOWN;
}

/* ---- where the file itself is to be had ---- */

/* Is there a .git in the directory or above it? */
static bool is_in_clone(const char *directory) {
  char *at = NULL, *git;
  bool found = false;
  if (plm_strdup(directory, &at) != PLM_OK) return false;
  for (int i = 0; i < 8 && !found; i++) {
    if (plm_sprintf(&git, "%s/.git", at) != PLM_OK) break;
    found = plm_file_exists(git);
    plm_free(git);
    if (plm_sprintf(&git, "%s/..", at) != PLM_OK) break;
    plm_free(at);
    at = git;
  }
  plm_free(at);
  return found;
}

/* What the model in a directory is called on the hub, as far as that is known: by config.json of transformers 4, by the
 * place in the cache, or by the name that was published. "" else. */
static void guess_id(const char *directory, char id[128]) {
  char *path = NULL, name[100];
  json_t *config = NULL;
  id[0] = '\0';
  plm_status status = plm_path_join(directory, "config.json", &path);
  if (status == PLM_OK && plm_file_exists(path)) status = plm_json_load(path, &config);
  if (status != PLM_OK) plm_error_clear();
  const char *given = json_string_value(json_object_get(config, "_name_or_path"));
  if (given != NULL && plm_hub_is_id(given) && !plm_name_is_taken(given)) snprintf(id, 128, "%s", given);
  json_decref(config);
  plm_free(path);
  snprintf(name, sizeof name, "%s", plm_path_name(directory));
  name[strcspn(name, ".")] = '\0';
  if (id[0] == '\0' && strchr(name, '/') == NULL && plm_hub_is_id(name)) snprintf(id, 128, "facebook/%s", name);
}

/* `directory` has it, or is to be had again. */
static plm_status hint_fetch(plm_status status, const char *directory, const char *id) {
  char word[PLM_SHELL_WORD];
  if (is_in_clone(directory)) return plm_hint(status, "`git -C %s lfs pull`", plm_shell_word(directory, word));
  if (id[0] != '\0') return plm_hint(status, "`hf download %s`, then --model %s", id, id);
  return plm_hint(status,
                  "get the file itself: `git lfs pull` in the clone it comes from, or `hf download` with the "
                  "model's name on the hub, which is then what --model is given");
}

/* Unpacked into a copy of the directory. */
static plm_status hint_unpack(plm_status status, const char *directory, const char *path) {
  char words[3][PLM_SHELL_WORD], *to;
  if (plm_remedy_new_name(directory, "-unpacked", &to) != PLM_OK) return status;
  plm_hint(status, "`cp -rL -- %s %s && gunzip -c <%s >%s/%s`, then --model %s", plm_shell_word(directory, words[0]),
           plm_shell_word(to, words[1]), plm_shell_word(path, words[2]), words[1], plm_path_name(path), words[1]);
  plm_free(to);
  return status;
}

static plm_status fail_as(kind k, const char *path) {
  char *directory, id[128];
  PLM_TRY(plm_path_parent(path, &directory));
  guess_id(directory, id);
  plm_status status = plm_fail(PLM_E_INPUT, "%s is %s", path, kinds[k].words);
  const char *end = strrchr(path, '.');
  if (k == POINTER || k == PAGE || k == ANSWER || k == EMPTY)
    hint_fetch(status, directory, id);
  else if (k == PICKLE && end != NULL && strcmp(end, ".safetensors") == 0)
    plm_remedy_rewrite(status, directory, path);
  else if (k == GZIP)
    hint_unpack(status, directory, path);
  plm_free(directory);
  return status;
}

plm_status plm_mistake_explain(const char *path, plm_status status) {
  plm_error_record before;
  plm_error_take(status, &before);
  const kind k = kind_of(path);
  return k != UNKNOWN ? fail_as(k, path) : plm_error_give(&before);
}

/* ---- given in place of a directory ---- */

/* The name that a published model's file has: esm2_t6_8M_UR50D.pt. */
static plm_status hint_published(plm_status status, const char *id) {
  if (id[0] != '\0')
    return plm_hint(status, "the same model in the form that is read: `hf download %s`, then --model %s", id, id);
  return plm_hint(status,
                  "give a directory that save_pretrained of transformers has written: in Python, load_state_dict() of "
                  "the file into a model of the same shape, then save_pretrained()");
}

/* A file of a run: the model is in final/ beside it. */
static plm_status fail_of_run(const char *path, const char *directory) {
  char word[PLM_SHELL_WORD], *model;
  plm_status status = plm_fail(PLM_E_INPUT, "'%s' is a file of a run, not a model", path);
  if (plm_path_join(directory, "final", &model) != PLM_OK) return status;
  plm_hint(status, "give the model of the run: --model %s", plm_shell_word(model, word));
  plm_free(model);
  return status;
}

static plm_status fail_file(const char *path, const char *directory, bool has_config) {
  static const char *const saved[] = {".pt", ".pth", ".ckpt"};
  kind k = kind_of(path);
  for (size_t i = 0; i < sizeof saved / sizeof *saved; i++)
    if ((k == UNKNOWN || k == ARCHIVE) && plm_hub_ends_with(path, saved[i])) k = PICKLE;
  if (!has_config && plm_directory_holds(directory, "final/config.json")) return fail_of_run(path, directory);
  char word[PLM_SHELL_WORD], id[128];
  if (k == POINTER || k == PAGE || k == ANSWER) return fail_as(k, path);
  guess_id(path, id);
  plm_status status = plm_fail(PLM_E_INPUT, "'%s' is %s; a model is a directory with config.json and model.safetensors",
                               path, k != UNKNOWN ? kinds[k].words : "a file");
  if (has_config)
    return plm_hint(status, "give the directory that holds it: --model %s", plm_shell_word(directory, word));
  if (k == PICKLE) return hint_published(status, id);
  if (k == GGUF) return plm_hint(status, "give the directory of the model that it was made from");
  if (k == FASTA) return plm_hint(status, "--model is the model; sequences are --train, --eval, --data or --fasta");
  if (k == ARCHIVE) return plm_hint(status, "unpack it, and give the directory that comes of it");
  return plm_hint(status, "config.json of the same model must lie beside it; then give the directory of both");
}

plm_status plm_mistake_file(const char *path) {
  char *directory, *config = NULL;
  PLM_TRY(plm_path_parent(path, &directory));
  plm_status status = plm_path_join(directory, "config.json", &config);
  if (status == PLM_OK) status = fail_file(path, directory, plm_file_exists(config));
  plm_free(config);
  plm_free(directory);
  return status;
}

/* "https://huggingface.co/org/name/tree/main" */
plm_status plm_mistake_address(const char *name) {
  static const char *const hosts[] = {"https://huggingface.co/", "http://huggingface.co/", "huggingface.co/",
                                      "https://hf.co/", "hf://"};
  char id[128] = "";
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts && id[0] == '\0'; i++)
    if (strncmp(name, hosts[i], strlen(hosts[i])) == 0) snprintf(id, sizeof id, "%s", name + strlen(hosts[i]));
  char *slash = strchr(id, '/');
  if (slash != NULL) slash[1 + strcspn(slash + 1, "/?#")] = '\0';
  if (id[0] != '\0') PLM_TRY(plm_hub_check_family(id));
  if (plm_hub_is_id(id))
    return plm_hint(plm_fail(PLM_E_INPUT, "'%s' is the web address of a model", name), "--model %s", id);
  if (strstr(name, "://") == NULL) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT, "'%s' is a web address; nothing is downloaded here", name),
                  "get the model first, and give its directory");
}
