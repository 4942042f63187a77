/* info_libraries.h - the libraries of this build, and what the absence of one means. */
#ifndef PLM_APP_INFO_LIBRARIES_H
#define PLM_APP_INFO_LIBRARIES_H

#include <stddef.h>

typedef struct plm_library {
  const char *name;
  char version[32];    /* "" = not in this build */
  const char *absence; /* what then is different; "" for required ones */
} plm_library;

enum { PLM_LIBRARIES = 8 };
void plm_libraries_list(plm_library ret_libraries[PLM_LIBRARIES]);

#endif
