/* manifest.h - MANIFEST.json: what a checkpoint directory holds, so that every byte of it can be told good from bad.
 *
 *   {
 *     "format": "protlm checkpoint",
 *     "format_version": 1,
 *     "kind": "full",
 *     "step": 500,
 *     "written": 1767225600.25,
 *     "files": {
 *       "config.json": {"bytes": 689, "xxh3_128": "0123456789abcdef0123456789abcdef"},
 *       ...
 *     },
 *     "xxh3_128_above": "fedcba9876543210fedcba9876543210"
 *   }
 *
 * The last member hashes every byte before its own line, so the manifest vouches for itself too.
 */
#ifndef PLM_CHECKPOINT_MANIFEST_H
#define PLM_CHECKPOINT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protlm/status.h"

#define PLM_MANIFEST_NAME "MANIFEST.json"

typedef struct plm_manifest_file {
  char name[64];
  int64_t bytes;
  char hash[33]; /* xxh3-128, hex */
} plm_manifest_file;

enum { PLM_MANIFEST_MAX_FILES = 32, PLM_MANIFEST_VERSION = 1 };

typedef struct plm_manifest {
  char kind[16]; /* "full" */
  int64_t step;
  double written; /* unix time */
  size_t count;
  plm_manifest_file files[PLM_MANIFEST_MAX_FILES];
} plm_manifest;

/* Add a file whose size and hash were taken while it was written; or one that lies in `directory`
 * already, reading it. */
PLM_CHECKED plm_status plm_manifest_add(plm_manifest *manifest, const char *name, int64_t bytes, const char *hash);
PLM_CHECKED plm_status plm_manifest_add_existing(plm_manifest *manifest, const char *directory, const char *name);

/* Write <directory>/MANIFEST.json, synced and checked. */
PLM_CHECKED plm_status plm_manifest_write(const plm_manifest *manifest, const char *directory);

/* Read and check the manifest itself. What is wrong with it is PLM_E_CHECKPOINT; PLM_E_RESOURCE is only ever our lack
 * of memory. */
PLM_CHECKED plm_status plm_manifest_read(const char *directory, plm_manifest *ret_manifest);

/* Hold the directory against it: every file there with its size, none besides; deep: the content too. Names beginning
 * with a dot don't count (file systems leave such). PLM_E_CHECKPOINT names the file. */
PLM_CHECKED plm_status plm_manifest_check(const plm_manifest *manifest, const char *directory, bool deep);

int64_t plm_manifest_bytes(const plm_manifest *manifest); /* of all files listed */

#endif
