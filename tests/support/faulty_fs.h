/* faulty_fs.h - a file system that fails on request: a table of system calls (base/file.h) over the real one.
 *
 * Every call through the table is one operation. The loop that makes each of them fail in turn:
 *
 *   for (int64_t n = 1;; n++) {
 *     faulty_fs_install(&(faulty_plan){.fail_at = n, .error = ENOSPC});
 *     plm_status status = save();
 *     bool failed = faulty_fs_failures() > 0;
 *     faulty_fs_remove();
 *     if (!failed) break;                  // save() has fewer than n operations: all were tried
 *     ... what must hold after a failed save ...
 *   }
 *
 * A power cut works like this. With .cut_at = n the machine dies at the n-th operation: from there on every operation
 * fails without touching the disk, so the code under test ends, with a status. Then faulty_fs_power_cut() takes from
 * the real directory what had not been synced and removes the table; what is left is what a restarted machine would
 * find. The model is POSIX at its strictest:
 *
 *   data        is safe after fsync of the file; until then it may be there, not be there, be zeros or garbage
 *   names       (create, rename, unlink, mkdir, rmdir, symlink) are safe after fsync of the directory that holds them.
 *               Of the others a first part survives in each directory; a rename is there whole or not at all
 */
#ifndef TESTS_SUPPORT_FAULTY_FS_H
#define TESTS_SUPPORT_FAULTY_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct faulty_plan {
  int64_t fail_at;   /* this operation fails; 0 = none */
  int error;         /* with this errno; 0 = EIO */
  bool stays_broken; /* and all later ones too: a disk that is full and stays so */
  /* the process ends at this operation, as by SIGKILL: _exit(137); a write is then half done. Fork first. */
  int64_t kill_at;
  int64_t cut_at;       /* the power goes at this operation; call faulty_fs_power_cut next */
  size_t largest_write; /* a write takes at most so many bytes; 0 = all */
} faulty_plan;

void faulty_fs_install(const faulty_plan *plan); /* counting from 0 */
void faulty_fs_remove(void);                     /* the real table again */
int64_t faulty_fs_operations(void);              /* since the installation */
int64_t faulty_fs_failures(void);                /* how many of them were made to fail */
/* "fsync run/tmp-1/model.safetensors": the first that was made to fail; "" if none */
const char *faulty_fs_failed(void);

typedef enum faulty_cut {
  FAULTY_KEEP,       /* everything reached the disk */
  FAULTY_DROP,       /* nothing that was not synced did */
  FAULTY_DROP_DATA,  /* names did, data did not: files of length 0 under their final names */
  FAULTY_DROP_NAMES, /* data did, names did not */
  /* by `seed`: a part of the names; for each file kept, dropped, cut short, zeros or garbage by sectors */
  FAULTY_GARBLE,
  FAULTY_CUTS
} faulty_cut;
void faulty_fs_power_cut(faulty_cut mode, uint64_t seed); /* also removes the table */

#endif
