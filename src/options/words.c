/* words.c - taking a list of words apart. */
#include <string.h>

#include "options/internal.h"

const char *plm_option_next_word(const char **rest, const char *separators, size_t *ret_length) {
  if (*rest == NULL) return NULL;
  const char *word = *rest + strspn(*rest, separators);
  *ret_length = strcspn(word, separators);
  *rest = word + *ret_length;
  return *ret_length > 0 ? word : NULL;
}
