/* dataset_cache.c - see dataset_cache.h */
#define _GNU_SOURCE
#include "data/dataset_cache.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/system.h"
#include "base/text.h"
#include "data/read/sequence_file.h"
#include "protlm/log.h"

/* ---- the key ---- */

/* What tells a file from another that was put in its place, or from itself before it was written to: size and time of
 * modification can be set to what they were (rsync -a, cp -p, touch -r, archives), the inode and the time of change
 * cannot. The device's number is left out: it differs between the machines that share a disk. */
static void add_facts(plm_text *facts, const struct stat *info) {
  plm_text_printf(facts, "%lld %lld.%09ld %lld.%09ld %llu\n", (long long)info->st_size, (long long)info->st_mtim.tv_sec,
                  info->st_mtim.tv_nsec, (long long)info->st_ctim.tv_sec, info->st_ctim.tv_nsec,
                  (unsigned long long)info->st_ino);
}

/* What else the user can choose about how text becomes sequences. */
static void add_reading(plm_text *names, const plm_dataset_options *options) {
  plm_text_printf(names, "invalid %d\n", (int)options->policy.invalid);
  if (options->hdf5_dataset != NULL) plm_text_printf(names, "hdf5-dataset %s\n", options->hdf5_dataset);
  if (options->hdf5_ids != NULL) plm_text_printf(names, "hdf5-ids %s\n", options->hdf5_ids);
}

/* The files that an HDF5 file only points to, as they are now; one that is missing, or holds too little, is refused. */
static plm_status add_sources(plm_text *facts, const plm_dataset_options *options, const char *path) {
  const plm_hdf5_selection selection = {.dataset = options->hdf5_dataset, .ids = options->hdf5_ids};
  plm_sequence_format format;
  plm_text sources = {0};
  PLM_TRY(plm_sequence_file_format(path, &format));
  if (format != PLM_FORMAT_HDF5) return PLM_OK;
  plm_status status = plm_hdf5_sources(path, &selection, options->hdf5_reader, &sources);
  if (status == PLM_OK && sources.status != PLM_OK)
    status = plm_fail(PLM_E_RESOURCE, "out of memory: the names of the files behind %s", path);
  for (size_t at = 0; status == PLM_OK && at < sources.length; at += strlen(sources.data + at) + 1) {
    struct stat info;
    if (stat(sources.data + at, &info) != 0)
      status = plm_fail(PLM_E_INPUT, "%s, which %s points to: %s", sources.data + at, path, strerror(errno));
    else
      add_facts(facts, &info);
  }
  plm_text_free(&sources);
  return status;
}

/* One of the files that are read; a stream among them makes all uncacheable. */
static plm_status add_file(plm_text *names, plm_text *facts, const plm_dataset_options *options, const char *path,
                           plm_cache_key *key) {
  char real[PATH_MAX];
  struct stat info;
  const bool is_stdin = strcmp(path, "-") == 0;
  if (!is_stdin && stat(path, &info) != 0) return plm_fail(PLM_E_INPUT, "%s: %s", path, strerror(errno));
  if (is_stdin || !S_ISREG(info.st_mode) || realpath(path, real) == NULL) {
    key->cacheable = false;
    return PLM_OK;
  }
  key->source_bytes += info.st_size;
  plm_text_printf(names, "%s\n", real);
  add_facts(facts, &info);
  return add_sources(facts, options, path);
}

plm_status plm_cache_key_of(const plm_dataset_options *options, plm_cache_key *ret_key) {
  plm_text names = {0}, facts = {0};
  plm_status status = PLM_OK;
  *ret_key = (plm_cache_key){.cacheable = true};
  for (size_t i = 0; i < options->paths.count; i++)
    PLM_TRY_GOTO(add_file(&names, &facts, options, options->paths.items[i], ret_key), done);
  add_reading(&names, options);
  plm_text_printf(&facts, "rules %d\n", (int)PLM_READING_RULES);
  plm_text_append(&facts, names.data != NULL ? names.data : "");
  if (names.status != PLM_OK || facts.status != PLM_OK) {
    status = plm_fail(PLM_E_RESOURCE, "out of memory: the names of %zu files", options->paths.count);
    goto done;
  }
  ret_key->key = plm_hash64(facts.data, facts.length) | 1;
  uint64_t name_hash = plm_hash64(names.data, names.length) >> 16;
  const char *first = ret_key->cacheable ? plm_path_name(options->paths.items[0]) : "stream";
  snprintf(ret_key->name, sizeof ret_key->name, "%.80s.%012llx.plmd", first, (unsigned long long)name_hash);
done:
  plm_text_free(&names);
  plm_text_free(&facts);
  return status;
}

