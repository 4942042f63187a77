/* names.c - what directories of a run are called, and putting them out of sight. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "checkpoint/internal.h"
#include "protlm/log.h"

static const char FINAL_PREFIX[] = "checkpoint-";
enum { UUID_DIGITS = 32, MAX_STEP_DIGITS = 18 /* fits int64_t */ };

plm_status plm_as_checkpoint_failure(plm_status status) {
  if (status != PLM_E_INPUT) return status;
  plm_error_record record;
  plm_error_take(status, &record);
  record.code = PLM_E_CHECKPOINT;
  return plm_error_give(&record);
}

void plm_uuid(char uuid[33]) {
  uint64_t words[2];
  if (getrandom(words, sizeof words, GRND_NONBLOCK) != (ssize_t)sizeof words) {
    /* Only at early boot. Directories are made with mkdir, which refuses a name that is taken, so this need not be
     * strong. */
    double now[3] = {plm_clock_wall(), plm_clock_cpu(), (double)getpid()};
    words[0] = plm_hash64(now, sizeof now);
    words[1] = plm_hash64(words, sizeof words[0]);
  }
  snprintf(uuid, UUID_DIGITS + 1, "%016llx%016llx", (unsigned long long)words[0], (unsigned long long)words[1]);
}

/* Digits of a step at the start of `text`; *ret_end is what follows. */
static bool parse_step(const char *text, const char **ret_end, int64_t *ret_step) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > MAX_STEP_DIGITS || (text[0] == '0' && digits > 1)) return false;
  int64_t step = 0;
  for (size_t i = 0; i < digits; i++) step = 10 * step + (text[i] - '0');
  *ret_step = step;
  *ret_end = text + digits;
  return true;
}

bool plm_checkpoint_parse_name(const char *name, int64_t *ret_step) {
  const char *end;
  size_t prefix = sizeof FINAL_PREFIX - 1;
  return strncmp(name, FINAL_PREFIX, prefix) == 0 && parse_step(name + prefix, &end, ret_step) && *end == '\0';
}

/* <prefix><step>-<uuid> */
static bool parse_staging_name(const char *name, const char *prefix, int64_t *ret_step) {
  size_t length = strlen(prefix);
  const char *end;
  return strncmp(name, prefix, length) == 0 && parse_step(name + length, &end, ret_step) && *end == '-' &&
         strspn(end + 1, "0123456789abcdef") == UUID_DIGITS && end[1 + UUID_DIGITS] == '\0';
}

/* "-<digits>" at the end of the first *length bytes of `name`; *length is then what precedes it. */
static bool ends_in_number(const char *name, size_t *length) {
  size_t end = *length;
  while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9') end--;
  if (end == *length || end == 0 || name[end - 1] != '-') return false;
  *length = end - 1;
  return true;
}

bool plm_checkpoint_parse_trash(const char *name, int64_t *ret_step) {
  return parse_staging_name(name, ".trash-", ret_step);
}

bool plm_checkpoint_is_leftover(const char *name) {
  int64_t step;
  if (parse_staging_name(name, "tmp-", &step) || plm_checkpoint_parse_trash(name, &step)) return true;
  size_t length = strlen(name);
  return strncmp(name, "tmp-", 4) == 0 && ends_in_number(name, &length) && ends_in_number(name, &length) && length > 4;
}

plm_status plm_checkpoint_path(const char *run_directory, int64_t step, char **ret_path) {
  return plm_sprintf(ret_path, "%s/%s%lld", run_directory, FINAL_PREFIX, (long long)step);
}

plm_status plm_checkpoint_staging_path(const char *run_directory, const char *prefix, int64_t step, char **ret_path) {
  char uuid[UUID_DIGITS + 1];
  plm_uuid(uuid);
  return plm_sprintf(ret_path, "%s/%s-%lld-%s", run_directory, prefix, (long long)step, uuid);
}

void plm_checkpoint_remove_trash(const char *trash) {
  if (plm_tree_remove(trash) == PLM_OK) return;
  plm_warn("%s is no longer needed but could not be removed now: %s", trash, plm_error_message());
  plm_error_clear();
}

plm_status plm_checkpoint_discard(const char *run_directory, int64_t step) {
  char *path = NULL, *trash = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_checkpoint_path(run_directory, step, &path), done);
  PLM_TRY_GOTO(plm_checkpoint_staging_path(run_directory, ".trash", step, &trash), done);
  PLM_TRY_GOTO(plm_file_rename(path, trash), done);
  PLM_TRY_GOTO(plm_directory_sync(run_directory), done);
  plm_checkpoint_remove_trash(trash);
done:
  plm_free(trash);
  plm_free(path);
  return status;
}

plm_status plm_checkpoint_link(const char *run_directory, const char *name, int64_t step) {
  char *link = NULL, *target = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_path_join(run_directory, name, &link), done);
  PLM_TRY_GOTO(plm_sprintf(&target, "%s%lld", FINAL_PREFIX, (long long)step), done);
  PLM_TRY_GOTO(plm_link_replace(target, link), done);
done:
  plm_free(target);
  plm_free(link);
  return status;
}
