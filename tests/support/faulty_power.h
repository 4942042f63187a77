/* faulty_power.h - the memory of faulty_fs: what has been done and not been synced, and how to undo it. Only
 * faulty_fs.c uses it. */
#ifndef TESTS_SUPPORT_FAULTY_POWER_H
#define TESTS_SUPPORT_FAULTY_POWER_H

#include "support/faulty_fs.h"

typedef enum name_kind { NAME_CREATE, NAME_MKDIR, NAME_UNLINK, NAME_RMDIR, NAME_RENAME } name_kind;

void power_forget(void);         /* everything is on disk */
void power_before_write(int fd); /* remember the content, if it is safe so far */
/* what undoing will need; `to` for renames */
void *power_before_name(name_kind kind, const char *path, const char *to);
void power_after_name(void *operation, bool succeeded);
void power_synced(int fd); /* a file or a directory */
void power_cut(faulty_cut mode, uint64_t seed);

#endif
