/* seen.h - a new file that another machine has made, in a directory that ranks may share. */
#ifndef PLM_TRAIN_SEEN_H
#define PLM_TRAIN_SEEN_H

#include <stdbool.h>

/* Network file systems tell other machines of a new file late: looks for a few seconds. */
bool plm_file_is_seen(const char *directory, const char *name);

#endif
