/* print.c */
#include "app/print.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"

void plm_print(const plm_output *output, const char *format, ...) {
  char line[4096];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (length >= (int)sizeof line) { /* rare: a very long line gets memory of its own, or is cut when there is none */
    char *longer;
    if (PLM_NEW(&longer, length + 1) == PLM_OK) {
      vsnprintf(longer, (size_t)length + 1, format, again);
      output->write(output->user, longer);
      plm_free(longer);
      va_end(again);
      return;
    }
  }
  va_end(again);
  output->write(output->user, line);
}