/* ---- directories ---- */

static plm_status from_environment(const char *variable, const char *below, char **ret_path) {
  const char *value = getenv(variable);
  char *expanded;
  if (value == NULL) return plm_strdup("", ret_path);
  PLM_TRY(plm_path_expand_home(value, variable, &expanded));
  plm_status status =
      plm_sprintf(ret_path, "%s%s", expanded[0] == '/' ? expanded : "", expanded[0] == '/' ? below : "");
  plm_free(expanded);
  return status;
}

/* Where anyone may make files, what lies in a directory of somebody else's could be anything: then this one does not
 * apply. */
static plm_status temporary_directory(char **ret_path) {
  const char *value = getenv("TMPDIR");
  struct stat info;
  PLM_TRY(plm_sprintf(ret_path, "%s/protlm-%lu", value != NULL && value[0] == '/' ? value : "/tmp",
                      (unsigned long)geteuid()));
  if (lstat(*ret_path, &info) == 0 && (!S_ISDIR(info.st_mode) || info.st_uid != geteuid())) (*ret_path)[0] = '\0';
  return PLM_OK;
}

plm_status plm_cache_directory(const plm_dataset_options *options, int index, char **ret_path) {
  *ret_path = NULL;
  if (options->cache_directory != NULL) return index == 0 ? plm_strdup(options->cache_directory, ret_path) : PLM_OK;
  const char *first = options->paths.items[0];
  switch (index) {
    case 0:
      return plm_sequence_file_is_regular(first) ? plm_path_parent(first, ret_path) : plm_strdup("", ret_path);
    case 1:
      return from_environment("PROTLM_CACHE", "", ret_path);
    case 2:
      return from_environment("XDG_CACHE_HOME", "/protlm", ret_path);
    case 3:
      return from_environment("HOME", "/.cache/protlm", ret_path);
    case 4:
      return temporary_directory(ret_path);
    default:
      return PLM_OK;
  }
}

plm_status plm_cache_prepare(const char *directory, int64_t bytes) {
  int64_t room;
  char needed[PLM_NUMBER_TEXT], free_words[PLM_NUMBER_TEXT];
  PLM_TRY(plm_directory_make(directory));
  if (access(directory, W_OK | X_OK) != 0)
    return plm_fail(PLM_E_RESOURCE, "cannot write in %s: %s", directory, strerror(errno));
  PLM_TRY(plm_disk_free(directory, &room));
  if (room >= bytes) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "%s has %s free, and %s or more are needed", directory,
                  plm_bytes_text(room, free_words), plm_bytes_text(bytes, needed));
}

/* ---- temporaries: "<name>.tmp-<host>-<pid>-<n>" ---- */

plm_status plm_cache_temporary(const char *path, char **ret_temporary) {
  static _Atomic unsigned counter;
  char host[65];
  plm_host_name(host, sizeof host);
  /* The time makes it differ from what a process of the same number left behind. */
  return plm_sprintf(ret_temporary, "%s.tmp-%s-%ld-%llx.%u", path, host, (long)getpid(),
                     (unsigned long long)(plm_clock_wall() * 1e6), atomic_fetch_add(&counter, 1));
}

/* Its process is gone and it has not been written to for a minute (process numbers may mean something else in a
 * container). */
static bool is_left_behind(const char *path, long pid) {
  struct stat info;
  bool gone = pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
  return gone && stat(path, &info) == 0 && plm_clock_wall() - (double)info.st_mtim.tv_sec > 60;
}

void plm_cache_sweep(const char *directory, const char *name) {
  char host[65], prefix[256], **names = NULL;
  size_t count = 0;
  plm_host_name(host, sizeof host);
  int length = snprintf(prefix, sizeof prefix, "%s.tmp-%s-", name, host);
  if (length < 0 || (size_t)length >= sizeof prefix || plm_directory_list(directory, &names, &count) != PLM_OK) return;
  for (size_t i = 0; i < count; i++) {
    char *path = NULL;
    if (strncmp(names[i], prefix, (size_t)length) != 0 || plm_path_join(directory, names[i], &path) != PLM_OK) continue;
    if (is_left_behind(path, strtol(names[i] + length, NULL, 10))) {
      plm_debug("removing %s, left by a process that is gone", path);
      if (plm_file_remove(path) != PLM_OK) plm_debug("%s", plm_error_message());
    }
    plm_free(path);
  }
  plm_names_free(names, count);
}
